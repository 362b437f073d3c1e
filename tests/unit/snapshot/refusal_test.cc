// SPDX-License-Identifier: BSD-2-Clause
// Files whose hashes are all right and that must be refused all the same, and files that look odd and must
// not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "../base/temp_dir.h"
#include "conf_generated.h"
#include "container/flatbuffer.h"
#include "memm_generated.h"
#include "raw_snapshot.h"
#include "small_snapshot.h"
#include "snapshot/check.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap {
namespace {

using test::RawChunk;
using test::RawSnapshot;
using ::testing::HasSubstr;

const FourCc kThing("THNG");

RawSnapshot sample() {
  return RawSnapshot::parse(test::SmallSnapshot({16u << 10, false}).bytes());
}

Result<SnapshotReader> open(const RawSnapshot& raw, bool allow_unknown_critical = false) {
  return SnapshotReader::open(test::memory_file(raw.bytes()), {ReadLevel::kFull, allow_unknown_critical});
}

void expect_refusal(const RawSnapshot& raw, ErrorKind kind, const std::string& fragment) {
  const auto reader = open(raw);
  ASSERT_FALSE(reader) << fragment;
  EXPECT_EQ(reader.error().kind(), kind) << reader.error().to_string();
  EXPECT_THAT(reader.error().to_string(), HasSubstr(fragment));
  EXPECT_EQ(reader.error().file(), "memory");
}

void set_manifest(RawSnapshot& raw, const Manifest& manifest) {
  raw.find(kChunkManifest).meta = *encode(manifest);
}
void set_memory_map(RawSnapshot& raw, const MemoryMap& map) {
  raw.find(kChunkMemoryMap).meta = *encode(map);
}

Manifest manifest_of(RawSnapshot& raw) {
  return *decode_manifest(raw.find(kChunkManifest).meta);
}
MemoryMap memory_map_of(RawSnapshot& raw) {
  return *decode_memory_map(raw.find(kChunkMemoryMap).meta);
}

void add_thing(RawSnapshot& raw, std::uint32_t flags) {
  const std::uint32_t schema = raw.add_schema(kThing, "thing");
  raw.chunks.push_back(
      {{kThing, schema, 5, flags}, ByteVector(24, std::byte{1}), ByteVector(10, std::byte{2}), 0});
}

/// Where in the meta a part of its tables lies.
std::size_t place(const ByteVector& meta, const std::uint8_t* part) {
  return static_cast<std::size_t>(part - reinterpret_cast<const std::uint8_t*>(meta.data()));
}

void store(ByteVector& meta, const std::uint8_t* part, std::uint16_t value) {
  store_le(MutableByteView(meta), place(meta, part), value);
}

/// The generated classes keep from us where a field lies.
const flatbuffers::Table& table_of(const auto& generated) {
  return reinterpret_cast<const flatbuffers::Table&>(generated);
}

EmbeddedSchema schema_meta_of(const RawChunk& chunk) {
  return *decode_schema_meta(chunk.meta);
}

TEST(Refusal, TheSampleItselfIsAccepted) {
  const auto reader = open(sample());
  EXPECT_TRUE(reader) << reader.error().to_string();
}

TEST(Refusal, AnUnknownCriticalChunkIsUnsupportedAndNamed) {
  RawSnapshot raw = sample();
  add_thing(raw, kChunkCritical);
  expect_refusal(raw, ErrorKind::kUnsupported, "critical chunk THNG (\"thing\")");
  const auto shown = open(raw, true);
  ASSERT_TRUE(shown) << shown.error().to_string();
  ASSERT_EQ(shown->unknown_chunks().size(), 1u);
  EXPECT_EQ(shown->schema_of(*shown->unknown_chunks()[0])->name, "thing");
  EXPECT_EQ(shown->unconsumed().back()->header.type, kThing);
}

TEST(Refusal, AnUnknownOptionalChunkIsReadPast) {
  RawSnapshot raw = sample();
  add_thing(raw, kChunkSafeToCopy);
  const auto reader = open(raw);
  ASSERT_TRUE(reader) << reader.error().to_string();
  EXPECT_EQ(reader->unknown_chunks().size(), 1u);
}

TEST(Refusal, AnUnknownIncompatibleFeatureIsUnsupportedByTheNameInTheFile) {
  RawSnapshot raw = sample();
  raw.header.features = {{FeatureKind::kIncompatible, 62, "time-travel"}};
  expect_refusal(raw, ErrorKind::kUnsupported, "\"time-travel\"");
}

TEST(Refusal, AnotherMajorVersionOfTheFormatIsUnsupported) {
  RawSnapshot raw = sample();
  raw.header.major = 2;
  expect_refusal(raw, ErrorKind::kUnsupported, "format version 2.0");
}

TEST(Refusal, AnotherMajorVersionOfAContainerChunkIsUnsupported) {
  RawSnapshot raw = sample();
  raw.find(kChunkManifest).spec.schema_id = raw.add_schema(kChunkManifest, "manifest", 2, 0);
  expect_refusal(raw, ErrorKind::kUnsupported, "version 2.0, this build reads version 1.0");
}

TEST(Refusal, ASchemaOfAContainerChunkOfAnotherMajorIsUnsupportedToEveryoneUsedOrNot) {
  RawSnapshot raw = sample();
  raw.add_schema(kChunkFlatRam, "flat_ram", 2, 0);
  expect_refusal(raw, ErrorKind::kUnsupported, "schema of RAMF chunks has version 2.0");
  EXPECT_FALSE(open(raw, true));
}

TEST(Refusal, AChunkWithAForeignSchemaIsCorruptAlsoBesideAMajorThatIsUnsupported) {
  RawSnapshot raw = sample();
  raw.find(kChunkManifest).spec.schema_id = raw.add_schema(kChunkManifest, "manifest", 2, 0);
  raw.chunks.back().spec.schema_id = raw.find(kChunkMemoryMap).spec.schema_id;
  expect_refusal(raw, ErrorKind::kCorrupt, "which describes MEMM chunks");
}

TEST(Refusal, AnythingButOneSchemaOfSchemasIsCorrupt) {
  RawSnapshot raw = sample();
  raw.add_schema(kChunkSchema, "schema");
  expect_refusal(raw, ErrorKind::kCorrupt, "2 embedded schemas describe SCHM chunks");
  raw = sample();
  ASSERT_EQ(schema_meta_of(raw.chunks.front()).chunk_type, kChunkSchema);
  raw.chunks.erase(raw.chunks.begin());
  expect_refusal(raw, ErrorKind::kCorrupt, "0 embedded schemas describe SCHM chunks");
}

TEST(Refusal, WhatIsInsideASchemaIsNoReasonToRefuse) {
  RawSnapshot raw = sample();
  for (RawChunk& chunk : raw.chunks) {
    if (chunk.spec.type != kChunkSchema) continue;
    EmbeddedSchema schema = schema_meta_of(chunk);
    chunk.body.assign(24, std::byte{'?'});
    schema.content_hash = xxh3_128(chunk.body);
    chunk.meta = encode(schema);
  }
  const auto reader = open(raw);
  EXPECT_TRUE(reader) << reader.error().to_string();
}

TEST(Refusal, OfTheMetaOfAnUnknownChunkNothingButTheHashIsChecked) {
  for (const std::size_t size : {0u, 3u, 12u}) {
    RawSnapshot raw = sample();
    add_thing(raw, kChunkSafeToCopy);
    raw.chunks.back().meta.assign(size, std::byte{0xff});
    const auto reader = open(raw);
    EXPECT_TRUE(reader) << reader.error().to_string();
  }
}

TEST(Refusal, ADeviceChunkThatIsNotCriticalIsCorrupt) {
  RawSnapshot raw = sample();
  raw.chunks.back().spec.flags = kChunkSafeToCopy;
  expect_refusal(raw, ErrorKind::kCorrupt, "flag CRITICAL");
}

TEST(Refusal, VersionsAndReleaseLevelsThatAreZeroAreCorrupt) {
  RawSnapshot raw = sample();
  for (RawChunk& chunk : raw.chunks) {
    if (chunk.spec.type != kChunkSchema || schema_meta_of(chunk).name != "uart16550") continue;
    EmbeddedSchema schema = schema_meta_of(chunk);
    schema.version.major = 0;
    chunk.meta = encode(schema);
  }
  expect_refusal(raw, ErrorKind::kCorrupt, "field major: major versions begin with 1");

  const auto refused_without = [](auto&& part, const std::string& fragment) {
    RawSnapshot changed = sample();
    ByteVector& meta = changed.find(kChunkManifest).meta;
    store(meta, part(**verified_root<schema::Manifest>(meta, kChunkManifest)), 0);
    expect_refusal(changed, ErrorKind::kCorrupt, fragment);
  };
  using Version = schema::ChunkVersion;
  refused_without(
      [](const schema::Manifest& manifest) {
        return table_of(manifest).GetAddressOf(schema::Manifest::VT_RELEASE_LEVEL);
      },
      "release levels begin with 1");
  refused_without(
      [](const schema::Manifest& manifest) {
        return table_of(*manifest.devices()->Get(1)->version()).GetAddressOf(Version::VT_MAJOR);
      },
      "major versions begin with 1");
  refused_without(
      [](const schema::Manifest& manifest) {
        return table_of(*manifest.devices()->Get(1)->readable_since()).GetAddressOf(Version::VT_MAJOR);
      },
      "readable since 0.0");
}

TEST(Refusal, ABoolThatIsNeitherZeroNorOneIsTrue) {
  RawSnapshot raw = sample();
  ASSERT_TRUE(memory_map_of(raw).mappings.back().read_only);
  ByteVector& meta = raw.find(kChunkMemoryMap).meta;
  const auto* map = *verified_root<schema::MemoryMap>(meta, kChunkMemoryMap);
  const auto* last = map->mappings()->Get(map->mappings()->size() - 1);
  meta[place(meta, table_of(*last).GetAddressOf(schema::MemoryMapping::VT_READ_ONLY))] = std::byte{2};
  const auto reader = open(raw);
  ASSERT_TRUE(reader) << reader.error().to_string();
  EXPECT_TRUE(reader->memory_map().mappings.back().read_only);
}

TEST(Refusal, TablesAndStringsThatAreNotWholeAreCorrupt) {
  const auto refused_after = [](auto&& change) {
    RawSnapshot raw = sample();
    ByteVector& meta = raw.find(kChunkMemoryMap).meta;
    change(meta, *(*verified_root<schema::MemoryMap>(meta, kChunkMemoryMap))->segments()->Get(0));
    expect_refusal(raw, ErrorKind::kCorrupt, "not a sound FlatBuffer");
  };
  for (const unsigned vtable_size : {0u, 2u, 11u, 0xFFFEu}) {
    refused_after([&](ByteVector& meta, const schema::MemorySegment& segment) {
      store(meta, table_of(segment).GetVTable(), static_cast<std::uint16_t>(vtable_size));
    });
  }
  refused_after([](ByteVector& meta, const schema::MemorySegment& segment) {
    store(meta, table_of(segment).GetVTable() + schema::MemorySegment::VT_SIZE, 0xFFF8);
  });
  refused_after([](ByteVector& meta, const schema::MemorySegment& segment) {
    meta[place(meta, segment.name()->Data()) + segment.name()->size()] = std::byte{'x'};
  });
}

TEST(Refusal, AnotherArchitectureIsUnsupportedToARestoreOnly) {
  RawSnapshot raw = sample();
  raw.header.arch = 2;
  expect_refusal(raw, ErrorKind::kUnsupported, "architecture 2");
  EXPECT_TRUE(open(raw, true));
}

TEST(Refusal, UnknownKindsOfSlotsAndSegmentsAreUnsupportedToARestoreOnly) {
  RawSnapshot raw = sample();
  Manifest manifest = manifest_of(raw);
  manifest.devices[0].slots[0].kind = static_cast<SlotKind>(77);
  set_manifest(raw, manifest);
  expect_refusal(raw, ErrorKind::kUnsupported, "slots of kind 77, as \"console0\"");
  EXPECT_TRUE(open(raw, true));

  raw = sample();
  MemoryMap map = memory_map_of(raw);
  map.segments[1].kind = static_cast<SegmentKind>(3);
  set_memory_map(raw, map);
  expect_refusal(raw, ErrorKind::kUnsupported, "memory of kind 3, as \"bootrom\"");
  EXPECT_TRUE(open(raw, true));
}

TEST(Refusal, ADeviceWithoutItsChunkIsCorrupt) {
  RawSnapshot raw = sample();
  raw.chunks.pop_back();
  expect_refusal(raw, ErrorKind::kCorrupt,
                 "device isa0/uart@2f8: no chunk holds the state of this uart16550");
}

TEST(Refusal, ADeviceWithTwoChunksIsCorrupt) {
  RawSnapshot raw = sample();
  raw.chunks.push_back(raw.chunks.back());
  expect_refusal(raw, ErrorKind::kCorrupt, "two chunks hold the state");
}

TEST(Refusal, AChunkThatNoDeviceOwnsIsCorrupt) {
  RawSnapshot raw = sample();
  raw.chunks.back().spec.instance = 9;
  expect_refusal(raw, ErrorKind::kCorrupt, "no uart16550 with instance 9");
  raw.chunks.back().spec.instance = 1;
  expect_refusal(raw, ErrorKind::kCorrupt, "no uart16550 with instance 1");
}

TEST(Refusal, AStateOfAnotherVersionThanTheManifestSaysIsCorrupt) {
  RawSnapshot raw = sample();
  Manifest manifest = manifest_of(raw);
  manifest.devices[2].version = {1, 7};
  set_manifest(raw, manifest);
  expect_refusal(raw, ErrorKind::kCorrupt, "version 1.7, its schema version 1.1");
}

TEST(Refusal, AStateWithABodyIsCorrupt) {
  RawSnapshot raw = sample();
  raw.chunks.back().body.resize(64);
  expect_refusal(raw, ErrorKind::kCorrupt, "has no body");
}

TEST(Refusal, AStateThatIsNoFlatBufferOfItsTypeIsCorrupt) {
  RawSnapshot raw = sample();
  raw.chunks.back().meta[4] ^= std::byte{1};
  expect_refusal(raw, ErrorKind::kCorrupt, "not a FlatBuffer of the chunk's type");
}

TEST(Refusal, ASchemaOfAnotherTypeIsCorrupt) {
  RawSnapshot raw = sample();
  raw.chunks.back().spec.schema_id = raw.find(kChunkManifest).spec.schema_id;
  expect_refusal(raw, ErrorKind::kCorrupt, "which describes CONF chunks");
}

TEST(Refusal, ASchemaWhoseContentHashIsWrongIsCorrupt) {
  RawSnapshot raw = sample();
  raw.find(kChunkSchema).body[100] ^= std::byte{1};
  expect_refusal(raw, ErrorKind::kCorrupt, "content hash");
}

TEST(Refusal, ASchemaWhoseIdIsNotThatOfItsChunkIsCorrupt) {
  RawSnapshot raw = sample();
  raw.find(kChunkSchema).spec.instance = 77;
  expect_refusal(raw, ErrorKind::kCorrupt, "the meta has schema id 1, the chunk header 77");
}

TEST(Refusal, MemoryThatIsNotTheMemoryMapsIsCorrupt) {
  RawSnapshot raw = sample();
  MemoryMap map = memory_map_of(raw);
  map.segments[1].size += 4096;
  set_memory_map(raw, map);
  expect_refusal(raw, ErrorKind::kCorrupt, "the body has 4096 bytes, the memory segment 8192");

  raw = sample();
  map = memory_map_of(raw);
  map.segments.push_back({2, "more", SegmentKind::kSystemMemory, 4096});
  set_memory_map(raw, map);
  expect_refusal(raw, ErrorKind::kCorrupt, "no chunk holds memory segment \"more\"");

  raw = sample();
  raw.chunks.push_back(raw.find(kChunkFlatRam));
  expect_refusal(raw, ErrorKind::kCorrupt, "two chunks hold memory segment 0");

  raw = sample();
  raw.chunks.push_back(raw.find(kChunkFlatRam));
  raw.chunks.back().spec.instance = 2;
  expect_refusal(raw, ErrorKind::kCorrupt, "no segment 2");
}

TEST(Refusal, LeavesThatAreNotThoseOfTheHeaderOrOfTheBodyAreCorrupt) {
  RawSnapshot raw = sample();
  raw.find(kChunkFlatRam).body_hash ^= 1;
  expect_refusal(raw, ErrorKind::kCorrupt, "leaves do not match the body hash");
  raw = sample();
  raw.find(kChunkFlatRam).body[5000] ^= std::byte{1};
  expect_refusal(raw, ErrorKind::kCorrupt, "do not match their hash");
}

TEST(Refusal, AManifestThatContradictsItselfIsCorruptWithItsPlace) {
  RawSnapshot raw = sample();
  ByteVector& meta = raw.find(kChunkManifest).meta;
  const std::string_view text(reinterpret_cast<const char*>(meta.data()), meta.size());
  const std::size_t at = text.find("isa0/uart@2f8");
  ASSERT_NE(at, std::string_view::npos);
  meta[at + 10] = std::byte{'3'};  // now two devices are at 3f8
  const auto reader = open(raw);
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(reader.error().to_string(), HasSubstr("two devices have this path"));
  EXPECT_TRUE(reader.error().offset());
  EXPECT_THAT(reader.error().chunk(), HasSubstr("CONF#"));
}

class Check : public ::testing::Test {
 protected:
  CheckReport check(const RawSnapshot& raw, ReadLevel level = ReadLevel::kFull, mode_t mode = 0600) {
    test::write_whole(dir_.file("s"), raw.bytes());
    EXPECT_EQ(::chmod(dir_.file("s").c_str(), mode), 0);
    return check_snapshot(dir_.file("s"), level);
  }

  static std::vector<std::string> codes(const CheckReport& report) {
    std::vector<std::string> result;
    for (const Finding& finding : report.findings) result.emplace_back(to_string(finding.code));
    return result;
  }

  TempDir dir_;
};

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(Check, HasNothingToSayAboutASoundFile) {
  for (const ReadLevel level : {ReadLevel::kHeader, ReadLevel::kMeta, ReadLevel::kFull}) {
    const CheckReport report = check(sample(), level);
    EXPECT_FALSE(report.error) << report.error->to_string();
    EXPECT_THAT(codes(report), IsEmpty());
    EXPECT_EQ(report.uuid, test::test_uuid());
    EXPECT_TRUE(report.root);
    EXPECT_EQ(report.chunk_count, sample().chunks.size() + 2);
    EXPECT_EQ(report.file_size, sample().bytes().size());
  }
}

TEST_F(Check, MentionsAModeThatLetsOthersIn) {
  EXPECT_THAT(codes(check(sample(), ReadLevel::kHeader, 0640)), ElementsAre("file-mode"));
  EXPECT_THAT(codes(check(sample(), ReadLevel::kHeader, 0604)), ElementsAre("file-mode"));
  EXPECT_THAT(codes(check(sample(), ReadLevel::kHeader, 0400)), IsEmpty());
}

TEST_F(Check, MentionsUnknownOptionalChunksAndBodiesItCouldNotCheck) {
  RawSnapshot raw = sample();
  add_thing(raw, 0);
  EXPECT_THAT(codes(check(raw)), ElementsAre("unknown-optional-chunk"));
  raw.chunks.back().spec.flags = kChunkLeaves;
  const CheckReport report = check(raw);
  EXPECT_FALSE(report.error);
  EXPECT_THAT(codes(report), ElementsAre("unknown-optional-chunk", "body-not-checked"));
  EXPECT_THAT(report.findings[0].message, HasSubstr("THNG#"));
}

TEST_F(Check, MentionsUnknownCompatibleFeaturesNewerMinorsAndUnusedSchemas) {
  RawSnapshot raw = sample();
  raw.header.minor = 3;
  raw.header.features = {{FeatureKind::kCompatible, 40, "scents"}};
  raw.add_schema(kThing, "thing");
  raw.find(kChunkMemoryMap).spec.schema_id = raw.add_schema(kChunkMemoryMap, "memory_map", 1, 5);
  const CheckReport report = check(raw);
  EXPECT_FALSE(report.error) << report.error->to_string();
  EXPECT_THAT(codes(report), ElementsAre("newer-minor-version", "unknown-compatible-feature", "unused-schema",
                                         "unused-schema", "newer-minor-version"));
  EXPECT_THAT(report.findings[1].message, HasSubstr("\"scents\""));
}

TEST_F(Check, ReportsTheErrorOfAFileThatMustBeRefused) {
  RawSnapshot raw = sample();
  add_thing(raw, kChunkCritical);
  CheckReport report = check(raw);
  ASSERT_TRUE(report.error);
  EXPECT_EQ(report.error->kind(), ErrorKind::kUnsupported);
  EXPECT_TRUE(report.uuid);
  report = check_snapshot(dir_.file("missing"), ReadLevel::kFull);
  ASSERT_TRUE(report.error);
  EXPECT_EQ(report.error->kind(), ErrorKind::kIo);
}

}  // namespace
}  // namespace vmsnap
