// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "bhyve/convert/devices/pci_prefix.h"
#include "bhyve/convert/mappings.h"
#include "bhyve/layout/usb_devices.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kNull = ~std::uint64_t{0};

constexpr std::uint64_t kFirstRuntimeRegister = 0x40;  // of the first interrupter, behind RTSOFF
constexpr std::uint64_t kCommandRingFlags = 0xf;       // of CRCR
constexpr std::uint64_t kBaseFlags = 0x3f;             // of DCBAAP, ERSTBA and an entry of the segment table
constexpr std::uint64_t kDequeueSegment = 0x7;         // of ERDP: DESI
constexpr std::uint32_t kInterrupterEnable = 0x4;      // of USBCMD: INTE
constexpr std::uint32_t kPendingAndEnabled = 0x3;      // of IMAN: IP and IE

constexpr std::size_t kSlots = 64;
constexpr std::size_t kEndpoints = 31;
constexpr std::uint64_t kBlocks = 8;
constexpr std::uint64_t kLastState = 4;  // Configured
constexpr std::uint64_t kPortsOfProtocol = 4;
constexpr std::size_t kRequestSize = 8;

constexpr Row kRows[] = {
    {"caplength", "caplength_hciversion"},
    {"hcsparams1", "hcsparams1"},
    {"hcsparams2", "hcsparams2"},
    {"hcsparams3", "hcsparams3"},
    {"hccparams1", "hccparams1"},
    {"dboff", "dboff"},
    {"rtsoff", "rtsoff"},
    {"hccparams2", "hccparams2"},
    {"usbcmd", "usbcmd"},
    {"usbsts", "usbsts"},
    {"pgsz", "pagesize"},
    {"dnctrl", "dnctrl"},
    {"crcr", "crcr"},
    {"dcbaap", "dcbaap"},
    {"config", "config"},
    {"mfindex", "mfindex"},
};

constexpr Row kInterrupterRows[] = {
    {"iman", "iman"},
    {"imod", "imod"},
    {"erstsz", "erstsz"},
    {"erstba", "erstba"},
    {"erdp", "erdp"},
    {"er_enq_idx", "enqueue_index"},
    {"er_enq_seg", "enqueue_segment"},
    {"er_events_cnt", "pending_events"},
    {"event_pcs", "producer_cycle_state"},
};

constexpr Row kPortRows[] = {
    {"portsc", "portsc"},
    {"portpmsc", "portpmsc"},
    {"portli", "portli"},
    {"porthlpmc", "porthlpmc"},
};

std::uint64_t address_of(std::uint64_t gaddr) {
  return gaddr == kNull ? 0 : gaddr;
}
std::uint64_t gaddr_of(std::uint64_t address) {
  return address == 0 ? kNull : address;
}

constexpr Row kSlotRows[] = {
    {"dev_ctx", "device_context", address_of, gaddr_of},
    {"dev_slotstate", "state"},
};

constexpr Row kTransferRows[] = {
    {"buf", "buffer", address_of, gaddr_of},
    {"bdone", "transferred"},
    {"ccs", "cycle"},
    {"streamid", "stream_id"},
    {"trbnext", "next_trb"},
};

constexpr Row kReportRows[] = {
    {"report.buttons", "buttons"},
    {"report.x", "x"},
    {"report.y", "y"},
    {"report.z", "wheel"},
};
constexpr Row kPointerRows[] = {
    {"idle", "idle"},
    {"protocol", "protocol"},
};

/// The bits of an int in 64.
std::uint64_t as_int(std::uint32_t bits) {
  return static_cast<std::uint64_t>(static_cast<std::int32_t>(bits));
}

std::string kind_of(ByteView name) {
  std::string kind;
  for (const std::byte byte : name) {
    const auto character = std::to_integer<unsigned char>(byte);
    if (character == 0) break;
    kind += character >= 0x20 && character < 0x7f ? static_cast<char>(character) : '?';
  }
  return kind;
}

/// The element of `devices` whose port the slot maps to.
Result<std::optional<std::size_t>> find_device(const StateTree& controller, std::uint64_t port) {
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t devices, controller.count("devices"));
  for (std::size_t place = 0; place < devices; ++place) {
    VMSNAP_ASSIGN_OR_RETURN(const auto here,
                            controller.get<std::uint8_t>(fmt::format("devices[{}].port", place)));
    if (here == port) return std::optional<std::size_t>(place);
  }
  return std::optional<std::size_t>();
}

// Up.

Result<void> ports_up(const SourceChunk& chunk, StateTree& controller) {
  VMSNAP_RETURN_IF_ERROR(controller.make("ports"));
  VMSNAP_RETURN_IF_ERROR(controller.make("devices"));
  const std::uint64_t devices = chunk.decoded.context().usb_devices.value_or(0);
  for (std::uint64_t i = 1; i <= std::min(devices, kMaxUsbDevices); ++i) {
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t index, chunk.number(fmt::format("device[{}].index", i)));
    VMSNAP_ASSIGN_OR_RETURN(const ByteView name, chunk.bytes(fmt::format("device[{}].name", i)));
    const std::uint64_t number = index & 0xff;
    VMSNAP_ASSIGN_OR_RETURN(const std::size_t place, controller.append("devices"));
    const std::string device = fmt::format("devices[{}].", place);
    VMSNAP_RETURN_IF_ERROR(controller.set(device + "port", number));
    VMSNAP_RETURN_IF_ERROR(controller.set(device + "kind", kind_of(name)));
    VMSNAP_RETURN_IF_ERROR(controller.append("ports"));
    const std::string port = fmt::format("ports[{}].", place);
    VMSNAP_RETURN_IF_ERROR(controller.set(port + "number", number));
    VMSNAP_RETURN_IF_ERROR(carry_up(kPortRows, chunk, fmt::format("port[{}].", i), controller, port));
  }
  return {};
}

Result<void> transfers_up(const SourceChunk& chunk, const std::string& item, StateTree& controller,
                          const std::string& endpoint) {
  VMSNAP_RETURN_IF_ERROR(controller.make(endpoint + "transfers"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t count, chunk.number(item + "ndata"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t head, chunk.number(item + "head"));
  // Positions that are in no ring name no blocks.
  if (count > kBlocks || head >= kBlocks) return {};
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string block = fmt::format("{}block[{}].", item, (head + i) % kBlocks);
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t left, chunk.number(block + "blen"));
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t done, chunk.number(block + "bdone"));
    VMSNAP_ASSIGN_OR_RETURN(const std::size_t place, controller.append(endpoint + "transfers"));
    const std::string transfer = fmt::format("{}transfers[{}].", endpoint, place);
    VMSNAP_RETURN_IF_ERROR(carry_up(kTransferRows, chunk, block, controller, transfer));
    VMSNAP_RETURN_IF_ERROR(controller.set(transfer + "length", (left + done) & 0xffffffff));
  }
  return {};
}

Result<void> endpoints_up(const SourceChunk& chunk, const std::string& item, StateTree& controller,
                          const std::string& slot) {
  VMSNAP_RETURN_IF_ERROR(controller.make(slot + "endpoints"));
  for (std::size_t dci = 1; dci <= kEndpoints; ++dci) {
    const std::string ep = fmt::format("{}ep[{}].", item, dci);
    // There are none without a device context.
    const auto is_open = chunk.decoded.number(ep + "xfer");
    if (!is_open || is_open->bits == 0) continue;
    VMSNAP_ASSIGN_OR_RETURN(const std::size_t place, controller.append(slot + "endpoints"));
    const std::string endpoint = fmt::format("{}endpoints[{}].", slot, place);
    VMSNAP_RETURN_IF_ERROR(controller.set(endpoint + "dci", dci));
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t is_asked, chunk.number(ep + "ureq"));
    if (is_asked != 0) {
      VMSNAP_ASSIGN_OR_RETURN(const ByteView request, chunk.bytes(ep + "request"));
      VMSNAP_RETURN_IF_ERROR(
          controller.set(endpoint + "setup_packet", ByteVector(request.begin(), request.end())));
    }
    VMSNAP_RETURN_IF_ERROR(transfers_up(chunk, ep, controller, endpoint));
  }
  return {};
}

/// What the slot's record says of the device itself, however far the guest has got with the slot.
Result<void> tablet_up(const SourceChunk& chunk, const std::string& item, StateTree& controller,
                       const std::string& device) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t address, chunk.number(item + "hci_address"));
  VMSNAP_RETURN_IF_ERROR(controller.set(device + "address", address & 0xff));
  const std::string tablet = item + "tablet.";
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t feature, chunk.number(tablet + "feature"));
  VMSNAP_RETURN_IF_ERROR(controller.set(device + "remote_wakeup", (feature & 1) != 0));
  const std::string pointer = device + "pointer.";
  VMSNAP_RETURN_IF_ERROR(carry_up(kPointerRows, chunk, tablet, controller, pointer));
  VMSNAP_RETURN_IF_ERROR(controller.make(pointer + "current"));
  VMSNAP_RETURN_IF_ERROR(carry_up(kReportRows, chunk, tablet, controller, pointer + "current."));
  VMSNAP_RETURN_IF_ERROR(controller.make(pointer + "waiting"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t waits, chunk.number(tablet + "newdata"));
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t waiting, controller.count(pointer + "waiting"));
  if (waits == 0 || waiting != 0) return {};
  VMSNAP_RETURN_IF_ERROR(controller.append(pointer + "waiting"));
  return carry_up(kReportRows, chunk, tablet, controller, pointer + "waiting[0].");
}

Result<void> slot_up(const SourceChunk& chunk, StateTree& controller, std::size_t id) {
  const std::string item = fmt::format("slot[{}].", id);
  const auto state = chunk.decoded.number(item + "dev_slotstate");
  if (!state) return {};
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t map, chunk.number(item + "map"));
  VMSNAP_ASSIGN_OR_RETURN(const auto place, find_device(controller, map & 0xff));
  if (!place) return {};
  VMSNAP_RETURN_IF_ERROR(tablet_up(chunk, item, controller, fmt::format("devices[{}].", *place)));
  if (state->bits == 0 || state->bits > kLastState) return {};
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t slots, controller.append("slots"));
  const std::string slot = fmt::format("slots[{}].", slots);
  VMSNAP_RETURN_IF_ERROR(controller.set(slot + "id", id));
  VMSNAP_RETURN_IF_ERROR(controller.set(slot + "port", map & 0xff));
  VMSNAP_RETURN_IF_ERROR(carry_up(kSlotRows, chunk, item, controller, slot));
  return endpoints_up(chunk, item, controller, slot);
}

Result<void> protocol_up(const SourceChunk& chunk, StateTree& controller, std::string_view item,
                         std::uint64_t revision) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t first, chunk.number(item));
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t place, controller.append("supported_protocols"));
  const std::string protocol = fmt::format("supported_protocols[{}].", place);
  VMSNAP_RETURN_IF_ERROR(controller.set(protocol + "major_revision", revision));
  VMSNAP_RETURN_IF_ERROR(controller.set(protocol + "first_port", first & 0xff));
  return controller.set(protocol + "port_count", kPortsOfProtocol);
}

/// The level that bhyve forms for the INTx pin, which it does not save.
Result<void> interrupt_up(const SourceChunk& chunk, StateTree& controller) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t iman, chunk.number("iman"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t usbcmd, chunk.number("usbcmd"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t msi, chunk.number("msi.enabled"));
  const bool asserted =
      (iman & kPendingAndEnabled) == kPendingAndEnabled && (usbcmd & kInterrupterEnable) != 0 && msi == 0;
  return controller.set("pci.intx_asserted", asserted);
}

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * controller, machine.device(chunk.device_path, "xhci"));
  VMSNAP_RETURN_IF_ERROR(pci_up(chunk, machine, *controller, "pci."));
  VMSNAP_RETURN_IF_ERROR(interrupt_up(chunk, *controller));
  VMSNAP_RETURN_IF_ERROR(carry_up(kRows, chunk, "", *controller, ""));
  VMSNAP_RETURN_IF_ERROR(controller->append("interrupters"));
  VMSNAP_RETURN_IF_ERROR(carry_up(kInterrupterRows, chunk, "", *controller, "interrupters[0]."));
  VMSNAP_RETURN_IF_ERROR(protocol_up(chunk, *controller, "usb2_port_start", 2));
  VMSNAP_RETURN_IF_ERROR(protocol_up(chunk, *controller, "usb3_port_start", 3));
  VMSNAP_RETURN_IF_ERROR(ports_up(chunk, *controller));
  VMSNAP_RETURN_IF_ERROR(controller->make("slots"));
  for (std::size_t id = 1; id <= kSlots; ++id) VMSNAP_RETURN_IF_ERROR(slot_up(chunk, *controller, id));
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t devices, controller->count("devices"));
  for (std::size_t place = 0; place < devices; ++place) {
    machine.not_in_file({chunk.device_path, fmt::format("devices[{}].configuration", place), "not known",
                         "A guest that asks the device for its configuration may be told another one; which "
                         "endpoints it has, its contexts say."});
  }
  return {};
}

// Down.

/// Where bhyve finds the guest's structures: the addresses in the registers without their flags.
Result<void> pointers_down(const Machine& machine, const StateTree& controller, Values& values) {
  VMSNAP_ASSIGN_OR_RETURN(const auto crcr, controller.get<std::uint64_t>("crcr"));
  VMSNAP_ASSIGN_OR_RETURN(const auto dcbaap, controller.get<std::uint64_t>("dcbaap"));
  VMSNAP_ASSIGN_OR_RETURN(const auto erstba, controller.get<std::uint64_t>("interrupters[0].erstba"));
  VMSNAP_ASSIGN_OR_RETURN(const auto erdp, controller.get<std::uint64_t>("interrupters[0].erdp"));
  const std::uint64_t table = erstba & ~kBaseFlags;
  values.derive("cr_p", gaddr_of(crcr & ~kCommandRingFlags));
  values.derive("dcbaa_p", gaddr_of(dcbaap & ~kBaseFlags));
  values.derive("erstba_p", gaddr_of(table));
  std::uint64_t segment = kNull;
  if (table != 0) {
    const auto entry = machine.memory().read(Gpa(table), sizeof segment);
    if (entry) segment = gaddr_of(load_le<std::uint64_t>(*entry, 0) & ~kBaseFlags);
  }
  values.derive("erst_p", segment);
  values.derive("er_deq_seg", erdp & kDequeueSegment);
  return {};
}

Result<void> protocols_down(const StateTree& controller, Values& values) {
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t protocols, controller.count("supported_protocols"));
  for (std::size_t i = 0; i < protocols; ++i) {
    const std::string protocol = fmt::format("supported_protocols[{}].", i);
    VMSNAP_ASSIGN_OR_RETURN(const auto revision, controller.get<std::uint8_t>(protocol + "major_revision"));
    VMSNAP_ASSIGN_OR_RETURN(const auto first, controller.get<std::uint8_t>(protocol + "first_port"));
    if (revision == 2) values.map("usb2_port_start", first);
    if (revision == 3) values.map("usb3_port_start", first);
  }
  return {};
}

Result<void> ports_down(const StateTree& controller, TargetChunk& chunk) {
  Values& values = chunk.values;
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t all, controller.count("devices"));
  const std::size_t devices = std::min<std::size_t>(all, kMaxUsbDevices);
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t ports, controller.count("ports"));
  for (std::size_t place = 0; place < devices; ++place) {
    const std::string device = fmt::format("devices[{}].", place);
    VMSNAP_ASSIGN_OR_RETURN(const auto number, controller.get<std::uint8_t>(device + "port"));
    VMSNAP_ASSIGN_OR_RETURN(const auto kind, controller.get<std::string>(device + "kind"));
    const ByteView text = as_byte_view(kind);
    ByteVector name(text.begin(), text.end());
    name.resize(kUsbNameSize);
    values.map(fmt::format("device[{}].index", place + 1), number);
    values.map(fmt::format("device[{}].name", place + 1), std::move(name));
    for (std::size_t i = 0; i < ports; ++i) {
      const std::string port = fmt::format("ports[{}].", i);
      VMSNAP_ASSIGN_OR_RETURN(const auto of_port, controller.get<std::uint8_t>(port + "number"));
      if (of_port != number) continue;
      VMSNAP_RETURN_IF_ERROR(
          carry_down(kPortRows, controller, port, values, fmt::format("port[{}].", place + 1)));
    }
  }
  chunk.context.usb_devices = devices;
  values.derive("ndevices", devices);
  return {};
}

/// The ring of blocks begins anew with the transfers that wait; where it began, nobody knows.
Result<void> transfers_down(const StateTree& controller, const std::string& endpoint, Values& values,
                            const std::string& item) {
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t transfers, controller.count(endpoint + "transfers"));
  for (std::size_t i = 0; i < std::min<std::size_t>(transfers, kBlocks); ++i) {
    const std::string transfer = fmt::format("{}transfers[{}].", endpoint, i);
    const std::string block = fmt::format("{}block[{}].", item, i);
    VMSNAP_RETURN_IF_ERROR(carry_down(kTransferRows, controller, transfer, values, block));
    VMSNAP_ASSIGN_OR_RETURN(const auto length, controller.get<std::uint32_t>(transfer + "length"));
    VMSNAP_ASSIGN_OR_RETURN(const auto done, controller.get<std::uint32_t>(transfer + "transferred"));
    values.map(block + "blen", as_int(length - done));
  }
  return {};
}

Result<void> endpoints_down(const StateTree& controller, const std::string& slot, Values& values,
                            const std::string& item) {
  for (std::size_t dci = 1; dci <= kEndpoints; ++dci)
    values.derive(fmt::format("{}ep[{}].xfer", item, dci), 0);
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t endpoints, controller.count(slot + "endpoints"));
  for (std::size_t place = 0; place < endpoints; ++place) {
    const std::string endpoint = fmt::format("{}endpoints[{}].", slot, place);
    VMSNAP_ASSIGN_OR_RETURN(const auto dci, controller.get<std::uint8_t>(endpoint + "dci"));
    const std::string ep = fmt::format("{}ep[{}].", item, dci);
    values.derive(ep + "xfer", 1);
    VMSNAP_ASSIGN_OR_RETURN(auto request,
                            controller.get<std::optional<ByteVector>>(endpoint + "setup_packet"));
    values.derive(ep + "ureq", request ? 1 : 0);
    if (request) {
      request->resize(kRequestSize);
      values.map(ep + "request", *std::move(request));
    }
    VMSNAP_RETURN_IF_ERROR(transfers_down(controller, endpoint, values, ep));
  }
  return {};
}

Result<void> tablet_down(const StateTree& controller, const std::string& device, Values& values,
                         const std::string& item) {
  VMSNAP_ASSIGN_OR_RETURN(const auto address, controller.get<std::uint8_t>(device + "address"));
  values.map(item + "hci_address", address);
  VMSNAP_ASSIGN_OR_RETURN(const bool is_pointer, controller.has(device + "pointer"));
  if (!is_pointer) return {};
  const std::string tablet = item + "tablet.";
  const std::string pointer = device + "pointer.";
  VMSNAP_ASSIGN_OR_RETURN(const auto wakes, controller.get<bool>(device + "remote_wakeup"));
  values.map(tablet + "feature", wakes ? 1 : 0);
  VMSNAP_RETURN_IF_ERROR(carry_down(kPointerRows, controller, pointer, values, tablet));
  VMSNAP_RETURN_IF_ERROR(carry_down(kReportRows, controller, pointer + "current.", values, tablet));
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t waiting, controller.count(pointer + "waiting"));
  values.map(tablet + "newdata", waiting != 0 ? 1 : 0);
  return {};
}

Result<void> slots_down(const StateTree& controller, Values& values) {
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t slots, controller.count("slots"));
  for (std::size_t place = 0; place < slots; ++place) {
    const std::string slot = fmt::format("slots[{}].", place);
    VMSNAP_ASSIGN_OR_RETURN(const auto id, controller.get<std::uint8_t>(slot + "id"));
    VMSNAP_ASSIGN_OR_RETURN(const auto port, controller.get<std::uint8_t>(slot + "port"));
    const std::string item = fmt::format("slot[{}].", id);
    values.map(item + "map", port);
    values.derive(item + "hci_port", port);
    VMSNAP_RETURN_IF_ERROR(carry_down(kSlotRows, controller, slot, values, item));
    VMSNAP_RETURN_IF_ERROR(endpoints_down(controller, slot, values, item));
    VMSNAP_ASSIGN_OR_RETURN(const auto device, find_device(controller, port));
    if (!device) continue;
    VMSNAP_RETURN_IF_ERROR(tablet_down(controller, fmt::format("devices[{}].", *device), values, item));
  }
  return {};
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  Values& values = chunk.values;
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* controller, machine.need(chunk.device_path));
  VMSNAP_RETURN_IF_ERROR(pci_down(*controller, "pci.", chunk));
  VMSNAP_RETURN_IF_ERROR(carry_down(kRows, *controller, "", values, ""));
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t interrupters, controller->count("interrupters"));
  if (interrupters != 0) {
    VMSNAP_RETURN_IF_ERROR(carry_down(kInterrupterRows, *controller, "interrupters[0].", values, ""));
    VMSNAP_RETURN_IF_ERROR(pointers_down(machine, *controller, values));
  }
  VMSNAP_ASSIGN_OR_RETURN(const auto rtsoff, controller->get<std::uint32_t>("rtsoff"));
  values.derive("regsend", (rtsoff + kFirstRuntimeRegister) & 0xffffffff);
  values.derive("rsvd", 0);
  VMSNAP_RETURN_IF_ERROR(protocols_down(*controller, values));
  VMSNAP_RETURN_IF_ERROR(ports_down(*controller, chunk));
  return slots_down(*controller, values);
}

}  // namespace

namespace mappings {
constinit const Mapping kXhci = {"xhci", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
