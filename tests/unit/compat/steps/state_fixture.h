// SPDX-License-Identifier: BSD-2-Clause
// For tests of the steps of one device type: states of any frozen version, made and looked at by field name.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "migrate/convert.h"

namespace vmsnap::compat {

class StateFixture : public testing::Test {
 protected:
  static constexpr const char* kPath = "isa0/device@1";

  explicit StateFixture(std::string type) : type_(std::move(type)) {}

  /// The state in which every field has its default.
  [[nodiscard]] StateTree empty(ChunkVersion version) {
    const auto [model, made] = models_.try_emplace(version);
    if (made) {
      model->second = std::make_unique<reflect::SchemaModel>(
          reflect::SchemaModel::load(migrator_.find(type_, version)->schema).value());
    }
    return StateTree(*model->second);
  }

  template <typename T>
  static void set(StateTree& tree, std::string_view path, const T& value) {
    const auto result = tree.set(path, value);
    ASSERT_TRUE(result) << result.error().to_string();
  }
  template <typename T>
  [[nodiscard]] static T get(const StateTree& tree, std::string_view path) {
    const auto value = tree.get<T>(path);
    EXPECT_TRUE(value) << value.error().to_string();
    return value ? *value : T();
  }
  [[nodiscard]] static std::uint8_t byte(const StateTree& tree, std::string_view path) {
    return get<std::uint8_t>(tree, path);
  }

  /// `features` are those of the state; the target knows those of `known`.
  [[nodiscard]] Result<Conversion> convert(const StateTree& tree, ChunkVersion from, ChunkVersion to,
                                           std::vector<std::string> features = {},
                                           const AllowedLosses& allowed = {},
                                           std::vector<std::string> known = {}) const {
    DeviceEntry entry;
    entry.path = kPath;
    entry.type = type_;
    entry.version = from;
    entry.readable_since = {from.major, 0};
    entry.features = std::move(features);
    return migrator_.convert(entry, tree.encode().value(), {type_, to, std::move(known)}, allowed);
  }
  /// What has come out of a conversion that went through.
  [[nodiscard]] StateTree state_of(const Conversion& conversion) {
    const StateTree none = empty(conversion.report.path.back());
    EXPECT_TRUE(conversion.converted);
    if (!conversion.converted) return none;
    return StateTree::decode(none.model(), conversion.converted->state).value();
  }

  /// "kind field" of every outcome, without those of fields that were carried.
  [[nodiscard]] static std::vector<std::string> changes(const DeviceReport& report) {
    std::vector<std::string> words;
    for (const Outcome& outcome : report.outcomes) {
      if (outcome.kind == OutcomeKind::kCarried) continue;
      words.push_back(std::string(to_string(outcome.kind)) + " " + outcome.field);
    }
    std::sort(words.begin(), words.end());
    return words;
  }
  [[nodiscard]] static std::vector<std::string> carried(const DeviceReport& report) {
    std::vector<std::string> fields;
    for (const Outcome& outcome : report.outcomes) {
      if (outcome.kind == OutcomeKind::kCarried) fields.push_back(outcome.field);
    }
    return fields;
  }

  const std::string type_;
  const Migrator migrator_ = Migrator::create().value();
  std::map<ChunkVersion, std::unique_ptr<reflect::SchemaModel>> models_;
};

}  // namespace vmsnap::compat
