// SPDX-License-Identifier: BSD-2-Clause
// Source: ACPI Specification 6.4, section 4.8.3 (fixed hardware registers), 4.8.4.1 (general-purpose events).
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "core/device.h"
#include "core/io_handler.h"
#include "core/irq_output.h"

namespace vmsnap::schema {
struct AcpiPmT;
}

namespace vmsnap::vmm {

/// The ACPI fixed hardware of a machine that is always in ACPI mode (no SMI command port). IoHandler of one
/// block of 16 ports: offset 0 PM1a_EVT (4 bytes), 4 PM1a_CNT (2), 8 PM_TMR (4, a 32-bit counter, so the
/// FADT must say TMR_VAL_EXT), 12 GPE0 (4).
class AcpiPm final : public Device, public IoHandler {
 public:
  static constexpr std::uint64_t kPorts = 16;
  static constexpr std::uint64_t kTimerHz = 3'579'545;
  static constexpr std::uint8_t kSleepTypeS5 = 5;
  static constexpr unsigned kGpeCount = 16;

  /// `base` is the first port and names the device. `sci`, `power` and `clock` must outlive it.
  AcpiPm(std::uint16_t base, IrqLine& sci, PowerControl& power, const Clock& clock);

  /// Moves the timer on by `ns` (not negative) as if the guest had run that long: the advance policy of a
  /// restore. Call it between restore() and resume(), while the timer stands still.
  void advance(std::int64_t ns);

  /// Someone presses the power button. Thread-safe.
  void press_power_button();

  /// General-purpose event `number`, less than kGpeCount, happens. Thread-safe.
  void signal_event(unsigned number);

  void read(std::uint64_t offset, MutableByteView data) override;
  void write(std::uint64_t offset, ByteView data) override;

  [[nodiscard]] DeviceEntry describe() const override;
  void resume() override;
  [[nodiscard]] Result<ByteVector> save() const override;
  [[nodiscard]] Result<void> restore(ByteView state) override;

 private:
  struct Registers {
    std::uint16_t status = 0;
    std::uint16_t enable = 0;
    std::uint16_t control = 0;
    std::uint16_t gpe0_status = 0;
    std::uint16_t gpe0_enable = 0;
  };
  [[nodiscard]] static Result<Registers> validate(const schema::AcpiPmT& state);

  // All of these are called with mutex_ held.
  [[nodiscard]] std::uint64_t count() const;
  [[nodiscard]] std::uint16_t status_now() const;
  void latch_timer_status();
  void write_byte(std::uint64_t offset, std::uint8_t value);
  [[nodiscard]] bool interrupt_wanted() const;
  void update_irq();

  const std::string path_;
  PowerControl& power_;
  const Clock& clock_;

  mutable std::mutex mutex_;
  Registers r_;
  // The timer counts on from (epoch_count_, epoch_ns_); the upper half of a 64-bit count tells whether bit 31
  // has changed since the status was latched. Between restore() and resume() it stands still: no epoch_ns_.
  std::uint64_t epoch_count_ = 0;
  std::optional<std::int64_t> epoch_ns_;
  std::uint64_t latched_count_ = 0;
  IrqOutput sci_;
};

}  // namespace vmsnap::vmm
