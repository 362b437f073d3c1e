// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/temp_dir.h"
#include "container/index.h"
#include "run_tool.h"
#include "sample_snapshot.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap::snaptool {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

TEST(Ls, ListsEveryChunkInFileOrder) {
  const TempDir dir;
  const std::string path = dir.file("a.vmsnap");
  const SnapshotSummary written = write_sample(path);
  const ToolRun run = run_tool({"ls", path});
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.err, "");
  EXPECT_EQ(static_cast<std::uint32_t>(std::count(run.out.begin(), run.out.end(), '\n')),
            written.chunk_count + 1);
  EXPECT_THAT(run.out, ContainsRegex("CONF  manifest +0  - +C-- +[0-9a-f]{32}\n"));
  EXPECT_THAT(run.out, ContainsRegex("RAMF  flat_ram +1  bootrom +C-L +[0-9a-f]{32}\n"));
  EXPECT_THAT(run.out, ContainsRegex("VBLK  virtio_blk +3  pci0/00:03\\.0 +C-- "));
  EXPECT_THAT(run.out, ContainsRegex("SCHM  [a-z-]+ +[0-9]+  wormhole 7\\.3 +C-- "));
}

TEST(Ls, GivesTheNumbersOfTheFramingAsJson) {
  const TempDir dir;
  const std::string path = dir.file("a.vmsnap");
  write_sample(path);
  const auto reader = SnapshotReader::open(path);
  ASSERT_TRUE(reader);
  const Json list = run_tool({"ls", "--json", path}).json();
  EXPECT_EQ(list["error"], nullptr);
  const auto chunks = reader->container().chunks();
  ASSERT_EQ(list["chunks"].size(), chunks.size());
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const Json& line = list["chunks"][i];
    EXPECT_EQ(line["sequence"], i);
    EXPECT_EQ(line["offset"], std::to_string(chunks[i].offset));
    EXPECT_EQ(line["size"], std::to_string(chunks[i].end - chunks[i].offset));
    EXPECT_EQ(line["type"], chunks[i].header.type.to_string());
    EXPECT_EQ(line["body_size"], std::to_string(chunks[i].header.body_size));
  }
  const Json& ram = *std::find_if(list["chunks"].begin(), list["chunks"].end(),
                                  [](const Json& line) { return line["type"] == "RAMF"; });
  EXPECT_EQ(ram["subject"], "ram-low");
  EXPECT_EQ(ram["flags"], Json::array({"critical", "leaves"}));
}

TEST(Ls, PrintsTheDigestsThatTheRootIsMadeOf) {
  const TempDir dir;
  const std::string path = dir.file("a.vmsnap");
  write_sample(path);
  const auto reader = SnapshotReader::open(path);
  ASSERT_TRUE(reader);
  const ChunkRecord& index = reader->container().chunks().back();
  const auto meta = reader->container().meta(index);
  ASSERT_TRUE(meta);
  const auto lines = decode_index(*meta);
  ASSERT_TRUE(lines);
  const Json chunks = run_tool({"ls", "--json", path}).json()["chunks"];
  for (std::size_t i = 0; i < lines->size(); ++i)
    EXPECT_EQ(chunks[i]["digest"], to_string((*lines)[i].digest));
}

TEST(Ls, ListsWhatIsLeftOfAFileThatWasCut) {
  const TempDir dir;
  const std::string path = dir.file("a.vmsnap");
  write_sample(path);
  const Json whole = run_tool({"ls", "--json", path}).json()["chunks"];
  std::uint64_t offset = 0;
  std::size_t before = 0;
  for (const Json& line : whole) {
    if (line["type"] == "VBLK") offset = std::stoull(line["offset"].get<std::string>());
    if (offset == 0) ++before;
  }
  std::filesystem::resize_file(path, offset + 70);
  const ToolRun run = run_tool({"ls", "--json", path});
  EXPECT_EQ(run.status, 4);
  const Json list = run.json();
  EXPECT_EQ(list["error"]["kind"], "truncated");
  ASSERT_EQ(list["chunks"].size(), before);
  for (std::size_t i = 0; i < before; ++i) EXPECT_EQ(list["chunks"][i], whole[i]);
  const ToolRun text = run_tool({"ls", path});
  EXPECT_EQ(text.status, 4);
  EXPECT_THAT(text.out, HasSubstr("RAMF"));
  EXPECT_THAT(text.err, HasSubstr(path));
}

TEST(Ls, MarksAChunkWhoseMetaIsDamaged) {
  const TempDir dir;
  const std::string path = dir.file("a.vmsnap");
  write_sample(path);
  const auto reader = SnapshotReader::open(path);
  ASSERT_TRUE(reader);
  flip_byte(path, reader->device_chunk(kUart).meta_offset() + 20);
  const ToolRun run = run_tool({"ls", path});
  EXPECT_EQ(run.status, 4);
  EXPECT_THAT(run.out, ContainsRegex("UART  uart16550 +2  isa0/uart@3f8 +C-- +damaged\n"));
  EXPECT_THAT(run.err, HasSubstr("snaptool check"));
}

}  // namespace
}  // namespace vmsnap::snaptool
