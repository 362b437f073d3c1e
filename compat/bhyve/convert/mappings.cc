// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/mappings.h"

#include <array>

namespace vmsnap::compat::bhyve {

std::span<const Mapping* const> all_mappings() {
  static constexpr std::array kAll = {
      // Modes and run states come before what depends on them, interrupts that are on their way to a local
      // APIC after it.
      &mappings::kVm,
      &mappings::kVmx,
      &mappings::kVlapic,
      &mappings::kVmcx,
      // The others in any order.
      &mappings::kVhpet,
      &mappings::kVioapic,
      &mappings::kVatpit,
      &mappings::kVatpic,
      &mappings::kVpmtmr,
      &mappings::kVrtc,
      &mappings::kHostbridge,
      &mappings::kVirtioNet,
      &mappings::kVirtioBlk,
      &mappings::kVirtioRnd,
      &mappings::kLpc,
      &mappings::kE1000,
      &mappings::kAhci,
      &mappings::kXhci,
      &mappings::kFbuf,
      &mappings::kDummy,
      &mappings::kAtkbdc,
  };
  return kAll;
}

}  // namespace vmsnap::compat::bhyve
