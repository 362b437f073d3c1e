// SPDX-License-Identifier: BSD-2-Clause
#include "devices/virtio_blk/virtio_blk.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "devices/virtio_blk/virtio_blk_registers.h"

namespace vmsnap::vmm {

using namespace virtio_blk;

namespace {

std::uint64_t total_size(const std::vector<MutableByteView>& buffers) {
  std::uint64_t size = 0;
  for (const MutableByteView buffer : buffers) size += buffer.size();
  return size;
}

/// Copies the first bytes of `buffers` to `out` and removes them. The caller has checked that they are there.
void take_front(std::vector<MutableByteView>& buffers, MutableByteView out) {
  std::size_t used = 0;
  while (!out.empty()) {
    MutableByteView& buffer = buffers[used];
    const std::size_t count = std::min(buffer.size(), out.size());
    std::copy_n(buffer.begin(), count, out.begin());
    out = out.subspan(count);
    buffer = buffer.subspan(count);
    if (buffer.empty()) ++used;
  }
  buffers.erase(buffers.begin(), buffers.begin() + static_cast<std::ptrdiff_t>(used));
}

/// Copies `bytes` into the front of `buffers`, as far as they go. Returns how many fitted.
std::uint64_t put_front(const std::vector<MutableByteView>& buffers, ByteView bytes) {
  std::uint64_t done = 0;
  for (const MutableByteView buffer : buffers) {
    const std::size_t count = std::min(buffer.size(), bytes.size());
    std::copy_n(bytes.begin(), count, buffer.begin());
    bytes = bytes.subspan(count);
    done += count;
  }
  return done;
}

VirtioPci::Identity identity(const DiskImage& image, bool packed_rings) {
  VirtioPci::Identity result;
  result.virtio_id = kDeviceId;
  result.class_code = kClassCode;
  result.queue_sizes = {virtio_blk::kQueueSize};
  result.offered_features =
      kFeatures | (image.read_only() ? kFeatureReadOnly : 0) | (packed_rings ? virtio::kRingPacked : 0);
  result.known_features = kFeatures | kFeatureReadOnly | virtio::kRingPacked;
  return result;
}

}  // namespace

Result<std::unique_ptr<VirtioBlk>> VirtioBlk::create(Options options, DiskImage image,
                                                     const GuestMemory& memory, IoBus& bus, IrqLine& intx,
                                                     MsiSink& msi) {
  if (options.serial.size() > kSerialSize) {
    return Error(ErrorKind::kUsage,
                 fmt::format("the serial \"{}\" of {} is longer than {} characters; give a shorter one",
                             options.serial, options.slot, kSerialSize));
  }
  std::unique_ptr<VirtioBlk> device(
      new VirtioBlk(std::move(options), std::move(image), memory, bus, intx, msi));
  VMSNAP_ASSIGN_OR_RETURN(device->worker_, QueueWorker::start([raw = device.get()] { raw->process(); }));
  return device;
}

VirtioBlk::VirtioBlk(Options options, DiskImage image, const GuestMemory& memory, IoBus& bus, IrqLine& intx,
                     MsiSink& msi)
    : options_(std::move(options)),
      path_(pci_path(options_.address)),
      image_(std::move(image)),
      memory_(memory),
      transport_(identity(image_, options_.packed_rings), *this, bus, intx, msi),
      serial_(options_.serial) {
  config_.capacity = image_.size() / DiskImage::kSectorSize;
  // A chain of one request has two more buffers than segments: the header and the status.
  config_.seg_max = virtio_blk::kQueueSize - 2;
}

// The worker's thread uses everything else, the pointer to the worker included.
VirtioBlk::~VirtioBlk() {
  if (worker_) worker_->stop();
}

void VirtioBlk::read_device_config(std::uint64_t offset, MutableByteView data) {
  std::array<std::byte, kConfigSize> bytes{};
  const MutableByteView image(bytes);
  store_le(image, kCapacity, config_.capacity);
  store_le(image, kSizeMax, config_.size_max);
  store_le(image, kSegMax, config_.seg_max);
  store_le(image, kBlkSize, config_.blk_size);
  store_le(image, kPhysicalBlockExp, config_.physical_block_exp);
  store_le(image, kAlignmentOffset, config_.alignment_offset);
  store_le(image, kMinIoSize, config_.min_io_size);
  store_le(image, kOptIoSize, config_.opt_io_size);
  store_le<std::uint8_t>(image, kWriteback, config_.writeback ? 1 : 0);
  store_le(image, kNumQueues, config_.num_queues);
  for (std::size_t i = 0; i < data.size(); ++i)
    data[i] = offset + i < bytes.size() ? bytes[offset + i] : std::byte{0};
}

void VirtioBlk::write_device_config(std::uint64_t offset, ByteView data) {
  const bool wanted = offset == kWriteback && data.size() == 1;
  if (wanted && (transport_.driver_features() & kFeatureConfigWce) != 0)
    config_.writeback = data[0] != std::byte{0};
}

void VirtioBlk::queue_notified(std::uint16_t) {
  worker_->kick();
}
void VirtioBlk::stop_processing() {
  worker_->park();
}
void VirtioBlk::start_processing() {
  worker_->unpark();
}
void VirtioBlk::device_reset() {
  config_.writeback = true;
}

void VirtioBlk::process() {
  Virtqueue& queue = transport_.queue(0);
  while (!worker_->park_requested() && transport_.running()) {
    auto chain = queue.pop(memory_);
    if (!chain) {
      transport_.needs_reset();
      return;
    }
    if (!*chain) {
      const auto more = queue.request_notification(memory_);
      if (more && *more) continue;
      if (!more) transport_.needs_reset();
      return;
    }
    if (!serve(**chain)) {
      transport_.needs_reset();
      return;
    }
  }
}

Result<void> VirtioBlk::serve(const Virtqueue::Chain& chain) {
  std::vector<MutableByteView> out = chain.readable;
  std::vector<MutableByteView> in = chain.writable;
  if (total_size(out) < kHeaderSize || in.empty()) {
    return Error(ErrorKind::kCorrupt,
                 "a block request of the guest has no header or no place for its status");
  }
  std::array<std::byte, kHeaderSize> header;
  take_front(out, header);
  // The status is the last byte of the writable part.
  std::byte& status = in.back().back();
  in.back() = in.back().first(in.back().size() - 1);
  if (in.back().empty()) in.pop_back();

  const Outcome outcome = execute(load_le<std::uint32_t>(header, 0), load_le<std::uint64_t>(header, 8),
                                  std::move(out), std::move(in));
  status = std::byte{outcome.status};
  Virtqueue& queue = transport_.queue(0);
  // A chain holds at most 4 GiB: only the length of the very largest cannot be told exactly.
  const auto written = static_cast<std::uint32_t>(std::min<std::uint64_t>(outcome.written + 1, 0xffff'ffff));
  VMSNAP_RETURN_IF_ERROR(queue.push_used(memory_, chain, written));
  VMSNAP_ASSIGN_OR_RETURN(const bool notify, queue.take_notification(memory_));
  if (notify) transport_.interrupt_queue(0);
  return {};
}

bool VirtioBlk::in_range(std::uint64_t sector, std::uint64_t bytes) const {
  if (bytes == 0 || bytes % DiskImage::kSectorSize != 0 || sector > config_.capacity) return false;
  return bytes / DiskImage::kSectorSize <= config_.capacity - sector;
}

bool VirtioBlk::write_through() const {
  const std::uint64_t features = transport_.driver_features();
  // 5.2.6.2: a driver that cannot flush must not need to.
  if ((features & kFeatureConfigWce) != 0) return !config_.writeback;
  return (features & kFeatureFlush) == 0;
}

VirtioBlk::Outcome VirtioBlk::flush() {
  // Cleared first: what is written meanwhile must not be forgotten.
  unflushed_ = false;
  if (image_.flush()) return {kOk, 0};
  unflushed_ = true;
  return {kIoError, 0};
}

VirtioBlk::Outcome VirtioBlk::execute(std::uint32_t type, std::uint64_t sector,
                                      std::vector<MutableByteView> out, std::vector<MutableByteView> in) {
  switch (type) {
    case kIn: {
      const std::uint64_t size = total_size(in);
      if (!in_range(sector, size) || !image_.read(sector * DiskImage::kSectorSize, in)) return {kIoError, 0};
      return {kOk, size};
    }
    case kOut: {
      const bool forbidden = (transport_.device_features() & kFeatureReadOnly) != 0;
      if (forbidden || !in_range(sector, total_size(out))) return {kIoError, 0};
      unflushed_ = true;
      if (!image_.write(sector * DiskImage::kSectorSize, out)) return {kIoError, 0};
      return write_through() ? flush() : Outcome{kOk, 0};
    }
    case kFlush:
      return image_.read_only() ? Outcome{kOk, 0} : flush();
    case kGetId: {
      std::array<std::byte, kSerialSize> id{};
      std::copy_n(as_byte_view(serial_).begin(), serial_.size(), id.begin());
      return {kOk, put_front(in, id)};
    }
    default:
      return {kUnsupported, 0};
  }
}

}  // namespace vmsnap::vmm
