// SPDX-License-Identifier: BSD-2-Clause
// The driver's side of a packed virtqueue in test memory, written from the standard (2.8) and not from the
// device.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "driver_memory.h"
#include "ring.h"

namespace vmsnap::vmm::testing {

inline constexpr std::uint16_t kAvailableBit = 1U << 7;
inline constexpr std::uint16_t kUsedBit = 1U << 15;
inline constexpr std::uint16_t kEventsOn = 0;
inline constexpr std::uint16_t kEventsOff = 1;
inline constexpr std::uint16_t kEventsAt = 2;

/// A place in the ring and in its rounds.
struct PackedPosition {
  std::uint16_t offset = 0;
  bool wrap = true;
  bool operator==(const PackedPosition&) const = default;
  [[nodiscard]] std::uint16_t encoded() const {
    return static_cast<std::uint16_t>(offset | (wrap ? 0x8000 : 0));
  }
};

class PackedRingDriver : public DriverMemory {
 public:
  // Where VirtioDriver::set_up_queue() says that they are.
  static constexpr std::uint64_t kRing = Ring::kDescriptors;
  static constexpr std::uint64_t kDriverEvents = Ring::kAvailable;
  static constexpr std::uint64_t kDeviceEvents = Ring::kUsed;

  PackedRingDriver(const GuestMemory& memory, std::uint16_t size) : DriverMemory(memory), size_(size) {}

  using Position = PackedPosition;
  struct Element {
    std::uint64_t address;
    std::uint32_t length;
    std::uint16_t flags = 0;
  };
  struct Used {
    std::uint16_t id;
    std::uint32_t written;
    bool device_wrote;
    bool operator==(const Used&) const = default;
  };

  /// Writes entry `index` of a table, with the flags as they are.
  void descriptor(std::uint64_t table, std::uint16_t index, const Element& element, std::uint16_t id) const {
    const std::uint64_t at = table + index * std::uint64_t{16};
    put(at, element.address);
    put(at + 8, element.length);
    put(at + 12, id);
    store(at + 14, element.flags);
  }
  /// Makes a chain available in the next entries; its first entry last.
  void publish(const std::vector<Element>& elements, std::uint16_t id) {
    const Position first = next_;
    std::vector<Position> places;
    for (std::size_t i = 0; i < elements.size(); ++i) {
      places.push_back(next_);
      next_ = advanced(next_, 1);
    }
    for (std::size_t i = elements.size(); i-- > 0;) {
      Element element = elements[i];
      element.flags |= available_flags(places[i]);
      if (i + 1 < elements.size()) element.flags |= kNext;
      descriptor(kRing, places[i].offset, element, id);
    }
    lengths_[id] = static_cast<std::uint16_t>(elements.size());
    last_published_ = {first, next_};
  }
  /// The next chain the device has given back, if any.
  std::optional<Used> take_used() {
    const std::uint64_t at = kRing + used_.offset * std::uint64_t{16};
    const auto flags = load(at + 14);
    if (((flags & kUsedBit) != 0) != used_.wrap || ((flags & kAvailableBit) != 0) != used_.wrap) return {};
    const Used used{get<std::uint16_t>(at + 12), get<std::uint32_t>(at + 8), (flags & kWrite) != 0};
    EXPECT_EQ(lengths_.count(used.id), 1U)
        << "the device used chain " << used.id << ", which it was not given";
    used_ = advanced(used_, lengths_[used.id]);
    lengths_.erase(used.id);
    return used;
  }

  /// Entry to be written next, and to be looked at next for a used chain.
  [[nodiscard]] Position next() const { return next_; }
  [[nodiscard]] Position used() const { return used_; }
  /// As if so many entries had gone round already.
  void start_at(Position position) { next_ = used_ = position; }
  [[nodiscard]] static std::uint16_t available_flags(Position position) {
    return position.wrap ? kAvailableBit : kUsedBit;
  }
  [[nodiscard]] Position advanced(Position position, std::uint16_t count) const {
    position.offset = static_cast<std::uint16_t>(position.offset + count);
    if (position.offset < size_) return position;
    return {static_cast<std::uint16_t>(position.offset - size_), !position.wrap};
  }

  void set_events(std::uint16_t flags, Position at = {}) const {
    put(kDriverEvents, at.encoded());
    store(kDriverEvents + 2, flags);
  }
  [[nodiscard]] std::uint16_t device_event_flags() const { return load(kDeviceEvents + 2); }
  [[nodiscard]] std::uint16_t device_event() const { return get<std::uint16_t>(kDeviceEvents); }
  /// Whether the device wants to be told of the chain published last.
  [[nodiscard]] bool wants_kick() const {
    if (device_event_flags() != kEventsAt) return device_event_flags() == kEventsOn;
    for (Position at = last_published_.first; at != last_published_.second; at = advanced(at, 1)) {
      if (at.encoded() == device_event()) return true;
    }
    return false;
  }

  void attach(Virtqueue& queue) const {
    queue.set_size(size_);
    queue.set_descriptor_table(kRing);
    queue.set_available_ring(kDriverEvents);
    queue.set_used_ring(kDeviceEvents);
    EXPECT_TRUE(queue.enable());
  }

 private:
  std::uint16_t size_;
  Position next_;
  Position used_;
  std::map<std::uint16_t, std::uint16_t> lengths_;  // of the chains that the device has
  std::pair<Position, Position> last_published_;
};

}  // namespace vmsnap::vmm::testing
