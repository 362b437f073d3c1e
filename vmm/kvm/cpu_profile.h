// SPDX-License-Identifier: BSD-2-Clause
// The processor the guest sees: a named set of CPUID leaves that travels with the guest.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cpu_profile_generated.h"
#include "kvm/kvm.h"

namespace vmsnap::vmm {

/// kHost: everything the host's KVM supports, less what a snapshot does not carry (nested virtualisation,
/// performance monitoring, SGX, processor trace, shadow stacks, asynchronous page faults and steal time).
/// kBaseline: what every x86-64 processor since 2010 has (x86-64-v2 without XSAVE and AVX), the same on
/// every host of one vendor; runs where XSAVE must not be used (KVM in QEMU's emulator).
enum class ProfileKind : std::uint8_t { kHost, kBaseline };

/// "host", "baseline". Errors: Usage for any other name.
[[nodiscard]] Result<ProfileKind> parse_profile_kind(std::string_view name);

/// The profile on this host. Errors: Io.
[[nodiscard]] Result<schema::CpuProfileT> make_profile(const Kvm& kvm, ProfileKind kind);

/// The same from given leaves (see Kvm::supported_cpuid()). `tsc_khz` may be 0: not known.
[[nodiscard]] schema::CpuProfileT make_profile(std::span<const schema::CpuidLeaf> supported,
                                               std::uint64_t tsc_khz, ProfileKind kind);

/// What `profile` needs and a host with `supported` leaves does not have, each as words a person knows
/// ("avx2", "CPUID 7.0 EDX bit 5", "vendor GenuineIntel"); empty when the guest can run there. Run-time
/// bits, topology, caches and APIC IDs do not count.
[[nodiscard]] std::vector<std::string> missing_features(const schema::CpuProfileT& profile,
                                                        std::span<const schema::CpuidLeaf> supported);

/// missing_features() of this host, and whether it can give the TSC frequency (within 250 ppm, else by
/// scaling), as one error. Errors: Unsupported, naming everything; Io.
[[nodiscard]] Result<void> check_profile(const schema::CpuProfileT& profile, const Kvm& kvm);

/// The leaves as virtual CPU `index` of `count` sees them: APIC IDs and topology filled in.
[[nodiscard]] std::vector<schema::CpuidLeaf> leaves_for_vcpu(const schema::CpuProfileT& profile,
                                                             std::uint32_t index, std::uint32_t count);

/// The bits that the profile lets a guest set in XCR0; 0 when it has no XSAVE.
[[nodiscard]] std::uint64_t allowed_xcr0(const schema::CpuProfileT& profile);

/// The leaf, or nullptr. `leaves` in rising order or not.
[[nodiscard]] const schema::CpuidLeaf* find_leaf(std::span<const schema::CpuidLeaf> leaves,
                                                 std::uint32_t leaf, std::uint32_t subleaf = 0);

}  // namespace vmsnap::vmm
