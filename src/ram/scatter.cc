// SPDX-License-Identifier: BSD-2-Clause
#include "ram/scatter.h"

#include <algorithm>

#include "ram/block_codec.h"
#include "ram/damage.h"

namespace vmsnap {

std::optional<MutableByteView> Scatter::take(std::size_t size) {
  const MutableByteView rest = places_[place_].subspan(filled_);
  if (rest.size() < size) return std::nullopt;
  advance(size);
  return rest.first(size);
}

void Scatter::put(ByteView bytes) {
  while (!bytes.empty()) {
    const MutableByteView rest = places_[place_].subspan(filled_);
    const ByteView piece = bytes.first(std::min(bytes.size(), rest.size()));
    std::copy(piece.begin(), piece.end(), rest.begin());
    bytes = bytes.subspan(piece.size());
    advance(piece.size());
  }
}

void Scatter::advance(std::size_t size) {
  filled_ += size;
  if (filled_ < places_[place_].size()) return;
  filled_ = 0;
  ++place_;
}

Result<void> place_block(const StoredBatch& stored, const DataBlock& block, ByteView encoded,
                         Scatter& scatter, ByteVector& content) {
  if (block.encoded_size == block.content_size) {
    scatter.put(encoded);
    return {};
  }
  const auto place = scatter.take(block.content_size);
  if (!place) content.resize(block.content_size);
  if (!decompress_block(encoded, place ? *place : MutableByteView(content))) {
    return block_damaged(stored, block);
  }
  if (!place) scatter.put(content);
  return {};
}

}  // namespace vmsnap
