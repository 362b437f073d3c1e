// SPDX-License-Identifier: BSD-2-Clause
// Bytes of any origin: each impossible value is refused and its field named.
#include <gtest/gtest.h>

#include "kvm/state_codec.h"
#include "kvm/xsave_layout.h"
#include "sample_states.h"

namespace vmsnap::vmm {
namespace {

using schema::X86CpuT;

schema::X86CpuT sample_cpu() {
  return to_state(test::sample_parts(), 1, test::sample_facts())->cpu;
}
schema::LapicT sample_lapic() {
  return to_state(test::sample_parts(), 1, test::sample_facts())->lapic;
}
schema::I8259T sample_i8259() {
  schema::I8259T state;
  state.primary = std::make_unique<schema::I8259ChipT>(*i8259_from_kvm(test::sample_pic_primary()));
  state.secondary = std::make_unique<schema::I8259ChipT>(*i8259_from_kvm(test::sample_pic_secondary()));
  return state;
}
schema::I8254T sample_i8254() {
  return i8254_from_kvm(test::sample_pit(10'000'000'000), 10'000'000'000);
}
schema::IoapicT sample_ioapic() {
  return ioapic_from_kvm(test::sample_ioapic());
}
schema::KvmClockT sample_clock() {
  schema::KvmClockT clock;
  clock.system_time = 55'000'000'000;
  clock.host_realtime = 1'700'000'000'000'000'000;
  return clock;
}
schema::CpuProfileT sample_profile() {
  schema::CpuProfileT profile;
  profile.name = "host";
  profile.vendor = "GenuineIntel";
  profile.tsc_frequency = 2'000'000;
  profile.leaves = {{0, 0, 0, 0xd, 0x756e6547, 0x6c65746e, 0x49656e69},
                    {1, 0, 0, 0, 0, 0, 0},
                    {4, 0, 1, 0, 0, 0, 0},
                    {4, 1, 1, 0, 0, 0, 0}};
  return profile;
}

template <typename T>
void expect_refused(const Result<T>& result, const char* field, ErrorKind kind = ErrorKind::kCorrupt) {
  ASSERT_FALSE(result) << field;
  EXPECT_EQ(result.error().kind(), kind) << result.error().to_string();
  EXPECT_EQ(result.error().field(), field) << result.error().to_string();
}

struct CpuCase {
  const char* field;
  void (*change)(X86CpuT& cpu);
};

TEST(X86CpuState, RefusesEachImpossibleValueAndNamesTheField) {
  ASSERT_TRUE(unpack_x86_cpu(*pack_x86_cpu(sample_cpu())));
  const CpuCase cases[] = {
      {"run_state", [](X86CpuT& c) { c.run_state = static_cast<schema::CpuRunState>(5); }},
      {"rflags", [](X86CpuT& c) { c.rflags = 0x244; }},
      {"rflags", [](X86CpuT& c) { c.rflags |= 1u << 15; }},
      {"rflags", [](X86CpuT& c) { c.rflags |= std::uint64_t{1} << 40; }},
      {"ss.access_rights", [](X86CpuT& c) { c.ss->access_rights |= 1u << 8; }},
      {"ldtr.access_rights", [](X86CpuT& c) { c.ldtr->access_rights |= 1u << 17; }},
      {"cr0", [](X86CpuT& c) { c.cr0 |= std::uint64_t{1} << 32; }},
      {"cr0", [](X86CpuT& c) { c.cr0 &= ~std::uint64_t{1}; }},
      {"cr0", [](X86CpuT& c) { c.cr0 |= 1u << 29; }},
      {"cr4", [](X86CpuT& c) { c.cr4 &= ~std::uint64_t{0x20}; }},
      {"efer", [](X86CpuT& c) { c.efer &= ~std::uint64_t{0x400}; }},
      {"efer", [](X86CpuT& c) { c.efer &= ~std::uint64_t{0x100}; }},
      {"cs.access_rights", [](X86CpuT& c) { c.efer = 0; }},
      {"pdpte",
       [](X86CpuT& c) {
         c.pdpte = {1, 2, 3};
       }},
      {"dr6", [](X86CpuT& c) { c.dr6 |= std::uint64_t{1} << 32; }},
      {"dr7", [](X86CpuT& c) { c.dr7 |= std::uint64_t{1} << 32; }},
      {"xcr0", [](X86CpuT& c) { c.xcr0 = 0x6; }},
      {"xcr0", [](X86CpuT& c) { c.xcr0 = 0x5; }},
      {"xcr0", [](X86CpuT& c) { c.xcr0 = 0x27; }},
      {"xcr0", [](X86CpuT& c) { c.xcr0 = 0xe3; }},
      {"xcr0", [](X86CpuT& c) { c.xcr0 = 0xf; }},
      {"xsave_area", [](X86CpuT& c) { c.xsave_area.resize(575); }},
      {"xsave_area", [](X86CpuT& c) { c.xsave_area.resize(kXsaveMaxSize + 1); }},
      {"xsave_area", [](X86CpuT& c) { c.xsave_area[kXsaveMxcsr + 3] = 1; }},
      {"xsave_area", [](X86CpuT& c) { c.xsave_area[kXsaveXcompBv + 7] = 0x80; }},
      {"xsave_area", [](X86CpuT& c) { c.xsave_area[kXsaveReserved] = 1; }},
      {"other_msrs",
       [](X86CpuT& c) {
         c.other_msrs = {{0x35, 0, 1}, {0x33, 0, 1}};
       }},
      {"other_msrs",
       [](X86CpuT& c) {
         c.other_msrs = {{0x33, 0, 1}, {0x33, 0, 1}};
       }},
      {"other_msrs",
       [](X86CpuT& c) {
         c.other_msrs = {{0x33, 1, 1}};
       }},
      {"other_msrs",
       [](X86CpuT& c) {
         c.other_msrs = {{0x10, 0, 1}};
       }},
      {"other_msrs",
       [](X86CpuT& c) {
         c.other_msrs = {{0xc0000082, 0, 1}};
       }},
      {"other_msrs",
       [](X86CpuT& c) {
         c.other_msrs = {{0x21f, 0, 1}};
       }},
      {"other_msrs",
       [](X86CpuT& c) {
         c.other_msrs = {{0x47f, 0, 1}};
       }},
      {"other_msrs",
       [](X86CpuT& c) {
         c.other_msrs = {{0x29f, 0, 1}};
       }},
      {"syscall.lstar", [](X86CpuT& c) { c.syscall->lstar = 0x0100'0000'0000'0000; }},
      {"syscall.cstar", [](X86CpuT& c) { c.syscall->cstar = 0xfe00'0000'0000'0000; }},
      {"syscall.kernel_gs_base", [](X86CpuT& c) { c.syscall->kernel_gs_base = std::uint64_t{1} << 63; }},
      {"sysenter.esp", [](X86CpuT& c) { c.sysenter->esp = 0x0100'0000'0000'0000; }},
      {"sysenter.eip", [](X86CpuT& c) { c.sysenter->eip = 0x0100'0000'0000'0000; }},
      {"memory_types.pat", [](X86CpuT& c) { c.memory_types->pat = 0x0200'0000'0000'0000; }},
      {"memory_types.pat", [](X86CpuT& c) { c.memory_types->pat = 0x08; }},
      {"memory_types.mtrr_def_type", [](X86CpuT& c) { c.memory_types->mtrr_def_type = 0xc07; }},
      {"memory_types.mtrr_def_type", [](X86CpuT& c) { c.memory_types->mtrr_def_type = 0x1c06; }},
      {"memory_types.mtrr_fix64k_00000", [](X86CpuT& c) { c.memory_types->mtrr_fix64k_00000 = 7; }},
      {"memory_types.mtrr_fix4k_f8000",
       [](X86CpuT& c) { c.memory_types->mtrr_fix4k_f8000 = std::uint64_t{2} << 56; }},
      {"memory_types.variable_mtrrs[0].base",
       [](X86CpuT& c) {
         test::put(c, {{0x200, 0, 0xc000'0003}});
       }},
      {"memory_types.variable_mtrrs[1].base",
       [](X86CpuT& c) {
         test::put(c, {{0x200, 0, 0}, {0x202, 0, 0x106}});
       }},
      {"memory_types.variable_mtrrs[0].mask",
       [](X86CpuT& c) {
         test::put(c, {{0x201, 0, 0x400}});
       }},
      {"memory_types.variable_mtrrs[1].number",
       [](X86CpuT& c) {
         test::put(c, {{0x200, 0, 0}, {0x202, 0, 0}});
         c.memory_types->variable_mtrrs[1]->number = 0;
       }},
      {"memory_types.variable_mtrrs[0].number",
       [](X86CpuT& c) {
         test::put(c, {{0x200, 0, 0}});
         c.memory_types->variable_mtrrs[0]->number = 16;
       }},
      {"machine_check.banks[1].number",
       [](X86CpuT& c) {
         test::put(c, {{0x404, 0, 0}, {0x408, 0, 0}});
         std::swap(c.machine_check->banks[0], c.machine_check->banks[1]);
       }},
      {"machine_check.banks[0].number",
       [](X86CpuT& c) {
         test::put(c, {{0x404, 0, 0}});
         c.machine_check->banks[0]->number = 32;
       }},
      {"events.exception.vector", [](X86CpuT& c) { c.events->exception->vector = 32; }},
      {"events.exception.vector", [](X86CpuT& c) { c.events->exception->vector = 2; }},
      {"events.exception.payload", [](X86CpuT& c) { c.events->exception->injected = true; }},
  };
  for (const CpuCase& refused : cases) {
    X86CpuT cpu = sample_cpu();
    refused.change(cpu);
    expect_refused(unpack_x86_cpu(*pack_x86_cpu(cpu)), refused.field);
  }
}

TEST(X86CpuState, HasALimitOnMsrs) {
  X86CpuT cpu = sample_cpu();
  for (std::uint32_t i = 0; i < 5000; ++i) cpu.other_msrs.emplace_back(0x10000 + i, 0u, 0u);
  expect_refused(unpack_x86_cpu(*pack_x86_cpu(cpu)), "other_msrs", ErrorKind::kLimitExceeded);
}

TEST(LapicState, RefusesEachImpossibleValueAndNamesTheField) {
  ASSERT_TRUE(unpack_lapic(*pack_lapic(sample_lapic())));
  struct Case {
    const char* field;
    void (*change)(schema::LapicT& l);
  };
  const Case cases[] = {
      {"apic_base", [](schema::LapicT& l) { l.apic_base |= 1; }},
      {"apic_base", [](schema::LapicT& l) { l.apic_base |= std::uint64_t{1} << 60; }},
      {"apic_base", [](schema::LapicT& l) { l.apic_base = 0xfee00400; }},
      {"apic_id", [](schema::LapicT& l) { l.apic_id = 256; }},
      {"tpr", [](schema::LapicT& l) { l.tpr = 0x100; }},
      {"ldr", [](schema::LapicT& l) { l.ldr |= 1; }},
      {"dfr", [](schema::LapicT& l) { l.dfr = 0; }},
      {"svr", [](schema::LapicT& l) { l.svr |= 1u << 10; }},
      {"isr", [](schema::LapicT& l) { l.isr.pop_back(); }},
      {"tmr", [](schema::LapicT& l) { l.tmr.push_back(0); }},
      {"irr", [](schema::LapicT& l) { l.irr.clear(); }},
      {"irr", [](schema::LapicT& l) { l.irr[0] |= 1; }},
      {"esr", [](schema::LapicT& l) { l.esr = 0x100; }},
      {"lvt_timer", [](schema::LapicT& l) { l.lvt_timer = 0x600ec; }},
      {"lvt_timer", [](schema::LapicT& l) { l.lvt_timer |= 1u << 19; }},
      {"lvt_lint0", [](schema::LapicT& l) { l.lvt_lint0 |= 1u << 17; }},
      {"lvt_error", [](schema::LapicT& l) { l.lvt_error |= 1u << 13; }},
      {"lvt_cmci", [](schema::LapicT& l) { l.lvt_cmci = 1u << 31; }},
      {"timer_divide", [](schema::LapicT& l) { l.timer_divide = 4; }},
      {"timer_current_count", [](schema::LapicT& l) { l.timer_current_count = l.timer_initial_count + 1; }},
      {"timer_frequency", [](schema::LapicT& l) { l.timer_frequency = 0; }},
  };
  for (const Case& refused : cases) {
    schema::LapicT lapic = sample_lapic();
    refused.change(lapic);
    expect_refused(unpack_lapic(*pack_lapic(lapic)), refused.field);
  }
}

TEST(I8259State, RefusesEachImpossibleValueAndNamesTheField) {
  ASSERT_TRUE(unpack_i8259(*pack_i8259(sample_i8259())));
  struct Case {
    const char* field;
    void (*change)(schema::I8259T& s);
  };
  const Case cases[] = {
      {"primary.vector_base", [](schema::I8259T& s) { s.primary->vector_base = 0x31; }},
      {"primary.initialisation_step", [](schema::I8259T& s) { s.primary->initialisation_step = 1; }},
      {"secondary.initialisation_step", [](schema::I8259T& s) { s.secondary->initialisation_step = 5; }},
      {"secondary.highest_priority_pin", [](schema::I8259T& s) { s.secondary->highest_priority_pin = 8; }},
      {"primary.elcr", [](schema::I8259T& s) { s.primary->elcr = 0x04; }},
      {"secondary.elcr", [](schema::I8259T& s) { s.secondary->elcr = 0x20; }},
  };
  for (const Case& refused : cases) {
    schema::I8259T state = sample_i8259();
    refused.change(state);
    expect_refused(unpack_i8259(*pack_i8259(state)), refused.field);
  }
}

TEST(I8254State, RefusesEachImpossibleValueAndNamesTheField) {
  ASSERT_TRUE(unpack_i8254(*pack_i8254(sample_i8254())));
  struct Case {
    const char* field;
    void (*change)(schema::I8254T& s);
  };
  const Case cases[] = {
      {"counters", [](schema::I8254T& s) { s.counters.pop_back(); }},
      {"counters[0].count", [](schema::I8254T& s) { s.counters[0]->count = 0; }},
      {"counters[2].count", [](schema::I8254T& s) { s.counters[2]->count = 65537; }},
      {"counters[2].mode", [](schema::I8254T& s) { s.counters[2]->mode = 6; }},
      {"counters[2].access",
       [](schema::I8254T& s) { s.counters[2]->access = static_cast<schema::I8254Access>(4); }},
      {"counters[1].access", [](schema::I8254T& s) { s.counters[1]->mode = 2; }},
      {"counters[1].write_high_next", [](schema::I8254T& s) { s.counters[1]->write_high_next = true; }},
      {"counters[1].elapsed_pulses",
       [](schema::I8254T& s) { s.counters[1]->elapsed_pulses = ~std::uint64_t{0}; }},
  };
  for (const Case& refused : cases) {
    schema::I8254T state = sample_i8254();
    refused.change(state);
    expect_refused(unpack_i8254(*pack_i8254(state)), refused.field);
  }
}

TEST(IoapicState, RefusesEachImpossibleValueAndNamesTheField) {
  ASSERT_TRUE(unpack_ioapic(*pack_ioapic(sample_ioapic())));
  struct Case {
    const char* field;
    void (*change)(schema::IoapicT& s);
  };
  const Case cases[] = {
      {"redirection_table", [](schema::IoapicT& s) { s.redirection_table.clear(); }},
      {"redirection_table", [](schema::IoapicT& s) { s.redirection_table.resize(33); }},
      {"id", [](schema::IoapicT& s) { s.id = 16; }},
      {"ioregsel", [](schema::IoapicT& s) { s.ioregsel = 0x100; }},
      {"irr", [](schema::IoapicT& s) { s.irr = 1u << 24; }},
  };
  for (const Case& refused : cases) {
    schema::IoapicT state = sample_ioapic();
    refused.change(state);
    expect_refused(unpack_ioapic(*pack_ioapic(state)), refused.field);
  }
}

TEST(KvmClockState, RefusesEachImpossibleValueAndNamesTheField) {
  ASSERT_TRUE(unpack_kvm_clock(*pack_kvm_clock(sample_clock())));
  schema::KvmClockT clock = sample_clock();
  clock.system_time = ~std::uint64_t{0};
  expect_refused(unpack_kvm_clock(*pack_kvm_clock(clock)), "system_time");
  clock = sample_clock();
  clock.host_realtime = ~std::uint64_t{0};
  expect_refused(unpack_kvm_clock(*pack_kvm_clock(clock)), "host_realtime");
}

TEST(CpuProfileState, RefusesEachImpossibleValueAndNamesTheField) {
  ASSERT_TRUE(unpack_cpu_profile(*pack_cpu_profile(sample_profile())));
  struct Case {
    const char* field;
    void (*change)(schema::CpuProfileT& p);
  };
  const Case cases[] = {
      {"name", [](schema::CpuProfileT& p) { p.name.clear(); }},
      {"name", [](schema::CpuProfileT& p) { p.name = "a\x1b[2J"; }},
      {"vendor", [](schema::CpuProfileT& p) { p.vendor = "Intel"; }},
      {"vendor", [](schema::CpuProfileT& p) { p.vendor = "AuthenticAMD"; }},
      {"tsc_frequency", [](schema::CpuProfileT& p) { p.tsc_frequency = ~std::uint64_t{0}; }},
      {"leaves", [](schema::CpuProfileT& p) { p.leaves.erase(p.leaves.begin()); }},
      {"leaves", [](schema::CpuProfileT& p) { std::swap(p.leaves[2], p.leaves[3]); }},
      {"leaves", [](schema::CpuProfileT& p) { p.leaves.push_back(p.leaves.back()); }},
      {"leaves", [](schema::CpuProfileT& p) { p.leaves[1] = schema::CpuidLeaf(1, 1, 0, 0, 0, 0, 0); }},
      {"leaves", [](schema::CpuProfileT& p) { p.leaves[1] = schema::CpuidLeaf(1, 0, 2, 0, 0, 0, 0); }},
  };
  for (const Case& refused : cases) {
    schema::CpuProfileT profile = sample_profile();
    refused.change(profile);
    expect_refused(unpack_cpu_profile(*pack_cpu_profile(profile)), refused.field);
  }
  schema::CpuProfileT profile = sample_profile();
  for (std::uint32_t i = 0; i < 300; ++i) profile.leaves.emplace_back(0x1000 + i, 0u, 0u, 0u, 0u, 0u, 0u);
  expect_refused(unpack_cpu_profile(*pack_cpu_profile(profile)), "leaves", ErrorKind::kLimitExceeded);
}

TEST(StateBytes, AreRefusedWhenCutShortOrOfAnotherType) {
  const ByteVector cpu = *pack_x86_cpu(sample_cpu());
  for (std::size_t size = 0; size < cpu.size(); size += size < 64 ? 1 : 37) {
    auto state = unpack_x86_cpu(ByteView(cpu).first(size));
    ASSERT_FALSE(state) << size;
    EXPECT_EQ(state.error().kind(), ErrorKind::kCorrupt);
  }
  EXPECT_FALSE(unpack_lapic(cpu));
  EXPECT_FALSE(unpack_x86_cpu(*pack_lapic(sample_lapic())));
}

TEST(StateBytes, NeverCrashAReaderWhateverByteIsChanged) {
  const ByteVector good = *pack_x86_cpu(sample_cpu());
  std::size_t refused = 0;
  for (std::size_t at = 0; at < good.size(); ++at) {
    ByteVector bad = good;
    bad[at] ^= std::byte{0xff};
    auto state = unpack_x86_cpu(bad);
    if (!state) {
      ++refused;
      EXPECT_NE(state.error().kind(), ErrorKind::kInternal);
    }
  }
  EXPECT_GT(refused, 100u);
}

}  // namespace
}  // namespace vmsnap::vmm
