// SPDX-License-Identifier: BSD-2-Clause
#include "format/features.h"

#include <algorithm>
#include <array>

namespace vmsnap {
namespace {

constexpr std::array<RegisteredFeature, 4> kRegistered = {{
    {FeatureKind::kIncompatible, kFeatureRamExtents, "ram-extents", true},
    {FeatureKind::kIncompatible, kFeatureLz4, "lz4", true},
    {FeatureKind::kIncompatible, kFeatureDiff, "diff", false},
    {FeatureKind::kIncompatible, kFeatureRecovered, "recovered", true},
}};

}  // namespace

std::span<const RegisteredFeature> registered_features() {
  return kRegistered;
}

const RegisteredFeature* find_registered_feature(FeatureKind kind, std::uint8_t bit) {
  const auto found = std::find_if(
      kRegistered.begin(), kRegistered.end(),
      [&](const RegisteredFeature& feature) { return feature.kind == kind && feature.bit == bit; });
  return found == kRegistered.end() ? nullptr : &*found;
}

bool is_feature_name(std::string_view name) {
  return !name.empty() && name.size() <= 59 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

}  // namespace vmsnap
