// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "flatc.h"
#include "recorder.h"
#include "reflect/walker.h"

namespace vmsnap::reflect {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kSchema = R"(
  struct Entry { address: ulong; data: uint; words: [ushort:3]; }
  table Msix { table: [Entry] (id: 0); pending: [ulong] (id: 1); }
  table Pci { msix: Msix (id: 0); bars: [string] (id: 1); }
  table Disk { path: string (id: 0); } table Net { mac: [ubyte] (id: 0); } union Backend { Disk, Net }
  table R { pci: Pci (id: 0); spare: Pci (id: 1); backend: Backend (id: 3); other: Backend (id: 5); count: int = 4 (id: 6); }
  root_type R;)";
constexpr std::string_view kData = R"({
  pci: {msix: {table: [{address: 1, data: 2, words: [3, 4, 5]}, {address: 6, data: 7, words: [8, 9, 10]}], pending: [11, 12]},
        bars: []},
  backend_type: Disk, backend: {path: "disk0"}})";

class Find : public ::testing::Test {
 protected:
  std::vector<std::string> at(std::string_view path) {
    const auto place = find(model_, data_, path);
    if (!place) return {place.error().to_string()};
    Recorder recorder;
    const auto report = walk(model_, data_, *place, recorder);
    return report ? recorder.lines : std::vector<std::string>{report.error().to_string()};
  }

  std::string complaint(std::string_view path) {
    const auto place = find(model_, data_, path);
    if (place) return "it was found";
    EXPECT_EQ(place.error().kind(), ErrorKind::kUsage);
    return place.error().to_string();
  }

  SchemaModel model_ = compile_model(kSchema);
  ByteVector data_ = compile_data(kSchema, kData);
};

TEST_F(Find, ReachesNumbersInsideTablesListsAndStructs) {
  EXPECT_THAT(at("pci.msix.table[1].address"), ElementsAre("6"));
  EXPECT_THAT(at("pci.msix.table[1].words"), ElementsAre("(8 9 10)"));
  EXPECT_THAT(at("pci.msix.table[0].words[2]"), ElementsAre("5"));
  EXPECT_THAT(at("pci.msix.pending[1]"), ElementsAre("12"));
}

TEST_F(Find, ReachesWholeObjectsAndLists) {
  EXPECT_THAT(at("pci.bars"), ElementsAre("[ 0", "]"));
  EXPECT_EQ(at("pci.msix.table").front(), "[ 2");
  EXPECT_EQ(at("pci.msix.table[0]").front(), "{ Entry");
  EXPECT_EQ(at("").front(), "{ R");
}

TEST_F(Find, ReachesDefaultsAndAbsentValues) {
  EXPECT_THAT(at("count"), ElementsAre("4"));
  EXPECT_THAT(at("spare"), ElementsAre("null"));
  EXPECT_THAT(at("other"), ElementsAre("null"));
}

TEST_F(Find, PassesThroughUnions) {
  EXPECT_THAT(at("backend.path"), ElementsAre("\"disk0\""));
  EXPECT_THAT(at("backend"), ElementsAre("{ Disk", "path:", "\"disk0\"", "}"));
}

TEST_F(Find, ListsTheFieldsThatExistWhenOneDoesNot) {
  EXPECT_EQ(complaint("pci.msi"), "pci has no field \"msi\"; its fields are msix, bars");
  EXPECT_THAT(complaint("nothing"),
              HasSubstr("the state has no field \"nothing\"; its fields are pci, spare, backend_type"));
  EXPECT_THAT(complaint("backend.mac"), HasSubstr("its fields are path"));
}

TEST_F(Find, SaysWhichElementsThereAre) {
  EXPECT_THAT(complaint("pci.msix.table[2]"), HasSubstr("its elements are [0] to [1]"));
  EXPECT_THAT(complaint("pci.bars[0]"), HasSubstr("is empty"));
  EXPECT_THAT(complaint("pci[0]"), HasSubstr("pci is no list"));
  EXPECT_THAT(complaint("pci.msix.table.address"), HasSubstr("is a list; name an element first"));
}

TEST_F(Find, SaysWhenAPartOfThePathIsAbsent) {
  EXPECT_EQ(complaint("spare.msix"), "spare is absent here; it has no field \"msix\"");
  EXPECT_THAT(complaint("other.path"), HasSubstr("other is absent here"));
  EXPECT_THAT(complaint("count.x"), HasSubstr("count is a single value"));
}

TEST_F(Find, RefusesWordsThatAreNoPath) {
  for (const std::string_view path :
       {".", "pci.", ".pci", "pci..msix", "pci.msix.table[", "pci.msix.table[x]", "pci.msix.table[1",
        "pci.msix.table[-1]", "pci.msix.table[1]address", "pci.msix.table[99999999999]", "pci]"}) {
    EXPECT_THAT(complaint(path), HasSubstr("is no path")) << path;
  }
}

TEST_F(Find, NeverRepeatsTerminalEscapesOfThePath) {
  EXPECT_EQ(complaint("pci.\x1b[2J").find('\x1b'), std::string::npos);
  EXPECT_EQ(complaint("\x1b]0;x").find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace vmsnap::reflect
