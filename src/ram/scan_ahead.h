// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/result.h"
#include "ram/extent_source.h"

namespace vmsnap {

/// Looks at the extents of a source in order in a thread of its own, a few ahead of the one who writes them:
/// looking for zero pages and hashing then cost the writer nothing, and the bytes that it takes up are in the
/// cache that the processor's cores share. Not thread-safe.
class ScanAhead {
 public:
  /// `source` must outlive this object, and is left alone by others until then. With `parallel` false, or
  /// where no thread is to be had, extents are looked at when they are asked for.
  ScanAhead(ExtentSource& source, bool parallel);
  ScanAhead(const ScanAhead&) = delete;
  ScanAhead& operator=(const ScanAhead&) = delete;
  ~ScanAhead();

  /// The next extent; the first call gives extent 0. To be called once for each extent at most. What it
  /// returns is valid until the next call. Errors: those of the source.
  [[nodiscard]] Result<const Extent*> next();

 private:
  /// Extents that change hands together: about as many bytes of data as one write takes, or many zero ones.
  struct Group {
    std::vector<Extent> extents;
    std::size_t used = 0;
    std::optional<Error> failed;  // what came after the extents in use
  };

  void run();
  /// Fills `group` with the extents from `index` on; returns the number of the one to go on with.
  std::uint64_t fill(Group& group, std::uint64_t index);

  ExtentSource& source_;
  Extent single_;  // when there is no thread
  std::uint64_t next_index_ = 0;
  std::vector<Group> groups_;
  Group* taken_ = nullptr;       // the group that next() gives out
  std::size_t next_extent_ = 0;  // in that group

  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t filled_ = 0;    // groups that were ever ready; guarded by mutex_, as are the next two
  std::uint64_t released_ = 0;  // groups that may be filled again
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace vmsnap
