// SPDX-License-Identifier: BSD-2-Clause
#include "devices/uart16550/uart16550.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "devices/uart16550/uart16550_bits.h"

namespace vmsnap::vmm {

using namespace uart16550;

Uart16550::Uart16550(std::uint16_t base, IrqLine& irq, CharacterSink& sink)
    : path_(fmt::format("isa0/uart@{:x}", base)), sink_(sink), irq_(irq) {
  r_.msr = kMsrLinesOfAConnectedPeer;
}

std::size_t Uart16550::receive(ByteView bytes) {
  const std::lock_guard lock(mutex_);
  std::size_t taken = 0;
  if ((r_.mcr & kMcrLoop) == 0) {
    while (taken < bytes.size() && r_.receive_fifo.size() < capacity()) {
      r_.receive_fifo.push_back(std::to_integer<std::uint8_t>(bytes[taken]));
      ++taken;
    }
  }
  if (taken < bytes.size()) input_refused_ = true;
  update_irq();
  return taken;
}

void Uart16550::send_waiting() {
  const std::lock_guard lock(mutex_);
  if (quiesced_) return;
  send();
  update_irq();
}

bool Uart16550::flush() {
  const std::lock_guard lock(mutex_);
  send();
  if (!quiesced_) update_irq();
  return r_.transmit_fifo.empty();
}

void Uart16550::read(std::uint64_t offset, MutableByteView data) {
  bool tell = false;
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = std::byte{read_register(offset + i)};
    update_irq();
    tell = input_refused_ && r_.receive_fifo.empty() && (r_.mcr & kMcrLoop) == 0;
    if (tell) input_refused_ = false;
  }
  if (tell) sink_.input_wanted();
}

void Uart16550::write(std::uint64_t offset, ByteView data) {
  bool tell = false;
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < data.size(); ++i)
      write_register(offset + i, std::to_integer<std::uint8_t>(data[i]));
    update_irq();
    // Clearing the FIFO or leaving loopback makes room too.
    tell = input_refused_ && r_.receive_fifo.empty() && (r_.mcr & kMcrLoop) == 0;
    if (tell) input_refused_ = false;
  }
  if (tell) sink_.input_wanted();
}

std::uint8_t Uart16550::read_register(std::uint64_t offset) {
  const bool divisor = (r_.lcr & kLcrDlab) != 0;
  switch (offset) {
    case kRbrThrDll: {
      if (divisor) return r_.dll;
      if (r_.receive_fifo.empty()) return 0;
      const std::uint8_t value = r_.receive_fifo.front();
      r_.receive_fifo.pop_front();
      return value;
    }
    case kIerDlm:
      return divisor ? r_.dlm : r_.ier;
    case kIirFcr: {
      const std::uint8_t iir = interrupt_identification();
      // Reading the identification acknowledges the transmitter's interrupt, and only if it is the one shown.
      if ((iir & kIirIdMask) == kIirThre) r_.thre_interrupt_pending = false;
      return iir;
    }
    case kLcr:
      return r_.lcr;
    case kMcr:
      return r_.mcr;
    case kLsr: {
      const std::uint8_t value = line_status();
      r_.lsr = 0;
      return value;
    }
    case kMsr: {
      const std::uint8_t value = r_.msr;
      r_.msr &= static_cast<std::uint8_t>(~kMsrDeltas);
      return value;
    }
    case kScr:
      return r_.scr;
    default:
      return 0xff;
  }
}

void Uart16550::write_register(std::uint64_t offset, std::uint8_t value) {
  const bool divisor = (r_.lcr & kLcrDlab) != 0;
  switch (offset) {
    case kRbrThrDll:
      if (divisor) {
        r_.dll = value;
      } else {
        transmit(value);
      }
      break;
    case kIerDlm:
      if (divisor) {
        r_.dlm = value;
        break;
      }
      // Enabling the interrupt raises it when the transmitter is empty.
      if ((value & kIerThre) != 0 && (r_.ier & kIerThre) == 0) {
        r_.thre_interrupt_pending = r_.transmit_fifo.empty();
      }
      r_.ier = value & kIerMask;
      break;
    case kIirFcr:
      write_fcr(value);
      break;
    case kLcr:
      r_.lcr = value;
      break;
    case kMcr:
      write_mcr(value & kMcrMask);
      break;
    case kScr:
      r_.scr = value;
      break;
    default:  // LSR and MSR: writes are for factory tests only
      break;
  }
}

void Uart16550::write_fcr(std::uint8_t value) {
  const bool toggled = ((value ^ r_.fcr) & kFcrEnable) != 0;
  if (toggled || (value & kFcrClearReceiver) != 0) r_.receive_fifo.clear();
  if ((toggled || (value & kFcrClearTransmitter) != 0) && !r_.transmit_fifo.empty()) {
    r_.transmit_fifo.clear();
    r_.thre_interrupt_pending = true;
  }
  r_.fcr = value;
}

void Uart16550::write_mcr(std::uint8_t value) {
  const auto inputs = [](std::uint8_t mcr) -> std::uint8_t {
    if ((mcr & kMcrLoop) == 0) return kMsrLinesOfAConnectedPeer;
    std::uint8_t lines = 0;
    if ((mcr & kMcrDtr) != 0) lines |= kMsrDsr;
    if ((mcr & kMcrRts) != 0) lines |= kMsrCts;
    if ((mcr & kMcrOut1) != 0) lines |= kMsrRi;
    if ((mcr & kMcrOut2) != 0) lines |= kMsrDcd;
    return lines;
  };
  r_.mcr = value;
  const std::uint8_t before = r_.msr & kMsrLines;
  const std::uint8_t after = inputs(value);
  const std::uint8_t changed = before ^ after;
  std::uint8_t deltas = r_.msr & kMsrDeltas;
  if ((changed & kMsrCts) != 0) deltas |= kMsrDeltaCts;
  if ((changed & kMsrDsr) != 0) deltas |= kMsrDeltaDsr;
  if ((changed & kMsrDcd) != 0) deltas |= kMsrDeltaDcd;
  if ((changed & before & kMsrRi) != 0) deltas |= kMsrTrailingRi;
  r_.msr = static_cast<std::uint8_t>(after | deltas);
}

void Uart16550::transmit(std::uint8_t value) {
  if ((r_.mcr & kMcrLoop) != 0) {
    receive_one(value);
    // It took no time; what waits is for the line, which loopback has cut off from the holding register only.
    r_.thre_interrupt_pending = r_.transmit_fifo.empty();
    return;
  }
  r_.thre_interrupt_pending = false;
  if (r_.transmit_fifo.size() < capacity()) {
    r_.transmit_fifo.push_back(value);
  } else if (!fifo_enabled()) {
    // The driver has not looked at THRE: without FIFOs the newer character replaces the older, with them it
    // is lost.
    r_.transmit_fifo.back() = value;
  }
  if (!quiesced_) send();
}

void Uart16550::send() {
  if (r_.transmit_fifo.empty()) return;
  std::array<std::byte, kFifoSize> waiting{};
  std::transform(r_.transmit_fifo.begin(), r_.transmit_fifo.end(), waiting.begin(),
                 [](std::uint8_t value) { return std::byte{value}; });
  const std::size_t sent = sink_.write(ByteView(waiting).first(r_.transmit_fifo.size()));
  r_.transmit_fifo.erase(r_.transmit_fifo.begin(),
                         r_.transmit_fifo.begin() + static_cast<std::ptrdiff_t>(sent));
  if (r_.transmit_fifo.empty()) r_.thre_interrupt_pending = true;
}

void Uart16550::receive_one(std::uint8_t value) {
  if (r_.receive_fifo.size() < capacity()) {
    r_.receive_fifo.push_back(value);
    return;
  }
  r_.lsr |= kLsrOverrun;
  // Without FIFOs the newer character replaces the older; with them it is lost in the shift register.
  if (!fifo_enabled()) r_.receive_fifo.back() = value;
}

bool Uart16550::fifo_enabled() const {
  return (r_.fcr & kFcrEnable) != 0;
}

std::size_t Uart16550::capacity() const {
  return fifo_enabled() ? kFifoSize : 1;
}

std::size_t Uart16550::trigger_level() const {
  constexpr std::array<std::size_t, 4> kLevels = {1, 4, 8, 14};
  return fifo_enabled() ? kLevels[r_.fcr >> 6] : 1;
}

std::uint8_t Uart16550::line_status() const {
  return static_cast<std::uint8_t>(r_.lsr | (r_.receive_fifo.empty() ? 0 : kLsrDataReady) |
                                   (r_.transmit_fifo.empty() ? kLsrTransmitterEmpty : 0));
}

std::uint8_t Uart16550::interrupt_identification() const {
  const std::uint8_t fifos = fifo_enabled() ? kIirFifosEnabled : 0;
  std::uint8_t id = kIirNone;
  if ((r_.ier & kIerLineStatus) != 0 && r_.lsr != 0) {
    id = kIirLineStatus;
  } else if ((r_.ier & kIerReceiver) != 0 && !r_.receive_fifo.empty()) {
    id = r_.receive_fifo.size() >= trigger_level() ? kIirReceiver : kIirCharacterTimeout;
  } else if ((r_.ier & kIerThre) != 0 && r_.thre_interrupt_pending) {
    id = kIirThre;
  } else if ((r_.ier & kIerModem) != 0 && (r_.msr & kMsrDeltas) != 0) {
    id = kIirModem;
  }
  return fifos | id;
}

bool Uart16550::interrupt_wanted() const {
  // In loopback the OUT2 pin is forced inactive, whatever the register says.
  const bool gate = (r_.mcr & (kMcrOut2 | kMcrLoop)) == kMcrOut2;
  return gate && (interrupt_identification() & kIirNone) == 0;
}

void Uart16550::update_irq() {
  irq_.set(interrupt_wanted());
}

}  // namespace vmsnap::vmm
