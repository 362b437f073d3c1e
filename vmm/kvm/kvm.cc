// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/kvm.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <tuple>

#include "kvm/kvm_api.h"

namespace vmsnap::vmm {
namespace {

constexpr std::uint32_t kTscDeadlineBit = 1u << 24;  // leaf 1 ECX
constexpr std::size_t kMaxCpuidEntries = 4096;
constexpr std::uint32_t kX2ApicFlags = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;

struct Capability {
  int number;
  std::uint32_t bits;  // that the extension's answer must have
  const char* name;
};

constexpr Capability kRequired[] = {
    {KVM_CAP_USER_MEMORY, 1, "USER_MEMORY"},
    {KVM_CAP_SET_TSS_ADDR, 1, "SET_TSS_ADDR"},
    {KVM_CAP_SET_IDENTITY_MAP_ADDR, 1, "SET_IDENTITY_MAP_ADDR"},
    {KVM_CAP_IRQCHIP, 1, "IRQCHIP"},
    {KVM_CAP_IRQ_ROUTING, 0, "IRQ_ROUTING"},
    {KVM_CAP_SIGNAL_MSI, 1, "SIGNAL_MSI"},
    {KVM_CAP_PIT2, 1, "PIT2"},
    {KVM_CAP_PIT_STATE2, 1, "PIT_STATE2"},
    {KVM_CAP_EXT_CPUID, 1, "EXT_CPUID"},
    {KVM_CAP_MP_STATE, 1, "MP_STATE"},
    {KVM_CAP_VCPU_EVENTS, 1, "VCPU_EVENTS"},
    {KVM_CAP_DEBUGREGS, 1, "DEBUGREGS"},
    {KVM_CAP_XSAVE, 1, "XSAVE"},
    {KVM_CAP_SREGS2, 1, "SREGS2"},
    {KVM_CAP_ADJUST_CLOCK, 0, "ADJUST_CLOCK"},
    {KVM_CAP_IMMEDIATE_EXIT, 1, "IMMEDIATE_EXIT"},
    {KVM_CAP_X2APIC_API, kX2ApicFlags, "X2APIC_API"},
    {KVM_CAP_EXCEPTION_PAYLOAD, 1, "EXCEPTION_PAYLOAD"},
};

bool has(const KvmFd& fd, const Capability& capability) {
  const int answer = fd.extension(capability.number);
  return answer > 0 && (static_cast<std::uint32_t>(answer) & capability.bits) == capability.bits;
}

struct TscFacts {
  std::uint64_t khz = 0;
  bool has_offset = false;
};

bool takes_tsc_offset(const KvmFd& vcpu) {
  std::uint64_t offset = 0;
  kvm_device_attr attribute{};
  attribute.group = KVM_VCPU_TSC_CTRL;
  attribute.attr = KVM_VCPU_TSC_OFFSET;
  attribute.addr = reinterpret_cast<std::uintptr_t>(&offset);
  if (vcpu.raw(KVM_HAS_DEVICE_ATTR, &attribute) < 0 || vcpu.raw(KVM_GET_DEVICE_ATTR, &attribute) < 0)
    return false;
  const std::uint64_t other = offset + (std::uint64_t{1} << 40);
  offset = other;
  if (vcpu.raw(KVM_SET_DEVICE_ATTR, &attribute) < 0) return false;
  offset = 0;
  return vcpu.raw(KVM_GET_DEVICE_ATTR, &attribute) >= 0 && offset == other;
}

// The answers are a virtual CPU's, so one is made and thrown away. On one of a real machine the attempt would
// cost the guest its synchronised TSCs.
Result<TscFacts> probe_tsc(const KvmFd& kvm) {
  VMSNAP_ASSIGN_OR_RETURN(const int vm_number, kvm.call(KVM_CREATE_VM, "KVM_CREATE_VM"));
  const KvmFd vm(kvm.calls(), UniqueFd(vm_number));
  VMSNAP_ASSIGN_OR_RETURN(const int vcpu_number, vm.call(KVM_CREATE_VCPU, "KVM_CREATE_VCPU"));
  const KvmFd vcpu(kvm.calls(), UniqueFd(vcpu_number));
  const int khz = vcpu.raw(KVM_GET_TSC_KHZ);
  return TscFacts{khz > 0 ? static_cast<std::uint64_t>(khz) : 0, takes_tsc_offset(vcpu)};
}

}  // namespace

Result<Kvm> Kvm::open(const std::string& path) {
  return open(path, system_kvm_calls());
}

Result<Kvm> Kvm::open(const std::string& path, std::shared_ptr<KvmCalls> calls) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) {
    const int code = errno;
    return io_error(code == ENOENT ? "there is no KVM device; load the kvm_intel or kvm_amd module"
                                   : "the KVM device cannot be opened; is this user in the group kvm?",
                    code)
        .in_file(path);
  }
  Kvm kvm(KvmFd(std::move(calls), std::move(fd)));
  VMSNAP_ASSIGN_OR_RETURN(const int version, kvm.fd_.call(KVM_GET_API_VERSION, "KVM_GET_API_VERSION"));
  if (version != KVM_API_VERSION) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format("the host's KVM has API version {}, not the {} that every Linux "
                             "since 2.6.22 has",
                             version, KVM_API_VERSION));
  }
  std::vector<std::string> missing;
  for (const Capability& capability : kRequired) {
    if (!has(kvm.fd_, capability)) missing.push_back(std::string("KVM_CAP_") + capability.name);
  }
  if (!missing.empty()) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format("the host's KVM lacks {}; a Linux 5.14 or newer on x86-64 has it",
                             fmt::join(missing, ", ")));
  }
  VMSNAP_ASSIGN_OR_RETURN(const int run_size, kvm.fd_.call(KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE"));
  kvm.run_size_ = static_cast<std::size_t>(run_size);
  VMSNAP_ASSIGN_OR_RETURN(const TscFacts tsc, probe_tsc(kvm.fd_));
  kvm.host_tsc_khz_ = tsc.khz;
  kvm.has_tsc_offset_ = tsc.has_offset;
  return kvm;
}

Result<std::vector<schema::CpuidLeaf>> Kvm::supported_cpuid() const {
  using Table = WithEntries<kvm_cpuid2, kvm_cpuid_entry2>;
  for (std::size_t count = 256; count <= kMaxCpuidEntries; count *= 2) {
    Table table(count);
    table->nent = static_cast<std::uint32_t>(count);
    const int result = fd_.raw(KVM_GET_SUPPORTED_CPUID, table.get());
    if (result == -E2BIG) continue;
    if (result < 0) return io_error("the KVM call KVM_GET_SUPPORTED_CPUID failed", -result);
    const bool deadline = fd_.extension(KVM_CAP_TSC_DEADLINE_TIMER) > 0;
    std::vector<schema::CpuidLeaf> leaves;
    for (std::uint32_t i = 0; i < table->nent; ++i) {
      kvm_cpuid_entry2 entry = table.entry(i);
      if (entry.function == 1) entry.ecx = (entry.ecx & ~kTscDeadlineBit) | (deadline ? kTscDeadlineBit : 0);
      const bool indexed = (entry.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0;
      leaves.emplace_back(entry.function, indexed ? entry.index : 0, indexed ? 1u : 0u, entry.eax, entry.ebx,
                          entry.ecx, entry.edx);
    }
    std::sort(leaves.begin(), leaves.end(), [](const schema::CpuidLeaf& a, const schema::CpuidLeaf& b) {
      return std::make_tuple(a.leaf(), a.subleaf()) < std::make_tuple(b.leaf(), b.subleaf());
    });
    return leaves;
  }
  return Error(
      ErrorKind::kUnsupported,
      fmt::format("the host's KVM reports more than {} CPUID leaves; this build knows no such processor",
                  kMaxCpuidEntries));
}

std::uint32_t Kvm::max_vcpus() const {
  const int count = fd_.extension(KVM_CAP_MAX_VCPUS);
  return count > 0 ? static_cast<std::uint32_t>(count)
                   : 4;  // 4: what api.rst gives for hosts that do not say
}

}  // namespace vmsnap::vmm
