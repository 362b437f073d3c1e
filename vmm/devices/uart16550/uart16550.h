// SPDX-License-Identifier: BSD-2-Clause
// Source: National Semiconductor PC16550D data sheet (June 1995), section 8.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "core/device.h"
#include "core/io_handler.h"
#include "core/irq_output.h"

namespace vmsnap::schema {
struct Uart16550T;
}

namespace vmsnap::vmm {

/// The far end of a serial line.
class CharacterSink {
 public:
  virtual ~CharacterSink() = default;
  /// Takes of what the guest sends as much as goes without waiting, and returns how many bytes that was. When
  /// it was not all, Uart16550::send_waiting() is to be called once there is room. Called with the UART
  /// locked: must not call it back.
  [[nodiscard]] virtual std::size_t write(ByteView bytes) = 0;
  /// There is room again after receive() did not take everything. Called with the UART unlocked, from a
  /// virtual CPU's thread or from the one that resumes the machine.
  virtual void input_wanted() {}
};

/// A 16550A with FIFOs. Characters take no time: what the sink takes at once is gone when the guest looks,
/// and the character timeout has always run out. What the sink does not take waits in the transmitter, as the
/// line status register says, and no virtual CPU waits for it. As on a PC, OUT2 gates the interrupt.
/// IoHandler of its 8 ports.
class Uart16550 final : public Device, public IoHandler {
 public:
  static constexpr std::uint64_t kPorts = 8;
  static constexpr std::size_t kFifoSize = 16;

  /// `base` is the first port and names the device. `irq` and `sink` must outlive it.
  Uart16550(std::uint16_t base, IrqLine& irq, CharacterSink& sink);

  /// Characters that arrive for the guest, oldest first. Returns how many were taken: the rest does not fit
  /// (or the guest has cut the line by loopback) and may be offered again after
  /// CharacterSink::input_wanted(). Thread-safe.
  [[nodiscard]] std::size_t receive(ByteView bytes);

  /// There is room at the sink: what waits in the transmitter is offered to it again. Does nothing between
  /// quiesce() or restore() and resume(). Thread-safe.
  void send_waiting();
  /// Offers the sink what waits in the transmitter, also between quiesce() and resume(); true when nothing is
  /// left. Thread-safe.
  [[nodiscard]] bool flush();

  void read(std::uint64_t offset, MutableByteView data) override;
  void write(std::uint64_t offset, ByteView data) override;

  [[nodiscard]] DeviceEntry describe() const override;
  /// Nothing is sent from now on.
  [[nodiscard]] Result<void> quiesce() override;
  void resume() override;
  [[nodiscard]] Result<ByteVector> save() const override;
  [[nodiscard]] Result<void> restore(ByteView state) override;

 private:
  struct Registers {
    std::uint8_t ier = 0;
    std::uint8_t fcr = 0;
    std::uint8_t lcr = 0;
    std::uint8_t mcr = 0;
    std::uint8_t lsr = 0;  // the errors; the rest is derived
    std::uint8_t msr = 0;
    std::uint8_t scr = 0;
    std::uint8_t dll = 0;
    std::uint8_t dlm = 0;
    std::deque<std::uint8_t> receive_fifo;
    std::deque<std::uint8_t> transmit_fifo;
    bool thre_interrupt_pending = false;
  };
  [[nodiscard]] static Result<Registers> validate(const schema::Uart16550T& state);

  // All of these are called with mutex_ held.
  [[nodiscard]] std::uint8_t read_register(std::uint64_t offset);
  void write_register(std::uint64_t offset, std::uint8_t value);
  void write_fcr(std::uint8_t value);
  void write_mcr(std::uint8_t value);
  void transmit(std::uint8_t value);
  /// Offers the sink what waits; what it takes leaves the transmitter.
  void send();
  void receive_one(std::uint8_t value);
  [[nodiscard]] bool fifo_enabled() const;
  [[nodiscard]] std::size_t capacity() const;
  [[nodiscard]] std::size_t trigger_level() const;
  [[nodiscard]] std::uint8_t line_status() const;
  [[nodiscard]] std::uint8_t interrupt_identification() const;
  void update_irq();
  [[nodiscard]] bool interrupt_wanted() const;

  const std::string path_;
  CharacterSink& sink_;

  mutable std::mutex mutex_;
  Registers r_;
  IrqOutput irq_;
  bool input_refused_ = false;  // the far end waits for input_wanted()
  bool quiesced_ = false;
};

}  // namespace vmsnap::vmm
