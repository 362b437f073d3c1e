// SPDX-License-Identifier: BSD-2-Clause
// What each generation of bhyve writes, axis by axis. A set says nowhere which generation wrote it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "bhyve/vocabulary.h"

namespace vmsnap::compat::bhyve {

enum class Generation : std::uint8_t { kA, kA2, kB, kC0, kC };

/// Oldest first.
[[nodiscard]] std::span<const Generation> all_generations();
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
[[nodiscard]] std::string_view shape_in(Generation generation, Vendor vendor, std::string_view axis);

}  // namespace vmsnap::compat::bhyve
