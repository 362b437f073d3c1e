// SPDX-License-Identifier: BSD-2-Clause
#include "devices/virtio/packed_ring.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "devices/virtio/virtqueue_chain.h"

namespace vmsnap::vmm {

namespace {

// Of a descriptor: addr, len, id, flags.
constexpr std::size_t kLength = 8;
constexpr std::size_t kId = 12;
constexpr std::size_t kFlags = 14;
constexpr std::uint16_t kAvailable = 1U << 7;
constexpr std::uint16_t kUsed = 1U << 15;

// Of an event suppression structure, as one little-endian word: offset, wrap counter, flags.
constexpr std::size_t kEventSize = 4;
constexpr unsigned kEventFlagsShift = 16;
constexpr std::uint32_t kEventFlagsMask = 3;
constexpr std::uint32_t kEventDisable = 1;
constexpr std::uint32_t kEventDescriptor = 2;
constexpr std::uint16_t kEventWrap = 0x8000;
constexpr std::uint16_t kEventOffset = 0x7fff;

struct PackedDescriptor {
  Descriptor fields;
  std::uint16_t id;
};

/// Copied before it is looked at: the guest may change it meanwhile.
PackedDescriptor read_descriptor(ByteView table, std::size_t index) {
  std::array<std::byte, kDescriptorSize> copy;
  const ByteView entry = table.subspan(index * kDescriptorSize, kDescriptorSize);
  std::copy(entry.begin(), entry.end(), copy.begin());
  return {{load_le<std::uint64_t>(copy, 0), load_le<std::uint32_t>(copy, kLength),
           load_le<std::uint16_t>(copy, kFlags)},
          load_le<std::uint16_t>(copy, kId)};
}

std::uint16_t encode(std::uint16_t offset, bool wrap) {
  return static_cast<std::uint16_t>(offset | (wrap ? kEventWrap : 0));
}

}  // namespace

Result<PackedRing> PackedRing::find(const GuestMemory& memory, Virtqueue::State& state,
                                    const Virtqueue::Features& features) {
  const auto ring = memory.find(Gpa(state.descriptor_table), state.size * kDescriptorSize);
  const auto driver = memory.find(Gpa(state.available_ring), kEventSize);
  const auto device = memory.find(Gpa(state.used_ring), kEventSize);
  if (!ring || !driver || !device) return broken_queue("a ring is outside guest RAM");
  return PackedRing(memory, state, features, *ring, *driver, *device);
}

PackedRing::Position PackedRing::advanced(Position position, std::uint16_t descriptors) const {
  const unsigned offset = unsigned{position.offset} + descriptors;  // a chain is never longer than the ring
  if (offset < state_.size) return {static_cast<std::uint16_t>(offset), position.wrap};
  return {static_cast<std::uint16_t>(offset - state_.size), !position.wrap};
}

bool PackedRing::is_available(Position position) const {
  const auto flags = load_shared<std::uint16_t>(ring_, position.offset * kDescriptorSize + kFlags);
  return ((flags & kAvailable) != 0) == position.wrap && ((flags & kUsed) != 0) != position.wrap;
}

unsigned PackedRing::distance(Position from, Position to) const {
  const unsigned size = state_.size;
  const auto place = [size](Position position) { return position.offset + (position.wrap ? 0 : size); };
  return (place(to) + 2 * size - place(from)) % (2 * size);
}

Result<std::optional<Virtqueue::Chain>> PackedRing::pop() {
  Position position = next_available();
  if (!is_available(position)) return std::optional<Virtqueue::Chain>();
  ChainBuilder builder(memory_, features_.indirect);
  // Those taken and not yet used are ours until they are, whatever the guest has written there since.
  const unsigned free = state_.size - distance(next_used(), position);
  std::uint16_t descriptors = 0;
  PackedDescriptor descriptor{};
  do {
    if (descriptors == free) {
      return broken_queue(
          fmt::format("a chain has more than the {} descriptors that the ring has free", free));
    }
    // The driver makes the first one available last (2.8.6), so all must be by now.
    if (descriptors != 0 && !is_available(position)) {
      return broken_queue(
          fmt::format("a chain goes on in descriptor {}, which is not available", position.offset));
    }
    descriptor = read_descriptor(ring_, position.offset);
    if ((descriptor.fields.flags & kDescriptorIndirect) != 0) {
      if (descriptors != 0) return broken_queue("an indirect descriptor is part of a chain");
      VMSNAP_ASSIGN_OR_RETURN(const MutableByteView table, builder.find_indirect(descriptor.fields));
      VMSNAP_RETURN_IF_ERROR(read_indirect(table, builder));
    } else {
      VMSNAP_RETURN_IF_ERROR(builder.add(descriptor.fields));
    }
    ++descriptors;
    position = advanced(position, 1);
  } while ((descriptor.fields.flags & kDescriptorNext) != 0);

  Virtqueue::Chain chain = builder.take();
  // The driver's own name for the chain, given back as it is and used for nothing here. The last descriptor
  // has it.
  chain.id = descriptor.id;
  chain.descriptors = descriptors;
  state_.next_available = position.offset;
  state_.wrap->available = position.wrap;
  return std::optional<Virtqueue::Chain>(std::move(chain));
}

Result<void> PackedRing::read_indirect(ByteView table, ChainBuilder& builder) const {
  for (std::size_t i = 0; i < table.size() / kDescriptorSize; ++i) {
    // All flags but WRITE are to be ignored here (2.8.7).
    VMSNAP_RETURN_IF_ERROR(builder.add(read_descriptor(table, i).fields));
  }
  return {};
}

void PackedRing::push_used(const Virtqueue::Chain& chain, std::uint32_t written) {
  const Position position = next_used();
  const std::size_t entry = position.offset * kDescriptorSize;
  store_le<std::uint32_t>(ring_, entry + kLength, written);
  store_le<std::uint16_t>(ring_, entry + kId, chain.id);
  std::uint16_t flags = written != 0 ? kDescriptorWrite : 0;
  if (position.wrap) flags |= kAvailable | kUsed;
  store_shared(ring_, entry + kFlags, flags);  // the rest is visible before the flags
  const Position next = advanced(position, chain.descriptors);
  state_.next_used = next.offset;
  state_.wrap->used = next.wrap;
}

bool PackedRing::take_notification() {
  const auto event = load_shared<std::uint32_t>(driver_, 0);
  const Position now = next_used();
  std::optional<std::uint16_t> last;
  if (features_.event_index) last = std::exchange(state_.signalled_used, encode(now.offset, now.wrap));
  const std::uint32_t flags = event >> kEventFlagsShift & kEventFlagsMask;
  if (flags == kEventDisable) return false;
  // One notification too many does no harm, so this is also the answer to values that are reserved.
  if (flags != kEventDescriptor || !last) return true;
  // Wanted when the descriptor of the event is among those used since last time (2.8.10).
  const Position wanted{static_cast<std::uint16_t>(event & kEventOffset), (event & kEventWrap) != 0};
  if (wanted.offset >= state_.size) return false;
  const Position told{static_cast<std::uint16_t>(*last & kEventOffset), (*last & kEventWrap) != 0};
  return distance(advanced(wanted, 1), now) < distance(told, now);
}

bool PackedRing::request_notification() {
  const Position next = next_available();
  const std::uint32_t event =
      features_.event_index ? kEventDescriptor << kEventFlagsShift | encode(next.offset, next.wrap) : 0;
  store_shared(device_, 0, event);
  return is_available(next);
}

}  // namespace vmsnap::vmm
