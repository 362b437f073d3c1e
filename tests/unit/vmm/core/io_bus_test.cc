// SPDX-License-Identifier: BSD-2-Clause
#include "core/io_bus.h"

#include <gmock/gmock.h>

namespace vmsnap::vmm {
namespace {

class MockHandler : public IoHandler {
 public:
  MOCK_METHOD(void, read, (std::uint64_t offset, MutableByteView data), (override));
  MOCK_METHOD(void, write, (std::uint64_t offset, ByteView data), (override));
};

TEST(IoBus, CallsTheHandlerWithTheOffsetFromTheBaseOfItsRange) {
  IoBus bus;
  MockHandler handler;
  ASSERT_TRUE(bus.add(0x3f8, 8, handler));
  EXPECT_CALL(handler, write(5, ::testing::SizeIs(1)));
  bus.write(0x3fd, ByteVector(1));
}

TEST(IoBus, AnAddressWithoutAHandlerReadsAllOnes) {
  IoBus bus;
  ByteVector data(4);
  bus.read(0x80, data);
  EXPECT_EQ(data, ByteVector(4, std::byte{0xff}));
}

TEST(IoBus, AnAccessThatReachesOverTheEndOfARangeIsNotPassedOn) {
  IoBus bus;
  ::testing::StrictMock<MockHandler> handler;
  ASSERT_TRUE(bus.add(0x70, 2, handler));
  bus.write(0x71, ByteVector(2));
}

TEST(IoBus, RefusesRangesThatOverlapAreEmptyOrWrap) {
  IoBus bus;
  MockHandler handler;
  ASSERT_TRUE(bus.add(0x100, 0x10, handler));
  for (const std::uint64_t base : {0xf8u, 0x100u, 0x10fu}) {
    const auto added = bus.add(base, 0x10, handler);
    ASSERT_FALSE(added) << base;
    EXPECT_EQ(added.error().kind(), ErrorKind::kInvalidState);
  }
  EXPECT_FALSE(bus.add(0x200, 0, handler));
  EXPECT_FALSE(bus.add(~std::uint64_t{0}, 2, handler));
  EXPECT_TRUE(bus.add(0x110, 0x10, handler));
}

TEST(IoBus, ARangeThatWasRemovedAnswersNoMore) {
  IoBus bus;
  ::testing::StrictMock<MockHandler> handler;
  ASSERT_TRUE(bus.add(0x100, 0x10, handler));
  bus.remove(0x100);
  bus.write(0x100, ByteVector(1));
  EXPECT_TRUE(bus.add(0x108, 0x10, handler));
}

}  // namespace
}  // namespace vmsnap::vmm
