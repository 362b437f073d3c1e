// SPDX-License-Identifier: BSD-2-Clause
// Numbers of Virtual I/O Device 1.2: sections 2.1, 4.1.4, 6. Private to the virtio devices and their tests.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vmsnap::vmm::virtio {

inline constexpr std::uint16_t kVendor = 0x1af4;
inline constexpr std::uint16_t kDeviceBase = 0x1040;  // plus the virtio device id
inline constexpr std::uint16_t kNoVector = 0xffff;

// device_status.
inline constexpr std::uint8_t kAcknowledge = 0x01;
inline constexpr std::uint8_t kDriver = 0x02;
inline constexpr std::uint8_t kDriverOk = 0x04;
inline constexpr std::uint8_t kFeaturesOk = 0x08;
inline constexpr std::uint8_t kNeedsReset = 0x40;
inline constexpr std::uint8_t kFailed = 0x80;
inline constexpr std::uint8_t kStatusBits = 0xcf;

// Device-independent feature bits.
inline constexpr std::uint64_t kIndirectDesc = std::uint64_t{1} << 28;
inline constexpr std::uint64_t kEventIdx = std::uint64_t{1} << 29;
inline constexpr std::uint64_t kVersion1 = std::uint64_t{1} << 32;
inline constexpr std::uint64_t kRingPacked = std::uint64_t{1} << 34;

// ISR status.
inline constexpr std::uint8_t kIsrQueue = 0x01;
inline constexpr std::uint8_t kIsrConfig = 0x02;

// cfg_type of the capabilities.
inline constexpr std::uint8_t kCapCommon = 1;
inline constexpr std::uint8_t kCapNotify = 2;
inline constexpr std::uint8_t kCapIsr = 3;
inline constexpr std::uint8_t kCapDevice = 4;
inline constexpr std::uint8_t kCapPci = 5;

// struct virtio_pci_common_cfg.
inline constexpr std::size_t kDeviceFeatureSelect = 0;
inline constexpr std::size_t kDeviceFeature = 4;
inline constexpr std::size_t kDriverFeatureSelect = 8;
inline constexpr std::size_t kDriverFeature = 12;
inline constexpr std::size_t kConfigMsixVector = 16;
inline constexpr std::size_t kNumQueues = 18;
inline constexpr std::size_t kDeviceStatus = 20;
inline constexpr std::size_t kConfigGeneration = 21;
inline constexpr std::size_t kQueueSelect = 22;
inline constexpr std::size_t kQueueSize = 24;
inline constexpr std::size_t kQueueMsixVector = 26;
inline constexpr std::size_t kQueueEnable = 28;
inline constexpr std::size_t kQueueNotifyOff = 30;
inline constexpr std::size_t kQueueDesc = 32;
inline constexpr std::size_t kQueueDriver = 40;
inline constexpr std::size_t kQueueDevice = 48;
inline constexpr std::size_t kCommonSize = 56;

// Where the structures are in BAR 0 of this transport, and the tables in BAR 1.
inline constexpr std::uint8_t kStructureBar = 0;
inline constexpr std::uint64_t kStructureBarSize = 0x4000;
inline constexpr std::uint32_t kCommonOffset = 0x0000;
inline constexpr std::uint32_t kIsrOffset = 0x1000;
inline constexpr std::uint32_t kDeviceOffset = 0x2000;
inline constexpr std::uint32_t kNotifyOffset = 0x3000;
inline constexpr std::uint32_t kRegionSize = 0x1000;
inline constexpr std::uint32_t kNotifyMultiplier = 4;
inline constexpr std::uint8_t kMsixBar = 1;
inline constexpr std::uint64_t kMsixBarSize = 0x1000;
inline constexpr std::uint32_t kMsixTableOffset = 0;
inline constexpr std::uint32_t kMsixPbaOffset = 0x800;

}  // namespace vmsnap::vmm::virtio
