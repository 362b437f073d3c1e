// SPDX-License-Identifier: BSD-2-Clause
// The samples of schema/<type>/samples, and made-up data of every type: through the tree and back, the
// content stays what it was. A sample below samples/v<major>.<minor> is of that version, others are of the
// newest.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "../base/temp_dir.h"
#include "any_data.h"
#include "format/chunk_type.h"
#include "migrate/state_tree.h"
#include "reflect/content.h"
#include "versions/versions.h"

namespace vmsnap::compat {
namespace {

namespace fs = std::filesystem;
using reflect::SchemaModel;

/// Decodes, encodes, and compares.
void expect_round_trip(const SchemaModel& model, ByteView state) {
  const auto tree = StateTree::decode(model, state);
  ASSERT_TRUE(tree) << tree.error().to_string();
  EXPECT_TRUE(tree->unknown().empty());
  const auto encoded = tree->encode();
  ASSERT_TRUE(encoded) << encoded.error().to_string();
  const auto before = reflect::content_digest(model, state);
  const auto after = reflect::content_digest(model, *encoded);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(to_string(*before), to_string(*after));
  const auto again = StateTree::decode(model, *encoded);
  ASSERT_TRUE(again);
  EXPECT_EQ(*encoded, *again->encode());
}

TEST(Samples, KeepTheirContentThroughATree) {
  std::map<std::string, ChunkType> schemas;  // by "type" (the newest) and "type/version"
  for (const ChunkType& type : frozen_device_chunk_types()) {
    schemas.insert_or_assign(std::string(type.name), type);
    schemas.insert_or_assign(std::string(type.name) + "/v" + to_string(type.version), type);
  }
  const TempDir directory;
  unsigned count = 0;
  for (const auto& folder : fs::directory_iterator(VMSNAP_SCHEMA_ROOT)) {
    const fs::path samples = folder.path() / "samples";
    if (!fs::is_directory(samples)) continue;
    for (const auto& file : fs::recursive_directory_iterator(samples)) {
      if (file.path().extension() != ".json") continue;
      SCOPED_TRACE(file.path().string());
      std::string key = folder.path().filename().string();
      if (file.path().parent_path() != samples) key += "/" + file.path().parent_path().filename().string();
      const auto type = schemas.find(key);
      ASSERT_NE(type, schemas.end()) << key << " names no frozen schema";
      const std::string bfbs = directory.file("schema.bfbs");
      std::ofstream(bfbs, std::ios::binary)
          .write(reinterpret_cast<const char*>(type->second.schema.data()),
                 static_cast<std::streamsize>(type->second.schema.size()));
      const std::string json = directory.file("sample.json");
      fs::copy_file(file.path(), json, fs::copy_options::overwrite_existing);
      const std::string command = std::string("'" VMSNAP_FLATC "' -b -o '") + directory.path().string() +
                                  "' '" + bfbs + "' '" + json + "'";
      ASSERT_EQ(std::system(command.c_str()), 0);
      std::ifstream stream(directory.file("sample.bin"), std::ios::binary);
      const std::string state{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
      const auto model = SchemaModel::load(type->second.schema);
      ASSERT_TRUE(model);
      expect_round_trip(*model, as_byte_view(state));
      ++count;
    }
  }
  EXPECT_GE(count, 17u);
}

TEST(Samples, OfAnyDataKeepTheirContentThroughATree) {
  std::vector<ChunkType> types = frozen_device_chunk_types();
  for (const ChunkType& type : container_chunk_types()) types.push_back(type);
  for (const ChunkType& type : types) {
    SCOPED_TRACE(std::string(type.name) + " " + to_string(type.version));
    const auto model = SchemaModel::load(type.schema);
    ASSERT_TRUE(model);
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      reflect::AnyDataOptions options;
      options.seed = seed;
      options.every_field = seed % 2 == 0;
      options.vector_size = static_cast<std::uint32_t>(seed % 5);
      expect_round_trip(*model, reflect::make_any_data(*model, options));
    }
  }
}

}  // namespace
}  // namespace vmsnap::compat
