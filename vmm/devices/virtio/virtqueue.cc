// SPDX-License-Identifier: BSD-2-Clause
#include "devices/virtio/virtqueue.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

namespace vmsnap::vmm {

namespace {

constexpr std::uint64_t kDescriptorSize = 16;
constexpr std::uint16_t kNext = 1;
constexpr std::uint16_t kWrite = 2;
constexpr std::uint16_t kIndirect = 4;
constexpr std::uint16_t kNoInterrupt = 1;

// In both rings: flags, idx, then the entries, then the event index.
constexpr std::size_t kFlags = 0;
constexpr std::size_t kIndex = 2;
constexpr std::size_t kEntries = 4;
constexpr std::size_t kUsedEntrySize = 8;
constexpr std::size_t kRingOverhead = 6;

/// Most bytes in one chain (2.7.4: 2^32).
constexpr std::uint64_t kMaxChainBytes = std::uint64_t{1} << 32;

Error broken(std::string sentence) {
  return {ErrorKind::kCorrupt, "the guest's virtqueue is broken: " + std::move(sentence)};
}

// The guest writes and reads these concurrently. Sequential consistency puts a full barrier between our
// store of one index and our load of another, which both directions of event suppression need. The rings
// are aligned (checked when the queue is enabled) and so is the host memory behind them.
std::uint16_t load_shared(MutableByteView ring, std::size_t offset) {
  return __atomic_load_n(reinterpret_cast<std::uint16_t*>(ring.subspan(offset, 2).data()), __ATOMIC_SEQ_CST);
}

void store_shared(MutableByteView ring, std::size_t offset, std::uint16_t value) {
  __atomic_store_n(reinterpret_cast<std::uint16_t*>(ring.subspan(offset, 2).data()), value, __ATOMIC_SEQ_CST);
}

}  // namespace

struct Virtqueue::Rings {
  MutableByteView descriptors;
  MutableByteView available;
  MutableByteView used;
};

Virtqueue::Virtqueue(std::uint16_t max_size) {
  state_.max_size = max_size;
  state_.size = max_size;
}

void Virtqueue::reset() {
  enabled_.store(false, std::memory_order_release);
  const std::uint16_t max_size = state_.max_size;
  state_ = State{};
  state_.max_size = max_size;
  state_.size = max_size;
  indirect_ = false;
  event_index_ = false;
}

void Virtqueue::set_features(bool indirect, bool event_index) {
  indirect_ = indirect;
  event_index_ = event_index;
}

Result<void> Virtqueue::validate(const State& state) {
  if (!std::has_single_bit(state.max_size)) {
    return Error(ErrorKind::kCorrupt, fmt::format("max_size {} is not a power of two", state.max_size));
  }
  if (state.max_size > kSizeLimit) {
    return Error(ErrorKind::kUnsupported, fmt::format("max_size {} is more than the {} this VMM supports",
                                                      state.max_size, kSizeLimit));
  }
  if (!std::has_single_bit(state.size) || state.size > state.max_size) {
    return Error(ErrorKind::kCorrupt,
                 fmt::format("size {} is not a power of two up to max_size {}", state.size, state.max_size));
  }
  const bool aligned = state.descriptor_table % kDescriptorSize == 0 && state.available_ring % 2 == 0 &&
                       state.used_ring % 4 == 0;
  if (state.enabled && !aligned) {
    return Error(ErrorKind::kCorrupt,
                 fmt::format("the rings at {:#x}, {:#x} and {:#x} are not aligned to 16, 2 and 4 bytes",
                             state.descriptor_table, state.available_ring, state.used_ring));
  }
  return {};
}

Result<void> Virtqueue::enable() {
  State wanted = state_;
  wanted.enabled = true;
  VMSNAP_RETURN_IF_ERROR(validate(wanted));
  enabled_.store(true, std::memory_order_release);
  return {};
}

Virtqueue::State Virtqueue::state() const {
  State state = state_;
  state.enabled = enabled();
  if (!event_index_) state.signalled_used.reset();
  return state;
}

void Virtqueue::assign(const State& state) {
  state_ = state;
  enabled_.store(state.enabled, std::memory_order_release);
}

Result<Virtqueue::Rings> Virtqueue::find_rings(const GuestMemory& memory) const {
  const std::uint64_t size = state_.size;
  const auto descriptors = memory.find(Gpa(state_.descriptor_table), size * kDescriptorSize);
  const auto available =
      memory.find(Gpa(state_.available_ring), kRingOverhead + size * sizeof(std::uint16_t));
  const auto used = memory.find(Gpa(state_.used_ring), kRingOverhead + size * kUsedEntrySize);
  if (!descriptors || !available || !used) return broken("a ring is outside guest RAM");
  return Rings{*descriptors, *available, *used};
}

Result<std::optional<Virtqueue::Chain>> Virtqueue::pop(const GuestMemory& memory) {
  if (!enabled()) return std::optional<Chain>();
  VMSNAP_ASSIGN_OR_RETURN(const Rings rings, find_rings(memory));
  const auto waiting =
      static_cast<std::uint16_t>(load_shared(rings.available, kIndex) - state_.next_available);
  if (waiting == 0) return std::optional<Chain>();
  if (waiting > state_.size) {
    return broken(fmt::format("{} requests wait in a ring of {}", waiting, state_.size));
  }
  const std::size_t slot = state_.next_available % state_.size;
  const std::uint16_t head = load_shared(rings.available, kEntries + slot * sizeof(std::uint16_t));
  VMSNAP_ASSIGN_OR_RETURN(Chain chain, read_chain(memory, rings.descriptors, head));
  ++state_.next_available;
  return std::optional<Chain>(std::move(chain));
}

Result<Virtqueue::Chain> Virtqueue::read_chain(const GuestMemory& memory, ByteView table,
                                               std::uint16_t head) const {
  Chain chain;
  chain.head = head;
  std::uint64_t total = 0;
  bool in_indirect = false;
  std::size_t visited = 0;  // in the present table
  std::uint16_t index = head;
  while (true) {
    const std::size_t entries = table.size() / kDescriptorSize;
    if (index >= entries) return broken(fmt::format("descriptor {} is not in a table of {}", index, entries));
    if (++visited > entries) return broken("a chain of descriptors loops");
    // Copied before it is looked at: the guest may change it meanwhile.
    std::array<std::byte, kDescriptorSize> copy;
    const ByteView entry = table.subspan(index * kDescriptorSize, kDescriptorSize);
    std::copy(entry.begin(), entry.end(), copy.begin());
    const auto address = load_le<std::uint64_t>(copy, 0);
    const auto length = load_le<std::uint32_t>(copy, 8);
    const auto flags = load_le<std::uint16_t>(copy, 12);
    const auto next = load_le<std::uint16_t>(copy, 14);

    if ((flags & kIndirect) != 0) {
      if (!indirect_) return broken("it uses indirect descriptors, which were not negotiated");
      if (in_indirect) return broken("an indirect table has an indirect descriptor");
      if ((flags & kNext) != 0) return broken("an indirect descriptor has a successor");
      if (length == 0 || length % kDescriptorSize != 0 || length / kDescriptorSize > kMaxChain) {
        return broken(fmt::format("an indirect table has {} bytes", length));
      }
      const auto indirect = memory.find(Gpa(address), length);
      if (!indirect) return broken(fmt::format("the indirect table at {:#x} is outside guest RAM", address));
      table = *indirect;
      in_indirect = true;
      visited = 0;
      index = 0;
      continue;
    }

    if (length == 0) return broken(fmt::format("descriptor {} has no bytes", index));
    total += length;
    if (total > kMaxChainBytes) return broken("a chain has more than 4 GiB");
    if (chain.readable.size() + chain.writable.size() == kMaxChain) {
      return broken(fmt::format("a chain has more than {} buffers", kMaxChain));
    }
    const auto buffer = memory.find(Gpa(address), length);
    if (!buffer) {
      return broken(fmt::format("the buffer at {:#x} of {} bytes is not inside guest RAM", address, length));
    }
    if ((flags & kWrite) != 0) {
      chain.writable.push_back(*buffer);
    } else if (chain.writable.empty()) {
      chain.readable.push_back(*buffer);
    } else {
      return broken("a readable buffer follows a writable one");
    }
    if ((flags & kNext) == 0) return chain;
    index = next;
  }
}

Result<void> Virtqueue::push_used(const GuestMemory& memory, std::uint16_t head, std::uint32_t written) {
  VMSNAP_ASSIGN_OR_RETURN(const Rings rings, find_rings(memory));
  const std::size_t entry = kEntries + (state_.next_used % state_.size) * kUsedEntrySize;
  store_le<std::uint32_t>(rings.used, entry, head);
  store_le<std::uint32_t>(rings.used, entry + 4, written);
  ++state_.next_used;
  store_shared(rings.used, kIndex, state_.next_used);  // the entry is visible before the index
  return {};
}

Result<bool> Virtqueue::take_notification(const GuestMemory& memory) {
  VMSNAP_ASSIGN_OR_RETURN(const Rings rings, find_rings(memory));
  if (!event_index_) return (load_shared(rings.available, kFlags) & kNoInterrupt) == 0;
  const std::uint16_t used_event =
      load_shared(rings.available, kEntries + state_.size * sizeof(std::uint16_t));
  const std::optional<std::uint16_t> last = state_.signalled_used;
  state_.signalled_used = state_.next_used;
  if (!last) return true;
  // Wanted when the entry at used_event is among those pushed since last time (2.7.10.1).
  const auto since_event = static_cast<std::uint16_t>(state_.next_used - used_event - 1);
  const auto since_last = static_cast<std::uint16_t>(state_.next_used - *last);
  return since_event < since_last;
}

Result<bool> Virtqueue::request_notification(const GuestMemory& memory) {
  if (!enabled()) return false;
  VMSNAP_ASSIGN_OR_RETURN(const Rings rings, find_rings(memory));
  if (event_index_) store_shared(rings.used, kEntries + state_.size * kUsedEntrySize, state_.next_available);
  return load_shared(rings.available, kIndex) != state_.next_available;
}

}  // namespace vmsnap::vmm
