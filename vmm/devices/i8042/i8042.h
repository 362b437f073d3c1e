// SPDX-License-Identifier: BSD-2-Clause
// Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller".
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>

#include "core/device.h"
#include "core/io_handler.h"
#include "core/irq_output.h"

namespace vmsnap::schema {
struct I8042T;
}

namespace vmsnap::vmm {

/// A keyboard controller with nothing plugged in: it passes its self test, says that it has no auxiliary
/// port, answers everything sent to the keyboard with "resend" and a time-out (as hardware does), and resets
/// the machine.
class I8042 final : public Device {
 public:
  static constexpr std::size_t kOutputBufferSize = 16;

  /// `base` is the data port and names the device; the command port is `base` + 4. `irq` (the keyboard's) and
  /// `power` must outlive it.
  I8042(std::uint16_t base, IrqLine& irq, PowerControl& power);

  /// The two ports, one byte each; valid as long as the device.
  [[nodiscard]] IoHandler& data_port() { return data_port_; }
  [[nodiscard]] IoHandler& command_port() { return command_port_; }

  [[nodiscard]] DeviceEntry describe() const override;
  void resume() override;
  [[nodiscard]] Result<ByteVector> save() const override;
  [[nodiscard]] Result<void> restore(ByteView state) override;

 private:
  class Port final : public IoHandler {
   public:
    Port(I8042& device, bool command) : device_(device), command_(command) {}
    void read(std::uint64_t offset, MutableByteView data) override;
    void write(std::uint64_t offset, ByteView data) override;

   private:
    I8042& device_;
    const bool command_;
  };
  struct Registers {
    std::uint8_t status = 0;  // without OBF, which is derived
    std::uint8_t command_byte = 0;
    std::uint8_t output_port = 0;
    std::uint8_t pending_command = 0;
    std::deque<std::uint8_t> output_buffer;
  };
  [[nodiscard]] static Result<Registers> validate(const schema::I8042T& state);

  // All of these are called with mutex_ held.
  [[nodiscard]] std::uint8_t read_data();
  [[nodiscard]] std::uint8_t read_status() const;
  void write_data(std::uint8_t value);
  void write_command(std::uint8_t command);
  void run_with_data(std::uint8_t command, std::uint8_t value);
  void answer(std::uint8_t value);
  void answer_timeout();
  void write_output_port(std::uint8_t value);
  [[nodiscard]] bool interrupt_wanted() const;
  void update_irq();

  const std::string path_;
  PowerControl& power_;
  Port data_port_{*this, false};
  Port command_port_{*this, true};

  mutable std::mutex mutex_;
  Registers r_;
  IrqOutput irq_;
};

}  // namespace vmsnap::vmm
