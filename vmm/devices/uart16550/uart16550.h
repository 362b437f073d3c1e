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
  /// Takes what the guest sent. Called with the UART locked: must not call it back.
  virtual void write(ByteView bytes) = 0;
  /// There is room again after receive() did not take everything. Called with the UART unlocked, from a
  /// virtual CPU's thread or from the one that resumes the machine.
  virtual void input_wanted() {}
};

/// A 16550A with FIFOs. Characters take no time: the transmitter is always empty when the guest looks, and
/// the character timeout has always run out. As on a PC, OUT2 gates the interrupt. IoHandler of its 8 ports.
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

  void read(std::uint64_t offset, MutableByteView data) override;
  void write(std::uint64_t offset, ByteView data) override;

  [[nodiscard]] DeviceEntry describe() const override;
  void resume() override;
  [[nodiscard]] Result<ByteVector> save() const override;
  [[nodiscard]] Result<void> restore(ByteView state) override;

 private:
  struct Registers {
    std::uint8_t ier = 0;
    std::uint8_t fcr = 0;
    std::uint8_t lcr = 0;
    std::uint8_t mcr = 0;
    std::uint8_t lsr = 0;  // without DR, which is derived
    std::uint8_t msr = 0;
    std::uint8_t scr = 0;
    std::uint8_t dll = 0;
    std::uint8_t dlm = 0;
    std::deque<std::uint8_t> receive_fifo;
    bool thre_interrupt_pending = false;
  };
  [[nodiscard]] static Result<Registers> validate(const schema::Uart16550T& state);

  // All of these are called with mutex_ held.
  [[nodiscard]] std::uint8_t read_register(std::uint64_t offset);
  void write_register(std::uint64_t offset, std::uint8_t value);
  void write_fcr(std::uint8_t value);
  void write_mcr(std::uint8_t value);
  void transmit(std::uint8_t value);
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
};

}  // namespace vmsnap::vmm
