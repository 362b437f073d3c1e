// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/msr_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "kvm/kvm_api.h"
#include "kvm/msr_fields.h"

namespace vmsnap::vmm {
namespace {

constexpr std::size_t kBatch = 128;  // the kernel takes up to 256 at a time
constexpr std::uint32_t kMaxListed = 8192;

struct MsrRange {
  std::uint32_t first;
  std::uint32_t last;
};

// x2APIC registers are the local APIC's (chunk lapic).
constexpr MsrRange kOwnField[] = {
    {kMsrTsc, kMsrTsc},   {kMsrApicBase, kMsrApicBase}, {kMsrTscDeadline, kMsrTscDeadline}, {0x800, 0x8ff},
    {kMsrEfer, kMsrEfer}, {kMsrFsBase, kMsrFsBase},     {kMsrGsBase, kMsrGsBase},
};

// Registers of features that no profile shows to a guest, and registers that nobody can write.
constexpr MsrRange kLeftOut[] = {
    {0xc1, 0xc8},                // performance counters
    {0xcf, 0xcf},                // IA32_CORE_CAPABILITIES, read-only
    {kMsrMtrrCap, kMsrMtrrCap},  // read-only
    {kMsrMcgCap, kMsrMcgCap},    // read-only
    {0x186, 0x18d},              // performance event selectors
    {0x1db, 0x1de},              // last branch and exception records, read-only
    {0x309, 0x30c},              // fixed-function counters
    {0x345, 0x345},              // IA32_PERF_CAPABILITIES
    {0x38d, 0x390},              // performance monitoring control
    {0x3f1, 0x3f2},              // PEBS
    {0x480, 0x49f},              // VMX capabilities
    {0x4c1, 0x4c8},              // full-width performance counters
    {0x560, 0x58f},              // processor trace
    {0x600, 0x600},              // debug store
    {0x14ce, 0x14cf},            // architectural LBR
    {0x40000000, 0x400001ff},    // Hyper-V
    {0x4b564d02, 0x4b564d03},    // asynchronous page faults, steal time
    {0x4b564d06, 0x4b564d07},    // asynchronous page faults
    {0xc0000104, 0xc0000104},    // TSC ratio of nested guests
    {0xc0000300, 0xc0000302},    // performance monitoring, version 2
    {0xc0010000, 0xc0010007},    // performance monitoring
    {0xc0010114, 0xc0010117},    // SVM
    {0xc0010200, 0xc001020b},    // performance monitoring
};

constexpr std::uint32_t kFixedMtrrs[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                         0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
constexpr std::uint32_t kMtrrDefType = 0x2ff;
constexpr std::uint32_t kPat = 0x277;

// Missing from the list of one kernel or another (kvm.md 4.2.5 and 5.3).
constexpr std::uint32_t kAlwaysTried[] = {
    0x174,        0x175,      0x176,                   // SYSENTER
    0x17a,        0x17b,                               // machine check, global
    0x1a0,                                             // IA32_MISC_ENABLE
    kPat,                                              //
    kMtrrDefType,                                      //
    0x11,         0x12,                                // kvmclock, old numbers
    0x4b564d00,   0x4b564d01,                          // kvmclock
    0x4b564d04,                                        // paravirtual EOI
    0x4b564d05,                                        // polling control
    0xc0000081,   0xc0000082, 0xc0000083, 0xc0000084,  // SYSCALL
    0xc0000102,                                        // KERNEL_GS_BASE
    0xc0000103,                                        // TSC_AUX
    0x3b,                                              // IA32_TSC_ADJUST
    0xda0,                                             // IA32_XSS
};

struct MsrName {
  std::uint32_t index;
  const char* name;
};
// Those without a field among the groups of the schema (msr_fields.h).
constexpr MsrName kNames[] = {
    {kMsrTsc, "IA32_TIME_STAMP_COUNTER"},   {kMsrApicBase, "IA32_APIC_BASE"},
    {kMsrTscDeadline, "IA32_TSC_DEADLINE"}, {kMsrEfer, "IA32_EFER"},
    {kMsrFsBase, "IA32_FS_BASE"},           {kMsrGsBase, "IA32_GS_BASE"},
};

using MsrTable = WithEntries<kvm_msrs, kvm_msr_entry>;

bool is_in(std::span<const MsrRange> ranges, std::uint32_t index) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [index](const MsrRange& range) { return index >= range.first && index <= range.last; });
}

// The call is not one of those that fail as a whole: it stops at the register it refuses.
bool try_msr(const KvmFd& vcpu, unsigned long request, std::uint32_t index, std::uint64_t& value) {
  MsrTable table(1);
  table->nmsrs = 1;
  table.set_entry(0, kvm_msr_entry{index, 0, value});
  const bool done = vcpu.raw(request, table.get()) == 1;
  if (done) value = table.entry(0).data;
  return done;
}

Result<std::vector<std::uint32_t>> listed_msrs(const KvmFd& kvm) {
  WithEntries<kvm_msr_list, std::uint32_t> probe(0);
  const int result = kvm.raw(KVM_GET_MSR_INDEX_LIST, probe.get());
  if (result < 0 && result != -E2BIG) return io_error("the KVM call KVM_GET_MSR_INDEX_LIST failed", -result);
  const std::uint32_t count = probe->nmsrs;
  if (count > kMaxListed) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format("the host's KVM lists {} MSRs; this build takes up to {}", count, kMaxListed));
  }
  WithEntries<kvm_msr_list, std::uint32_t> list(count);
  list->nmsrs = count;
  VMSNAP_RETURN_IF_ERROR(kvm.call(KVM_GET_MSR_INDEX_LIST, "KVM_GET_MSR_INDEX_LIST", list.get()));
  std::vector<std::uint32_t> indices;
  for (std::uint32_t i = 0; i < std::min(count, list->nmsrs); ++i) indices.push_back(list.entry(i));
  return indices;
}

}  // namespace

bool has_own_field(std::uint32_t index) {
  return is_in(kOwnField, index);
}

std::vector<std::uint32_t> candidate_msrs(std::span<const std::uint32_t> listed, std::uint64_t mtrr_cap,
                                          std::uint64_t mcg_cap) {
  std::vector<std::uint32_t> all(listed.begin(), listed.end());
  all.insert(all.end(), std::begin(kAlwaysTried), std::end(kAlwaysTried));
  all.insert(all.end(), std::begin(kFixedMtrrs), std::end(kFixedMtrrs));
  const std::uint32_t variable = std::min(static_cast<std::uint32_t>(mtrr_cap & 0xff), kMaxVariableMtrrs);
  for (std::uint32_t i = 0; i < kRegistersPerMtrr * variable; ++i) all.push_back(kMsrMtrrPhysBase0 + i);
  const std::uint32_t banks = std::min(static_cast<std::uint32_t>(mcg_cap & 0xff), kMaxBanks);
  for (std::uint32_t i = 0; i < kRegistersPerBank * banks; ++i) all.push_back(kMsrMc0Ctl + i);
  for (std::uint32_t i = 0; i < banks; ++i) all.push_back(kMsrMc0Ctl2 + i);
  std::erase_if(all, [](std::uint32_t index) { return has_own_field(index) || is_in(kLeftOut, index); });
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

Result<void> probe_msrs(const KvmFd& kvm, const KvmFd& vcpu, HostFacts& facts) {
  VMSNAP_ASSIGN_OR_RETURN(const std::vector<std::uint32_t> listed, listed_msrs(kvm));
  // A kernel without one of the capability registers has nothing that it would count.
  std::uint64_t mtrr_cap = 0;
  std::uint64_t mcg_cap = 0;
  if (!try_msr(vcpu, KVM_GET_MSRS, kMsrMtrrCap, mtrr_cap)) mtrr_cap = 0;
  if (!try_msr(vcpu, KVM_GET_MSRS, kMsrMcgCap, mcg_cap)) mcg_cap = 0;
  facts.msrs.clear();
  facts.refused_msrs.clear();
  for (const std::uint32_t index : candidate_msrs(listed, mtrr_cap, mcg_cap)) {
    std::uint64_t value = 0;
    const bool works = try_msr(vcpu, KVM_GET_MSRS, index, value) && try_msr(vcpu, KVM_SET_MSRS, index, value);
    (works ? facts.msrs : facts.refused_msrs).push_back(index);
  }
  return {};
}

Result<std::vector<schema::Msr>> read_msrs(const KvmFd& vcpu, std::span<const std::uint32_t> indices) {
  std::vector<schema::Msr> msrs;
  msrs.reserve(indices.size());
  while (!indices.empty()) {
    const std::span<const std::uint32_t> batch = indices.first(std::min(indices.size(), kBatch));
    MsrTable table(batch.size());
    table->nmsrs = static_cast<std::uint32_t>(batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) table.set_entry(i, kvm_msr_entry{batch[i], 0, 0});
    VMSNAP_ASSIGN_OR_RETURN(const int done, vcpu.call(KVM_GET_MSRS, "KVM_GET_MSRS", table.get()));
    const auto count = static_cast<std::size_t>(done);
    if (count < batch.size()) {
      return Error(ErrorKind::kIo, fmt::format("KVM_GET_MSRS refused to read {}", msr_name(batch[count])))
          .in_field(msr_path(batch[count]));
    }
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const kvm_msr_entry entry = table.entry(i);
      msrs.emplace_back(entry.index, 0u, entry.data);
    }
    indices = indices.subspan(batch.size());
  }
  return msrs;
}

Result<std::uint64_t> read_msr(const KvmFd& vcpu, std::uint32_t index) {
  VMSNAP_ASSIGN_OR_RETURN(const auto msrs, read_msrs(vcpu, std::span(&index, 1)));
  return msrs.front().value();
}

Result<void> write_msrs(const KvmFd& vcpu, std::span<const schema::Msr> msrs) {
  while (!msrs.empty()) {
    const std::span<const schema::Msr> batch = msrs.first(std::min(msrs.size(), kBatch));
    MsrTable table(batch.size());
    table->nmsrs = static_cast<std::uint32_t>(batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      table.set_entry(i, kvm_msr_entry{batch[i].index(), 0, batch[i].value()});
    }
    VMSNAP_ASSIGN_OR_RETURN(const int done, vcpu.call(KVM_SET_MSRS, "KVM_SET_MSRS", table.get()));
    const auto count = static_cast<std::size_t>(done);
    if (count < batch.size()) {
      return Error(ErrorKind::kIo,
                   fmt::format("KVM_SET_MSRS refused to write {:#x} to {}; this host cannot take the "
                               "state",
                               batch[count].value(), msr_name(batch[count].index())))
          .in_field(msr_path(batch[count].index()));
    }
    msrs = msrs.subspan(batch.size());
  }
  return {};
}

Result<void> write_msr(const KvmFd& vcpu, std::uint32_t index, std::uint64_t value) {
  const schema::Msr msr(index, 0, value);
  return write_msrs(vcpu, std::span(&msr, 1));
}

std::string msr_name(std::uint32_t index) {
  if (const auto name = msr_field_name(index)) return fmt::format("MSR {:#x} ({})", index, *name);
  for (const MsrName& name : kNames) {
    if (name.index == index) return fmt::format("MSR {:#x} ({})", index, name.name);
  }
  return fmt::format("MSR {:#x}", index);
}

}  // namespace vmsnap::vmm
