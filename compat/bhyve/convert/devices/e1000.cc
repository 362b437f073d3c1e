// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "bhyve/convert/devices/pci_prefix.h"
#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

/// Full duplex, link up, 1000 Mbit/s.
constexpr std::uint64_t kStatus = 0x83;

constexpr std::uint32_t kEnable = 0x2;               // of TCTL and of RCTL
constexpr std::uint32_t kLoopback = 0xc0;            // of RCTL: LBM
constexpr std::uint32_t kSegmentation = 0x04000000;  // of a context descriptor: TUCMD.TSE
constexpr std::uint64_t kNull = ~std::uint64_t{0};

constexpr std::size_t kReceiveAddresses = 16;
constexpr std::size_t kMacSize = 6;
constexpr std::uint64_t kAddressValid = std::uint64_t{1} << 63;

constexpr Row kRows[] = {
    {"CTRL", "ctrl"},
    {"FCAL", "fcal"},
    {"FCAH", "fcah"},
    {"FCT", "fct"},
    {"VET", "vet"},
    {"FCTTV", "fcttv"},
    {"LEDCTL", "ledctl"},
    {"PBA", "pba"},
    {"irq_asserted", "pci.intx_asserted"},
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
    {"fmcast", "mta"},
    {"fvlan", "vfta"},
    {"nvm_opaddr", "eeprom.command"},
    {"nvm_data", "eeprom.data"},
    {"nvm_bits", "eeprom.bits_left"},
    {"eeprom_data", "eeprom.words"},
    {"missed_pkt_count", "statistics.mpc"},
    {"good_pkt_rx", "statistics.gprc"},
    {"bcast_pkt_rx", "statistics.bprc"},
    {"mcast_pkt_rx", "statistics.mprc"},
    {"good_pkt_tx", "statistics.gptc"},
    {"bcast_pkt_tx", "statistics.bptc"},
    {"mcast_pkt_tx", "statistics.mptc"},
    {"oversize_rx", "statistics.roc"},
    {"tso_tx", "statistics.tsctc"},
    {"good_octets_rx", "statistics.gorc"},
    {"good_octets_tx", "statistics.gotc"},
};

constexpr Row kContextRows[] = {
    {"txctx.ip_config", "ip_checksum"},
    {"txctx.tcp_config", "tcp_checksum"},
    {"txctx.cmd_and_length", "length_and_command"},
    {"txctx.tcp_seg", "segmentation"},
};

/// Counters of packets by size, in the order in which bhyve has them.
struct BySize {
  std::string_view item;
  std::string_view fields[6];
};
constexpr BySize kBySize[] = {
    {"pkt_rx_by_size", {"prc64", "prc127", "prc255", "prc511", "prc1023", "prc1522"}},
    {"pkt_tx_by_size", {"ptc64", "ptc127", "ptc255", "ptc511", "ptc1023", "ptc1522"}},
};

Result<void> receive_addresses_up(const SourceChunk& chunk, StateTree& state) {
  std::vector<std::uint64_t> addresses(kReceiveAddresses);
  for (std::size_t n = 0; n < kReceiveAddresses; ++n) {
    const std::string item = fmt::format("uni[{}].", n);
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t valid, chunk.number(item + "eu_valid"));
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t select, chunk.number(item + "eu_addrsel"));
    VMSNAP_ASSIGN_OR_RETURN(const ByteView mac, chunk.bytes(item + "eu_eth"));
    std::uint64_t address = (valid != 0 ? kAddressValid : 0) | (select & 3) << 48;
    for (std::size_t i = 0; i < kMacSize; ++i) address |= std::to_integer<std::uint64_t>(mac[i]) << 8 * i;
    addresses[n] = address;
  }
  return state.set("ra", addresses);
}

Result<void> receive_addresses_down(const StateTree& state, Values& values) {
  VMSNAP_ASSIGN_OR_RETURN(const auto addresses, state.get<std::vector<std::uint64_t>>("ra"));
  for (std::size_t n = 0; n < std::min(addresses.size(), kReceiveAddresses); ++n) {
    const std::string item = fmt::format("uni[{}].", n);
    ByteVector mac(kMacSize);
    for (std::size_t i = 0; i < kMacSize; ++i) mac[i] = static_cast<std::byte>(addresses[n] >> 8 * i);
    values.map(item + "eu_valid", addresses[n] >> 63);
    values.map(item + "eu_addrsel", addresses[n] >> 48 & 3);
    values.map(item + "eu_eth", std::move(mac));
  }
  return {};
}

/// bhyve has one context of the two.
Result<void> context_up(const SourceChunk& chunk, StateTree& state) {
  bool is_loaded = false;
  for (const Row& row : kContextRows) {
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t word, chunk.number(row.item));
    is_loaded = is_loaded || word != 0;
  }
  if (!is_loaded) return {};
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t command, chunk.number("txctx.cmd_and_length"));
  const bool segments = (command & kSegmentation) != 0;
  return carry_up(kContextRows, chunk, "", state, segments ? "segmentation_context." : "offload_context.");
}

Result<void> context_down(const StateTree& state, Values& values) {
  for (const std::string_view context : {"segmentation_context", "offload_context"}) {
    VMSNAP_ASSIGN_OR_RETURN(const bool is_loaded, state.has(context));
    if (is_loaded) return carry_down(kContextRows, state, fmt::format("{}.", context), values, "");
  }
  for (const Row& row : kContextRows) values.map(std::string(row.item), 0);
  return {};
}

Result<void> statistics_up(const SourceChunk& chunk, StateTree& state) {
  for (const BySize& counters : kBySize) {
    for (std::size_t i = 0; i < std::size(counters.fields); ++i) {
      VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t count, chunk.number(counters.item, i));
      VMSNAP_RETURN_IF_ERROR(state.set(fmt::format("statistics.{}", counters.fields[i]), count));
    }
  }
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t missed_octets, chunk.number("missed_octets"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t missed, chunk.number("missed_pkt_count"));
  VMSNAP_ASSIGN_OR_RETURN(const auto gorc, state.get<std::uint64_t>("statistics.gorc"));
  VMSNAP_ASSIGN_OR_RETURN(const auto gotc, state.get<std::uint64_t>("statistics.gotc"));
  VMSNAP_ASSIGN_OR_RETURN(const auto gprc, state.get<std::uint32_t>("statistics.gprc"));
  VMSNAP_ASSIGN_OR_RETURN(const auto gptc, state.get<std::uint32_t>("statistics.gptc"));
  VMSNAP_RETURN_IF_ERROR(state.set("statistics.tor", gorc + missed_octets));
  VMSNAP_RETURN_IF_ERROR(state.set("statistics.tot", gotc));
  VMSNAP_RETURN_IF_ERROR(state.set("statistics.tpr", static_cast<std::uint32_t>(gprc + missed)));
  return state.set("statistics.tpt", gptc);
}

Result<void> statistics_down(const StateTree& state, Values& values) {
  for (const BySize& counters : kBySize) {
    ByteVector bytes(std::size(counters.fields) * sizeof(std::uint32_t));
    for (std::size_t i = 0; i < std::size(counters.fields); ++i) {
      VMSNAP_ASSIGN_OR_RETURN(const auto count,
                              state.get<std::uint32_t>(fmt::format("statistics.{}", counters.fields[i])));
      store_le(MutableByteView(bytes), i * sizeof count, count);
    }
    values.map(std::string(counters.item), std::move(bytes));
  }
  VMSNAP_ASSIGN_OR_RETURN(const auto gorc, state.get<std::uint64_t>("statistics.gorc"));
  VMSNAP_ASSIGN_OR_RETURN(const auto tor, state.get<std::uint64_t>("statistics.tor"));
  values.map("missed_octets", tor - gorc);
  return {};
}

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * network, machine.device(chunk.device_path, "e1000"));
  VMSNAP_RETURN_IF_ERROR(pci_up(chunk, machine, *network, "pci."));
  VMSNAP_RETURN_IF_ERROR(carry_up(kRows, chunk, "", *network, ""));
  VMSNAP_RETURN_IF_ERROR(network->set("status", kStatus));
  VMSNAP_RETURN_IF_ERROR(receive_addresses_up(chunk, *network));
  VMSNAP_RETURN_IF_ERROR(context_up(chunk, *network));
  VMSNAP_RETURN_IF_ERROR(statistics_up(chunk, *network));
  machine.not_in_file({chunk.device_path, "status, phy", "a link of 1000 Mbit/s, and the PHY after a reset",
                       "What the guest has set in the PHY reads as after a reset."});
  machine.not_in_file({chunk.device_path, "eeprom.phase", "not known",
                       "An access to the EEPROM that was under way fails; drivers begin again."});
  machine.not_in_file({chunk.device_path, "registers and counters that bhyve does not have", "0",
                       "None: the guest has never read anything else there."});
  return {};
}

/// What bhyve keeps of a ring besides its registers: its base, and where that is in its own memory.
Result<void> ring_down(const StateTree& state, std::string_view letter, bool is_enabled, Values& values) {
  VMSNAP_ASSIGN_OR_RETURN(const auto low, state.get<std::uint32_t>(fmt::format("{}dbal", letter)));
  VMSNAP_ASSIGN_OR_RETURN(const auto high, state.get<std::uint32_t>(fmt::format("{}dbah", letter)));
  const std::uint64_t base = std::uint64_t{high} << 32 | low;
  values.derive(fmt::format("{}dba", letter), is_enabled ? base : 0);
  values.derive(fmt::format("{}xdesc", letter), is_enabled ? base : kNull);
  values.derive(fmt::format("{}x_enabled", letter), is_enabled ? 1 : 0);
  return {};
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  Values& values = chunk.values;
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* network, machine.need(chunk.device_path));
  VMSNAP_RETURN_IF_ERROR(pci_down(*network, "pci.", chunk));
  VMSNAP_RETURN_IF_ERROR(carry_down(kRows, *network, "", values, ""));
  VMSNAP_RETURN_IF_ERROR(receive_addresses_down(*network, values));
  VMSNAP_RETURN_IF_ERROR(context_down(*network, values));
  VMSNAP_RETURN_IF_ERROR(statistics_down(*network, values));

  VMSNAP_ASSIGN_OR_RETURN(const auto tctl, network->get<std::uint32_t>("tctl"));
  VMSNAP_ASSIGN_OR_RETURN(const auto rctl, network->get<std::uint32_t>("rctl"));
  const bool receives = (rctl & kEnable) != 0;
  VMSNAP_RETURN_IF_ERROR(ring_down(*network, "t", (tctl & kEnable) != 0, values));
  VMSNAP_RETURN_IF_ERROR(ring_down(*network, "r", receives, values));
  values.derive("rx_loopback", receives && (rctl & kLoopback) != 0 ? 1 : 0);
  VMSNAP_ASSIGN_OR_RETURN(const auto bits, network->get<std::uint32_t>("eeprom.bits_left"));
  values.derive("nvm_bits_again", bits);
  VMSNAP_ASSIGN_OR_RETURN(auto words, network->get<std::vector<std::uint16_t>>("eeprom.words"));
  words.resize(kMacSize / 2);
  ByteVector mac(kMacSize);
  for (std::size_t i = 0; i < words.size(); ++i) store_le(MutableByteView(mac), 2 * i, words[i]);
  values.derive("mac", std::move(mac));
  return {};
}

}  // namespace

namespace mappings {
constinit const Mapping kE1000 = {"e1000", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
