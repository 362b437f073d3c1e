// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <bit>

#include "core/state_buffer.h"
#include "devices/virtio_blk/virtio_blk.h"
#include "devices/virtio_blk/virtio_blk_registers.h"
#include "virtio_blk_generated.h"

namespace vmsnap::vmm {

using namespace virtio_blk;

DeviceEntry VirtioBlk::describe() const {
  DeviceEntry entry;
  entry.path = path_;
  entry.type = "virtio_blk";
  entry.version = {1, 1};
  entry.readable_since = {1, 0};
  if (transport_.has_packed_rings()) entry.features.emplace_back("packed-ring");
  Slot slot;
  slot.name = options_.slot;
  slot.kind = SlotKind::kBlockBackend;
  slot.hint = options_.hint;
  slot.size = config_.capacity * DiskImage::kSectorSize;
  slot.read_only = (transport_.device_features() & kFeatureReadOnly) != 0;
  entry.slots.push_back(std::move(slot));
  return entry;
}

Result<void> VirtioBlk::quiesce() {
  worker_->park();
  if (!unflushed_ || flush().status == kOk) return {};
  worker_->unpark();
  return Error(ErrorKind::kIo,
               "what the guest wrote to the disk cannot be made durable; look for errors of the medium")
      .in_file(image_.path())
      .in_device(path_);
}

void VirtioBlk::resume() {
  transport_.resume();
  worker_->unpark();
}

Result<ByteVector> VirtioBlk::save() const {
  schema::VirtioBlkT state;
  state.pci = std::make_unique<schema::PciFunctionT>(transport_.save_pci());
  state.virtio = std::make_unique<schema::VirtioDeviceT>(transport_.save_virtio());
  state.config = std::make_unique<schema::VirtioBlkConfigT>();
  state.config->capacity = config_.capacity;
  state.config->size_max = config_.size_max;
  state.config->seg_max = config_.seg_max;
  state.config->blk_size = config_.blk_size;
  state.config->physical_block_exp = config_.physical_block_exp;
  state.config->alignment_offset = config_.alignment_offset;
  state.config->min_io_size = config_.min_io_size;
  state.config->opt_io_size = config_.opt_io_size;
  state.config->writeback = config_.writeback;
  state.config->num_queues = config_.num_queues;
  state.serial = serial_;
  return pack_state(state, schema::VirtioBlkIdentifier());
}

Result<void> VirtioBlk::validate_config(const schema::VirtioBlkT& state) const {
  const schema::VirtioBlkConfigT& config = *state.config;
  constexpr std::uint64_t kMaxSectors = ~std::uint64_t{0} / DiskImage::kSectorSize;
  if (config.capacity == 0 || config.capacity > kMaxSectors) {
    return corrupt_field("config.capacity", fmt::format("a disk of {} sectors cannot be", config.capacity));
  }
  if (!std::has_single_bit(config.blk_size) || config.blk_size < 512 || config.blk_size > 65'536) {
    return corrupt_field("config.blk_size",
                         fmt::format("{} bytes is not a power of two from 512 to 65536", config.blk_size));
  }
  if (config.num_queues > 1) {
    return unsupported_field(
        "config.num_queues",
        fmt::format("the guest was told of {} queues, this VMM has one", config.num_queues));
  }
  if (config.seg_max > Virtqueue::kMaxChain - 2) {
    return unsupported_field("config.seg_max",
                             fmt::format("requests of {} segments are more than the {} of this VMM",
                                         config.seg_max, Virtqueue::kMaxChain - 2));
  }
  if (state.serial.size() > kSerialSize) {
    return corrupt_field("serial",
                         fmt::format("{} characters are more than {}", state.serial.size(), kSerialSize));
  }
  const std::uint64_t bytes = config.capacity * DiskImage::kSectorSize;
  if (bytes != image_.size()) {
    return Error(
        ErrorKind::kUsage,
        fmt::format(
            "the disk of the snapshot has {} bytes, but the image {} in slot {} has {}; give the right "
            "one with {} {}=PATH",
            bytes, image_.path(), options_.slot, image_.size(), kSlotOption, options_.slot));
  }
  if ((state.virtio->device_features & kFeatureReadOnly) == 0 && image_.read_only()) {
    return Error(
        ErrorKind::kUsage,
        fmt::format(
            "the guest writes to its disk, but the image {} in slot {} is read-only; give one that can "
            "be written with {} {}=PATH",
            image_.path(), options_.slot, kSlotOption, options_.slot));
  }
  return {};
}

Result<void> VirtioBlk::restore(ByteView bytes) {
  const auto take = [this](const schema::VirtioBlkT& state) -> Result<void> {
    VMSNAP_ASSIGN_OR_RETURN(VirtioPci::Restored transport, transport_.validate(*state.pci, *state.virtio));
    VMSNAP_RETURN_IF_ERROR(validate_config(state));
    // Nothing is processed before resume(): guest memory may not be there yet.
    worker_->park();
    transport_.assign(std::move(transport));
    assign_config(state);
    return {};
  };
  return restore_state<schema::VirtioBlk>(bytes, schema::VirtioBlkIdentifier(), path_, take);
}

void VirtioBlk::assign_config(const schema::VirtioBlkT& state) {
  config_.capacity = state.config->capacity;
  config_.size_max = state.config->size_max;
  config_.seg_max = state.config->seg_max;
  config_.blk_size = state.config->blk_size;
  config_.physical_block_exp = state.config->physical_block_exp;
  config_.alignment_offset = state.config->alignment_offset;
  config_.min_io_size = state.config->min_io_size;
  config_.opt_io_size = state.config->opt_io_size;
  config_.writeback = state.config->writeback;
  config_.num_queues = state.config->num_queues;
  serial_ = state.serial;
}

}  // namespace vmsnap::vmm
