// SPDX-License-Identifier: BSD-2-Clause
#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsSupersetOf;

constexpr std::string_view kPath = "pci0/00:05.0";
constexpr std::uint64_t kNull = ~std::uint64_t{0};

/// A card that nobody has touched: MAC 58:9c:fc:01:02:03, both directions off.
ItemValues untouched() {
  ItemValues items;
  items["mac"] = bytes_of({0x58, 0x9c, 0xfc, 0x01, 0x02, 0x03});
  std::vector<std::uint64_t> words(64);
  words[0] = 0x9c58;
  words[1] = 0x01fc;
  words[2] = 0x0302;
  words[63] = 0xbaba;
  items["eeprom_data"] = array_of(2, words);
  items["txdesc"] = kNull;
  items["rxdesc"] = kNull;
  return items;
}

MappingRun run_of(const ItemValues& items) {
  return MappingRun("e1000", "by axes", {}, items, Vendor::kIntel, std::string(kPath));
}

std::uint32_t dword(const MappingRun& run, std::string_view field) {
  return run.field<std::uint32_t>(kPath, field);
}

TEST(E1000, GivesEveryRegisterBackUnderItsName) {
  const std::pair<std::string_view, std::string_view> registers[] = {
      {"CTRL", "ctrl"},
      {"FCAL", "fcal"},
      {"FCAH", "fcah"},
      {"FCT", "fct"},
      {"VET", "vet"},
      {"FCTTV", "fcttv"},
      {"LEDCTL", "ledctl"},
      {"PBA", "pba"},
      {"ICR", "icr"},
      {"ITR", "itr"},
      {"IMS", "ims"},
      {"TXCW", "txcw"},
      {"TCTL", "tctl"},
      {"TIPG", "tipg"},
      {"AIT", "ait"},
      {"TDBAL", "tdbal"},
      {"TDBAH", "tdbah"},
      {"TDLEN", "tdlen"},
      {"TDH", "tdh"},
      {"TDT", "tdt"},
      {"TIDV", "tidv"},
      {"TXDCTL", "txdctl"},
      {"TADV", "tadv"},
      {"RCTL", "rctl"},
      {"FCRTL", "fcrtl"},
      {"FCRTH", "fcrth"},
      {"RDBAL", "rdbal"},
      {"RDBAH", "rdbah"},
      {"RDLEN", "rdlen"},
      {"RDH", "rdh"},
      {"RDT", "rdt"},
      {"RDTR", "rdtr"},
      {"RXDCTL", "rxdctl"},
      {"RADV", "radv"},
      {"RSRPD", "rsrpd"},
      {"RXCSUM", "rxcsum"},
      {"io_addr", "ioaddr"},
      {"mdi_control", "mdic"},
      {"eeprom_control", "eecd"},
      {"nvm_bits", "eeprom.bits_left"},
  };
  ItemValues items = untouched();
  std::uint64_t next = 0x1000;
  for (const auto& [item, field] : registers) items[std::string(item)] = next += 4;  // bit 1 stays 0
  items["nvm_bits_again"] = items["nvm_bits"];
  items["nvm_opaddr"] = 0x186;
  items["nvm_data"] = 0xbeef;
  items["irq_asserted"] = 1;
  MappingRun run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("ICS", "IMC", "tx_active", "TDHr", "rx_active"));
  next = 0x1000;
  for (const auto& [item, field] : registers) EXPECT_EQ(dword(run, field), next += 4) << field;
  EXPECT_EQ(run.field<std::uint16_t>(kPath, "eeprom.command"), 0x186);
  EXPECT_EQ(run.field<std::uint16_t>(kPath, "eeprom.data"), 0xbeef);
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "eeprom.phase"), 0);
  EXPECT_EQ(run.field<std::vector<std::uint16_t>>(kPath, "eeprom.words")[63], 0xbaba);
  EXPECT_TRUE(run.field<bool>(kPath, "pci.intx_asserted"));
  EXPECT_EQ(dword(run, "status"), 0x83u);
  EXPECT_FALSE(run.field<std::optional<std::vector<std::uint16_t>>>(kPath, "phy").has_value());
  EXPECT_THAT(run.not_in_file(), IsSupersetOf({"status, phy", "eeprom.phase"}));
}

TEST(E1000, ConcludesItsRingsFromTheRegistersWhileTheyAreEnabled) {
  ItemValues items = untouched();
  items["TCTL"] = items["RCTL"] = 0x42;  // EN, and LBM of RCTL
  items["TDBAL"] = 0x3000;
  items["TDBAH"] = 0x1;
  items["RDBAL"] = 0x4000;
  items["tdba"] = items["txdesc"] = 0x100003000;
  items["rdba"] = items["rxdesc"] = 0x4000;
  items["tx_enabled"] = items["rx_enabled"] = items["rx_loopback"] = 1;
  MappingRun run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("ICS", "IMC", "tx_active", "TDHr", "rx_active"));
}

TEST(E1000, KeepsADisabledRingApartThatBhyveStillRemembers) {
  ItemValues items = untouched();
  items["tdba"] = items["txdesc"] = 0x3000;
  items["TDBAL"] = 0x3000;
  MappingRun run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(), IsSupersetOf({"tdba", "txdesc"}));
}

TEST(E1000, PutsUnicastAddressesIntoTheReceiveAddressRegisters) {
  ItemValues items = untouched();
  items["uni[0].eu_valid"] = 1;
  items["uni[0].eu_eth"] = bytes_of({0x58, 0x9c, 0xfc, 0x01, 0x02, 0x03});
  items["uni[15].eu_addrsel"] = 2;
  items["uni[15].eu_eth"] = bytes_of({1, 2, 3, 4, 5, 6});
  items["uni[3].eu_valid"] = 2;  // as true as 1
  items["uni[4].eu_addrsel"] = 0xfffffffd;
  items["fmcast"] = array_of(4, std::vector<std::uint64_t>(128, 0x80000001));
  items["fvlan"] = array_of(4, std::vector<std::uint64_t>(128, 0x40000002));
  MappingRun run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("ICS", "IMC", "tx_active", "TDHr", "uni[3].eu_valid",
                                                      "uni[4].eu_addrsel", "rx_active"));
  const auto addresses = run.field<std::vector<std::uint64_t>>(kPath, "ra");
  ASSERT_EQ(addresses.size(), 16u);
  EXPECT_EQ(addresses[0], 0x8000030201fc9c58);
  EXPECT_EQ(addresses[3], 0x8000000000000000);
  EXPECT_EQ(addresses[15], 0x0002060504030201);
  EXPECT_EQ(run.field<std::vector<std::uint32_t>>(kPath, "mta"), std::vector<std::uint32_t>(128, 0x80000001));
  EXPECT_EQ(run.field<std::vector<std::uint32_t>>(kPath, "vfta"),
            std::vector<std::uint32_t>(128, 0x40000002));
}

TEST(E1000, TellsTheContextForSegmentationFromThatForChecksums) {
  ItemValues items = untouched();
  items["txctx.ip_config"] = 1;
  items["txctx.tcp_config"] = 2;
  items["txctx.cmd_and_length"] = 0x24000003;
  items["txctx.tcp_seg"] = 4;
  MappingRun segmentation = run_of(items);
  EXPECT_THAT(segmentation.kept_after_both_ways(),
              ElementsAre("ICS", "IMC", "tx_active", "TDHr", "rx_active"));
  EXPECT_EQ(dword(segmentation, "segmentation_context.segmentation"), 4u);
  EXPECT_FALSE(segmentation.machine().find(kPath)->has("offload_context").value());

  items["txctx.cmd_and_length"] = 0x20000003;
  MappingRun checksums = run_of(items);
  EXPECT_THAT(checksums.kept_after_both_ways(), ElementsAre("ICS", "IMC", "tx_active", "TDHr", "rx_active"));
  EXPECT_EQ(dword(checksums, "offload_context.ip_checksum"), 1u);
  EXPECT_FALSE(checksums.machine().find(kPath)->has("segmentation_context").value());

  MappingRun neither = run_of(untouched());
  EXPECT_THAT(neither.kept_after_both_ways(), ElementsAre("ICS", "IMC", "tx_active", "TDHr", "rx_active"));
  EXPECT_FALSE(neither.machine().find(kPath)->has("offload_context").value());
}

TEST(E1000, CountsTotalsFromWhatBhyveCounts) {
  ItemValues items = untouched();
  items["pkt_rx_by_size"] = array_of(4, {1, 2, 3, 4, 5, 6});
  items["pkt_tx_by_size"] = array_of(4, {11, 12, 13, 14, 15, 16});
  items["missed_pkt_count"] = 7;
  items["good_pkt_rx"] = 0xffffffff;
  items["good_pkt_tx"] = 30;
  items["oversize_rx"] = 31;
  items["tso_tx"] = 32;
  items["good_octets_rx"] = 0xfffffffffffffff0;
  items["good_octets_tx"] = 5000;
  items["missed_octets"] = 0x20;
  MappingRun run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("ICS", "IMC", "tx_active", "TDHr", "rx_active"));
  EXPECT_EQ(dword(run, "statistics.prc64"), 1u);
  EXPECT_EQ(dword(run, "statistics.prc1522"), 6u);
  EXPECT_EQ(dword(run, "statistics.ptc127"), 12u);
  EXPECT_EQ(dword(run, "statistics.mpc"), 7u);
  EXPECT_EQ(dword(run, "statistics.tpr"), 6u);
  EXPECT_EQ(dword(run, "statistics.tpt"), 30u);
  EXPECT_EQ(dword(run, "statistics.roc"), 31u);
  EXPECT_EQ(dword(run, "statistics.tsctc"), 32u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "statistics.gorc"), 0xfffffffffffffff0);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "statistics.tor"), 0x10u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "statistics.tot"), 5000u);
}

TEST(E1000, KeepsNumbersApartThatTheRegisterCannotHold) {
  ItemValues items = untouched();
  items["nvm_bits"] = 0x100000000;
  items["irq_asserted"] = 2;
  items["mac"] = bytes_of({1, 2, 3, 4, 5, 6});
  MappingRun run = run_of(items);
  const auto kept = run.kept_after_both_ways();
  EXPECT_THAT(kept, IsSupersetOf({"nvm_bits", "irq_asserted", "mac"}));
  EXPECT_TRUE(run.field<bool>(kPath, "pci.intx_asserted"));
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
