// SPDX-License-Identifier: BSD-2-Clause
// Conversions of one device type by all that this build knows, on states written as trees.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "migrate/convert.h"

namespace vmsnap::compat {

class StepFixture : public testing::Test {
 protected:
  explicit StepFixture(std::string_view type) : type_(type) {}

  /// The frozen schema of a version.
  const reflect::SchemaModel& model(ChunkVersion version) {
    auto found = models_.find(version);
    if (found == models_.end()) {
      auto loaded = reflect::SchemaModel::load(migrator_.find(type_, version)->schema);
      found = models_.emplace(version, std::move(*loaded)).first;
    }
    return found->second;
  }

  /// A state in which required fields are there and empty.
  StateTree blank(ChunkVersion version) {
    StateTree tree(model(version));
    for (const reflect::Field& field : model(version).root().fields) {
      if (!field.required) continue;
      EXPECT_TRUE(tree.make(field.name));
    }
    return tree;
  }

  StateTree decode(ChunkVersion version, ByteView state) {
    auto tree = StateTree::decode(model(version), state);
    EXPECT_TRUE(tree) << tree.error().to_string();
    return std::move(*tree);
  }

  Result<Conversion> try_convert(const StateTree& state, ChunkVersion from, ChunkVersion to,
                                 const AllowedLosses& allowed = {}) {
    VMSNAP_ASSIGN_OR_RETURN(const ByteVector bytes, state.encode());
    DeviceEntry entry;
    entry.path = "device";
    entry.type = type_;
    entry.version = from;
    entry.readable_since = {from.major, 0};
    return migrator_.convert(entry, bytes, {type_, to, {}}, allowed);
  }

  Conversion convert(const StateTree& state, ChunkVersion from, ChunkVersion to,
                     const AllowedLosses& allowed = {}) {
    auto conversion = try_convert(state, from, to, allowed);
    EXPECT_TRUE(conversion) << conversion.error().to_string();
    return std::move(*conversion);
  }

  /// The converted state; nothing of it is lost.
  StateTree convert_all(const StateTree& state, ChunkVersion from, ChunkVersion to) {
    const Conversion conversion = convert(state, from, to);
    for (const Outcome& outcome : conversion.report.outcomes) {
      EXPECT_NE(outcome.kind, OutcomeKind::kLost) << outcome.field;
    }
    EXPECT_TRUE(conversion.converted.has_value());
    return decode(to, conversion.converted->state);
  }

  /// What was said of a field, other than that it was carried; nullptr for nothing.
  static const Outcome* find(const Conversion& conversion, std::string_view field) {
    for (const Outcome& outcome : conversion.report.outcomes) {
      if (outcome.field == field && outcome.kind != OutcomeKind::kCarried) return &outcome;
    }
    return nullptr;
  }

 private:
  std::string type_;
  Migrator migrator_ = std::move(*Migrator::create());
  std::map<ChunkVersion, reflect::SchemaModel> models_;
};

}  // namespace vmsnap::compat
