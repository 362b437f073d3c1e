// SPDX-License-Identifier: BSD-2-Clause
// Which field of x86_cpu 2.0 holds which model-specific register of the list in x86_cpu 1.0. It belongs to
// these two versions and so never changes. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace vmsnap::compat {

/// A register with a field of its own in a group.
struct GroupedMsr {
  std::uint32_t index;
  std::string_view path;  // "syscall.lstar"
};

/// Those of all groups, without those of the arrays.
[[nodiscard]] std::span<const GroupedMsr> grouped_msrs();
/// Fields of the root that are groups.
[[nodiscard]] std::span<const std::string_view> msr_groups();

/// A list whose elements have a number and some registers each.
struct MsrArray {
  std::string_view path;   // "machine_check.banks"
  std::uint32_t elements;  // numbers are 0 to elements - 1
  std::span<const std::string_view> parts;
  /// Of part `part` of element `number`.
  std::uint32_t (*index)(std::uint32_t number, std::size_t part);
};

[[nodiscard]] std::span<const MsrArray> msr_arrays();

/// Where a register stands.
struct MsrPlace {
  const GroupedMsr* field = nullptr;  // either this,
  const MsrArray* array = nullptr;    // or these three
  std::uint32_t number = 0;
  std::size_t part = 0;
};

/// nullopt for a register without a field: it stands in `other_msrs`.
[[nodiscard]] std::optional<MsrPlace> find_msr(std::uint32_t index);

}  // namespace vmsnap::compat
