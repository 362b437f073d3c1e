// SPDX-License-Identifier: BSD-2-Clause
// What the chunk of every PCI device begins with.
#include <algorithm>

#include "bhyve/verdict/pci_vendors.h"
#include "bhyve/verdict/values/value_checker.h"

namespace vmsnap::compat::bhyve {
namespace {

enum BarType : std::uint64_t { kNone, kIo, kMemory32, kMemory64, kUpperHalf, kRom };
constexpr unsigned kBars = 7;
constexpr std::uint64_t kCommand = 4, kFirstBar = 0x10;
constexpr std::uint64_t kDecodesIo = 1, kDecodesMemory = 2;

std::uint16_t load16(ByteView bytes, std::uint64_t at) {
  return load_le<std::uint16_t>(bytes, static_cast<std::size_t>(at));
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

/// Where the device answers, and whether the guest has switched that on.
class Bar {
 public:
  Bar(ValueChecker& chunk, ByteView config, unsigned index)
      : chunk_(chunk), config_(config), index_(index), name_(fmt::format("bar[{}].", index)) {}

  void check() {
    chunk_.within(name_ + "type", kNone, kRom, "a type of BAR");
    const std::uint64_t type = get("type");
    const std::uint64_t size = get("size");
    const std::uint64_t address = get("addr");
    if ((size & (size - 1)) != 0) {
      chunk_.say(name_ + "size", "pci-bar", fmt::format("{:#x} bytes are no power of two", size));
      return;
    }
    if (size == 0 || type == kNone || type > kMemory64) return;
    if (address % size != 0)
      chunk_.say(name_ + "addr", "pci-bar",
                 fmt::format("{:#x} is no multiple of the size, {:#x}", address, size));
    check_register(type, address);
    if ((load16(config_, kCommand) & (type == kIo ? kDecodesIo : kDecodesMemory)) != 0)
      check_range(type, address, size);
  }

 private:
  [[nodiscard]] std::uint64_t get(std::string_view field) const {
    return chunk_.get_or_zero(name_ + std::string(field));
  }

  /// The guest reads the one, the device answers at the other.
  void check_register(std::uint64_t type, std::uint64_t address) {
    const std::uint64_t at = kFirstBar + 4 * index_;
    const std::uint32_t flags = type == kIo ? 0x3 : 0xf;
    const std::uint32_t told = load_le<std::uint32_t>(config_, static_cast<std::size_t>(at)) & ~flags;
    const auto used = static_cast<std::uint32_t>(address) & ~flags;
    if (told != used)
      chunk_.say_at("config_space", at, "pci-bar",
                    fmt::format("BAR {} reads as {:#x}, but the device is at {:#x}", index_, told, used));
  }

  void check_range(std::uint64_t type, std::uint64_t address, std::uint64_t size) {
    const std::uint64_t last = type == kIo ? 0xffff : type == kMemory32 ? UINT32_MAX : UINT64_MAX;
    if (address > last || size - 1 > last - address) {
      chunk_.say(name_ + "addr", "pci-bar",
                 fmt::format("{:#x} bytes from {:#x} on reach beyond {:#x}, but the command register has the "
                             "device answer there",
                             size, address, last));
    } else if (type != kIo && chunk_.touches_memory(address, size)) {
      chunk_.say(name_ + "addr", "pci-bar",
                 fmt::format("{:#x} bytes from {:#x} on are the guest's memory, but the command register has "
                             "the device answer there",
                             size, address));
    }
  }

  ValueChecker& chunk_;
  ByteView config_;
  unsigned index_;
  std::string name_;
};

void check_messages(ValueChecker& chunk, ByteView config) {
  chunk.within("msi.maxmsgnum", 0, 32, "messages of MSI");
  chunk.within("msix.table_count", 0, 2048, "vectors of MSI-X");
  const std::uint64_t count = chunk.get_or_zero("msix.table_count");
  if (count == 0) return;
  constexpr unsigned kMsix = 0x11;
  if (const auto at = find_capability(config, kMsix)) {
    const std::uint64_t told = (load16(config, *at + 2) & 0x7ffu) + 1u;
    if (told != count)
      chunk.say("msix.table_count", "msix-count",
                fmt::format("{} vectors, but the guest reads of {} in the configuration space", count, told));
  }
  chunk.within("msix.table_bar", 0, 5, "the BAR that has the table of MSI-X");
  const std::uint64_t bar = chunk.get_or_zero("msix.table_bar");
  if (bar > 5) return;
  const std::uint64_t size = chunk.get_or_zero(fmt::format("bar[{}].size", bar));
  const std::uint64_t begin = chunk.get_or_zero("msix.table_offset");
  if (const std::uint64_t bytes = 16 * count; begin > size || bytes > size - begin)
    chunk.say("msix.table_offset", "msix-table",
              fmt::format("{} bytes from {:#x} on are not within BAR {}, which has {:#x}", bytes, begin, bar,
                          size));
}

}  // namespace

void check_pci(ValueChecker& chunk) {
  constexpr std::size_t kConfigSize = 256;
  const auto config = chunk.decoded().bytes("config_space");
  if (!config || config->size() != kConfigSize) return;
  if (!is_known_pci_vendor(*config)) {
    chunk.say("config_space", "pci-vendor",
              fmt::format("the vendor is {:#06x}, of which bhyve emulates nothing", pci_vendor(*config)));
  }
  // The last is the ROM, whose register is elsewhere; no device of bhyve's snapshots has one.
  for (unsigned bar = 0; bar + 1 < kBars; ++bar) Bar(chunk, *config, bar).check();
  chunk.within("bar[6].type", kNone, kRom, "a type of BAR");
  check_messages(chunk, *config);
}

}  // namespace vmsnap::compat::bhyve
