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

/// Collects the findings of one chunk. Borrows everything.
class ValueChecker {
 public:
  ValueChecker(const LegacySet& set, const Verdict& verdict, const ClassifiedEntry& entry,
               const Decoded& decoded)
      : ncpus_(verdict.ncpus), memory_(split_memory(set.meta().memsize)), entry_(entry), decoded_(decoded) {}

  [[nodiscard]] std::uint64_t ncpus() const { return ncpus_; }

  /// Nothing when the chunk has no such field.
  [[nodiscard]] std::optional<std::uint64_t> get(std::string_view path) const {
    const auto number = decoded_.number(path);
    if (!number) return std::nullopt;
    return number->bits;
  }
  [[nodiscard]] std::uint64_t get_or_zero(std::string_view path) const { return get(path).value_or(0); }
  [[nodiscard]] const Decoded& decoded() const { return decoded_; }

  void say(std::string_view path, std::string_view code, std::string sentence) {
    const Field* field = decoded_.find(path);
    add(Severity::kWarning, field != nullptr ? field->offset : 0, path, code, std::move(sentence));
  }
  void add(Severity severity, std::uint64_t offset, std::string_view path, std::string_view code,
           std::string sentence);

  /// Tells when the value, taken as a signed number, is not in that range.
  void within(std::string_view path, std::int64_t low, std::int64_t high, std::string_view what);

  /// Whether `size` bytes from the guest-physical address on are memory.
  [[nodiscard]] bool is_memory(std::uint64_t address, std::uint64_t size) const;

  [[nodiscard]] std::vector<ValueFinding> take() { return std::move(findings_); }

 private:
  std::uint64_t ncpus_;
  MemorySplit memory_;
  const ClassifiedEntry& entry_;
  const Decoded& decoded_;
  std::vector<ValueFinding> findings_;
};

void check_vm(ValueChecker& chunk);
void check_vmcx(ValueChecker& chunk);
void check_vlapic(ValueChecker& chunk);
void check_interrupt_controllers(ValueChecker& chunk);
void check_pci(ValueChecker& chunk);
void check_virtio(ValueChecker& chunk);
void check_ahci(ValueChecker& chunk);
void check_xhci(ValueChecker& chunk);
void check_lpc(ValueChecker& chunk);

}  // namespace vmsnap::compat::bhyve
