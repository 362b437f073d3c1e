// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temp_dir.h"
#include "run_tool.h"
#include "sample_snapshot.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap::snaptool {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class Show : public ::testing::Test {
 protected:
  void SetUp() override { write_sample(path_); }

  [[nodiscard]] ToolRun show(const std::string& what) const { return run_tool({"show", path_, what}); }
  [[nodiscard]] Json show_json(const std::string& what) const {
    const ToolRun run = run_tool({"show", "--json", path_, what});
    EXPECT_EQ(run.status, 0) << run.err;
    return run.json();
  }

  TempDir dir_;
  std::string path_ = dir_.file("a.vmsnap");
};

TEST_F(Show, PrintsTheManifestTheMemoryMapAndEveryDevice) {
  const ToolRun run = run_tool({"show", path_});
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.err, "");
  for (const char* heading :
       {"manifest: manifest 1.0\n", "\nmemory: memory_map 1.0\n", "\ncpu0: x86_cpu 2.0\n",
        "\ncpu1: x86_cpu 2.0\n", "\nisa0/uart@3f8: uart16550 1.1\n", "\npci0/00:03.0: virtio_blk 1.1\n",
        "\nvoid0: wormhole 7.3\n"}) {
    EXPECT_THAT(run.out, HasSubstr(heading));
  }
  EXPECT_THAT(run.out, HasSubstr("\"ram-low\""));
  EXPECT_THAT(run.out, HasSubstr("0xffffffff81000000"));
}

TEST_F(Show, NamesEveryFieldOfADeviceItWasNotBuiltWith) {
  const ToolRun run = show("void0");
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.err, "");
  EXPECT_THAT(run.out, ContainsRegex("control +0x0000cafe\n"));
  EXPECT_THAT(run.out, ContainsRegex("local_time +-42 ns\n"));
  EXPECT_THAT(run.out, ContainsRegex("open +true\n"));
  EXPECT_THAT(run.out, ContainsRegex("last_user +9223372036854775808\n"));
  EXPECT_THAT(run.out, ContainsRegex("exits +2 entries\n"));
  EXPECT_THAT(run.out, ContainsRegex("name +\"Vega\"\n"));
  EXPECT_THAT(run.out, ContainsRegex("weather +Storm\n"));
  EXPECT_THAT(run.out, ContainsRegex("place +distance 7 km  angle -3\n"));
  EXPECT_THAT(run.out, ContainsRegex("spins +1 2 65535\n"));
  EXPECT_THAT(run.out, HasSubstr("payload (Fog)"));
  EXPECT_THAT(run.out, ContainsRegex("sight +2.5\n"));
  EXPECT_THAT(run.out, HasSubstr("de ad be ef"));
  EXPECT_THAT(run.out, ContainsRegex("label +\"mind the gap\"\n"));
}

TEST_F(Show, GivesADeviceItWasNotBuiltWithAsJson) {
  EXPECT_EQ(show_json("void0"), Json::parse(R"({
    "control": "0xcafe", "local_time": "-42", "open": true, "last_user": "9223372036854775808",
    "exits": [{"name": "Antares", "weather": "Storm", "place": {"distance": "7", "angle": -3}},
              {"name": "Vega", "weather": "Storm", "place": {"distance": "7", "angle": -3}}],
    "spins": [1, 2, 65535], "payload_type": "Fog", "payload": {"sight": 2.5},
    "microcode": "deadbeef", "label": "mind the gap"})"));
}

TEST_F(Show, FindsASingleField) {
  EXPECT_EQ(show("cpu0.rip").out, "0x000000000000fff0\n");
  EXPECT_EQ(show("cpu1.rip").out, "0xffffffff81000000\n");
  EXPECT_EQ(show("cpu1.memory_types.pat").out, "0x0007040600070406\n");
  EXPECT_EQ(show("void0.exits[1].place.angle").out, "-3\n");
  EXPECT_EQ(show("void0.payload.sight").out, "2.5\n");
  EXPECT_EQ(show_json("cpu0.rip"), "0xfff0");
  EXPECT_EQ(show_json("void0.spins"), Json::array({1, 2, 65535}));
}

TEST_F(Show, TakesTheLongestPathThatFitsSincePathsContainDots) {
  EXPECT_EQ(show_json("pci0/00:03.0.pci.bars[0].size"), "0x4000");
  EXPECT_EQ(show_json("pci0/00:03.0.virtio.queues[0].descriptor_table"), "0x7000");
  EXPECT_THAT(show("pci0/00:03.0.pci.bars").out, ContainsRegex("Memory64"));
}

TEST_F(Show, AcceptsTheTypeOfADeviceThatIsTheOnlyOneOfItsType) {
  EXPECT_EQ(show("uart16550.lsr").out, "0x60\n");
  EXPECT_EQ(show("virtio_blk.serial").out, "\"vmsnap-disk0\"\n");
  EXPECT_EQ(show("x86_cpu.rip").status, 2);
}

TEST_F(Show, ShowsTheTablesOfTheFileByTheSameMeans) {
  EXPECT_EQ(show("manifest.devices[3].path").out, "\"pci0/00:03.0\"\n");
  EXPECT_EQ(show_json("memory.segments[0].name"), "ram-low");
  EXPECT_EQ(show_json("memory.mappings[1].guest_address"), "0xffffc000");
}

TEST_F(Show, ShowsTheMetaOfEveryChunkByItsNumber) {
  const auto reader = SnapshotReader::open(path_);
  ASSERT_TRUE(reader);
  for (const ChunkRecord& chunk : reader->container().chunks()) {
    const std::string number = "chunk#" + std::to_string(chunk.header.sequence);
    const ToolRun run = show(number);
    EXPECT_EQ(run.status, 0) << run.err;
    EXPECT_EQ(show(chunk.name()).out, run.out);
  }
  EXPECT_EQ(show_json(reader->segment_chunks(0).front()->name() + ".data_bytes"), "4096");
}

TEST_F(Show, ListsWhatExistsWhenANameDoesNot) {
  const ToolRun run = show("cpu7");
  EXPECT_EQ(run.status, 2);
  EXPECT_EQ(run.out, "");
  EXPECT_THAT(run.err, HasSubstr("\"cpu7\""));
  EXPECT_THAT(run.err, HasSubstr("manifest, memory, cpu0, cpu1, isa0/uart@3f8, pci0/00:03.0, void0"));
  const ToolRun field = show("void0.exit");
  EXPECT_EQ(field.status, 2);
  EXPECT_THAT(field.err, HasSubstr("void0"));
  EXPECT_THAT(field.err, HasSubstr("exits"));
  EXPECT_EQ(show("void0.exits[2]").status, 2);
  EXPECT_EQ(show("cpu0rip").status, 2);
  EXPECT_EQ(run_tool({"show", "--json", path_, "cpu7"}).json()["error"]["kind"], "usage");
}

TEST_F(Show, PrintsTheDocumentationOfTheSchemaOnRequest) {
  const ToolRun run = run_tool({"show", "--docs", path_, "void0"});
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.out, HasSubstr("Null when it has never been used."));
  EXPECT_THAT(show("void0").out, Not(HasSubstr("Null when it has never been used.")));
}

TEST_F(Show, GivesEverythingAsOneJsonDocument) {
  const ToolRun run = run_tool({"show", "--json", path_});
  ASSERT_EQ(run.status, 0);
  const Json all = run.json();
  EXPECT_EQ(all["manifest"]["producer"]["name"], "sampler");
  EXPECT_EQ(all["memory"]["segments"].size(), 2u);
  ASSERT_EQ(all["devices"].size(), 5u);
  EXPECT_EQ(all["devices"][4]["path"], "void0");
  EXPECT_EQ(all["devices"][4]["version"], "7.3");
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(all["devices"][i]["state"], show_json(all["devices"][i]["path"].get<std::string>()));
  }
  EXPECT_EQ(all["other_chunks"], Json::array());
}

TEST_F(Show, GoesOnAfterADeviceThatIsDamaged) {
  const auto reader = SnapshotReader::open(path_);
  ASSERT_TRUE(reader);
  flip_byte(path_, reader->device_chunk(kUart).meta_offset() + 20);
  const ToolRun text = run_tool({"show", path_});
  EXPECT_EQ(text.status, 4);
  EXPECT_THAT(text.out, HasSubstr("isa0/uart@3f8: uart16550 1.1\n  (cannot be shown)\n"));
  EXPECT_THAT(text.out, HasSubstr("mind the gap"));
  EXPECT_THAT(text.err, HasSubstr("isa0/uart@3f8"));
  const ToolRun json = run_tool({"show", "--json", path_});
  EXPECT_EQ(json.status, 4);
  EXPECT_EQ(json.json()["devices"][kUart]["state"], nullptr);
  EXPECT_EQ(json.json()["devices"][kWormhole]["state"]["open"], true);
  EXPECT_EQ(show("isa0/uart@3f8").status, 4);
  EXPECT_EQ(show("cpu0.rip").status, 0);
}

TEST_F(Show, RefusesStateThatIsNoFlatBufferThoughItsHashIsRight) {
  Sample sample = make_sample();
  ByteVector& state = sample.contents.device_states[kWormhole];
  state.resize(12);
  write_sample(path_, sample.contents);
  const ToolRun run = show("void0");
  EXPECT_EQ(run.status, 4);
  EXPECT_EQ(run.out, "");
}

TEST_F(Show, TellsOfValuesThatTheSchemaHasNoNameFor) {
  Sample sample = make_sample();
  sample.contents.device_states[kWormhole] = make_wormhole_state(5);
  write_sample(path_, sample.contents);
  const ToolRun run = show("void0");
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.out, ContainsRegex("weather +5"));
  EXPECT_THAT(run.err, HasSubstr("void0: exits[0].weather: "));
}

TEST_F(Show, ShowsChunksThatTheManifestDoesNotName) {
  for (const std::uint32_t flags : {std::uint32_t{0}, std::uint32_t{kChunkCritical}}) {
    const TempDir dir;
    const std::string path = dir.file("b.vmsnap");
    add_unnamed_chunk(path_, path, flags);
    const ToolRun text = run_tool({"show", path});
    EXPECT_EQ(text.status, 0) << text.err;
    EXPECT_THAT(text.out, ContainsRegex("\nchunk#[0-9]+: novelty 1.4\n"));
    const Json other = run_tool({"show", "--json", path}).json()["other_chunks"];
    ASSERT_EQ(other.size(), 1u);
    EXPECT_EQ(other[0]["chunk_type"], "xNEW");
    EXPECT_EQ(other[0]["type"], "novelty");
    EXPECT_EQ(other[0]["state"]["label"], "mind the gap");
  }
}

}  // namespace
}  // namespace vmsnap::snaptool
