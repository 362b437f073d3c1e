// SPDX-License-Identifier: BSD-2-Clause
// The samples beside the schemas, turned into FlatBuffers by the build.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "kvm/state_codec.h"

namespace vmsnap::vmm {
namespace {

ByteVector read_all(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const ByteView bytes = as_byte_view(text);
  return {bytes.begin(), bytes.end()};
}

// Unpacks, packs, unpacks and packs again: a state that is accepted is written as it was read.
template <typename Unpack, typename Pack>
void expect_round_trip(const ByteVector& sample, Unpack unpack, Pack pack) {
  auto state = unpack(sample);
  ASSERT_TRUE(state) << state.error().to_string();
  auto bytes = pack(*state);
  ASSERT_TRUE(bytes);
  auto again = unpack(*bytes);
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(*pack(*again), *bytes);
}

void expect_round_trip(const std::string& type, const ByteVector& sample) {
  if (type == "x86_cpu") return expect_round_trip(sample, unpack_x86_cpu, pack_x86_cpu);
  if (type == "cpu_profile") return expect_round_trip(sample, unpack_cpu_profile, pack_cpu_profile);
  if (type == "lapic") return expect_round_trip(sample, unpack_lapic, pack_lapic);
  if (type == "ioapic") return expect_round_trip(sample, unpack_ioapic, pack_ioapic);
  if (type == "i8259") return expect_round_trip(sample, unpack_i8259, pack_i8259);
  if (type == "i8254") return expect_round_trip(sample, unpack_i8254, pack_i8254);
  if (type == "kvm_clock") return expect_round_trip(sample, unpack_kvm_clock, pack_kvm_clock);
  FAIL() << "there is no type " << type;
}

TEST(Samples, AreAcceptedAndWrittenAsTheyWereRead) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(VMSNAP_SAMPLES)) {
    if (entry.path().extension() != ".sample") continue;
    SCOPED_TRACE(entry.path().filename().string());
    const std::string name = entry.path().filename().string();
    expect_round_trip(name.substr(0, name.find('-')), read_all(entry.path()));
    ++count;
  }
  EXPECT_EQ(count, VMSNAP_SAMPLE_COUNT);
}

}  // namespace
}  // namespace vmsnap::vmm
