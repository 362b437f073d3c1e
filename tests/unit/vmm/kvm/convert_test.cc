// SPDX-License-Identifier: BSD-2-Clause
#include <gtest/gtest.h>

#include <cstring>

#include "kvm/lapic_bits.h"
#include "kvm/state_codec.h"
#include "kvm/xsave_layout.h"
#include "sample_states.h"

namespace vmsnap::vmm {
namespace {

using test::sample_facts;
using test::sample_parts;

template <typename T>
::testing::AssertionResult same_bytes(const T& a, const T& b) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (std::memcmp(&a, &b, sizeof(T)) == 0) return ::testing::AssertionSuccess();
  std::size_t at = 0;
  while (reinterpret_cast<const char*>(&a)[at] == reinterpret_cast<const char*>(&b)[at]) ++at;
  return ::testing::AssertionFailure() << "they differ first at byte " << at;
}

// KVM structure -> schema -> bytes -> schema -> KVM structure.
Result<VcpuParts> there_and_back(const VcpuParts& parts, std::uint32_t index, const HostFacts& facts) {
  VMSNAP_ASSIGN_OR_RETURN(VcpuState state, to_state(parts, index, facts));
  VMSNAP_ASSIGN_OR_RETURN(ByteVector cpu, pack_x86_cpu(state.cpu));
  VMSNAP_ASSIGN_OR_RETURN(ByteVector lapic, pack_lapic(state.lapic));
  VcpuState again;
  VMSNAP_ASSIGN_OR_RETURN(again.cpu, unpack_x86_cpu(cpu));
  VMSNAP_ASSIGN_OR_RETURN(again.lapic, unpack_lapic(lapic));
  return to_parts(again, facts);
}

void expect_same(const VcpuParts& a, const VcpuParts& b) {
  EXPECT_TRUE(same_bytes(a.run_state, b.run_state));
  EXPECT_TRUE(same_bytes(a.regs, b.regs));
  EXPECT_TRUE(same_bytes(a.sregs, b.sregs));
  EXPECT_EQ(a.xsave, b.xsave);
  EXPECT_EQ(a.has_xcr0, b.has_xcr0);
  EXPECT_EQ(a.xcr0, b.xcr0);
  EXPECT_TRUE(same_bytes(a.debug, b.debug));
  EXPECT_TRUE(same_bytes(a.lapic, b.lapic));
  EXPECT_TRUE(same_bytes(a.events, b.events));
  EXPECT_EQ(a.msrs, b.msrs);
  EXPECT_EQ(a.tsc, b.tsc);
  EXPECT_EQ(a.tsc_deadline, b.tsc_deadline);
}

TEST(VcpuConversion, GivesBackEveryFieldOfALongModeCpu) {
  const VcpuParts parts = sample_parts();
  auto again = there_and_back(parts, 1, sample_facts());
  ASSERT_TRUE(again) << again.error().to_string();
  expect_same(*again, parts);
}

TEST(VcpuConversion, GivesBackAnX2apicCpuWithPaeTablesAndAnInjectedInterrupt) {
  VcpuParts parts = sample_parts();
  parts.sregs.apic_base |= kApicBaseX2;
  test::put_lapic(parts.lapic, kApicId, 1);
  test::put_lapic(parts.lapic, kApicLdr, 0x2);
  parts.sregs.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
  for (std::uint64_t i = 0; i < 4; ++i) parts.sregs.pdptrs[i] = 0x1000 * i + 1;
  parts.events.exception = {};
  parts.events.exception_has_payload = 0;
  parts.events.exception_payload = 0;
  parts.events.interrupt = {1, 0xec, 0, 0};
  parts.events.nmi = {0, 1, 1, 0};
  parts.events.triple_fault.pending = 1;
  parts.run_state.mp_state = KVM_MP_STATE_RUNNABLE;
  auto again = there_and_back(parts, 1, sample_facts());
  ASSERT_TRUE(again) << again.error().to_string();
  expect_same(*again, parts);
}

TEST(VcpuConversion, GivesBackACpuWithoutXsave) {
  HostFacts facts = sample_facts();
  facts.guest_xcr0 = 0;
  VcpuParts parts = sample_parts();
  parts.has_xcr0 = false;
  parts.xcr0 = 0;
  auto again = there_and_back(parts, 1, facts);
  ASSERT_TRUE(again) << again.error().to_string();
  // The host's own extended state (AVX, PKRU) is not the guest's.
  EXPECT_EQ(load_le<std::uint64_t>(again->xsave, kXsaveHeader), 3u);
  EXPECT_EQ(std::memcmp(again->xsave.data(), parts.xsave.data(), kXsaveHeader), 0);
  EXPECT_TRUE(is_all_zero(ByteView(again->xsave).subspan(kXsaveExtended)));
}

TEST(VcpuConversion, StoresTheXsaveAreaOnlyAsFarAsItIsUsed) {
  VcpuParts parts = sample_parts();
  std::fill(parts.xsave.begin() + 700, parts.xsave.end(), std::byte{0});
  auto state = to_state(parts, 1, sample_facts());
  ASSERT_TRUE(state);
  EXPECT_EQ(state->cpu.xsave_area.size(), 704u);
}

TEST(VcpuConversion, KeepsEveryRunState) {
  for (const std::uint32_t mp_state :
       {KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED, KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_HALTED,
        KVM_MP_STATE_SIPI_RECEIVED}) {
    VcpuParts parts = sample_parts();
    parts.run_state.mp_state = mp_state;
    auto again = there_and_back(parts, 1, sample_facts());
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(again->run_state.mp_state, mp_state);
  }
}

TEST(VcpuConversion, HandsOverTheSipiVectorOfACpuThatReceivedOne) {
  VcpuParts parts = sample_parts();
  parts.run_state.mp_state = KVM_MP_STATE_SIPI_RECEIVED;
  parts.events.sipi_vector = 0x9a;
  auto again = there_and_back(parts, 1, sample_facts());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->events.sipi_vector, 0x9au);
  EXPECT_NE(again->events.flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR, 0u);
}

TEST(VcpuConversion, RefusesToSaveARunStateWithoutAWord) {
  VcpuParts parts = sample_parts();
  parts.run_state.mp_state = KVM_MP_STATE_AP_RESET_HOLD;
  auto state = to_state(parts, 1, sample_facts());
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(state.error().field(), "run_state");
}

TEST(LapicConversion, LeavesOutCmciWhenTheApicHasSixEntries) {
  VcpuParts parts = sample_parts();
  test::put_lapic(parts.lapic, kApicVersion, 0x50014);
  const schema::LapicT state = lapic_from_kvm(parts.lapic, parts.sregs.apic_base, 0);
  EXPECT_FALSE(state.lvt_cmci.has_value());
}

TEST(LapicConversion, ShowsTheIdAsANumberInBothModes) {
  VcpuParts parts = sample_parts();
  EXPECT_EQ(lapic_from_kvm(parts.lapic, parts.sregs.apic_base, 0).apic_id, 1u);
  test::put_lapic(parts.lapic, kApicId, 300);
  EXPECT_EQ(lapic_from_kvm(parts.lapic, parts.sregs.apic_base | kApicBaseX2, 0).apic_id, 300u);
}

TEST(LapicConversion, ShowsErrorsThatAnotherImplementationStillCollected) {
  schema::LapicT state = lapic_from_kvm(sample_parts().lapic, kApicDefaultAddress | kApicBaseEnable, 0);
  state.esr = 0x40;
  state.esr_pending = 0x80;
  const kvm_lapic_state page = lapic_to_kvm(state);
  std::uint32_t esr = 0;
  std::memcpy(&esr, page.regs + kApicEsr, sizeof esr);
  EXPECT_EQ(esr, 0xc0u);
}

TEST(I8259Conversion, GivesBackBothChips) {
  const kvm_pic_state primary = test::sample_pic_primary();
  const kvm_pic_state secondary = test::sample_pic_secondary();
  schema::I8259T state;
  state.primary = std::make_unique<schema::I8259ChipT>(*i8259_from_kvm(primary));
  state.secondary = std::make_unique<schema::I8259ChipT>(*i8259_from_kvm(secondary));
  EXPECT_EQ(state.primary->initialisation_step, 3);  // KVM's step 2 awaits ICW3
  auto again = unpack_i8259(*pack_i8259(state));
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_TRUE(same_bytes(i8259_to_kvm(*again->primary, kElcrPrimary), primary));
  EXPECT_TRUE(same_bytes(i8259_to_kvm(*again->secondary, kElcrSecondary), secondary));
}

TEST(I8259Conversion, RefusesAnInitialisationStepThatDoesNotExist) {
  kvm_pic_state chip = test::sample_pic_primary();
  chip.init_state = 9;
  auto state = i8259_from_kvm(chip);
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().kind(), ErrorKind::kUnsupported);
}

TEST(IoapicConversion, GivesBackEveryPin) {
  const kvm_ioapic_state ioapic = test::sample_ioapic();
  auto again = unpack_ioapic(*pack_ioapic(ioapic_from_kvm(ioapic)));
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_TRUE(same_bytes(ioapic_to_kvm(*again), ioapic));
}

TEST(I8254Conversion, GivesBackEveryCounterWithLoadTimesAsTheyStandToNow) {
  constexpr std::int64_t kThen = 1'000'000'000'000;
  constexpr std::int64_t kNow = 77'000'000;  // a host that was started a moment ago
  auto again = unpack_i8254(*pack_i8254(i8254_from_kvm(test::sample_pit(kThen), kThen)));
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->counters[2]->elapsed_pulses, 147'306u);
  EXPECT_FALSE(again->counters[0]->elapsed_pulses.has_value());
  kvm_pit_state2 expected = test::sample_pit(kNow);
  // Whole pulses: 5,965,910, and 147,306 without the part of one that had begun.
  expected.channels[2].count_load_time = kNow - 123'456'439;
  EXPECT_TRUE(same_bytes(i8254_to_kvm(*again, kNow), expected));
  // Once more, from that host: counters that were loaded before it was started.
  auto later = i8254_from_kvm(i8254_to_kvm(*again, kNow), kNow + 1'000'000);
  EXPECT_EQ(later.counters[2]->elapsed_pulses, 147'306u + 1193);
}

TEST(I8254Conversion, GivesTheSamePulsesAgainHoweverOftenItIsSavedAndRestored) {
  constexpr std::int64_t kNow = 3'000'000'000'000'000;
  for (std::uint64_t pulses :
       {0ull, 1ull, 2ull, 65535ull, 65536ull, 1'193'181ull, 1'193'182ull, 3'579'545'999ull}) {
    schema::I8254T state = i8254_from_kvm(test::sample_pit(kNow), kNow);
    state.counters[2]->elapsed_pulses = pulses;
    for (int i = 0; i < 3; ++i) {
      state = i8254_from_kvm(i8254_to_kvm(state, kNow), kNow);
      EXPECT_EQ(state.counters[2]->elapsed_pulses, pulses);
    }
  }
}

TEST(I8254Conversion, SavesTheLevelOfOutAsKvmShowsItToTheGuest) {
  struct Case {
    std::uint8_t mode;
    std::uint64_t pulses;
    bool output;
  };
  constexpr std::uint32_t kCount = 1001;
  const Case cases[] = {
      {0, 1000, false}, {0, 1001, true},  {1, 1000, true},  {1, 1001, false}, {2, 0, false},
      {2, 1001, true},  {2, 1002, false}, {3, 500, true},   {3, 501, false},  {3, 1001, true},
      {4, 1000, false}, {4, 1001, true},  {4, 1002, false}, {5, 1001, true},  {5, 1002, false},
  };
  constexpr std::int64_t kNow = 1'000'000'000'000;
  for (const Case& each : cases) {
    schema::I8254T state = i8254_from_kvm(test::sample_pit(kNow), kNow);
    state.counters[2]->count = kCount;
    state.counters[2]->mode = each.mode;
    state.counters[2]->elapsed_pulses = each.pulses;
    state = i8254_from_kvm(i8254_to_kvm(state, kNow), kNow);
    EXPECT_EQ(state.counters[2]->output, each.output) << int{each.mode} << " " << each.pulses;
  }
}

TEST(I8254Conversion, KeepsTheLevelOfOutOfACounterWhoseLoadTimeNobodyKnows) {
  constexpr std::int64_t kNow = 1'000'000'000'000;
  for (std::uint8_t mode = 0; mode <= 5; ++mode) {
    for (const bool output : {false, true}) {
      schema::I8254T state = i8254_from_kvm(test::sample_pit(kNow), kNow);
      state.counters[2]->mode = mode;
      state.counters[2]->elapsed_pulses = flatbuffers::nullopt;
      state.counters[2]->output = output;
      state = i8254_from_kvm(i8254_to_kvm(state, kNow), kNow);
      EXPECT_EQ(state.counters[2]->output, output) << int{mode};
    }
  }
}

TEST(I8254Conversion, BeginsAPeriodAnewWhereNothingIsKnownOfIt) {
  constexpr std::int64_t kNow = 1'000'000'000'000;
  schema::I8254T state = i8254_from_kvm(test::sample_pit(kNow), kNow);
  for (auto& counter : state.counters) {
    counter->elapsed_pulses = flatbuffers::nullopt;
    counter->output = flatbuffers::nullopt;
  }
  const kvm_pit_state2 pit = i8254_to_kvm(state, kNow);
  EXPECT_EQ(pit.channels[1].count_load_time, kNow);
  EXPECT_EQ(pit.channels[2].count_load_time, kNow);
}

TEST(I8254Conversion, NeverClaimsToKnowHowLongCounter0HasRun) {
  constexpr std::int64_t kNow = 1'000'000'000'000;
  schema::I8254T state = i8254_from_kvm(test::sample_pit(kNow), kNow);
  state.counters[0]->elapsed_pulses = 1000;
  state = i8254_from_kvm(i8254_to_kvm(state, kNow), kNow + 5);
  EXPECT_FALSE(state.counters[0]->elapsed_pulses.has_value());
  EXPECT_FALSE(state.counters[0]->output.has_value());
}

TEST(I8254Conversion, TellsALatchedHighByteFromAnUnlatchedOne) {
  kvm_pit_state2 pit = test::sample_pit(1);
  pit.channels[2].count_latched = 0;
  pit.channels[2].read_state = 4;
  const schema::I8254T state = i8254_from_kvm(pit, 1'000'000'000);
  EXPECT_TRUE(state.counters[2]->read_high_next);
  EXPECT_FALSE(state.counters[2]->count_latched);
  const kvm_pit_state2 again = i8254_to_kvm(state, 1'000'000'000);
  EXPECT_EQ(again.channels[2].read_state, 4);
  EXPECT_EQ(again.channels[2].count_latched, 0);
}

// What a host or guest cannot have.

struct Refusal {
  const char* what;
  ErrorKind kind;
  const char* field;
  void (*change)(VcpuState& state, HostFacts& facts);
};

class RefusedState : public ::testing::TestWithParam<Refusal> {};

TEST_P(RefusedState, IsRefusedBeforeAnythingIsSet) {
  HostFacts facts = sample_facts();
  auto state = to_state(sample_parts(), 1, facts);
  ASSERT_TRUE(state);
  ASSERT_TRUE(prepare_vcpu(*state, facts));
  GetParam().change(*state, facts);
  auto prepared = prepare_vcpu(*state, facts);
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().kind(), GetParam().kind) << prepared.error().to_string();
  EXPECT_EQ(prepared.error().field(), GetParam().field) << prepared.error().to_string();
}

INSTANTIATE_TEST_SUITE_P(
    ByHostAndProfile, RefusedState,
    ::testing::Values(
        Refusal{"Xcr0BeyondTheProfile", ErrorKind::kUnsupported, "xcr0",
                [](VcpuState& s, HostFacts&) { s.cpu.xcr0 = 0x60207; }},
        Refusal{"Xcr0WithoutXsave", ErrorKind::kCorrupt, "xcr0",
                [](VcpuState&, HostFacts& f) { f.guest_xcr0 = 0; }},
        Refusal{"XsaveWithoutXcr0", ErrorKind::kCorrupt, "xcr0",
                [](VcpuState& s, HostFacts&) { s.cpu.xcr0 = flatbuffers::nullopt; }},
        Refusal{"Xcr0WithoutXcrs", ErrorKind::kUnsupported, "xcr0",
                [](VcpuState&, HostFacts& f) { f.has_xcrs = false; }},
        Refusal{"XsaveComponentBeyondTheProfile", ErrorKind::kUnsupported, "xsave_area",
                [](VcpuState& s, HostFacts&) { s.cpu.xsave_area[kXsaveHeader + 2] = 0x02; }},
        Refusal{"XsaveAreaLargerThanTheHosts", ErrorKind::kUnsupported, "xsave_area",
                [](VcpuState& s, HostFacts&) { s.cpu.xsave_area.resize(8192, 1); }},
        Refusal{"NestedIntelGuest", ErrorKind::kUnsupported, "cr4",
                [](VcpuState& s, HostFacts&) { s.cpu.cr4 |= 1 << 13; }},
        Refusal{"NestedAmdGuest", ErrorKind::kUnsupported, "efer",
                [](VcpuState& s, HostFacts&) { s.cpu.efer |= 1 << 12; }},
        Refusal{"MsrThatTheHostLacks", ErrorKind::kUnsupported, "other_msrs",
                [](VcpuState& s, HostFacts&) { s.cpu.other_msrs.emplace_back(0xc0011029u, 0u, 1u); }},
        Refusal{"NamedMsrThatTheHostLacks", ErrorKind::kUnsupported, "speculation.virt_spec_ctrl",
                [](VcpuState& s, HostFacts&) {
                  s.cpu.speculation = std::make_unique<schema::SpeculationControlsT>();
                  s.cpu.speculation->virt_spec_ctrl = 4;
                }},
        Refusal{"MachineCheckBankThatTheHostLacks", ErrorKind::kUnsupported, "machine_check.banks",
                [](VcpuState& s, HostFacts&) {
                  test::put(s.cpu, {{0x40c, 0, 1}});
                }},
        Refusal{"TripleFaultThatTheHostCannotTake", ErrorKind::kUnsupported, "events.triple_fault_pending",
                [](VcpuState& s, HostFacts& f) {
                  s.cpu.events->triple_fault_pending = true;
                  f.has_triple_fault_event = false;
                }},
        Refusal{"SystemManagementModeThatTheHostLacks", ErrorKind::kUnsupported, "events.in_smm",
                [](VcpuState& s, HostFacts& f) {
                  s.cpu.events->in_smm = true;
                  f.has_smm = false;
                }},
        Refusal{"DeadlineModeThatTheHostLacks", ErrorKind::kUnsupported, "lvt_timer",
                [](VcpuState&, HostFacts& f) { f.has_tsc_deadline = false; }},
        Refusal{"MovedApic", ErrorKind::kUnsupported, "apic_base",
                [](VcpuState& s, HostFacts&) { s.lapic.apic_base = 0xfed00800; }},
        Refusal{"ForeignX2apicId", ErrorKind::kUnsupported, "apic_id",
                [](VcpuState& s, HostFacts&) {
                  s.lapic.apic_base |= kApicBaseX2;
                  s.lapic.apic_id = 7;
                }},
        Refusal{"ForeignTimerFrequency", ErrorKind::kUnsupported, "timer_frequency",
                [](VcpuState& s, HostFacts&) { s.lapic.timer_frequency = 134'217'728; }}),
    [](const auto& refusal) { return refusal.param.what; });

TEST(PrepareVcpu, LeavesOutAZeroMsrThatTheHostLacks) {
  const HostFacts facts = sample_facts();
  auto state = to_state(sample_parts(), 1, facts);
  ASSERT_TRUE(state);
  test::put(state->cpu, {{0x40c, 0, 0}, {0xc001011f, 0, 0}, {0xc0011029, 0, 0}});
  auto prepared = prepare_vcpu(*state, facts);
  ASSERT_TRUE(prepared) << prepared.error().to_string();
  EXPECT_EQ(prepared->parts().msrs, sample_parts().msrs);
}

// kvm.md 4.2.6: fired, not injected.

VcpuParts with_deadline(std::uint64_t deadline, std::uint32_t lvt_timer) {
  VcpuParts parts = sample_parts();
  parts.tsc_deadline = deadline;
  test::put_lapic(parts.lapic, kApicLvtTimer, lvt_timer);
  return parts;
}

constexpr std::uint32_t kDeadlineMode = 0x40000;
constexpr std::uint32_t kVector = 0xec;

TEST(Deadline, IsWrittenAsSaved) {
  EXPECT_EQ(deadline_to_write(with_deadline(500, kDeadlineMode | kVector), 1000), 500u);
}

TEST(Deadline, OfATimerThatFiredUnseenBecomesNow) {
  EXPECT_EQ(deadline_to_write(with_deadline(0, kDeadlineMode | kVector), 1000), 1000u);
}

TEST(Deadline, StaysUnarmedWhenTheInterruptIsAlreadyWaiting) {
  VcpuParts parts = with_deadline(0, kDeadlineMode | kVector);
  test::put_lapic(parts.lapic, kApicIrr + 0x10 * (kVector / 32), 1u << (kVector % 32));
  EXPECT_EQ(deadline_to_write(parts, 1000), 0u);
}

TEST(Deadline, StaysUnarmedWhenTheTimerIsMasked) {
  EXPECT_EQ(deadline_to_write(with_deadline(0, kDeadlineMode | kLvtMasked | kVector), 1000), 0u);
}

TEST(Deadline, IsNotForOtherTimerModes) {
  EXPECT_EQ(deadline_to_write(with_deadline(500, 0x20000 | kVector), 1000), 0u);
}

}  // namespace
}  // namespace vmsnap::vmm
