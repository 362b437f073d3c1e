// SPDX-License-Identifier: BSD-2-Clause
#include "devices/virtio/virtqueue.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

#include "virtqueue_fixture.h"

namespace vmsnap::vmm {
namespace {

using namespace testing;

constexpr std::uint16_t kSize = 8;
constexpr std::uint64_t kBuffer = 0x10000;
constexpr std::uint64_t kTable = 0x20000;

class VirtqueueTest : public VirtqueueFixture {
 protected:
  VirtqueueTest() : VirtqueueFixture(kSize) { ring.attach(queue); }
  static Virtqueue::Chain chain_at(std::uint16_t head) {
    Virtqueue::Chain chain;
    chain.id = head;
    return chain;
  }

  Ring ring{memory, kSize};
};

TEST_F(VirtqueueTest, IsEmptyUntilTheDriverPublishes) {
  const auto chain = queue.pop(memory);
  ASSERT_TRUE(chain);
  EXPECT_FALSE(chain->has_value());
}

TEST_F(VirtqueueTest, TakesAChainInItsOrder) {
  ring.descriptor(3, kBuffer, 16, kNext, 1);
  ring.descriptor(1, kBuffer + 0x100, 32, kNext | kWrite, 7);
  ring.descriptor(7, kBuffer + 0x200, 1, kWrite);
  ring.publish(3);
  const Virtqueue::Chain chain = pop();
  EXPECT_EQ(chain.id, 3);
  ASSERT_EQ(chain.readable.size(), 1U);
  ASSERT_EQ(chain.writable.size(), 2U);
  EXPECT_EQ(chain.readable[0].data(), memory.find(Gpa(kBuffer), 16)->data());
  EXPECT_EQ(chain.writable[0].size(), 32U);
  EXPECT_EQ(chain.writable[1].size(), 1U);
  EXPECT_FALSE((*queue.pop(memory)).has_value());
}

TEST_F(VirtqueueTest, TakesIndirectTablesLongerThanTheQueue) {
  use({.indirect = true});
  for (std::uint16_t i = 0; i < 20; ++i) {
    ring.descriptor(i, kBuffer + i * 0x100U, 8, i < 19 ? kNext : 0, static_cast<std::uint16_t>(i + 1),
                    kTable);
  }
  ring.descriptor(0, kTable, 20 * 16, kIndirect);
  ring.publish(0);
  EXPECT_EQ(pop().readable.size(), 20U);
}

TEST_F(VirtqueueTest, GivesChainsBackAcrossTheWrap) {
  ring.descriptor(2, kBuffer, 8, kWrite);
  for (std::uint16_t i = 0; i < 3 * kSize; ++i) {
    ring.publish(2);
    EXPECT_EQ(pop().id, 2);
    ASSERT_TRUE(queue.push_used(memory, chain_at(2), i));
    EXPECT_EQ(ring.used_index(), i + 1);
    EXPECT_EQ(ring.used(i), (Ring::Used{2, i}));
  }
}

TEST_F(VirtqueueTest, CountsModulo65536) {
  Virtqueue::State state = queue.state();
  state.next_available = 0xffff;
  state.next_used = 0xffff;
  queue.assign(state, features);
  ring.descriptor(0, kBuffer, 8);
  ring.put<std::uint16_t>(Ring::kAvailable + 4 + (0xffff % kSize) * 2, 0);
  ring.set_available_index(0);
  EXPECT_EQ(pop().id, 0);
  ASSERT_TRUE(queue.push_used(memory, chain_at(0), 0));
  EXPECT_EQ(queue.state().next_available, 0);
  EXPECT_EQ(ring.used_index(), 0);
}

TEST_F(VirtqueueTest, ObeysTheNoInterruptFlag) {
  EXPECT_TRUE(*queue.take_notification(memory));
  ring.suppress_interrupts(true);
  EXPECT_FALSE(*queue.take_notification(memory));
}

TEST_F(VirtqueueTest, NotifiesAtTheUsedEvent) {
  use({.event_index = true});
  ring.set_used_event(0);
  ASSERT_TRUE(queue.push_used(memory, chain_at(0), 0));
  EXPECT_TRUE(*queue.take_notification(memory));
  EXPECT_FALSE(*queue.take_notification(memory));  // nothing new
  ring.set_used_event(3);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(queue.push_used(memory, chain_at(0), 0));
    EXPECT_FALSE(*queue.take_notification(memory));
  }
  ASSERT_TRUE(queue.push_used(memory, chain_at(0), 0));  // entry 3
  EXPECT_TRUE(*queue.take_notification(memory));
  ring.set_used_event(5);
  for (int i = 0; i < 4; ++i)
    ASSERT_TRUE(queue.push_used(memory, chain_at(0), 0));  // in one batch past the event
  EXPECT_TRUE(*queue.take_notification(memory));
}

TEST_F(VirtqueueTest, NotifiesOnceWhenItDoesNotKnowWhenItDidLast) {
  use({.event_index = true});
  Virtqueue::State state = queue.state();
  state.next_used = 40;
  state.signalled_used.reset();
  queue.assign(state, features);
  ring.set_used_event(1000);
  EXPECT_TRUE(*queue.take_notification(memory));
  EXPECT_FALSE(*queue.take_notification(memory));
  EXPECT_EQ(queue.state().signalled_used, 40);
}

TEST_F(VirtqueueTest, AsksForTheNextRequestAndSeesOneThatCameMeanwhile) {
  use({.event_index = true});
  ring.descriptor(0, kBuffer, 8);
  ring.publish(0);
  (void)pop();
  EXPECT_FALSE(*queue.request_notification(memory));
  EXPECT_EQ(ring.available_event(), 1);
  ring.publish(0);
  EXPECT_TRUE(*queue.request_notification(memory));
}

TEST_F(VirtqueueTest, RefusesAnAvailableIndexTooFarAhead) {
  ring.set_available_index(kSize + 1);
  expect_broken("requests wait");
}

TEST_F(VirtqueueTest, RefusesAHeadOutsideTheTable) {
  ring.publish(kSize);
  expect_broken("is not in a table");
}

TEST_F(VirtqueueTest, RefusesALinkOutsideTheTable) {
  ring.descriptor(0, kBuffer, 8, kNext, 0x8000);
  ring.publish(0);
  expect_broken("is not in a table");
}

TEST_F(VirtqueueTest, RefusesALoop) {
  ring.descriptor(0, kBuffer, 8, kNext, 1);
  ring.descriptor(1, kBuffer, 8, kNext, 0);
  ring.publish(0);
  expect_broken("loops");
}

TEST_F(VirtqueueTest, RefusesALoopInAnIndirectTable) {
  use({.indirect = true});
  ring.descriptor(0, kBuffer, 8, kNext, 0, kTable);
  ring.descriptor(0, kTable, 16, kIndirect);
  ring.publish(0);
  expect_broken("loops");
}

TEST_F(VirtqueueTest, RefusesIndirectDescriptorsThatWereNotNegotiated) {
  ring.descriptor(0, kTable, 16, kIndirect);
  ring.publish(0);
  expect_broken("not negotiated");
}

TEST_F(VirtqueueTest, RefusesMalformedIndirectTables) {
  use({.indirect = true});
  struct Case {
    std::uint64_t address;
    std::uint32_t length;
    std::uint16_t flags;
    const char* words;
  };
  for (const Case& c :
       {Case{kTable, 0, kIndirect, "an indirect table has 0"}, Case{kTable, 24, kIndirect, "has 24"},
        Case{kTable, 16 * 1025, kIndirect, "has 16400"},
        Case{kTable, 16, kIndirect | kNext, "has a successor"},
        Case{kTestMemory - 8, 16, kIndirect, "outside guest RAM"},
        Case{~std::uint64_t{0}, 16, kIndirect, "outside guest RAM"}}) {
    SCOPED_TRACE(c.words);
    ring.set_available_index(0);
    ring.descriptor(0, c.address, c.length, c.flags);
    ring.publish(0);
    expect_broken(c.words);
  }
  ring.set_available_index(0);
  ring.descriptor(0, kTable, 16, kIndirect, 0, kTable);
  ring.descriptor(0, kTable, 16, kIndirect);
  ring.publish(0);
  expect_broken("an indirect table has an indirect descriptor");
}

TEST_F(VirtqueueTest, RefusesBuffersOutsideRam) {
  struct Case {
    std::uint64_t address;
    std::uint32_t length;
  };
  for (const Case& c : {Case{kTestMemory, 1}, Case{kTestMemory - 1, 2}, Case{~std::uint64_t{0} - 3, 8},
                        Case{0, 0xffff'ffff}, Case{std::uint64_t{1} << 63, 8}}) {
    ring.set_available_index(0);
    ring.descriptor(0, c.address, c.length);
    ring.publish(0);
    expect_broken("is not inside guest RAM");
  }
}

TEST_F(VirtqueueTest, RefusesEmptyBuffersAndReadableAfterWritable) {
  ring.descriptor(0, kBuffer, 0);
  ring.publish(0);
  expect_broken("has no bytes");
  ring.set_available_index(0);
  ring.descriptor(0, kBuffer, 8, kNext | kWrite, 1);
  ring.descriptor(1, kBuffer, 8);
  ring.publish(0);
  expect_broken("follows a writable one");
}

TEST_F(VirtqueueTest, RefusesRingsOutsideRam) {
  expect_refuses({kTestMemory - 16, kTestMemory - 16, kTestMemory - 16});
}

TEST_F(VirtqueueTest, RefusesToEnableMisalignedRings) {
  Virtqueue other(kSize);
  other.set_descriptor_table(0x1008);
  EXPECT_FALSE(other.enable());
  other.set_descriptor_table(0x1000);
  other.set_available_ring(0x2001);
  EXPECT_FALSE(other.enable());
  other.set_available_ring(0x2002);
  other.set_used_ring(0x3002);
  EXPECT_FALSE(other.enable());
  EXPECT_FALSE(other.enabled());
  other.set_used_ring(0x3004);
  EXPECT_TRUE(other.enable());
}

TEST_F(VirtqueueTest, ValidatesWhatComesFromASnapshot) {
  const Virtqueue::State good = queue.state();
  EXPECT_TRUE(Virtqueue::validate(good));
  Virtqueue::State bad = good;
  bad.size = 3;
  EXPECT_EQ(Virtqueue::validate(bad).error().kind(), ErrorKind::kCorrupt);
  bad.size = 16;  // above max_size
  EXPECT_EQ(Virtqueue::validate(bad).error().kind(), ErrorKind::kCorrupt);
  bad.size = 0;
  EXPECT_EQ(Virtqueue::validate(bad).error().kind(), ErrorKind::kCorrupt);
  bad = good;
  bad.max_size = 2048;
  EXPECT_EQ(Virtqueue::validate(bad).error().kind(), ErrorKind::kUnsupported);
  bad.max_size = 100;
  EXPECT_EQ(Virtqueue::validate(bad).error().kind(), ErrorKind::kCorrupt);
  bad = good;
  bad.used_ring += 2;
  EXPECT_EQ(Virtqueue::validate(bad).error().kind(), ErrorKind::kCorrupt);
  bad.enabled = false;  // half set up by the driver
  EXPECT_TRUE(Virtqueue::validate(bad));
}

TEST_F(VirtqueueTest, ResetsToWhatItWas) {
  ring.descriptor(0, kBuffer, 8);
  ring.publish(0);
  (void)pop();
  queue.reset();
  EXPECT_EQ(queue.state(), Virtqueue(kSize).state());
}

// Whatever is in the rings, the queue answers with a chain inside RAM or an error.
TEST_F(VirtqueueTest, SurvivesRandomRings) {
  std::mt19937_64 random(20240607);
  use({.indirect = true, .event_index = true});
  int chains = 0;
  for (int round = 0; round < 20'000; ++round) {
    for (std::uint16_t i = 0; i < kSize; ++i) {
      const std::uint64_t address = random() % 8 == 0 ? random() : random() % kTestMemory;
      const auto length = static_cast<std::uint32_t>(random() % 4 == 0 ? random() : (random() % 64) * 16);
      ring.descriptor(i, address, length, static_cast<std::uint16_t>(random() % 8),
                      static_cast<std::uint16_t>(random() % (kSize + 1)));
    }
    Virtqueue::State state = queue.state();
    state.next_available = 0;
    queue.assign(state, features);
    ring.set_available_index(0);
    ring.publish(static_cast<std::uint16_t>(random() % kSize));
    const auto chain = queue.pop(memory);
    if (!chain) continue;
    ASSERT_TRUE(chain->has_value());
    ++chains;
    expect_in_ram(**chain);
  }
  EXPECT_GT(chains, 100);
}

}  // namespace
}  // namespace vmsnap::vmm
