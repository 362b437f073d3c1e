// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/state_buffer.h"
#include "kvm/cpu_profile.h"
#include "kvm/state_check.h"

namespace vmsnap::vmm {
namespace {

constexpr std::size_t kMaxLeaves = 256;  // what KVM takes
constexpr std::size_t kMaxName = 64;
constexpr std::size_t kVendorSize = 12;
constexpr std::uint64_t kMaxTscKhz = 1'000'000'000;

bool is_printable(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace

Result<void> check_state(const schema::CpuProfileT& profile) {
  if (profile.name.empty() || profile.name.size() > kMaxName || !is_printable(profile.name)) {
    return corrupt_field("name",
                         fmt::format("the profile's name is not 1 to {} printable characters", kMaxName));
  }
  if (profile.vendor.size() != kVendorSize || !is_printable(profile.vendor)) {
    return corrupt_field("vendor", fmt::format("the vendor is not {} printable characters", kVendorSize));
  }
  if (profile.tsc_frequency > kMaxTscKhz) {
    return corrupt_field("tsc_frequency",
                         fmt::format("the TSC runs at {} kHz, beyond any processor", profile.tsc_frequency));
  }
  if (profile.leaves.size() > kMaxLeaves) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format("there are {} CPUID leaves, more than the {} that KVM takes",
                             profile.leaves.size(), kMaxLeaves))
        .in_field("leaves");
  }
  for (std::size_t i = 0; i < profile.leaves.size(); ++i) {
    const schema::CpuidLeaf& leaf = profile.leaves[i];
    if (leaf.indexed() > 1 || (leaf.indexed() == 0 && leaf.subleaf() != 0)) {
      return corrupt_field("leaves", fmt::format("CPUID leaf {:#x}.{:#x}: indexed is {}", leaf.leaf(),
                                                 leaf.subleaf(), leaf.indexed()));
    }
    if (i == 0) continue;
    const schema::CpuidLeaf& previous = profile.leaves[i - 1];
    const bool same = leaf.leaf() == previous.leaf();
    const bool rising =
        same ? leaf.subleaf() > previous.subleaf() && previous.indexed() == 1 && leaf.indexed() == 1
             : leaf.leaf() > previous.leaf();
    if (!rising) {
      return corrupt_field(
          "leaves", fmt::format("CPUID leaf {:#x}.{:#x} stands after {:#x}.{:#x}: each must stand once, in "
                                "rising order",
                                leaf.leaf(), leaf.subleaf(), previous.leaf(), previous.subleaf()));
    }
  }
  const schema::CpuidLeaf* zero = find_leaf(profile.leaves, 0);
  if (zero == nullptr || find_leaf(profile.leaves, 1) == nullptr) {
    return corrupt_field("leaves", "CPUID leaf 0 or 1 is missing");
  }
  const std::uint32_t words[] = {zero->ebx(), zero->edx(), zero->ecx()};
  static_assert(sizeof words == kVendorSize);
  if (std::memcmp(words, profile.vendor.data(), kVendorSize) != 0) {
    return corrupt_field("vendor", "the vendor is another than that of CPUID leaf 0");
  }
  return {};
}

}  // namespace vmsnap::vmm
