// SPDX-License-Identifier: BSD-2-Clause
#include "ram/extent_ram_writer.h"

#include <lz4.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "base/parallel.h"
#include "format/constants.h"
#include "format/digest.h"

namespace vmsnap {
namespace {

// Of a chunk. More would leave the cache between the hash and the write; very large segments have more, so
// that the number of chunks of a file stays in the thousands.
constexpr std::uint64_t kBatchData = 1u << 20;
constexpr unsigned kMaxBatchesShift = 14;
// These keep metas far below 16 MiB, and the pages of a run within 32 bits.
constexpr std::size_t kMaxBatchExtents = 16u << 10;
constexpr std::size_t kMaxBatchRuns = 256u << 10;
constexpr std::uint64_t kMaxBatchBytes = std::uint64_t{1} << 43;

/// What becomes one chunk. Used for one batch after the other: it keeps what it has allocated.
struct Batch {
  ExtentRamMeta meta;
  std::uint64_t bytes = 0;           // of the segment
  std::uint64_t data_bytes = 0;      // in the pieces
  std::vector<ByteView> data;        // the data pages in order
  std::vector<std::size_t> data_of;  // for each extent that has data: where in `data` its pieces end
  // What the pieces are in, when the source is not memory: extents, and the data of those that have little.
  std::vector<Extent> extents;
  std::size_t extents_used = 0;
  std::vector<ByteVector> packed;
  ByteVector encoded;
  ByteVector block;            // one whose pages are not adjacent in memory
  std::vector<ByteView> body;  // what is written

  void reset() {
    meta.leaves.clear();
    meta.runs.clear();
    meta.block_sizes.clear();
    bytes = 0;
    data_bytes = 0;
    data.clear();
    data_of.clear();
    extents_used = 0;
    packed.clear();
    body.clear();
  }

  /// Appends `size` bytes of pages to the runs.
  void add_run(PageRunKind kind, std::uint64_t size, std::uint64_t source = 0) {
    if (size == 0) return;
    const auto pages = static_cast<std::uint32_t>(size / kPageSize);
    if (!meta.runs.empty() && meta.runs.back().kind == kind) {
      PageRun& last = meta.runs.back();
      if (kind != PageRunKind::kDuplicate || last.source + last.pages * kPageSize == source) {
        last.pages += pages;
        return;
      }
    }
    meta.runs.push_back({kind, pages, source});
  }

  /// Appends the runs of an extent: its data pages are of `kind` and, if that is kDuplicate, the same as
  /// those of the extent at `original`.
  void add_runs(const Extent& extent, PageRunKind kind, std::uint64_t original) {
    std::uint64_t at = extent.begin;
    auto repeat = extent.repeats.begin();
    const auto add_repeats = [&](std::uint64_t end) {
      for (; repeat != extent.repeats.end() && repeat->begin < end; ++repeat) {
        add_run(PageRunKind::kZero, repeat->begin - at);
        add_run(PageRunKind::kDuplicate, repeat->end - repeat->begin, repeat->source);
        at = repeat->end;
      }
    };
    for (const ByteRange& range : extent.data) {
      add_repeats(range.begin);
      add_run(PageRunKind::kZero, range.begin - at);
      add_run(kind, range.end - range.begin,
              kind == PageRunKind::kDuplicate ? original + (range.begin - extent.begin) : 0);
      at = range.end;
    }
    add_repeats(extent.end);
    add_run(PageRunKind::kZero, extent.end - at);
  }
};

/// Cuts a source into batches.
class Batcher {
 public:
  Batcher(ExtentSource& source, std::uint32_t segment, const PassOptions& options)
      : source_(source),
        segment_(segment),
        options_(options),
        batch_data_(std::max(kBatchData, source.size() >> kMaxBatchesShift)),
        next_(source.first_extent()) {}

  /// Bytes of pages that are not all zero, so far.
  [[nodiscard]] std::uint64_t data_bytes() const { return data_bytes_; }

  /// Fills `batch`; false when there is nothing left.
  Result<bool> next(Batch& batch) {
    VMSNAP_ASSIGN_OR_RETURN(const bool any, source_.has(next_));
    if (!any) return false;
    batch.reset();
    batch.meta.segment = segment_;
    batch.meta.extent_shift = source_.extent_shift();
    batch.meta.first_extent = static_cast<std::uint32_t>(next_);
    while (!is_full(batch)) {
      VMSNAP_ASSIGN_OR_RETURN(const bool more, source_.has(next_));
      if (!more) break;
      VMSNAP_RETURN_IF_ERROR(check_cancelled(options_));
      if (batch.extents.size() == batch.extents_used) batch.extents.emplace_back();
      Extent& extent = batch.extents[batch.extents_used];
      VMSNAP_RETURN_IF_ERROR(source_.scan(next_, extent));
      VMSNAP_RETURN_IF_ERROR(add(batch, extent));
      ++next_;
    }
    return true;
  }

 private:
  /// True when the next extent might be too much.
  [[nodiscard]] bool is_full(const Batch& batch) const {
    const std::uint64_t extent_size = std::uint64_t{1} << source_.extent_shift();
    return (batch.data_bytes > 0 && batch.data_bytes + extent_size > batch_data_) ||
           batch.meta.leaves.size() == kMaxBatchExtents || batch.meta.runs.size() >= kMaxBatchRuns ||
           batch.bytes + extent_size > kMaxBatchBytes;
  }

  Result<void> add(Batch& batch, const Extent& extent) {
    batch.meta.leaves.push_back(extent.leaf);
    batch.bytes += extent.end - extent.begin;
    const std::uint64_t data_bytes = extent.data_bytes();
    data_bytes_ += data_bytes + extent.repeated_bytes();
    if (data_bytes == 0) {
      batch.add_runs(extent, PageRunKind::kZero, 0);
      return {};
    }
    const auto [known, is_new] = seen_.try_emplace(extent.leaf, static_cast<std::uint32_t>(next_));
    if (!is_new && extent.repeats.empty()) {
      // Equal hashes are a hint, not a proof.
      VMSNAP_ASSIGN_OR_RETURN(const bool same, source_.holds(known->second, extent.bytes));
      if (same) {
        const std::uint64_t original = std::uint64_t{known->second} << source_.extent_shift();
        batch.add_runs(extent, PageRunKind::kDuplicate, original);
        return {};
      }
    }
    batch.add_runs(extent, PageRunKind::kData, 0);
    if (source_.is_memory() || 2 * data_bytes >= extent.bytes.size()) {
      for (const ByteRange& range : extent.data) batch.data.push_back(extent.view(range));
      if (!source_.is_memory()) ++batch.extents_used;
    } else {
      pack(batch, extent, data_bytes);
    }
    batch.data_of.push_back(batch.data.size());
    batch.data_bytes += data_bytes;
    return {};
  }

  /// Adds the data of an extent without keeping the extent, so that a batch of many extents that have little
  /// data takes no more memory than any other.
  static void pack(Batch& batch, const Extent& extent, std::uint64_t data_bytes) {
    ByteVector& packed = batch.packed.emplace_back();
    packed.reserve(data_bytes);
    for (const ByteRange& range : extent.data) {
      const ByteView from = extent.view(range);
      packed.insert(packed.end(), from.begin(), from.end());
    }
    batch.data.emplace_back(packed);
  }

  ExtentSource& source_;
  std::uint32_t segment_;
  const PassOptions& options_;
  std::uint64_t batch_data_;
  std::uint64_t next_;  // extent
  std::uint64_t data_bytes_ = 0;
  std::unordered_map<std::uint64_t, std::uint32_t> seen_;  // leaf -> extent with these data
};

/// Takes blocks off the front of the data of an extent.
class DataQueue {
 public:
  explicit DataQueue(std::span<const ByteView> pieces) : pieces_(pieces) {}

  [[nodiscard]] bool empty() const { return pieces_.empty(); }

  /// Up to kBlockSize bytes: where they are, or in `buffer` when they are not in one piece.
  ByteView take(ByteVector& buffer) {
    const ByteView first = pieces_.front().subspan(taken_);
    if (first.size() >= kBlockSize || pieces_.size() == 1) {
      const ByteView block = first.first(std::min<std::size_t>(kBlockSize, first.size()));
      advance(block.size());
      return block;
    }
    buffer.resize(kBlockSize);
    std::size_t size = 0;
    while (!empty() && size < kBlockSize) {
      const ByteView from = pieces_.front().subspan(taken_);
      const std::size_t count = std::min<std::size_t>(kBlockSize - size, from.size());
      std::memcpy(buffer.data() + size, from.data(), count);
      size += count;
      advance(count);
    }
    return ByteView(buffer).first(size);
  }

 private:
  void advance(std::size_t size) {
    taken_ += size;
    if (taken_ < pieces_.front().size()) return;
    pieces_ = pieces_.subspan(1);
    taken_ = 0;
  }

  std::span<const ByteView> pieces_;
  std::size_t taken_ = 0;  // of the first piece
};

/// Compresses the data of a batch, block by block.
void compress(Batch& batch) {
  if (batch.encoded.size() < batch.data_bytes) batch.encoded.resize(batch.data_bytes);
  std::size_t used = 0;  // of `encoded`; blocks never become longer, so it is large enough
  std::size_t first = 0;
  for (const std::size_t last : batch.data_of) {
    DataQueue queue(std::span<const ByteView>(batch.data).subspan(first, last - first));
    first = last;
    while (!queue.empty()) {
      const ByteView block = queue.take(batch.block);
      const MutableByteView out = MutableByteView(batch.encoded).subspan(used, block.size());
      // What saves less than a sixteenth is not worth the time to decompress it.
      const int size = LZ4_compress_default(
          reinterpret_cast<const char*>(block.data()), reinterpret_cast<char*>(out.data()),
          static_cast<int>(block.size()), static_cast<int>(block.size() - block.size() / 16));
      ByteView encoded = out.first(static_cast<std::size_t>(size));
      if (size == 0) {
        encoded = block;
        if (block.data() == batch.block.data()) {
          std::memcpy(out.data(), block.data(), block.size());
          encoded = out;
        }
      }
      if (encoded.data() == out.data()) used += encoded.size();
      batch.meta.block_sizes.push_back(static_cast<std::uint32_t>(encoded.size()));
      batch.body.push_back(encoded);
    }
  }
}

Result<std::uint64_t> write(ChunkWriter& writer, std::uint32_t schema_id, const Batch& batch, Codec codec) {
  ChunkSpec spec{kChunkExtentRam, schema_id, batch.meta.segment};
  const ByteVector meta = encode(batch.meta);
  if (batch.data.empty()) {
    VMSNAP_RETURN_IF_ERROR(writer.append(spec, meta));
    return std::uint64_t{0};
  }
  const bool raw = codec == Codec::kNone;
  spec.flags |= kChunkLeaves | std::uint32_t{static_cast<std::uint8_t>(codec)} << kChunkCodecShift;
  const std::vector<ByteView>& pieces = raw ? batch.data : batch.body;
  VMSNAP_RETURN_IF_ERROR(writer.append(
      spec, meta, ChunkBody{pieces, raw ? kPageSize : kChunkAlignment, leaves_hash(batch.meta.leaves)}));
  std::uint64_t size = 0;
  for (const ByteView piece : pieces) size += piece.size();
  return size;
}

}  // namespace

std::vector<Feature> extent_ram_features(Codec codec) {
  std::vector<Feature> features;
  for (const std::uint8_t bit : {kFeatureRamExtents, kFeatureLz4}) {
    if (bit == kFeatureLz4 && codec != Codec::kLz4) continue;
    const RegisteredFeature& feature = *find_registered_feature(FeatureKind::kIncompatible, bit);
    features.push_back({feature.kind, feature.bit, std::string(feature.name)});
  }
  return features;
}

Result<WrittenRam> write_extent_ram(ChunkWriter& writer, std::uint32_t schema_id, std::uint32_t segment,
                                    ExtentSource& source, Codec codec, const PassOptions& options) {
  const bool one_at_a_time = !source.is_memory() && source.extent_shift() > kMaxParallelShift;
  const unsigned threads = one_at_a_time ? 1 : std::max(1u, options.threads);
  std::vector<Batch> batches(threads == 1 ? 1 : std::size_t{2} * threads);
  Batcher batcher(source, segment, options);
  WrittenRam written;
  PipelineSteps steps;
  steps.produce = [&](std::size_t slot) { return batcher.next(batches[slot]); };
  steps.work = [&](std::size_t slot) -> Result<void> {
    if (codec == Codec::kLz4) compress(batches[slot]);
    return {};
  };
  steps.consume = [&](std::size_t slot) -> Result<void> {
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t stored, write(writer, schema_id, batches[slot], codec));
    written.stored_bytes += stored;
    if (options.progress) options.progress(batches[slot].bytes);
    return {};
  };
  VMSNAP_RETURN_IF_ERROR(ordered_pipeline(threads, batches.size(), steps));
  written.data_bytes = batcher.data_bytes();
  return written;
}

}  // namespace vmsnap
