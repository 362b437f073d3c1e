// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/stream_reader.h"

#include <algorithm>
#include <deque>
#include <memory>

#include "base/parallel.h"
#include "ram/segment_filler.h"
#include "snapshot/snapshot_stream.h"

namespace vmsnap {
namespace {

constexpr std::uint64_t kMaxStateBytes = 1u << 30;

/// Builds a snapshot in memory, and hands out the parts of guest memory that were read. Errors do not name the
/// stream.
class StreamReader {
 public:
  explicit StreamReader(StreamSource& source) : source_(source), stream_(source) {}

  Result<void> begin() { return stream_.begin(); }

  /// Reads until there is another part of guest memory; false at the end of the snapshot.
  Result<bool> next_part(SegmentFiller::Part& part) {
    while (true) {
      if (filling_ != nullptr) {
        VMSNAP_ASSIGN_OR_RETURN(const bool more, filling_->read_part(source_, part));
        if (more) return true;
        filling_ = nullptr;
      }
      VMSNAP_ASSIGN_OR_RETURN(const bool more, stream_.next());
      if (!more) return false;
      if (auto taken = take_chunk(stream_.chunk()); !taken) {
        return std::move(std::move(taken).error().in_chunk(stream_.chunk().name()));
      }
    }
  }

  /// After the last part. Everything is verified by then, except what SegmentFiller verifies.
  Result<StreamedSnapshot> finish(bool allow_recovered) {
    const SnapshotDirectory& directory = stream_.directory();
    for (const auto& filler : fillers_) VMSNAP_RETURN_IF_ERROR(filler->check_complete());
    VMSNAP_RETURN_IF_ERROR(directory.check_recovered(stream_.header(), allow_recovered));
    VMSNAP_RETURN_IF_ERROR(directory.check_known(stream_.header().arch, stream_.chunks()));
    StreamedSnapshot result;
    for (const auto& filler : fillers_) result.segments.push_back(filler->take_memory());
    result.header = stream_.header();
    result.root = stream_.root();
    result.manifest = directory.manifest();
    result.memory_map = directory.memory_map();
    result.device_states = std::move(states_);
    result.losses.assign(directory.losses().begin(), directory.losses().end());
    result.size = source_.position();
    return result;
  }

 private:
  Result<void> take_chunk(const ChunkRecord& chunk) {
    const FourCc type = chunk.header.type;
    if (is_ram_chunk(type)) {
      SegmentFiller& filler = *fillers_[chunk.header.instance];
      VMSNAP_RETURN_IF_ERROR(filler.begin(ram_chunks_.emplace_back(chunk), stream_.meta()));
      filling_ = &filler;
    } else if (type == kChunkManifest) {
      states_.resize(stream_.directory().manifest().devices.size());
    } else if (type == kChunkMemoryMap) {
      for (const MemorySegment& segment : stream_.directory().memory_map().segments)
        fillers_.push_back(std::make_unique<SegmentFiller>(segment.id, segment.size));
    } else if (stream_.is_unknown()) {
      return stream_.read_body([](ByteView) { return Result<void>(); });
    } else if (!is_container_chunk(type)) {
      state_bytes_ += stream_.meta().size();
      if (state_bytes_ > kMaxStateBytes) {
        return Error(ErrorKind::kLimitExceeded, "the states of all devices come to more than 1 GiB");
      }
      states_[chunk.header.instance] = std::move(stream_.meta());
    }
    return {};
  }

  StreamSource& source_;
  SnapshotStream stream_;
  std::deque<ChunkRecord> ram_chunks_;  // those that fillers_ refer to
  std::vector<ByteVector> states_;      // by instance
  std::uint64_t state_bytes_ = 0;
  std::vector<std::unique_ptr<SegmentFiller>> fillers_;  // by segment id
  SegmentFiller* filling_ = nullptr;                     // whose body is being read
};

Result<StreamedSnapshot> read_stream(StreamSource& source, const PassOptions& pass, bool allow_recovered) {
  const auto reader = std::make_unique<StreamReader>(source);
  VMSNAP_RETURN_IF_ERROR(reader->begin());
  const std::size_t slots = std::max(1u, pass.threads) + 1;
  std::vector<SegmentFiller::Part> parts(slots);
  PipelineSteps steps;
  steps.produce = [&](std::size_t slot) -> Result<bool> {
    VMSNAP_RETURN_IF_ERROR(check_cancelled(pass));
    return reader->next_part(parts[slot]);
  };
  steps.work = [&](std::size_t slot) { return parts[slot].filler->work(parts[slot]); };
  steps.consume = [&](std::size_t slot) -> Result<void> {
    VMSNAP_RETURN_IF_ERROR(parts[slot].filler->settle(parts[slot]));
    if (pass.progress) pass.progress(parts[slot].bytes);
    return {};
  };
  VMSNAP_RETURN_IF_ERROR(ordered_pipeline(pass.threads, slots, steps));
  return reader->finish(allow_recovered);
}

}  // namespace

Result<StreamedSnapshot> read_snapshot_stream(StreamSource& source, const PassOptions& pass,
                                              bool allow_recovered) {
  auto snapshot = read_stream(source, pass, allow_recovered);
  if (!snapshot) return std::move(std::move(snapshot).error().in_file(source.name()));
  return snapshot;
}

}  // namespace vmsnap
