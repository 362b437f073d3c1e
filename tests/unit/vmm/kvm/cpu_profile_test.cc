// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/cpu_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "kvm/cpu_features.h"
#include "kvm/state_codec.h"
#include "kvm/tsc_frequency.h"

namespace vmsnap::vmm {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Leaf = schema::CpuidLeaf;

// What KVM on a recent Intel server reports, shortened.
std::vector<Leaf> intel_host() {
  return {{0x0, 0, 0, 0x24, 0x756e6547, 0x6c65746e, 0x49656e69},
          {0x1, 0, 0, 0x806f8, 0x07100800, 0xfffab223, 0x1f8bfbff},
          {0x2, 0, 0, 0xfeff01, 0xf0, 0, 0},
          {0x4, 0, 1, 0x7c004121, 0x02c0003f, 0x3f, 0},
          {0x4, 3, 1, 0x7c0fc163, 0x03c0003f, 0x1bfff, 4},
          {0x6, 0, 0, 0x77, 0, 0, 0},
          {0x7, 0, 1, 2, 0xf1bf27eb, 0x1b415f7e, 0xffdd4432},
          {0x7, 1, 1, 0x1c30, 0, 0, 0x4000},
          {0xa, 0, 0, 0x8300805, 0, 0xf, 0x8603},
          {0xb, 0, 1, 0, 0, 0, 7},
          {0xd, 0, 1, 0x602e7, 0x2b00, 0x2b00, 0},
          {0xd, 1, 1, 0x1f, 0x2b00, 0x1900, 0},
          {0xd, 2, 1, 0x100, 0x240, 0, 0},
          {0xd, 5, 1, 0x40, 0x440, 0, 0},
          {0xd, 6, 1, 0x200, 0x480, 0, 0},
          {0xd, 7, 1, 0x400, 0x680, 0, 0},
          {0xd, 9, 1, 8, 0xa80, 0, 0},
          {0xd, 17, 1, 0x40, 0xac0, 2, 0},
          {0xd, 18, 1, 0x2000, 0xb00, 6, 0},
          {0x15, 0, 0, 2, 0xa0, 0x17d7840, 0},
          {0x40000001, 0, 0, 0x01007efb, 0, 0, 0},
          {0x80000000, 0, 0, 0x80000008, 0, 0, 0},
          {0x80000001, 0, 0, 0, 0, 0x121, 0x2c100800},
          {0x80000002, 0, 0, 0x65746e49, 0, 0, 0},
          {0x80000003, 0, 0, 0, 0, 0, 0},
          {0x80000004, 0, 0, 0, 0, 0, 0},
          {0x80000007, 0, 0, 0, 0, 0, 0x100},
          {0x80000008, 0, 0, 0x39, 0x0100d200, 0, 0}};
}

std::vector<Leaf> amd_host() {
  std::vector<Leaf> leaves = intel_host();
  leaves[0] = Leaf(0, 0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65);
  for (Leaf& leaf : leaves) {
    if (leaf.leaf() == 0x80000001) leaf = Leaf(0x80000001, 0, 0, 0, 0, 0x75c237ff & ~(1u << 2), 0x2fd3fbff);
    if (leaf.leaf() == 0x80000000) leaf = Leaf(0x80000000, 0, 0, 0x80000023, 0, 0, 0);
  }
  leaves.emplace_back(0x8000001du, 3u, 1u, 0x14163u, 0u, 0u, 0u);
  leaves.emplace_back(0x8000001eu, 0u, 0u, 5u, 0x101u, 0u, 0u);
  leaves.emplace_back(0x8000001fu, 0u, 0u, 0xfu, 0u, 0u, 0u);
  return leaves;
}

bool has_bit(std::span<const Leaf> leaves, std::uint32_t leaf, std::uint32_t subleaf, CpuidRegister reg,
             unsigned bit) {
  const Leaf* found = find_leaf(leaves, leaf, subleaf);
  return found != nullptr && ((register_of(*found, reg) >> bit) & 1) != 0;
}

TEST(HostProfile, PassesItsOwnChecksAndRunsOnTheHostItCameFrom) {
  for (const auto& host : {intel_host(), amd_host()}) {
    const schema::CpuProfileT profile = make_profile(host, 2'000'000, ProfileKind::kHost);
    auto again = unpack_cpu_profile(*pack_cpu_profile(profile));
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(*again, profile);
    EXPECT_THAT(missing_features(profile, host), IsEmpty());
  }
}

TEST(HostProfile, HidesWhatASnapshotDoesNotCarry) {
  const schema::CpuProfileT profile = make_profile(intel_host(), 0, ProfileKind::kHost);
  EXPECT_FALSE(has_bit(profile.leaves, 1, 0, CpuidRegister::kEcx, 5)) << "VMX";
  EXPECT_FALSE(has_bit(profile.leaves, 1, 0, CpuidRegister::kEcx, 15)) << "PDCM";
  EXPECT_FALSE(has_bit(profile.leaves, 7, 0, CpuidRegister::kEbx, 2)) << "SGX";
  EXPECT_FALSE(has_bit(profile.leaves, 7, 0, CpuidRegister::kEbx, 25)) << "processor trace";
  EXPECT_FALSE(has_bit(profile.leaves, 7, 0, CpuidRegister::kEcx, 7)) << "shadow stacks";
  EXPECT_FALSE(has_bit(profile.leaves, 7, 0, CpuidRegister::kEdx, 20)) << "IBT";
  EXPECT_FALSE(has_bit(profile.leaves, 7, 0, CpuidRegister::kEdx, 24)) << "AMX";
  EXPECT_EQ(find_leaf(profile.leaves, 0xa), nullptr) << "performance monitoring";
  EXPECT_EQ(allowed_xcr0(profile), 0x2e7u);
  EXPECT_EQ(find_leaf(profile.leaves, 0xd, 17), nullptr);
  EXPECT_EQ(find_leaf(profile.leaves, 0xd, 1)->ecx(), 0u) << "supervisor state";
  EXPECT_EQ(find_leaf(profile.leaves, 0x40000001)->eax(), 0x0100104bu)
      << "steal time and asynchronous page faults";
  EXPECT_FALSE(
      has_bit(make_profile(amd_host(), 0, ProfileKind::kHost).leaves, 0x80000001, 0, CpuidRegister::kEcx, 2));
}

TEST(HostProfile, ShowsTheGuestThatItRunsOnKvm) {
  const schema::CpuProfileT profile = make_profile(intel_host(), 0, ProfileKind::kHost);
  EXPECT_TRUE(has_bit(profile.leaves, 1, 0, CpuidRegister::kEcx, 31));
  const Leaf* signature = find_leaf(profile.leaves, 0x40000000);
  ASSERT_NE(signature, nullptr);
  EXPECT_EQ(signature->ebx(), 0x4b4d564bu);
  EXPECT_EQ(signature->eax(), 0x40000001u);
}

TEST(BaselineProfile, HasNoXsaveAndNothingThatNeedsIt) {
  const schema::CpuProfileT profile = make_profile(intel_host(), 0, ProfileKind::kBaseline);
  for (const unsigned bit : {12u, 26u, 27u, 28u, 29u})
    EXPECT_FALSE(has_bit(profile.leaves, 1, 0, CpuidRegister::kEcx, bit)) << bit;
  EXPECT_FALSE(has_bit(profile.leaves, 7, 0, CpuidRegister::kEbx, 5)) << "AVX2";
  EXPECT_EQ(find_leaf(profile.leaves, 0xd), nullptr);
  EXPECT_EQ(allowed_xcr0(profile), 0u);
  for (const unsigned bit : {0u, 9u, 13u, 19u, 20u, 23u})
    EXPECT_TRUE(has_bit(profile.leaves, 1, 0, CpuidRegister::kEcx, bit)) << bit;
  EXPECT_THAT(missing_features(profile, intel_host()), IsEmpty());
}

TEST(BaselineProfile, HasTheSameFeaturesOnEveryHostThatHasMore) {
  std::vector<Leaf> newer = intel_host();
  for (Leaf& leaf : newer) {
    if (leaf.leaf() == 7) leaf = Leaf(7, leaf.subleaf(), 1, leaf.eax(), 0xffffffff, 0xffffffff, 0xffffffff);
  }
  EXPECT_EQ(make_profile(newer, 1, ProfileKind::kBaseline),
            make_profile(intel_host(), 1, ProfileKind::kBaseline));
}

TEST(MissingFeatures, AreNamedAsLinuxNamesThem) {
  const schema::CpuProfileT profile = make_profile(intel_host(), 0, ProfileKind::kHost);
  std::vector<Leaf> older = intel_host();
  for (Leaf& leaf : older) {
    if (leaf.leaf() == 7 && leaf.subleaf() == 0)
      set_register(leaf, CpuidRegister::kEbx, leaf.ebx() & ~(1u << 5 | 1u << 16));
  }
  EXPECT_THAT(missing_features(profile, older), ElementsAre("avx2", "avx512f"));
}

TEST(MissingFeatures, NameALeafTheHostDoesNotHaveAndAnUnknownBitByItsPlace) {
  schema::CpuProfileT profile = make_profile(intel_host(), 0, ProfileKind::kHost);
  std::vector<Leaf> older = intel_host();
  std::erase_if(older, [](const Leaf& leaf) { return leaf.leaf() == 7 && leaf.subleaf() == 1; });
  const auto missing = missing_features(profile, older);
  EXPECT_THAT(missing, Contains("avx_vnni"));
  EXPECT_THAT(missing, Contains("CPUID 7.1 EDX bit 14"));
}

TEST(MissingFeatures, NameTheVendor) {
  const schema::CpuProfileT profile = make_profile(intel_host(), 0, ProfileKind::kBaseline);
  EXPECT_THAT(missing_features(profile, amd_host()), Contains("vendor GenuineIntel"));
}

TEST(MissingFeatures, NameNestedVirtualisationEvenWhereTheHostHasIt) {
  schema::CpuProfileT profile = make_profile(intel_host(), 0, ProfileKind::kHost);
  for (Leaf& leaf : profile.leaves) {
    if (leaf.leaf() == 1) set_register(leaf, CpuidRegister::kEcx, leaf.ecx() | 1u << 5);
  }
  EXPECT_THAT(missing_features(profile, intel_host()), ElementsAre("vmx"));
}

TEST(MissingFeatures, NameAnXsaveComponentThatLiesElsewhere) {
  const schema::CpuProfileT profile = make_profile(intel_host(), 0, ProfileKind::kHost);
  std::vector<Leaf> other = intel_host();
  for (Leaf& leaf : other) {
    if (leaf.leaf() == 0xd && leaf.subleaf() == 9) set_register(leaf, CpuidRegister::kEbx, 0x980);
  }
  EXPECT_THAT(missing_features(profile, other), ElementsAre("XSAVE component 9 at offset 2688"));
}

TEST(MissingFeatures, NameAddressBits) {
  const schema::CpuProfileT profile = make_profile(intel_host(), 0, ProfileKind::kBaseline);
  std::vector<Leaf> smaller = intel_host();
  for (Leaf& leaf : smaller) {
    if (leaf.leaf() == 0x80000008) set_register(leaf, CpuidRegister::kEax, 0x27);
  }
  EXPECT_THAT(missing_features(profile, smaller), ElementsAre("57 physical address bits"));
}

TEST(MissingFeatures, DoNotCountRunTimeBitsAndTopology) {
  schema::CpuProfileT profile = make_profile(intel_host(), 0, ProfileKind::kHost);
  for (Leaf& leaf : profile.leaves) {
    if (leaf.leaf() == 1) {
      leaf = Leaf(1, 0, 0, leaf.eax(), 0x55550800, leaf.ecx() | 1u << 27 | 1u << 31, leaf.edx() | 1u << 28);
    }
    if (leaf.leaf() == 7 && leaf.subleaf() == 0)
      set_register(leaf, CpuidRegister::kEcx, leaf.ecx() | 1u << 4);
  }
  EXPECT_THAT(missing_features(profile, intel_host()), IsEmpty());
}

TEST(VcpuLeaves, CarryApicIdsAndOnePackageOfCores) {
  const schema::CpuProfileT profile = make_profile(intel_host(), 0, ProfileKind::kHost);
  const auto leaves = leaves_for_vcpu(profile, 5, 6);
  EXPECT_EQ(find_leaf(leaves, 1)->ebx(), 0x05060800u);
  EXPECT_TRUE(has_bit(leaves, 1, 0, CpuidRegister::kEdx, 28));
  const Leaf* smt = find_leaf(leaves, 0xb, 0);
  const Leaf* core = find_leaf(leaves, 0xb, 1);
  ASSERT_NE(smt, nullptr);
  ASSERT_NE(core, nullptr);
  EXPECT_EQ(*smt, Leaf(0xb, 0, 1, 0, 1, 0x100, 5));
  EXPECT_EQ(*core, Leaf(0xb, 1, 1, 3, 6, 0x201, 5));
  EXPECT_EQ(find_leaf(leaves, 4, 0)->eax(), 0x1c000121u) << "first level caches are each core's own";
  EXPECT_EQ(find_leaf(leaves, 4, 3)->eax(), 0x1c01c163u) << "the third level is shared by all";
}

TEST(VcpuLeaves, OfASingleCpuShowNoHyperthreading) {
  const auto leaves = leaves_for_vcpu(make_profile(intel_host(), 0, ProfileKind::kHost), 0, 1);
  EXPECT_FALSE(has_bit(leaves, 1, 0, CpuidRegister::kEdx, 28));
  EXPECT_EQ(find_leaf(leaves, 1)->ebx(), 0x00010800u);
}

TEST(VcpuLeaves, OfAmdCarryTheCoreCountAndTheExtendedApicId) {
  const auto leaves = leaves_for_vcpu(make_profile(amd_host(), 0, ProfileKind::kHost), 3, 4);
  EXPECT_EQ(find_leaf(leaves, 0x80000008)->ecx(), 0x2003u);
  EXPECT_TRUE(has_bit(leaves, 0x80000001, 0, CpuidRegister::kEcx, 1));
  EXPECT_EQ(find_leaf(leaves, 0x8000001e)->eax(), 3u);
  EXPECT_EQ(find_leaf(leaves, 0x8000001f), nullptr) << "memory encryption";
}

TEST(ProfileName, IsParsedOrRefused) {
  EXPECT_EQ(*parse_profile_kind("host"), ProfileKind::kHost);
  EXPECT_EQ(*parse_profile_kind("baseline"), ProfileKind::kBaseline);
  auto unknown = parse_profile_kind("fast");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind(), ErrorKind::kUsage);
}

TEST(TscFrequency, FitsWithin250PpmElseByScalingElseNot) {
  EXPECT_EQ(fit_tsc_frequency(2'000'000, 2'000'500, false), TscFit::kAsIs);
  EXPECT_EQ(fit_tsc_frequency(2'000'000, 2'000'501, false), TscFit::kImpossible);
  EXPECT_EQ(fit_tsc_frequency(2'000'000, 2'600'000, true), TscFit::kScaled);
  EXPECT_EQ(fit_tsc_frequency(0, 2'600'000, false), TscFit::kAsIs);
  EXPECT_EQ(fit_tsc_frequency(2'000'000, 0, false), TscFit::kAsIs);
  EXPECT_EQ(tsc_frequency_error(2'000'000, 2'600'000).kind(), ErrorKind::kUnsupported);
}

}  // namespace
}  // namespace vmsnap::vmm
