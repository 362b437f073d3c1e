// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include "core/state_buffer.h"
#include "devices/uart16550/uart16550.h"
#include "devices/uart16550/uart16550_bits.h"
#include "uart16550_generated.h"

namespace vmsnap::vmm {

using namespace uart16550;

DeviceEntry Uart16550::describe() const {
  const std::lock_guard lock(mutex_);
  DeviceEntry entry;
  entry.path = path_;
  entry.type = "uart16550";
  entry.version = {1, 1};
  entry.readable_since = {1, 0};
  if (!r_.transmit_fifo.empty()) entry.features.emplace_back("transmit-fifo");
  return entry;
}

Result<void> Uart16550::quiesce() {
  const std::lock_guard lock(mutex_);
  quiesced_ = true;
  return {};
}

void Uart16550::resume() {
  bool tell = false;
  {
    const std::lock_guard lock(mutex_);
    quiesced_ = false;
    send();
    irq_.announce(interrupt_wanted());
    tell = input_refused_ && r_.receive_fifo.size() < capacity();
    if (tell) input_refused_ = false;
  }
  if (tell) sink_.input_wanted();
}

Result<ByteVector> Uart16550::save() const {
  const std::lock_guard lock(mutex_);
  schema::Uart16550T state;
  state.ier = r_.ier;
  state.fcr = r_.fcr;
  state.lcr = r_.lcr;
  state.mcr = r_.mcr;
  state.lsr = line_status();
  state.msr = r_.msr;
  state.scr = r_.scr;
  state.dll = r_.dll;
  state.dlm = r_.dlm;
  state.receive_fifo.assign(r_.receive_fifo.begin(), r_.receive_fifo.end());
  state.thre_interrupt_pending = r_.thre_interrupt_pending;
  state.transmit_fifo.assign(r_.transmit_fifo.begin(), r_.transmit_fifo.end());
  return pack_state(state, schema::Uart16550Identifier());
}

Result<Uart16550::Registers> Uart16550::validate(const schema::Uart16550T& state) {
  if ((state.ier & ~kIerMask) != 0) {
    return corrupt_field("ier", fmt::format("{:#04x} has bits set that always read as 0", state.ier));
  }
  if ((state.mcr & ~kMcrMask) != 0) {
    return corrupt_field("mcr", fmt::format("{:#04x} has bits set that always read as 0", state.mcr));
  }
  const std::size_t limit = (state.fcr & kFcrEnable) != 0 ? kFifoSize : 1;
  const auto fits = [limit](std::string_view field, const std::vector<std::uint8_t>& fifo) -> Result<void> {
    if (fifo.size() <= limit) return {};
    return corrupt_field(
        field, fmt::format("{} bytes are more than the {} that the hardware holds here", fifo.size(), limit));
  };
  VMSNAP_RETURN_IF_ERROR(fits("receive_fifo", state.receive_fifo));
  VMSNAP_RETURN_IF_ERROR(fits("transmit_fifo", state.transmit_fifo));
  Registers r;
  r.ier = state.ier;
  r.fcr = state.fcr;
  r.lcr = state.lcr;
  r.mcr = state.mcr;
  r.lsr = state.lsr & kLsrErrors;
  r.msr = state.msr;
  r.scr = state.scr;
  r.dll = state.dll;
  r.dlm = state.dlm;
  r.receive_fifo.assign(state.receive_fifo.begin(), state.receive_fifo.end());
  r.transmit_fifo.assign(state.transmit_fifo.begin(), state.transmit_fifo.end());
  r.thre_interrupt_pending = state.thre_interrupt_pending;
  return r;
}

Result<void> Uart16550::restore(ByteView bytes) {
  const auto take = [this](const schema::Uart16550T& state) -> Result<void> {
    VMSNAP_ASSIGN_OR_RETURN(Registers registers, validate(state));
    const std::lock_guard lock(mutex_);
    r_ = std::move(registers);
    quiesced_ = true;
    irq_.announce(interrupt_wanted());
    return {};
  };
  return restore_state<schema::Uart16550>(bytes, schema::Uart16550Identifier(), path_, take);
}

}  // namespace vmsnap::vmm
