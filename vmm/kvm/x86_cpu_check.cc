// SPDX-License-Identifier: BSD-2-Clause
// Intel SDM Vol. 3A chapters 2 to 4 and 17, Vol. 1 chapter 13.
#include <fmt/format.h>

#include <utility>

#include "core/state_buffer.h"
#include "kvm/msr_check.h"
#include "kvm/state_check.h"
#include "kvm/xsave_layout.h"

namespace vmsnap::vmm {
namespace {

constexpr std::uint64_t kHigh32 = 0xffffffff00000000;

constexpr std::uint64_t kRflagsFixed = 1u << 1;
constexpr std::uint64_t kRflagsReserved =
    ~std::uint64_t{0x3f7fd7};  // all but the flags of figure 3-8 and bit 1

constexpr std::uint32_t kAccessRightsReserved = ~std::uint32_t{0x1f0ff};
constexpr std::uint32_t kAccessRightsLong = 1u << 13;

constexpr std::uint64_t kCr0Pe = 1u << 0, kCr0Nw = 1u << 29, kCr0Cd = 1u << 30, kCr0Pg = 1u << 31;
constexpr std::uint64_t kCr4Pae = 1u << 5;
constexpr std::uint64_t kEferLme = 1u << 8, kEferLma = 1u << 10;

constexpr std::uint64_t kXcr0Avx = 1u << 2, kXcr0Mpx = 3u << 3, kXcr0Avx512 = 7u << 5, kXcr0Amx = 3u << 17;
constexpr std::uint32_t kMxcsrReserved = ~std::uint32_t{0x2ffff};  // bit 17 exists on AMD processors

constexpr std::uint8_t kNmiVector = 2, kMaxExceptionVector = 31;

Result<void> check_segments(const schema::X86CpuT& cpu) {
  const std::pair<const char*, const schema::SegmentRegisterT*> segments[] = {
      {"cs", cpu.cs.get()}, {"ds", cpu.ds.get()}, {"es", cpu.es.get()}, {"fs", cpu.fs.get()},
      {"gs", cpu.gs.get()}, {"ss", cpu.ss.get()}, {"tr", cpu.tr.get()}, {"ldtr", cpu.ldtr.get()}};
  for (const auto& [name, segment] : segments) {
    if ((segment->access_rights & kAccessRightsReserved) != 0) {
      return corrupt_field(
          fmt::format("{}.access_rights", name),
          fmt::format("the access rights are {:#x}, with reserved bits set", segment->access_rights));
    }
  }
  return {};
}

Result<void> check_control_registers(const schema::X86CpuT& cpu) {
  if ((cpu.cr0 & kHigh32) != 0)
    return corrupt_field("cr0", fmt::format("CR0 is {:#x}, with reserved bits set", cpu.cr0));
  if ((cpu.cr0 & kCr0Pg) != 0 && (cpu.cr0 & kCr0Pe) == 0)
    return corrupt_field("cr0", "CR0 has paging without protection");
  if ((cpu.cr0 & kCr0Nw) != 0 && (cpu.cr0 & kCr0Cd) == 0)
    return corrupt_field("cr0", "CR0 has NW without CD");
  const bool long_mode = (cpu.efer & kEferLme) != 0 && (cpu.cr0 & kCr0Pg) != 0;
  if (((cpu.efer & kEferLma) != 0) != long_mode) {
    return corrupt_field("efer", fmt::format("EFER is {:#x} and CR0 is {:#x}: LMA has to be LME with paging",
                                             cpu.efer, cpu.cr0));
  }
  if (long_mode && (cpu.cr4 & kCr4Pae) == 0)
    return corrupt_field("cr4", "CR4 lacks PAE although the CPU is in long mode");
  if (!long_mode && (cpu.cs->access_rights & kAccessRightsLong) != 0) {
    return corrupt_field("cs.access_rights", "CS is a 64-bit segment although the CPU is not in long mode");
  }
  if (!cpu.pdpte.empty() && cpu.pdpte.size() != 4) {
    return corrupt_field(
        "pdpte", fmt::format("there are {} page-directory-pointer-table entries, not 4", cpu.pdpte.size()));
  }
  if ((cpu.dr6 & kHigh32) != 0)
    return corrupt_field("dr6", fmt::format("DR6 is {:#x}, with reserved bits set", cpu.dr6));
  if ((cpu.dr7 & kHigh32) != 0)
    return corrupt_field("dr7", fmt::format("DR7 is {:#x}, with reserved bits set", cpu.dr7));
  return {};
}

bool all_or_none(std::uint64_t value, std::uint64_t mask) {
  return (value & mask) == 0 || (value & mask) == mask;
}

Result<void> check_xsave(const schema::X86CpuT& cpu) {
  if (cpu.xcr0.has_value()) {
    const std::uint64_t xcr0 = *cpu.xcr0;
    const bool legal = (xcr0 & kXstateX87) != 0 && ((xcr0 & kXcr0Avx) == 0 || (xcr0 & kXstateSse) != 0) &&
                       all_or_none(xcr0, kXcr0Mpx) && all_or_none(xcr0, kXcr0Amx) &&
                       all_or_none(xcr0, kXcr0Avx512) &&
                       ((xcr0 & kXcr0Avx512) == 0 || (xcr0 & kXcr0Avx) != 0);
    if (!legal) return corrupt_field("xcr0", fmt::format("XCR0 is {:#x}, which no processor accepts", xcr0));
  }
  const ByteView area = as_byte_view(cpu.xsave_area.data(), cpu.xsave_area.size());
  if (area.size() < kXsaveExtended || area.size() > kXsaveMaxSize) {
    return corrupt_field("xsave_area", fmt::format("the XSAVE area has {} bytes; it needs {} to {}",
                                                   area.size(), kXsaveExtended, kXsaveMaxSize));
  }
  const auto mxcsr = load_le<std::uint32_t>(area, kXsaveMxcsr);
  if ((mxcsr & kMxcsrReserved) != 0) {
    return corrupt_field("xsave_area", fmt::format("MXCSR is {:#x}, with reserved bits set", mxcsr));
  }
  if (load_le<std::uint64_t>(area, kXsaveXcompBv) != 0) {
    return corrupt_field("xsave_area",
                         "the XSAVE area is in compacted format; the schema demands the standard one");
  }
  if (!is_all_zero(area.subspan(kXsaveReserved, kXsaveExtended - kXsaveReserved))) {
    return corrupt_field("xsave_area", "reserved bytes of the XSAVE header are not zero");
  }
  return {};
}

Result<void> check_events(const schema::CpuEventsT& events) {
  if (events.exception == nullptr) return {};
  const schema::PendingExceptionT& exception = *events.exception;
  if (exception.vector > kMaxExceptionVector || exception.vector == kNmiVector) {
    return corrupt_field("events.exception.vector",
                         fmt::format("{} is not the vector of an exception", exception.vector));
  }
  if (exception.injected && exception.payload.has_value()) {
    return corrupt_field("events.exception.payload",
                         "an exception whose delivery had begun has no payload any more");
  }
  return {};
}

}  // namespace

Result<void> check_state(const schema::X86CpuT& cpu) {
  if (cpu.run_state > schema::CpuRunState::MAX) {
    return corrupt_field("run_state",
                         fmt::format("there is no run state {}", static_cast<unsigned>(cpu.run_state)));
  }
  if ((cpu.rflags & kRflagsFixed) == 0 || (cpu.rflags & kRflagsReserved) != 0) {
    return corrupt_field(
        "rflags", fmt::format("RFLAGS is {:#x}: bit 1 has to be set, and bits 3, 5, 15 and 22 to 63 clear",
                              cpu.rflags));
  }
  VMSNAP_RETURN_IF_ERROR(check_segments(cpu));
  VMSNAP_RETURN_IF_ERROR(check_control_registers(cpu));
  VMSNAP_RETURN_IF_ERROR(check_xsave(cpu));
  VMSNAP_RETURN_IF_ERROR(check_msrs(cpu));
  return check_events(*cpu.events);
}

}  // namespace vmsnap::vmm
