// SPDX-License-Identifier: BSD-2-Clause
#include "sample_states.h"

#include <cstring>

#include "kvm/lapic_bits.h"
#include "kvm/msr_fields.h"
#include "kvm/xsave_layout.h"

namespace vmsnap::vmm::test {
namespace {

kvm_segment flat(std::uint16_t selector, std::uint8_t type, std::uint8_t dpl, bool code) {
  kvm_segment segment{};
  segment.limit = 0xffffffff;
  segment.selector = selector;
  segment.type = type;
  segment.present = 1;
  segment.dpl = dpl;
  segment.db = code ? 0 : 1;
  segment.s = 1;
  segment.l = code ? 1 : 0;
  segment.g = 1;
  return segment;
}

kvm_segment unusable() {
  kvm_segment segment{};
  segment.unusable = 1;
  return segment;
}

}  // namespace

HostFacts sample_facts() {
  HostFacts facts;
  facts.xsave_size = 4096;
  facts.has_xsave2 = true;
  facts.has_xcrs = true;
  facts.has_triple_fault_event = true;
  facts.has_smm = true;
  facts.has_tsc_offset = true;
  facts.has_tsc_scaling = true;
  facts.has_tsc_deadline = true;
  facts.host_tsc_khz = 2'000'000;
  facts.guest_tsc_khz = 2'000'000;
  facts.guest_xcr0 = 0x2e7;
  facts.vcpu_count = 2;
  facts.msrs = {0x12,  0x3b,  0x174, 0x175,      0x176,      0x200,      0x201,      0x26f,      0x277,
                0x280, 0x2ff, 0x401, 0x4b564d01, 0xc0000081, 0xc0000082, 0xc0000102, 0xc0000103, 0xc0010058};
  return facts;
}

void put_lapic(kvm_lapic_state& page, std::size_t offset, std::uint32_t value) {
  std::memcpy(page.regs + offset, &value, sizeof value);
}

void put(schema::X86CpuT& cpu, const std::vector<schema::Msr>& msrs) {
  put_msrs(cpu, msrs);
}

VcpuParts sample_parts() {
  VcpuParts parts;
  parts.run_state.mp_state = KVM_MP_STATE_HALTED;
  std::uint64_t value = 0x100;
  kvm_regs& regs = parts.regs;
  for (__u64* each : {&regs.rax, &regs.rbx, &regs.rcx, &regs.rdx, &regs.rsi, &regs.rdi, &regs.rsp, &regs.rbp,
                      &regs.r8, &regs.r9, &regs.r10, &regs.r11, &regs.r12, &regs.r13, &regs.r14, &regs.r15}) {
    *each = value += 0x1111111111111111;
  }
  parts.regs.rip = 0xffffffff81c00b2e;
  parts.regs.rflags = 0x246;
  kvm_sregs2& sregs = parts.sregs;
  sregs.cs = flat(0x10, 0xb, 0, true);
  sregs.ss = flat(0x18, 0x3, 0, false);
  sregs.ds = unusable();
  sregs.es = unusable();
  sregs.fs = unusable();
  sregs.fs.base = 0x7f1234567740;
  sregs.gs = unusable();
  sregs.gs.base = 0xffff88803ec00000;
  sregs.ldt = unusable();
  sregs.tr = kvm_segment{};
  sregs.tr.base = 0xfffffe0000003000;
  sregs.tr.limit = 0x4087;
  sregs.tr.selector = 0x40;
  sregs.tr.type = 0xb;
  sregs.tr.present = 1;
  sregs.gdt.base = 0xfffffe0000001000;
  sregs.gdt.limit = 0x7f;
  sregs.idt.base = 0xfffffe0000000000;
  sregs.idt.limit = 0xfff;
  sregs.cr0 = 0x80050033;
  sregs.cr2 = 0x7ffd5a1d8ff8;
  sregs.cr3 = 0x1067a002;
  sregs.cr4 = 0x750ef0;
  sregs.cr8 = 2;
  sregs.efer = 0xd01;
  sregs.apic_base = kApicDefaultAddress | kApicBaseEnable;
  parts.xsave.resize(4096);
  store_le<std::uint16_t>(parts.xsave, 0, 0x37f);
  store_le<std::uint32_t>(parts.xsave, kXsaveMxcsr, 0x1fa0);
  for (std::size_t i = 160; i < 416; ++i) parts.xsave[i] = static_cast<std::byte>(i);
  store_le<std::uint64_t>(parts.xsave, kXsaveHeader, 0x207);
  for (std::size_t i = 576; i < 832; ++i) parts.xsave[i] = static_cast<std::byte>(0x40 + i);
  store_le<std::uint32_t>(parts.xsave, 2688, 0x55555554);
  parts.has_xcr0 = true;
  parts.xcr0 = 0x207;
  parts.debug.db[0] = 0x401000;
  parts.debug.db[1] = 0x401001;
  parts.debug.db[2] = 0x401002;
  parts.debug.db[3] = 0x401003;
  parts.debug.dr6 = 0xffff0ff0;
  parts.debug.dr7 = 0x401;

  kvm_lapic_state& page = parts.lapic;
  put_lapic(page, kApicId, 1u << 24);
  put_lapic(page, kApicVersion, 0x1060014);
  put_lapic(page, kApicTpr, 0x20);
  put_lapic(page, kApicLdr, 0x02000000);
  put_lapic(page, kApicDfr, 0xffffffff);
  put_lapic(page, kApicSvr, 0x1ff);
  for (std::uint32_t i = 0; i < 8; ++i) {
    put_lapic(page, kApicIsr + 0x10 * i, i == 0 ? 0x10000 : 0x100u << i);
    put_lapic(page, kApicTmr + 0x10 * i, i == 0 ? 0x20000 : 0x200u << i);
    put_lapic(page, kApicIrr + 0x10 * i, i == 0 ? 0x40000 : 0x400u << i);
  }
  put_lapic(page, kApicEsr, 0x40);
  put_lapic(page, kApicLvtCmci, 0x100f9);
  put_lapic(page, kApicIcrLow, 0x000000fd);
  put_lapic(page, kApicIcrHigh, 0x01000000);
  put_lapic(page, kApicLvtTimer, 0x400ec);
  put_lapic(page, kApicLvtThermal, 0x10000);
  put_lapic(page, kApicLvtPerformance, 0x400);
  put_lapic(page, kApicLvtLint0, 0x10700);
  put_lapic(page, kApicLvtLint1, 0x10400);
  put_lapic(page, kApicLvtError, 0xfe);
  put_lapic(page, kApicInitialCount, 62500);
  put_lapic(page, kApicCurrentCount, 12345);
  put_lapic(page, kApicDivide, 0x3);

  parts.events.exception.pending = 1;
  parts.events.exception.nr = 14;
  parts.events.exception.has_error_code = 1;
  parts.events.exception.error_code = 6;
  parts.events.exception_has_payload = 1;
  parts.events.exception_payload = 0x7ffd5a1d8ff8;
  parts.events.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
  parts.events.nmi.masked = 1;
  parts.events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
                       KVM_VCPUEVENT_VALID_SMM | KVM_VCPUEVENT_VALID_PAYLOAD |
                       KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
  parts.msrs = {{0x12, 0, 0x3ec01001},
                {0x3b, 0, 0xffffffffffff8000},
                {0x174, 0, 0x10},
                {0x175, 0, 0xfffffe0000002200},
                {0x176, 0, 0xffffffff81e01690},
                {0x200, 0, 0xc0000000},
                {0x201, 0, 0x3fffc0000800},
                {0x26f, 0, 0x0505050505050505},
                {0x277, 0, 0x0407050600070106},
                {0x280, 0, 0},
                {0x2ff, 0, 0xc00},
                {0x401, 0, 0xb200000000000005},
                {0x4b564d01, 0, 0x3ec01001},
                {0xc0000081, 0, 0x23001000000000},
                {0xc0000082, 0, 0xffffffff81e00080},
                {0xc0000102, 0, 0},
                {0xc0000103, 0, 1},
                {0xc0010058, 0, 0xf0000000}};
  parts.tsc = 123'456'789'012;
  parts.tsc_deadline = 123'460'000'000;
  return parts;
}

kvm_pic_state sample_pic_primary() {
  kvm_pic_state pic{};
  pic.last_irr = 0x01;
  pic.irr = 0x02;
  pic.imr = 0xfb;
  pic.isr = 0x04;
  pic.priority_add = 3;
  pic.irq_base = 0x30;
  pic.read_reg_select = 1;
  pic.init_state = 2;
  pic.auto_eoi = 1;
  pic.rotate_on_auto_eoi = 0;
  pic.init4 = 1;
  pic.elcr = 0x08;
  pic.elcr_mask = kElcrPrimary;
  return pic;
}

kvm_pic_state sample_pic_secondary() {
  kvm_pic_state pic{};
  pic.last_irr = 0x10;
  pic.irr = 0x20;
  pic.imr = 0xff;
  pic.irq_base = 0x38;
  pic.poll = 1;
  pic.special_mask = 1;
  pic.special_fully_nested_mode = 1;
  pic.rotate_on_auto_eoi = 1;
  pic.elcr = 0x0e;
  pic.elcr_mask = kElcrSecondary;
  return pic;
}

kvm_ioapic_state sample_ioapic() {
  kvm_ioapic_state ioapic{};
  ioapic.base_address = 0xfec00000;
  ioapic.ioregsel = 0x17;
  ioapic.id = 2;
  ioapic.irr = 0x010010;
  for (std::uint64_t i = 0; i < KVM_IOAPIC_NUM_PINS; ++i)
    ioapic.redirtbl[i].bits = 0x10000 | (0x30 + i) | i << 56;
  ioapic.redirtbl[16].bits = 0x010000000000e022 | 1u << 14;  // level, remote IRR
  return ioapic;
}

kvm_pit_state2 sample_pit(std::int64_t now) {
  kvm_pit_state2 pit{};
  kvm_pit_channel_state& tick = pit.channels[0];
  tick.count = 0x10000;
  tick.mode = 0;
  tick.rw_mode = 3;
  tick.read_state = 3;
  tick.write_state = 4;
  tick.write_latch = 0x9c;
  tick.gate = 1;
  kvm_pit_channel_state& refresh = pit.channels[1];
  refresh.count = 0x10000;
  refresh.mode = 0xff;
  refresh.gate = 1;
  refresh.count_load_time = now - 5'000'000'000;
  kvm_pit_channel_state& speaker = pit.channels[2];
  speaker.count = 0x4a9;
  speaker.latched_count = 0x1234;
  speaker.count_latched = 2;
  speaker.status_latched = 1;
  speaker.status = 0xb6;
  speaker.rw_mode = 3;
  speaker.read_state = 3;
  speaker.write_state = 3;
  speaker.mode = 3;
  speaker.count_load_time = now - 123'456'789;
  pit.flags = KVM_PIT_FLAGS_SPEAKER_DATA_ON;
  return pit;
}

}  // namespace vmsnap::vmm::test
