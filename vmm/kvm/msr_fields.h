// SPDX-License-Identifier: BSD-2-Clause
// Which model-specific register stands in which field of the schema x86_cpu. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "x86_cpu_generated.h"

namespace vmsnap::vmm {

// The arrays among the registers (Intel SDM Vol. 4, table 2-2).
inline constexpr std::uint32_t kMsrMtrrPhysBase0 = 0x200;
inline constexpr std::uint32_t kRegistersPerMtrr = 2;
inline constexpr std::uint32_t kMaxVariableMtrrs = 16;
inline constexpr std::uint32_t kMsrMc0Ctl2 = 0x280;
inline constexpr std::uint32_t kMsrMc0Ctl = 0x400;
inline constexpr std::uint32_t kRegistersPerBank = 4;
inline constexpr std::uint32_t kMaxBanks = 32;

/// A register with a field of its own in a group, the arrays apart.
struct MsrField {
  std::uint32_t index;
  const char* path;  // "syscall.lstar"
  const char* name;  // "IA32_LSTAR"
  /// Null when the CPU does not have the register.
  flatbuffers::Optional<std::uint64_t> (*get)(const schema::X86CpuT& cpu);
  /// Makes the group when it is absent.
  void (*set)(schema::X86CpuT& cpu, std::uint64_t value);
};

/// All of them, in the order of the schema.
[[nodiscard]] std::span<const MsrField> msr_fields();

/// The field of a register: "syscall.lstar", "memory_types.variable_mtrrs"; "other_msrs" for one that has
/// none.
[[nodiscard]] std::string msr_path(std::uint32_t index);
/// Its name in the manual, "IA32_MC3_CTL"; nothing for one without a field.
[[nodiscard]] std::optional<std::string> msr_field_name(std::uint32_t index);
/// Whether a register has a field in the groups or arrays, and so never stands in `other_msrs`.
[[nodiscard]] bool has_msr_field(std::uint32_t index);

/// Puts `msrs`, each of which is there once, into their fields, and those without one into `other_msrs`. What
/// `cpu` has of other registers stays.
void put_msrs(schema::X86CpuT& cpu, std::span<const schema::Msr> msrs);
/// Every register that `cpu` has in groups, arrays and `other_msrs`, in rising order of index. Of a state
/// that has passed check_state(), each is there once.
[[nodiscard]] std::vector<schema::Msr> all_msrs(const schema::X86CpuT& cpu);

}  // namespace vmsnap::vmm
