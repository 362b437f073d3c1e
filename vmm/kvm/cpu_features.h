// SPDX-License-Identifier: BSD-2-Clause
// The CPUID words whose bits say what a processor can do, with the bits' names and what each profile does
// with them. Sources: Intel SDM Vol. 2A, CPUID; AMD APM Vol. 3, appendix E; Linux
// Documentation/virt/kvm/x86/cpuid.rst.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "cpu_profile_generated.h"

namespace vmsnap::vmm {

enum class CpuidRegister : std::uint8_t { kEax, kEbx, kEcx, kEdx };

struct FeatureWord {
  std::uint32_t leaf;
  std::uint32_t subleaf;
  CpuidRegister reg;
  /// Bits that follow from run-time state, topology or our own choice: no host has to have them.
  std::uint32_t not_features;
  /// Bits that profile "host" takes away: their state is not in a snapshot, or they are of no use.
  std::uint32_t never_shown;
  /// Bits that profile "baseline" leaves.
  std::uint32_t baseline;
  /// Names of the bits, from bit 0, as Linux spells them in /proc/cpuinfo; "" where there is none.
  const char* const* names;
};

[[nodiscard]] std::span<const FeatureWord> feature_words();

/// "avx2", or "CPUID 7.0 EDX bit 5" for a bit without a name.
[[nodiscard]] std::string feature_name(const FeatureWord& word, unsigned bit);

[[nodiscard]] std::uint32_t register_of(const schema::CpuidLeaf& leaf, CpuidRegister reg);
void set_register(schema::CpuidLeaf& leaf, CpuidRegister reg, std::uint32_t value);

}  // namespace vmsnap::vmm
