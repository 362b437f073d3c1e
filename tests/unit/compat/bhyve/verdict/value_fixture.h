// SPDX-License-Identifier: BSD-2-Clause
// Chunks in which nothing is odd, and what is said when one value in them is changed.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "../convert/mapping_fixture.h"
#include "bhyve/verdict/check_values.h"

namespace vmsnap::compat::bhyve {

/// A chunk at offset 10000 of the `.kern` file, of a guest with 8 MiB of memory.
struct SampleChunk {
  std::string_view name;
  std::string_view shape;
  ItemValues items;  // what is not named is 0
  Context context;
  GuestSize guest{1, std::uint64_t{8} << 20};
};
inline constexpr std::uint64_t kChunkOffset = 10000;

inline std::vector<ValueFinding> findings_in(SampleChunk chunk, const ItemValues& changes = {}) {
  for (const auto& [path, value] : changes) chunk.items.insert_or_assign(path, value);
  chunk.context.vcpus = chunk.guest.ncpus;
  const Layout& layout = *find_layout(chunk.name, chunk.shape);
  const ByteVector bytes = encode_items(layout, chunk.context, chunk.items);
  const auto decoded = decode(layout, chunk.context, bytes);
  EXPECT_TRUE(decoded) << decoded.error().to_string();
  if (!decoded) return {};
  MetaEntry entry;
  entry.name = chunk.name;
  entry.file_offset = kChunkOffset;
  entry.size = bytes.size();
  ClassifiedEntry one;
  one.entry = &entry;
  one.layout = &layout;
  return check_values(chunk.guest, one, *decoded);
}

/// "12 sec suspicious": offset in the chunk, field, consequence.
inline std::vector<std::string> odd(const SampleChunk& chunk, const ItemValues& changes = {}) {
  std::vector<std::string> told;
  for (const ValueFinding& one : findings_in(chunk, changes)) {
    EXPECT_EQ(one.entry, chunk.name);
    EXPECT_FALSE(one.sentence.empty());
    EXPECT_FALSE(one.sentence.ends_with('.')) << one.sentence;
    told.push_back(fmt::format("{} {} {}", one.offset - kChunkOffset, one.field, to_string(one.consequence)));
  }
  return told;
}

/// A configuration space of that vendor with both decoders on.
inline ByteVector config_space(unsigned vendor) {
  ByteVector bytes(256);
  store_le<std::uint16_t>(bytes, 0, static_cast<std::uint16_t>(vendor));
  store_le<std::uint16_t>(bytes, 4, 3);
  return bytes;
}

}  // namespace vmsnap::compat::bhyve
