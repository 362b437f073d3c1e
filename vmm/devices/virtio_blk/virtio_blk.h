// SPDX-License-Identifier: BSD-2-Clause
// Source: Virtual I/O Device 1.2, section 5.2 (block device).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/device.h"
#include "core/guest_memory.h"
#include "core/io_bus.h"
#include "core/io_handler.h"
#include "devices/pci/pci_function.h"
#include "devices/virtio/queue_worker.h"
#include "devices/virtio/virtio_pci.h"
#include "devices/virtio_blk/disk_image.h"

namespace vmsnap::schema {
struct VirtioBlkT;
}

namespace vmsnap::vmm {

/// A virtio disk behind PCI, with one queue that a thread of its own works off. A request that cannot be done
/// gets VIRTIO_BLK_S_IOERR; a guest that breaks the rules of the queue gets DEVICE_NEEDS_RESET.
class VirtioBlk final : public Device, private VirtioModel {
 public:
  struct Options {
    PciAddress address;
    std::string slot;    // name of its slot in the manifest: "disk0"
    std::string hint;    // where the image is on this host, for people; may be empty
    std::string serial;  // at most 20 characters
    /// Offers VIRTIO_F_RING_PACKED. A restored device offers what the guest was offered, whatever this says.
    bool packed_rings = false;
  };
  /// How a slot is given another image; part of error sentences.
  static constexpr const char* kSlotOption = "--slot";

  /// `memory`, `bus`, `intx` and `msi` must outlive the device. Errors: Usage (serial too long), Io (no
  /// thread).
  [[nodiscard]] static Result<std::unique_ptr<VirtioBlk>> create(Options options, DiskImage image,
                                                                 const GuestMemory& memory, IoBus& bus,
                                                                 IrqLine& intx, MsiSink& msi);
  ~VirtioBlk() override;

  /// For PciHost::attach(); valid as long as the device.
  [[nodiscard]] PciConfigHandler& pci() { return transport_; }

  [[nodiscard]] DeviceEntry describe() const override;
  /// Also makes durable what the guest has written, so that a snapshot never refers to a disk state that a
  /// power cut of the host could take back.
  [[nodiscard]] Result<void> quiesce() override;
  void resume() override;
  [[nodiscard]] Result<ByteVector> save() const override;
  /// Besides the contract: Usage, when the image in the slot does not have the size of the disk that the
  /// guest knows, or is read-only while the guest's disk is not.
  [[nodiscard]] Result<void> restore(ByteView state) override;

 private:
  /// struct virtio_blk_config; 0 in fields whose feature is not offered.
  struct Config {
    std::uint64_t capacity = 0;  // sectors
    std::uint32_t size_max = 0;
    std::uint32_t seg_max = 0;
    std::uint32_t blk_size = 512;
    std::uint8_t physical_block_exp = 0;
    std::uint8_t alignment_offset = 0;
    std::uint16_t min_io_size = 0;
    std::uint32_t opt_io_size = 0;
    std::atomic<bool> writeback{true};  // written by the driver while the queue is processed
    std::uint16_t num_queues = 0;
  };
  struct Outcome {
    std::uint8_t status;
    std::uint64_t written;  // bytes of the writable part in front of the status
  };

  VirtioBlk(Options options, DiskImage image, const GuestMemory& memory, IoBus& bus, IrqLine& intx,
            MsiSink& msi);

  void read_device_config(std::uint64_t offset, MutableByteView data) override;
  void write_device_config(std::uint64_t offset, ByteView data) override;
  void queue_notified(std::uint16_t queue) override;
  void stop_processing() override;
  void start_processing() override;
  void device_reset() override;

  // On the worker's thread.
  void process();
  [[nodiscard]] Result<void> serve(const Virtqueue::Chain& chain);
  [[nodiscard]] Outcome execute(std::uint32_t type, std::uint64_t sector, std::vector<MutableByteView> out,
                                std::vector<MutableByteView> in);
  [[nodiscard]] Outcome flush();
  [[nodiscard]] bool write_through() const;
  [[nodiscard]] bool in_range(std::uint64_t sector, std::uint64_t bytes) const;

  [[nodiscard]] Result<void> validate_config(const schema::VirtioBlkT& state) const;
  void assign_config(const schema::VirtioBlkT& state);

  const Options options_;
  const std::string path_;
  const DiskImage image_;
  const GuestMemory& memory_;
  VirtioPci transport_;
  Config config_;
  std::string serial_;
  std::atomic<bool> unflushed_{false};  // written since the last flush
  std::unique_ptr<QueueWorker> worker_;
};

}  // namespace vmsnap::vmm
