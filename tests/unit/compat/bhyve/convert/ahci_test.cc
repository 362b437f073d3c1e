// SPDX-License-Identifier: BSD-2-Clause
#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

constexpr std::string_view kPath = "pci0/00:04.0";

const std::pair<std::string_view, std::string_view> kPortRegisters[] = {
    {"clb", "clb"},   {"clbu", "clbu"}, {"fb", "fb"},   {"fbu", "fbu"},   {"ie", "ie"},
    {"cmd", "cmd"},   {"tfd", "tfd"},   {"sig", "sig"}, {"ssts", "ssts"}, {"sctl", "sctl"},
    {"serr", "serr"}, {"sact", "sact"}, {"ci", "ci"},   {"sntf", "sntf"}, {"fbs", "fbs"},
};

/// An adapter of 6 ports with a drive on port 2.
ItemValues one_drive() {
  ItemValues items;
  items["ports"] = 6;
  items["cap"] = 0xc0341f05;
  std::uint64_t next = 0x10;
  for (const std::string_view item :
       {"ghc", "is", "pi", "vs", "ccc_ctl", "ccc_pts", "em_loc", "em_ctl", "cap2", "bohc"}) {
    items[std::string(item)] = next++;
  }
  items["lintr"] = 1;
  items["port[2].bctx"] = 0x812345678;
  items["port[2].port"] = 2;
  next = 0x1001;
  for (const auto& [item, field] : kPortRegisters) items["port[2]." + std::string(item)] = next += 0x1000;
  items["port[2].cmd_lst"] = 0x300100002001;
  items["port[2].rfis"] = 0x500100004001;
  items["port[2].ccs"] = 0x10;  // cmd is 7001h
  ByteVector identity(512);
  identity[0] = std::byte{0x40};
  identity[511] = std::byte{0xa5};
  items["port[2].ata_ident"] = identity;
  items["port[2].atapi"] = 1;
  items["port[2].reset"] = 1;
  items["port[2].waitforclear"] = 1;
  items["port[2].mult_sectors"] = 128;
  items["port[2].xfermode"] = 0x46;
  items["port[2].err_cfis"] = ByteVector(20, std::byte{9});
  items["port[2].sense_key"] = 5;
  items["port[2].asc"] = 0x24;
  items["port[2].ioqsz"] = 135;
  return items;
}

MappingRun run_of(const ItemValues& items, Shape shape = Shape::kB) {
  Context context;
  context.set_shapes(shape);
  return MappingRun("ahci", "by axes", context, items, Vendor::kIntel, std::string(kPath));
}

TEST(Ahci, GivesRegistersAndDriveBack) {
  MappingRun run = run_of(one_drive());
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("port[2].bctx"));

  EXPECT_EQ(run.field<std::uint32_t>(kPath, "cap"), 0xc0341f05u);
  std::uint32_t next = 0x10;
  for (const std::string_view field :
       {"ghc", "is", "pi", "vs", "ccc_ctl", "ccc_ports", "em_loc", "em_ctl", "cap2", "bohc"}) {
    EXPECT_EQ(run.field<std::uint32_t>(kPath, field), next++) << field;
  }
  EXPECT_TRUE(run.field<bool>(kPath, "pci.intx_asserted"));
  EXPECT_EQ(run.machine().find(kPath)->count("ports").value(), 1u);
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "ports[0].number"), 2);
  next = 0x1001;
  for (const auto& [item, field] : kPortRegisters) {
    EXPECT_EQ(run.field<std::uint32_t>(kPath, "ports[0]." + std::string(field)), next += 0x1000) << field;
  }
  EXPECT_EQ(run.field<std::uint32_t>(kPath, "ports[0].is"), 0u);
  EXPECT_TRUE(run.field<bool>(kPath, "ports[0].error_wait_for_clear"));
  const auto identity = run.field<ByteVector>(kPath, "ports[0].drive.identify");
  ASSERT_EQ(identity.size(), 512u);
  EXPECT_EQ(identity[511], std::byte{0xa5});
  EXPECT_TRUE(run.field<bool>(kPath, "ports[0].drive.packet_device"));
  EXPECT_TRUE(run.field<bool>(kPath, "ports[0].drive.software_reset"));
  EXPECT_EQ(run.field<std::uint16_t>(kPath, "ports[0].drive.multiple_sectors"), 128);
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "ports[0].drive.transfer_mode"), 0x46);
  EXPECT_EQ(run.field<ByteVector>(kPath, "ports[0].drive.ncq_error_log"), ByteVector(20, std::byte{9}));
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "ports[0].drive.sense_key"), 5);
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "ports[0].drive.asc"), 0x24);
  EXPECT_THAT(run.not_in_file(), Contains("ports[0].is"));
}

TEST(Ahci, HasNoPortsWithoutDrives) {
  MappingRun run = run_of({{"ports", 1}});
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre());
  EXPECT_EQ(run.machine().find(kPath)->count("ports").value(), 0u);
  EXPECT_EQ(run.field<std::uint32_t>(kPath, "ghc"), 0u);
}

TEST(Ahci, NumbersPortsByTheirPlaceWhateverTheFileSays) {
  ItemValues items = one_drive();
  items["port[2].port"] = 0xffffffff;
  items["port[31].bctx"] = 1;
  items["port[31].port"] = 31;
  MappingRun run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("port[2].bctx", "port[2].port", "port[31].ioqsz"));
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "ports[1].number"), 31);
}

TEST(Ahci, LeavesTheRequestsOfGenerationAToTheFile) {
  ItemValues items = one_drive();
  items["port[2].ioqsz"] = 2;
  items["port[2].ioreq[1].cfis"] = 0x3000;
  items["port[2].busy[0].index"] = ~std::uint64_t{0};
  items["port[2].pending"] = 1;
  items["port[2].ci"] = 1;
  MappingRun run = run_of(items, Shape::kA);
  const auto kept = run.kept_after_both_ways();
  EXPECT_THAT(kept, ::testing::IsSupersetOf({"port[2].pending", "port[2].ioqsz", "port[2].ioreq[1].cfis",
                                             "port[2].free", "port[2].blockif.magic"}));
  EXPECT_THAT(kept, ::testing::Not(Contains("port[2].ci")));
  EXPECT_EQ(run.field<std::uint32_t>(kPath, "ports[0].ci"), 1u);
}

TEST(Ahci, GivesADriveThatDoesNothingTheQueueOfGenerationA) {
  ItemValues items = one_drive();
  items["port[2].atapi"] = 0;
  std::vector<std::uint64_t> identity(256);
  identity[60] = 0xffff;
  identity[61] = 0x0fff;
  identity[83] = 0x4400;  // the number of sectors has 48 bits
  identity[100] = 0x0000;
  identity[101] = 0x4000;
  identity[102] = 0x0001;
  identity[106] = 0x6003;  // 8 logical sectors in a physical one
  items["port[2].ata_ident"] = array_of(2, identity);
  std::vector<std::uint64_t> free;
  for (std::uint64_t i = 0; i < 135; ++i) free.push_back(i);
  free.push_back(0xffffffff);
  items["port[2].free"] = array_of(4, free);
  items["port[2].busy[0].index"] = ~std::uint64_t{0};
  items["port[2].blockif.magic"] = 0xb109b109;
  items["port[2].blockif.size"] = 0x140000000 * 512;
  items["port[2].blockif.sectsz"] = 512;
  items["port[2].blockif.psectsz"] = 4096;
  MappingRun run = run_of(items, Shape::kA);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("port[2].bctx"));
}

TEST(Ahci, CountsTheBytesOfADriveWithLargeSectorsAndAddressesOf28Bits) {
  ItemValues items = one_drive();
  items["port[2].atapi"] = 0;
  std::vector<std::uint64_t> identity(256);
  identity[60] = 0x1000;
  identity[100] = 0xffff;  // means nothing
  identity[106] = 0x5000;  // logical sectors of words 117 and 118
  identity[117] = 2048;
  items["port[2].ata_ident"] = array_of(2, identity);
  items["port[2].busy[0].index"] = ~std::uint64_t{0};
  items["port[2].blockif.size"] = 0x1000 * 4096;
  items["port[2].blockif.sectsz"] = 4096;
  items["port[2].blockif.psectsz"] = 4096;
  MappingRun run = run_of(items, Shape::kA);
  EXPECT_THAT(run.kept_after_both_ways(),
              ElementsAre("port[2].bctx", "port[2].free", "port[2].blockif.magic"));
}

TEST(Ahci, KeepsNumbersApartThatTheRegisterCannotHold) {
  ItemValues items = one_drive();
  items["ports"] = 0xffffffff;
  items["lintr"] = 7;
  items["port[2].mult_sectors"] = 0x80000000;
  items["port[2].atapi"] = 0xffffffff;
  items["port[2].unused0"] = 1;
  items["port[2].ccs"] = 0xffffffff;
  items["port[2].cmd_lst"] = 0;
  MappingRun run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(),
              ElementsAre("ports", "lintr", "port[2].bctx", "port[2].cmd_lst", "port[2].atapi",
                          "port[2].mult_sectors", "port[2].ccs", "port[2].unused0"));
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
