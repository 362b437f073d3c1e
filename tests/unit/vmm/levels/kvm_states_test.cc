// SPDX-License-Identifier: BSD-2-Clause
// States that KVM holds, saved for older releases and restored from what those wrote.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "../kvm/sample_states.h"
#include "kvm/msr_fields.h"
#include "kvm/state_codec.h"
#include "levels/level_converter.h"

namespace vmsnap::vmm {
namespace {

constexpr std::int64_t kNow = 1'000'000'000'000;

class KvmStatesTest : public ::testing::Test {
 protected:
  static DeviceEntry entry(const char* path, const char* type, ChunkVersion version) {
    DeviceEntry entry;
    entry.path = path;
    entry.type = type;
    entry.version = version;
    entry.readable_since = version;
    return entry;
  }
  /// The state after a way down to level 1 and up again.
  ByteVector there_and_back(const DeviceEntry& device, const ByteVector& state) {
    Manifest manifest;
    manifest.devices = {device};
    std::vector<ByteVector> states = {state};
    const auto types = converter_->bring_to_level(1, manifest, states);
    EXPECT_TRUE(types) << types.error().to_string();
    DeviceEntry& old = manifest.devices.front();
    EXPECT_EQ(old.version, (ChunkVersion{1, 0}));
    const auto upgraded = converter_->upgrade(old, states.front());
    EXPECT_TRUE(upgraded) << upgraded.error().to_string();
    EXPECT_EQ(old.version, device.version);
    return states.front();
  }
  /// A sample of level 1, brought to the present.
  ByteVector upgraded_sample(const char* type, const std::string& name) {
    std::ifstream stream(std::string(std::getenv("VMSNAP_LEVEL1_SAMPLES")) + "/" + name + ".bin",
                         std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(stream), {});
    EXPECT_FALSE(bytes.empty()) << name;
    const ByteView view = as_byte_view(bytes);
    ByteVector state(view.begin(), view.end());
    DeviceEntry old = entry("device", type, {1, 0});
    const auto upgraded = converter_->upgrade(old, state);
    EXPECT_TRUE(upgraded) << upgraded.error().to_string();
    return state;
  }

  const std::unique_ptr<StateConverter> converter_ = make_state_converter();
};

TEST_F(KvmStatesTest, KeepEveryRegisterOfACpuOnTheWayToLevelOneAndBack) {
  auto state = to_state(test::sample_parts(), 1, test::sample_facts());
  ASSERT_TRUE(state);
  std::vector<schema::Msr> more;
  for (const MsrField& field : msr_fields()) more.emplace_back(field.index, 0u, 0u);
  for (const std::uint32_t index : {0x20eu, 0x20fu, 0x281u, 0x404u, 0x405u, 0x406u, 0x407u}) {
    more.emplace_back(index, 0u, index % 2 == 0 ? 6u : 0x800u);
  }
  put_msrs(state->cpu, more);
  const ByteVector before = pack_x86_cpu(state->cpu).value();
  const auto after = unpack_x86_cpu(there_and_back(entry("cpu1", "x86_cpu", {2, 0}), before));
  ASSERT_TRUE(after) << after.error().to_string();
  EXPECT_EQ(*after, *unpack_x86_cpu(before));
}

TEST_F(KvmStatesTest, KeepTheTimerOnTheWayToLevelOneAndBack) {
  const schema::I8254T state = i8254_from_kvm(test::sample_pit(kNow), kNow);
  ASSERT_TRUE(state.counters[2]->output.has_value());
  const auto after =
      unpack_i8254(there_and_back(entry("isa0/i8254@40", "i8254", {2, 0}), pack_i8254(state).value()));
  ASSERT_TRUE(after) << after.error().to_string();
  EXPECT_EQ(*after, state);
}

TEST_F(KvmStatesTest, AreAcceptedWhenLevelOneWroteThem) {
  const auto waiting = unpack_x86_cpu(upgraded_sample("x86_cpu", "before_sipi"));
  ASSERT_TRUE(waiting) << waiting.error().to_string();
  ASSERT_NE(waiting->kvm, nullptr);
  EXPECT_EQ(waiting->kvm->poll_control, 1u);
  const auto running = unpack_x86_cpu(upgraded_sample("x86_cpu", "linux_interrupted"));
  ASSERT_TRUE(running) << running.error().to_string();
  ASSERT_NE(running->syscall, nullptr);
  EXPECT_EQ(running->syscall->lstar, 0xffffffff81e00080u);
  EXPECT_TRUE(running->other_msrs.empty());
  const auto reset = unpack_i8254(upgraded_sample("i8254", "after_reset"));
  ASSERT_TRUE(reset) << reset.error().to_string();
  EXPECT_EQ(reset->counters[1]->elapsed_pulses, 20'264u);
  const auto read = unpack_i8254(upgraded_sample("i8254", "half_read"));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->counters[2]->output, true);
}

}  // namespace
}  // namespace vmsnap::vmm
