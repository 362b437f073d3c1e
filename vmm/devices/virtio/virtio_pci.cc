// SPDX-License-Identifier: BSD-2-Clause
#include "devices/virtio/virtio_pci.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>

#include "devices/pci/pci_registers.h"
#include "devices/virtio/virtio_registers.h"

namespace vmsnap::vmm {

using namespace virtio;

namespace {

// Fields of struct virtio_pci_cap, counted from the start of the capability.
constexpr std::size_t kCapBar = 4;
constexpr std::size_t kCapOffset = 8;
constexpr std::size_t kCapLength = 12;
constexpr std::size_t kCapWindowData = 16;
constexpr std::size_t kCapHeader = 2;  // what PciFunction writes

bool inside(std::uint64_t offset, std::size_t size, std::uint64_t begin, std::uint64_t length) {
  return offset >= begin && offset + size <= begin + length;
}

PciFunction::Identity pci_identity(const VirtioPci::Identity& identity) {
  PciFunction::Identity pci;
  pci.vendor = kVendor;
  pci.device = static_cast<std::uint16_t>(kDeviceBase + identity.virtio_id);
  pci.revision = 1;
  pci.class_code = identity.class_code;
  pci.subsystem_vendor = kVendor;
  pci.subsystem = static_cast<std::uint16_t>(kDeviceBase + identity.virtio_id);
  pci.interrupt_pin = 1;
  return pci;
}

}  // namespace

VirtioPci::VirtioPci(const Identity& identity, VirtioModel& model, IoBus& memory, IrqLine& intx, MsiSink& msi)
    : model_(model),
      known_features_(identity.known_features),
      device_features_(identity.offered_features),
      function_(pci_identity(identity), &memory, nullptr, &intx),
      config_vector_(kNoVector),
      queue_vectors_(identity.queue_sizes.size(), kNoVector) {
  assert(identity.queue_sizes.size() < 128);  // the MSI-X table ends before the PBA
  for (const std::uint16_t size : identity.queue_sizes) queues_.emplace_back(size);
  function_.add_bar(kStructureBar, BarKind::kMemory32, kStructureBarSize, structure_bar_);
  function_.add_bar(kMsixBar, BarKind::kMemory32, kMsixBarSize, msix_bar_);
  add_structure(kCapCommon, kCommonOffset, kCommonSize, false);
  add_structure(kCapNotify, kNotifyOffset, static_cast<std::uint32_t>(queues_.size() * kNotifyMultiplier),
                true);
  add_structure(kCapIsr, kIsrOffset, 1, false);
  add_structure(kCapDevice, kDeviceOffset, kRegionSize, false);

  // The window's data bytes stay 0 here: an access to them is one to the BAR.
  std::array<std::byte, 18> body{};
  std::array<std::byte, 18> writable{};
  body[0] = std::byte{20};
  body[1] = std::byte{kCapPci};
  writable[kCapBar - kCapHeader] = std::byte{0xff};
  std::fill_n(writable.begin() + kCapOffset - kCapHeader, 8, std::byte{0xff});
  window_capability_ = function_.add_capability(pci::kCapabilityVendor, body, writable);

  function_.add_msix(static_cast<std::uint16_t>(queues_.size() + 1), msi, kMsixBar, kMsixTableOffset,
                     kMsixPbaOffset);
}

void VirtioPci::add_structure(std::uint8_t type, std::uint32_t offset, std::uint32_t length,
                              bool multiplier) {
  std::array<std::byte, 18> body{};
  const std::size_t size = multiplier ? 18 : 14;
  body[0] = static_cast<std::byte>(size + kCapHeader);
  body[1] = std::byte{type};
  body[kCapBar - kCapHeader] = std::byte{kStructureBar};
  store_le(MutableByteView(body), kCapOffset - kCapHeader, offset);
  store_le(MutableByteView(body), kCapLength - kCapHeader, length);
  if (multiplier) store_le(MutableByteView(body), size - 4, kNotifyMultiplier);
  function_.add_capability(pci::kCapabilityVendor, ByteView(body).first(size));
}

void VirtioPci::config_read(std::uint8_t offset, MutableByteView data) {
  const std::lock_guard lock(mutex_);
  {
    const std::lock_guard inner(interrupt_mutex_);
    function_.config_read(offset, data);
  }
  const auto target = window(offset, data.size());
  if (!target) return;
  std::array<std::byte, 4> value{};
  read_structures(target->offset, MutableByteView(value).first(target->length));
  for (std::size_t i = 0; i < data.size(); ++i) {
    data[i] = value[(offset + i - window_capability_ - kCapWindowData) % value.size()];
  }
}

void VirtioPci::config_write(std::uint8_t offset, ByteView data) {
  const std::lock_guard lock(mutex_);
  {
    const std::lock_guard inner(interrupt_mutex_);
    function_.config_write(offset, data);
  }
  const auto target = window(offset, data.size());
  if (target && offset == window_capability_ + kCapWindowData && data.size() == target->length) {
    write_structures(target->offset, data);
  }
}

std::optional<VirtioPci::Window> VirtioPci::window(std::uint8_t offset, std::size_t size) const {
  if (!inside(offset, size, window_capability_ + kCapWindowData, 4)) return std::nullopt;
  std::array<std::byte, 16> capability;
  const std::lock_guard inner(interrupt_mutex_);
  function_.config_read(window_capability_, capability);
  const auto bar = load_le<std::uint8_t>(capability, kCapBar);
  const auto target = load_le<std::uint32_t>(capability, kCapOffset);
  const auto length = load_le<std::uint32_t>(capability, kCapLength);
  const bool width = length == 1 || length == 2 || length == 4;
  if (bar != kStructureBar || !width || target % length != 0 || target >= kStructureBarSize)
    return std::nullopt;
  return Window{target, length};
}

void VirtioPci::StructureBar::read(std::uint64_t offset, MutableByteView data) {
  const std::lock_guard lock(owner_.mutex_);
  owner_.read_structures(offset, data);
}

void VirtioPci::StructureBar::write(std::uint64_t offset, ByteView data) {
  const std::lock_guard lock(owner_.mutex_);
  owner_.write_structures(offset, data);
}

void VirtioPci::MsixBar::read(std::uint64_t offset, MutableByteView data) {
  const std::lock_guard lock(owner_.interrupt_mutex_);
  if (offset >= kMsixPbaOffset) {
    owner_.function_.msix()->read_pba(offset - kMsixPbaOffset, data);
  } else {
    owner_.function_.msix()->read_table(offset - kMsixTableOffset, data);
  }
}

void VirtioPci::MsixBar::write(std::uint64_t offset, ByteView data) {
  const std::lock_guard lock(owner_.interrupt_mutex_);
  if (offset < kMsixPbaOffset) owner_.function_.msix()->write_table(offset - kMsixTableOffset, data);
}

void VirtioPci::read_structures(std::uint64_t offset, MutableByteView data) {
  std::fill(data.begin(), data.end(), std::byte{0});
  if (inside(offset, data.size(), kCommonOffset, kCommonSize)) {
    const auto image = common_image();
    std::copy_n(image.begin() + static_cast<std::ptrdiff_t>(offset - kCommonOffset), data.size(),
                data.begin());
  } else if (offset == kIsrOffset) {
    // Reading acknowledges.
    const std::lock_guard inner(interrupt_mutex_);
    data[0] = std::byte{isr_};
    isr_ = 0;
    function_.set_intx(false);
  } else if (inside(offset, data.size(), kDeviceOffset, kRegionSize)) {
    model_.read_device_config(offset - kDeviceOffset, data);
  }
}

void VirtioPci::write_structures(std::uint64_t offset, ByteView data) {
  if (inside(offset, data.size(), kCommonOffset, kCommonSize)) {
    write_common(offset - kCommonOffset, data);
  } else if (inside(offset, data.size(), kDeviceOffset, kRegionSize)) {
    model_.write_device_config(offset - kDeviceOffset, data);
  } else if (inside(offset, data.size(), kNotifyOffset, queues_.size() * kNotifyMultiplier)) {
    model_.queue_notified(static_cast<std::uint16_t>((offset - kNotifyOffset) / kNotifyMultiplier));
  }
}

std::array<std::byte, 64> VirtioPci::common_image() const {
  std::array<std::byte, 64> bytes{};
  const MutableByteView image(bytes);
  const auto half = [](std::uint64_t features, std::uint32_t select) {
    return select > 1 ? 0U : static_cast<std::uint32_t>(features >> (32 * select));
  };
  store_le(image, kDeviceFeatureSelect, device_feature_select_);
  store_le(image, kDeviceFeature, half(device_features_, device_feature_select_));
  store_le(image, kDriverFeatureSelect, driver_feature_select_);
  store_le(image, kDriverFeature, half(driver_features_, driver_feature_select_));
  store_le(image, kNumQueues, static_cast<std::uint16_t>(queues_.size()));
  store_le(image, kConfigGeneration, config_generation_);
  store_le(image, kQueueSelect, queue_select_);
  const std::lock_guard inner(interrupt_mutex_);
  store_le(image, kConfigMsixVector, config_vector_);
  store_le(image, kDeviceStatus, status_);
  if (queue_select_ < queues_.size()) {
    const Virtqueue& queue = queues_[queue_select_];
    store_le(image, kQueueSize, queue.size());
    store_le(image, kQueueMsixVector, queue_vectors_[queue_select_]);
    store_le(image, kQueueEnable, static_cast<std::uint16_t>(queue.enabled() ? 1 : 0));
    store_le(image, kQueueNotifyOff, queue_select_);
    store_le(image, kQueueDesc, queue.descriptor_table());
    store_le(image, kQueueDriver, queue.available_ring());
    store_le(image, kQueueDevice, queue.used_ring());
  } else {
    store_le(image, kQueueMsixVector, kNoVector);
  }
  return bytes;
}

void VirtioPci::write_common(std::uint64_t offset, ByteView data) {
  if (offset >= kQueueDesc) {
    write_queue_address(offset, data);
    return;
  }
  // Fields are accessed with their own width (4.1.3.1); anything else is ignored.
  std::array<std::byte, 4> wide{};
  if (data.size() > wide.size()) return;
  std::copy(data.begin(), data.end(), wide.begin());
  const auto value = load_le<std::uint32_t>(wide, 0);
  const auto vector = [this](std::uint32_t wanted) {
    return wanted < function_.msix()->vectors() ? static_cast<std::uint16_t>(wanted) : kNoVector;
  };
  switch (offset) {
    case kDeviceFeatureSelect:
      if (data.size() == 4) device_feature_select_ = value;
      break;
    case kDriverFeatureSelect:
      if (data.size() == 4) driver_feature_select_ = value;
      break;
    case kDriverFeature: {
      const std::lock_guard inner(interrupt_mutex_);
      if (data.size() != 4 || driver_feature_select_ > 1 || (status_ & kFeaturesOk) != 0) break;
      const unsigned shift = 32 * driver_feature_select_;
      driver_features_ = (driver_features_ & ~(std::uint64_t{0xffff'ffff} << shift)) | std::uint64_t{value}
                                                                                           << shift;
      break;
    }
    case kConfigMsixVector:
      if (data.size() == 2) {
        const std::lock_guard inner(interrupt_mutex_);
        config_vector_ = vector(value);
      }
      break;
    case kDeviceStatus:
      if (data.size() == 1) write_status(static_cast<std::uint8_t>(value));
      break;
    case kQueueSelect:
      if (data.size() == 2) queue_select_ = static_cast<std::uint16_t>(value);
      break;
    case kQueueMsixVector:
      if (data.size() == 2 && queue_select_ < queues_.size()) {
        const std::lock_guard inner(interrupt_mutex_);
        queue_vectors_[queue_select_] = vector(value);
      }
      break;
    case kQueueSize:
    case kQueueEnable:
      if (data.size() == 2) write_queue_register(offset, value);
      break;
    default:  // read-only
      break;
  }
}

void VirtioPci::write_queue_register(std::uint64_t offset, std::uint32_t value) {
  if (queue_select_ >= queues_.size() || queues_[queue_select_].enabled()) return;
  Virtqueue& queue = queues_[queue_select_];
  if (offset == kQueueSize) {
    const bool allowed =
        (queue.packed() ? value != 0 : std::has_single_bit(value)) && value <= queue.max_size();
    if (allowed) queue.set_size(static_cast<std::uint16_t>(value));
  } else if (value == 1 && !queue.enable()) {
    needs_reset();
  }
}

void VirtioPci::write_queue_address(std::uint64_t offset, ByteView data) {
  if (queue_select_ >= queues_.size() || queues_[queue_select_].enabled()) return;
  const bool whole = data.size() == 8 && offset % 8 == 0;
  const bool half = data.size() == 4 && offset % 4 == 0;
  if (!whole && !half) return;
  Virtqueue& queue = queues_[queue_select_];
  const std::size_t field = offset & ~std::size_t{7};
  std::array<std::byte, 8> bytes;
  store_le(MutableByteView(bytes), 0,
           field == kQueueDesc     ? queue.descriptor_table()
           : field == kQueueDriver ? queue.available_ring()
                                   : queue.used_ring());
  std::copy(data.begin(), data.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset - field));
  const auto address = load_le<std::uint64_t>(bytes, 0);
  if (field == kQueueDesc) {
    queue.set_descriptor_table(address);
  } else if (field == kQueueDriver) {
    queue.set_available_ring(address);
  } else {
    queue.set_used_ring(address);
  }
}

void VirtioPci::write_status(std::uint8_t value) {
  if (value == 0) {
    reset();
    return;
  }
  bool driver_ok = false;
  {
    const std::lock_guard inner(interrupt_mutex_);
    // The driver sets bits and never clears one; the device alone sets NEEDS_RESET.
    auto added = static_cast<std::uint8_t>(value & ~status_ & (kStatusBits & ~kNeedsReset));
    const bool acceptable =
        (driver_features_ & ~device_features_) == 0 && (driver_features_ & kVersion1) != 0;
    if ((added & kFeaturesOk) != 0 && !acceptable) added &= static_cast<std::uint8_t>(~kFeaturesOk);
    if ((added & kFeaturesOk) != 0 && !apply_features_to_queues()) status_ |= kNeedsReset;
    // A driver that goes on without FEATURES_OK does not get a running device.
    if (((status_ | added) & kFeaturesOk) == 0) added &= static_cast<std::uint8_t>(~kDriverOk);
    status_ |= added;
    driver_ok = (added & kDriverOk) != 0;
  }
  if (!driver_ok) return;
  for (std::size_t i = 0; i < queues_.size(); ++i) model_.queue_notified(static_cast<std::uint16_t>(i));
}

Virtqueue::Features VirtioPci::queue_features(std::uint64_t features) {
  return {.indirect = (features & kIndirectDesc) != 0,
          .event_index = (features & kEventIdx) != 0,
          .packed = (features & kRingPacked) != 0};
}

bool VirtioPci::apply_features_to_queues() {
  bool fit = true;
  for (Virtqueue& queue : queues_) fit = queue.set_features(queue_features(driver_features_)) && fit;
  return fit;
}

void VirtioPci::reset() {
  model_.stop_processing();
  for (Virtqueue& queue : queues_) queue.reset();
  driver_features_ = 0;
  device_feature_select_ = 0;
  driver_feature_select_ = 0;
  queue_select_ = 0;
  {
    const std::lock_guard inner(interrupt_mutex_);
    status_ = 0;
    isr_ = 0;
    function_.set_intx(false);
    config_vector_ = kNoVector;
    std::fill(queue_vectors_.begin(), queue_vectors_.end(), kNoVector);
  }
  model_.device_reset();
  model_.start_processing();
}

bool VirtioPci::running() const {
  const std::lock_guard lock(interrupt_mutex_);
  return (status_ & (kDriverOk | kNeedsReset)) == kDriverOk;
}

void VirtioPci::interrupt(std::uint16_t vector, std::uint8_t isr_bit) {
  if (function_.msix_enabled()) {
    function_.msix()->raise(vector);
    return;
  }
  isr_ |= isr_bit;
  function_.set_intx(true);
}

void VirtioPci::interrupt_queue(std::uint16_t index) {
  const std::lock_guard lock(interrupt_mutex_);
  interrupt(queue_vectors_[index], kIsrQueue);
}

void VirtioPci::needs_reset() {
  const std::lock_guard lock(interrupt_mutex_);
  status_ |= kNeedsReset;
  if ((status_ & kDriverOk) != 0) interrupt(config_vector_, kIsrConfig);
}

void VirtioPci::resume() {
  const std::lock_guard lock(interrupt_mutex_);
  function_.resume();
}

}  // namespace vmsnap::vmm
