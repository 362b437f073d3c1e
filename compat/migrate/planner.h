// SPDX-License-Identifier: BSD-2-Clause
// Which versions a state passes on its way from one to another.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/chunk_type.h"
#include "migrate/step.h"

namespace vmsnap::compat {

/// Immutable; may be shared between threads. The way is unique: from major to neighbouring major by the one
/// step there is, before and after it through every minor.
class Planner {
 public:
  /// `types`: every version that has a schema. Errors: Internal (a step between versions that have none, that
  /// skips a version or leads nowhere; two steps that do the same).
  [[nodiscard]] static Result<Planner> create(const std::vector<ChunkType>& types,
                                              const std::vector<Step>& steps);

  /// The versions on the way, first and last included; one when they are the same. Errors: Unsupported (a
  /// version that has no schema; no step leads there).
  [[nodiscard]] Result<std::vector<ChunkVersion>> plan(std::string_view type, ChunkVersion from,
                                                       ChunkVersion to) const;

  /// The step between two neighbours on a way; nullptr for minors without one.
  [[nodiscard]] const Step* find(std::string_view type, ChunkVersion from, ChunkVersion to) const;

  /// Versions of the type, rising; empty for a type that is not known.
  [[nodiscard]] std::vector<ChunkVersion> versions(std::string_view type) const;

 private:
  Planner() = default;

  [[nodiscard]] Result<void> check(const Step& step) const;
  /// Appends the minors after the last version on `way`, up or down to `to`.
  void pass_minors(std::string_view type, ChunkVersion to, std::vector<ChunkVersion>& way) const;

  struct Known {
    std::string_view type;
    ChunkVersion version;
    auto operator<=>(const Known&) const = default;
  };
  std::vector<Known> known_;  // sorted
  std::vector<Step> steps_;
};

}  // namespace vmsnap::compat
