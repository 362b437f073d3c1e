// SPDX-License-Identifier: BSD-2-Clause
#include "devices/virtio/virtqueue.h"

#include <fmt/format.h>

#include <bit>

#include "devices/virtio/packed_ring.h"
#include "devices/virtio/split_ring.h"

namespace vmsnap::vmm {

namespace {

constexpr std::uint16_t kOffsetBits = 0x7fff;  // of signalled_used of a packed ring

/// Calls `use` with the ring in guest memory; Result<R> of what it gives.
template <typename R, typename Use>
Result<R> with_ring(const GuestMemory& memory, Virtqueue::State& state, const Virtqueue::Features& features,
                    const Use& use) {
  if (state.wrap) {
    VMSNAP_ASSIGN_OR_RETURN(PackedRing ring, PackedRing::find(memory, state, features));
    return use(ring);
  }
  VMSNAP_ASSIGN_OR_RETURN(SplitRing ring, SplitRing::find(memory, state, features));
  return use(ring);
}

Result<void> validate_split(const Virtqueue::State& state) {
  if (!std::has_single_bit(state.size) || state.size > state.max_size) {
    return Error(ErrorKind::kCorrupt,
                 fmt::format("size {} is not a power of two up to max_size {}", state.size, state.max_size));
  }
  const bool aligned =
      state.descriptor_table % 16 == 0 && state.available_ring % 2 == 0 && state.used_ring % 4 == 0;
  if (state.enabled && !aligned) {
    return Error(ErrorKind::kCorrupt,
                 fmt::format("the rings at {:#x}, {:#x} and {:#x} are not aligned to 16, 2 and 4 bytes",
                             state.descriptor_table, state.available_ring, state.used_ring));
  }
  return {};
}

Result<void> validate_packed(const Virtqueue::State& state) {
  // Need not be a power of two (2.8.10.1).
  if (state.size == 0 || state.size > state.max_size) {
    return Error(ErrorKind::kCorrupt,
                 fmt::format("size {} is not from 1 to max_size {}", state.size, state.max_size));
  }
  const auto inside = [&state](unsigned offset) { return offset < state.size; };
  if (!inside(state.next_available) || !inside(state.next_used) ||
      (state.signalled_used && !inside(*state.signalled_used & kOffsetBits))) {
    return Error(
        ErrorKind::kCorrupt,
        fmt::format("next_available {}, next_used {} or signalled_used is outside a packed ring of {}",
                    state.next_available, state.next_used, state.size));
  }
  // What is taken and not yet used lies between them, at most one round.
  const bool same_round = state.wrap->available == state.wrap->used;
  const bool ordered =
      same_round ? state.next_used <= state.next_available : state.next_available <= state.next_used;
  if (!ordered) {
    return Error(
        ErrorKind::kCorrupt,
        fmt::format("next_available {} and next_used {} are more than one round of the packed ring apart",
                    state.next_available, state.next_used));
  }
  const bool aligned =
      state.descriptor_table % 16 == 0 && state.available_ring % 4 == 0 && state.used_ring % 4 == 0;
  if (state.enabled && !aligned) {
    return Error(
        ErrorKind::kCorrupt,
        fmt::format("the parts of the packed ring at {:#x}, {:#x} and {:#x} are not aligned to 16, 4 and "
                    "4 bytes",
                    state.descriptor_table, state.available_ring, state.used_ring));
  }
  return {};
}

}  // namespace

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
  features_ = Features{};
}

Result<void> Virtqueue::set_features(const Features& features) {
  features_ = features;
  if (!features.packed) {
    state_.wrap.reset();
  } else if (!state_.wrap) {
    state_.wrap = WrapCounters{};
  }
  return validate(state());
}

Result<void> Virtqueue::validate(const State& state) {
  // Also for a packed ring: before the driver has chosen, a split one must fit.
  if (!std::has_single_bit(state.max_size)) {
    return Error(ErrorKind::kCorrupt, fmt::format("max_size {} is not a power of two", state.max_size));
  }
  if (state.max_size > kSizeLimit) {
    return Error(ErrorKind::kUnsupported, fmt::format("max_size {} is more than the {} this VMM supports",
                                                      state.max_size, kSizeLimit));
  }
  return state.wrap ? validate_packed(state) : validate_split(state);
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
  if (!features_.event_index) state.signalled_used.reset();
  return state;
}

void Virtqueue::assign(const State& state, const Features& features) {
  state_ = state;
  features_ = features;
  enabled_.store(state.enabled, std::memory_order_release);
}

Result<std::optional<Virtqueue::Chain>> Virtqueue::pop(const GuestMemory& memory) {
  if (!enabled()) return std::optional<Chain>();
  return with_ring<std::optional<Chain>>(memory, state_, features_, [](auto& ring) { return ring.pop(); });
}

Result<void> Virtqueue::push_used(const GuestMemory& memory, const Chain& chain, std::uint32_t written) {
  return with_ring<void>(memory, state_, features_, [&](auto& ring) -> Result<void> {
    ring.push_used(chain, written);
    return {};
  });
}

Result<bool> Virtqueue::take_notification(const GuestMemory& memory) {
  return with_ring<bool>(memory, state_, features_, [](auto& ring) { return ring.take_notification(); });
}

Result<bool> Virtqueue::request_notification(const GuestMemory& memory) {
  if (!enabled()) return false;
  return with_ring<bool>(memory, state_, features_, [](auto& ring) { return ring.request_notification(); });
}

}  // namespace vmsnap::vmm
