// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/vcpu_convert.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/state_buffer.h"
#include "kvm/lapic_bits.h"
#include "kvm/msr_fields.h"
#include "kvm/msr_list.h"
#include "kvm/xsave_layout.h"

namespace vmsnap::vmm {
namespace {

constexpr std::uint64_t kCr4Vmxe = 1u << 13;
constexpr std::uint64_t kEferSvme = 1u << 12;
constexpr std::size_t kXsaveBlock = 64;

struct RunState {
  std::uint32_t kvm;
  schema::CpuRunState ours;
};
constexpr RunState kRunStates[] = {
    {KVM_MP_STATE_RUNNABLE, schema::CpuRunState::Running},
    {KVM_MP_STATE_UNINITIALIZED, schema::CpuRunState::WaitForSipi},
    {KVM_MP_STATE_INIT_RECEIVED, schema::CpuRunState::InitReceived},
    {KVM_MP_STATE_HALTED, schema::CpuRunState::Halted},
    {KVM_MP_STATE_SIPI_RECEIVED, schema::CpuRunState::SipiReceived},
};

// Vol. 3C, table 25-2.
constexpr unsigned kArS = 4, kArDpl = 5, kArPresent = 7, kArAvl = 12, kArLong = 13, kArDefault = 14,
                   kArGranularity = 15, kArUnusable = 16;

std::unique_ptr<schema::SegmentRegisterT> segment_from_kvm(const kvm_segment& in) {
  auto out = std::make_unique<schema::SegmentRegisterT>();
  out->selector = in.selector;
  out->base = in.base;
  out->limit = in.limit;
  out->access_rights = in.type | std::uint32_t{in.s} << kArS | std::uint32_t{in.dpl} << kArDpl |
                       std::uint32_t{in.present} << kArPresent | std::uint32_t{in.avl} << kArAvl |
                       std::uint32_t{in.l} << kArLong | std::uint32_t{in.db} << kArDefault |
                       std::uint32_t{in.g} << kArGranularity | std::uint32_t{in.unusable} << kArUnusable;
  return out;
}

kvm_segment segment_to_kvm(const schema::SegmentRegisterT& in) {
  const auto flag = [&](unsigned bit) { return static_cast<std::uint8_t>((in.access_rights >> bit) & 1); };
  kvm_segment out{};
  out.base = in.base;
  out.limit = in.limit;
  out.selector = in.selector;
  out.type = static_cast<std::uint8_t>(in.access_rights & 0xf);
  out.s = flag(kArS);
  out.dpl = static_cast<std::uint8_t>((in.access_rights >> kArDpl) & 3);
  out.present = flag(kArPresent);
  out.avl = flag(kArAvl);
  out.l = flag(kArLong);
  out.db = flag(kArDefault);
  out.g = flag(kArGranularity);
  out.unusable = flag(kArUnusable);
  return out;
}

std::unique_ptr<schema::DescriptorTableRegisterT> table_from_kvm(const kvm_dtable& in) {
  auto out = std::make_unique<schema::DescriptorTableRegisterT>();
  out->base = in.base;
  out->limit = in.limit;
  return out;
}

kvm_dtable table_to_kvm(const schema::DescriptorTableRegisterT& in) {
  kvm_dtable out{};
  out.base = in.base;
  out.limit = in.limit;
  return out;
}

void regs_from_kvm(const kvm_regs& in, schema::X86CpuT& out) {
  out.rax = in.rax;
  out.rbx = in.rbx;
  out.rcx = in.rcx;
  out.rdx = in.rdx;
  out.rsi = in.rsi;
  out.rdi = in.rdi;
  out.rsp = in.rsp;
  out.rbp = in.rbp;
  out.r8 = in.r8;
  out.r9 = in.r9;
  out.r10 = in.r10;
  out.r11 = in.r11;
  out.r12 = in.r12;
  out.r13 = in.r13;
  out.r14 = in.r14;
  out.r15 = in.r15;
  out.rip = in.rip;
  out.rflags = in.rflags;
}

kvm_regs regs_to_kvm(const schema::X86CpuT& in) {
  kvm_regs out{};
  out.rax = in.rax;
  out.rbx = in.rbx;
  out.rcx = in.rcx;
  out.rdx = in.rdx;
  out.rsi = in.rsi;
  out.rdi = in.rdi;
  out.rsp = in.rsp;
  out.rbp = in.rbp;
  out.r8 = in.r8;
  out.r9 = in.r9;
  out.r10 = in.r10;
  out.r11 = in.r11;
  out.r12 = in.r12;
  out.r13 = in.r13;
  out.r14 = in.r14;
  out.r15 = in.r15;
  out.rip = in.rip;
  out.rflags = in.rflags;
  return out;
}

void sregs_from_kvm(const kvm_sregs2& in, schema::X86CpuT& out) {
  out.cs = segment_from_kvm(in.cs);
  out.ds = segment_from_kvm(in.ds);
  out.es = segment_from_kvm(in.es);
  out.fs = segment_from_kvm(in.fs);
  out.gs = segment_from_kvm(in.gs);
  out.ss = segment_from_kvm(in.ss);
  out.tr = segment_from_kvm(in.tr);
  out.ldtr = segment_from_kvm(in.ldt);
  out.gdtr = table_from_kvm(in.gdt);
  out.idtr = table_from_kvm(in.idt);
  out.cr0 = in.cr0;
  out.cr2 = in.cr2;
  out.cr3 = in.cr3;
  out.cr4 = in.cr4;
  out.efer = in.efer;
  if ((in.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID) != 0)
    out.pdpte.assign(std::begin(in.pdptrs), std::end(in.pdptrs));
}

kvm_sregs2 sregs_to_kvm(const schema::X86CpuT& in, const schema::LapicT& lapic) {
  kvm_sregs2 out{};
  out.cs = segment_to_kvm(*in.cs);
  out.ds = segment_to_kvm(*in.ds);
  out.es = segment_to_kvm(*in.es);
  out.fs = segment_to_kvm(*in.fs);
  out.gs = segment_to_kvm(*in.gs);
  out.ss = segment_to_kvm(*in.ss);
  out.tr = segment_to_kvm(*in.tr);
  out.ldt = segment_to_kvm(*in.ldtr);
  out.gdt = table_to_kvm(*in.gdtr);
  out.idt = table_to_kvm(*in.idtr);
  out.cr0 = in.cr0;
  out.cr2 = in.cr2;
  out.cr3 = in.cr3;
  out.cr4 = in.cr4;
  out.cr8 = (lapic.tpr >> 4) & 0xf;  // CR8 is the class of TPR (Vol. 3A, 11.8.6)
  out.efer = in.efer;
  out.apic_base = lapic.apic_base;
  if (!in.pdpte.empty()) {
    out.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
    std::copy(in.pdpte.begin(), in.pdpte.end(), std::begin(out.pdptrs));
  }
  return out;
}

// The area without the components that the guest's CPU does not have (KVM fills in the host's own, PKRU
// say), and without the zeros at its end.
std::vector<std::uint8_t> xsave_from_kvm(ByteVector area, std::uint64_t guest_xcr0) {
  const std::uint64_t allowed = guest_xcr0 | kXstateX87 | kXstateSse;
  if ((allowed & ~(kXstateX87 | kXstateSse)) == 0) area.resize(kXsaveExtended);
  store_le<std::uint64_t>(area, kXsaveHeader, load_le<std::uint64_t>(area, kXsaveHeader) & allowed);
  std::size_t size = area.size();
  while (size > kXsaveExtended && area[size - 1] == std::byte{0}) --size;
  size = std::min((size + kXsaveBlock - 1) / kXsaveBlock * kXsaveBlock, area.size());
  const auto* first = reinterpret_cast<const std::uint8_t*>(area.data());
  return {first, first + size};
}

std::unique_ptr<schema::CpuEventsT> events_from_kvm(const kvm_vcpu_events& in) {
  auto out = std::make_unique<schema::CpuEventsT>();
  if (in.exception.injected != 0 || in.exception.pending != 0) {
    auto exception = std::make_unique<schema::PendingExceptionT>();
    exception->vector = in.exception.nr;
    exception->injected = in.exception.injected != 0;
    if (in.exception.has_error_code != 0) exception->error_code = in.exception.error_code;
    if (in.exception_has_payload != 0 && !exception->injected) exception->payload = in.exception_payload;
    out->exception = std::move(exception);
  }
  if (in.interrupt.injected != 0) {
    out->interrupt = std::make_unique<schema::InjectedInterruptT>();
    out->interrupt->vector = in.interrupt.nr;
    out->interrupt->software = in.interrupt.soft != 0;
  }
  out->blocked_by_sti = (in.interrupt.shadow & KVM_X86_SHADOW_INT_STI) != 0;
  out->blocked_by_mov_ss = (in.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS) != 0;
  out->nmi_pending = in.nmi.pending != 0;
  out->nmi_injected = in.nmi.injected != 0;
  out->nmi_blocked = in.nmi.masked != 0;
  out->smi_pending = in.smi.pending != 0;
  out->in_smm = in.smi.smm != 0;
  out->init_latched = in.smi.latched_init != 0;
  out->sipi_vector = static_cast<std::uint8_t>(in.sipi_vector);
  out->triple_fault_pending = in.triple_fault.pending != 0;
  return out;
}

kvm_vcpu_events events_to_kvm(const schema::CpuEventsT& in, schema::CpuRunState run_state,
                              const HostFacts& facts) {
  kvm_vcpu_events out{};
  out.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM |
              KVM_VCPUEVENT_VALID_PAYLOAD;
  if (in.exception != nullptr) {
    out.exception.injected = in.exception->injected ? 1 : 0;
    out.exception.pending = in.exception->injected ? 0 : 1;
    out.exception.nr = in.exception->vector;
    out.exception.has_error_code = in.exception->error_code.has_value() ? 1 : 0;
    out.exception.error_code = in.exception->error_code.value_or(0);
    out.exception_has_payload = in.exception->payload.has_value() ? 1 : 0;
    out.exception_payload = in.exception->payload.value_or(0);
  }
  if (in.interrupt != nullptr) {
    out.interrupt.injected = 1;
    out.interrupt.nr = in.interrupt->vector;
    out.interrupt.soft = in.interrupt->software ? 1 : 0;
  }
  out.interrupt.shadow = static_cast<std::uint8_t>((in.blocked_by_sti ? KVM_X86_SHADOW_INT_STI : 0) |
                                                   (in.blocked_by_mov_ss ? KVM_X86_SHADOW_INT_MOV_SS : 0));
  out.nmi.pending = in.nmi_pending ? 1 : 0;
  out.nmi.injected = in.nmi_injected ? 1 : 0;
  out.nmi.masked = in.nmi_blocked ? 1 : 0;
  out.smi.pending = in.smi_pending ? 1 : 0;
  out.smi.smm = in.in_smm ? 1 : 0;
  out.smi.latched_init = in.init_latched ? 1 : 0;
  if (run_state == schema::CpuRunState::SipiReceived) {
    out.flags |= KVM_VCPUEVENT_VALID_SIPI_VECTOR;
    out.sipi_vector = in.sipi_vector;
  }
  if (facts.has_triple_fault_event) {
    out.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
    out.triple_fault.pending = in.triple_fault_pending ? 1 : 0;
  }
  return out;
}

Result<void> check_xsave(const schema::X86CpuT& cpu, const HostFacts& facts) {
  if (cpu.xcr0.has_value() != (facts.guest_xcr0 != 0)) {
    return corrupt_field("xcr0", facts.guest_xcr0 != 0
                                     ? "XCR0 is missing, although the guest's CPU profile has XSAVE"
                                     : "XCR0 is there, although the guest's CPU profile has no XSAVE");
  }
  if (cpu.xcr0.has_value() && (*cpu.xcr0 & ~facts.guest_xcr0) != 0) {
    return unsupported_field(
        "xcr0", fmt::format("XCR0 is {:#x}, but the guest's CPU on this host can only have {:#x}", *cpu.xcr0,
                            facts.guest_xcr0));
  }
  if (cpu.xcr0.has_value() && !facts.has_xcrs) {
    return unsupported_field("xcr0", "the host's KVM cannot set XCR0 (KVM_CAP_XCRS)");
  }
  const ByteView area = as_byte_view(cpu.xsave_area.data(), cpu.xsave_area.size());
  const auto used = load_le<std::uint64_t>(area, kXsaveHeader);
  const std::uint64_t allowed = facts.guest_xcr0 | kXstateX87 | kXstateSse;
  if ((used & ~allowed) != 0) {
    return unsupported_field("xsave_area",
                             fmt::format("the XSAVE area has components {:#x}, but the guest's CPU on this "
                                         "host can only have {:#x}",
                                         used, allowed));
  }
  if (area.size() > facts.xsave_size && !is_all_zero(area.subspan(facts.xsave_size))) {
    return unsupported_field(
        "xsave_area",
        fmt::format("the XSAVE area has {} bytes; this host's KVM takes {}", area.size(), facts.xsave_size));
  }
  return {};
}

Result<void> check_events(const schema::CpuEventsT& events, const HostFacts& facts) {
  if (events.triple_fault_pending && !facts.has_triple_fault_event) {
    return unsupported_field(
        "events.triple_fault_pending",
        "a triple fault is pending, and this host's KVM cannot take it (KVM_CAP_X86_TRIPLE_FAULT_EVENT)");
  }
  if ((events.in_smm || events.smi_pending) && !facts.has_smm) {
    return unsupported_field(
        events.in_smm ? "events.in_smm" : "events.smi_pending",
        "the guest uses system-management mode, and this host's KVM has none (KVM_CAP_X86_SMM)");
  }
  return {};
}

Result<void> check_lapic(const VcpuState& state, const HostFacts& facts) {
  const schema::LapicT& lapic = state.lapic;
  if ((lapic.apic_base & kApicBaseAddress) != kApicDefaultAddress) {
    return unsupported_field("apic_base",
                             fmt::format("the local APIC is at {:#x}; KVM has it at {:#x} only",
                                         lapic.apic_base & kApicBaseAddress, kApicDefaultAddress));
  }
  if ((lapic.apic_base & kApicBaseX2) != 0 && lapic.apic_id != state.cpu.index) {
    return unsupported_field(
        "apic_id", fmt::format("the x2APIC ID is {}; KVM gives virtual CPU {} its own number", lapic.apic_id,
                               state.cpu.index));
  }
  if (lapic.timer_frequency != kKvmApicTimerFrequency) {
    return unsupported_field("timer_frequency",
                             fmt::format("the local APIC's timer runs at {} Hz; KVM's runs at {} Hz",
                                         lapic.timer_frequency, kKvmApicTimerFrequency));
  }
  if (is_deadline_mode(lapic.lvt_timer) && !facts.has_tsc_deadline) {
    return unsupported_field("lvt_timer",
                             "the local APIC's timer is in TSC-deadline mode, which this host's KVM does not "
                             "have (KVM_CAP_TSC_DEADLINE_TIMER)");
  }
  return {};
}

// An MSR that this host does not have may be left out when it is zero: so it reads to a guest whose CPU does
// not show the feature behind it.
Result<std::vector<schema::Msr>> take_msrs(const schema::X86CpuT& cpu, const HostFacts& facts) {
  std::vector<schema::Msr> taken;
  for (const schema::Msr& msr : all_msrs(cpu)) {
    if (std::binary_search(facts.msrs.begin(), facts.msrs.end(), msr.index())) {
      taken.push_back(msr);
    } else if (msr.value() != 0) {
      return unsupported_field(msr_path(msr.index()),
                               fmt::format("this host's KVM cannot take {}, which holds {:#x}",
                                           msr_name(msr.index()), msr.value()));
    }
  }
  return taken;
}

}  // namespace

Result<VcpuState> to_state(const VcpuParts& parts, std::uint32_t index, const HostFacts& facts) {
  VcpuState state;
  schema::X86CpuT& cpu = state.cpu;
  cpu.index = index;
  const auto* run_state =
      std::find_if(std::begin(kRunStates), std::end(kRunStates),
                   [&](const RunState& known) { return known.kvm == parts.run_state.mp_state; });
  if (run_state == std::end(kRunStates)) {
    return unsupported_field("run_state",
                             fmt::format("virtual CPU {} is in KVM's run state {}, for which a snapshot has "
                                         "no word; try again later",
                                         index, parts.run_state.mp_state));
  }
  if (parts.events.smi.smm_inside_nmi != 0) {
    return unsupported_field(
        "events", fmt::format("virtual CPU {} is in system-management mode inside an NMI, for which a "
                              "snapshot has no word; try again later",
                              index));
  }
  cpu.run_state = run_state->ours;
  regs_from_kvm(parts.regs, cpu);
  sregs_from_kvm(parts.sregs, cpu);
  cpu.dr0 = parts.debug.db[0];
  cpu.dr1 = parts.debug.db[1];
  cpu.dr2 = parts.debug.db[2];
  cpu.dr3 = parts.debug.db[3];
  cpu.dr6 = parts.debug.dr6;
  cpu.dr7 = parts.debug.dr7;
  if (parts.has_xcr0) cpu.xcr0 = parts.xcr0;
  cpu.xsave_area = xsave_from_kvm(parts.xsave, facts.guest_xcr0);
  cpu.tsc = parts.tsc;
  put_msrs(cpu, parts.msrs);
  cpu.events = events_from_kvm(parts.events);
  state.lapic = lapic_from_kvm(parts.lapic, parts.sregs.apic_base, parts.tsc_deadline);
  return state;
}

Result<VcpuParts> to_parts(const VcpuState& state, const HostFacts& facts) {
  const schema::X86CpuT& cpu = state.cpu;
  if ((cpu.cr4 & kCr4Vmxe) != 0) {
    return unsupported_field(
        "cr4", "the guest is itself a virtual machine monitor (CR4.VMXE), which this build does not carry");
  }
  if ((cpu.efer & kEferSvme) != 0) {
    return unsupported_field(
        "efer", "the guest is itself a virtual machine monitor (EFER.SVME), which this build does not carry");
  }
  VMSNAP_RETURN_IF_ERROR(check_xsave(cpu, facts));
  VMSNAP_RETURN_IF_ERROR(check_events(*cpu.events, facts));
  VMSNAP_RETURN_IF_ERROR(check_lapic(state, facts));

  VcpuParts parts;
  const auto* run_state = std::find_if(std::begin(kRunStates), std::end(kRunStates),
                                       [&](const RunState& known) { return known.ours == cpu.run_state; });
  if (run_state == std::end(kRunStates))
    return corrupt_field("run_state", "the run state is none of those defined");
  parts.run_state.mp_state = run_state->kvm;
  parts.regs = regs_to_kvm(cpu);
  parts.sregs = sregs_to_kvm(cpu, state.lapic);
  const ByteView area = as_byte_view(cpu.xsave_area.data(), cpu.xsave_area.size());
  parts.xsave.assign(area.begin(), area.end());
  parts.xsave.resize(facts.xsave_size);
  parts.has_xcr0 = cpu.xcr0.has_value();
  parts.xcr0 = cpu.xcr0.value_or(0);
  parts.debug.db[0] = cpu.dr0;
  parts.debug.db[1] = cpu.dr1;
  parts.debug.db[2] = cpu.dr2;
  parts.debug.db[3] = cpu.dr3;
  parts.debug.dr6 = cpu.dr6;
  parts.debug.dr7 = cpu.dr7;
  parts.lapic = lapic_to_kvm(state.lapic);
  parts.events = events_to_kvm(*cpu.events, cpu.run_state, facts);
  VMSNAP_ASSIGN_OR_RETURN(parts.msrs, take_msrs(cpu, facts));
  parts.tsc = cpu.tsc;
  parts.tsc_deadline = state.lapic.tsc_deadline;
  return parts;
}

std::uint64_t deadline_to_write(const VcpuParts& parts, std::uint64_t now) {
  const schema::LapicT lapic = lapic_from_kvm(parts.lapic, parts.sregs.apic_base, parts.tsc_deadline);
  if (!is_deadline_mode(lapic.lvt_timer)) return 0;
  if (parts.tsc_deadline != 0) return parts.tsc_deadline;
  const std::uint32_t vector = lapic.lvt_timer & 0xff;
  const std::uint32_t waiting = lapic.irr[vector / 32] | lapic.isr[vector / 32];
  if ((lapic.lvt_timer & kLvtMasked) != 0 || ((waiting >> (vector % 32)) & 1) != 0) return 0;
  return std::max<std::uint64_t>(now, 1);
}

}  // namespace vmsnap::vmm
