// SPDX-License-Identifier: BSD-2-Clause
#include "steps/x86_cpu/x86_cpu_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "steps/x86_cpu/msr_groups.h"

namespace vmsnap::compat {
namespace {

// Readers of both versions take no more.
constexpr std::size_t kMaxMsrs = 2048;

struct Msr {
  std::uint32_t index;
  std::uint64_t value;
};

Error too_many(std::size_t count, std::string_view list) {
  return Error(ErrorKind::kLimitExceeded, fmt::format("there are {} MSRs, more than {}", count, kMaxMsrs))
      .in_field(list);
}

/// The registers of a list. Errors: LimitExceeded; Corrupt unless each stands once, in rising order, with a
/// reserved word of 0.
Result<std::vector<Msr>> read_list(const StepContext& context, std::string_view list) {
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t count, context.count(list));
  if (count > kMaxMsrs) return too_many(count, list);
  std::vector<Msr> msrs;
  msrs.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto field = [&](std::string_view name) { return fmt::format("{}[{}].{}", list, i, name); };
    VMSNAP_ASSIGN_OR_RETURN(const auto index, context.peek<std::uint32_t>(field("index")));
    VMSNAP_ASSIGN_OR_RETURN(const auto reserved, context.peek<std::uint32_t>(field("reserved")));
    VMSNAP_ASSIGN_OR_RETURN(const auto value, context.peek<std::uint64_t>(field("value")));
    if (!msrs.empty() && index <= msrs.back().index) {
      return Error(ErrorKind::kCorrupt,
                   fmt::format("MSR {:#x} stands after {:#x}: each MSR must stand once, in rising order",
                               index, msrs.back().index))
          .in_field(list);
    }
    if (reserved != 0) {
      return Error(ErrorKind::kCorrupt, fmt::format("the reserved word of MSR {:#x} is not zero", index))
          .in_field(list);
    }
    msrs.push_back({index, value});
  }
  return msrs;
}

Result<void> write_list(StepContext& context, std::string_view list, const std::vector<Msr>& msrs) {
  for (const Msr& msr : msrs) {
    VMSNAP_ASSIGN_OR_RETURN(const std::size_t at, context.append(list));
    VMSNAP_RETURN_IF_ERROR(context.set(fmt::format("{}[{}].index", list, at), msr.index));
    VMSNAP_RETURN_IF_ERROR(context.set(fmt::format("{}[{}].value", list, at), msr.value));
  }
  return {};
}

/// Part -> value, by number of the element.
using Elements = std::map<std::uint32_t, std::map<std::size_t, std::uint64_t>>;

Result<void> write_array(StepContext& context, const MsrArray& array, const Elements& elements) {
  for (const auto& [number, parts] : elements) {
    VMSNAP_ASSIGN_OR_RETURN(const std::size_t at, context.append(array.path));
    VMSNAP_RETURN_IF_ERROR(
        context.set(fmt::format("{}[{}].number", array.path, at), static_cast<std::uint8_t>(number)));
    for (const auto& [part, value] : parts) {
      VMSNAP_RETURN_IF_ERROR(context.set(fmt::format("{}[{}].{}", array.path, at, array.parts[part]), value));
    }
  }
  return {};
}

Result<void> to_groups(StepContext& context) {
  VMSNAP_ASSIGN_OR_RETURN(const std::vector<Msr> msrs, read_list(context, "msrs"));
  std::map<const MsrArray*, Elements> arrays;
  std::vector<Msr> others;
  for (const Msr& msr : msrs) {
    const std::optional<MsrPlace> place = find_msr(msr.index);
    if (!place) {
      others.push_back(msr);
    } else if (place->field != nullptr) {
      VMSNAP_RETURN_IF_ERROR(context.set(place->field->path, msr.value));
    } else {
      arrays[place->array][place->number][place->part] = msr.value;
    }
  }
  for (const auto& [array, elements] : arrays) VMSNAP_RETURN_IF_ERROR(write_array(context, *array, elements));
  VMSNAP_RETURN_IF_ERROR(write_list(context, "other_msrs", others));
  if (msrs.empty()) return {};
  return context.converted("msrs", fmt::format("{} registers have a field of their own, {} are in other_msrs",
                                               msrs.size() - others.size(), others.size()));
}

Result<void> read_array(const StepContext& context, const MsrArray& array, std::vector<Msr>& msrs) {
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t count, context.count(array.path));
  std::optional<std::uint32_t> last;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string element = fmt::format("{}[{}]", array.path, i);
    VMSNAP_ASSIGN_OR_RETURN(const auto number, context.peek<std::uint8_t>(element + ".number"));
    if (number >= array.elements || (last && number <= *last)) {
      return Error(ErrorKind::kCorrupt,
                   fmt::format("the number is {}; numbers are 0 to {}, each once, in rising order", number,
                               array.elements - 1))
          .in_field(element + ".number");
    }
    last = number;
    for (std::size_t part = 0; part < array.parts.size(); ++part) {
      VMSNAP_ASSIGN_OR_RETURN(const auto value, context.peek<std::optional<std::uint64_t>>(
                                                    fmt::format("{}.{}", element, array.parts[part])));
      if (value) msrs.push_back({array.index(number, part), *value});
    }
  }
  return {};
}

Result<void> to_list(StepContext& context) {
  VMSNAP_ASSIGN_OR_RETURN(std::vector<Msr> msrs, read_list(context, "other_msrs"));
  for (const Msr& msr : msrs) {
    if (!find_msr(msr.index)) continue;
    return Error(ErrorKind::kCorrupt,
                 fmt::format("MSR {:#x} stands among those without a field, but has one", msr.index))
        .in_field("other_msrs");
  }
  for (const GroupedMsr& each : grouped_msrs()) {
    VMSNAP_ASSIGN_OR_RETURN(const auto value, context.peek<std::optional<std::uint64_t>>(each.path));
    if (value) msrs.push_back({each.index, *value});
  }
  for (const MsrArray& array : msr_arrays()) VMSNAP_RETURN_IF_ERROR(read_array(context, array, msrs));
  if (msrs.size() > kMaxMsrs) return too_many(msrs.size(), "other_msrs");
  std::sort(msrs.begin(), msrs.end(), [](const Msr& a, const Msr& b) { return a.index < b.index; });
  VMSNAP_RETURN_IF_ERROR(context.make("msrs"));
  VMSNAP_RETURN_IF_ERROR(write_list(context, "msrs", msrs));
  std::vector<std::string_view> fields(msr_groups().begin(), msr_groups().end());
  fields.push_back("other_msrs");
  for (const std::string_view field : fields) {
    VMSNAP_ASSIGN_OR_RETURN(const bool there, context.has(field));
    if (there) VMSNAP_RETURN_IF_ERROR(context.converted(field, "its registers are in the list msrs"));
  }
  return {};
}

}  // namespace

StepRegistry x86_cpu_steps() {
  return {{{"x86_cpu", {1, 0}, {2, 0}, to_groups}, {"x86_cpu", {2, 0}, {1, 0}, to_list}}, {}};
}

}  // namespace vmsnap::compat
