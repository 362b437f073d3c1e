// SPDX-License-Identifier: BSD-2-Clause
#include "devices/virtio/split_ring.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "devices/virtio/virtqueue_chain.h"

namespace vmsnap::vmm {

namespace {

constexpr std::uint16_t kNoInterrupt = 1;

// In both rings: flags, idx, then the entries, then the event index.
constexpr std::size_t kFlags = 0;
constexpr std::size_t kIndex = 2;
constexpr std::size_t kEntries = 4;
constexpr std::size_t kUsedEntrySize = 8;
constexpr std::size_t kRingOverhead = 6;

}  // namespace

Result<SplitRing> SplitRing::find(const GuestMemory& memory, Virtqueue::State& state,
                                  const Virtqueue::Features& features) {
  const std::uint64_t size = state.size;
  const auto descriptors = memory.find(Gpa(state.descriptor_table), size * kDescriptorSize);
  const auto available = memory.find(Gpa(state.available_ring), kRingOverhead + size * sizeof(std::uint16_t));
  const auto used = memory.find(Gpa(state.used_ring), kRingOverhead + size * kUsedEntrySize);
  if (!descriptors || !available || !used) return broken_queue("a ring is outside guest RAM");
  return SplitRing(memory, state, features, *descriptors, *available, *used);
}

Result<std::optional<Virtqueue::Chain>> SplitRing::pop() {
  const auto waiting =
      static_cast<std::uint16_t>(load_shared<std::uint16_t>(available_, kIndex) - state_.next_available);
  if (waiting == 0) return std::optional<Virtqueue::Chain>();
  if (waiting > state_.size) {
    return broken_queue(fmt::format("{} requests wait in a ring of {}", waiting, state_.size));
  }
  const std::size_t slot = state_.next_available % state_.size;
  const auto head = load_shared<std::uint16_t>(available_, kEntries + slot * sizeof(std::uint16_t));
  VMSNAP_ASSIGN_OR_RETURN(Virtqueue::Chain chain, read_chain(head));
  ++state_.next_available;
  return std::optional<Virtqueue::Chain>(std::move(chain));
}

Result<Virtqueue::Chain> SplitRing::read_chain(std::uint16_t head) const {
  ChainBuilder builder(memory_, features_.indirect);
  ByteView table = descriptors_;
  bool in_indirect = false;
  std::size_t visited = 0;  // in the present table
  std::uint16_t index = head;
  while (true) {
    const std::size_t entries = table.size() / kDescriptorSize;
    if (index >= entries) {
      return broken_queue(fmt::format("descriptor {} is not in a table of {}", index, entries));
    }
    if (++visited > entries) return broken_queue("a chain of descriptors loops");
    // Copied before it is looked at: the guest may change it meanwhile.
    std::array<std::byte, kDescriptorSize> copy;
    const ByteView entry = table.subspan(index * kDescriptorSize, kDescriptorSize);
    std::copy(entry.begin(), entry.end(), copy.begin());
    const Descriptor descriptor{load_le<std::uint64_t>(copy, 0), load_le<std::uint32_t>(copy, 8),
                                load_le<std::uint16_t>(copy, 12)};

    if ((descriptor.flags & kDescriptorIndirect) != 0) {
      if (in_indirect) return broken_queue("an indirect table has an indirect descriptor");
      VMSNAP_ASSIGN_OR_RETURN(table, builder.find_indirect(descriptor));
      in_indirect = true;
      visited = 0;
      index = 0;
      continue;
    }
    VMSNAP_RETURN_IF_ERROR(builder.add(descriptor));
    if ((descriptor.flags & kDescriptorNext) == 0) break;
    index = load_le<std::uint16_t>(copy, 14);
  }
  Virtqueue::Chain chain = builder.take();
  chain.id = head;
  return chain;
}

void SplitRing::push_used(const Virtqueue::Chain& chain, std::uint32_t written) {
  const std::size_t entry = kEntries + (state_.next_used % state_.size) * kUsedEntrySize;
  store_le<std::uint32_t>(used_, entry, chain.id);
  store_le<std::uint32_t>(used_, entry + 4, written);
  ++state_.next_used;
  store_shared(used_, kIndex, state_.next_used);  // the entry is visible before the index
}

bool SplitRing::take_notification() {
  if (!features_.event_index) return (load_shared<std::uint16_t>(available_, kFlags) & kNoInterrupt) == 0;
  const auto used_event =
      load_shared<std::uint16_t>(available_, kEntries + state_.size * sizeof(std::uint16_t));
  const std::optional<std::uint16_t> last = state_.signalled_used;
  state_.signalled_used = state_.next_used;
  if (!last) return true;
  // Wanted when the entry at used_event is among those pushed since last time (2.7.10.1).
  const auto since_event = static_cast<std::uint16_t>(state_.next_used - used_event - 1);
  const auto since_last = static_cast<std::uint16_t>(state_.next_used - *last);
  return since_event < since_last;
}

bool SplitRing::request_notification() {
  if (features_.event_index) {
    store_shared(used_, kEntries + state_.size * kUsedEntrySize, state_.next_available);
  }
  return load_shared<std::uint16_t>(available_, kIndex) != state_.next_available;
}

}  // namespace vmsnap::vmm
