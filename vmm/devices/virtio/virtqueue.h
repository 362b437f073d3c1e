// SPDX-License-Identifier: BSD-2-Clause
// Source: Virtual I/O Device 1.2, sections 2.7 (split virtqueues) and 2.8 (packed virtqueues).
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "core/guest_memory.h"

namespace vmsnap::vmm {

/// The device's side of one virtqueue, split or packed, whichever the driver negotiated. Everything in the
/// rings is the guest's and hostile: every address, index, length and link is checked, and read once.
///
/// The setters are for the transport, the rest for the thread that processes the queue; the transport only
/// calls setters while the queue is not enabled, or while no one processes it.
class Virtqueue {
 public:
  /// Largest queue_size that a device may offer.
  static constexpr std::uint16_t kSizeLimit = 1024;
  /// Most buffers in one chain, direct or indirect (the IOV_MAX of the host).
  static constexpr std::size_t kMaxChain = 1024;

  /// What of the features that the driver accepted concerns the rings.
  struct Features {
    bool indirect = false;
    bool event_index = false;
    bool packed = false;
  };

  /// Of the device, in a packed ring.
  struct WrapCounters {
    bool available = true;
    bool used = true;
    bool operator==(const WrapCounters&) const = default;
  };

  /// What a snapshot keeps (schema/common/virtio.fbs has the meaning of each).
  struct State {
    std::uint16_t size = 0;
    std::uint16_t max_size = 0;
    bool enabled = false;
    std::uint64_t descriptor_table = 0;
    std::uint64_t available_ring = 0;
    std::uint64_t used_ring = 0;
    // Of a split ring: counts modulo 65536. Of a packed ring: offsets, and the wrap counters belong to them.
    std::uint16_t next_available = 0;
    std::uint16_t next_used = 0;
    // A used count; of a packed ring the offset in bits 14:0 and the wrap counter in bit 15.
    std::optional<std::uint16_t> signalled_used;
    std::optional<WrapCounters> wrap;  // exactly when the ring is packed
    bool operator==(const State&) const = default;
  };

  /// A request of the driver. The views are guest memory: the guest may change what is behind them.
  struct Chain {
    std::uint16_t id = 0;           // head of a split ring's chain, buffer id of a packed ring's
    std::uint16_t descriptors = 1;  // of a packed ring that it takes up
    std::vector<MutableByteView> readable;
    std::vector<MutableByteView> writable;
  };

  /// `max_size` is a power of two, at most kSizeLimit.
  explicit Virtqueue(std::uint16_t max_size);

  /// Back to what it was when made; max_size stays.
  void reset();
  void set_size(std::uint16_t size) { state_.size = size; }
  void set_descriptor_table(std::uint64_t address) { state_.descriptor_table = address; }
  void set_available_ring(std::uint64_t address) { state_.available_ring = address; }
  void set_used_ring(std::uint64_t address) { state_.used_ring = address; }
  /// What the driver accepted. A ring that becomes packed begins with wrap counters of 1. Errors: Corrupt
  /// when the queue is enabled already and does not fit the features.
  [[nodiscard]] Result<void> set_features(const Features& features);
  [[nodiscard]] bool packed() const { return state_.wrap.has_value(); }
  /// Makes the queue live. Errors: Corrupt when size or alignment are not as 2.7 or 2.8 demand.
  [[nodiscard]] Result<void> enable();

  [[nodiscard]] bool enabled() const { return enabled_.load(std::memory_order_acquire); }
  // What the driver has set up; also while the queue is processed.
  [[nodiscard]] std::uint16_t size() const { return state_.size; }
  [[nodiscard]] std::uint16_t max_size() const { return state_.max_size; }
  [[nodiscard]] std::uint64_t descriptor_table() const { return state_.descriptor_table; }
  [[nodiscard]] std::uint64_t available_ring() const { return state_.available_ring; }
  [[nodiscard]] std::uint64_t used_ring() const { return state_.used_ring; }
  /// Everything; not while the queue is processed.
  [[nodiscard]] State state() const;
  /// `state` has been checked with validate(), and has wrap counters exactly when `features` say packed.
  void assign(const State& state, const Features& features);
  /// Sizes, places in a packed ring and, when enabled, alignment. Errors: Corrupt, Unsupported.
  [[nodiscard]] static Result<void> validate(const State& state);

  /// The next request, or nullopt when there is none. Errors: Corrupt when the rings or the chain are not as
  /// 2.7 or 2.8 demand; the device then needs a reset.
  [[nodiscard]] Result<std::optional<Chain>> pop(const GuestMemory& memory);

  /// Gives a chain of pop() back after `written` bytes went into its writable part. Errors: Corrupt.
  [[nodiscard]] Result<void> push_used(const GuestMemory& memory, const Chain& chain, std::uint32_t written);

  /// True when the driver wants to be told of what was pushed since it was told last. Asking counts as
  /// telling. Errors: Corrupt.
  [[nodiscard]] Result<bool> take_notification(const GuestMemory& memory);

  /// Asks the driver to notify the device of the next request. True when one came in the meantime: then call
  /// pop() again before waiting. Errors: Corrupt.
  [[nodiscard]] Result<bool> request_notification(const GuestMemory& memory);

 private:
  State state_;
  std::atomic<bool> enabled_{false};
  Features features_;
};

}  // namespace vmsnap::vmm
