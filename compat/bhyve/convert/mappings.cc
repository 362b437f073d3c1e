// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/mappings.h"

#include <array>

namespace vmsnap::compat::bhyve {

std::span<const Mapping* const> all_mappings() {
  static constexpr std::array kAll = {
      &mappings::kVhpet,     &mappings::kVioapic,   &mappings::kVatpit,     &mappings::kVatpic,
      &mappings::kVpmtmr,    &mappings::kVrtc,      &mappings::kHostbridge, &mappings::kVirtioNet,
      &mappings::kVirtioBlk, &mappings::kVirtioRnd,
  };
  return kAll;
}

}  // namespace vmsnap::compat::bhyve
