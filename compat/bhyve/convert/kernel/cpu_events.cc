// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/kernel/cpu_events.h"

#include <optional>

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kValid = 1u << 31;
constexpr std::uint64_t kHasErrorCode = 1u << 11;
constexpr unsigned kTypeShift = 8, kErrorCodeShift = 32;
constexpr std::uint64_t kTypeMask = 7, kVectorMask = 0xff;

enum EventType : std::uint64_t {
  kInterrupt = 0,
  kNmi = 2,
  kException = 3,
  kSoftwareInterrupt = 4,
  kPrivilegedSoftwareException = 5,
  kSoftwareException = 6,
};

constexpr std::uint8_t kNmiVector = 2, kMaxExceptionVector = 31;

constexpr std::uint64_t event(EventType type, std::uint8_t vector) {
  return kValid | type << kTypeShift | vector;
}

Result<void> set_interrupt(StateTree& cpu, std::uint8_t vector, bool software) {
  VMSNAP_RETURN_IF_ERROR(cpu.set("events.interrupt.vector", vector));
  return cpu.set("events.interrupt.software", software);
}

Result<void> set_exception(StateTree& cpu, std::uint8_t vector, std::optional<std::uint32_t> error_code) {
  if (vector > kMaxExceptionVector || vector == kNmiVector) return {};
  VMSNAP_RETURN_IF_ERROR(cpu.set("events.exception.vector", vector));
  VMSNAP_RETURN_IF_ERROR(cpu.set("events.exception.injected", true));
  return cpu.set("events.exception.error_code", error_code);
}

}  // namespace

Result<void> set_event(StateTree& cpu, std::uint64_t exitintinfo) {
  VMSNAP_RETURN_IF_ERROR(cpu.make("events"));
  VMSNAP_RETURN_IF_ERROR(cpu.clear("events.exception"));
  VMSNAP_RETURN_IF_ERROR(cpu.clear("events.interrupt"));
  VMSNAP_RETURN_IF_ERROR(cpu.clear("events.nmi_injected"));
  if ((exitintinfo & kValid) == 0) return {};

  const auto vector = static_cast<std::uint8_t>(exitintinfo & kVectorMask);
  switch (exitintinfo >> kTypeShift & kTypeMask) {
    case kInterrupt:
      return set_interrupt(cpu, vector, false);
    case kSoftwareInterrupt:
      return set_interrupt(cpu, vector, true);
    case kNmi:
      return cpu.set("events.nmi_injected", true);
    case kException:
    case kPrivilegedSoftwareException:
    case kSoftwareException: {
      std::optional<std::uint32_t> error_code;
      if ((exitintinfo & kHasErrorCode) != 0) {
        error_code = static_cast<std::uint32_t>(exitintinfo >> kErrorCodeShift);
      }
      return set_exception(cpu, vector, error_code);
    }
    default:
      return {};
  }
}

Result<std::uint64_t> event_of(const StateTree& cpu) {
  VMSNAP_ASSIGN_OR_RETURN(const auto exception,
                          cpu.get<std::optional<std::uint8_t>>("events.exception.vector"));
  VMSNAP_ASSIGN_OR_RETURN(const auto injected, cpu.get<std::optional<bool>>("events.exception.injected"));
  if (exception && injected.value_or(false)) {
    VMSNAP_ASSIGN_OR_RETURN(const auto error_code,
                            cpu.get<std::optional<std::uint32_t>>("events.exception.error_code"));
    const std::uint64_t bits = event(kException, *exception);
    if (!error_code) return bits;
    return bits | kHasErrorCode | static_cast<std::uint64_t>(*error_code) << kErrorCodeShift;
  }
  VMSNAP_ASSIGN_OR_RETURN(const auto nmi, cpu.get<bool>("events.nmi_injected"));
  if (nmi) return event(kNmi, kNmiVector);
  VMSNAP_ASSIGN_OR_RETURN(const auto interrupt,
                          cpu.get<std::optional<std::uint8_t>>("events.interrupt.vector"));
  if (!interrupt) return std::uint64_t{0};
  VMSNAP_ASSIGN_OR_RETURN(const auto software, cpu.get<std::optional<bool>>("events.interrupt.software"));
  return event(software.value_or(false) ? kSoftwareInterrupt : kInterrupt, *interrupt);
}

}  // namespace vmsnap::compat::bhyve
