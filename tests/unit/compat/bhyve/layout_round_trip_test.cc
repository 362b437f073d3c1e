// SPDX-License-Identifier: BSD-2-Clause
// What holds for every layout and any content.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>

#include "bhyve/layout/decode.h"
#include "bhyve/layout/layout_doc.h"
#include "bhyve_chunks.h"
#include "layout_chunks.h"

namespace vmsnap::compat::bhyve {
namespace {

bool same(ByteView a, ByteView b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

/// The bytes of each field of `decoded` as the value of the field of the same path.
FieldLookup fields_of(const Decoded& decoded) {
  return [&decoded](const Field& field) -> std::optional<FieldValue> {
    const auto bytes = decoded.bytes(field.path);
    if (!bytes) return std::nullopt;
    return *bytes;
  };
}

TEST(Layouts, GiveBackWhatWasEncodedFieldByField) {
  for (const LayoutCase& one : layout_cases(true)) {
    for (std::uint64_t seed = 0; seed < (one.layout->chunk == "fbuf" ? 1 : 8); ++seed) {
      SCOPED_TRACE(fmt::format("{}, seed {}", one.name, seed));
      const RandomChunk chunk = make_random_chunk(*one.layout, one.context, seed);
      const auto decoded = decode(*one.layout, one.context, chunk.bytes);
      ASSERT_TRUE(decoded) << decoded.error().to_string();
      EXPECT_TRUE(decoded->trailing().empty());
      ASSERT_EQ(decoded->fields().size(), chunk.values.size());
      std::uint64_t end = 0;
      for (const Field& field : decoded->fields()) {
        ASSERT_EQ(field.offset, end) << field.path;
        end += field.size;
        const auto value = chunk.values.find(field.path);
        ASSERT_NE(value, chunk.values.end()) << field.path;
        ASSERT_TRUE(same(decoded->bytes(field), value->second)) << field.path;
        ASSERT_EQ(decoded->find(field.path), &field) << field.path << " is the path of two fields";
      }
      EXPECT_EQ(end, chunk.bytes.size());
      const auto again = encode(*one.layout, one.context, fields_of(*decoded));
      ASSERT_TRUE(again) << again.error().to_string();
      EXPECT_TRUE(same(*again, chunk.bytes));
    }
  }
}

TEST(Layouts, FindTheCountsThatAChunkShowsByItsSizeOrItsContent) {
  for (const LayoutCase& one : layout_cases()) {
    SCOPED_TRACE(one.name);
    const RandomChunk chunk = make_random_chunk(*one.layout, one.context, 3);
    Context sparse = one.context;
    sparse.uarts = sparse.cpuset_longs = sparse.usb_devices = std::nullopt;
    const auto decoded = decode(*one.layout, sparse, chunk.bytes);
    ASSERT_TRUE(decoded) << decoded.error().to_string();
    EXPECT_TRUE(decoded->trailing().empty());
    EXPECT_EQ(decoded->fields().size(), chunk.values.size());
    const std::string_view name = one.layout->chunk;
    if (name == "lpc") {
      EXPECT_EQ(decoded->context().uarts, one.context.uarts);
    }
    if (name == "vm" && one.layout->shape == "C") {
      EXPECT_EQ(decoded->context().cpuset_longs, one.context.cpuset_longs);
    }
    if (name == "xhci") {
      EXPECT_EQ(decoded->context().usb_devices, one.context.usb_devices);
    }
    const auto again = encode(*one.layout, decoded->context(), fields_of(*decoded));
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_TRUE(same(*again, chunk.bytes));
  }
}

TEST(Layouts, KeepTheBytesAfterTheLastField) {
  for (const LayoutCase& one : layout_cases()) {
    SCOPED_TRACE(one.name);
    RandomChunk chunk = make_random_chunk(*one.layout, one.context, 4);
    const std::size_t size = chunk.bytes.size();
    chunk.bytes.insert(chunk.bytes.end(), 5, std::byte{0xa5});
    const auto decoded = decode(*one.layout, one.context, chunk.bytes);
    ASSERT_TRUE(decoded) << decoded.error().to_string();
    EXPECT_TRUE(same(decoded->trailing(), ByteView(chunk.bytes).subspan(size)));
    const auto again = encode(*one.layout, one.context, fields_of(*decoded));
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_TRUE(same(*again, ByteView(chunk.bytes).first(size)));
  }
}

/// Where to cut a chunk: everywhere; in a large one, where fields begin, a byte behind, and a byte before
/// they end. Every layout but those of generation A has a case small enough to be cut everywhere.
std::vector<std::uint64_t> cuts(const Decoded& decoded, std::uint64_t size) {
  std::vector<std::uint64_t> at;
  if (size <= 2400) {
    for (std::uint64_t cut = 0; cut < size; ++cut) at.push_back(cut);
    return at;
  }
  const std::size_t step = 1 + decoded.fields().size() / 256;
  for (std::size_t i = 0; i < decoded.fields().size(); i += step) {
    const Field& field = decoded.fields()[i];
    for (const std::uint64_t cut : {field.offset, field.offset + 1, field.offset + field.size - 1}) {
      if (cut < size) at.push_back(cut);
    }
  }
  return at;
}

TEST(Layouts, NameTheFieldInWhichAChunkIsCutOff) {
  for (const LayoutCase& one : layout_cases()) {
    SCOPED_TRACE(one.name);
    const RandomChunk chunk = make_random_chunk(*one.layout, one.context, 5);
    const auto whole = decode(*one.layout, one.context, chunk.bytes);
    ASSERT_TRUE(whole);
    for (const std::uint64_t cut : cuts(*whole, chunk.bytes.size())) {
      // A copy of exactly this size, so that reading past its end is seen.
      const ByteVector part(chunk.bytes.begin(), chunk.bytes.begin() + static_cast<std::ptrdiff_t>(cut));
      const auto decoded = decode(*one.layout, one.context, part);
      ASSERT_FALSE(decoded) << cut;
      ASSERT_EQ(decoded.error().kind(), ErrorKind::kTruncated) << decoded.error().to_string();
      const auto field = std::find_if(whole->fields().begin(), whole->fields().end(),
                                      [&](const Field& f) { return f.offset + f.size > cut; });
      ASSERT_EQ(decoded.error().field(), field->path);
      ASSERT_EQ(decoded.error().offset(), field->offset);
      ASSERT_EQ(decoded.error().chunk(), one.layout->chunk);
    }
  }
}

TEST(Layouts, DecodeOrRefuseAnyBytes) {
  std::mt19937_64 random(6);
  for (const LayoutCase& one : layout_cases()) {
    SCOPED_TRACE(one.name);
    for (int round = 0; round < 20; ++round) {
      ByteVector bytes(random() % 8192);
      // Mostly zeros leave small counts and absent parts, so that decoding gets further.
      const std::uint64_t density = 1 + random() % 64;
      for (std::byte& byte : bytes)
        byte = random() % density == 0 ? static_cast<std::byte>(random()) : std::byte{0};
      Context context = one.context;
      if (round % 2 == 0) context.uarts = context.cpuset_longs = context.usb_devices = std::nullopt;
      const auto decoded = decode(*one.layout, context, bytes);
      if (!decoded) {
        EXPECT_THAT(decoded.error().kind(),
                    testing::AnyOf(ErrorKind::kTruncated, ErrorKind::kCorrupt, ErrorKind::kUnsupported));
        EXPECT_EQ(decoded.error().chunk(), one.layout->chunk);
        EXPECT_FALSE(decoded.error().field().empty());
        continue;
      }
      const auto again = encode(*one.layout, decoded->context(), fields_of(*decoded));
      ASSERT_TRUE(again) << again.error().to_string();
      EXPECT_TRUE(same(*again, ByteView(bytes).first(again->size())));
    }
  }
}

/// Calls `look` with every item of the items, at any depth.
void for_each_item(std::span<const Item> items, const std::function<void(const Item&)>& look) {
  for (const Item& item : items) {
    look(item);
    for_each_item(item.nested(), look);
  }
}

TEST(Layouts, TakeAtLeastAByteForEachRecordThatAChunkCounts) {
  for (const Layout* layout : all_layouts()) {
    for_each_item(layout->items(), [&](const Item& item) {
      if (item.type != Type::kRecord || item.count.source == Count::Source::kFixed) return;
      EXPECT_GT(minimum_size(item.nested()), 0u) << layout->chunk << " " << item.name;
    });
  }
}

TEST(Layouts, SayWhyWhatIsMeaninglessIsSo) {
  for (const Layout* layout : all_layouts()) {
    for_each_item(layout->items(), [&](const Item& item) {
      if (item.mark == Mark::kMeaningless) {
        EXPECT_FALSE(item.remark.empty()) << layout->chunk << " " << item.name;
      }
      if (item.type == Type::kHostPointer) {
        EXPECT_EQ(item.mark, Mark::kMeaningless) << layout->chunk << " " << item.name;
      }
    });
  }
}

TEST(Layouts, AreFoundByChunkAndShape) {
  for (const Layout* layout : all_layouts()) EXPECT_EQ(find_layout(layout->chunk, layout->shape), layout);
  EXPECT_EQ(find_layout("ahci-cd", "by axes"), find_layout("ahci", "by axes"));
  EXPECT_EQ(layouts_of("vmcx").size(), 8u);
  EXPECT_TRUE(layouts_of("nvme").empty());
  EXPECT_EQ(find_layout("vmcx", "Intel"), nullptr);
}

TEST(Layouts, AreDocumentedAsTheyAre) {
  std::ifstream file(VMSNAP_LAYOUT_DOC);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_TRUE(text == layouts_as_markdown())
      << "docs/bhyve-layouts.md is not what the layouts say; its first section says how to make it anew";
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
