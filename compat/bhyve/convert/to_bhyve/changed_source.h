// SPDX-License-Identifier: BSD-2-Clause
// A memory segment of a snapshot with what is to be different in it.
#pragma once

#include <cstdint>
#include <optional>

#include "bhyve/convert/engine/overlaid_memory.h"
#include "ram/extent_source.h"
#include "ram/segment_reader.h"
#include "ram/stored_source.h"

namespace vmsnap::compat::bhyve {

/// Verifies each extent as the snapshot has it; those with changes are then altered. Memory: as StoredSource.
class ChangedSource final : public ExtentSource {
 public:
  /// `stored` is segment `segment`, of which `changes` may have some. Both must outlive the source.
  ChangedSource(const SegmentReader& stored, const OverlaidMemory& changes, std::uint32_t segment);

  /// Errors: as StoredSource::scan().
  [[nodiscard]] Result<void> scan(std::uint64_t index, Extent& extent) override;
  [[nodiscard]] Result<bool> holds(std::uint64_t index, ByteView bytes) override;
  [[nodiscard]] std::optional<FilePlace> original() const override { return reader_.place(); }

 private:
  const SegmentReader& reader_;
  StoredSource stored_;
  const OverlaidMemory& changes_;
  std::uint32_t segment_;
};

}  // namespace vmsnap::compat::bhyve
