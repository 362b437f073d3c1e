// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>

#include "core/state_buffer.h"
#include "devices/virtio/virtio_pci.h"
#include "devices/virtio/virtio_registers.h"
#include "pci_generated.h"
#include "virtio_generated.h"

namespace vmsnap::vmm {

using namespace virtio;

schema::PciFunctionT VirtioPci::save_pci() const {
  const std::lock_guard lock(interrupt_mutex_);
  return function_.save();
}

bool VirtioPci::has_packed_rings() const {
  return std::any_of(queues_.begin(), queues_.end(), [](const Virtqueue& queue) { return queue.packed(); });
}

schema::VirtioDeviceT VirtioPci::save_virtio() const {
  const std::lock_guard lock(mutex_);
  const std::lock_guard inner(interrupt_mutex_);
  schema::VirtioDeviceT state;
  state.device_features = device_features_;
  state.driver_features = driver_features_;
  state.device_status = status_;
  state.isr_status = isr_;
  state.config_generation = config_generation_;
  state.config_msix_vector = config_vector_;
  state.device_feature_select = device_feature_select_;
  state.driver_feature_select = driver_feature_select_;
  state.queue_select = queue_select_;
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    const Virtqueue::State queue = queues_[i].state();
    auto item = std::make_unique<schema::VirtqueueT>();
    item->index = static_cast<std::uint16_t>(i);
    item->size = queue.size;
    item->max_size = queue.max_size;
    item->enabled = queue.enabled;
    item->msix_vector = queue_vectors_[i];
    item->descriptor_table = queue.descriptor_table;
    item->available_ring = queue.available_ring;
    item->used_ring = queue.used_ring;
    item->next_available = queue.next_available;
    item->next_used = queue.next_used;
    if (queue.signalled_used) item->signalled_used = *queue.signalled_used;
    if (queue.wrap) {
      item->next_available_wrap = queue.wrap->available;
      item->next_used_wrap = queue.wrap->used;
    }
    state.queues.push_back(std::move(item));
  }
  return state;
}

Result<void> VirtioPci::validate_features(const schema::VirtioDeviceT& virtio) const {
  if (const std::uint64_t unknown = virtio.device_features & ~known_features_; unknown != 0) {
    return unsupported_field(
        "virtio.device_features",
        fmt::format("the guest was offered the feature bits {:#x}, which this VMM does not have; "
                    "restore with a newer VMM or the one that made the snapshot",
                    unknown));
  }
  if (const std::uint64_t extra = virtio.driver_features & ~virtio.device_features;
      extra != 0 && (virtio.device_status & kFeaturesOk) != 0) {
    return corrupt_field(
        "virtio.driver_features",
        fmt::format("the driver accepted the feature bits {:#x}, which were not offered", extra));
  }
  if ((virtio.device_status & ~kStatusBits) != 0) {
    return corrupt_field("virtio.device_status",
                         fmt::format("{:#04x} has reserved bits set", virtio.device_status));
  }
  const bool modern =
      (virtio.device_features & kVersion1) != 0 &&
      ((virtio.driver_features & kVersion1) != 0 || (virtio.device_status & (kFeaturesOk | kDriverOk)) == 0);
  if (!modern) {
    return unsupported_field(
        "virtio.driver_features",
        "the guest drives the device through the legacy virtio interface, which this VMM does "
        "not have; convert the snapshot with a guest that uses virtio 1.0");
  }
  if ((virtio.device_status & (kDriverOk | kFeaturesOk)) == kDriverOk) {
    return corrupt_field("virtio.device_status", "the driver is ready although no features were agreed on");
  }
  return {};
}

Result<void> VirtioPci::validate_queues(const schema::VirtioDeviceT& virtio, Restored& restored) const {
  if (virtio.queues.size() != queues_.size()) {
    return unsupported_field("virtio.queues", fmt::format("the device has {} queues, that of this VMM has {}",
                                                          virtio.queues.size(), queues_.size()));
  }
  const auto vectors = static_cast<std::uint16_t>(queues_.size() + 1);
  const bool packed =
      (virtio.device_status & kFeaturesOk) != 0 && (virtio.driver_features & kRingPacked) != 0;
  const auto vector_ok = [vectors](std::uint16_t vector) { return vector < vectors || vector == kNoVector; };
  if (!vector_ok(virtio.config_msix_vector)) {
    return corrupt_field("virtio.config_msix_vector", fmt::format("vector {} is not in a table of {}",
                                                                  virtio.config_msix_vector, vectors));
  }
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    const schema::VirtqueueT& item = *virtio.queues[i];
    const std::string field = fmt::format("virtio.queues[{}]", i);
    if (item.index != i) return corrupt_field(field, fmt::format("index is {}", item.index));
    if (item.legacy_pfn.has_value()) {
      return unsupported_field(
          field,
          "legacy_pfn is set: the guest uses the legacy virtio interface, which this VMM "
          "does not have");
    }
    if (!vector_ok(item.msix_vector)) {
      return corrupt_field(field,
                           fmt::format("msix_vector {} is not in a table of {}", item.msix_vector, vectors));
    }
    if (item.next_available_wrap.has_value() != packed || item.next_used_wrap.has_value() != packed) {
      return corrupt_field(field, packed ? "a wrap counter is missing, although the driver uses packed rings"
                                         : "it has wrap counters, although the driver uses split rings");
    }
    Virtqueue::State queue;
    queue.size = item.size;
    queue.max_size = item.max_size;
    queue.enabled = item.enabled;
    queue.descriptor_table = item.descriptor_table;
    queue.available_ring = item.available_ring;
    queue.used_ring = item.used_ring;
    queue.next_available = item.next_available;
    queue.next_used = item.next_used;
    if (item.signalled_used.has_value()) queue.signalled_used = *item.signalled_used;
    if (packed) queue.wrap = {*item.next_available_wrap, *item.next_used_wrap};
    if (auto checked = Virtqueue::validate(queue); !checked)
      return std::move(checked).error().in_field(field);
    restored.queues.push_back(queue);
    restored.queue_vectors.push_back(item.msix_vector);
  }
  return {};
}

Result<VirtioPci::Restored> VirtioPci::validate(const schema::PciFunctionT& pci,
                                                const schema::VirtioDeviceT& virtio) const {
  Restored restored;
  VMSNAP_RETURN_IF_ERROR(validate_features(virtio));
  VMSNAP_RETURN_IF_ERROR(validate_queues(virtio, restored));
  if ((virtio.isr_status & ~(kIsrQueue | kIsrConfig)) != 0) {
    return corrupt_field("virtio.isr_status",
                         fmt::format("{:#04x} has reserved bits set", virtio.isr_status));
  }
  {
    const std::lock_guard lock(interrupt_mutex_);
    VMSNAP_ASSIGN_OR_RETURN(restored.pci, function_.validate(pci));
  }
  restored.device_features = virtio.device_features;
  restored.driver_features = virtio.driver_features;
  restored.status = virtio.device_status;
  restored.isr = virtio.isr_status;
  restored.config_generation = virtio.config_generation;
  restored.config_vector = virtio.config_msix_vector;
  restored.device_feature_select = virtio.device_feature_select;
  restored.driver_feature_select = virtio.driver_feature_select;
  restored.queue_select = virtio.queue_select;
  return restored;
}

void VirtioPci::assign(Restored state) {
  const std::lock_guard lock(mutex_);
  device_features_ = state.device_features;
  driver_features_ = state.driver_features;
  config_generation_ = state.config_generation;
  device_feature_select_ = state.device_feature_select;
  driver_feature_select_ = state.driver_feature_select;
  queue_select_ = state.queue_select;
  const auto features = queue_features((state.status & kFeaturesOk) != 0 ? driver_features_ : 0);
  for (std::size_t i = 0; i < queues_.size(); ++i) queues_[i].assign(state.queues[i], features);

  const std::lock_guard inner(interrupt_mutex_);
  status_ = state.status;
  isr_ = state.isr;
  config_vector_ = state.config_vector;
  queue_vectors_ = std::move(state.queue_vectors);
  function_.assign(std::move(state.pci));
}

}  // namespace vmsnap::vmm
