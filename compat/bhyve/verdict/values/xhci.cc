// SPDX-License-Identifier: BSD-2-Clause
// The xHCI controller, its slots and endpoints.
#include "bhyve/verdict/values/value_checker.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr unsigned kSlots = 64;
constexpr unsigned kEndpoints = 31;
constexpr std::int64_t kBlocks = 8;
constexpr std::int64_t kMostDevices = 8;
constexpr std::int64_t kConfigured = 4;
constexpr std::uint64_t kDmaFlags = 0x3f;

/// A pointer to a ring or table; 0 before the guest has set it up.
void check_pointer(ValueChecker& chunk, const std::string& path, std::uint64_t flags) {
  const std::uint64_t address = chunk.get_or_zero(path) & ~flags;
  if (address == 0 || chunk.is_memory(address, 1)) return;
  chunk.say(path, "outside-memory",
            fmt::format("it points to {:#x}, where the guest has no memory", address));
}

void check_endpoint(ValueChecker& chunk, const std::string& name) {
  // Each of them is used as an index without another look.
  chunk.within(name + "ndata", 0, kBlocks, "how many blocks have data", Consequence::kCrash);
  chunk.within(name + "head", 0, kBlocks - 1, "a block", Consequence::kCrash);
  chunk.within(name + "tail", 0, kBlocks - 1, "a block", Consequence::kCrash);
  for (std::int64_t block = 0; block < kBlocks; ++block)
    check_pointer(chunk, fmt::format("{}block[{}].trbnext", name, block), 0xf);
}

void check_slot(ValueChecker& chunk, unsigned slot, std::int64_t devices) {
  const std::string name = fmt::format("slot[{}].", slot);
  // Of an empty slot it is the index of an unused position.
  chunk.within(name + "map", 0, kMostDevices, "the index of a device or of an unused position",
               Consequence::kCrash);
  const std::int64_t device = chunk.signed_or_zero(name + "map");
  if (device < 1 || device > devices) return;
  chunk.within(name + "dev_slotstate", 0, kConfigured, "the state of a slot");
  chunk.within(name + "hci_address", 0, 127, "the address of a USB device");
  chunk.within(name + "hci_port", 0, kMostDevices, "the number of a port");
  for (unsigned endpoint = 1; endpoint <= kEndpoints; ++endpoint) {
    const std::string path = fmt::format("{}ep[{}].", name, endpoint);
    if (chunk.get(path + "head")) check_endpoint(chunk, path);
  }
}

void check_event_ring(ValueChecker& chunk) {
  // bhyve has one segment of at most this many events.
  constexpr std::int64_t kMostEvents = 4096;
  chunk.within("er_enq_idx", 0, kMostEvents - 1, "an entry of the event ring", Consequence::kCrash);
  chunk.within("er_deq_seg", 0, 0, "the only segment of the event ring");
  chunk.within("er_enq_seg", 0, 0, "the only segment of the event ring");
  check_pointer(chunk, "erstba", kDmaFlags);
  check_pointer(chunk, "erdp", 0xf);
}

}  // namespace

void check_xhci(ValueChecker& chunk) {
  const auto devices = static_cast<std::int64_t>(chunk.decoded().context().usb_devices.value_or(0));
  chunk.within("config", 0, kSlots, "how many slots are enabled");
  check_pointer(chunk, "crcr", kDmaFlags);
  check_pointer(chunk, "dcbaap", kDmaFlags);
  check_event_ring(chunk);
  for (unsigned slot = 1; slot <= kSlots; ++slot) check_slot(chunk, slot, devices);
  for (std::int64_t device = 1; device <= devices; ++device)
    chunk.within(fmt::format("device[{}].index", device), 1, kMostDevices, "the position of a device",
                 Consequence::kRefused);
  chunk.within("ndevices", devices, devices, "the number of devices stored");
  chunk.within("usb2_port_start", 0, kMostDevices, "the first port of USB 2");
  chunk.within("usb3_port_start", 0, kMostDevices, "the first port of USB 3");
}

}  // namespace vmsnap::compat::bhyve
