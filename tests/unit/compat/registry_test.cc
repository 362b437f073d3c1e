// SPDX-License-Identifier: BSD-2-Clause
// What must be true of the steps, levels and frozen schemas of this build, however many there are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "any_data.h"
#include "migrate/carry.h"
#include "migrate/convert.h"

namespace vmsnap::compat {
namespace {

class RegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    auto migrator = Migrator::create();
    ASSERT_TRUE(migrator) << migrator.error().to_string();
    migrator_.emplace(std::move(*migrator));
    for (const ChunkType& type : frozen_device_chunk_types()) types_.insert(type.name);
  }
  [[nodiscard]] reflect::SchemaModel model(std::string_view type, ChunkVersion version) const {
    return *reflect::SchemaModel::load(migrator_->find(type, version)->schema);
  }

  std::optional<Migrator> migrator_;
  std::set<std::string_view> types_;
};

TEST_F(RegistryTest, EveryTypeCanGoFromEveryVersionToEveryOther) {
  for (const std::string_view type : types_) {
    for (const ChunkVersion from : migrator_->planner().versions(type)) {
      for (const ChunkVersion to : migrator_->planner().versions(type)) {
        const auto way = migrator_->planner().plan(type, from, to);
        EXPECT_TRUE(way) << way.error().to_string();
      }
    }
  }
}

TEST_F(RegistryTest, EveryAppendedFieldDeclaresWhatItsLossMeans) {
  const auto& declared = migrator_->registry().appended_fields;
  for (const std::string_view type : types_) {
    const std::vector<ChunkVersion> versions = migrator_->planner().versions(type);
    for (std::size_t i = 1; i < versions.size(); ++i) {
      if (versions[i].major != versions[i - 1].major) continue;
      for (const std::string& path :
           appended_fields(model(type, versions[i - 1]), model(type, versions[i]))) {
        const auto count = std::count_if(declared.begin(), declared.end(), [&](const AppendedField& field) {
          return field.type == type && field.since == versions[i] && field.path == path;
        });
        EXPECT_EQ(count, 1) << type << " " << to_string(versions[i]) << " appended " << path
                            << "; say in compat/steps/" << type
                            << " what follows when an older version loses it";
      }
    }
  }
}

TEST_F(RegistryTest, EveryDeclarationIsOfAFieldThatItsVersionAppended) {
  for (const AppendedField& field : migrator_->registry().appended_fields) {
    SCOPED_TRACE(std::string(field.type) + "." + std::string(field.path));
    EXPECT_FALSE(field.consequence.empty());
    EXPECT_FALSE(field.consequence.ends_with('.'));
    const std::vector<ChunkVersion> versions = migrator_->planner().versions(field.type);
    const auto found = std::find(versions.begin(), versions.end(), field.since);
    ASSERT_NE(found, versions.end());
    ASSERT_NE(found, versions.begin());
    EXPECT_EQ((found - 1)->major, found->major);
    EXPECT_THAT(appended_fields(model(field.type, *(found - 1)), model(field.type, *found)),
                testing::Contains(field.path));
    if (field.feature.empty()) continue;
    EXPECT_TRUE(std::any_of(migrator_->levels().begin(), migrator_->levels().end(),
                            [&](const ReleaseLevel& level) {
                              const LevelChunk* chunk = level.find(field.type);
                              return chunk != nullptr &&
                                     std::find(chunk->features.begin(), chunk->features.end(),
                                               field.feature) != chunk->features.end();
                            }))
        << "no level knows the feature " << field.feature;
  }
}

TEST_F(RegistryTest, AnyDataIsConvertedOrRefusedButNeverABugOfAStep) {
  for (const ReleaseLevel& from : migrator_->levels()) {
    for (const ReleaseLevel& to : migrator_->levels()) {
      for (const LevelChunk& chunk : from.chunks) {
        const LevelChunk* target = to.find(chunk.name);
        if (target == nullptr) continue;
        const reflect::SchemaModel schema = model(chunk.name, chunk.version);
        for (std::uint64_t seed = 1; seed <= 20; ++seed) {
          reflect::AnyDataOptions options;
          options.seed = seed;
          options.every_field = seed % 2 == 0;
          DeviceEntry entry;
          entry.path = "any";
          entry.type = chunk.name;
          entry.version = chunk.version;
          entry.readable_since = {chunk.version.major, 0};
          const auto result =
              migrator_->convert(entry, reflect::make_any_data(schema, options), *target, AllowedLosses());
          if (!result) {
            EXPECT_NE(result.error().kind(), ErrorKind::kInternal) << result.error().to_string();
          } else if (result->converted) {
            const auto again =
                StateTree::decode(model(chunk.name, target->version), result->converted->state);
            EXPECT_TRUE(again) << again.error().to_string();
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace vmsnap::compat
