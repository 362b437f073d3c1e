// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/vm.h"

#include <fmt/format.h>

#include <algorithm>

#include "kvm/cpu_profile.h"
#include "kvm/kvm_api.h"
#include "kvm/msr_list.h"
#include "kvm/tsc_frequency.h"

namespace vmsnap::vmm {
namespace {

Result<void> enable(const KvmFd& vm, std::uint32_t capability, std::uint64_t argument,
                    std::string_view name) {
  kvm_enable_cap request{};
  request.cap = capability;
  request.args[0] = argument;
  VMSNAP_RETURN_IF_ERROR(vm.call(KVM_ENABLE_CAP, name, &request));
  return {};
}

}  // namespace

class KvmVm::Wire final : public IrqLine {
 public:
  Wire(const KvmFd& fd, std::uint32_t number, Gsi& gsi) : fd_(fd), number_(number), gsi_(gsi) {}

  // The level is given to KVM even if this wire's has not changed: after a restore KVM's idea may be another.
  void set_level(bool asserted) override {
    const std::lock_guard lock(gsi_.mutex);
    if (asserted && !asserted_) ++gsi_.asserted;
    if (!asserted && asserted_) --gsi_.asserted;
    asserted_ = asserted;
    kvm_irq_level level{};
    level.irq = number_;
    level.level = gsi_.asserted > 0 ? 1 : 0;
    fd_.raw(KVM_IRQ_LINE, &level);
  }

 private:
  const KvmFd& fd_;
  std::uint32_t number_;
  Gsi& gsi_;
  bool asserted_ = false;
};

void KvmVm::Msi::send(std::uint64_t address, std::uint32_t data) {
  kvm_msi message{};
  message.address_lo = static_cast<std::uint32_t>(address);
  message.address_hi = static_cast<std::uint32_t>(address >> 32);
  message.data = data;
  fd_.raw(KVM_SIGNAL_MSI, &message);
}

Result<std::unique_ptr<KvmVm>> KvmVm::create(const Kvm& kvm, const Options& options) {
  VMSNAP_ASSIGN_OR_RETURN(const int number, kvm.fd().call(KVM_CREATE_VM, "KVM_CREATE_VM"));
  std::unique_ptr<KvmVm> vm(new KvmVm(kvm, KvmFd(kvm.fd().calls(), UniqueFd(number))));
  VMSNAP_RETURN_IF_ERROR(vm->set_up(options));
  return vm;
}

Result<void> KvmVm::set_up(const Options& options) {
  // Before the first virtual CPU; both decide what later calls mean (api.rst 7.7, 4.31).
  VMSNAP_RETURN_IF_ERROR(enable(fd_, KVM_CAP_X2APIC_API,
                                KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK,
                                "KVM_ENABLE_CAP(X2APIC_API)"));
  VMSNAP_RETURN_IF_ERROR(enable(fd_, KVM_CAP_EXCEPTION_PAYLOAD, 1, "KVM_ENABLE_CAP(EXCEPTION_PAYLOAD)"));
  facts_.has_triple_fault_event = fd_.extension(KVM_CAP_X86_TRIPLE_FAULT_EVENT) > 0;
  if (facts_.has_triple_fault_event) {
    VMSNAP_RETURN_IF_ERROR(
        enable(fd_, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1, "KVM_ENABLE_CAP(X86_TRIPLE_FAULT_EVENT)"));
  }
  VMSNAP_RETURN_IF_ERROR(fd_.call_value(KVM_SET_TSS_ADDR, "KVM_SET_TSS_ADDR", options.tss.value()));
  std::uint64_t identity_map = options.identity_map.value();
  VMSNAP_RETURN_IF_ERROR(fd_.call(KVM_SET_IDENTITY_MAP_ADDR, "KVM_SET_IDENTITY_MAP_ADDR", &identity_map));
  VMSNAP_RETURN_IF_ERROR(fd_.call(KVM_CREATE_IRQCHIP, "KVM_CREATE_IRQCHIP"));
  kvm_pit_config pit{};
  pit.flags = KVM_PIT_SPEAKER_DUMMY;
  VMSNAP_RETURN_IF_ERROR(fd_.call(KVM_CREATE_PIT2, "KVM_CREATE_PIT2", &pit));

  // XSAVE2 is asked of the VM: the size depends on it (LNX be50b2065dfa).
  const int xsave_size = fd_.extension(KVM_CAP_XSAVE2);
  facts_.xsave_size = static_cast<std::uint32_t>(std::max<int>(xsave_size, sizeof(kvm_xsave)));
  facts_.has_xsave2 = xsave_size > 0;
  facts_.has_smm = fd_.extension(KVM_CAP_X86_SMM) > 0;
  facts_.has_xcrs = fd_.extension(KVM_CAP_XCRS) > 0;
  facts_.has_tsc_scaling = fd_.extension(KVM_CAP_TSC_CONTROL) > 0;
  facts_.has_tsc_deadline = kvm_.fd().extension(KVM_CAP_TSC_DEADLINE_TIMER) > 0;
  facts_.has_tsc_offset = kvm_.has_tsc_offset();
  facts_.host_tsc_khz = kvm_.host_tsc_khz();
  return {};
}

Result<void> KvmVm::map_memory(const GuestMemory& memory) {
  std::uint32_t slot = 0;
  for (const MemoryMapping& mapping : memory.map().mappings) {
    const MutableByteView bytes =
        memory.segment(mapping.segment).subspan(mapping.segment_offset, mapping.size);
    VMSNAP_RETURN_IF_ERROR(set_memory_slot(slot++, mapping.guest_address, bytes, mapping.read_only));
  }
  next_slot_ = slot;
  return {};
}

Result<void> KvmVm::set_memory_slot(std::uint32_t slot, Gpa address, MutableByteView bytes, bool read_only) {
  kvm_userspace_memory_region region{};
  region.slot = slot;
  region.flags = read_only ? KVM_MEM_READONLY : 0;
  region.guest_phys_addr = address.value();
  region.memory_size = bytes.size();
  region.userspace_addr = reinterpret_cast<std::uintptr_t>(bytes.data());
  VMSNAP_RETURN_IF_ERROR(fd_.call(KVM_SET_USER_MEMORY_REGION,
                                  fmt::format("KVM_SET_USER_MEMORY_REGION (slot {}, {} bytes at {:#x})", slot,
                                              bytes.size(), address.value()),
                                  &region));
  return {};
}

Result<void> KvmVm::set_gsi_routing(std::span<const GsiRoute> routes) {
  WithEntries<kvm_irq_routing, kvm_irq_routing_entry> table(routes.size());
  table->nr = static_cast<std::uint32_t>(routes.size());
  for (std::size_t i = 0; i < routes.size(); ++i) {
    kvm_irq_routing_entry entry{};
    entry.gsi = routes[i].gsi;
    entry.type = KVM_IRQ_ROUTING_IRQCHIP;
    switch (routes[i].chip) {
      case GsiRoute::Chip::kPicPrimary:
        entry.u.irqchip.irqchip = KVM_IRQCHIP_PIC_MASTER;
        break;
      case GsiRoute::Chip::kPicSecondary:
        entry.u.irqchip.irqchip = KVM_IRQCHIP_PIC_SLAVE;
        break;
      case GsiRoute::Chip::kIoApic:
        entry.u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
        break;
    }
    entry.u.irqchip.pin = routes[i].pin;
    table.set_entry(i, entry);
  }
  VMSNAP_RETURN_IF_ERROR(fd_.call(KVM_SET_GSI_ROUTING, "KVM_SET_GSI_ROUTING", table.get()));
  return {};
}

std::unique_ptr<IrqLine> KvmVm::irq_line(std::uint32_t gsi) {
  const std::lock_guard lock(gsis_mutex_);
  auto found =
      std::find_if(gsis_.begin(), gsis_.end(), [gsi](const auto& entry) { return entry.first == gsi; });
  if (found == gsis_.end()) found = gsis_.emplace(gsis_.end(), gsi, std::make_unique<Gsi>());
  return std::make_unique<Wire>(fd_, gsi, *found->second);
}

Result<std::unique_ptr<KvmVcpu>> KvmVm::create_vcpu(std::uint32_t index, const schema::CpuProfileT& profile,
                                                    std::uint32_t count) {
  VMSNAP_ASSIGN_OR_RETURN(const int number, fd_.call_value(KVM_CREATE_VCPU, "KVM_CREATE_VCPU", index));
  UniqueFd owned(number);
  void* page = fd_.calls()->map(number, kvm_.run_size());
  if (page == nullptr) {
    return Error(ErrorKind::kIo,
                 fmt::format("the communication page of virtual CPU {} cannot be mapped", index));
  }
  std::unique_ptr<KvmVcpu> vcpu(new KvmVcpu(index, KvmFd(fd_.calls(), std::move(owned)),
                                            static_cast<kvm_run*>(page), kvm_.run_size(), &facts_));
  const std::vector<schema::CpuidLeaf> leaves = leaves_for_vcpu(profile, index, count);
  WithEntries<kvm_cpuid2, kvm_cpuid_entry2> table(leaves.size());
  table->nent = static_cast<std::uint32_t>(leaves.size());
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const schema::CpuidLeaf& leaf = leaves[i];
    kvm_cpuid_entry2 entry{};
    entry.function = leaf.leaf();
    entry.index = leaf.subleaf();
    entry.flags = leaf.indexed() != 0 ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
    entry.eax = leaf.eax();
    entry.ebx = leaf.ebx();
    entry.ecx = leaf.ecx();
    entry.edx = leaf.edx();
    table.set_entry(i, entry);
  }
  VMSNAP_RETURN_IF_ERROR(
      vcpu->fd().call(KVM_SET_CPUID2, fmt::format("KVM_SET_CPUID2 of virtual CPU {}", index), table.get()));

  const int host_khz = vcpu->fd().raw(KVM_GET_TSC_KHZ);
  const std::uint64_t now_khz = host_khz > 0 ? static_cast<std::uint64_t>(host_khz) : 0;
  const TscFit fit = fit_tsc_frequency(profile.tsc_frequency, now_khz, facts_.has_tsc_scaling);
  if (fit == TscFit::kImpossible) return tsc_frequency_error(profile.tsc_frequency, now_khz);
  if (fit == TscFit::kScaled) {
    VMSNAP_RETURN_IF_ERROR(vcpu->fd().call_value(
        KVM_SET_TSC_KHZ,
        fmt::format("KVM_SET_TSC_KHZ of virtual CPU {} to {} kHz", index, profile.tsc_frequency),
        profile.tsc_frequency));
  }
  facts_.guest_tsc_khz = fit == TscFit::kScaled ? profile.tsc_frequency : now_khz;
  return vcpu;
}

Result<void> KvmVm::create_vcpus(std::uint32_t count, const schema::CpuProfileT& profile) {
  if (!vcpus_.empty() || count == 0) {
    return Error(ErrorKind::kInvalidState,
                 "the virtual CPUs of a machine are made once, and at least one of them");
  }
  if (count > kvm_.max_vcpus()) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format("the machine needs {} virtual CPUs; this host's KVM gives up to {}", count,
                             kvm_.max_vcpus()));
  }
  facts_.guest_xcr0 = allowed_xcr0(profile);
  facts_.vcpu_count = count;
  std::vector<std::unique_ptr<KvmVcpu>> vcpus;
  for (std::uint32_t i = 0; i < count; ++i) {
    VMSNAP_ASSIGN_OR_RETURN(auto vcpu, create_vcpu(i, profile, count));
    vcpus.push_back(std::move(vcpu));
  }
  VMSNAP_RETURN_IF_ERROR(probe_msrs(kvm_.fd(), vcpus.front()->fd(), facts_));
  vcpus_ = std::move(vcpus);
  return {};
}

}  // namespace vmsnap::vmm
