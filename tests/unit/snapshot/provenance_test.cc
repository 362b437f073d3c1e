// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/provenance.h"

#include <gtest/gtest.h>

#include "prov_generated.h"
#include "snapshot/manifest_limits.h"

namespace vmsnap {
namespace {

Migration example() {
  Migration migration;
  migration.tool = "snaptool";
  migration.tool_version = "0.2.0";
  migration.time = 1'790'000'000'000'000'000;
  migration.from_level = 3;
  migration.to_level = 1;
  migration.source_uuid.bytes[0] = std::byte{0xab};
  migration.source_root.bytes[15] = std::byte{0xcd};
  migration.losses.push_back({"isa0/uart@3f8", "transmit_fifo", "3 bytes are never sent"});
  return migration;
}

TEST(Provenance, GivesBackWhatItWasGiven) {
  std::vector<Migration> migrations = {example(), example()};
  migrations[1].from_level = 1;
  migrations[1].to_level = 2;
  migrations[1].losses.clear();
  const auto bytes = encode(migrations);
  ASSERT_TRUE(bytes) << bytes.error().to_string();
  const auto decoded = decode_provenance(*bytes);
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(*decoded, migrations);
}

TEST(Provenance, RefusesWhatNoMigrationSays) {
  struct Case {
    const char* field;
    void (*spoil)(Migration&);
  };
  const Case cases[] = {
      {"migrations.tool", [](Migration& m) { m.tool.clear(); }},
      {"migrations.tool", [](Migration& m) { m.tool = std::string(kMaxPathLength + 1, 'x'); }},
      {"migrations.tool", [](Migration& m) { m.tool_version = "\xff"; }},
      {"migrations.to_level", [](Migration& m) { m.from_level = 0; }},
      {"migrations.to_level", [](Migration& m) { m.to_level = 0; }},
      {"migrations.losses.device", [](Migration& m) { m.losses[0].device = "two words"; }},
      {"migrations.losses.field", [](Migration& m) { m.losses[0].field.clear(); }},
      {"migrations.losses.sentence", [](Migration& m) { m.losses[0].sentence.clear(); }},
      {"migrations.losses.sentence",
       [](Migration& m) { m.losses[0].sentence = std::string(kMaxReasonLength + 1, 'x'); }},
  };
  for (const Case& c : cases) {
    Migration migration = example();
    c.spoil(migration);
    const auto refused = encode(std::span(&migration, 1));
    ASSERT_FALSE(refused) << c.field;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
    EXPECT_NE(refused.error().to_string().find(c.field), std::string::npos) << refused.error().to_string();
  }
  EXPECT_FALSE(encode(std::span<const Migration>()));
}

TEST(Provenance, RefusesAnIdentityThatIsNot16BytesLong) {
  flatbuffers::FlatBufferBuilder builder;
  const std::vector<std::uint8_t> identity(15);
  const std::vector<flatbuffers::Offset<schema::MigrationLoss>> none;
  const std::vector<flatbuffers::Offset<schema::Migration>> one = {
      schema::CreateMigrationDirect(builder, "t", "v", 0, 1, 2, &identity, &identity, &none)};
  schema::FinishProvenanceBuffer(builder, schema::CreateProvenanceDirect(builder, &one));
  const auto refused = decode_provenance(as_byte_view(builder.GetBufferPointer(), builder.GetSize()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
}

TEST(Provenance, BoundsWhatManyMigrationsShare) {
  // One list of losses, named by more migrations than all lists together may have entries for.
  flatbuffers::FlatBufferBuilder builder;
  std::vector<flatbuffers::Offset<schema::MigrationLoss>> losses(
      100, schema::CreateMigrationLossDirect(builder, "d", "f", "s"));
  const auto shared = builder.CreateVector(losses);
  // Long, so that the verifier's own bound, which grows with the buffer, is not what refuses it.
  const auto tool = builder.CreateString(std::string(16'384, 't'));
  const auto identity = builder.CreateVector(std::vector<std::uint8_t>(16));
  const auto migration = schema::CreateMigration(builder, tool, tool, 0, 1, 2, identity, identity, shared);
  const std::vector<flatbuffers::Offset<schema::Migration>> many(kMaxMigrationLosses / 100 + 1, migration);
  schema::FinishProvenanceBuffer(builder, schema::CreateProvenanceDirect(builder, &many));
  const auto refused = decode_provenance(as_byte_view(builder.GetBufferPointer(), builder.GetSize()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kLimitExceeded);
}

TEST(Provenance, RefusesEveryCutOfItsBytes) {
  const Migration migration = example();
  const auto bytes = encode(std::span(&migration, 1));
  ASSERT_TRUE(bytes);
  for (std::size_t size = 0; size < bytes->size(); ++size) {
    const ByteVector cut(bytes->begin(), bytes->begin() + static_cast<std::ptrdiff_t>(size));
    const auto decoded = decode_provenance(cut);
    // What is behind the last thing that is used is padding.
    if (decoded) {
      EXPECT_EQ(decoded->front(), migration) << size;
      EXPECT_GT(size + 8, bytes->size());
    }
  }
}

}  // namespace
}  // namespace vmsnap
