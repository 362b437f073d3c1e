// SPDX-License-Identifier: BSD-2-Clause
// What a drive tells of itself.
#pragma once

#include <cstdint>
#include <utility>

#include "base/bytes.h"

namespace vmsnap::compat::bhyve {

/// The answer to IDENTIFY DEVICE, in words. Any bytes are safe.
class AtaIdentity {
 public:
  explicit AtaIdentity(ByteVector bytes) : bytes_(std::move(bytes)) { bytes_.resize(512); }

  /// Bytes of the medium, cut to what a file can have; meaningless of a packet device, which does not say it
  /// here.
  [[nodiscard]] std::uint64_t size() const { return sectors() * sector_size() & kLargestFile; }
  [[nodiscard]] std::uint64_t sector_size() const {
    const std::uint64_t size = 2 * (word(118) << 16 | word(117));
    const bool is_said = sizes_are_valid() && (word(106) & 0x1000) != 0;
    return is_said && size >= kSectorSize && size <= kLargestSector ? size : kSectorSize;
  }
  [[nodiscard]] std::uint64_t physical_sector_size() const {
    const std::uint64_t size = sector_size() << (word(106) & 0xf);
    const bool is_said = sizes_are_valid() && (word(106) & 0x2000) != 0;
    return is_said && size <= kLargestSector ? size : sector_size();
  }

 private:
  static constexpr std::uint64_t kSectorSize = 512;
  static constexpr std::uint64_t kLargestSector = 1 << 20;
  static constexpr std::uint64_t kLargestFile = ~std::uint64_t{0} >> 1;

  [[nodiscard]] std::uint64_t word(std::size_t index) const {
    return load_le<std::uint16_t>(bytes_, 2 * index);
  }
  [[nodiscard]] std::uint64_t sectors() const {
    const bool has_48_bits = (word(83) & 0xc400) == 0x4400;
    const std::uint64_t low = word(61) << 16 | word(60);
    return has_48_bits ? word(103) << 48 | word(102) << 32 | word(101) << 16 | word(100) : low;
  }
  [[nodiscard]] bool sizes_are_valid() const { return (word(106) & 0xc000) == 0x4000; }

  ByteVector bytes_;
};

}  // namespace vmsnap::compat::bhyve
