// SPDX-License-Identifier: BSD-2-Clause
// Bits of ACPI 6.4, tables 4.11 to 4.13 and section 4.8.4.1. Private to the device and its tests.
#pragma once

#include <cstdint>

namespace vmsnap::vmm::acpi_pm {

// Offsets in the block.
inline constexpr std::uint64_t kStatus = 0;
inline constexpr std::uint64_t kEnable = 2;
inline constexpr std::uint64_t kControl = 4;
inline constexpr std::uint64_t kTimer = 8;
inline constexpr std::uint64_t kGpe0Status = 12;
inline constexpr std::uint64_t kGpe0Enable = 14;

// PM1_STS and, but for BM and WAK, PM1_EN.
inline constexpr std::uint16_t kTimerBit = 0x0001;
inline constexpr std::uint16_t kBusMasterBit = 0x0010;
inline constexpr std::uint16_t kGlobalBit = 0x0020;
inline constexpr std::uint16_t kPowerButtonBit = 0x0100;
inline constexpr std::uint16_t kSleepButtonBit = 0x0200;
inline constexpr std::uint16_t kRtcBit = 0x0400;
inline constexpr std::uint16_t kWakeBit = 0x8000;
inline constexpr std::uint16_t kEnableBits =
    kTimerBit | kGlobalBit | kPowerButtonBit | kSleepButtonBit | kRtcBit;
inline constexpr std::uint16_t kStatusBits = kEnableBits | kBusMasterBit | kWakeBit;

// PM1_CNT.
inline constexpr std::uint16_t kSciEnable = 0x0001;
inline constexpr std::uint16_t kBusMasterReload = 0x0002;
inline constexpr std::uint16_t kSleepTypeShift = 10;
inline constexpr std::uint16_t kSleepType = 0x1c00;
inline constexpr std::uint16_t kSleepEnable = 0x2000;
inline constexpr std::uint16_t kControlBits = kSciEnable | kBusMasterReload | kSleepType;

}  // namespace vmsnap::vmm::acpi_pm
