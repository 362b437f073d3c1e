// SPDX-License-Identifier: BSD-2-Clause
// Whether the values in the chunks of a legacy snapshot are ones that a running guest can have.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bhyve/layout/decode.h"
#include "bhyve/set/check_set.h"
#include "bhyve/verdict/verdict.h"

namespace vmsnap::compat::bhyve {

/// Of one chunk so many are told, then that there are more.
inline constexpr std::size_t kMostValueFindings = 50;

struct ValueFinding {
  Severity severity = Severity::kWarning;
  Consequence consequence = Consequence::kSuspicious;
  std::string_view code;     // stable, lower-case
  std::string entry;         // the chunk; printable
  std::string field;         // path in the chunk; empty when it is about the chunk
  std::uint64_t offset = 0;  // in the `.kern` file
  std::string sentence;      // printable; without what follows from it
};

/// What a value can be too large for.
struct GuestSize {
  std::uint64_t ncpus = 0;
  std::uint64_t memsize = 0;  // bytes
};

/// What is odd in a chunk that was decoded as the verdict says.
[[nodiscard]] std::vector<ValueFinding> check_values(const GuestSize& guest, const ClassifiedEntry& entry,
                                                     const Decoded& decoded);

/// Decodes every chunk that has a layout and looks at its values; also tells of chunks that have none, and of
/// bytes after the last field. A chunk that cannot be read is a finding of severity kError.
[[nodiscard]] std::vector<ValueFinding> check_chunks(const LegacySet& set, const Verdict& verdict);

}  // namespace vmsnap::compat::bhyve
