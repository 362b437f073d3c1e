// SPDX-License-Identifier: BSD-2-Clause
// What both layouts of a virtqueue (Virtual I/O Device 1.2, sections 2.7 and 2.8) have in common: how a chain
// of descriptors becomes a request, and how shared words of the rings are read and written. Private to them.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "core/guest_memory.h"
#include "devices/virtio/virtqueue.h"

namespace vmsnap::vmm {

inline constexpr std::uint64_t kDescriptorSize = 16;
inline constexpr std::uint16_t kDescriptorNext = 1;
inline constexpr std::uint16_t kDescriptorWrite = 2;
inline constexpr std::uint16_t kDescriptorIndirect = 4;

/// The fields that both layouts of a descriptor have.
struct Descriptor {
  std::uint64_t address = 0;
  std::uint32_t length = 0;
  std::uint16_t flags = 0;
};

/// The error of a guest that breaks the rules of its queue.
[[nodiscard]] Error broken_queue(std::string sentence);

/// The guest writes and reads the words of the rings concurrently. Sequential consistency puts a full barrier
/// between a store of ours and a later load, which both directions of event suppression need. The rings are
/// aligned (checked when the queue is enabled) and so is the host memory behind them.
template <typename T>
[[nodiscard]] T load_shared(MutableByteView ring, std::size_t offset) {
  return __atomic_load_n(reinterpret_cast<T*>(ring.subspan(offset, sizeof(T)).data()), __ATOMIC_SEQ_CST);
}
template <typename T>
void store_shared(MutableByteView ring, std::size_t offset, T value) {
  __atomic_store_n(reinterpret_cast<T*>(ring.subspan(offset, sizeof(T)).data()), value, __ATOMIC_SEQ_CST);
}

/// Collects the buffers of one chain and checks each. `memory` must outlive it.
class ChainBuilder {
 public:
  ChainBuilder(const GuestMemory& memory, bool indirect) : memory_(memory), indirect_(indirect) {}

  /// Adds the buffer of a descriptor that is not indirect. Errors: Corrupt.
  [[nodiscard]] Result<void> add(const Descriptor& descriptor);
  /// The table an indirect descriptor refers to, in guest memory: at least one descriptor and at most
  /// Virtqueue::kMaxChain. Errors: Corrupt.
  [[nodiscard]] Result<MutableByteView> find_indirect(const Descriptor& descriptor) const;
  [[nodiscard]] Virtqueue::Chain take() { return std::move(chain_); }

 private:
  const GuestMemory& memory_;
  const bool indirect_;
  Virtqueue::Chain chain_;
  std::uint64_t total_ = 0;
};

}  // namespace vmsnap::vmm
