// SPDX-License-Identifier: BSD-2-Clause
// Reading the configuration space of a PCI function (PCI Local Bus 3.0, chapter 6), whatever it holds.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace vmsnap::compat::bhyve {

/// Borrows the bytes. What lies behind them reads as 0.
class ConfigSpace {
 public:
  static constexpr std::uint8_t kMsi = 0x05;
  static constexpr std::uint8_t kMsix = 0x11;

  explicit ConfigSpace(ByteView bytes) : bytes_(bytes) {}

  [[nodiscard]] std::uint8_t byte(std::size_t offset) const { return load<std::uint8_t>(offset); }
  [[nodiscard]] std::uint16_t word(std::size_t offset) const { return load<std::uint16_t>(offset); }
  [[nodiscard]] std::uint32_t dword(std::size_t offset) const { return load<std::uint32_t>(offset); }

  /// Offset of the first capability of that identifier; nothing when the list does not lead to one.
  [[nodiscard]] std::optional<std::size_t> capability(std::uint8_t identifier) const {
    constexpr std::size_t kStatus = 0x06;
    constexpr std::uint16_t kHasCapabilities = 0x10;
    constexpr std::size_t kPointer = 0x34;
    constexpr std::size_t kFirst = 0x40;
    constexpr int kMost = (256 - 0x40) / 4;  // a longer list is a circle
    if ((word(kStatus) & kHasCapabilities) == 0) return std::nullopt;
    std::size_t at = byte(kPointer) & 0xfcu;
    for (int i = 0; i < kMost && at >= kFirst; ++i) {
      if (byte(at) == identifier) return at;
      at = byte(at + 1) & 0xfcu;
    }
    return std::nullopt;
  }

 private:
  template <typename T>
  [[nodiscard]] T load(std::size_t offset) const {
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) return 0;
    return load_le<T>(bytes_, offset);
  }

  ByteView bytes_;
};

}  // namespace vmsnap::compat::bhyve
