// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include "core/state_buffer.h"
#include "devices/i8042/i8042.h"
#include "devices/i8042/i8042_bits.h"
#include "i8042_generated.h"

namespace vmsnap::vmm {

using namespace i8042;

DeviceEntry I8042::describe() const {
  DeviceEntry entry;
  entry.path = path_;
  entry.type = "i8042";
  entry.version = {1, 0};
  entry.readable_since = {1, 0};
  return entry;
}

void I8042::resume() {
  const std::lock_guard lock(mutex_);
  irq_.announce(interrupt_wanted());
}

Result<ByteVector> I8042::save() const {
  const std::lock_guard lock(mutex_);
  schema::I8042T state;
  state.status = read_status();
  state.command_byte = r_.command_byte;
  state.output_port = r_.output_port;
  state.pending_command = r_.pending_command;
  state.output_buffer.assign(r_.output_buffer.begin(), r_.output_buffer.end());
  return pack_state(state, schema::I8042Identifier());
}

Result<I8042::Registers> I8042::validate(const schema::I8042T& state) {
  const bool takes_data =
      (state.pending_command & kRamMask) == kWriteRam ||
      (state.pending_command >= kWriteOutputPort && state.pending_command <= kWriteAuxiliary);
  if (state.pending_command != 0 && !takes_data) {
    return corrupt_field(
        "pending_command",
        fmt::format("command {:#04x} takes no data byte, so it cannot wait for one", state.pending_command));
  }
  if (state.output_buffer.size() > kOutputBufferSize) {
    return corrupt_field("output_buffer", fmt::format("{} bytes are more than the {} there may be",
                                                      state.output_buffer.size(), kOutputBufferSize));
  }
  Registers r;
  // OBF follows from the buffer; commands take no time, so IBF is never set.
  r.status = state.status & static_cast<std::uint8_t>(~(kStatusOutputFull | kStatusInputFull));
  if (state.output_buffer.empty()) r.status &= static_cast<std::uint8_t>(~kStatusOfByte);
  r.command_byte = state.command_byte;
  r.output_port = state.output_port & static_cast<std::uint8_t>(~kOutputKeyboardInterrupt);
  r.pending_command = state.pending_command;
  r.output_buffer.assign(state.output_buffer.begin(), state.output_buffer.end());
  return r;
}

Result<void> I8042::restore(ByteView bytes) {
  const auto take = [this](const schema::I8042T& state) -> Result<void> {
    VMSNAP_ASSIGN_OR_RETURN(Registers registers, validate(state));
    const std::lock_guard lock(mutex_);
    r_ = std::move(registers);
    irq_.announce(interrupt_wanted());
    return {};
  };
  return restore_state<schema::I8042>(bytes, schema::I8042Identifier(), path_, take);
}

}  // namespace vmsnap::vmm
