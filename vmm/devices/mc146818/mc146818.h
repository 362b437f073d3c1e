// SPDX-License-Identifier: BSD-2-Clause
// Source: Motorola MC146818 data sheet; ports as in the IBM PC/AT Technical Reference.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/device.h"
#include "core/io_handler.h"
#include "core/irq_output.h"
#include "devices/mc146818/mc146818_time.h"

namespace vmsnap::schema {
struct Mc146818T;
}

namespace vmsnap::vmm {

/// The real-time clock and CMOS RAM of a PC. The time is the host's when the device is made and runs with the
/// host's monotonic clock from then on; the guest may set it. Alarm, periodic and update interrupts come from
/// a thread that exists from when the guest first enables one of them. IoHandler of its two ports.
class Mc146818 final : public Device, public IoHandler {
 public:
  static constexpr std::uint64_t kPorts = 2;

  /// `base` is the index port and names the device. `clock` and `irq` must outlive it; without `irq` the
  /// flags of register C are kept, but no interrupt is raised. The clock shows UTC.
  Mc146818(std::uint16_t base, const Clock& clock, IrqLine* irq = nullptr);
  ~Mc146818() override;

  /// Moves the clock on by `ns` (not negative) as if the guest had run that long: the advance policy of a
  /// restore. Call it between restore() and resume(), while the clock stands still.
  void advance(std::int64_t ns);

  void read(std::uint64_t offset, MutableByteView data) override;
  void write(std::uint64_t offset, ByteView data) override;

  [[nodiscard]] DeviceEntry describe() const override;
  /// No interrupt is raised from now on.
  [[nodiscard]] Result<void> quiesce() override;
  void resume() override;
  [[nodiscard]] Result<ByteVector> save() const override;
  [[nodiscard]] Result<void> restore(ByteView state) override;

 private:
  struct State {
    std::uint8_t index = 0;
    mc146818::Cmos cmos{};
    // Where the clock was at `epoch_ns`, since when it runs on; between restore() and resume(), when there is
    // no epoch_ns, it stands still.
    std::int64_t seconds = 0;  // since 1970
    std::uint32_t phase = 0;   // ns; how far the divider is in its second
    std::optional<std::int64_t> epoch_ns;
  };
  [[nodiscard]] static Result<State> validate(const schema::Mc146818T& state);

  /// The divider is counting, so there are periodic edges.
  [[nodiscard]] static bool divides(const State& state);
  /// Each second of the divider is counted as one of the time.
  [[nodiscard]] static bool counts(const State& state);
  /// Lets `ns` pass: flags, time and time registers become what they are then.
  static void pass(State& state, std::uint64_t ns);
  /// Lets pass what has passed up to `monotonic_ns`.
  static void settle(State& state, std::int64_t monotonic_ns);
  [[nodiscard]] static std::uint8_t register_c(const State& state);

  // Called with mutex_ held.
  [[nodiscard]] std::uint8_t read_cmos();
  void write_cmos(std::uint8_t value);
  void write_control(std::uint8_t index, std::uint8_t value);
  [[nodiscard]] bool interrupt_requested() const;
  void update_irq();
  /// Has the thread look at what comes next, and starts it when there is something for the first time.
  void schedule();
  /// Time until something may happen that the guest wants to be interrupted for; nullopt when nothing can.
  [[nodiscard]] std::optional<std::int64_t> ns_to_event() const;

  void run_timer();

  const std::string path_;
  const Clock& clock_;

  mutable std::mutex mutex_;
  State s_;
  std::optional<IrqOutput> irq_;
  bool quiesced_ = false;
  bool stop_ = false;
  std::condition_variable wake_;
  std::thread timer_;
};

}  // namespace vmsnap::vmm
