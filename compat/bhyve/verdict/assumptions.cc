// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/verdict/assumptions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "bhyve/layout/layouts.h"
#include "bhyve/set/shown.h"
#include "bhyve/verdict/record_shape.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kGeneration = "generation";
constexpr std::string_view kVendor = "vendor";
constexpr std::string_view kNumbers[] = {"ncpus", axis::kCpuset, axis::kUarts};
constexpr std::string_view kLetters[] = {axis::kVlapic,  axis::kPrefix, axis::kRings,
                                         axis::kNetTail, axis::kAhci,   axis::kXhci};

/// What a column of their table has, each once.
std::vector<std::string> of_all_generations(std::string_view GenerationTraits::*column) {
  std::vector<std::string> texts;
  for (const GenerationTraits& one : all_generations()) {
    if (std::find(texts.begin(), texts.end(), one.*column) == texts.end()) texts.emplace_back(one.*column);
  }
  return texts;
}

/// What may stand after the name; nothing for a name that is none.
std::optional<std::vector<std::string>> choices_of(std::string_view name) {
  if (name == kGeneration) return of_all_generations(&GenerationTraits::name);
  if (name == kVendor) return std::vector<std::string>{"intel", "amd"};
  if (name == axis::kVm) return of_all_generations(&GenerationTraits::vm);
  if (name == axis::kVmx) return std::vector<std::string>{"data", "filled"};
  if (name == axis::kVmcx) {
    std::vector<std::string> shapes;
    for (const Layout* layout : layouts_of("vmcx")) shapes.push_back(record_shape(*layout));
    return shapes;
  }
  if (std::find(std::begin(kLetters), std::end(kLetters), name) != std::end(kLetters))
    return std::vector<std::string>{"A", "B"};
  return std::nullopt;
}

std::optional<std::uint64_t> to_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<void> check(std::string_view name, std::string_view shape) {
  constexpr std::uint64_t kMost = 65536;
  if (std::find(std::begin(kNumbers), std::end(kNumbers), name) != std::end(kNumbers)) {
    const auto value = to_number(shape);
    if (value && *value <= kMost && (name != axis::kCpuset || *value % 8 == 0)) return {};
    return Error(ErrorKind::kUsage,
                 fmt::format("{} cannot be assumed to be {}; {} is expected", name, shown(shape),
                             name == axis::kCpuset ? "a number of bytes, a multiple of 8" : "a number"));
  }
  const auto choices = choices_of(name);
  if (!choices) {
    return Error(
        ErrorKind::kUsage,
        fmt::format("nothing can be assumed about {}; there are generation, vendor, ncpus, vm, cpuset, "
                    "vmx, vmcx, vlapic, prefix, rings, uarts, net-tail, ahci and xhci",
                    shown(name)));
  }
  if (std::find(choices->begin(), choices->end(), shape) != choices->end()) return {};
  return Error(ErrorKind::kUsage, fmt::format("{} cannot be assumed to be {}; there is {}", name,
                                              shown(shape), fmt::join(*choices, ", ")));
}

}  // namespace

Result<Assumptions> Assumptions::parse(std::span<const std::string> texts) {
  Assumptions assumptions;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
      return Error(
          ErrorKind::kUsage,
          fmt::format("{} is no assumption; AXIS=SHAPE is expected, such as vmcx=intel-664", shown(text)));
    }
    const std::string name = text.substr(0, equals);
    const std::string shape = text.substr(equals + 1);
    VMSNAP_RETURN_IF_ERROR(check(name, shape));
    if (!assumptions.said_.emplace(name, shape).second)
      return Error(ErrorKind::kUsage, fmt::format("{} is assumed twice; decide for one", name));
  }
  return assumptions;
}

std::optional<std::string> Assumptions::said(std::string_view name) const {
  const auto found = said_.find(name);
  if (found == said_.end()) return std::nullopt;
  return found->second;
}

std::optional<std::string> Assumptions::shape(std::string_view axis, Vendor vendor) const {
  if (auto own = said(axis)) return own;
  const auto of = generation();
  if (!of) return std::nullopt;
  const std::string shape = shape_in(*of, vendor, axis);
  if (shape.empty()) return std::nullopt;
  return std::string(shape);
}

std::optional<std::uint64_t> Assumptions::number(std::string_view name) const {
  const auto text = said(name);
  return text ? to_number(*text) : std::nullopt;
}

std::optional<Generation> Assumptions::generation() const {
  const auto name = said(kGeneration);
  return name ? generation_by_name(*name) : std::nullopt;
}

std::optional<Vendor> Assumptions::vendor() const {
  if (const auto name = said(kVendor))
    return *name == to_string(Vendor::kIntel) ? Vendor::kIntel : Vendor::kAmd;
  // The shape of the registers says it, too.
  const auto vmcx = said(axis::kVmcx);
  if (!vmcx) return std::nullopt;
  return vmcx->starts_with(to_string(Vendor::kIntel)) ? Vendor::kIntel : Vendor::kAmd;
}

std::string Assumptions::text() const {
  std::vector<std::string> parts;
  for (const auto& [name, shape] : said_) parts.push_back(name + '=' + shape);
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace vmsnap::compat::bhyve
