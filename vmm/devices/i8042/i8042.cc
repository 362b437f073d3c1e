// SPDX-License-Identifier: BSD-2-Clause
#include "devices/i8042/i8042.h"

#include <fmt/format.h>

#include <algorithm>

#include "devices/i8042/i8042_bits.h"

namespace vmsnap::vmm {

using namespace i8042;

I8042::I8042(std::uint16_t base, IrqLine& irq, PowerControl& power)
    : path_(fmt::format("isa0/i8042@{:x}", base)), power_(power), irq_(irq) {
  r_.status = kStatusSystem | kStatusNotInhibited;
  r_.command_byte = kByteSystem | kByteKeyboardInterrupt | kByteAuxiliaryDisabled;
  r_.output_port = kOutputNotReset | kOutputA20;
}

void I8042::Port::read(std::uint64_t offset, MutableByteView data) {
  std::fill(data.begin(), data.end(), std::byte{0xff});
  if (offset != 0 || data.empty()) return;
  const std::lock_guard lock(device_.mutex_);
  data[0] = std::byte{command_ ? device_.read_status() : device_.read_data()};
}

void I8042::Port::write(std::uint64_t offset, ByteView data) {
  if (offset != 0 || data.empty()) return;
  const auto value = std::to_integer<std::uint8_t>(data[0]);
  const std::lock_guard lock(device_.mutex_);
  if (command_) {
    device_.write_command(value);
  } else {
    device_.write_data(value);
  }
  device_.update_irq();
}

std::uint8_t I8042::read_status() const {
  return static_cast<std::uint8_t>(r_.status | (r_.output_buffer.empty() ? 0 : kStatusOutputFull));
}

std::uint8_t I8042::read_data() {
  if (r_.output_buffer.empty()) return 0;
  const std::uint8_t value = r_.output_buffer.front();
  r_.output_buffer.pop_front();
  if (r_.output_buffer.empty()) r_.status &= static_cast<std::uint8_t>(~kStatusOfByte);
  // The line drops with every byte taken, so that the next one is a new edge.
  irq_.set(false);
  update_irq();
  return value;
}

void I8042::write_data(std::uint8_t value) {
  r_.status &= static_cast<std::uint8_t>(~kStatusCommand);
  if (r_.pending_command != 0) {
    const std::uint8_t command = r_.pending_command;
    r_.pending_command = 0;
    run_with_data(command, value);
    return;
  }
  // A byte for the keyboard, which turns its interface on.
  r_.command_byte &= static_cast<std::uint8_t>(~kByteKeyboardDisabled);
  answer_timeout();
}

void I8042::write_command(std::uint8_t command) {
  r_.status |= kStatusCommand;
  r_.pending_command = 0;
  if ((command & kRamMask) == kReadRam) {
    answer(command == kReadRam ? r_.command_byte : 0);
    return;
  }
  if ((command & kRamMask) == kWriteRam) {
    r_.pending_command = command;
    return;
  }
  if ((command & kPulse) == kPulse) {
    if ((command & kOutputNotReset) == 0) power_.request_reset();
    return;
  }
  switch (command) {
    case kTestPassword:
      answer(kPasswordAbsent);
      break;
    case kDisableAuxiliary:
      r_.command_byte |= kByteAuxiliaryDisabled;
      break;
    case kEnableAuxiliary:
      r_.command_byte &= static_cast<std::uint8_t>(~kByteAuxiliaryDisabled);
      break;
    case kTestAuxiliary:
      answer(kInterfaceClockLow);
      break;
    case kSelfTest:
      r_.status |= kStatusSystem;
      r_.command_byte |= kByteSystem;
      answer(kSelfTestPassed);
      break;
    case kTestKeyboard:
      answer(kInterfaceGood);
      break;
    case kDisableKeyboard:
      r_.command_byte |= kByteKeyboardDisabled;
      break;
    case kEnableKeyboard:
      r_.command_byte &= static_cast<std::uint8_t>(~kByteKeyboardDisabled);
      break;
    case kReadInputPort:
      answer(kInputPortUnlocked);
      break;
    case kReadOutputPort:
      answer(static_cast<std::uint8_t>(r_.output_port | (interrupt_wanted() ? kOutputKeyboardInterrupt : 0)));
      break;
    case kWriteOutputPort:
    case kWriteKeyboardBuffer:
    case kWriteAuxiliaryBuffer:
    case kWriteAuxiliary:
      r_.pending_command = command;
      break;
    default:  // no such command: the controller ignores it
      break;
  }
}

void I8042::run_with_data(std::uint8_t command, std::uint8_t value) {
  if (command == kWriteRam) {
    r_.command_byte = value;
    r_.status = static_cast<std::uint8_t>((r_.status & ~kStatusSystem) | (value & kByteSystem));
    return;
  }
  switch (command) {
    case kWriteOutputPort:
      write_output_port(value);
      break;
    case kWriteKeyboardBuffer:
    case kWriteAuxiliaryBuffer:
      // Without an auxiliary port the byte never carries the auxiliary mark, by which drivers tell.
      answer(value);
      break;
    case kWriteAuxiliary:
      answer_timeout();
      break;
    default:  // the rest of the controller's RAM is not there
      break;
  }
}

void I8042::answer(std::uint8_t value) {
  r_.status &= static_cast<std::uint8_t>(~kStatusOfByte);
  if (r_.output_buffer.size() < kOutputBufferSize) r_.output_buffer.push_back(value);
}

void I8042::answer_timeout() {
  answer(kResend);
  r_.status |= kStatusTimeout;
}

void I8042::write_output_port(std::uint8_t value) {
  r_.output_port = value & static_cast<std::uint8_t>(~kOutputKeyboardInterrupt);
  if ((value & kOutputNotReset) == 0) power_.request_reset();
}

bool I8042::interrupt_wanted() const {
  return !r_.output_buffer.empty() && (r_.command_byte & kByteKeyboardInterrupt) != 0 &&
         (r_.status & kStatusAuxiliary) == 0;
}

void I8042::update_irq() {
  irq_.set(interrupt_wanted());
}

}  // namespace vmsnap::vmm
