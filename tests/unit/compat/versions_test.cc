// SPDX-License-Identifier: BSD-2-Clause
#include "versions/versions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "format/features.h"
#include "reflect/schema_model.h"
#include "snapshot/schema_meta.h"
#include "snapshot/text.h"

namespace vmsnap::compat {
namespace {

TEST(Versions, EveryFrozenSchemaIsWhatItsEntrySays) {
  const std::vector<ChunkType> types = frozen_device_chunk_types();
  ASSERT_GE(types.size(), 13u);
  std::set<std::pair<std::string_view, ChunkVersion>> seen;
  for (const ChunkType& type : types) {
    SCOPED_TRACE(std::string(type.name) + " " + to_string(type.version));
    EXPECT_TRUE(is_type_name(type.name));
    EXPECT_TRUE(seen.emplace(type.name, type.version).second);
    const auto model = reflect::SchemaModel::load(type.schema);
    ASSERT_TRUE(model) << model.error().to_string();
    EXPECT_EQ(model->root().name, type.root_table);
    EXPECT_EQ(model->file_identifier(), type.type.to_string());
    ASSERT_NE(model->root().find_attribute("chunk_version"), nullptr);
    EXPECT_EQ(model->root().find_attribute("chunk_version")->value, to_string(type.version));
    EXPECT_EQ(model->root().find_attribute("chunk_name")->value, type.name);
  }
}

TEST(Versions, LevelsAreNumberedFromOneAndTheHighestIsCurrent) {
  const std::vector<ReleaseLevel> levels = release_levels();
  ASSERT_FALSE(levels.empty());
  for (std::size_t i = 0; i < levels.size(); ++i) EXPECT_EQ(levels[i].number, i + 1);
  EXPECT_EQ(current_level(), levels.size());
}

TEST(Versions, EveryLevelNamesVersionsThatAreFrozenAndFeaturesThatExist) {
  const std::vector<ChunkType> types = frozen_device_chunk_types();
  for (const ReleaseLevel& level : release_levels()) {
    for (const LevelChunk& chunk : level.chunks) {
      SCOPED_TRACE(chunk.name);
      EXPECT_TRUE(std::any_of(types.begin(), types.end(), [&](const ChunkType& type) {
        return type.name == chunk.name && type.version == chunk.version;
      }));
      EXPECT_EQ(level.find(chunk.name), &chunk);
      for (const std::string& feature : chunk.features) EXPECT_TRUE(is_name(feature)) << feature;
    }
    for (const std::string& feature : level.format_features) {
      const auto registered = registered_features();
      EXPECT_TRUE(std::any_of(registered.begin(), registered.end(), [&](const RegisteredFeature& known) {
        return known.name == feature;
      })) << feature;
    }
    EXPECT_EQ(level.find("wormhole"), nullptr);
  }
}

TEST(Versions, ATypeWithoutLevelHasAFrozenSchemaAndIsInNone) {
  const std::vector<ChunkType> types = frozen_device_chunk_types();
  for (const std::string_view name : {"hpet", "bhyve_private", "virtio_net"}) {
    EXPECT_TRUE(std::any_of(types.begin(), types.end(), [&](const ChunkType& type) {
      return type.name == name;
    })) << name;
    for (const ReleaseLevel& level : release_levels()) EXPECT_EQ(level.find(name), nullptr) << name;
  }
}

TEST(Versions, LevelOneIsWhatWasReleasedFirst) {
  const ReleaseLevel level = release_levels().front();
  EXPECT_EQ(level.chunks.size(), 13u);
  for (const LevelChunk& chunk : level.chunks) {
    EXPECT_EQ(chunk.version, (ChunkVersion{1, 0})) << chunk.name;
    EXPECT_TRUE(chunk.features.empty()) << chunk.name;
  }
}

}  // namespace
}  // namespace vmsnap::compat
