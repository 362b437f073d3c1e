// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/verdict/generation.h"

#include <algorithm>

namespace vmsnap::compat::bhyve {
namespace {

constexpr GenerationTraits kGenerations[] = {
    {Generation::kA, KernelShape::kA, "A", "FreeBSD 13.0", "13.0", false, "A", 0, "data", "intel-376",
     "amd-496", Shape::kA, 16},
    {Generation::kA2, KernelShape::kA, "A2", "FreeBSD 13.1", "13.1", false, "A", 0, "data", "intel-376",
     "amd-496", Shape::kA, 16},
    {Generation::kB, KernelShape::kB, "B", "FreeBSD 13.2", "13.2", false, "B", 4, "empty", "intel-600",
     "amd-772", Shape::kB, 256},
    {Generation::kC0, KernelShape::kC0, "C0", "FreeBSD 14.0", "14.0", true, "C", 16, "none", "intel-664",
     "amd-772", Shape::kB, 1024},
    {Generation::kC, KernelShape::kC, "C", "FreeBSD main since 2024", "main", true, "C", 16, "none",
     "intel-920", "amd-1028", Shape::kB, 1024},
};

constexpr std::string_view kOfRest[] = {axis::kVlapic,  axis::kPrefix, axis::kRings,
                                        axis::kNetTail, axis::kAhci,   axis::kXhci};

}  // namespace

std::span<const GenerationTraits> all_generations() {
  return kGenerations;
}

const GenerationTraits& traits_of(Generation generation) {
  return *std::find_if(std::begin(kGenerations), std::end(kGenerations),
                       [&](const GenerationTraits& one) { return one.generation == generation; });
}

const GenerationTraits& traits_of(KernelShape shape) {
  return *std::find_if(std::begin(kGenerations), std::end(kGenerations),
                       [&](const GenerationTraits& one) { return one.shape == shape; });
}

std::string_view to_string(Generation generation) {
  return traits_of(generation).name;
}

std::string_view releases_of(Generation generation) {
  return traits_of(generation).releases;
}

std::optional<Generation> generation_by_name(std::string_view name) {
  for (const GenerationTraits& one : kGenerations) {
    if (one.name == name) return one.generation;
  }
  return std::nullopt;
}

std::string_view to_string(Vendor vendor) {
  return vendor == Vendor::kIntel ? "intel" : "amd";
}

std::string shape_in(Generation generation, Vendor vendor, std::string_view axis) {
  const GenerationTraits& traits = traits_of(generation);
  if (axis == axis::kMeta) return traits.has_places ? "kern_structs" : "structs";
  if (axis == axis::kNames) return traits.has_places ? "at" : "plain";
  if (axis == axis::kVm) return std::string(traits.vm);
  if (axis == axis::kCpuset) return std::to_string(traits.cpuset_longs * sizeof(std::uint64_t));
  if (axis == axis::kVmx) return std::string(traits.vmx);
  if (axis == axis::kVmcx) return std::string(vendor == Vendor::kIntel ? traits.intel_vmcx : traits.amd_vmcx);
  const bool is_of_rest = std::find(std::begin(kOfRest), std::end(kOfRest), axis) != std::end(kOfRest);
  return is_of_rest ? std::string(to_string(traits.rest)) : std::string();
}

}  // namespace vmsnap::compat::bhyve
