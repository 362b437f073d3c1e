// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/verdict/generation.h"

#include <algorithm>
#include <array>

namespace vmsnap::compat::bhyve {
namespace {

struct Described {
  Generation generation;
  std::string_view name;
  std::string_view releases;
};

constexpr std::array<Described, 5> kDescribed = {{
    {Generation::kA, "A", "FreeBSD 13.0"},
    {Generation::kA2, "A2", "FreeBSD 13.1"},
    {Generation::kB, "B", "FreeBSD 13.2"},
    {Generation::kC0, "C0", "FreeBSD 14.0"},
    {Generation::kC, "C", "FreeBSD main since 2024"},
}};

constexpr std::array<Generation, 5> kGenerations = {Generation::kA, Generation::kA2, Generation::kB,
                                                    Generation::kC0, Generation::kC};

struct AxisShapes {
  std::string_view axis;
  std::string_view a;
  std::string_view b;
  std::string_view c0;
  std::string_view c;
};

constexpr AxisShapes kShapes[] = {
    {axis::kMeta, "structs", "structs", "kern_structs", "kern_structs"},
    {axis::kNames, "plain", "plain", "at", "at"},
    {axis::kVm, "A", "B", "C", "C"},
    {axis::kCpuset, "0", "32", "128", "128"},
    {axis::kVmx, "data", "empty", "none", "none"},
    {axis::kVlapic, "A", "B", "B", "B"},
    {axis::kPrefix, "A", "B", "B", "B"},
    {axis::kRings, "A", "B", "B", "B"},
    {axis::kNetTail, "A", "B", "B", "B"},
    {axis::kAhci, "A", "B", "B", "B"},
    {axis::kXhci, "A", "B", "B", "B"},
};
constexpr AxisShapes kVmcxOfIntel = {axis::kVmcx, "intel-376", "intel-600", "intel-664", "intel-920"};
constexpr AxisShapes kVmcxOfAmd = {axis::kVmcx, "amd-496", "amd-772", "amd-772", "amd-1028"};

std::string_view pick(const AxisShapes& shapes, Generation generation) {
  switch (generation) {
    case Generation::kA:
    case Generation::kA2:
      return shapes.a;
    case Generation::kB:
      return shapes.b;
    case Generation::kC0:
      return shapes.c0;
    case Generation::kC:
      return shapes.c;
  }
  return {};
}

const Described& description(Generation generation) {
  return *std::find_if(kDescribed.begin(), kDescribed.end(),
                       [&](const Described& one) { return one.generation == generation; });
}

}  // namespace

std::span<const Generation> all_generations() {
  return kGenerations;
}

std::string_view to_string(Generation generation) {
  return description(generation).name;
}

std::string_view releases_of(Generation generation) {
  return description(generation).releases;
}

std::optional<Generation> generation_by_name(std::string_view name) {
  for (const Described& one : kDescribed) {
    if (one.name == name) return one.generation;
  }
  return std::nullopt;
}

std::string_view to_string(Vendor vendor) {
  return vendor == Vendor::kIntel ? "intel" : "amd";
}

std::string_view shape_in(Generation generation, Vendor vendor, std::string_view axis) {
  if (axis == axis::kVmcx) return pick(vendor == Vendor::kIntel ? kVmcxOfIntel : kVmcxOfAmd, generation);
  for (const AxisShapes& shapes : kShapes) {
    if (shapes.axis == axis) return pick(shapes, generation);
  }
  return {};
}

}  // namespace vmsnap::compat::bhyve
