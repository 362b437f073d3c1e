// SPDX-License-Identifier: BSD-2-Clause
// Registers and bits of the type 0 configuration header (PCI Local Bus 3.0, 6.1, 6.2, 6.8.2). Private to the
// PCI devices and their tests.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vmsnap::vmm::pci {

inline constexpr std::size_t kVendorId = 0x00;
inline constexpr std::size_t kDeviceId = 0x02;
inline constexpr std::size_t kCommand = 0x04;
inline constexpr std::size_t kStatus = 0x06;
inline constexpr std::size_t kRevisionAndClass = 0x08;
inline constexpr std::size_t kCacheLineSize = 0x0c;
inline constexpr std::size_t kLatencyTimer = 0x0d;
inline constexpr std::size_t kHeaderType = 0x0e;
inline constexpr std::size_t kBars = 0x10;
inline constexpr std::size_t kSubsystemVendorId = 0x2c;
inline constexpr std::size_t kSubsystemId = 0x2e;
inline constexpr std::size_t kCapabilitiesPointer = 0x34;
inline constexpr std::size_t kInterruptLine = 0x3c;
inline constexpr std::size_t kInterruptPin = 0x3d;
inline constexpr std::uint8_t kFirstCapability = 0x40;

inline constexpr std::uint16_t kCommandIo = 0x0001;
inline constexpr std::uint16_t kCommandMemory = 0x0002;
inline constexpr std::uint16_t kCommandBusMaster = 0x0004;
inline constexpr std::uint16_t kCommandParity = 0x0040;
inline constexpr std::uint16_t kCommandSerr = 0x0100;
inline constexpr std::uint16_t kCommandIntxDisable = 0x0400;

// Low byte of Status.
inline constexpr std::uint8_t kStatusInterrupt = 0x08;
inline constexpr std::uint8_t kStatusCapabilities = 0x10;

inline constexpr std::uint32_t kBarIo = 0x1;
inline constexpr std::uint32_t kBarMemory64 = 0x4;

inline constexpr std::uint8_t kCapabilityVendor = 0x09;
inline constexpr std::uint8_t kCapabilityMsix = 0x11;

inline constexpr std::uint16_t kMsixEnable = 0x8000;
inline constexpr std::uint16_t kMsixFunctionMask = 0x4000;

}  // namespace vmsnap::vmm::pci
