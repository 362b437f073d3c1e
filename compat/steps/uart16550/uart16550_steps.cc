// SPDX-License-Identifier: BSD-2-Clause
#include "steps/uart16550/uart16550_steps.h"

namespace vmsnap::compat {
namespace {

constexpr ChunkVersion kVersion10{1, 0};
constexpr ChunkVersion kVersion11{1, 1};
constexpr std::uint8_t kLsrTransmitterEmpty = 0x60;  // THRE, TEMT

/// A driver that has filled the transmitter waits for it to become empty. Version 1.0 has nothing that could
/// become empty, so it is, and the interrupt is due: without it the driver would wait for ever.
Result<void> empty_transmitter(StepContext& context) {
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t waiting, context.count("transmit_fifo"));
  if (waiting == 0) return {};
  VMSNAP_ASSIGN_OR_RETURN(const auto lsr, context.take<std::uint8_t>("lsr"));
  VMSNAP_RETURN_IF_ERROR(context.set("lsr", static_cast<std::uint8_t>(lsr | kLsrTransmitterEmpty)));
  VMSNAP_RETURN_IF_ERROR(context.converted("lsr", "THRE and TEMT are 1: the transmitter is empty"));
  VMSNAP_RETURN_IF_ERROR(context.set("thre_interrupt_pending", true));
  return context.converted("thre_interrupt_pending", "the transmitter has become empty");
}

}  // namespace

StepRegistry uart16550_steps() {
  StepRegistry registry;
  registry.steps = {{"uart16550", kVersion11, kVersion10, empty_transmitter}};
  registry.appended_fields = {
      {"uart16550", kVersion11, "transmit_fifo", "transmit-fifo", Loss::kNoticeable,
       "what the guest has written and the console has not taken is never sent"},
  };
  return registry;
}

}  // namespace vmsnap::compat
