// SPDX-License-Identifier: BSD-2-Clause
#include "ram/absent_pages.h"

#include <fcntl.h>

#include <algorithm>

#include "format/constants.h"

namespace vmsnap {
namespace {

constexpr std::uint64_t kWindowPages = 8192;
// A page that is present, or swapped out, or on its way from node to node, has one of these bits.
constexpr std::uint64_t kPresent = std::uint64_t{1} << 63;
constexpr std::uint64_t kSwapped = std::uint64_t{1} << 62;

std::uint64_t page_of(const std::byte* address) {
  return reinterpret_cast<std::uintptr_t>(address) >> kPageShift;
}

}  // namespace

AbsentPages::AbsentPages() : pagemap_(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) {}

bool AbsentPages::load(std::uint64_t first_page, std::uint64_t end_page) {
  entries_.resize(std::min(kWindowPages, end_page - first_page));
  first_page_ = first_page;
  const std::size_t wanted = entries_.size() * sizeof entries_[0];
  const ssize_t count =
      ::pread(pagemap_.get(), entries_.data(), wanted, static_cast<off_t>(first_page * sizeof entries_[0]));
  if (count == static_cast<ssize_t>(wanted)) return true;
  entries_.clear();
  pagemap_.reset();
  return false;
}

bool AbsentPages::all_absent(ByteView range, const std::byte* window_end) {
  if (!pagemap_) return false;
  const std::uint64_t end = page_of(range.data() + range.size());
  for (std::uint64_t page = page_of(range.data()); page < end; ++page) {
    if (page < first_page_ || page - first_page_ >= entries_.size()) {
      if (!load(page, page_of(window_end))) return false;
    }
    if ((entries_[page - first_page_] & (kPresent | kSwapped)) != 0) return false;
  }
  return true;
}

}  // namespace vmsnap
