// SPDX-License-Identifier: BSD-2-Clause
// How a driver in a test gets at guest memory.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <span>

#include "core/guest_memory.h"

namespace vmsnap::vmm::testing {

/// `memory` must outlive it. Addresses lie in it.
class DriverMemory {
 public:
  explicit DriverMemory(const GuestMemory& memory) : memory_(memory) {}

  template <typename T>
  void put(std::uint64_t address, T value) const {
    EXPECT_TRUE(memory_.write(Gpa(address), std::as_bytes(std::span(&value, 1))));
  }
  template <typename T>
  [[nodiscard]] T get(std::uint64_t address) const {
    T value = 0;
    EXPECT_TRUE(memory_.read(Gpa(address), std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }

 protected:
  /// In order with the device's own accesses, wherever it runs.
  [[nodiscard]] std::uint16_t load(std::uint64_t address) const {
    return __atomic_load_n(find(address), __ATOMIC_SEQ_CST);
  }
  void store(std::uint64_t address, std::uint16_t value) const {
    __atomic_store_n(find(address), value, __ATOMIC_SEQ_CST);
  }

 private:
  [[nodiscard]] std::uint16_t* find(std::uint64_t address) const {
    return reinterpret_cast<std::uint16_t*>(memory_.find(Gpa(address), 2)->data());
  }

  const GuestMemory& memory_;
};

}  // namespace vmsnap::vmm::testing
