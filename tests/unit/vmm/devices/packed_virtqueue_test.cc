// SPDX-License-Identifier: BSD-2-Clause
// Virtqueues whose driver negotiated VIRTIO_F_RING_PACKED.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <random>
#include <vector>

#include "devices/virtio/virtqueue.h"
#include "packed_ring_driver.h"
#include "virtqueue_fixture.h"

namespace vmsnap::vmm {
namespace {

using namespace testing;
using Element = PackedRingDriver::Element;
using Position = PackedRingDriver::Position;
using Used = PackedRingDriver::Used;

constexpr std::uint16_t kSize = 6;  // a packed ring's size need not be a power of two
constexpr std::uint16_t kMaxSize = 8;
constexpr std::uint64_t kBuffer = 0x10000;
constexpr std::uint64_t kTable = 0x20000;

class PackedVirtqueueTest : public VirtqueueFixture {
 protected:
  PackedVirtqueueTest() : VirtqueueFixture(kMaxSize) {
    use({.packed = true});
    driver.attach(queue);
  }
  /// One chain there and back.
  void serve(const std::vector<Element>& elements = {{kBuffer, 8, kWrite}}, std::uint16_t id = 0) {
    driver.publish(elements, id);
    ASSERT_TRUE(queue.push_used(memory, pop(), 8));
    ASSERT_EQ(driver.take_used(), (Used{id, 8, true}));
  }
  void change_state(const std::function<void(Virtqueue::State&)>& change) {
    Virtqueue::State state = queue.state();
    change(state);
    queue.assign(state, features);
  }

  PackedRingDriver driver{memory, kSize};
};

TEST_F(PackedVirtqueueTest, IsEmptyUntilTheDriverPublishes) {
  const auto chain = queue.pop(memory);
  ASSERT_TRUE(chain);
  EXPECT_FALSE(chain->has_value());
}

TEST_F(PackedVirtqueueTest, TakesAChainInItsOrderAndGivesItBackUnderItsId) {
  driver.publish({{kBuffer, 16}, {kBuffer + 0x100, 32, kWrite}, {kBuffer + 0x200, 1, kWrite}}, 5);
  const Virtqueue::Chain chain = pop();
  EXPECT_EQ(chain.id, 5);
  EXPECT_EQ(chain.descriptors, 3);
  ASSERT_EQ(chain.readable.size(), 1U);
  ASSERT_EQ(chain.writable.size(), 2U);
  EXPECT_EQ(chain.readable[0].data(), memory.find(Gpa(kBuffer), 16)->data());
  EXPECT_EQ(chain.writable[0].size(), 32U);
  EXPECT_EQ(chain.writable[1].size(), 1U);
  EXPECT_FALSE((*queue.pop(memory)).has_value());
  EXPECT_FALSE(driver.take_used());
  ASSERT_TRUE(queue.push_used(memory, chain, 33));
  EXPECT_EQ(driver.take_used(), (Used{5, 33, true}));
  EXPECT_FALSE(driver.take_used());
}

TEST_F(PackedVirtqueueTest, TakesTheIdFromTheLastDescriptor) {
  driver.publish({{kBuffer, 16}, {kBuffer, 8}}, 3);
  driver.put<std::uint16_t>(PackedRingDriver::kRing + 12, 0x7777);
  EXPECT_EQ(pop().id, 3);
}

TEST_F(PackedVirtqueueTest, SaysWhetherTheDeviceWroteAnything) {
  driver.publish({{kBuffer, 16}}, 1);
  ASSERT_TRUE(queue.push_used(memory, pop(), 0));
  EXPECT_EQ(driver.take_used(), (Used{1, 0, false}));
}

TEST_F(PackedVirtqueueTest, GoesRoundWithChainsThatCrossTheEnd) {
  for (std::uint16_t i = 0; i < 5 * kSize; ++i) {
    SCOPED_TRACE(i);
    std::vector<Element> elements(1 + i % 4U, Element{kBuffer, 8, kWrite});
    serve(elements, static_cast<std::uint16_t>(i % kSize));
    EXPECT_EQ((Position{queue.state().next_available, queue.state().wrap->available}), driver.next());
    EXPECT_EQ((Position{queue.state().next_used, queue.state().wrap->used}), driver.used());
  }
}

TEST_F(PackedVirtqueueTest, GoesRoundWithChainsThatFillTheRing) {
  for (std::uint16_t i = 0; i < 10; ++i) {
    serve(std::vector<Element>(kSize, Element{kBuffer, 8, kWrite}));
    EXPECT_EQ(queue.state().next_available, 0);
    EXPECT_EQ(queue.state().wrap->available, i % 2 == 1);
  }
  serve();  // and beginning elsewhere
  for (int i = 0; i < 4; ++i) serve(std::vector<Element>(kSize, Element{kBuffer, 8, kWrite}));
}

TEST_F(PackedVirtqueueTest, GivesChainsBackInAnyOrder) {
  for (int round = 0; round < 7; ++round) {
    driver.publish({{kBuffer, 8}, {kBuffer, 8}}, 0);
    driver.publish({{kBuffer, 8}}, 1);
    driver.publish({{kBuffer, 8}, {kBuffer, 8}}, 2);
    const std::array chains = {pop(), pop(), pop()};
    for (const std::size_t n : {1U, 2U, 0U}) {
      ASSERT_TRUE(queue.push_used(memory, chains.at(n), 0));
      EXPECT_EQ(driver.take_used(), (Used{static_cast<std::uint16_t>(n), 0, false}));
    }
    EXPECT_EQ(driver.used(), driver.next());
  }
}

TEST_F(PackedVirtqueueTest, DoesNotTakeChainsOfTheRoundBefore) {
  std::vector<Virtqueue::Chain> chains;
  for (std::uint16_t i = 0; i < kSize; ++i) {
    driver.publish({{kBuffer, 8}}, i);
    chains.push_back(pop());
  }
  EXPECT_FALSE((*queue.pop(memory)).has_value());  // all taken, none used
  for (const auto& chain : chains) ASSERT_TRUE(queue.push_used(memory, chain, 0));
  EXPECT_FALSE((*queue.pop(memory)).has_value());  // all used, none published
}

TEST_F(PackedVirtqueueTest, TakesIndirectTablesLongerThanTheQueue) {
  use({.indirect = true, .packed = true});
  for (std::uint16_t i = 0; i < 20; ++i) {
    // Flags other than WRITE and the ids of a table mean nothing.
    const auto flags =
        static_cast<std::uint16_t>(i < 12 ? kNext | kIndirect : kWrite | kAvailableBit | kUsedBit);
    driver.descriptor(kTable, i, {kBuffer + i * 0x100U, 8, flags}, 0xffff);
  }
  driver.publish({{kTable, 20 * 16, kIndirect}}, 4);
  const Virtqueue::Chain chain = pop();
  EXPECT_EQ(chain.id, 4);
  EXPECT_EQ(chain.descriptors, 1);
  EXPECT_EQ(chain.readable.size(), 12U);
  EXPECT_EQ(chain.writable.size(), 8U);
  EXPECT_EQ(chain.readable[11].data(), memory.find(Gpa(kBuffer + 11 * 0x100), 8)->data());
}

TEST_F(PackedVirtqueueTest, GivesBackAnyIdOfTheDriver) {
  driver.publish({{kBuffer, 8, kWrite}}, 0xffff);
  ASSERT_TRUE(queue.push_used(memory, pop(), 8));
  EXPECT_EQ(driver.take_used(), (Used{0xffff, 8, true}));
}

TEST_F(PackedVirtqueueTest, ObeysTheEventFlags) {
  driver.set_events(kEventsOn);
  EXPECT_TRUE(*queue.take_notification(memory));
  driver.set_events(kEventsOff);
  EXPECT_FALSE(*queue.take_notification(memory));
}

TEST_F(PackedVirtqueueTest, NotifiesOnceTooOftenRatherThanNotAtAllWhenTheFlagsMeanNothing) {
  driver.set_events(kEventsAt);  // without VIRTIO_F_EVENT_IDX
  EXPECT_TRUE(*queue.take_notification(memory));
  use({.event_index = true, .packed = true});
  driver.set_events(3);
  EXPECT_TRUE(*queue.take_notification(memory));
  EXPECT_TRUE(*queue.take_notification(memory));
}

TEST_F(PackedVirtqueueTest, NotifiesAtTheDescriptorTheDriverNamed) {
  use({.event_index = true, .packed = true});
  EXPECT_TRUE(*queue.take_notification(memory));  // it does not know when it did last
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(round);
    // The driver waits for the third of four chains of one descriptor, which goes across the end now and
    // then.
    driver.set_events(kEventsAt, driver.advanced(driver.used(), 2));
    for (int i = 0; i < 4; ++i) {
      serve();
      EXPECT_EQ(*queue.take_notification(memory), i == 2) << i;
      EXPECT_FALSE(*queue.take_notification(memory)) << i;  // nothing new
    }
  }
}

TEST_F(PackedVirtqueueTest, NotifiesWhenTheNamedDescriptorIsInsideAChainOrABatch) {
  use({.event_index = true, .packed = true});
  (void)queue.take_notification(memory);
  for (int round = 0; round < 2 * kSize; ++round) {
    driver.set_events(kEventsAt, driver.advanced(driver.used(), 1));
    serve({{kBuffer, 8, kWrite}, {kBuffer, 8, kWrite}, {kBuffer, 8, kWrite}});
    EXPECT_TRUE(*queue.take_notification(memory)) << round;
    driver.set_events(kEventsAt, driver.advanced(driver.used(), 1));
    for (int i = 0; i < 4; ++i) serve();
    EXPECT_TRUE(*queue.take_notification(memory)) << round;
  }
}

TEST_F(PackedVirtqueueTest, DoesNotTakeTheSameOffsetOfAnotherRoundForTheNamedDescriptor) {
  use({.event_index = true, .packed = true});
  (void)queue.take_notification(memory);
  driver.set_events(kEventsAt, {1, false});
  for (int i = 0; i < kSize; ++i) {
    serve();
    EXPECT_FALSE(*queue.take_notification(memory)) << i;
  }
  serve();
  EXPECT_FALSE(*queue.take_notification(memory));
  serve();
  EXPECT_TRUE(*queue.take_notification(memory));
}

TEST_F(PackedVirtqueueTest, NotifiesNotForADescriptorThatTheRingDoesNotHave) {
  use({.event_index = true, .packed = true});
  (void)queue.take_notification(memory);
  driver.set_events(kEventsAt, {0x7fff, true});
  for (int i = 0; i < 3 * kSize; ++i) {
    serve();
    EXPECT_FALSE(*queue.take_notification(memory)) << i;
  }
}

TEST_F(PackedVirtqueueTest, CountsWhatItSaidWhileEventsWereOff) {
  use({.event_index = true, .packed = true});
  (void)queue.take_notification(memory);
  driver.set_events(kEventsOff);
  serve();
  EXPECT_FALSE(*queue.take_notification(memory));
  driver.set_events(kEventsAt, {0, true});  // used, and the driver has seen it
  serve();
  EXPECT_FALSE(*queue.take_notification(memory));
}

TEST_F(PackedVirtqueueTest, AsksForTheNextRequestAndSeesOneThatCameMeanwhile) {
  driver.put<std::uint32_t>(PackedRingDriver::kDeviceEvents, 0x0001'1234);
  EXPECT_FALSE(*queue.request_notification(memory));
  EXPECT_EQ(driver.device_event_flags(), kEventsOn);
  use({.event_index = true, .packed = true});
  for (int i = 0; i < 3 * kSize; ++i) {
    EXPECT_FALSE(*queue.request_notification(memory));
    EXPECT_EQ(driver.device_event_flags(), kEventsAt);
    EXPECT_EQ(driver.device_event(), driver.next().encoded());
    driver.publish({{kBuffer, 8, kWrite}}, 0);
    EXPECT_TRUE(driver.wants_kick());
    EXPECT_TRUE(*queue.request_notification(memory));
    ASSERT_TRUE(queue.push_used(memory, pop(), 8));
    ASSERT_TRUE(driver.take_used());
  }
}

TEST_F(PackedVirtqueueTest, BeginsWithCountersOfOneAndKeepsThemWhenFeaturesAreSetAgain) {
  EXPECT_EQ(queue.state().wrap, (Virtqueue::WrapCounters{true, true}));
  serve(std::vector<Element>(kSize, Element{kBuffer, 8, kWrite}));
  EXPECT_EQ(queue.state().wrap, (Virtqueue::WrapCounters{false, false}));
  use({.event_index = true, .packed = true});
  EXPECT_EQ(queue.state().wrap, (Virtqueue::WrapCounters{false, false}));
}

TEST_F(PackedVirtqueueTest, GoesOnWhereAnotherQueueStopped) {
  features = {.event_index = true, .packed = true};
  use(features);
  for (int i = 0; i < 4 * kSize; ++i) {
    driver.publish({{kBuffer, 8, kWrite}, {kBuffer, 8, kWrite}}, 7);
    Virtqueue other(kMaxSize);
    ASSERT_TRUE(Virtqueue::validate(queue.state()));
    other.assign(queue.state(), features);
    EXPECT_EQ(other.state(), queue.state());
    auto chain = other.pop(memory);
    ASSERT_TRUE(chain && chain->has_value());
    ASSERT_TRUE(other.push_used(memory, **chain, 16));
    ASSERT_TRUE(other.take_notification(memory));
    EXPECT_EQ(driver.take_used(), (Used{7, 16, true}));
    queue.assign(other.state(), features);
  }
}

TEST_F(PackedVirtqueueTest, ResetsToASplitQueue) {
  driver.publish({{kBuffer, 8}}, 0);
  (void)pop();
  queue.reset();
  EXPECT_FALSE(queue.packed());
  EXPECT_EQ(queue.state(), Virtqueue(kMaxSize).state());
}

TEST_F(PackedVirtqueueTest, RefusesAChainLongerThanTheRing) {
  for (std::uint16_t i = 0; i < kSize; ++i) {
    driver.descriptor(PackedRingDriver::kRing, i, {kBuffer, 8, kAvailableBit | kNext}, 0);
  }
  expect_broken("more than the 6 descriptors");
}

TEST_F(PackedVirtqueueTest, RefusesAChainThatGoesOnInDescriptorsOfTheDevice) {
  driver.descriptor(PackedRingDriver::kRing, 0, {kBuffer, 8, kAvailableBit | kNext}, 0);
  expect_broken("descriptor 1, which is not available");
  driver.descriptor(PackedRingDriver::kRing, 1, {kBuffer, 8, kAvailableBit | kUsedBit}, 0);
  expect_broken("descriptor 1, which is not available");
}

TEST_F(PackedVirtqueueTest, RefusesAChainThatRunsIntoOneThatIsNotYetUsed) {
  driver.publish({{kBuffer, 8}, {kBuffer, 8}}, 0);
  (void)pop();
  for (std::uint16_t i = 2; i < kSize; ++i) {
    driver.descriptor(PackedRingDriver::kRing, i, {kBuffer, 8, kAvailableBit | kNext}, 0);
  }
  expect_broken("more than the 4 descriptors");
}

TEST_F(PackedVirtqueueTest, RefusesDescriptorsThatTheGuestOverwroteBeforeTheyWereUsed) {
  for (std::uint16_t i = 0; i < kSize; ++i) {
    driver.publish({{kBuffer, 8}}, i);
    (void)pop();
  }
  driver.publish({{kBuffer, 8}}, 0);
  expect_broken("more than the 0 descriptors");
}

TEST_F(PackedVirtqueueTest, RefusesIndirectDescriptorsThatWereNotNegotiated) {
  driver.publish({{kTable, 16, kIndirect}}, 0);
  expect_broken("not negotiated");
}

TEST_F(PackedVirtqueueTest, RefusesIndirectDescriptorsInAChain) {
  use({.indirect = true, .packed = true});
  driver.descriptor(kTable, 0, {kBuffer, 8}, 0);
  driver.publish({{kBuffer, 8}, {kTable, 16, kIndirect}}, 0);
  expect_broken("is part of a chain");
}

TEST_F(PackedVirtqueueTest, RefusesMalformedIndirectTables) {
  use({.indirect = true, .packed = true});
  struct Case {
    Element element;
    const char* words;
  };
  for (const Case& c :
       {Case{{kTable, 0, kIndirect}, "an indirect table has 0"}, Case{{kTable, 24, kIndirect}, "has 24"},
        Case{{kTable, 16 * 1025, kIndirect}, "has 16400"},
        Case{{kTable, 16, kIndirect | kNext}, "has a successor"},
        Case{{kTestMemory - 8, 16, kIndirect}, "outside guest RAM"},
        Case{{~std::uint64_t{0}, 16, kIndirect}, "outside guest RAM"}}) {
    SCOPED_TRACE(c.words);
    driver.start_at({});
    driver.publish({c.element}, 0);
    expect_broken(c.words);
  }
}

TEST_F(PackedVirtqueueTest, RefusesBuffersOutsideRam) {
  for (const Element& element :
       {Element{kTestMemory, 1}, Element{kTestMemory - 1, 2}, Element{~std::uint64_t{0} - 3, 8},
        Element{0, 0xffff'ffff}, Element{std::uint64_t{1} << 63, 8}}) {
    driver.start_at({});
    driver.publish({element}, 0);
    expect_broken("is not inside guest RAM");
  }
}

TEST_F(PackedVirtqueueTest, RefusesEmptyBuffersAndReadableAfterWritable) {
  driver.publish({{kBuffer, 0}}, 0);
  expect_broken("has no bytes");
  driver.start_at({});
  driver.publish({{kBuffer, 8, kWrite}, {kBuffer, 8}}, 0);
  expect_broken("follows a writable one");
}

TEST_F(PackedVirtqueueTest, RefusesPartsOutsideRam) {
  expect_refuses({kTestMemory - 16, kTestMemory, kTestMemory});
}

TEST_F(PackedVirtqueueTest, RefusesToEnableMisalignedParts) {
  Virtqueue other(kMaxSize);
  ASSERT_TRUE(other.set_features({.packed = true}));
  other.set_descriptor_table(0x1008);
  EXPECT_FALSE(other.enable());
  other.set_descriptor_table(0x1000);
  other.set_available_ring(0x2002);
  EXPECT_FALSE(other.enable());
  other.set_available_ring(0x2004);
  other.set_used_ring(0x3002);
  EXPECT_FALSE(other.enable());
  EXPECT_FALSE(other.enabled());
  other.set_used_ring(0x3004);
  EXPECT_TRUE(other.enable());
}

TEST_F(PackedVirtqueueTest, RefusesToBecomePackedWhenItIsEnabledWithTheAlignmentOfASplitQueue) {
  Virtqueue other(kMaxSize);
  other.set_available_ring(0x2002);
  ASSERT_TRUE(other.enable());
  EXPECT_FALSE(other.set_features({.packed = true}));
}

TEST_F(PackedVirtqueueTest, ValidatesWhatComesFromASnapshot) {
  const Virtqueue::State good = queue.state();
  EXPECT_TRUE(Virtqueue::validate(good));
  const auto expect_corrupt = [&good](const std::function<void(Virtqueue::State&)>& change) {
    Virtqueue::State bad = good;
    change(bad);
    const auto result = Virtqueue::validate(bad);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt);
  };
  expect_corrupt([](auto& s) { s.size = 0; });
  expect_corrupt([](auto& s) { s.size = kMaxSize + 1; });
  expect_corrupt([](auto& s) { s.max_size = 100; });
  expect_corrupt([](auto& s) { s.next_available = kSize; });
  expect_corrupt([](auto& s) { s.next_available = s.next_used = kSize; });
  expect_corrupt([](auto& s) { s.next_used = 0xffff; });
  expect_corrupt([](auto& s) { s.signalled_used = kSize; });
  expect_corrupt([](auto& s) { s.signalled_used = 0x8000 | kSize; });
  expect_corrupt([](auto& s) { s.next_used = 1; });  // before anything was available
  expect_corrupt([](auto& s) {
    s.next_available = 1;
    s.wrap->available = false;
  });
  expect_corrupt([](auto& s) { s.available_ring += 2; });
  expect_corrupt([](auto& s) { s.used_ring += 2; });
  expect_corrupt([](auto& s) { s.descriptor_table += 8; });

  Virtqueue::State other = good;
  other.signalled_used = 0x8000 | (kSize - 1);
  EXPECT_TRUE(Virtqueue::validate(other));
  other.wrap->available = false;  // a whole round was taken
  EXPECT_TRUE(Virtqueue::validate(other));
  other.used_ring += 2;
  other.enabled = false;  // half set up by the driver
  EXPECT_TRUE(Virtqueue::validate(other));
}

// Whatever is in the ring, the queue answers with a chain inside RAM or an error.
TEST_F(PackedVirtqueueTest, SurvivesRandomRings) {
  std::mt19937_64 random(20240608);
  use({.indirect = true, .event_index = true, .packed = true});
  int chains = 0;
  for (int round = 0; round < 20'000; ++round) {
    for (std::uint16_t i = 0; i < kSize; ++i) {
      const std::uint64_t address = random() % 8 == 0 ? random() : random() % kTestMemory;
      const auto length = static_cast<std::uint32_t>(random() % 4 == 0 ? random() : (random() % 64) * 16);
      const auto flags = static_cast<std::uint16_t>(
          random() % 8 | (random() % 4 == 0 ? random() & (kAvailableBit | kUsedBit) : kAvailableBit));
      driver.descriptor(PackedRingDriver::kRing, i, {address, length, flags},
                        static_cast<std::uint16_t>(random()));
    }
    driver.put(PackedRingDriver::kDriverEvents, static_cast<std::uint32_t>(random()));
    change_state([&random](auto& s) {
      s.next_available = s.next_used = static_cast<std::uint16_t>(random() % kSize);
      s.wrap = {{.available = random() % 4 != 0, .used = random() % 4 != 0}};
      if (!Virtqueue::validate(s)) s.wrap->used = s.wrap->available;
    });
    ASSERT_TRUE(Virtqueue::validate(queue.state()));
    const auto chain = queue.pop(memory);
    ASSERT_TRUE(Virtqueue::validate(queue.state()));
    if (!chain || !*chain) continue;
    ++chains;
    expect_in_ram(**chain);
    ASSERT_TRUE(queue.push_used(memory, **chain, 1));
    ASSERT_TRUE(queue.take_notification(memory));
    ASSERT_TRUE(queue.request_notification(memory));
    ASSERT_TRUE(Virtqueue::validate(queue.state()));
  }
  EXPECT_GT(chains, 100);
}

}  // namespace
}  // namespace vmsnap::vmm
