// SPDX-License-Identifier: BSD-2-Clause
// Which model-specific registers a snapshot carries, and reading and writing them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "kvm/calls.h"
#include "kvm/host_facts.h"
#include "x86_cpu_generated.h"

namespace vmsnap::vmm {

// Intel SDM Vol. 4, table 2-2, unless said otherwise.
inline constexpr std::uint32_t kMsrTsc = 0x10;
inline constexpr std::uint32_t kMsrApicBase = 0x1b;
inline constexpr std::uint32_t kMsrMtrrCap = 0xfe;
inline constexpr std::uint32_t kMsrMcgCap = 0x179;
inline constexpr std::uint32_t kMsrTscDeadline = 0x6e0;
inline constexpr std::uint32_t kMsrEfer = 0xc0000080;
inline constexpr std::uint32_t kMsrFsBase = 0xc0000100;
inline constexpr std::uint32_t kMsrGsBase = 0xc0000101;

/// True for registers that are not state of the groups of x86_cpu (msr_fields.h): they have a field of their
/// own in its root table or in the schema lapic, and are read and written by other calls.
[[nodiscard]] bool has_own_field(std::uint32_t index);

/// Those a snapshot should carry of what `listed` (KVM_GET_MSR_INDEX_LIST) and the processor's own
/// capability registers name: the list lacks MTRRs and machine-check banks, and has registers that belong to
/// features no profile shows (nested virtualisation, performance monitoring, Hyper-V). In rising order.
[[nodiscard]] std::vector<std::uint32_t> candidate_msrs(std::span<const std::uint32_t> listed,
                                                        std::uint64_t mtrr_cap, std::uint64_t mcg_cap);

/// Fills in `facts.msrs` and `facts.refused_msrs` by reading each candidate on `vcpu` (fresh, with its CPUID
/// set) and writing back what was read: a register that fails here would fail in every save or restore.
/// Errors: Io.
[[nodiscard]] Result<void> probe_msrs(const KvmFd& kvm, const KvmFd& vcpu, HostFacts& facts);

/// Reads `indices`. Errors: Io, naming the register that the kernel refused.
[[nodiscard]] Result<std::vector<schema::Msr>> read_msrs(const KvmFd& vcpu,
                                                         std::span<const std::uint32_t> indices);
[[nodiscard]] Result<std::uint64_t> read_msr(const KvmFd& vcpu, std::uint32_t index);

/// Writes `msrs` in order. Errors: Io, naming the register that the kernel refused and the value.
[[nodiscard]] Result<void> write_msrs(const KvmFd& vcpu, std::span<const schema::Msr> msrs);
[[nodiscard]] Result<void> write_msr(const KvmFd& vcpu, std::uint32_t index, std::uint64_t value);

/// "MSR 0x2ff (IA32_MTRR_DEF_TYPE)"; without the name where this build knows none.
[[nodiscard]] std::string msr_name(std::uint32_t index);

}  // namespace vmsnap::vmm
