// SPDX-License-Identifier: BSD-2-Clause
// Registers and bits of the local APIC (Intel SDM Vol. 3A, chapter 11).
#pragma once

#include <cstdint>

namespace vmsnap::vmm {

// IA32_APIC_BASE.
inline constexpr std::uint64_t kApicBaseBsp = 1u << 8;
inline constexpr std::uint64_t kApicBaseX2 = 1u << 10;
inline constexpr std::uint64_t kApicBaseEnable = 1u << 11;
inline constexpr std::uint64_t kApicBaseAddress = 0x000ffffffffff000;
inline constexpr std::uint64_t kApicDefaultAddress = 0xfee00000;

// Offsets in the register page (table 11-1).
inline constexpr std::size_t kApicId = 0x20;
inline constexpr std::size_t kApicVersion = 0x30;
inline constexpr std::size_t kApicTpr = 0x80;
inline constexpr std::size_t kApicLdr = 0xd0;
inline constexpr std::size_t kApicDfr = 0xe0;
inline constexpr std::size_t kApicSvr = 0xf0;
inline constexpr std::size_t kApicIsr = 0x100;
inline constexpr std::size_t kApicTmr = 0x180;
inline constexpr std::size_t kApicIrr = 0x200;
inline constexpr std::size_t kApicEsr = 0x280;
inline constexpr std::size_t kApicLvtCmci = 0x2f0;
inline constexpr std::size_t kApicIcrLow = 0x300;
inline constexpr std::size_t kApicIcrHigh = 0x310;
inline constexpr std::size_t kApicLvtTimer = 0x320;
inline constexpr std::size_t kApicLvtThermal = 0x330;
inline constexpr std::size_t kApicLvtPerformance = 0x340;
inline constexpr std::size_t kApicLvtLint0 = 0x350;
inline constexpr std::size_t kApicLvtLint1 = 0x360;
inline constexpr std::size_t kApicLvtError = 0x370;
inline constexpr std::size_t kApicInitialCount = 0x380;
inline constexpr std::size_t kApicCurrentCount = 0x390;
inline constexpr std::size_t kApicDivide = 0x3e0;

inline constexpr std::size_t kApicVectorWords = 8;
inline constexpr std::size_t kApicVectorStride = 0x10;

// LVT.
inline constexpr std::uint32_t kLvtMasked = 1u << 16;
inline constexpr unsigned kLvtTimerModeShift = 17;
inline constexpr std::uint32_t kLvtTimerModeMask = 3;
inline constexpr std::uint32_t kLvtTimerDeadline = 2;

/// KVM's timer counts nanoseconds.
inline constexpr std::uint64_t kKvmApicTimerFrequency = 1'000'000'000;

[[nodiscard]] inline bool is_deadline_mode(std::uint32_t lvt_timer) {
  return ((lvt_timer >> kLvtTimerModeShift) & kLvtTimerModeMask) == kLvtTimerDeadline;
}

/// Version register, bits 23:16: number of the last LVT entry; the seventh is CMCI's.
[[nodiscard]] inline bool has_lvt_cmci(std::uint32_t version) {
  return ((version >> 16) & 0xff) >= 6;
}

}  // namespace vmsnap::vmm
