// SPDX-License-Identifier: BSD-2-Clause
// Virtio devices and their queues.
#include <algorithm>

#include "bhyve/verdict/values/value_checker.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kNoVector = 0xffff;

/// What bhyve compares with its own before it resumes.
struct Model {
  std::string_view emulation;
  std::int64_t fewest_queues;
  std::int64_t most_queues;
  std::int64_t config_size;
  std::uint64_t queue_size;
};
/// A virtio-net with a control queue has three.
constexpr Model kModels[] = {
    {"virtio-blk", 1, 1, 60, 128}, {"virtio-net", 2, 3, 12, 1024}, {"virtio-rnd", 1, 1, 0, 64}};

std::uint64_t page_aligned(std::uint64_t size) {
  return (size + kPage - 1) / kPage * kPage;
}

std::uint16_t load16(ByteView bytes, std::uint64_t at) {
  return load_le<std::uint16_t>(bytes, static_cast<std::size_t>(at));
}

/// A vector of MSI-X, or none.
void check_vector(ValueChecker& chunk, const std::string& path) {
  const std::uint64_t vector = chunk.get_or_zero(path);
  const std::uint64_t count = chunk.get_or_zero("msix.table_count");
  if (count == 0 || vector == kNoVector || vector < count) return;
  chunk.say(path, "msix-vector", fmt::format("{} is no vector of a device that has {}", vector, count));
}

class Queue {
 public:
  Queue(ValueChecker& chunk, const Model& model, std::uint64_t index)
      : chunk_(chunk), model_(model), index_(index), name_(fmt::format("queue[{}].", index)) {}

  void check() {
    const std::uint64_t size = get("vq_qsize");
    const auto own = static_cast<std::int64_t>(index_);
    chunk_.within(name_ + "vq_num", own, own, "the queue's own number", Consequence::kRefused);
    check_vector(chunk_, name_ + "vq_msix_idx");
    check_flags();
    if (size == 0 || size > 32768 || (size & (size - 1)) != 0) {
      chunk_.say(name_ + "vq_qsize", "queue",
                 fmt::format("{} entries: a ring has a power of two up to 32768", size),
                 Consequence::kRefused);
      return;
    }
    if (size != model_.queue_size && index_ < 2) {
      chunk_.say(
          name_ + "vq_qsize", "queue",
          fmt::format("{} entries: in every bhyve that is known this queue has {}", size, model_.queue_size),
          Consequence::kRefused);
    }
    check_ring(size);
  }

 private:
  [[nodiscard]] std::uint64_t get(std::string_view field) const {
    return chunk_.get_or_zero(name_ + std::string(field));
  }

  void check_flags() {
    constexpr std::uint64_t kAllocated = 1, kBroken = 2;
    const std::uint64_t flags = get("vq_flags");
    chunk_.without_bits(name_ + "vq_flags", ~(kAllocated | kBroken), "which no queue has");
    if ((flags & kBroken) != 0)
      chunk_.say(name_ + "vq_flags", "queue",
                 fmt::format("{:#x}: bhyve had given the queue up after what the guest put into it", flags));
  }

  void check_ring(std::uint64_t size) {
    const auto ring = chunk_.decoded().bytes(name_ + "ring");
    if (!ring) return;
    const std::uint64_t available = 16 * size;
    const std::uint64_t used = page_aligned(available + 2 * (3 + size));
    const std::uint64_t desc = get("desc_ring");
    if (!chunk_.is_memory(desc, ring->size()) && chunk_.is_memory(desc, 1)) {
      chunk_.say(name_ + "desc_ring", "outside-memory",
                 fmt::format("the ring has {} bytes from {:#x} on, which reach beyond the guest's memory",
                             ring->size(), desc),
                 Consequence::kCrash);
    }
    if (get("avail_ring") - desc != available || get("used_ring") - desc != used) {
      chunk_.say(
          name_ + "avail_ring", "queue",
          fmt::format("the parts of the ring are at {:#x}, {:#x} and {:#x}, not {} and {} bytes apart as {} "
                      "entries need",
                      desc, get("avail_ring"), get("used_ring"), available, used, size));
    }
    if (get("vq_pfn") * kPage != desc)
      chunk_.say(name_ + "vq_pfn", "queue",
                 fmt::format("the guest reads that the ring is in page {:#x}, but it is at {:#x}",
                             get("vq_pfn"), desc));
    if (used + 4 <= ring->size()) check_indices(*ring, size, available, used);
  }

  /// Indices count on and on, 16 bits wide; what is between them cannot be more than the ring has.
  void check_indices(ByteView ring, std::uint64_t size, std::uint64_t available, std::uint64_t used) {
    const auto last = static_cast<std::uint16_t>(get("vq_last_avail"));
    const auto next = static_cast<std::uint16_t>(get("vq_next_used"));
    distance("vq_last_avail", load16(ring, available + 2), last, size,
             "requests that the device has not taken");
    distance("vq_next_used", last, next, size, "requests that the device has taken and not returned");
    distance("vq_next_used", next, load16(ring, used + 2), size,
             "requests returned that the guest cannot see");
  }

  void distance(std::string_view field, std::uint16_t ahead, std::uint16_t behind, std::uint64_t size,
                std::string_view what) {
    const auto apart = static_cast<std::uint16_t>(ahead - behind);
    if (apart <= size) return;
    chunk_.say(name_ + std::string(field), "queue",
               fmt::format("the indices {} and {} are {} apart as {}, but the ring has {} entries", ahead,
                           behind, apart, what, size));
  }

  ValueChecker& chunk_;
  const Model& model_;
  std::uint64_t index_;
  std::string name_;
};

void check_status(ValueChecker& chunk) {
  constexpr std::uint64_t kStatusReserved = 0x30;
  constexpr std::uint64_t kInterrupts = 0x3;
  chunk.without_bits("vs_status", kStatusReserved, "which a driver does not set");
  chunk.without_bits("vs_isr", ~kInterrupts, "but there are two causes of an interrupt");
  chunk.within("vs_curq", 0, 0xffff, "the queue that the guest has selected");
  check_vector(chunk, "vs_msix_cfg_idx");
  if (const std::uint64_t beyond = chunk.get_or_zero("vs_negotiated_caps") & ~chunk.get_or_zero("vc_hv_caps");
      beyond != 0) {
    chunk.say("vs_negotiated_caps", "virtio-features",
              fmt::format("the guest uses the features {:#x}, which the device does not offer", beyond));
  }
}

}  // namespace

void check_virtio(ValueChecker& chunk) {
  const auto* const model = std::find_if(std::begin(kModels), std::end(kModels), [&](const Model& one) {
    return one.emulation == chunk.decoded().layout().chunk;
  });
  if (model == std::end(kModels)) return;
  chunk.within("vc_nvq", model->fewest_queues, model->most_queues, "the number of queues",
               Consequence::kRefused);
  chunk.within("vc_cfgsize", model->config_size, model->config_size, "bytes of configuration",
               Consequence::kRefused);
  check_status(chunk);
  constexpr std::uint64_t kMostQueues = 64;
  const std::uint64_t count = std::min(chunk.get_or_zero("vc_nvq"), kMostQueues);
  for (std::uint64_t index = 0; index < count; ++index) Queue(chunk, *model, index).check();
  for (const std::string_view path : {"vhdrlen", "be_vhdrlen"}) {
    if (const auto header = chunk.get(path); header && *header != 0 && *header != 10 && *header != 12)
      chunk.say(path, "out-of-range", fmt::format("{} bytes: the header of a packet has 10 or 12", *header));
  }
}

}  // namespace vmsnap::compat::bhyve
