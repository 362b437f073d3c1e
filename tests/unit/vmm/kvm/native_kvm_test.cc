// SPDX-License-Identifier: BSD-2-Clause
// The host's own KVM, where /dev/kvm opens. The guests here are a few instructions of real mode that every
// KVM can execute, including those that interpret their guests (no SSE, no XSAVE, no string instructions).
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "core/guest_memory.h"
#include "kvm/cpu_profile.h"
#include "kvm/machine_state.h"
#include "kvm/msr_fields.h"
#include "kvm/state_codec.h"
#include "kvm/vm.h"
#include "real_mode.h"

namespace vmsnap::vmm {
namespace {

constexpr std::uint64_t kRamSize = 1 << 20;
constexpr std::uint64_t kCode = 0x1000;
constexpr std::uint16_t kCounterPort = 0x42a;

// Counts in BX and tells each value to kCounterPort.
constexpr std::uint8_t kCounter[] = {
    0xba, 0x2a, 0x04,  // mov dx, 0x42a
    0x43,              // again: inc bx
    0x89, 0xd8,        // mov ax, bx
    0xef,              // out dx, ax
    0xeb, 0xfa,        // jmp again
};

struct TestMachine {
  Kvm kvm;
  GuestMemory memory;
  std::unique_ptr<KvmVm> vm;
};

class NativeKvm : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto kvm = Kvm::open(); !kvm) GTEST_SKIP() << "needs /dev/kvm: " << kvm.error().to_string();
    KvmVcpu::install_kick_handler();
  }

  static std::unique_ptr<TestMachine> make_machine(std::uint32_t vcpus,
                                                   const schema::CpuProfileT* profile = nullptr) {
    auto kvm = Kvm::open();
    EXPECT_TRUE(kvm) << kvm.error().to_string();
    auto memory = GuestMemory::allocate(GuestMemory::layout(kRamSize));
    EXPECT_TRUE(memory);
    auto machine = std::unique_ptr<TestMachine>(
        new TestMachine{std::move(kvm).value(), std::move(memory).value(), nullptr});
    auto vm = KvmVm::create(machine->kvm, {Gpa(0xfffbd000), Gpa(0xfffbc000)});
    EXPECT_TRUE(vm) << vm.error().to_string();
    machine->vm = std::move(vm).value();
    EXPECT_TRUE(machine->vm->map_memory(machine->memory));
    auto made = profile != nullptr ? Result<schema::CpuProfileT>(*profile)
                                   : make_profile(machine->kvm, ProfileKind::kBaseline);
    EXPECT_TRUE(made);
    auto created = machine->vm->create_vcpus(vcpus, *made);
    EXPECT_TRUE(created) << created.error().to_string();
    return machine;
  }

  static void load(TestMachine& machine, std::span<const std::uint8_t> code) {
    ASSERT_TRUE(machine.memory.write(Gpa(kCode), as_byte_view(code.data(), code.size())));
    auto started = test::start_real_mode(machine.vm->vcpu(0), kCode);
    ASSERT_TRUE(started) << started.error().to_string();
  }

  /// Runs until the guest writes to kCounterPort; what it wrote.
  static std::uint16_t next_count(KvmVcpu& vcpu) {
    while (true) {
      auto exit = vcpu.run();
      if (!exit) {
        ADD_FAILURE() << exit.error().to_string();
        return 0;
      }
      if (const auto* io = std::get_if<IoExit>(&*exit)) {
        EXPECT_EQ(io->port, kCounterPort);
        EXPECT_TRUE(io->is_write);
        EXPECT_EQ(io->data.size(), 2u);
        return load_le<std::uint16_t>(io->data, 0);
      }
      if (const auto* failure = std::get_if<FailureExit>(&*exit)) {
        ADD_FAILURE() << failure->description;
        return 0;
      }
    }
  }

  static void finish_io(KvmVcpu& vcpu) {
    auto exit = vcpu.complete_pending_io();
    ASSERT_TRUE(exit) << exit.error().to_string();
    ASSERT_TRUE(std::holds_alternative<InterruptedExit>(*exit));
  }
};

// What goes on while the virtual CPUs stand.
void forget_time(KvmState& state) {
  for (VcpuState& vcpu : state.vcpus) {
    vcpu.cpu.tsc = 0;
    vcpu.lapic.timer_current_count = 0;
  }
  for (auto& counter : state.i8254.counters) {
    counter->elapsed_pulses = flatbuffers::nullopt;
    counter->output = flatbuffers::nullopt;
  }
  state.clock = {};
}

TEST_F(NativeKvm, ReportsCpuidThatMakesAProfileThisHostCanGive) {
  auto kvm = Kvm::open();
  ASSERT_TRUE(kvm);
  for (const ProfileKind kind : {ProfileKind::kHost, ProfileKind::kBaseline}) {
    auto profile = make_profile(*kvm, kind);
    ASSERT_TRUE(profile);
    auto bytes = pack_cpu_profile(*profile);
    ASSERT_TRUE(bytes);
    auto again = unpack_cpu_profile(*bytes);
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(*again, *profile);
    auto checked = check_profile(*profile, *kvm);
    EXPECT_TRUE(checked) << checked.error().to_string();
  }
}

TEST_F(NativeKvm, RunsACountingGuestAndReportsEachPortWrite) {
  auto machine = make_machine(1);
  load(*machine, kCounter);
  EXPECT_EQ(next_count(machine->vm->vcpu(0)), 1);
  EXPECT_EQ(next_count(machine->vm->vcpu(0)), 2);
  EXPECT_EQ(next_count(machine->vm->vcpu(0)), 3);
}

TEST_F(NativeKvm, CompletesAPendingAccessBeforeASaveSoThatRipIsBehindIt) {
  auto machine = make_machine(1);
  load(*machine, kCounter);
  next_count(machine->vm->vcpu(0));
  finish_io(machine->vm->vcpu(0));
  auto state = save_vcpu(machine->vm->vcpu(0), machine->kvm.fd().calls()->host_tsc());
  ASSERT_TRUE(state) << state.error().to_string();
  EXPECT_EQ(state->cpu.rip, kCode + 7);
  EXPECT_EQ(state->cpu.rbx, 1u);
}

TEST_F(NativeKvm, RestoresIntoASecondMachineWhatTheFirstOneSaved) {
  auto first = make_machine(2);
  load(*first, kCounter);
  for (int i = 0; i < 5; ++i) next_count(first->vm->vcpu(0));
  finish_io(first->vm->vcpu(0));
  auto saved = save_kvm_state(*first->vm);
  ASSERT_TRUE(saved) << saved.error().to_string();
  EXPECT_EQ(saved->vcpus[1].cpu.run_state, schema::CpuRunState::WaitForSipi);

  auto second = make_machine(2);
  auto prepared = prepare_restore(*saved, second->vm->facts());
  ASSERT_TRUE(prepared) << prepared.error().to_string();
  auto applied = apply_restore(*second->vm, *prepared, TimePolicy::kFreeze);
  ASSERT_TRUE(applied) << applied.error().to_string();
  auto again = save_kvm_state(*second->vm);
  ASSERT_TRUE(again) << again.error().to_string();

  forget_time(*saved);
  forget_time(*again);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(*pack_x86_cpu(again->vcpus[i].cpu), *pack_x86_cpu(saved->vcpus[i].cpu)) << "cpu" << i;
    EXPECT_EQ(*pack_lapic(again->vcpus[i].lapic), *pack_lapic(saved->vcpus[i].lapic)) << "lapic" << i;
  }
  EXPECT_EQ(*pack_i8259(again->i8259), *pack_i8259(saved->i8259));
  EXPECT_EQ(*pack_ioapic(again->ioapic), *pack_ioapic(saved->ioapic));
  EXPECT_EQ(*pack_i8254(again->i8254), *pack_i8254(saved->i8254));
}

TEST_F(NativeKvm, GoesOnCountingWhereTheSavedGuestStopped) {
  auto first = make_machine(1);
  load(*first, kCounter);
  std::uint16_t last = 0;
  for (int i = 0; i < 1000; ++i) last = next_count(first->vm->vcpu(0));
  finish_io(first->vm->vcpu(0));
  auto saved = save_kvm_state(*first->vm);
  ASSERT_TRUE(saved);

  auto second = make_machine(1);
  ASSERT_TRUE(second->memory.write(Gpa(kCode), as_byte_view(kCounter, sizeof kCounter)));
  auto prepared = prepare_restore(*saved, second->vm->facts());
  ASSERT_TRUE(prepared) << prepared.error().to_string();
  ASSERT_TRUE(apply_restore(*second->vm, *prepared, TimePolicy::kAdvance));
  EXPECT_EQ(next_count(second->vm->vcpu(0)), last + 1);
  EXPECT_EQ(next_count(second->vm->vcpu(0)), last + 2);
}

TEST_F(NativeKvm, SavesStatesThatPassTheirOwnChecks) {
  auto machine = make_machine(2);
  auto saved = save_kvm_state(*machine->vm);
  ASSERT_TRUE(saved) << saved.error().to_string();
  for (const VcpuState& vcpu : saved->vcpus) {
    auto cpu = unpack_x86_cpu(*pack_x86_cpu(vcpu.cpu));
    EXPECT_TRUE(cpu) << cpu.error().to_string();
    auto lapic = unpack_lapic(*pack_lapic(vcpu.lapic));
    EXPECT_TRUE(lapic) << lapic.error().to_string();
  }
  auto pic = unpack_i8259(*pack_i8259(saved->i8259));
  EXPECT_TRUE(pic) << pic.error().to_string();
  auto ioapic = unpack_ioapic(*pack_ioapic(saved->ioapic));
  EXPECT_TRUE(ioapic) << ioapic.error().to_string();
  auto pit = unpack_i8254(*pack_i8254(saved->i8254));
  EXPECT_TRUE(pit) << pit.error().to_string();
  auto clock = unpack_kvm_clock(*pack_kvm_clock(saved->clock));
  EXPECT_TRUE(clock) << clock.error().to_string();
}

TEST_F(NativeKvm, SavesMtrrsMachineCheckAndParavirtualMsrsThatTheKernelDoesNotList) {
  auto machine = make_machine(1);
  const std::vector<std::uint32_t>& msrs = machine->vm->facts().msrs;
  for (const std::uint32_t index : {0x2ffu, 0x200u, 0x26fu, 0x400u, 0x4b564d01u, 0x277u}) {
    EXPECT_TRUE(std::binary_search(msrs.begin(), msrs.end(), index)) << std::hex << index;
  }
}

TEST_F(NativeKvm, KeepsAnMtrrThatTheGuestChanged) {
  auto first = make_machine(1);
  auto state = save_kvm_state(*first->vm);
  ASSERT_TRUE(state);
  ASSERT_NE(state->vcpus[0].cpu.memory_types, nullptr);
  state->vcpus[0].cpu.memory_types->mtrr_def_type = 0xc06;
  auto prepared = prepare_restore(*state, first->vm->facts());
  ASSERT_TRUE(prepared) << prepared.error().to_string();
  ASSERT_TRUE(apply_restore(*first->vm, *prepared, TimePolicy::kFreeze));
  auto again = save_kvm_state(*first->vm);
  ASSERT_TRUE(again);
  EXPECT_EQ(all_msrs(again->vcpus[0].cpu), all_msrs(state->vcpus[0].cpu));
}

TEST_F(NativeKvm, SetsAllTscsToOneTimeThatGoesOnFromTheSavedOne) {
  constexpr std::uint64_t kAhead = std::uint64_t{1} << 42;
  auto first = make_machine(2);
  auto state = save_kvm_state(*first->vm);
  ASSERT_TRUE(state);
  for (VcpuState& vcpu : state->vcpus) vcpu.cpu.tsc = kAhead;
  auto second = make_machine(2);
  auto prepared = prepare_restore(*state, second->vm->facts());
  ASSERT_TRUE(prepared);
  auto applied = apply_restore(*second->vm, *prepared, TimePolicy::kFreeze);
  ASSERT_TRUE(applied);
  if (!second->vm->facts().has_tsc_offset)
    GTEST_SKIP() << "needs a KVM that sets TSC offsets; this host's ignores them";
  auto again = save_kvm_state(*second->vm);
  ASSERT_TRUE(again);
  const std::uint64_t minute = 60'000 * std::max<std::uint64_t>(second->vm->facts().host_tsc_khz, 1'000'000);
  EXPECT_GE(again->vcpus[0].cpu.tsc, kAhead);
  EXPECT_LT(again->vcpus[0].cpu.tsc, kAhead + minute);
  EXPECT_EQ(again->vcpus[0].cpu.tsc, again->vcpus[1].cpu.tsc);
}

TEST_F(NativeKvm, SetsTheClockToGoOnFromTheSavedOne) {
  constexpr std::uint64_t kHour = std::uint64_t{3600} * 1'000'000'000;
  auto first = make_machine(1);
  auto state = save_kvm_state(*first->vm);
  ASSERT_TRUE(state);
  state->clock.system_time = 5 * kHour;
  state->clock.host_realtime = *state->clock.host_realtime - kHour;
  for (const TimePolicy policy : {TimePolicy::kFreeze, TimePolicy::kAdvance}) {
    auto second = make_machine(1);
    auto prepared = prepare_restore(*state, second->vm->facts());
    ASSERT_TRUE(prepared);
    ASSERT_TRUE(apply_restore(*second->vm, *prepared, policy));
    auto clock = save_clock(*second->vm);
    ASSERT_TRUE(clock);
    const std::uint64_t expected = policy == TimePolicy::kFreeze ? 5 * kHour : 6 * kHour;
    EXPECT_GE(clock->state.system_time, expected);
    EXPECT_LT(clock->state.system_time, expected + kHour / 60);
  }
}

TEST_F(NativeKvm, LeavesTheGuestSoonWhenKicked) {
  constexpr std::uint8_t kSpin[] = {0xeb, 0xfe};  // jmp to itself
  auto machine = make_machine(1);
  load(*machine, kSpin);
  KvmVcpu& vcpu = machine->vm->vcpu(0);
  int interruptions = 0;
  std::thread thread([&] {
    vcpu.attach_thread();
    for (; interruptions < 3; ++interruptions) {
      auto exit = vcpu.run();
      ASSERT_TRUE(exit) << exit.error().to_string();
      ASSERT_TRUE(std::holds_alternative<InterruptedExit>(*exit));
    }
    vcpu.detach_thread();
  });
  std::atomic<bool> done{false};
  std::thread kicker([&] {
    while (!done) {
      vcpu.kick();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  thread.join();
  done = true;
  kicker.join();
  EXPECT_EQ(interruptions, 3);
}

TEST_F(NativeKvm, AKickBeforeTheRunIsNotLost) {
  constexpr std::uint8_t kSpin[] = {0xeb, 0xfe};
  auto machine = make_machine(1);
  load(*machine, kSpin);
  machine->vm->vcpu(0).kick();
  auto exit = machine->vm->vcpu(0).run();
  ASSERT_TRUE(exit);
  EXPECT_TRUE(std::holds_alternative<InterruptedExit>(*exit));
}

TEST_F(NativeKvm, ReportsReadsAndWritesOutsideRamAsMmio) {
  constexpr std::uint8_t kTouch[] = {
      0xb8, 0x00, 0xf0,  // mov ax, 0xf000
      0x8e, 0xd8,        // mov ds, ax
      0xa0, 0x10, 0x00,  // mov al, [0x10]
      0xa2, 0x20, 0x00,  // mov [0x20], al
      0xf4,              // hlt
  };
  auto machine = make_machine(1);
  // The last 64 KiB of the first megabyte, taken out of RAM.
  auto low = machine->memory.find(Gpa(0), 0xf0000);
  ASSERT_TRUE(machine->vm->set_memory_slot(0, Gpa(0), {}, false));
  ASSERT_TRUE(machine->vm->set_memory_slot(0, Gpa(0), *low, false));
  load(*machine, kTouch);
  auto exit = machine->vm->vcpu(0).run();
  ASSERT_TRUE(exit);
  const auto* read = std::get_if<MmioExit>(&*exit);
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(read->address, Gpa(0xf0010));
  EXPECT_FALSE(read->is_write);
  ASSERT_EQ(read->data.size(), 1u);
  read->data[0] = std::byte{0x5a};
  exit = machine->vm->vcpu(0).run();
  ASSERT_TRUE(exit);
  const auto* write = std::get_if<MmioExit>(&*exit);
  ASSERT_NE(write, nullptr);
  EXPECT_EQ(write->address, Gpa(0xf0020));
  EXPECT_TRUE(write->is_write);
  EXPECT_EQ(write->data[0], std::byte{0x5a});
}

}  // namespace
}  // namespace vmsnap::vmm
