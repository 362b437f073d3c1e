// SPDX-License-Identifier: BSD-2-Clause
// A virtual machine of KVM: memory, in-kernel interrupt controllers and timer, virtual CPUs.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/gpa.h"
#include "base/result.h"
#include "core/guest_memory.h"
#include "core/io_handler.h"
#include "kvm/calls.h"
#include "kvm/host_facts.h"
#include "kvm/kvm.h"
#include "kvm/vcpu.h"

namespace vmsnap::vmm {

/// One connection of a GSI to an input of an interrupt controller.
struct GsiRoute {
  enum class Chip : std::uint8_t { kPicPrimary, kPicSecondary, kIoApic };
  std::uint32_t gsi;
  Chip chip;
  std::uint32_t pin;
  bool operator==(const GsiRoute&) const = default;
};

class KvmVm {
 public:
  /// Where KVM may put pages of its own in guest physical memory: 3 pages and 1 page, outside RAM.
  struct Options {
    Gpa tss;
    Gpa identity_map;
  };

  /// Makes a VM with X2APIC_API, EXCEPTION_PAYLOAD and, where the host has it, TRIPLE_FAULT_EVENT, the PIC
  /// pair, the I/O APIC and the 8254 with a dummy speaker port, in the order of kvm.md 4.1. `kvm` must
  /// outlive it. Errors: Io.
  [[nodiscard]] static Result<std::unique_ptr<KvmVm>> create(const Kvm& kvm, const Options& options);

  /// Shows every mapping of `memory`'s map to the guest; `memory` must outlive the VM. Slots are numbered
  /// in order of the mappings, from 0. Errors: Io.
  [[nodiscard]] Result<void> map_memory(const GuestMemory& memory);

  /// Shows `bytes` to the guest at `address` as memory slot `slot`, instead of what the slot showed before;
  /// no bytes: nothing any more. Address and size are multiples of 4096. Errors: Io.
  [[nodiscard]] Result<void> set_memory_slot(std::uint32_t slot, Gpa address, MutableByteView bytes,
                                             bool read_only);
  /// First slot that map_memory() left free.
  [[nodiscard]] std::uint32_t next_free_slot() const { return next_slot_; }

  /// Replaces the whole GSI routing. Not part of KVM's readable state: the caller does it on every new VM,
  /// restored ones included, before the interrupt controllers are restored. Errors: Io.
  [[nodiscard]] Result<void> set_gsi_routing(std::span<const GsiRoute> routes);

  /// A new wire to `gsi`. Wires of the same GSI are or-ed. Wires begin low, and also after a restore: a
  /// device that holds its wire high asserts it again in resume(). The VM must outlive the wire.
  [[nodiscard]] std::unique_ptr<IrqLine> irq_line(std::uint32_t gsi);
  /// KVM_SIGNAL_MSI; lives as long as the VM.
  [[nodiscard]] MsiSink& msi() { return msi_; }

  /// Makes `count` virtual CPUs with the processor that `profile` describes (CPUID patched for each, TSC
  /// frequency), and finds out which MSRs a save has to carry. Once, after map_memory(). Errors: Io;
  /// Unsupported when the host cannot give the profile; see check_profile() for a complete list first.
  [[nodiscard]] Result<void> create_vcpus(std::uint32_t count, const schema::CpuProfileT& profile);

  [[nodiscard]] std::uint32_t vcpu_count() const { return static_cast<std::uint32_t>(vcpus_.size()); }
  /// Lives as long as the VM.
  [[nodiscard]] KvmVcpu& vcpu(std::uint32_t index) const { return *vcpus_[index]; }

  [[nodiscard]] const KvmFd& fd() const { return fd_; }
  [[nodiscard]] const HostFacts& facts() const { return facts_; }

 private:
  class Wire;
  struct Gsi {
    std::mutex mutex;
    std::uint32_t asserted = 0;  // wires that are high
  };
  class Msi final : public MsiSink {
   public:
    explicit Msi(const KvmFd& fd) : fd_(fd) {}
    void send(std::uint64_t address, std::uint32_t data) override;

   private:
    const KvmFd& fd_;
  };

  KvmVm(const Kvm& kvm, KvmFd fd) : kvm_(kvm), fd_(std::move(fd)), msi_(fd_) {}
  [[nodiscard]] Result<void> set_up(const Options& options);
  [[nodiscard]] Result<std::unique_ptr<KvmVcpu>> create_vcpu(std::uint32_t index,
                                                             const schema::CpuProfileT& profile,
                                                             std::uint32_t count);

  const Kvm& kvm_;
  KvmFd fd_;
  Msi msi_;
  HostFacts facts_;
  std::uint32_t next_slot_ = 0;
  std::mutex gsis_mutex_;
  std::vector<std::pair<std::uint32_t, std::unique_ptr<Gsi>>> gsis_;
  std::vector<std::unique_ptr<KvmVcpu>> vcpus_;
};

}  // namespace vmsnap::vmm
