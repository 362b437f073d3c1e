// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "conf_generated.h"
#include "container/flatbuffer.h"
#include "small_snapshot.h"
#include "snapshot/schema_meta.h"

namespace vmsnap {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Manifest manifest() {
  const test::SmallSnapshot small;
  return small.contents().manifest;
}

MemoryMap memory_map() {
  const test::SmallSnapshot small;
  return small.contents().memory_map;
}

template <typename Change>
void expect_refusal(Change change, const std::string& field, const std::string& device,
                    const std::string& fragment) {
  Manifest changed = manifest();
  change(changed);
  const auto refused = validate(changed);
  ASSERT_FALSE(refused) << fragment;
  EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(refused.error().field(), field);
  EXPECT_EQ(refused.error().device(), device);
  EXPECT_THAT(refused.error().message(), HasSubstr(fragment));
  EXPECT_FALSE(encode(changed));
}

TEST(Manifest, ComesBackAsItWasWritten) {
  Manifest written = manifest();
  written.devices[1].version = {3, 7};
  written.devices[1].readable_since = {3, 2};
  written.vcpu_count = 4;
  written.comment = "vor dem Upgrade \xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80";
  const auto bytes = encode(written);
  ASSERT_TRUE(bytes) << bytes.error().to_string();
  const auto decoded = decode_manifest(*bytes);
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(*decoded, written);
}

TEST(Manifest, WithoutDevicesIsValid) {
  Manifest empty;
  empty.producer_name = "nobody";
  const auto bytes = encode(empty);
  ASSERT_TRUE(bytes) << bytes.error().to_string();
  const auto decoded = decode_manifest(*bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, empty);
}

TEST(Manifest, RefusesWhatContradictsItself) {
  expect_refusal([](Manifest& m) { m.devices[1].instance = 2; }, "instance", "isa0/rtc@70",
                 "in place 1 has instance 2");
  expect_refusal([](Manifest& m) { m.devices[2].path = m.devices[0].path; }, "path", "isa0/uart@3f8",
                 "two devices");
  expect_refusal([](Manifest& m) { m.devices[2].path = "a b"; }, "path", "#2", "printable");
  expect_refusal([](Manifest& m) { m.devices[2].path = ""; }, "path", "#2", "1 to 255");
  expect_refusal([](Manifest& m) { m.devices[2].type = "Uart"; }, "type", "isa0/uart@2f8", "type name");
  expect_refusal([](Manifest& m) { m.devices[2].slots[0].name = "console0"; }, "slots.name", "isa0/uart@2f8",
                 "two slots of the machine are named \"console0\"");
  expect_refusal([](Manifest& m) { m.devices[2].slots[0].name = "/dev/sda"; }, "slots.name", "isa0/uart@2f8",
                 "malformed name");
  expect_refusal([](Manifest& m) { m.devices[0].slots[0].hint = "\xFF"; }, "slots.hint", "isa0/uart@3f8",
                 "UTF-8");
  expect_refusal(
      [](Manifest& m) {
        m.devices[0].version = {0, 1};
      },
      "version", "isa0/uart@3f8", "begin with 1");
  expect_refusal(
      [](Manifest& m) {
        m.devices[0].readable_since = {1, 7};
      },
      "readable_since", "isa0/uart@3f8", "version 1.1 claims to be readable since 1.7");
  expect_refusal(
      [](Manifest& m) {
        m.devices[1].features = {"alarm", "alarm"};
      },
      "features", "isa0/rtc@70", "twice");
  expect_refusal([](Manifest& m) { m.devices[1].features = {"a\nb"}; }, "features", "isa0/rtc@70",
                 "malformed");
  expect_refusal([](Manifest& m) { m.devices[2].restore_after = {3}; }, "restore_after", "isa0/uart@2f8",
                 "instance 3");
  expect_refusal([](Manifest& m) { m.devices[2].restore_after = {2}; }, "restore_after", "isa0/uart@2f8",
                 "instance 2");
  expect_refusal(
      [](Manifest& m) {
        m.devices[2].restore_after = {0, 0};
      },
      "restore_after", "isa0/uart@2f8", "twice");
  expect_refusal([](Manifest& m) { m.producer_name.clear(); }, "producer.name", "", "empty");
  expect_refusal([](Manifest& m) { m.comment = std::string("a\0b", 3); }, "comment", "", "UTF-8");
  expect_refusal([](Manifest& m) { m.release_level = 0; }, "release_level", "", "begin with 1");
}

TEST(Manifest, RefusesACircleOfRestoreEdgesAndNamesADeviceInIt) {
  expect_refusal([](Manifest& m) { m.devices[0].restore_after = {2}; }, "restore_after", "isa0/uart@3f8",
                 "circle");
  Manifest pair = manifest();
  pair.devices[2].restore_after = {};
  pair.devices[0].restore_after = {1};
  pair.devices[1].restore_after = {0};
  const auto refused = validate(pair);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("circle"));
}

TEST(Manifest, RefusesTextThatIsNotUtf8) {
  for (const std::string& text :
       {std::string("\xC0\x80"), std::string("\xED\xA0\x80"), std::string("\xF4\x90\x80\x80"),
        std::string("\xE2\x82"), std::string("\x80"), std::string("\xF0\x8F\x80\x80")}) {
    Manifest changed = manifest();
    changed.comment = text;
    EXPECT_FALSE(validate(changed));
  }
}

TEST(Manifest, RestoreOrderFollowsTheEdgesAndPrefersTheLowerInstance) {
  Manifest m = manifest();
  EXPECT_THAT(restore_order(m), ElementsAre(0, 1, 2));
  m.devices[0].restore_after = {1};
  EXPECT_THAT(restore_order(m), ElementsAre(1, 0, 2));
  m.devices[2].restore_after = {};
  EXPECT_THAT(restore_order(m), ElementsAre(1, 0, 2));
  m.devices[1].restore_after = {2};
  EXPECT_THAT(restore_order(m), ElementsAre(2, 1, 0));
}

TEST(Manifest, KeepsSlotKindsOfALaterVersionForTheReaderToJudge) {
  Manifest later = manifest();
  later.devices[0].slots[0].kind = static_cast<SlotKind>(200);
  const auto bytes = encode(later);
  ASSERT_TRUE(bytes);
  const auto decoded = decode_manifest(*bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(static_cast<unsigned>(decoded->devices[0].slots[0].kind), 200u);
}

TEST(Manifest, RefusesASmallBufferThatUnfoldsToALargeManifest) {
  // Every device shares one vector of features that all share one long string.
  flatbuffers::FlatBufferBuilder builder;
  const auto feature = builder.CreateString(std::string(60'000, 'f'));
  const auto features =
      builder.CreateVector(std::vector<flatbuffers::Offset<flatbuffers::String>>(1000, feature));
  const auto version = schema::CreateChunkVersion(builder, 1, 0);
  const auto path = builder.CreateString("a");
  const auto type = builder.CreateString("t");
  std::vector<flatbuffers::Offset<schema::Device>> devices;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    devices.push_back(schema::CreateDevice(builder, i, path, type, version, version, features));
  }
  const auto producer = schema::CreateProducer(builder, path, path);
  schema::FinishManifestBuffer(
      builder, schema::CreateManifest(builder, producer, 0, 1, 0, builder.CreateVector(devices)));
  const ByteVector bytes = take_bytes(builder);
  ASSERT_LT(bytes.size(), 150'000u);
  const auto refused = decode_manifest(bytes);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kLimitExceeded);
}

TEST(Manifest, RefusesBytesThatAreNoManifest) {
  EXPECT_FALSE(decode_manifest({}));
  EXPECT_FALSE(decode_manifest(ByteVector(100)));
  EXPECT_FALSE(decode_manifest(*encode(memory_map())));
}

TEST(MemoryMap, ComesBackAsItWasWritten) {
  const auto bytes = encode(memory_map());
  ASSERT_TRUE(bytes) << bytes.error().to_string();
  const auto decoded = decode_memory_map(*bytes);
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(*decoded, memory_map());
}

TEST(MemoryMap, RefusesWhatContradictsItself) {
  const auto refused_after = [](auto change, const std::string& field) {
    MemoryMap map = memory_map();
    change(map);
    const auto refused = validate(map);
    ASSERT_FALSE(refused) << field;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
    EXPECT_EQ(refused.error().field(), field) << refused.error().to_string();
  };
  refused_after([](MemoryMap& m) { m.segments[1].id = 5; }, "segments.id");
  refused_after([](MemoryMap& m) { m.segments[1].name = "ram-low"; }, "segments.name");
  refused_after([](MemoryMap& m) { m.segments[1].name = ""; }, "segments.name");
  refused_after([](MemoryMap& m) { m.segments[1].size = 0; }, "segments.size");
  refused_after([](MemoryMap& m) { m.segments[1].size = 4097; }, "segments.size");
  refused_after([](MemoryMap& m) { m.mappings[1].segment = 9; }, "mappings.segment");
  refused_after([](MemoryMap& m) { m.mappings[1].size = 0; }, "mappings");
  refused_after([](MemoryMap& m) { m.mappings[1].guest_address = Gpa(1); }, "mappings");
  refused_after([](MemoryMap& m) { m.mappings[1].segment_offset = 1; }, "mappings");
  refused_after([](MemoryMap& m) { m.mappings[1].segment_offset = 4096; }, "mappings.size");
  refused_after([](MemoryMap& m) { m.mappings[1].segment_offset = ~std::uint64_t{4095}; }, "mappings.size");
  refused_after([](MemoryMap& m) { m.mappings[0].size += 4096; }, "mappings.size");
  refused_after([](MemoryMap& m) { m.mappings[3].guest_address = Gpa(~std::uint64_t{4095}); },
                "mappings.guest_address");
  refused_after([](MemoryMap& m) { m.mappings[2].guest_address = m.mappings[1].guest_address; },
                "mappings.guest_address");
  refused_after([](MemoryMap& m) { std::swap(m.mappings[1], m.mappings[2]); }, "mappings.guest_address");
}

TEST(SchemaMeta, ComesBackAsItWasWritten) {
  EmbeddedSchema schema;
  schema.id = 7;
  schema.chunk_type = FourCc("UART");
  schema.name = "uart16550";
  schema.version = {2, 3};
  schema.root_table = "vmsnap.schema.Uart16550";
  schema.content_hash.bytes[15] = std::byte{9};
  const auto decoded = decode_schema_meta(encode(schema));
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(*decoded, schema);
}

TEST(SchemaMeta, RefusesNamesThatAreNone) {
  EmbeddedSchema good;
  good.chunk_type = FourCc("UART");
  good.name = "uart16550";
  good.version = {1, 0};
  good.root_table = "a.B";
  ASSERT_TRUE(decode_schema_meta(encode(good)));
  const auto refused_field = [&](auto change) {
    EmbeddedSchema bad = good;
    change(bad);
    const auto refused = decode_schema_meta(encode(bad));
    return refused ? std::string("accepted") : refused.error().field();
  };
  EXPECT_EQ(refused_field([](EmbeddedSchema& s) { s.chunk_type = FourCc(0x00414141); }), "chunk_type");
  EXPECT_EQ(refused_field([](EmbeddedSchema& s) { s.name = "../etc"; }), "name");
  EXPECT_EQ(refused_field([](EmbeddedSchema& s) { s.name = std::string(64, 'a'); }), "name");
  EXPECT_EQ(refused_field([](EmbeddedSchema& s) { s.version = {0, 1}; }), "major");
  EXPECT_EQ(refused_field([](EmbeddedSchema& s) { s.root_table = "a b"; }), "root_table");
}

}  // namespace
}  // namespace vmsnap
