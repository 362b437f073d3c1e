// SPDX-License-Identifier: BSD-2-Clause
// What each generation of bhyve writes, axis by axis. A set says nowhere which generation wrote it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "bhyve/layout/layout.h"
#include "bhyve/vocabulary.h"

namespace vmsnap::compat::bhyve {

enum class Generation : std::uint8_t { kA, kA2, kB, kC0, kC };

/// How a generation writes its three files. Another release is told by the tables of those of its chunks that
/// are new, a row of these, and the names of the row in Generation and KernelShape.
struct GenerationTraits {
  Generation generation;
  KernelShape shape;          // files of A2 are like those of A
  std::string_view name;      // "C0"
  std::string_view releases;  // "FreeBSD 14.0"
  std::string_view number;    // "14.0"
  /// Entries of the .meta file have names with a place on the bus, under kern_structs; else requests under
  /// structs, and devices are named by their kind, of which one is saved.
  bool has_places;
  std::string_view vm;         // layout
  std::uint64_t cpuset_longs;  // words of 64 bits of the set of vCPUs in vm
  std::string_view vmx;        // "data", "empty" or "none"
  std::string_view intel_vmcx;
  std::string_view amd_vmcx;
  Shape rest;  // vlapic, and every axis of the devices
  std::uint64_t most_vcpus;
};

/// Oldest first.
[[nodiscard]] std::span<const GenerationTraits> all_generations();
[[nodiscard]] const GenerationTraits& traits_of(Generation generation);
/// Of the oldest generation that writes so.
[[nodiscard]] const GenerationTraits& traits_of(KernelShape shape);
[[nodiscard]] std::string_view to_string(Generation generation);  // "C0"
/// "FreeBSD 13.2"
[[nodiscard]] std::string_view releases_of(Generation generation);
[[nodiscard]] std::optional<Generation> generation_by_name(std::string_view name);

[[nodiscard]] std::string_view to_string(Vendor vendor);  // "intel", "amd"

/// The axes that a verdict has, by the names that --assume knows.
namespace axis {
inline constexpr std::string_view kMeta = "meta";
inline constexpr std::string_view kNames = "names";
inline constexpr std::string_view kVm = "vm";
inline constexpr std::string_view kCpuset = "cpuset";
inline constexpr std::string_view kVmx = "vmx";
inline constexpr std::string_view kVmcx = "vmcx";
inline constexpr std::string_view kVlapic = "vlapic";
inline constexpr std::string_view kPrefix = "prefix";
inline constexpr std::string_view kRings = "rings";
inline constexpr std::string_view kUarts = "uarts";
inline constexpr std::string_view kNetTail = "net-tail";
inline constexpr std::string_view kAhci = "ahci";
inline constexpr std::string_view kXhci = "xhci";
}  // namespace axis

/// The shape in which the generation writes what the axis is about; empty for an axis that does not tell
/// generations apart.
[[nodiscard]] std::string shape_in(Generation generation, Vendor vendor, std::string_view axis);

}  // namespace vmsnap::compat::bhyve
