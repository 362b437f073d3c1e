// SPDX-License-Identifier: BSD-2-Clause
#include "devices/acpi_pm/acpi_pm.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "acpi_pm_generated.h"
#include "core/state_buffer.h"
#include "devices/acpi_pm/acpi_pm_bits.h"

namespace vmsnap::vmm {

using namespace acpi_pm;

namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

/// Timer ticks in `ns` nanoseconds. Seconds and rest apart, so that no length of time overflows.
std::uint64_t ticks(std::int64_t ns) {
  const auto span = static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0));
  return span / kNsPerSecond * AcpiPm::kTimerHz + span % kNsPerSecond * AcpiPm::kTimerHz / kNsPerSecond;
}

}  // namespace

AcpiPm::AcpiPm(std::uint16_t base, IrqLine& sci, PowerControl& power, const Clock& clock)
    : path_(fmt::format("isa0/acpi_pm@{:x}", base)),
      power_(power),
      clock_(clock),
      epoch_ns_(clock.monotonic_ns()),
      sci_(sci) {
  r_.control = kSciEnable;
}

std::uint64_t AcpiPm::count() const {
  return epoch_ns_ ? epoch_count_ + ticks(clock_.monotonic_ns() - *epoch_ns_) : epoch_count_;
}

// TMR_STS rises whenever bit 31 of the timer changes. Nothing runs in between looks: it is found out then.
std::uint16_t AcpiPm::status_now() const {
  const bool changed = (count() >> 31) != (latched_count_ >> 31);
  return static_cast<std::uint16_t>(r_.status | (changed ? kTimerBit : 0));
}

void AcpiPm::latch_timer_status() {
  r_.status = status_now();
  latched_count_ = count();
}

void AcpiPm::advance(std::int64_t ns) {
  const std::lock_guard lock(mutex_);
  epoch_count_ += ticks(ns);
}

void AcpiPm::press_power_button() {
  const std::lock_guard lock(mutex_);
  r_.status |= kPowerButtonBit;
  update_irq();
}

void AcpiPm::signal_event(unsigned number) {
  const std::lock_guard lock(mutex_);
  r_.gpe0_status |= static_cast<std::uint16_t>(1U << number);
  update_irq();
}

void AcpiPm::read(std::uint64_t offset, MutableByteView data) {
  std::array<std::byte, kPorts> image{};
  {
    const std::lock_guard lock(mutex_);
    latch_timer_status();
    update_irq();
    store_le(MutableByteView(image), kStatus, r_.status);
    store_le(MutableByteView(image), kEnable, r_.enable);
    store_le(MutableByteView(image), kControl, r_.control);
    store_le(MutableByteView(image), kTimer, static_cast<std::uint32_t>(count()));
    store_le(MutableByteView(image), kGpe0Status, r_.gpe0_status);
    store_le(MutableByteView(image), kGpe0Enable, r_.gpe0_enable);
  }
  for (std::size_t i = 0; i < data.size(); ++i) {
    data[i] = offset + i < image.size() ? image[offset + i] : std::byte{0xff};
  }
}

void AcpiPm::write(std::uint64_t offset, ByteView data) {
  const std::lock_guard lock(mutex_);
  latch_timer_status();
  for (std::size_t i = 0; i < data.size(); ++i)
    write_byte(offset + i, std::to_integer<std::uint8_t>(data[i]));
  update_irq();
}

void AcpiPm::write_byte(std::uint64_t offset, std::uint8_t value) {
  const unsigned shift = (offset & 1) != 0 ? 8 : 0;
  const auto bits = static_cast<std::uint16_t>(value << shift);
  const auto others = static_cast<std::uint16_t>(0xff00 >> shift);
  switch (offset & ~std::uint64_t{1}) {
    case kStatus:  // a 1 clears
      r_.status &= static_cast<std::uint16_t>(~bits);
      break;
    case kEnable:
      r_.enable = static_cast<std::uint16_t>(((r_.enable & others) | bits) & kEnableBits);
      break;
    case kControl: {
      const auto written = static_cast<std::uint16_t>((r_.control & others) | bits);
      // There is no other mode than ACPI's, so SCI_EN cannot be changed.
      r_.control =
          static_cast<std::uint16_t>((written & kControlBits & ~kSciEnable) | (r_.control & kSciEnable));
      const bool soft_off = (written & kSleepType) >> kSleepTypeShift == kSleepTypeS5;
      if ((bits & kSleepEnable) != 0 && soft_off) power_.request_power_off();
      break;
    }
    case kGpe0Status:
      r_.gpe0_status &= static_cast<std::uint16_t>(~bits);
      break;
    case kGpe0Enable:
      r_.gpe0_enable = static_cast<std::uint16_t>((r_.gpe0_enable & others) | bits);
      break;
    default:  // the timer is read-only
      break;
  }
}

bool AcpiPm::interrupt_wanted() const {
  const bool event = (r_.status & r_.enable & kEnableBits) != 0 || (r_.gpe0_status & r_.gpe0_enable) != 0;
  return (r_.control & kSciEnable) != 0 && event;
}

void AcpiPm::update_irq() {
  sci_.set(interrupt_wanted());
}

DeviceEntry AcpiPm::describe() const {
  const std::lock_guard lock(mutex_);
  DeviceEntry entry;
  entry.path = path_;
  entry.type = "acpi_pm";
  entry.version = {1, 1};
  entry.readable_since = {1, 0};
  if (r_.gpe0_status != 0 || r_.gpe0_enable != 0) entry.features.emplace_back("gpe0");
  return entry;
}

void AcpiPm::resume() {
  const std::lock_guard lock(mutex_);
  if (!epoch_ns_) epoch_ns_ = clock_.monotonic_ns();
  latch_timer_status();
  sci_.announce(interrupt_wanted());
}

Result<ByteVector> AcpiPm::save() const {
  const std::lock_guard lock(mutex_);
  schema::AcpiPmT state;
  state.pm1_status = status_now();
  state.pm1_enable = r_.enable;
  state.pm1_control = r_.control;
  state.pm_timer = static_cast<std::uint32_t>(count());
  state.gpe0_status = r_.gpe0_status;
  state.gpe0_enable = r_.gpe0_enable;
  return pack_state(state, schema::AcpiPmIdentifier());
}

Result<AcpiPm::Registers> AcpiPm::validate(const schema::AcpiPmT& state) {
  if ((state.pm1_status & ~kStatusBits) != 0) {
    return corrupt_field("pm1_status", fmt::format("{:#06x} has reserved bits set", state.pm1_status));
  }
  if ((state.pm1_enable & ~kEnableBits) != 0) {
    return corrupt_field("pm1_enable", fmt::format("{:#06x} has reserved bits set", state.pm1_enable));
  }
  if ((state.pm1_control & ~kControlBits) != 0) {
    return corrupt_field("pm1_control",
                         fmt::format("{:#06x} has bits set that always read as 0", state.pm1_control));
  }
  if ((state.pm1_control & kSciEnable) == 0) {
    return unsupported_field("pm1_control",
                             "the guest has not turned ACPI mode on, and this machine knows no other; "
                             "take the snapshot after the guest has booted");
  }
  return Registers{state.pm1_status, state.pm1_enable, state.pm1_control, state.gpe0_status,
                   state.gpe0_enable};
}

Result<void> AcpiPm::restore(ByteView bytes) {
  const auto take = [this](const schema::AcpiPmT& state) -> Result<void> {
    VMSNAP_ASSIGN_OR_RETURN(const Registers registers, validate(state));
    const std::lock_guard lock(mutex_);
    r_ = registers;
    epoch_count_ = state.pm_timer;
    epoch_ns_.reset();
    latched_count_ = epoch_count_;
    sci_.announce(interrupt_wanted());
    return {};
  };
  return restore_state<schema::AcpiPm>(bytes, schema::AcpiPmIdentifier(), path_, take);
}

}  // namespace vmsnap::vmm
