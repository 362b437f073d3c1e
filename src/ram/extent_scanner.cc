// SPDX-License-Identifier: BSD-2-Clause
#include "ram/extent_scanner.h"

#include <algorithm>

#include "base/hash.h"
#include "format/constants.h"
#include "format/digest.h"

namespace vmsnap {

ExtentScanner::ExtentScanner(const RamSource& source, std::uint8_t extent_shift)
    : source_(source), extent_size_(std::uint64_t{1} << extent_shift), zero_leaf_(zero_hash(extent_size_)) {}

void ExtentScanner::scan(std::uint64_t index) {
  begin_ = index * extent_size_;
  end_ = std::min<std::uint64_t>(source_.bytes.size(), begin_ + extent_size_);
  data_.clear();
  data_bytes_ = 0;
  const ByteView extent = source_.bytes.subspan(begin_, end_ - begin_);
  const bool absent =
      source_.private_anonymous && absent_.all_absent(extent, source_.bytes.data() + source_.bytes.size());
  for (std::uint64_t at = begin_; at < end_ && !absent; at += kPageSize) {
    if (is_all_zero(source_.bytes.subspan(at, kPageSize))) continue;
    if (!data_.empty() && data_.back().end == at) {
      data_.back().end += kPageSize;
    } else {
      data_.push_back({at, at + kPageSize});
    }
    data_bytes_ += kPageSize;
  }
  if (data_bytes_ > 0) {
    leaf_ = xxh3_64(extent);
  } else {
    leaf_ = extent.size() == extent_size_ ? zero_leaf_ : zero_hash(extent.size());
  }
}

}  // namespace vmsnap
