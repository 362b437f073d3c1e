// SPDX-License-Identifier: BSD-2-Clause
// Numbers of Virtual I/O Device 1.2, section 5.2. Private to the device and its tests.
#pragma once

#include <cstddef>
#include <cstdint>

#include "devices/virtio/virtio_registers.h"

namespace vmsnap::vmm::virtio_blk {

inline constexpr std::uint16_t kDeviceId = 2;
inline constexpr std::uint32_t kClassCode = 0x018000;  // mass storage, other
inline constexpr std::uint16_t kQueueSize = 256;
inline constexpr std::size_t kSerialSize = 20;

inline constexpr std::uint64_t kFeatureSegMax = std::uint64_t{1} << 2;
inline constexpr std::uint64_t kFeatureReadOnly = std::uint64_t{1} << 5;
inline constexpr std::uint64_t kFeatureBlkSize = std::uint64_t{1} << 6;
inline constexpr std::uint64_t kFeatureFlush = std::uint64_t{1} << 9;
inline constexpr std::uint64_t kFeatureConfigWce = std::uint64_t{1} << 11;
inline constexpr std::uint64_t kFeatures = kFeatureSegMax | kFeatureBlkSize | kFeatureFlush |
                                           kFeatureConfigWce | virtio::kVersion1 | virtio::kIndirectDesc |
                                           virtio::kEventIdx;

// Request types and results.
inline constexpr std::uint32_t kIn = 0;
inline constexpr std::uint32_t kOut = 1;
inline constexpr std::uint32_t kFlush = 4;
inline constexpr std::uint32_t kGetId = 8;
inline constexpr std::uint8_t kOk = 0;
inline constexpr std::uint8_t kIoError = 1;
inline constexpr std::uint8_t kUnsupported = 2;

/// type, reserved, sector
inline constexpr std::size_t kHeaderSize = 16;

// struct virtio_blk_config.
inline constexpr std::size_t kCapacity = 0;
inline constexpr std::size_t kSizeMax = 8;
inline constexpr std::size_t kSegMax = 12;
inline constexpr std::size_t kBlkSize = 20;
inline constexpr std::size_t kPhysicalBlockExp = 24;
inline constexpr std::size_t kAlignmentOffset = 25;
inline constexpr std::size_t kMinIoSize = 26;
inline constexpr std::size_t kOptIoSize = 28;
inline constexpr std::size_t kWriteback = 32;
inline constexpr std::size_t kNumQueues = 34;
inline constexpr std::size_t kConfigSize = 60;

}  // namespace vmsnap::vmm::virtio_blk
