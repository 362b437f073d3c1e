// SPDX-License-Identifier: BSD-2-Clause
// Devices.
#include <algorithm>

#include "bhyve/verdict/pci_vendors.h"
#include "bhyve/verdict/value_checker.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kPage = 4096;

std::uint64_t page_aligned(std::uint64_t size) {
  return (size + kPage - 1) / kPage * kPage;
}

std::uint16_t load16(ByteView bytes, std::uint64_t at) {
  return static_cast<std::uint16_t>(
      load_number(Type::kU16, bytes.subspan(static_cast<std::size_t>(at))).bits);
}

/// What the guest finds when it looks for capability `id`; nothing when it finds none.
std::optional<std::uint64_t> find_capability(ByteView config, unsigned id) {
  constexpr std::uint64_t kPointer = 0x34;
  constexpr unsigned kMost = 48;
  std::uint64_t at = std::to_integer<std::uint64_t>(config[kPointer]) & 0xfc;
  for (unsigned i = 0; i < kMost && at >= 0x40; ++i) {
    if (std::to_integer<unsigned>(config[static_cast<std::size_t>(at)]) == id) return at;
    at = std::to_integer<std::uint64_t>(config[static_cast<std::size_t>(at) + 1]) & 0xfc;
  }
  return std::nullopt;
}

class Queue {
 public:
  Queue(ValueChecker& chunk, std::uint64_t index)
      : chunk_(chunk), index_(index), name_(fmt::format("queue[{}].", index)) {}

  void check() {
    const std::uint64_t size = get("vq_qsize");
    chunk_.within(name_ + "vq_num", static_cast<std::int64_t>(index_), static_cast<std::int64_t>(index_),
                  "the queue's own number, which bhyve compares,");
    if (size == 0 || size > 32768 || (size & (size - 1)) != 0) {
      chunk_.say(name_ + "vq_qsize", "queue",
                 fmt::format("{} entries: a ring has a power of two up to 32768", size));
      return;
    }
    const auto ring = chunk_.decoded().bytes(name_ + "ring");
    if (!ring) return;
    const std::uint64_t available = 16 * size;
    const std::uint64_t used = page_aligned(available + 2 * (3 + size));
    const std::uint64_t desc = get("desc_ring");
    if (!chunk_.is_memory(desc, ring->size()) && chunk_.is_memory(desc, 1)) {
      chunk_.say(name_ + "desc_ring", "outside-memory",
                 fmt::format("the ring has {} bytes from {:#x} on, which reach beyond the guest's memory",
                             ring->size(), desc));
    }
    if (get("avail_ring") - desc != available || get("used_ring") - desc != used) {
      chunk_.say(
          name_ + "avail_ring", "queue",
          fmt::format("the parts of the ring are at {:#x}, {:#x} and {:#x}, not {} and {} bytes apart as {} "
                      "entries need",
                      desc, get("avail_ring"), get("used_ring"), available, used, size));
    }
    if (used + 4 <= ring->size()) check_indices(*ring, size, available, used);
  }

 private:
  [[nodiscard]] std::uint64_t get(std::string_view field) const {
    return chunk_.get_or_zero(name_ + std::string(field));
  }

  /// Indices count on and on, 16 bits wide; what is between them cannot be more than the ring has.
  void check_indices(ByteView ring, std::uint64_t size, std::uint64_t available, std::uint64_t used) {
    const auto last = static_cast<std::uint16_t>(get("vq_last_avail"));
    const auto next = static_cast<std::uint16_t>(get("vq_next_used"));
    distance("vq_last_avail", load16(ring, available + 2), last, size,
             "requests that the device has not taken");
    distance("vq_next_used", last, next, size, "requests that the device has taken and not returned");
    distance("vq_next_used", next, load16(ring, used + 2), size,
             "requests returned that the guest cannot see");
  }

  void distance(std::string_view field, std::uint16_t ahead, std::uint16_t behind, std::uint64_t size,
                std::string_view what) {
    const auto apart = static_cast<std::uint16_t>(ahead - behind);
    if (apart <= size) return;
    chunk_.say(name_ + std::string(field), "queue",
               fmt::format("the indices {} and {} are {} apart as {}, but the ring has {} entries", ahead,
                           behind, apart, what, size));
  }

  ValueChecker& chunk_;
  std::uint64_t index_;
  std::string name_;
};

}  // namespace

void check_pci(ValueChecker& chunk) {
  const auto config = chunk.decoded().bytes("config_space");
  if (!config || config->size() != 256) return;
  if (!is_known_pci_vendor(*config)) {
    chunk.say("config_space", "pci-vendor",
              fmt::format("the vendor is {:#06x}, of which bhyve emulates nothing", pci_vendor(*config)));
  }
  for (unsigned bar = 0; bar < 7; ++bar) {
    const std::string name = fmt::format("bar[{}].", bar);
    chunk.within(name + "type", 0, 5, "a type of BAR");
    const std::uint64_t size = chunk.get_or_zero(name + "size");
    if ((size & (size - 1)) != 0)
      chunk.say(name + "size", "pci-bar", fmt::format("{:#x} bytes are no power of two", size));
    else if (size != 0 && chunk.get_or_zero(name + "addr") % size != 0)
      chunk.say(
          name + "addr", "pci-bar",
          fmt::format("{:#x} is no multiple of the size, {:#x}", chunk.get_or_zero(name + "addr"), size));
  }
  chunk.within("msi.maxmsgnum", 0, 32, "messages of MSI");
  chunk.within("msix.table_count", 0, 2048, "vectors of MSI-X");
  constexpr unsigned kMsix = 0x11;
  const std::uint64_t count = chunk.get_or_zero("msix.table_count");
  if (const auto at = find_capability(*config, kMsix); at && count != 0) {
    const std::uint64_t told = (load16(*config, *at + 2) & 0x7ffu) + 1u;
    if (told != count) {
      chunk.say("msix.table_count", "msix-count",
                fmt::format("{} vectors, but the guest reads of {} in the configuration space", count, told));
    }
  }
}

void check_virtio(ValueChecker& chunk) {
  const std::string_view kind = chunk.decoded().layout().chunk;
  const std::int64_t queues = kind == "virtio-net" ? 2 : 1;
  chunk.within("vc_nvq", queues, kind == "virtio-net" ? 3 : queues,
               "the number of queues, which bhyve compares,");
  const std::int64_t config = kind == "virtio-blk" ? 60 : kind == "virtio-net" ? 12 : 0;
  chunk.within("vc_cfgsize", config, config, "bytes of configuration, which bhyve compares,");
  const std::uint64_t count = std::min<std::uint64_t>(chunk.get_or_zero("vc_nvq"), 64);
  if (const std::uint64_t beyond = chunk.get_or_zero("vs_negotiated_caps") & ~chunk.get_or_zero("vc_hv_caps");
      beyond != 0) {
    chunk.say("vs_negotiated_caps", "virtio-features",
              fmt::format("the guest uses the features {:#x}, which the device does not offer", beyond));
  }
  for (std::uint64_t index = 0; index < count; ++index) Queue(chunk, index).check();
  if (const auto header = chunk.get("vhdrlen"); header && *header != 0 && *header != 10 && *header != 12)
    chunk.say("vhdrlen", "out-of-range",
              fmt::format("{} bytes: the header of a packet has 10 or 12", *header));
}

void check_ahci(ValueChecker& chunk) {
  chunk.within("ports", 0, 32, "the number of ports");
  for (unsigned port = 0; port < 32; ++port) {
    const std::string name = fmt::format("port[{}].", port);
    const auto requests = chunk.get(name + "ioqsz");
    if (!requests) continue;
    if (chunk.get_or_zero(name + "port") != port)
      chunk.say(name + "port", "out-of-range",
                fmt::format("it says that it is port {}", chunk.get_or_zero(name + "port")));
    const auto most = static_cast<std::int64_t>(*requests) - 1;
    if (const Field* list = chunk.decoded().find(name + "free")) {
      for (std::size_t i = 0; i + 1 < list->count(); ++i) {
        const auto index = chunk.decoded().number(name + "free", i).value_or(Number{});
        if (static_cast<std::int64_t>(index.bits) >= 0 && static_cast<std::int64_t>(index.bits) <= most)
          continue;
        chunk.say(name + "free", "request-index",
                  fmt::format("entry {} names request {}, but there are {}", i,
                              static_cast<std::int64_t>(index.bits), *requests));
      }
    }
    for (std::uint64_t i = 0; static_cast<std::int64_t>(i) <= most; ++i) {
      const std::string path = fmt::format("{}busy[{}].index", name, i);
      const auto index = chunk.get(path);
      if (!index) break;
      chunk.within(path, -1, most, "a request");
    }
  }
}

void check_xhci(ValueChecker& chunk) {
  const auto devices = static_cast<std::int64_t>(chunk.decoded().context().usb_devices.value_or(0));
  for (unsigned slot = 1; slot <= 64; ++slot)
    chunk.within(fmt::format("slot[{}].map", slot), 0, 8, "the index of a device or of an unused position");
  for (std::int64_t device = 1; device <= devices; ++device)
    chunk.within(fmt::format("device[{}].index", device), 1, 8, "the position of a device");
  chunk.within("ndevices", devices, devices, "the number of devices stored");
}

void check_lpc(ValueChecker& chunk) {
  const std::uint64_t uarts = chunk.decoded().context().uarts.value_or(0);
  for (std::uint64_t uart = 0; uart < uarts; ++uart) {
    const std::string name = fmt::format("uart[{}].rxfifo.", uart);
    const std::int64_t size = static_cast<std::int64_t>(chunk.get_or_zero(name + "size"));
    chunk.within(name + "size", 0, 16, "the size of the receive FIFO");
    if (size < 0 || size > 16) continue;
    chunk.within(name + "num", 0, size, "bytes in the receive FIFO");
    chunk.within(name + "rindex", 0, std::max<std::int64_t>(size - 1, 0), "an index in the receive FIFO");
    chunk.within(name + "windex", 0, std::max<std::int64_t>(size - 1, 0), "an index in the receive FIFO");
  }
}

}  // namespace vmsnap::compat::bhyve
