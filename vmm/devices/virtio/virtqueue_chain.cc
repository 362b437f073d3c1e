// SPDX-License-Identifier: BSD-2-Clause
#include "devices/virtio/virtqueue_chain.h"

#include <fmt/format.h>

namespace vmsnap::vmm {

namespace {

/// Most bytes in one chain (2.7.4, 2.8: 2^32).
constexpr std::uint64_t kMaxChainBytes = std::uint64_t{1} << 32;

}  // namespace

Error broken_queue(std::string sentence) {
  return {ErrorKind::kCorrupt, "the guest's virtqueue is broken: " + std::move(sentence)};
}

Result<void> ChainBuilder::add(const Descriptor& descriptor) {
  const std::uint64_t address = descriptor.address;
  const std::uint32_t length = descriptor.length;
  if (length == 0) return broken_queue(fmt::format("the buffer at {:#x} has no bytes", address));
  total_ += length;
  if (total_ > kMaxChainBytes) return broken_queue("a chain has more than 4 GiB");
  if (chain_.readable.size() + chain_.writable.size() == Virtqueue::kMaxChain) {
    return broken_queue(fmt::format("a chain has more than {} buffers", Virtqueue::kMaxChain));
  }
  const auto buffer = memory_.find(Gpa(address), length);
  if (!buffer) {
    return broken_queue(
        fmt::format("the buffer at {:#x} of {} bytes is not inside guest RAM", address, length));
  }
  if ((descriptor.flags & kDescriptorWrite) != 0) {
    chain_.writable.push_back(*buffer);
  } else if (chain_.writable.empty()) {
    chain_.readable.push_back(*buffer);
  } else {
    return broken_queue("a readable buffer follows a writable one");
  }
  return {};
}

Result<MutableByteView> ChainBuilder::find_indirect(const Descriptor& descriptor) const {
  const std::uint32_t length = descriptor.length;
  if (!indirect_) return broken_queue("it uses indirect descriptors, which were not negotiated");
  if ((descriptor.flags & kDescriptorNext) != 0)
    return broken_queue("an indirect descriptor has a successor");
  if (length == 0 || length % kDescriptorSize != 0 || length / kDescriptorSize > Virtqueue::kMaxChain) {
    return broken_queue(fmt::format("an indirect table has {} bytes", length));
  }
  const auto table = memory_.find(Gpa(descriptor.address), length);
  if (!table) {
    return broken_queue(fmt::format("the indirect table at {:#x} is outside guest RAM", descriptor.address));
  }
  return *table;
}

}  // namespace vmsnap::vmm
