// SPDX-License-Identifier: BSD-2-Clause
// What the checks of single chunks have in common.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bhyve/verdict/check_values.h"

namespace vmsnap::compat::bhyve {

/// Collects the findings of one chunk. Borrows everything. Where a check names no consequence, the value is
/// suspicious and no more.
class ValueChecker {
 public:
  /// The chunk is entry `label` of the set and begins at `offset` of the `.kern` file.
  ValueChecker(const GuestSize& guest, std::string label, std::uint64_t offset, const Decoded& decoded)
      : ncpus_(guest.ncpus),
        memory_(split_memory(guest.memsize)),
        label_(std::move(label)),
        offset_(offset),
        decoded_(decoded) {}

  [[nodiscard]] std::uint64_t ncpus() const { return ncpus_; }

  /// Nothing when the chunk has no such field, or fewer values in it.
  [[nodiscard]] std::optional<std::uint64_t> get(std::string_view path, std::size_t index = 0) const;
  [[nodiscard]] std::uint64_t get_or_zero(std::string_view path, std::size_t index = 0) const {
    return get(path, index).value_or(0);
  }
  /// Of a signed field.
  [[nodiscard]] std::int64_t signed_or_zero(std::string_view path) const {
    return static_cast<std::int64_t>(get_or_zero(path));
  }
  [[nodiscard]] const Decoded& decoded() const { return decoded_; }

  void say(std::string_view path, std::string_view code, std::string sentence,
           Consequence consequence = Consequence::kSuspicious);
  /// About the byte `at` of the field.
  void say_at(std::string_view path, std::uint64_t at, std::string_view code, std::string sentence,
              Consequence consequence = Consequence::kSuspicious);
  /// About value `index` of a field with several, which is then named "path[index]".
  void say_of(std::string_view path, std::size_t index, std::string_view code, std::string sentence,
              Consequence consequence = Consequence::kSuspicious);

  /// Tells when the value, taken as a signed number, is not in that range.
  void within(std::string_view path, std::int64_t low, std::int64_t high, std::string_view what,
              Consequence consequence = Consequence::kSuspicious);
  /// Tells when the value has bits of `mask`.
  void without_bits(std::string_view path, std::uint64_t mask, std::string_view why,
                    Consequence consequence = Consequence::kSuspicious);

  /// Whether `size` bytes from the guest-physical address on are memory.
  [[nodiscard]] bool is_memory(std::uint64_t address, std::uint64_t size) const;
  /// Whether any of them is.
  [[nodiscard]] bool touches_memory(std::uint64_t address, std::uint64_t size) const;

  [[nodiscard]] std::vector<ValueFinding> take() { return std::move(findings_); }

 private:
  void add(std::uint64_t offset, std::string path, std::string_view code, std::string sentence,
           Consequence consequence);

  std::uint64_t ncpus_;
  MemorySplit memory_;
  std::string label_;
  std::uint64_t offset_;
  const Decoded& decoded_;
  std::vector<ValueFinding> findings_;
};

// The kernel's chunks.
void check_vhpet(ValueChecker& chunk);
void check_vm(ValueChecker& chunk);
void check_vmx(ValueChecker& chunk);
void check_vmcx(ValueChecker& chunk);
void check_vioapic(ValueChecker& chunk);
void check_vlapic(ValueChecker& chunk);
void check_vatpit(ValueChecker& chunk);
void check_vatpic(ValueChecker& chunk);
void check_vrtc(ValueChecker& chunk);

/// MTRRs of a vCPU, whose fields begin with `name`. Nothing where the chunk has none.
void check_mtrrs(ValueChecker& chunk, const std::string& name);

// Devices.
void check_pci(ValueChecker& chunk);
void check_virtio(ValueChecker& chunk);
void check_e1000(ValueChecker& chunk);
void check_ahci(ValueChecker& chunk);
void check_xhci(ValueChecker& chunk);
void check_lpc(ValueChecker& chunk);
void check_atkbdc(ValueChecker& chunk);

}  // namespace vmsnap::compat::bhyve
