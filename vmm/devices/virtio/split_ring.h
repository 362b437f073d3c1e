// SPDX-License-Identifier: BSD-2-Clause
// Source: Virtual I/O Device 1.2, section 2.7 (split virtqueues). Private to Virtqueue.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "core/guest_memory.h"
#include "devices/virtio/virtqueue.h"

namespace vmsnap::vmm {

/// A split virtqueue in guest memory, for one call of Virtqueue, whose functions of the same names say what
/// these do. `memory` and `state` must outlive it.
class SplitRing {
 public:
  /// Errors: Corrupt, when a part of the queue is outside guest RAM.
  [[nodiscard]] static Result<SplitRing> find(const GuestMemory& memory, Virtqueue::State& state,
                                              const Virtqueue::Features& features);

  [[nodiscard]] Result<std::optional<Virtqueue::Chain>> pop();
  void push_used(const Virtqueue::Chain& chain, std::uint32_t written);
  [[nodiscard]] bool take_notification();
  [[nodiscard]] bool request_notification();

 private:
  SplitRing(const GuestMemory& memory, Virtqueue::State& state, const Virtqueue::Features& features,
            MutableByteView descriptors, MutableByteView available, MutableByteView used)
      : memory_(memory),
        state_(state),
        features_(features),
        descriptors_(descriptors),
        available_(available),
        used_(used) {}
  [[nodiscard]] Result<Virtqueue::Chain> read_chain(std::uint16_t head) const;

  const GuestMemory& memory_;
  Virtqueue::State& state_;
  Virtqueue::Features features_;
  MutableByteView descriptors_;
  MutableByteView available_;
  MutableByteView used_;
};

}  // namespace vmsnap::vmm
