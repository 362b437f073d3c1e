// SPDX-License-Identifier: BSD-2-Clause
// Guests on memory that is still being restored, in the host's own KVM where /dev/kvm opens.
#include "ram/lazy_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "../../base/temp_dir.h"
#include "core/guest_memory.h"
#include "kvm/cpu_profile.h"
#include "kvm/vm.h"
#include "real_mode.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap::vmm {
namespace {

constexpr std::uint64_t kRamSize = 1 << 20;  // four extents, and all that real mode can reach
constexpr std::uint64_t kCode = 0x1000;
constexpr std::byte kMark{0x5c};

// Reads the byte at 0xf0000 and tells it to port 0x80.
constexpr std::uint8_t kReader[] = {
    0xfb,              // sti: KVM lets a worker of the kernel wait for memory only then
    0xb8, 0x00, 0xf0,  // mov ax, 0xf000
    0x8e, 0xd8,        // mov ds, ax
    0xa0, 0x00, 0x00,  // mov al, [0]
    0xe6, 0x80,        // out 0x80, al
    0xf4,              // hlt
};

struct TestMachine {
  Kvm kvm;
  GuestMemory memory;
  std::unique_ptr<KvmVm> vm;
};

/// A machine on the memory of the snapshot, about to run kReader.
Result<std::unique_ptr<TestMachine>> restore_machine(const std::string& path,
                                                     std::function<void(const Error&)> on_error) {
  VMSNAP_ASSIGN_OR_RETURN(SnapshotReader opened, SnapshotReader::open(path));
  const auto reader = std::make_shared<SnapshotReader>(std::move(opened));
  VMSNAP_ASSIGN_OR_RETURN(SegmentReader segment, reader->take_segment(0));
  VMSNAP_ASSIGN_OR_RETURN(GuestMemory memory,
                          GuestMemory::allocate(reader->memory_map(), MemoryOrigin::kLazy));
  std::vector<LazySegment> segments;
  segments.push_back({std::move(segment), memory.segment(0)});
  LazyOptions options;
  options.fill_threads = 0;
  options.on_error = std::move(on_error);
  VMSNAP_ASSIGN_OR_RETURN(auto lazy, LazyMemory::start(std::move(segments), reader, std::move(options)));
  memory.attach(std::move(lazy));

  VMSNAP_ASSIGN_OR_RETURN(Kvm kvm, Kvm::open());
  VMSNAP_ASSIGN_OR_RETURN(const auto profile, make_profile(kvm, ProfileKind::kBaseline));
  std::unique_ptr<TestMachine> machine(new TestMachine{std::move(kvm), std::move(memory), nullptr});
  VMSNAP_ASSIGN_OR_RETURN(machine->vm, KvmVm::create(machine->kvm, {Gpa(0xfffbd000), Gpa(0xfffbc000)}));
  VMSNAP_RETURN_IF_ERROR(machine->vm->map_memory(machine->memory));
  VMSNAP_RETURN_IF_ERROR(machine->vm->create_vcpus(1, profile));
  VMSNAP_RETURN_IF_ERROR(test::start_real_mode(machine->vm->vcpu(0), kCode));
  return machine;
}

class LazyGuest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto kvm = Kvm::open(); !kvm) GTEST_SKIP() << "needs /dev/kvm: " << kvm.error().to_string();
    if (auto faults = UserFault::open(); !faults) GTEST_SKIP() << faults.error().to_string();
    ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
    KvmVcpu::install_kick_handler();

    ByteVector memory(kRamSize);
    std::ranges::copy(as_byte_view(kReader, sizeof kReader), &memory[kCode]);
    memory[0xf0000] = memory.back() = kMark;
    SnapshotContents contents;
    contents.manifest.producer_name = "lazy-guest-test";
    contents.memory_map = GuestMemory::layout(kRamSize);
    contents.segments = {{memory, false}};
    ASSERT_TRUE(write_snapshot(path(), contents, {}));
  }

  void damage() {
    const auto reader = SnapshotReader::open(path());
    ASSERT_TRUE(reader);
    const std::byte wrong{0x5d};
    const auto file = File::open_for_writing(path());
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write_at(reader->segment_chunks(0).front()->body_end() - 1, {&wrong, 1}));
  }

  [[nodiscard]] std::string path() const { return dir_.file("s"); }

  TempDir dir_;
};

TEST_F(LazyGuest, RunsOnMemoryThatComesAsItIsTouched) {
  auto machine = restore_machine(path(), {});
  ASSERT_TRUE(machine) << machine.error().to_string();
  KvmVcpu& vcpu = (*machine)->vm->vcpu(0);
  while (true) {
    const auto exit = vcpu.run();
    ASSERT_TRUE(exit) << exit.error().to_string();
    if (std::holds_alternative<InterruptedExit>(*exit)) continue;
    const auto* io = std::get_if<IoExit>(&*exit);
    ASSERT_NE(io, nullptr);
    EXPECT_EQ(io->port, 0x80);
    EXPECT_EQ(io->data[0], kMark);
    break;
  }
  EXPECT_FALSE((*machine)->memory.is_filled());
  EXPECT_FALSE((*machine)->memory.source(0).private_anonymous);
  ASSERT_TRUE((*machine)->memory.wait_filled(1));
  EXPECT_TRUE((*machine)->memory.source(0).private_anonymous);
}

/// Lets a virtual CPU touch damaged memory, and ends the process by `end` once it waits inside KVM.
[[noreturn]] void run_into_damage(const std::string& path, void (*end)()) {
  ::alarm(30);
  auto machine = restore_machine(path, [end](const Error& error) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    std::fprintf(stderr, "%s\n", error.to_string().c_str());
    end();
  });
  if (!machine) ::_exit(1);
  std::thread([&] {
    while (true) {
      const auto exit = (*machine)->vm->vcpu(0).run();
      if (!exit || !std::holds_alternative<InterruptedExit>(*exit)) ::_exit(3);  // the guest went on
    }
  }).join();
  ::_exit(5);
}

TEST_F(LazyGuest, AVirtualCpuThatWaitsForDamagedMemoryEndsWithTheProcess) {
  damage();
  constexpr const char* kWhere = "262144 bytes of guest memory from 0xc0000 of segment 0";
  EXPECT_EXIT(run_into_damage(path(), [] { ::_exit(4); }), ::testing::ExitedWithCode(4), kWhere);
  EXPECT_EXIT(run_into_damage(path(), [] { ::kill(::getpid(), SIGKILL); }),
              ::testing::KilledBySignal(SIGKILL), kWhere);
}

}  // namespace
}  // namespace vmsnap::vmm
