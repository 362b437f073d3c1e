// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/temp_dir.h"
#include "raw_snapshot.h"
#include "run_tool.h"
#include "sample_snapshot.h"
#include "small_snapshot.h"
#include "snapshot/schema_meta.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap::snaptool {
namespace {

using ::testing::HasSubstr;

class Check : public ::testing::Test {
 protected:
  void SetUp() override { summary_ = write_sample(path_); }

  [[nodiscard]] ToolRun check(const std::string& level) const {
    return run_tool({"check", "--level", level, path_});
  }
  [[nodiscard]] ToolRun check_json(const std::string& level) const {
    return run_tool({"check", "--json", "--level", level, path_});
  }

  TempDir dir_;
  std::string path_ = dir_.file("a.vmsnap");
  SnapshotSummary summary_;
};

TEST_F(Check, FindsNoFaultWithAGoodFileAtAnyLevel) {
  for (const char* level : {"header", "meta", "full"}) {
    const ToolRun run = check(level);
    EXPECT_EQ(run.status, 0) << run.out;
    EXPECT_EQ(run.err, "");
    EXPECT_THAT(run.out, HasSubstr(path_ + ": no fault found\n"));
    const Json json = check_json(level).json();
    EXPECT_EQ(json["level"], level);
    EXPECT_EQ(json["result"], "ok");
    EXPECT_EQ(json["error"], nullptr);
    EXPECT_EQ(json["findings"], Json::array());
    EXPECT_EQ(json["uuid"], to_string(summary_.uuid));
    EXPECT_EQ(json["root"], to_string(summary_.root));
    EXPECT_EQ(json["chunk_count"], summary_.chunk_count);
  }
  EXPECT_THAT(check("full").out, HasSubstr("every byte"));
  EXPECT_THAT(check("meta").out, HasSubstr("not RAM itself"));
  EXPECT_EQ(run_tool({"check", path_}).out, check("full").out);
}

TEST_F(Check, SaysTheDigestOfMemoryWhereItReadsTheHashes) {
  const auto reader = SnapshotReader::open(path_);
  ASSERT_TRUE(reader);
  const auto digest = reader->memory_digest();
  ASSERT_TRUE(digest);
  for (const char* level : {"meta", "full"}) {
    EXPECT_THAT(check(level).out, HasSubstr(path_ + ": memory digest " + to_string(*digest) + "\n"));
    EXPECT_EQ(check_json(level).json()["memory_digest"], to_string(*digest));
  }
  EXPECT_EQ(check_json("header").json()["memory_digest"], nullptr);
  EXPECT_THAT(check("header").out, ::testing::Not(HasSubstr("digest")));
}

TEST_F(Check, EndsWithOneSentenceWhenItIsInterrupted) {
  const std::atomic<bool> interrupted = true;
  const Watcher watcher{true, [&] { return &interrupted; }};
  const ToolRun run = run_tool({"check", path_}, watcher);
  EXPECT_EQ(run.status, 1);
  EXPECT_EQ(run.out, "");
  EXPECT_EQ(run.err, "snaptool: " + path_ + ": it was cancelled\n");
  EXPECT_EQ(run_tool({"check", "--level", "meta", path_}, watcher).status, 0);
}

TEST_F(Check, FindsAFlippedByteOfMemoryAtLevelFullOnly) {
  const auto reader = SnapshotReader::open(path_);
  ASSERT_TRUE(reader);
  flip_byte(path_, reader->segment_chunks(0).front()->body_offset() + 0x5000);
  EXPECT_EQ(check("meta").status, 0);
  const ToolRun run = check("full");
  EXPECT_EQ(run.status, 4);
  EXPECT_THAT(run.err, HasSubstr(path_));
  EXPECT_THAT(run.out, HasSubstr("do not use it (corrupt)"));
  const Json json = check_json("full").json();
  EXPECT_EQ(json["result"], "corrupt");
  EXPECT_EQ(json["error"]["kind"], "corrupt");
  EXPECT_NE(json["error"]["offset"], nullptr);
}

TEST_F(Check, FindsDamagedStateFromLevelMetaOn) {
  const auto reader = SnapshotReader::open(path_);
  ASSERT_TRUE(reader);
  flip_byte(path_, reader->device_chunk(kUart).meta_offset() + 20);
  EXPECT_EQ(check("header").status, 0);
  EXPECT_EQ(check("meta").status, 4);
  EXPECT_EQ(check("full").status, 4);
}

TEST_F(Check, FindsStateThatContradictsItsSchemaThoughItsHashIsRight) {
  Sample sample = make_sample();
  sample.contents.device_states[kWormhole].resize(12);
  write_sample(path_, sample.contents);
  EXPECT_EQ(check("header").status, 0);
  const ToolRun run = check("meta");
  EXPECT_EQ(run.status, 4);
  EXPECT_THAT(run.err, HasSubstr("xWRM#"));
}

TEST_F(Check, EndsWithFindingsWhenSomethingIsOdd) {
  ASSERT_EQ(::chmod(path_.c_str(), 0640), 0);
  const ToolRun run = check("full");
  EXPECT_EQ(run.status, 3);
  EXPECT_EQ(run.err, "");
  EXPECT_THAT(run.out, HasSubstr(path_ + ": finding: "));
  EXPECT_THAT(run.out, HasSubstr(path_ + ": no damage, 1 finding\n"));
  const ToolRun json = check_json("full");
  EXPECT_EQ(json.status, 3);
  EXPECT_EQ(json.json()["result"], "findings");
  EXPECT_EQ(json.json()["findings"][0]["code"], "file-mode");
}

TEST_F(Check, FindsASchemaThatCannotBeUsedOddButNoReasonToRefuseTheFile) {
  test::RawSnapshot raw = test::RawSnapshot::parse(test::read_whole(path_));
  const std::uint32_t schema = raw.add_schema(FourCc("xBAD"), "puzzle");
  for (test::RawChunk& chunk : raw.chunks) {
    if (chunk.spec.type != kChunkSchema || chunk.spec.instance != schema) continue;
    chunk.body.assign(100, std::byte{66});
    auto meta = decode_schema_meta(chunk.meta);
    ASSERT_TRUE(meta);
    meta->content_hash = xxh3_128(chunk.body);
    chunk.meta = encode(*meta);
  }
  raw.chunks.push_back({{FourCc("xBAD"), schema, 0, 0}, ByteVector(32), {}});
  test::write_whole(path_, raw.bytes());
  const ToolRun run = check_json("full");
  EXPECT_EQ(run.status, 3);
  ASSERT_EQ(run.json()["findings"].size(), 2u);
  EXPECT_EQ(run.json()["findings"][0]["code"], "unknown-optional-chunk");
  EXPECT_EQ(run.json()["findings"][1]["code"], "unusable-schema");
  const ToolRun shown = run_tool({"show", path_});
  EXPECT_EQ(shown.status, 4);
  EXPECT_THAT(shown.out, HasSubstr(": puzzle 1.0\n  (cannot be shown)\n"));
}

TEST_F(Check, TellsUnknownOptionalChunksFromUnknownCriticalOnes) {
  const std::string optional = dir_.file("optional.vmsnap");
  const std::string critical = dir_.file("critical.vmsnap");
  add_unnamed_chunk(path_, optional, 0);
  add_unnamed_chunk(path_, critical, kChunkCritical);
  const ToolRun run = run_tool({"check", "--json", optional});
  EXPECT_EQ(run.status, 3);
  EXPECT_EQ(run.json()["findings"][0]["code"], "unknown-optional-chunk");
  EXPECT_EQ(run_tool({"check", critical}).status, 5);
  EXPECT_EQ(run_tool({"check", "--json", critical}).json()["result"], "unsupported");
}

}  // namespace
}  // namespace vmsnap::snaptool
