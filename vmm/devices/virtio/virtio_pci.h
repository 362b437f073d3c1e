// SPDX-License-Identifier: BSD-2-Clause
// Source: Virtual I/O Device 1.2, sections 2 and 4.1 (PCI transport, without the legacy interface).
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "core/io_bus.h"
#include "core/io_handler.h"
#include "devices/pci/pci_function.h"
#include "devices/virtio/virtqueue.h"

namespace vmsnap::schema {
struct PciFunctionT;
struct VirtioDeviceT;
}  // namespace vmsnap::schema

namespace vmsnap::vmm {

/// What is particular to one type of virtio device. Called by the transport with its register lock held, so
/// an implementation may take locks of its own but must not wait for a virtual CPU.
class VirtioModel {
 public:
  virtual ~VirtioModel() = default;
  /// The device configuration structure; bytes beyond its end read 0 and ignore writes.
  virtual void read_device_config(std::uint64_t offset, MutableByteView data) = 0;
  virtual void write_device_config(std::uint64_t offset, ByteView data) = 0;
  /// The driver says that there is something in queue `queue`; must not block.
  virtual void queue_notified(std::uint16_t queue) = 0;
  /// Returns when no queue is being processed, and none will be until start_processing().
  virtual void stop_processing() = 0;
  virtual void start_processing() = 0;
  /// The driver resets the device; between stop_processing() and start_processing().
  virtual void device_reset() = 0;
};

/// The transport of one virtio device: a PCI function with the virtio structures in BAR 0, the MSI-X table in
/// BAR 1 (both 32-bit memory) and one MSI-X vector for the configuration and for each queue.
///
/// Two locks: one serialises what the guest does with registers, the other, taken inside it, guards what
/// the processing thread shares with it (interrupts and device_status). The processing thread takes only
/// the second, so the first may be held while that thread is stopped.
class VirtioPci final : public PciConfigHandler {
 public:
  struct Identity {
    std::uint16_t virtio_id = 0;  // 2 is a block device
    std::uint32_t class_code = 0;
    std::vector<std::uint16_t> queue_sizes;  // largest size of each queue, in order; at most 127 queues
    std::uint64_t offered_features = 0;      // what a fresh device offers; VIRTIO_F_VERSION_1 included
    std::uint64_t known_features = 0;        // what a restored device may have offered; a superset
  };

  /// What is given must outlive the transport; `model` is not called by the constructor.
  VirtioPci(const Identity& identity, VirtioModel& model, IoBus& memory, IrqLine& intx, MsiSink& msi);

  // For the host bridge.
  void config_read(std::uint8_t offset, MutableByteView data) override;
  void config_write(std::uint8_t offset, ByteView data) override;

  // For the processing thread, and for others while it is stopped.

  /// The driver is ready and the device not broken.
  [[nodiscard]] bool running() const;
  [[nodiscard]] std::uint64_t driver_features() const { return driver_features_; }
  [[nodiscard]] Virtqueue& queue(std::size_t index) { return queues_[index]; }
  /// Tells the driver that something was used in queue `index`.
  void interrupt_queue(std::uint16_t index);
  /// Sets DEVICE_NEEDS_RESET, after the guest has broken the rules.
  void needs_reset();

  // For the device's save and restore, while processing is stopped.

  [[nodiscard]] std::uint64_t device_features() const { return device_features_; }
  /// The driver has accepted VIRTIO_F_RING_PACKED.
  [[nodiscard]] bool has_packed_rings() const;
  [[nodiscard]] schema::PciFunctionT save_pci() const;
  [[nodiscard]] schema::VirtioDeviceT save_virtio() const;
  /// A state that validate() accepted.
  struct Restored {
    PciFunction::Restored pci;
    std::uint64_t device_features = 0;
    std::uint64_t driver_features = 0;
    std::uint8_t status = 0;
    std::uint8_t isr = 0;
    std::uint8_t config_generation = 0;
    std::uint16_t config_vector = 0;
    std::uint32_t device_feature_select = 0;
    std::uint32_t driver_feature_select = 0;
    std::uint16_t queue_select = 0;
    std::vector<Virtqueue::State> queues;
    std::vector<std::uint16_t> queue_vectors;
  };
  /// Errors: Corrupt; Unsupported, for features this VMM does not know, a legacy driver, another layout.
  [[nodiscard]] Result<Restored> validate(const schema::PciFunctionT& pci,
                                          const schema::VirtioDeviceT& virtio) const;
  void assign(Restored state);
  /// For Device::resume(): interrupt line and pending vectors.
  void resume();

 private:
  class StructureBar final : public IoHandler {
   public:
    explicit StructureBar(VirtioPci& owner) : owner_(owner) {}
    void read(std::uint64_t offset, MutableByteView data) override;
    void write(std::uint64_t offset, ByteView data) override;

   private:
    VirtioPci& owner_;
  };
  class MsixBar final : public IoHandler {
   public:
    explicit MsixBar(VirtioPci& owner) : owner_(owner) {}
    void read(std::uint64_t offset, MutableByteView data) override;
    void write(std::uint64_t offset, ByteView data) override;

   private:
    VirtioPci& owner_;
  };

  void add_structure(std::uint8_t type, std::uint32_t offset, std::uint32_t length, bool multiplier);
  [[nodiscard]] Result<void> validate_features(const schema::VirtioDeviceT& virtio) const;
  [[nodiscard]] Result<void> validate_queues(const schema::VirtioDeviceT& virtio, Restored& restored) const;

  // With mutex_ held.
  void read_structures(std::uint64_t offset, MutableByteView data);
  void write_structures(std::uint64_t offset, ByteView data);
  [[nodiscard]] std::array<std::byte, 64> common_image() const;
  void write_common(std::uint64_t offset, ByteView data);
  void write_queue_register(std::uint64_t offset, std::uint32_t value);
  void write_queue_address(std::uint64_t offset, ByteView data);
  void write_status(std::uint8_t value);
  void reset();
  [[nodiscard]] static Virtqueue::Features queue_features(std::uint64_t features);
  /// What the driver accepted; false when a queue that it enabled before does not fit that.
  [[nodiscard]] bool apply_features_to_queues();
  /// The window of the VIRTIO_PCI_CAP_PCI_CFG capability, when [offset, offset + size) touches its data and
  /// the guest has pointed it at something.
  struct Window {
    std::uint64_t offset;  // in BAR 0
    std::uint32_t length;
  };
  [[nodiscard]] std::optional<Window> window(std::uint8_t offset, std::size_t size) const;

  // With interrupt_mutex_ held.
  void interrupt(std::uint16_t vector, std::uint8_t isr_bit);

  VirtioModel& model_;
  const std::uint64_t known_features_;
  StructureBar structure_bar_{*this};
  MsixBar msix_bar_{*this};

  mutable std::mutex mutex_;
  std::uint64_t device_features_;
  std::uint64_t driver_features_ = 0;
  std::uint8_t config_generation_ = 0;
  std::uint32_t device_feature_select_ = 0;
  std::uint32_t driver_feature_select_ = 0;
  std::uint16_t queue_select_ = 0;
  std::deque<Virtqueue> queues_;  // of things that cannot move

  mutable std::mutex interrupt_mutex_;
  PciFunction function_;
  std::uint8_t status_ = 0;
  std::uint8_t isr_ = 0;
  std::uint16_t config_vector_;
  std::vector<std::uint16_t> queue_vectors_;

  std::uint8_t window_capability_ = 0;  // constant after construction
};

}  // namespace vmsnap::vmm
