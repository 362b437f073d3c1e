// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/pci_prefix.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kUnicast[] = {
    i32("eu_valid"),
    i32("eu_addrsel"),
    u8("eu_eth", 6),
};

constexpr Item kBody[] = {
    u8("mac", 6),
    u32("CTRL"),
    u32("FCAL"),
    u32("FCAH"),
    u32("FCT"),
    u32("VET"),
    u32("FCTTV"),
    u32("LEDCTL"),
    u32("PBA"),
    i32("irq_asserted"),
    u32("ICR"),
    u32("ITR"),
    u32("ICS"),
    u32("IMS"),
    u32("IMC"),
    u32("txctx.ip_config"),
    u32("txctx.tcp_config"),
    u32("txctx.cmd_and_length"),
    u32("txctx.tcp_seg"),
    i32("tx_enabled"),
    i32("tx_active"),
    u32("TXCW"),
    u32("TCTL"),
    u32("TIPG"),
    u16("AIT"),
    u64("tdba"),
    u32("TDBAL"),
    u32("TDBAH"),
    u32("TDLEN"),
    u16("TDH"),
    u16("TDHr"),
    u16("TDT"),
    u32("TIDV"),
    u32("TXDCTL"),
    u32("TADV"),
    gaddr_or_null("txdesc"),
    record("uni", kUnicast).times(16),
    u32("fmcast", 128),
    u32("fvlan", 128),
    i32("rx_enabled"),
    i32("rx_active"),
    i32("rx_loopback"),
    u32("RCTL"),
    u32("FCRTL"),
    u32("FCRTH"),
    u64("rdba"),
    u32("RDBAL"),
    u32("RDBAH"),
    u32("RDLEN"),
    u16("RDH"),
    u16("RDT"),
    u32("RDTR"),
    u32("RXDCTL"),
    u32("RADV"),
    u32("RSRPD"),
    u32("RXCSUM"),
    gaddr_or_null("rxdesc"),
    u32("io_addr"),
    u32("mdi_control"),
    u32("eeprom_control"),
    u16("nvm_data"),
    u16("nvm_opaddr"),
    u32("missed_pkt_count"),
    u32("pkt_rx_by_size", 6),
    u32("pkt_tx_by_size", 6),
    u32("good_pkt_rx"),
    u32("bcast_pkt_rx"),
    u32("mcast_pkt_rx"),
    u32("good_pkt_tx"),
    u32("bcast_pkt_tx"),
    u32("mcast_pkt_tx"),
    u32("oversize_rx"),
    u32("tso_tx"),
    u64("good_octets_rx"),
    u64("good_octets_tx"),
    u64("missed_octets"),
    u64("nvm_bits"),
    u64("nvm_bits_again").note("bhyve meant to store nvm_mode here, which is lost"),
    u16("eeprom_data", 64),
};

constexpr Item kItems[] = {group(kPciPrefix), group(kBody)};

constexpr Layout kLayouts[] = {layout("e1000", "by axes", "all", kItems)};

}  // namespace

constinit const std::span<const Layout> kE1000 = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
