// SPDX-License-Identifier: BSD-2-Clause
// Memory that is used while it is still being restored.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "ram/extent_source.h"
#include "ram/segment_reader.h"
#include "ram/userfault.h"

namespace vmsnap {

/// A segment and where it goes: private anonymous memory of its size that was never touched
/// (Mapping::anonymous), and that outlives the LazyMemory.
struct LazySegment {
  SegmentReader reader;
  MutableByteView memory;
};

struct LazyOptions {
  bool verify = true;         // each extent against its leaf, before anyone can see a byte of it
  unsigned fill_threads = 1;  // that bring what nobody has asked for yet; 0: that is left to wait_filled()
  /// Called once, from any thread of the LazyMemory or of wait_filled(), when an extent cannot be brought.
  /// Threads that touch it wait for ever, in the process, in a system call or in KVM: this must see to it
  /// that the process ends. It must not touch the memory, nor destroy the LazyMemory.
  std::function<void(const Error&)> on_error = {};
};

struct LazyStats {
  std::uint64_t extents = 0;  // of all segments
  std::uint64_t present = 0;  // of them, restored
  std::uint64_t faults = 0;   // times that a thread had to wait
};

/// Restores segments from a snapshot while they are used. A thread that touches what is not there yet waits
/// until the whole extent has been read, verified and put in place; the rest follows in order. When all is
/// there, the memory is plain private anonymous memory, the threads have ended and the file is closed.
///
/// What cannot be brought never appears: neither wrong bytes nor zeros. A child made by fork() must not use
/// the memory before it is filled. Thread-safe but for destruction.
class LazyMemory {
 public:
  /// The largest extent that can be restored lazily: a thread holds one in a buffer of its own.
  static constexpr std::uint8_t kMaxExtentShift = 26;

  /// Begins; nothing has been read on return. `file` keeps alive what the segments refer to, and is let go of
  /// when all is there. Errors: Unsupported (userfaultfd is not to be had); Usage (a size that differs, or
  /// extents that are too large); Io.
  [[nodiscard]] static Result<std::unique_ptr<LazyMemory>> start(std::vector<LazySegment> segments,
                                                                 std::shared_ptr<const void> file,
                                                                 LazyOptions options);
  LazyMemory(const LazyMemory&) = delete;
  LazyMemory& operator=(const LazyMemory&) = delete;
  /// Ends the threads. Memory that is not filled by then can no longer be used: a load or store of any of it
  /// is a segmentation fault, a system call that is given it fails with EFAULT.
  ~LazyMemory();

  /// Returns when all is there. Up to `threads` threads, the caller's among them, help. Errors: why an extent
  /// cannot be brought (Io, Truncated; Corrupt, naming it).
  [[nodiscard]] Result<void> wait_filled(unsigned threads = 1);
  /// True when all is there and nothing is watched any more.
  [[nodiscard]] bool is_filled() const { return filled_.load(std::memory_order_acquire); }
  [[nodiscard]] LazyStats stats() const;

 private:
  enum class Fill : std::uint8_t { kMissing, kUnderWay, kDone };
  struct Segment {
    SegmentReader reader;
    MutableByteView memory;
    std::uint64_t first;  // number of its first extent among those of all segments
  };
  struct Place {
    const Segment* segment;
    std::uint64_t index;  // of an extent in the segment
    [[nodiscard]] std::uint64_t number() const { return segment->first + index; }
    [[nodiscard]] std::uint64_t begin() const { return segment->reader.extent_begin(index); }
    [[nodiscard]] std::uint64_t end() const { return segment->reader.extent_end(index); }
    [[nodiscard]] MutableByteView memory() const { return segment->memory.subspan(begin(), end() - begin()); }
  };
  /// What a thread keeps from one extent to the next.
  struct Worker {
    SegmentCursor cursor;
    Extent extent;
  };

  LazyMemory(std::shared_ptr<const void> file, LazyOptions options)
      : options_(std::move(options)), file_(std::move(file)) {}

  [[nodiscard]] Result<void> set_up(std::vector<LazySegment> segments);
  void serve_faults();
  void fill_in_background();
  /// Brings what nobody has claimed, in order, until there is no more of it or something has failed.
  void fill_rest(unsigned threads);
  void become_plain_memory();

  /// True for the one thread that is to bring the extent.
  [[nodiscard]] bool claim(std::uint64_t number);
  void bring(const Place& place, Worker& worker);
  [[nodiscard]] Result<void> read_and_copy(const Place& place, Worker& worker) const;
  [[nodiscard]] Result<void> serve(std::byte* page, Worker& worker);
  [[nodiscard]] Place place_of(std::uint64_t number) const;
  [[nodiscard]] std::optional<Place> place_at(const std::byte* page) const;
  void fail(Error error);
  void stop_serving();

  const LazyOptions options_;
  std::shared_ptr<const void> file_;
  std::vector<Segment> segments_;
  UserFault faults_;
  UniqueFd stop_serving_;                 // an eventfd
  std::vector<std::atomic<Fill>> fills_;  // of all extents
  std::atomic<std::uint64_t> next_{0};    // extent that the next helper begins with
  std::atomic<std::uint64_t> done_{0};
  std::atomic<std::uint64_t> fault_count_{0};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> failed_{false};
  std::atomic<bool> filled_{false};

  std::mutex mutex_;
  std::condition_variable changed_;  // done_ has reached the end, or one of these:
  std::optional<Error> error_;
  std::thread server_;
  std::thread filler_;
};

}  // namespace vmsnap
