// SPDX-License-Identifier: BSD-2-Clause
// The order of calls, against a KVM that records them. Each edge below broke guests of some monitor.
#include <gtest/gtest.h>

#include "fake_kvm.h"
#include "kvm/machine_state.h"
#include "kvm/msr_list.h"
#include "sample_states.h"

namespace vmsnap::vmm {
namespace {

using test::FakeKvm;

schema::CpuProfileT profile_with_xsave(bool has_xsave) {
  schema::CpuProfileT profile;
  profile.name = "host";
  profile.vendor = "GenuineIntel";
  profile.tsc_frequency = 2'000'000;
  profile.leaves = {{0, 0, 0, 0xd, 0x756e6547, 0x6c65746e, 0x49656e69},
                    {1, 0, 0, 0, 0, has_xsave ? 1u << 26 : 0u, 0},
                    {0xd, 0, 1, has_xsave ? 7u : 0u, 0, 0, 0}};
  return profile;
}

struct Machine {
  std::shared_ptr<FakeKvm> fake = std::make_shared<FakeKvm>();
  std::unique_ptr<Kvm> kvm;
  std::unique_ptr<GuestMemory> memory;
  std::unique_ptr<KvmVm> vm;
};

Machine make_machine(
    std::uint32_t vcpus, schema::CpuProfileT profile = profile_with_xsave(true),
    void (*prepare)(FakeKvm&) = [](FakeKvm&) {}) {
  Machine machine;
  prepare(*machine.fake);
  auto kvm = Kvm::open("/dev/null", machine.fake);
  EXPECT_TRUE(kvm) << kvm.error().to_string();
  machine.kvm = std::make_unique<Kvm>(std::move(kvm).value());
  // What was tried on the virtual CPU that open() threw away.
  machine.fake->trace.clear();
  machine.fake->tsc_offset.clear();
  auto memory = GuestMemory::allocate(GuestMemory::layout(1 << 20));
  EXPECT_TRUE(memory);
  machine.memory = std::make_unique<GuestMemory>(std::move(memory).value());
  auto vm = KvmVm::create(*machine.kvm, {Gpa(0xfffbd000), Gpa(0xfffbc000)});
  EXPECT_TRUE(vm) << vm.error().to_string();
  machine.vm = std::move(vm).value();
  EXPECT_TRUE(machine.vm->map_memory(*machine.memory));
  EXPECT_TRUE(machine.vm->set_gsi_routing({}));
  EXPECT_TRUE(machine.vm->create_vcpus(vcpus, profile));
  return machine;
}

KvmState saved_state(const Machine& machine) {
  auto state = save_kvm_state(*machine.vm);
  EXPECT_TRUE(state) << state.error().to_string();
  return std::move(state).value();
}

Result<RestoredTime> restore(Machine& machine, const KvmState& state,
                             TimePolicy policy = TimePolicy::kFreeze) {
  VMSNAP_ASSIGN_OR_RETURN(const PreparedKvmState prepared, prepare_restore(state, machine.vm->facts()));
  return apply_restore(*machine.vm, prepared, policy);
}

struct Edge {
  const char* before;
  const char* after;
  const char* reason;
};

// kvm.md 4.1 and 4.3. Every pair is of one virtual CPU, or of the machine.
constexpr Edge kCreationEdges[] = {
    {"vm ENABLE_CAP", "cpu0 SET_CPUID2", "the capability cannot be changed once there are virtual CPUs"},
    {"vm SET_TSS_ADDR", "vm CREATE_VCPU", "KVM refuses it later"},
    {"vm SET_IDENTITY_MAP_ADDR", "vm CREATE_VCPU", "KVM refuses it later"},
    {"vm CREATE_IRQCHIP", "vm CREATE_PIT2", "the timer needs the controllers"},
    {"vm CREATE_PIT2", "vm CREATE_VCPU", "virtual CPUs get their local APIC when they are made"},
    {"vm SET_USER_MEMORY_REGION", "cpu0 SET_MSR 0x4b564d01", "KVM reads the guest's page"},
    {"cpu1 SET_CPUID2", "cpu0 GET_MSR 0x174", "MSRs that depend on CPUID read as 0 before"},
};

constexpr Edge kVcpuEdges[] = {
    {"SET_CPUID2", "SET_SREGS2", "legal bits follow from CPUID"},
    {"SET_CPUID2", "SET_XCRS", "legal bits follow from CPUID"},
    {"SET_CPUID2", "SET_XSAVE", "legal bits follow from CPUID"},
    {"SET_SREGS2", "SET_LAPIC", "the APIC's mode decides the layout of its page"},
    {"SET_SREGS2", "SET_VCPU_EVENTS", "both describe an interrupt under way"},
    {"SET_REGS", "SET_VCPU_EVENTS", "SET_REGS clears a pending exception"},
    {"SET_SREGS2", "SET_MP_STATE", "SET_SREGS wakes a processor that stands at the reset vector"},
    {"SET_LAPIC", "SET_MSR 0x6e0", "a deadline is ignored unless the LVT is in deadline mode"},
    {"SET_TSC_OFFSET", "SET_MSR 0x6e0", "the deadline is absolute in the guest's TSC"},
    {"SET_MSR 0xc0000081", "SET_MSR 0x6e0", "the deadline is the last MSR"},
};

constexpr Edge kMachineEdges[] = {
    {"cpu1 SET_VCPU_EVENTS", "vm SET_IRQCHIP pic0", "the controllers deliver to local APICs"},
    {"vm SET_IRQCHIP pic1", "vm SET_PIT2", "a tick before would be overwritten"},
    {"vm SET_IRQCHIP ioapic", "vm SET_PIT2", "a tick before would be overwritten"},
    {"cpu1 SET_MSR 0x4b564d01", "vm SET_CLOCK", "the clock's page is known then"},
    {"vm SET_CLOCK", "cpu0 SET_MSR 0x6e0", "a timer that fires sees the right time"},
    {"vm SET_CLOCK", "cpu0 KVMCLOCK_CTRL", "the flag goes with the restored clock"},
    {"vm SET_CLOCK", "cpu1 KVMCLOCK_CTRL", "the flag goes with the restored clock"},
};

TEST(CallOrder, OfMakingAMachineKeepsEveryEdge) {
  const Machine machine = make_machine(2);
  for (const Edge& edge : kCreationEdges) {
    EXPECT_LT(machine.fake->last(edge.before), machine.fake->first(edge.after))
        << edge.before << ": " << edge.reason;
  }
}

TEST(CallOrder, OfARestoreKeepsEveryEdge) {
  Machine machine = make_machine(2);
  const KvmState state = saved_state(machine);
  FakeKvm& fake = *machine.fake;
  // The probe of the MSRs wrote some of them: what matters is what is written from here on.
  const std::size_t cpuid_calls[] = {fake.first("cpu0 SET_CPUID2"), fake.first("cpu1 SET_CPUID2")};
  EXPECT_LT(cpuid_calls[1], fake.trace.size());
  fake.trace = {"cpu0 SET_CPUID2", "cpu1 SET_CPUID2"};
  auto restored = restore(machine, state);
  ASSERT_TRUE(restored) << restored.error().to_string();
  for (const std::string cpu : {"cpu0 ", "cpu1 "}) {
    for (const Edge& edge : kVcpuEdges) {
      EXPECT_LT(fake.last(cpu + edge.before), fake.first(cpu + edge.after))
          << cpu << edge.before << ": " << edge.reason;
    }
  }
  for (const Edge& edge : kMachineEdges) {
    EXPECT_LT(fake.last(edge.before), fake.first(edge.after)) << edge.before << ": " << edge.reason;
  }
}

TEST(CallOrder, OfASaveReadsTheRunStateFirstTheDeadlineBeforeTheApicAndTheEventsLast) {
  const Machine machine = make_machine(1);
  machine.fake->trace.clear();
  saved_state(machine);
  const FakeKvm& fake = *machine.fake;
  const char* between[] = {"cpu0 GET_REGS",      "cpu0 GET_SREGS2",    "cpu0 GET_XSAVE",
                           "cpu0 GET_XCRS",      "cpu0 GET_DEBUGREGS", "cpu0 GET_LAPIC",
                           "cpu0 GET_MSR 0x6e0", "cpu0 GET_MSR 0x174"};
  for (const char* call : between) {
    EXPECT_LT(fake.first("cpu0 GET_MP_STATE"), fake.first(call));
    EXPECT_LT(fake.last(call), fake.first("cpu0 GET_VCPU_EVENTS"));
  }
  EXPECT_LT(fake.first("cpu0 GET_MSR 0x6e0"), fake.first("cpu0 GET_LAPIC"));
  EXPECT_LT(fake.first("vm GET_PIT2"), fake.first("vm GET_IRQCHIP"));
  EXPECT_LT(fake.last("vm GET_IRQCHIP"), fake.first("vm GET_CLOCK"));
  EXPECT_LT(fake.first("vm GET_CLOCK"), fake.first("cpu0 GET_MP_STATE"));
}

TEST(Restore, FailsOnEachCallThatFailsAndNamesIt) {
  struct Case {
    const char* call;
    const char* named;
  };
  const Case cases[] = {
      {"cpu1 SET_SREGS2", "KVM_SET_SREGS2"},
      {"cpu1 SET_REGS", "KVM_SET_REGS"},
      {"cpu1 SET_XCRS", "KVM_SET_XCRS"},
      {"cpu1 SET_XSAVE", "KVM_SET_XSAVE"},
      {"cpu1 SET_LAPIC", "KVM_SET_LAPIC"},
      {"cpu1 SET_MP_STATE", "KVM_SET_MP_STATE"},
      {"cpu1 SET_TSC_OFFSET", "TSC_OFFSET"},
      {"cpu1 SET_MSR 0x2ff", "IA32_MTRR_DEF_TYPE"},
      {"cpu1 SET_DEBUGREGS", "KVM_SET_DEBUGREGS"},
      {"cpu1 SET_VCPU_EVENTS", "KVM_SET_VCPU_EVENTS"},
      {"vm SET_IRQCHIP pic1", "8259"},
      {"vm SET_IRQCHIP ioapic", "I/O APIC"},
      {"vm SET_PIT2", "KVM_SET_PIT2"},
      {"vm SET_CLOCK", "KVM_SET_CLOCK"},
      {"cpu1 SET_MSR 0x6e0", "IA32_TSC_DEADLINE"},
  };
  for (const Case& failing : cases) {
    Machine machine = make_machine(2);
    const KvmState state = saved_state(machine);
    machine.fake->refused.insert(failing.call);
    auto restored = restore(machine, state);
    ASSERT_FALSE(restored) << failing.call;
    EXPECT_EQ(restored.error().kind(), ErrorKind::kIo);
    EXPECT_NE(restored.error().to_string().find(failing.named), std::string::npos)
        << restored.error().to_string();
    if (std::string(failing.call).starts_with("cpu1")) {
      EXPECT_EQ(restored.error().device(), "cpu1");
    }
  }
}

TEST(Restore, ChecksEveryVirtualCpuBeforeItSetsAnything) {
  Machine machine = make_machine(2);
  KvmState state = saved_state(machine);
  state.vcpus[1].cpu.other_msrs.emplace_back(0xc0011029u, 0u, 1u);
  machine.fake->trace.clear();
  auto restored = restore(machine, state);
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(restored.error().device(), "cpu1");
  EXPECT_TRUE(machine.fake->trace.empty());
}

TEST(Restore, RefusesMissingDoubledAndExchangedVirtualCpus) {
  Machine machine = make_machine(2);
  const KvmState good = saved_state(machine);
  KvmState state = good;
  state.vcpus.pop_back();
  auto prepared = prepare_restore(state, machine.vm->facts());
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().kind(), ErrorKind::kCorrupt);
  state = good;
  state.vcpus[1] = state.vcpus[0];
  prepared = prepare_restore(state, machine.vm->facts());
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().field(), "index");
}

TEST(Restore, RefusesAnIoapicThatKvmCannotBe) {
  Machine machine = make_machine(1);
  KvmState state = saved_state(machine);
  state.ioapic.redirection_table.resize(16);
  auto prepared = prepare_restore(state, machine.vm->facts());
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(prepared.error().device(), "ioapic");
}

TEST(Restore, DoesNotTouchXcr0OfAGuestWithoutXsave) {
  Machine machine = make_machine(1, profile_with_xsave(false));
  const KvmState state = saved_state(machine);
  EXPECT_FALSE(state.vcpus[0].cpu.xcr0.has_value());
  ASSERT_TRUE(restore(machine, state));
  EXPECT_FALSE(machine.fake->called("cpu0 SET_XCRS"));
  EXPECT_TRUE(machine.fake->called("cpu0 SET_XSAVE"));
}

TEST(Restore, SetsTheClockWithFlagsOfZeroUnderBothPolicies) {
  for (const TimePolicy policy : {TimePolicy::kFreeze, TimePolicy::kAdvance}) {
    Machine machine = make_machine(1);
    const KvmState state = saved_state(machine);
    ASSERT_TRUE(restore(machine, state, policy));
    ASSERT_TRUE(machine.fake->clock_set.has_value());
    EXPECT_EQ(machine.fake->clock_set->flags, 0u);
  }
}

TEST(Restore, FrozenTimeGoesOnWhereItStoppedOnAHostWithAnotherTsc) {
  Machine machine = make_machine(2);
  machine.fake->tsc_offset = {{0, 5'000'000}, {1, 5'000'000}};
  const KvmState state = saved_state(machine);
  EXPECT_EQ(state.vcpus[0].cpu.tsc, 1'005'000'000u);

  Machine other = make_machine(2);
  other.fake->tsc = 77;
  ASSERT_TRUE(restore(other, state));
  EXPECT_EQ(other.fake->tsc + other.fake->tsc_offset[0], 1'005'000'000u);
  EXPECT_EQ(other.fake->tsc_offset[0], other.fake->tsc_offset[1]);
  EXPECT_EQ(other.fake->clock_set->clock, 55'000'000'000u);
}

TEST(Restore, AdvancedTimeMovesTscAndClockByTheSameDowntime) {
  Machine machine = make_machine(1);
  KvmState state = saved_state(machine);
  machine.fake->tsc_offset.clear();
  auto time = restore(machine, state, TimePolicy::kAdvance);
  ASSERT_TRUE(time) << time.error().to_string();
  EXPECT_GT(time->downtime, 0u);
  EXPECT_EQ(machine.fake->clock_set->clock, 55'000'000'000u + time->downtime);
  EXPECT_EQ(machine.fake->tsc + machine.fake->tsc_offset[0],
            state.vcpus[0].cpu.tsc + 2 * time->downtime);  // 2 GHz
}

TEST(OpenKvm, DistrustsATscOffsetThatIsTakenAndIgnored) {
  auto fake = std::make_shared<FakeKvm>();
  fake->ignores_tsc_offset = true;
  EXPECT_FALSE(Kvm::open("/dev/null", fake)->has_tsc_offset());
  fake->ignores_tsc_offset = false;
  EXPECT_TRUE(Kvm::open("/dev/null", fake)->has_tsc_offset());
}

TEST(Restore, WritesTheTscItselfWhereOffsetsAreNotKnown) {
  Machine machine =
      make_machine(1, profile_with_xsave(true), [](FakeKvm& fake) { fake.refused.insert("TSC_OFFSET"); });
  ASSERT_FALSE(machine.vm->facts().has_tsc_offset);
  machine.fake->msrs[0][kMsrTsc] = 42'000;
  const KvmState state = saved_state(machine);
  EXPECT_EQ(state.vcpus[0].cpu.tsc, 42'000u);
  ASSERT_TRUE(restore(machine, state));
  EXPECT_EQ(machine.fake->msrs[0][kMsrTsc], 42'000u);
  EXPECT_LT(machine.fake->last("cpu0 SET_MSR 0x10"), machine.fake->first("cpu0 SET_MSR 0x6e0"));
}

TEST(Restore, ArmsATimerWhoseDeadlineWasReadAsZero) {
  Machine machine = make_machine(1);
  const KvmState state = saved_state(machine);
  ASSERT_EQ(state.vcpus[0].lapic.tsc_deadline, 0u);
  ASSERT_TRUE(restore(machine, state));
  EXPECT_EQ(machine.fake->msrs[0][kMsrTscDeadline], state.vcpus[0].cpu.tsc);
}

TEST(MsrProbe, KeepsWhatReadsAndTakesItsOwnValueAndReportsTheRest) {
  const Machine machine = make_machine(1, profile_with_xsave(true), [](FakeKvm& fake) {
    fake.listed.push_back(0x34);
    fake.listed.push_back(0xc0010015);
    fake.unreadable.insert(0x34);
    fake.unwritable.insert(0xc0010015);
  });
  const HostFacts& facts = machine.vm->facts();
  EXPECT_EQ(facts.refused_msrs, (std::vector<std::uint32_t>{0x34, 0xc0010015}));
  EXPECT_TRUE(std::binary_search(facts.msrs.begin(), facts.msrs.end(), 0xc0000081u));
  EXPECT_FALSE(std::binary_search(facts.msrs.begin(), facts.msrs.end(), 0x34u));
}

TEST(MsrProbe, ASaveNamesAnMsrThatFailsLater) {
  const Machine machine = make_machine(1);
  machine.fake->unreadable.insert(0x277);
  auto state = save_kvm_state(*machine.vm);
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().kind(), ErrorKind::kIo);
  EXPECT_NE(state.error().message().find("MSR 0x277 (IA32_PAT)"), std::string::npos)
      << state.error().message();
}

TEST(MsrList, HasWhatTheKernelForgetsAndNotWhatHasAFieldOrAFeatureOfItsOwn) {
  const std::uint32_t listed[] = {0x10, 0x1b,       0x174,      0x480,      0x6e0,     0x830,
                                  0xc1, 0x40000000, 0x4b564d02, 0xc0000080, 0xc0000100};
  const std::vector<std::uint32_t> all = candidate_msrs(listed, 0x508, 0x109);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
  const auto has = [&](std::uint32_t index) { return std::binary_search(all.begin(), all.end(), index); };
  for (const std::uint32_t index :
       {0x174u, 0x200u, 0x20fu, 0x250u, 0x26fu, 0x2ffu, 0x400u, 0x423u, 0x280u, 0x288u, 0x17au, 0x17bu, 0x11u,
        0x12u, 0x4b564d00u, 0x4b564d01u, 0x4b564d04u, 0xc0000103u}) {
    EXPECT_TRUE(has(index)) << std::hex << index;
  }
  for (const std::uint32_t index : {0x10u, 0x1bu, 0x6e0u, 0x830u, 0xc0000080u, 0xc0000100u, 0x480u, 0xc1u,
                                    0x40000000u, 0x4b564d02u, 0x210u, 0x424u, 0x289u, 0xfeu, 0x179u}) {
    EXPECT_FALSE(has(index)) << std::hex << index;
  }
}

TEST(OpenKvm, NamesEveryCapabilityThatIsMissing) {
  auto fake = std::make_shared<FakeKvm>();
  fake->lacking = {KVM_CAP_SREGS2, KVM_CAP_X2APIC_API};
  auto kvm = Kvm::open("/dev/null", fake);
  ASSERT_FALSE(kvm);
  EXPECT_EQ(kvm.error().kind(), ErrorKind::kUnsupported);
  EXPECT_NE(kvm.error().message().find("KVM_CAP_SREGS2, KVM_CAP_X2APIC_API"), std::string::npos)
      << kvm.error().message();
}

TEST(OpenKvm, SaysWhichFileCannotBeOpened) {
  auto kvm = Kvm::open("/nonexistent/kvm");
  ASSERT_FALSE(kvm);
  EXPECT_EQ(kvm.error().kind(), ErrorKind::kIo);
  EXPECT_EQ(kvm.error().file(), "/nonexistent/kvm");
}

TEST(IrqLines, OfOneGsiAreOred) {
  Machine machine = make_machine(1);
  auto a = machine.vm->irq_line(16);
  auto b = machine.vm->irq_line(16);
  std::vector<std::uint32_t> levels;
  machine.fake->on_irq_line = [&](const kvm_irq_level& level) {
    EXPECT_EQ(level.irq, 16u);
    levels.push_back(level.level);
  };
  a->set_level(true);
  b->set_level(true);
  b->set_level(true);
  a->set_level(false);
  b->set_level(false);
  EXPECT_EQ(levels, (std::vector<std::uint32_t>{1, 1, 1, 1, 0}));
}

TEST(IrqLines, TellKvmALowLevelEvenWhenTheyNeverWereHigh) {
  Machine machine = make_machine(1);
  std::vector<std::uint32_t> levels;
  machine.fake->on_irq_line = [&](const kvm_irq_level& level) { levels.push_back(level.level); };
  machine.vm->irq_line(9)->set_level(false);
  EXPECT_EQ(levels, (std::vector<std::uint32_t>{0}));
}

}  // namespace
}  // namespace vmsnap::vmm
