// SPDX-License-Identifier: BSD-2-Clause
// A virtqueue of either kind, without a device.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>

#include "core/guest_memory.h"
#include "devices/virtio/virtqueue.h"
#include "ring.h"

namespace vmsnap::vmm::testing {

class VirtqueueFixture : public ::testing::Test {
 protected:
  explicit VirtqueueFixture(std::uint16_t max_size) : queue(max_size) {}

  void use(const Virtqueue::Features& wanted) {
    features = wanted;
    EXPECT_TRUE(queue.set_features(features));
  }
  Virtqueue::Chain pop() {
    auto chain = queue.pop(memory);
    EXPECT_TRUE(chain) << chain.error().to_string();
    EXPECT_TRUE(chain && chain->has_value());
    return chain && *chain ? **chain : Virtqueue::Chain();
  }
  void expect_broken(const char* words) {
    const Virtqueue::State before = queue.state();
    const auto chain = queue.pop(memory);
    ASSERT_FALSE(chain);
    EXPECT_EQ(chain.error().kind(), ErrorKind::kCorrupt);
    EXPECT_NE(chain.error().message().find(words), std::string::npos) << chain.error().message();
    EXPECT_EQ(queue.state(), before);
  }
  /// The queue refuses to work with its descriptors at the first address, its available ring at the second,
  /// or its used ring at the third.
  void expect_refuses(const std::array<std::uint64_t, 3>& addresses) {
    for (std::size_t which = 0; which < addresses.size(); ++which) {
      SCOPED_TRACE(which);
      Virtqueue::State state = queue.state();
      (which == 0   ? state.descriptor_table
       : which == 1 ? state.available_ring
                    : state.used_ring) = addresses[which];
      Virtqueue other(state.max_size);
      other.assign(state, features);
      EXPECT_FALSE(other.pop(memory));
      EXPECT_FALSE(other.push_used(memory, {}, 0));
      EXPECT_FALSE(other.take_notification(memory));
      EXPECT_FALSE(other.request_notification(memory));
    }
  }
  void expect_in_ram(const Virtqueue::Chain& chain) const {
    const auto ram = memory.find(Gpa(0), kTestMemory);
    for (const auto& part : {chain.readable, chain.writable}) {
      for (const MutableByteView view : part) {
        EXPECT_GE(view.data(), ram->data());
        EXPECT_LE(view.data() + view.size(), ram->data() + ram->size());
      }
    }
  }

  GuestMemory memory = test_memory();
  Virtqueue queue;
  Virtqueue::Features features;
};

}  // namespace vmsnap::vmm::testing
