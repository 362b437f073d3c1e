// SPDX-License-Identifier: BSD-2-Clause
// Source: PCI Local Bus Specification 3.0, section 6.8.2.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "core/io_handler.h"

namespace vmsnap::schema {
struct PciMsixT;
}

namespace vmsnap::vmm {

/// The MSI-X table and pending bits of a function. The enable and mask bits of the function are in its
/// configuration space; PciFunction tells them with set_control(). Not thread-safe: the owner locks.
class Msix {
 public:
  static constexpr std::uint32_t kEntrySize = 16;

  struct Entry {
    std::uint64_t address = 0;
    std::uint32_t data = 0;
    std::uint32_t vector_control = 1;  // masked after reset

    [[nodiscard]] bool masked() const { return (vector_control & 1) != 0; }
  };
  struct State {
    std::vector<Entry> table;
    std::vector<std::uint64_t> pending;
  };

  /// `vectors` is 1..2048. `sink` must outlive this object.
  Msix(std::uint16_t vectors, MsiSink& sink);

  [[nodiscard]] std::uint16_t vectors() const { return static_cast<std::uint16_t>(state_.table.size()); }
  /// Sizes in bytes of the two structures in their BAR.
  [[nodiscard]] std::uint64_t table_size() const { return std::uint64_t{vectors()} * kEntrySize; }
  [[nodiscard]] std::uint64_t pba_size() const { return state_.pending.size() * sizeof(std::uint64_t); }

  /// Accesses of 4 or 8 bytes, aligned, as the specification allows; others read zero and write nothing.
  /// `offset` is from the start of the table, or of the PBA, which is read-only.
  void read_table(std::uint64_t offset, MutableByteView data) const;
  void write_table(std::uint64_t offset, ByteView data);
  void read_pba(std::uint64_t offset, MutableByteView data) const;

  /// MSI-X Enable and Function Mask of the Message Control register. Sends what became deliverable.
  void set_control(bool enabled, bool function_masked);
  [[nodiscard]] bool enabled() const { return enabled_; }

  /// Sends vector `vector`, or keeps it pending while it is masked. Nothing happens while MSI-X is off or
  /// for a vector that is not there (0xffff is "none").
  void raise(std::uint16_t vector);

  /// Sends what is pending and not masked.
  void deliver_pending();

  [[nodiscard]] schema::PciMsixT save() const;
  /// Errors: Corrupt.
  [[nodiscard]] Result<State> validate(const schema::PciMsixT& state) const;
  /// Takes over what validate() returned; sends nothing.
  void assign(State state, bool enabled, bool function_masked);

 private:
  [[nodiscard]] bool is_pending(std::size_t vector) const;
  void set_pending(std::size_t vector, bool pending);

  MsiSink& sink_;
  State state_;
  bool enabled_ = false;
  bool function_masked_ = false;
};

}  // namespace vmsnap::vmm
