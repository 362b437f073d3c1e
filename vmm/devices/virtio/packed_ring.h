// SPDX-License-Identifier: BSD-2-Clause
// Source: Virtual I/O Device 1.2, section 2.8 (packed virtqueues). Private to Virtqueue.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "core/guest_memory.h"
#include "devices/virtio/virtqueue.h"

namespace vmsnap::vmm {

class ChainBuilder;

/// A packed virtqueue in guest memory, for one call of Virtqueue, whose functions of the same names say what
/// these do. Chains may be used in another order than they were taken. `memory` and `state` must outlive it.
class PackedRing {
 public:
  /// `state` has wrap counters. Errors: Corrupt, when a part of the queue is outside guest RAM.
  [[nodiscard]] static Result<PackedRing> find(const GuestMemory& memory, Virtqueue::State& state,
                                               const Virtqueue::Features& features);

  [[nodiscard]] Result<std::optional<Virtqueue::Chain>> pop();
  void push_used(const Virtqueue::Chain& chain, std::uint32_t written);
  [[nodiscard]] bool take_notification();
  [[nodiscard]] bool request_notification();

 private:
  /// A place in the ring and in its rounds.
  struct Position {
    std::uint16_t offset;
    bool wrap;
  };

  PackedRing(const GuestMemory& memory, Virtqueue::State& state, const Virtqueue::Features& features,
             MutableByteView ring, MutableByteView driver, MutableByteView device)
      : memory_(memory), state_(state), features_(features), ring_(ring), driver_(driver), device_(device) {}

  [[nodiscard]] Position advanced(Position position, std::uint16_t descriptors) const;
  [[nodiscard]] Position next_available() const { return {state_.next_available, state_.wrap->available}; }
  [[nodiscard]] Position next_used() const { return {state_.next_used, state_.wrap->used}; }
  [[nodiscard]] bool is_available(Position position) const;
  /// How many descriptors `to` is ahead of `from`, modulo two rounds.
  [[nodiscard]] unsigned distance(Position from, Position to) const;
  [[nodiscard]] Result<void> read_indirect(ByteView table, ChainBuilder& builder) const;

  const GuestMemory& memory_;
  Virtqueue::State& state_;
  Virtqueue::Features features_;
  MutableByteView ring_;
  MutableByteView driver_;  // event suppression, read by us
  MutableByteView device_;  // event suppression, written by us
};

}  // namespace vmsnap::vmm
