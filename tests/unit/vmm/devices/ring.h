// SPDX-License-Identifier: BSD-2-Clause
// The driver's side of a split virtqueue in test memory.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>

#include "core/guest_memory.h"
#include "devices/virtio/virtqueue.h"
#include "driver_memory.h"

namespace vmsnap::vmm::testing {

inline constexpr std::uint64_t kTestMemory = std::uint64_t{2} << 20;

[[nodiscard]] inline GuestMemory test_memory() {
  auto memory = GuestMemory::allocate(GuestMemory::layout(kTestMemory));
  EXPECT_TRUE(memory);
  return std::move(*memory);
}

inline constexpr std::uint16_t kNext = 1;
inline constexpr std::uint16_t kWrite = 2;
inline constexpr std::uint16_t kIndirect = 4;

class Ring : public DriverMemory {
 public:
  static constexpr std::uint64_t kDescriptors = 0x1000;
  static constexpr std::uint64_t kAvailable = 0x3000;
  static constexpr std::uint64_t kUsed = 0x4000;

  Ring(const GuestMemory& memory, std::uint16_t size) : DriverMemory(memory), size_(size) {}

  /// Writes descriptor `index` of the table at `table`.
  void descriptor(std::uint16_t index, std::uint64_t address, std::uint32_t length, std::uint16_t flags = 0,
                  std::uint16_t next = 0, std::uint64_t table = kDescriptors) const {
    const std::uint64_t at = table + index * std::uint64_t{16};
    put(at, address);
    put(at + 8, length);
    put(at + 12, flags);
    put(at + 14, next);
  }
  /// Makes the chain at `head` available.
  void publish(std::uint16_t head) {
    put(kAvailable + 4 + available_ % size_ * std::uint64_t{2}, head);
    ++available_;
    store(kAvailable + 2, available_);
  }
  void set_available_index(std::uint16_t index) { store(kAvailable + 2, available_ = index); }
  void suppress_interrupts(bool suppress) const { put<std::uint16_t>(kAvailable, suppress ? 1 : 0); }
  void set_used_event(std::uint16_t index) const { put(kAvailable + 4 + size_ * std::uint64_t{2}, index); }
  [[nodiscard]] std::uint16_t available_event() const { return load(kUsed + 4 + size_ * std::uint64_t{8}); }
  [[nodiscard]] std::uint16_t used_index() const { return load(kUsed + 2); }
  struct Used {
    std::uint32_t head;
    std::uint32_t written;
    bool operator==(const Used&) const = default;
  };
  [[nodiscard]] Used used(std::uint16_t index) const {
    const std::uint64_t at = kUsed + 4 + index % size_ * std::uint64_t{8};
    return {get<std::uint32_t>(at), get<std::uint32_t>(at + 4)};
  }
  void attach(Virtqueue& queue) const {
    queue.set_size(size_);
    queue.set_descriptor_table(kDescriptors);
    queue.set_available_ring(kAvailable);
    queue.set_used_ring(kUsed);
    EXPECT_TRUE(queue.enable());
  }

 private:
  std::uint16_t size_;
  std::uint16_t available_ = 0;
};

}  // namespace vmsnap::vmm::testing
