// SPDX-License-Identifier: BSD-2-Clause
// What is left of a memory segment in a damaged file, as the source of a new one.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "ram/extent_source.h"
#include "ram/pass_options.h"
#include "ram/segment_remains.h"

namespace vmsnap {

/// The extents of a segment that are lost, by number, and why.
using LostExtents = std::map<std::uint64_t, std::string>;

/// Reads and verifies every extent. Memory: one extent for each thread. Errors: Io; InvalidState (cancelled).
[[nodiscard]] Result<LostExtents> find_lost_extents(const SegmentRemains& segment, const PassOptions& pass);

/// The remains of a segment, with zeros where something is lost. Every extent is verified again as it is
/// read. Memory: what the caller keeps of extents, and one more.
class RemainsSource final : public ExtentSource {
 public:
  /// Both must outlive the source; `lost` is what find_lost_extents() found of `segment`.
  RemainsSource(const SegmentRemains& segment, const LostExtents& lost);

  /// Errors: Io; Corrupt (an extent does not verify that is not among the lost ones: the file has changed).
  [[nodiscard]] Result<void> scan(std::uint64_t index, Extent& extent) override;
  [[nodiscard]] Result<bool> holds(std::uint64_t index, ByteView bytes) override;

 private:
  /// Leaves `out` empty when all of the extent is zero.
  [[nodiscard]] Result<void> read(std::uint64_t index, ByteVector& out);
  [[nodiscard]] std::uint64_t zero_leaf(std::uint64_t size);

  const SegmentRemains& segment_;
  const LostExtents& lost_;
  RemainsCursor cursor_;
  ByteVector other_;  // the extent that holds() compares with
  std::uint64_t zero_size_ = 0;
  std::uint64_t zero_leaf_ = 0;  // of zero_size_ bytes
};

}  // namespace vmsnap
