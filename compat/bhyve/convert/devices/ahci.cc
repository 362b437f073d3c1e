// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <array>

#include "bhyve/convert/devices/ata_identity.h"
#include "bhyve/convert/devices/pci_prefix.h"
#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::size_t kPorts = 32;
constexpr std::uint32_t kNumberOfPorts = 0x1f;  // of CAP: NP

/// Requests that bhyve's block layer takes at a time.
constexpr std::uint64_t kRequests = 135;
constexpr std::uint64_t kMinusOne = ~std::uint64_t{0};
constexpr std::uint64_t kBlockDeviceMagic = 0xb109b109;

constexpr Row kRows[] = {
    {"cap", "cap"},       {"ghc", "ghc"},         {"is", "is"},         {"pi", "pi"},
    {"vs", "vs"},         {"ccc_ctl", "ccc_ctl"}, {"em_loc", "em_loc"}, {"ccc_pts", "ccc_ports"},
    {"em_ctl", "em_ctl"}, {"cap2", "cap2"},       {"bohc", "bohc"},     {"lintr", "pci.intx_asserted"},
};

constexpr Row kPortRows[] = {
    {"clb", "clb"},
    {"clbu", "clbu"},
    {"fb", "fb"},
    {"fbu", "fbu"},
    {"ie", "ie"},
    {"cmd", "cmd"},
    {"tfd", "tfd"},
    {"sig", "sig"},
    {"ssts", "ssts"},
    {"sctl", "sctl"},
    {"serr", "serr"},
    {"sact", "sact"},
    {"ci", "ci"},
    {"sntf", "sntf"},
    {"fbs", "fbs"},
    {"waitforclear", "error_wait_for_clear"},
    {"ata_ident", "drive.identify"},
    {"atapi", "drive.packet_device"},
    {"reset", "drive.software_reset"},
    {"mult_sectors", "drive.multiple_sectors"},
    {"xfermode", "drive.transfer_mode"},
    {"err_cfis", "drive.ncq_error_log"},
    {"sense_key", "drive.sense_key"},
    {"asc", "drive.asc"},
};

Result<void> port_up(const SourceChunk& chunk, Machine& machine, StateTree& adapter, std::size_t number) {
  const std::string item = fmt::format("port[{}].", number);
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t drive, chunk.number(item + "bctx"));
  if (drive == 0) return {};
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t place, adapter.append("ports"));
  const std::string port = fmt::format("ports[{}].", place);
  VMSNAP_RETURN_IF_ERROR(adapter.set(port + "number", number));
  VMSNAP_RETURN_IF_ERROR(carry_up(kPortRows, chunk, item, adapter, port));
  machine.not_in_file({chunk.device_path, port + "is", "0",
                       "The cause of an interrupt that the guest has not yet handled is lost; a driver that "
                       "waits for it resets the port when its time is up."});
  return {};
}

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * adapter, machine.device(chunk.device_path, "ahci"));
  VMSNAP_RETURN_IF_ERROR(pci_up(chunk, machine, *adapter, "pci."));
  VMSNAP_RETURN_IF_ERROR(carry_up(kRows, chunk, "", *adapter, ""));
  VMSNAP_RETURN_IF_ERROR(adapter->make("ports"));
  for (std::size_t number = 0; number < kPorts; ++number) {
    VMSNAP_RETURN_IF_ERROR(port_up(chunk, machine, *adapter, number));
  }
  return {};
}

Result<std::uint64_t> address_down(const StateTree& adapter, const std::string& low,
                                   const std::string& high) {
  VMSNAP_ASSIGN_OR_RETURN(const auto low_bits, adapter.get<std::uint32_t>(low));
  VMSNAP_ASSIGN_OR_RETURN(const auto high_bits, adapter.get<std::uint32_t>(high));
  return std::uint64_t{high_bits} << 32 | low_bits;
}

/// The queue of a drive that does nothing, as generation A has it, and its file as far as the drive tells:
/// flags that say what a file can do more than others are 0, with which bhyve manages on any.
Result<void> queue_down(const StateTree& adapter, const std::string& port, Values& values,
                        const std::string& item) {
  values.derive(item + "ioqsz", kRequests);
  ByteVector free((kRequests + 1) * sizeof(std::uint32_t));
  for (std::uint64_t i = 0; i < kRequests; ++i) {
    for (const std::string_view name : {"cfis", "len", "done", "slot", "more", "readop"}) {
      values.derive(fmt::format("{}ioreq[{}].{}", item, i, name), 0);
    }
    store_le(MutableByteView(free), 4 * i, static_cast<std::uint32_t>(i));
  }
  store_le(MutableByteView(free), 4 * kRequests, ~std::uint32_t{0});
  values.derive(item + "free", std::move(free));
  values.derive(item + "busy[0].index", kMinusOne);

  const std::string file = item + "blockif.";
  VMSNAP_ASSIGN_OR_RETURN(const bool takes_packets, adapter.get<bool>(port + "drive.packet_device"));
  for (const std::string_view name : {"ischr", "isgeom", "candelete", "psectoff", "closing"}) {
    values.derive(fmt::format("{}{}", file, name), 0);
  }
  values.derive(file + "magic", kBlockDeviceMagic);
  values.derive(file + "rdonly", takes_packets ? 1 : 0);
  if (takes_packets) {
    values.leave_out(
        file + "size",
        fmt::format("how large the medium in the optical drive of {} is, the snapshot does not say, and 13.0 "
                    "and 13.1 take it from there: the guest finds one of 0 bytes until bhyve starts anew",
                    item.substr(0, item.size() - 1)));
    return {};
  }
  VMSNAP_ASSIGN_OR_RETURN(ByteVector bytes, adapter.get<ByteVector>(port + "drive.identify"));
  const AtaIdentity identity(std::move(bytes));
  values.derive(file + "size", identity.size());
  values.derive(file + "sectsz", identity.sector_size());
  values.derive(file + "psectsz", identity.physical_sector_size());
  return {};
}

/// `place` is that of the port among those of the adapter.
Result<void> port_down(const StateTree& adapter, std::size_t place, std::size_t number, Shape shape,
                       Values& values) {
  const std::string port = fmt::format("ports[{}].", place);
  const std::string item = fmt::format("port[{}].", number);
  values.derive(item + "bctx", 1);
  values.derive(item + "port", number);
  VMSNAP_RETURN_IF_ERROR(carry_down(kPortRows, adapter, port, values, item));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t commands, address_down(adapter, port + "clb", port + "clbu"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t received, address_down(adapter, port + "fb", port + "fbu"));
  VMSNAP_ASSIGN_OR_RETURN(const auto cmd, adapter.get<std::uint32_t>(port + "cmd"));
  values.derive(item + "cmd_lst", commands);
  values.derive(item + "rfis", received);
  values.derive(item + "ccs", cmd >> 8 & 0x1f);
  values.derive(item + "pending", 0);
  if (shape != Shape::kA) {
    // Its requests are not in the file.
    values.prefer(
        item + "pending",
        fmt::format("commands of port[{}] were under way, which only 13.0 and 13.1 keep: they count "
                    "as not begun, and bhyve carries them out with the next command of the port",
                    number));
  }
  values.derive(item + "unused0", 0);
  return queue_down(adapter, port, values, item);
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  Values& values = chunk.values;
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* adapter, machine.need(chunk.device_path));
  VMSNAP_RETURN_IF_ERROR(pci_down(*adapter, "pci.", chunk));
  VMSNAP_RETURN_IF_ERROR(carry_down(kRows, *adapter, "", values, ""));
  VMSNAP_ASSIGN_OR_RETURN(const auto cap, adapter->get<std::uint32_t>("cap"));
  values.derive("ports", (cap & kNumberOfPorts) + 1);
  for (std::size_t number = 0; number < kPorts; ++number) {
    values.derive(fmt::format("port[{}].bctx", number), 0);
    values.derive(fmt::format("port[{}].port", number), 0);
  }
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t ports, adapter->count("ports"));
  for (std::size_t place = 0; place < ports; ++place) {
    VMSNAP_ASSIGN_OR_RETURN(const std::size_t number,
                            adapter->get<std::uint8_t>(fmt::format("ports[{}].number", place)));
    VMSNAP_ASSIGN_OR_RETURN(const bool has_drive, adapter->has(fmt::format("ports[{}].drive", place)));
    if (number >= kPorts || !has_drive) continue;
    VMSNAP_RETURN_IF_ERROR(port_down(*adapter, place, number, chunk.context.ahci, values));
  }
  return {};
}

}  // namespace

namespace mappings {
constinit const Mapping kAhci = {"ahci", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
