// SPDX-License-Identifier: BSD-2-Clause
// Feature bits of the file header, and the names this build knows for them (docs/registry.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace vmsnap {

enum class FeatureKind : std::uint8_t {
  kIncompatible = 0,  // who does not support the bit must not read the file
  kCompatible = 1,    // who does not know the bit may ignore it
};

/// Bits of the mask of incompatible features.
inline constexpr std::uint8_t kFeatureRamExtents = 0;
inline constexpr std::uint8_t kFeatureLz4 = 1;
inline constexpr std::uint8_t kFeatureDiff = 2;
inline constexpr std::uint8_t kFeatureRecovered = 3;

/// A feature in use in a file, by the name that the file itself gives it.
struct Feature {
  FeatureKind kind = FeatureKind::kIncompatible;
  std::uint8_t bit = 0;  // 0..63
  std::string name;      // [a-z0-9-]+, 1..59 characters
  auto operator<=>(const Feature&) const = default;
};

/// A bit that has been given a meaning in format version 1.
struct RegisteredFeature {
  FeatureKind kind;
  std::uint8_t bit;
  std::string_view name;
  bool supported;  // by this build
};

/// Every registered bit. The views are valid for the whole run.
[[nodiscard]] std::span<const RegisteredFeature> registered_features();

/// The registered meaning of a bit, or nullptr.
[[nodiscard]] const RegisteredFeature* find_registered_feature(FeatureKind kind, std::uint8_t bit);

/// True for [a-z0-9-]+ of 1..59 characters.
[[nodiscard]] bool is_feature_name(std::string_view name);

}  // namespace vmsnap
