// SPDX-License-Identifier: BSD-2-Clause
// The pages that the data of a batch fills.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "ram/segment_batches.h"

namespace vmsnap {

/// Fills places one after the other. Not thread-safe.
class Scatter {
 public:
  /// What the places refer to must outlive this object.
  explicit Scatter(std::vector<MutableByteView> places) : places_(std::move(places)) {}

  /// The next `size` bytes, when they are in one place: then they count as filled. Else nothing. There must
  /// be as many left.
  [[nodiscard]] std::optional<MutableByteView> take(std::size_t size);
  /// Fills the next bytes, of which there must be as many left.
  void put(ByteView bytes);

 private:
  void advance(std::size_t size);

  std::vector<MutableByteView> places_;
  std::size_t place_ = 0;
  std::size_t filled_ = 0;
};

/// Puts the content of a block of `stored`, whose encoded bytes these are, where it belongs. `content` is
/// kept from one call to the next. Errors: Corrupt.
[[nodiscard]] Result<void> place_block(const StoredBatch& stored, const DataBlock& block, ByteView encoded,
                                       Scatter& scatter, ByteVector& content);

}  // namespace vmsnap
