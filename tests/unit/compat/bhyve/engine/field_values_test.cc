// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/field_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../convert/mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using Content = std::variant<std::uint64_t, ByteVector>;

Item item(Type type, Count::Source source = Count::Source::kFixed) {
  Item item;
  item.type = type;
  item.count.source = source;
  return item;
}

Field field(const Item& item, std::uint64_t size, std::string path = "field") {
  return {std::move(path), &item, 0, size, Mark::kNone, {}};
}

TEST(FieldValues, OfASingleNumberAreItsBits) {
  const Item minus_one = item(Type::kI32);
  const PrivateItem kept = item_of(field(minus_one, 4), bytes_of({0xff, 0xff, 0xff, 0xff}));
  EXPECT_EQ(kept.path, "field");
  EXPECT_EQ(kept.value, 0xffffffffu) << "not sign-extended";
  EXPECT_TRUE(kept.bytes.empty());
  EXPECT_EQ(field_bytes(field(minus_one, 4), kept), bytes_of({0xff, 0xff, 0xff, 0xff}));
}

TEST(FieldValues, OfSeveralNumbersAreTheirBytes) {
  const Item words = item(Type::kU16);
  const PrivateItem kept = item_of(field(words, 4), bytes_of({1, 2, 3, 4}));
  EXPECT_EQ(kept.value, std::nullopt);
  EXPECT_EQ(kept.bytes, bytes_of({1, 2, 3, 4}));
  EXPECT_EQ(field_bytes(field(words, 4), kept), bytes_of({1, 2, 3, 4}));
}

TEST(FieldValues, OfBytesAndListsAreTheirBytesEvenIfThereIsOne) {
  const Item byte = item(Type::kByte);
  EXPECT_EQ(item_of(field(byte, 1), bytes_of({9})).value, std::nullopt);
  const Item list = item(Type::kI32, Count::Source::kUntilMinusOne);
  EXPECT_EQ(item_of(field(list, 4), bytes_of({255, 255, 255, 255})).value, std::nullopt);
}

TEST(FieldValues, AreCutToTheWidthOfTheField) {
  const Item byte = item(Type::kU8);
  EXPECT_EQ(field_bytes(field(byte, 1), Content(std::uint64_t{0x1234})), bytes_of({0x34}));
  const Item wide = item(Type::kU64);
  EXPECT_EQ(field_bytes(field(wide, 8), Content(std::uint64_t{5})), bytes_of({5, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(FieldValues, AreNoneWhenTheyDoNotFit) {
  const Item words = item(Type::kU16);
  EXPECT_EQ(field_bytes(field(words, 4), Content(std::uint64_t{1})), std::nullopt) << "a number for two";
  EXPECT_EQ(field_bytes(field(words, 4), Content(bytes_of({1, 2, 3}))), std::nullopt);
  EXPECT_EQ(field_bytes(field(words, 4), Content(bytes_of({1, 2, 3, 4, 5}))), std::nullopt);
  EXPECT_EQ(field_bytes(field(words, 2), PrivateItem{"field", std::nullopt, {}}), std::nullopt);
  const Item none = item(Type::kU64);
  EXPECT_EQ(field_bytes(field(none, 0), Content(std::uint64_t{1})), std::nullopt);
}

TEST(FieldValues, OfAListHaveAnySize) {
  const Item list = item(Type::kI32, Count::Source::kUntilMinusOne);
  EXPECT_EQ(field_bytes(field(list, 0), Content(bytes_of({1, 0, 0, 0, 255, 255, 255, 255})))->size(), 8u);
  EXPECT_EQ(field_bytes(field(list, 0), Content(~std::uint64_t{0})), bytes_of({255, 255, 255, 255}));
}

TEST(FieldValues, ThatNobodyKnowsAreZeroNullOrAnEmptyList) {
  const Item number = item(Type::kU32);
  EXPECT_EQ(empty_bytes(field(number, 8)), ByteVector(8));
  const Item address = item(Type::kGaddrOrNull);
  EXPECT_EQ(empty_bytes(field(address, 8)), ByteVector(8, std::byte{0xff}));
  const Item list = item(Type::kI32, Count::Source::kUntilMinusOne);
  EXPECT_EQ(empty_bytes(field(list, 0)), ByteVector(4, std::byte{0xff}));
}

TEST(FieldValues, OfRingsHaveTheAddressAndTheMemoryBefore) {
  const Item bytes = item(Type::kByte);
  const Field ring = field(bytes, 4096, "queue[1].ring");
  EXPECT_TRUE(is_ring(ring));
  EXPECT_EQ(ring_address(ring), "queue[1].desc_ring");
  EXPECT_EQ(ring_before(ring), "queue[1].ring.before");
  EXPECT_FALSE(is_ring(field(bytes, 4096, "ring")));
  EXPECT_FALSE(is_ring(field(bytes, 4096, "queue[1].rings")));
  const Item number = item(Type::kU64);
  EXPECT_FALSE(is_ring(field(number, 8, "queue[1].ring")));
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
