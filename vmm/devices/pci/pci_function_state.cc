// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>

#include "core/state_buffer.h"
#include "devices/pci/pci_function.h"
#include "devices/pci/pci_registers.h"
#include "pci_generated.h"

namespace vmsnap::vmm {

using namespace pci;

static_assert(static_cast<std::uint8_t>(BarKind::kIo) == static_cast<std::uint8_t>(schema::PciBarKind::Io));
static_assert(static_cast<std::uint8_t>(BarKind::kMemory32) ==
              static_cast<std::uint8_t>(schema::PciBarKind::Memory32));
static_assert(static_cast<std::uint8_t>(BarKind::kMemory64) ==
              static_cast<std::uint8_t>(schema::PciBarKind::Memory64));

schema::PciFunctionT PciFunction::save() const {
  schema::PciFunctionT state;
  for (const std::byte byte : image()) state.config_space.push_back(std::to_integer<std::uint8_t>(byte));
  for (const Bar& bar : bars_) {
    auto item = std::make_unique<schema::PciBarT>();
    item->index = bar.index;
    item->kind = static_cast<schema::PciBarKind>(bar.kind);
    item->size = bar.size;
    state.bars.push_back(std::move(item));
  }
  if (msix_) state.msix = std::make_unique<schema::PciMsixT>(msix_->save());
  state.intx_asserted = intx_asserted_;
  return state;
}

Result<PciFunction::Restored> PciFunction::validate(const schema::PciFunctionT& state) const {
  if (state.config_space.size() != config_.size()) {
    return corrupt_field("pci.config_space", fmt::format("the configuration space has {} bytes instead of {}",
                                                         state.config_space.size(), config_.size()));
  }
  Restored restored;
  for (std::size_t i = 0; i < config_.size(); ++i) {
    restored.config[i] = std::byte{state.config_space[i]};
    std::byte fixed = ~writable_[i];
    // Interrupt Status is not writable, yet changes: it is the pin, which is stored by itself.
    if (i == kStatus) {
      fixed &= ~std::byte{kStatusInterrupt};
      restored.config[i] &= ~std::byte{kStatusInterrupt};
    }
    if (((restored.config[i] ^ config_[i]) & fixed) != std::byte{0}) {
      return unsupported_field(
          "pci.config_space",
          fmt::format(
              "byte {:#04x} is {:#04x}, but the device of this VMM has {:#04x} there and the guest cannot "
              "change it; restore with the VMM that made the snapshot",
              i, state.config_space[i], std::to_integer<unsigned>(config_[i])));
    }
  }
  const bool same_bars = std::equal(
      state.bars.begin(), state.bars.end(), bars_.begin(), bars_.end(), [](const auto& item, const Bar& bar) {
        return item->index == bar.index &&
               static_cast<std::uint8_t>(item->kind) == static_cast<std::uint8_t>(bar.kind) &&
               item->size == bar.size;
      });
  if (!same_bars) {
    return unsupported_field(
        "pci.bars",
        "the BARs differ in number, kind or size from those of the device of this VMM; restore "
        "with the VMM that made the snapshot");
  }
  if (msix_.has_value() != (state.msix != nullptr)) {
    return corrupt_field("pci.msix", state.msix ? "there is a vector table, but no MSI-X capability"
                                                : "the MSI-X capability has no vector table");
  }
  if (msix_) {
    VMSNAP_ASSIGN_OR_RETURN(restored.msix, msix_->validate(*state.msix));
  }
  restored.intx_asserted = state.intx_asserted;
  return restored;
}

void PciFunction::assign(Restored state) {
  unmap_all();
  config_ = state.config;
  intx_asserted_ = state.intx_asserted;
  if (msix_) {
    const auto [enabled, masked] = msix_control();
    msix_->assign(std::move(*state.msix), enabled, masked);
  }
  update_mappings();
  update_pin();
}

}  // namespace vmsnap::vmm
