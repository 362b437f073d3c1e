// SPDX-License-Identifier: BSD-2-Clause
// Source: PCI Local Bus Specification 3.0, chapter 6.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "core/io_bus.h"
#include "core/io_handler.h"
#include "devices/pci/msix.h"

namespace vmsnap::schema {
struct PciFunctionT;
}

namespace vmsnap::vmm {

/// Where a function is on bus 0.
struct PciAddress {
  std::uint8_t device = 0;    // 0..31
  std::uint8_t function = 0;  // 0..7
  bool operator==(const PciAddress&) const = default;
};

/// "pci0/00:03.0"
[[nodiscard]] std::string pci_path(PciAddress address);

/// What the host bridge passes configuration accesses to. Thread-safe.
class PciConfigHandler {
 public:
  virtual ~PciConfigHandler() = default;
  /// `data` is 1, 2 or 4 bytes and lies within one aligned dword of the 256 bytes.
  virtual void config_read(std::uint8_t offset, MutableByteView data) = 0;
  virtual void config_write(std::uint8_t offset, ByteView data) = 0;
};

/// What a BAR decodes; the values are those of the snapshot (schema/common/pci.fbs).
enum class BarKind : std::uint8_t { kIo = 1, kMemory32 = 2, kMemory64 = 3 };

/// The configuration space of one type 0 function: identification, writable bits, BARs that come and go on
/// the buses, capabilities, INTx and MSI-X. Built up once by its device, then driven by the guest. Not
/// thread-safe: the device locks, also around the handlers of its BARs.
class PciFunction {
 public:
  struct Identity {
    std::uint16_t vendor = 0;
    std::uint16_t device = 0;
    std::uint8_t revision = 0;
    std::uint32_t class_code = 0;  // 24 bits: base class, sub-class, interface
    std::uint16_t subsystem_vendor = 0;
    std::uint16_t subsystem = 0;
    std::uint8_t interrupt_pin = 0;  // 0 none, 1 INTA
  };

  /// A bus or the line that the function does not use may be null; whatever is given must outlive it.
  PciFunction(const Identity& identity, IoBus* memory, IoBus* io, IrqLine* intx);
  PciFunction(const PciFunction&) = delete;
  PciFunction& operator=(const PciFunction&) = delete;
  /// Takes its BARs off the buses.
  ~PciFunction();

  /// Adds BAR `index` of `size` bytes (a power of two; at least 4 for I/O, 16 for memory; below 4 GiB) that
  /// `handler` answers while the guest has it decoded. BARs are added in rising order of index.
  void add_bar(std::uint8_t index, BarKind kind, std::uint64_t size, IoHandler& handler);

  /// Adds a capability: `body` is what follows the ID and the next pointer, `writable` its writable bits
  /// (same size, or empty for none). Returns its offset in the configuration space.
  std::uint8_t add_capability(std::uint8_t id, ByteView body, ByteView writable = {});

  /// Adds the MSI-X capability with table and PBA at these offsets of BAR `bar`. The device routes accesses
  /// to that BAR to msix().
  void add_msix(std::uint16_t vectors, MsiSink& sink, std::uint8_t bar, std::uint32_t table_offset,
                std::uint32_t pba_offset);
  /// Null without add_msix().
  [[nodiscard]] Msix* msix() { return msix_ ? &*msix_ : nullptr; }

  void config_read(std::uint8_t offset, MutableByteView data) const;
  void config_write(std::uint8_t offset, ByteView data);

  /// The level of the interrupt pin before the Interrupt Disable bit.
  void set_intx(bool asserted);
  [[nodiscard]] bool msix_enabled() const { return msix_ && msix_->enabled(); }
  /// Where BAR `index` is decoded now; nullopt when it is not (disabled, address 0, or in another's range).
  [[nodiscard]] std::optional<std::uint64_t> decoded_at(std::uint8_t index) const;

  /// Tells the interrupt line its level again and delivers pending MSI-X vectors; for Device::resume().
  void resume();

  /// A state that validate() accepted.
  struct Restored {
    std::array<std::byte, 256> config;
    std::optional<Msix::State> msix;
    bool intx_asserted = false;
  };
  [[nodiscard]] schema::PciFunctionT save() const;
  /// Everything the guest cannot write must be as in this function: identification, capabilities, BAR layout.
  /// Errors: Corrupt, Unsupported.
  [[nodiscard]] Result<Restored> validate(const schema::PciFunctionT& state) const;
  /// Takes it over: maps the BARs and sets the line. A BAR that another device's range is in the way of stays
  /// unmapped, as it would be when the guest programs it.
  void assign(Restored state);

 private:
  struct Bar {
    std::uint8_t index;
    BarKind kind;
    std::uint64_t size;
    IoHandler* handler;
    std::optional<std::uint64_t> mapped_at;
  };
  [[nodiscard]] IoBus* bus_of(const Bar& bar) const { return bar.kind == BarKind::kIo ? io_ : memory_; }
  [[nodiscard]] std::uint64_t programmed_address(const Bar& bar) const;
  [[nodiscard]] bool decode_enabled(const Bar& bar) const;
  void update_mappings();
  void unmap_all();
  void update_pin();
  [[nodiscard]] std::uint16_t command() const;
  /// Enable and function mask in the Message Control register.
  [[nodiscard]] std::pair<bool, bool> msix_control() const;
  [[nodiscard]] std::array<std::byte, 256> image() const;
  template <typename T>
  void put(std::size_t offset, T value, T writable = 0);

  IoBus* memory_;
  IoBus* io_;
  IrqLine* intx_;
  std::array<std::byte, 256> config_{};
  std::array<std::byte, 256> writable_{};
  std::vector<Bar> bars_;
  std::optional<Msix> msix_;
  std::uint8_t msix_capability_ = 0;
  std::uint8_t last_capability_ = 0;
  std::uint8_t next_free_;
  bool intx_asserted_ = false;
  bool pin_level_ = false;  // what intx_ was told last
};

}  // namespace vmsnap::vmm
