// SPDX-License-Identifier: BSD-2-Clause
#include "ram/lazy_memory.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "base/parallel.h"

namespace vmsnap {
namespace {

// How far zero pages are put in place beyond the one that is waited for.
constexpr std::uint64_t kZeroWindow = 256u << 10;
constexpr std::size_t kFaultsAtOnce = 16;

}  // namespace

Result<std::unique_ptr<LazyMemory>> LazyMemory::start(std::vector<LazySegment> segments,
                                                      std::shared_ptr<const void> file, LazyOptions options) {
  std::unique_ptr<LazyMemory> memory(new LazyMemory(std::move(file), std::move(options)));
  VMSNAP_RETURN_IF_ERROR(memory->set_up(std::move(segments)));
  try {
    memory->server_ = std::thread([raw = memory.get()] { raw->serve_faults(); });
    memory->filler_ = std::thread([raw = memory.get()] { raw->fill_in_background(); });
  } catch (const std::system_error& error) {
    return io_error("cannot start a thread that restores memory", error.code().value());
  }
  return memory;
}

Result<void> LazyMemory::set_up(std::vector<LazySegment> segments) {
  std::uint64_t extents = 0;
  for (LazySegment& segment : segments) {
    if (segment.memory.size() != segment.reader.size()) {
      return Error(ErrorKind::kUsage, "the memory has another size than the segment");
    }
    if (segment.reader.extent_shift() > kMaxExtentShift) {
      return Error(ErrorKind::kUsage,
                   fmt::format("extents of 2^{} bytes are too large to be restored lazily, which takes up to "
                               "2^{}; load the memory eagerly",
                               segment.reader.extent_shift(), kMaxExtentShift));
    }
    const std::uint64_t first = extents;
    extents += segment.reader.leaves().size();
    segments_.push_back({std::move(segment.reader), segment.memory, first});
  }
  fills_ = std::vector<std::atomic<Fill>>(extents);
  stop_serving_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_serving_) return io_error("cannot create an eventfd for restoring memory", errno);
  VMSNAP_ASSIGN_OR_RETURN(faults_, UserFault::open());
  for (const Segment& segment : segments_) VMSNAP_RETURN_IF_ERROR(faults_.watch(segment.memory));
  return {};
}

LazyMemory::~LazyMemory() {
  {
    const std::lock_guard lock(mutex_);
    stopped_.store(true);
  }
  changed_.notify_all();
  if (filler_.joinable()) filler_.join();
  stop_serving();
  if (is_filled()) return;
  // Before the watch ends, which would show zero pages in the place of what is missing.
  for (const Segment& segment : segments_) {
    ::mprotect(segment.memory.data(), segment.memory.size(), PROT_NONE);
  }
}

void LazyMemory::stop_serving() {
  const std::uint64_t one = 1;
  // An eventfd takes a 1 until it holds 2^64 - 2; there is nothing to do about a failure here.
  [[maybe_unused]] const ssize_t written = ::write(stop_serving_.get(), &one, sizeof one);
  if (server_.joinable()) server_.join();
}

LazyMemory::Place LazyMemory::place_of(std::uint64_t number) const {
  const auto next = std::upper_bound(segments_.begin(), segments_.end(), number,
                                     [](std::uint64_t n, const Segment& s) { return n < s.first; });
  const Segment& segment = *std::prev(next);
  return {&segment, number - segment.first};
}

std::optional<LazyMemory::Place> LazyMemory::place_at(const std::byte* page) const {
  for (const Segment& segment : segments_) {
    const std::uint64_t offset =
        reinterpret_cast<std::uintptr_t>(page) - reinterpret_cast<std::uintptr_t>(segment.memory.data());
    if (offset < segment.memory.size()) return Place{&segment, offset >> segment.reader.extent_shift()};
  }
  return std::nullopt;
}

void LazyMemory::serve_faults() {
  Worker worker;
  std::array<std::byte*, kFaultsAtOnce> pages{};
  while (true) {
    std::array<pollfd, 2> fds{pollfd{stop_serving_.get(), POLLIN, 0}, pollfd{faults_.fd(), POLLIN, 0}};
    if (::poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return fail(io_error("cannot wait for page faults", errno));
    }
    if (fds[0].revents != 0) return;
    const auto count = faults_.take_faults(pages);
    if (!count) return fail(count.error());
    fault_count_.fetch_add(*count, std::memory_order_relaxed);
    for (std::size_t i = 0; i < *count; ++i) {
      if (auto served = serve(pages[i], worker); !served) fail(std::move(served).error());
    }
  }
}

Result<void> LazyMemory::serve(std::byte* page, Worker& worker) {
  const auto place = place_at(page);
  if (!place) return Error(ErrorKind::kInternal, "a page fault outside of the memory that is restored");
  if (claim(place->number())) bring(*place, worker);
  // Who is bringing the extent wakes those who wait when it is there; if it has failed, nobody does.
  if (fills_[place->number()].load() != Fill::kDone) return {};
  // In an extent that is there, what is missing is zero.
  const MutableByteView memory = place->memory();
  const auto offset = static_cast<std::uint64_t>(page - memory.data());
  const std::uint64_t window_end = (offset / kZeroWindow + 1) * kZeroWindow;
  return faults_.zero(memory.subspan(offset, std::min<std::uint64_t>(memory.size(), window_end) - offset));
}

bool LazyMemory::claim(std::uint64_t number) {
  Fill expected = Fill::kMissing;
  return fills_[number].compare_exchange_strong(expected, Fill::kUnderWay);
}

void LazyMemory::bring(const Place& place, Worker& worker) {
  if (auto placed = read_and_copy(place, worker); !placed) return fail(std::move(placed).error());
  fills_[place.number()].store(Fill::kDone);
  // After the store: a thread that finds its page still missing faults again, and is then served a zero page.
  faults_.wake(place.memory());
  if (done_.fetch_add(1) + 1 == fills_.size()) {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
}

Result<void> LazyMemory::read_and_copy(const Place& place, Worker& worker) const {
  const SegmentReader& reader = place.segment->reader;
  VMSNAP_ASSIGN_OR_RETURN(const bool hole, reader.is_hole(place.index, worker.cursor));
  if (hole) return options_.verify ? reader.verify_zero(place.index) : Result<void>{};
  Extent& extent = worker.extent;
  extent.begin = place.begin();
  extent.end = place.end();
  extent.storage.resize(extent.end - extent.begin);
  extent.bytes = extent.storage;
  VMSNAP_RETURN_IF_ERROR(reader.read(extent.begin, extent.storage, false, worker.cursor));
  if (options_.verify) VMSNAP_RETURN_IF_ERROR(reader.verify_bytes(place.index, extent.bytes));
  // Zero pages stay missing: they cost nothing until they are touched, and nothing at all once all is there.
  find_data(extent);
  for (const ByteRange& range : extent.data) {
    VMSNAP_RETURN_IF_ERROR(faults_.copy(place.segment->memory.data() + range.begin, extent.view(range)));
  }
  return {};
}

void LazyMemory::fill_rest(unsigned threads) {
  const auto fill = [this](std::uint64_t, std::uint64_t) -> Result<void> {
    Worker worker;
    while (!stopped_.load(std::memory_order_relaxed) && !failed_.load(std::memory_order_relaxed)) {
      const std::uint64_t number = next_.fetch_add(1);
      if (number >= fills_.size()) break;
      // Nobody looks at an extent without having claimed it: what all extents need goes when all are done.
      if (claim(number)) bring(place_of(number), worker);
    }
    return {};
  };
  [[maybe_unused]] const Result<void> done = parallel_for(threads, 1, threads, [&] { return fill; });
}

void LazyMemory::fill_in_background() {
  fill_rest(options_.fill_threads);
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopped_.load() || done_.load() == fills_.size(); });
  }
  if (done_.load() == fills_.size()) become_plain_memory();
}

void LazyMemory::become_plain_memory() {
  stop_serving();
  faults_.close();
  segments_.clear();
  file_.reset();
  const std::lock_guard lock(mutex_);
  filled_.store(true, std::memory_order_release);
  changed_.notify_all();
}

void LazyMemory::fail(Error error) {
  {
    const std::lock_guard lock(mutex_);
    if (error_) return;
    error_ = std::move(error);
    failed_.store(true);
    changed_.notify_all();
  }
  if (options_.on_error) options_.on_error(*error_);
}

Result<void> LazyMemory::wait_filled(unsigned threads) {
  fill_rest(std::max(1u, threads));
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return is_filled() || error_; });
  if (error_) return *error_;
  return {};
}

LazyStats LazyMemory::stats() const {
  return {fills_.size(), done_.load(std::memory_order_relaxed), fault_count_.load(std::memory_order_relaxed)};
}

}  // namespace vmsnap
