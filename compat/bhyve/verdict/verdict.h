// SPDX-License-Identifier: BSD-2-Clause
// Which bhyve wrote a legacy snapshot, concluded from sizes and from what stands where: no file says it. Each
// axis in which the generations differ is judged by itself, since builds between releases mix them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bhyve/layout/layout.h"
#include "bhyve/set/legacy_set.h"
#include "bhyve/verdict/assumptions.h"
#include "bhyve/verdict/generation.h"

namespace vmsnap::compat::bhyve {

enum class Certainty : std::uint8_t {
  kNone,     // nothing in the set tells
  kGuess,    // the set reads the same either way
  kLikely,   // it fits, but so might what is not known
  kCertain,  // nothing else that is known fits
  kAssumed,  // a person said so
};
[[nodiscard]] std::string_view to_string(Certainty certainty);

struct AxisVerdict {
  std::string_view axis;  // of generation.h
  std::string shape;      // empty when nothing tells; "mixed" when the chunks of the set differ in it
  Certainty certainty = Certainty::kNone;
  std::string evidence;  // a printable sentence without a full stop, with the numbers
};

/// How one chunk is to be read.
struct ClassifiedEntry {
  const MetaEntry* entry = nullptr;  // of the set; never null
  bool is_kernel = false;
  const Layout* layout = nullptr;  // lives for ever; nullptr for a chunk that cannot be read
  Context context;                 // to decode the chunk with; with the counts that were found
  std::uint64_t trailing = 0;      // bytes after the last field
  std::string why_not;             // there is no layout; printable
};

struct Verdict {
  /// Those that write such a set; A and A2 cannot be told apart. Empty for a mixed form.
  std::vector<Generation> generations;
  /// The one that most axes agree with.
  Generation nearest = Generation::kC;
  std::vector<std::string_view> deviating;  // axes that do not agree with `nearest`
  Vendor vendor = Vendor::kIntel;
  std::uint64_t ncpus = 0;  // as the `.meta` says, unless assumed
  std::vector<AxisVerdict> axes;
  std::vector<ClassifiedEntry> entries;  // kernel, then devices, in the order of the `.meta`
  Context context;                       // what the chunks have in common
  std::string assumed;                   // AXIS=SHAPE of every assumption; empty without

  void say(std::string_view axis, std::string shape, Certainty certainty, std::string evidence);
  /// nullptr when there is no such axis.
  [[nodiscard]] const AxisVerdict* find(std::string_view axis) const;
  /// "A or A2", "mixed, nearest to C".
  [[nodiscard]] std::string generation_text() const;
};

/// "intel-664", "B", or "prefix B, rings B" for what depends on axes; empty without a layout.
[[nodiscard]] std::string shape_text(const ClassifiedEntry& one);

/// Judges a set, which the verdict borrows. Errors name chunk, file and offset: Unsupported for a chunk whose
/// size fits nothing that is known, with the sizes that would; Truncated, Corrupt and LimitExceeded for a
/// device that cannot be decoded; those of LegacySet::read(); LimitExceeded for chunks that overlap so much
/// that reading them all would take for ever. Chunks that are missing or unknown are no error. Memory: one
/// chunk at a time.
[[nodiscard]] Result<Verdict> classify(const LegacySet& set, const Assumptions& assumptions = {});

}  // namespace vmsnap::compat::bhyve
