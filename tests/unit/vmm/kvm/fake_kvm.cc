// SPDX-License-Identifier: BSD-2-Clause
#include "fake_kvm.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kvm/lapic_bits.h"
#include "sample_states.h"

namespace vmsnap::vmm::test {
namespace {

constexpr int kSystemRole = -2;
constexpr int kVmRole = -1;
constexpr int kRunSize = 4096;

const char* name_of(unsigned long request) {
  switch (request) {
    case KVM_CREATE_VM:
      return "CREATE_VM";
    case KVM_CREATE_VCPU:
      return "CREATE_VCPU";
    case KVM_ENABLE_CAP:
      return "ENABLE_CAP";
    case KVM_SET_TSS_ADDR:
      return "SET_TSS_ADDR";
    case KVM_SET_IDENTITY_MAP_ADDR:
      return "SET_IDENTITY_MAP_ADDR";
    case KVM_CREATE_IRQCHIP:
      return "CREATE_IRQCHIP";
    case KVM_CREATE_PIT2:
      return "CREATE_PIT2";
    case KVM_SET_USER_MEMORY_REGION:
      return "SET_USER_MEMORY_REGION";
    case KVM_SET_GSI_ROUTING:
      return "SET_GSI_ROUTING";
    case KVM_IRQ_LINE:
      return "IRQ_LINE";
    case KVM_SIGNAL_MSI:
      return "SIGNAL_MSI";
    case KVM_SET_CPUID2:
      return "SET_CPUID2";
    case KVM_SET_TSC_KHZ:
      return "SET_TSC_KHZ";
    case KVM_GET_MP_STATE:
      return "GET_MP_STATE";
    case KVM_SET_MP_STATE:
      return "SET_MP_STATE";
    case KVM_GET_REGS:
      return "GET_REGS";
    case KVM_SET_REGS:
      return "SET_REGS";
    case KVM_GET_SREGS2:
      return "GET_SREGS2";
    case KVM_SET_SREGS2:
      return "SET_SREGS2";
    case KVM_GET_XSAVE2:
      return "GET_XSAVE";
    case KVM_GET_XSAVE:
      return "GET_XSAVE";
    case KVM_SET_XSAVE:
      return "SET_XSAVE";
    case KVM_GET_XCRS:
      return "GET_XCRS";
    case KVM_SET_XCRS:
      return "SET_XCRS";
    case KVM_GET_DEBUGREGS:
      return "GET_DEBUGREGS";
    case KVM_SET_DEBUGREGS:
      return "SET_DEBUGREGS";
    case KVM_GET_LAPIC:
      return "GET_LAPIC";
    case KVM_SET_LAPIC:
      return "SET_LAPIC";
    case KVM_GET_VCPU_EVENTS:
      return "GET_VCPU_EVENTS";
    case KVM_SET_VCPU_EVENTS:
      return "SET_VCPU_EVENTS";
    case KVM_GET_DEVICE_ATTR:
      return "GET_TSC_OFFSET";
    case KVM_SET_DEVICE_ATTR:
      return "SET_TSC_OFFSET";
    case KVM_GET_IRQCHIP:
      return "GET_IRQCHIP";
    case KVM_SET_IRQCHIP:
      return "SET_IRQCHIP";
    case KVM_GET_PIT2:
      return "GET_PIT2";
    case KVM_SET_PIT2:
      return "SET_PIT2";
    case KVM_GET_CLOCK:
      return "GET_CLOCK";
    case KVM_SET_CLOCK:
      return "SET_CLOCK";
    case KVM_KVMCLOCK_CTRL:
      return "KVMCLOCK_CTRL";
    default:
      return nullptr;
  }
}

template <typename T>
void fill(void* argument, const T& value) {
  std::memcpy(argument, &value, sizeof value);
}

}  // namespace

int FakeKvm::new_fd(int role) {
  const int fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  roles_[fd] = role;
  return fd;
}

int FakeKvm::ioctl(int fd, unsigned long request, void* argument) {
  const auto found = roles_.find(fd);
  const int role = found == roles_.end() ? kSystemRole : found->second;
  const std::string who = role == kSystemRole ? "kvm" : role == kVmRole ? "vm" : fmt::format("cpu{}", role);
  if (request == KVM_GET_MSRS || request == KVM_SET_MSRS) {
    return move_msrs(role, request == KVM_SET_MSRS, static_cast<kvm_msrs*>(argument), who);
  }
  if (const char* name = name_of(request)) {
    std::string call = who + " " + name;
    if (request == KVM_SET_IRQCHIP) {
      constexpr const char* kChips[] = {"pic0", "pic1", "ioapic"};
      call += std::string(" ") + kChips[static_cast<kvm_irqchip*>(argument)->chip_id];
    }
    trace.push_back(call);
    if (refused.count(call) != 0) return -EINVAL;
  }
  return answer(role, request, argument, who);
}

int FakeKvm::move_msrs(int vcpu, bool write, kvm_msrs* table, const std::string& who) {
  for (std::uint32_t i = 0; i < table->nmsrs; ++i) {
    kvm_msr_entry entry;
    auto* place = reinterpret_cast<std::byte*>(table) + sizeof *table + i * sizeof entry;
    std::memcpy(&entry, place, sizeof entry);
    const std::string call = fmt::format("{} {} {:#x}", who, write ? "SET_MSR" : "GET_MSR", entry.index);
    trace.push_back(call);
    const std::set<std::uint32_t>& bad = write ? unwritable : unreadable;
    if (bad.count(entry.index) != 0 || refused.count(call) != 0) return static_cast<int>(i);
    if (write) {
      msrs[vcpu][entry.index] = entry.data;
    } else {
      entry.data = entry.index == 0xfe ? 8 : entry.index == 0x179 ? 2 : msrs[vcpu][entry.index];
      std::memcpy(place, &entry, sizeof entry);
    }
  }
  return static_cast<int>(table->nmsrs);
}

int FakeKvm::answer(int role, unsigned long request, void* argument, const std::string& who) {
  switch (request) {
    case KVM_GET_API_VERSION:
      return KVM_API_VERSION;
    case KVM_GET_VCPU_MMAP_SIZE:
      return kRunSize;
    case KVM_GET_TSC_KHZ:
      return 2'000'000;
    case KVM_CHECK_EXTENSION: {
      const int capability = static_cast<int>(reinterpret_cast<std::intptr_t>(argument));
      if (lacking.count(capability) != 0) return 0;
      if (capability == KVM_CAP_XSAVE2) return 4096;
      if (capability == KVM_CAP_X2APIC_API) return 3;
      return capability == KVM_CAP_MAX_VCPUS ? 64 : 1;
    }
    case KVM_CREATE_VM:
      return new_fd(kVmRole);
    case KVM_CREATE_VCPU:
      return new_fd(static_cast<int>(reinterpret_cast<std::intptr_t>(argument)));
    case KVM_HAS_DEVICE_ATTR:
      return refused.count("TSC_OFFSET") != 0 ? -ENXIO : 0;
    case KVM_GET_DEVICE_ATTR:
    case KVM_SET_DEVICE_ATTR: {
      auto* offset = reinterpret_cast<std::uint64_t*>(static_cast<kvm_device_attr*>(argument)->addr);
      if (request == KVM_SET_DEVICE_ATTR && !ignores_tsc_offset) tsc_offset[role] = *offset;
      *offset = tsc_offset[role];
      return 0;
    }
    case KVM_GET_MSR_INDEX_LIST: {
      auto* list = static_cast<kvm_msr_list*>(argument);
      const bool fits = list->nmsrs >= listed.size();
      list->nmsrs = static_cast<std::uint32_t>(listed.size());
      if (!fits) return -E2BIG;
      std::memcpy(reinterpret_cast<std::byte*>(list) + sizeof *list, listed.data(), 4 * listed.size());
      return 0;
    }
    case KVM_GET_MP_STATE:
      fill(argument, kvm_mp_state{KVM_MP_STATE_RUNNABLE});
      return 0;
    case KVM_GET_SREGS2:
      fill(argument, sample_parts().sregs);
      return 0;
    case KVM_GET_REGS:
      fill(argument, sample_parts().regs);
      return 0;
    case KVM_GET_XSAVE2:
    case KVM_GET_XSAVE:
      std::memcpy(argument, sample_parts().xsave.data(), 4096);
      return 0;
    case KVM_GET_XCRS: {
      kvm_xcrs xcrs{};
      xcrs.nr_xcrs = 1;
      xcrs.xcrs[0].value = 7;
      fill(argument, xcrs);
      return 0;
    }
    case KVM_GET_DEBUGREGS:
      fill(argument, sample_parts().debug);
      return 0;
    case KVM_GET_LAPIC:
      fill(argument, lapic.count(role) != 0 ? lapic[role] : sample_parts().lapic);
      return 0;
    case KVM_SET_LAPIC:
      std::memcpy(&lapic[role], argument, sizeof(kvm_lapic_state));
      return 0;
    case KVM_GET_VCPU_EVENTS:
      fill(argument, kvm_vcpu_events{});
      return 0;
    case KVM_GET_IRQCHIP: {
      auto* chip = static_cast<kvm_irqchip*>(argument);
      if (chip->chip_id == KVM_IRQCHIP_PIC_MASTER) chip->chip.pic = sample_pic_primary();
      if (chip->chip_id == KVM_IRQCHIP_PIC_SLAVE) chip->chip.pic = sample_pic_secondary();
      if (chip->chip_id == KVM_IRQCHIP_IOAPIC) chip->chip.ioapic = sample_ioapic();
      return 0;
    }
    case KVM_GET_PIT2:
      fill(argument, sample_pit(1));
      return 0;
    case KVM_GET_CLOCK: {
      kvm_clock_data data{};
      data.clock = 55'000'000'000;
      data.flags = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
      data.realtime = 1'700'000'000'000'000'000;
      data.host_tsc = tsc;
      fill(argument, data);
      return 0;
    }
    case KVM_IRQ_LINE:
      if (on_irq_line) on_irq_line(*static_cast<kvm_irq_level*>(argument));
      return 0;
    case KVM_SET_CLOCK:
      clock_set.emplace();
      std::memcpy(&*clock_set, argument, sizeof *clock_set);
      return 0;
    default:
      EXPECT_TRUE(name_of(request) != nullptr) << who << " was asked " << std::hex << request;
      return 0;
  }
}

void* FakeKvm::map(int, std::size_t size) {
  return ::calloc(1, size);
}

void FakeKvm::unmap(void* address, std::size_t) {
  ::free(address);
}

std::size_t FakeKvm::first(const std::string& call) const {
  const auto found = std::find(trace.begin(), trace.end(), call);
  EXPECT_NE(found, trace.end()) << "never called: " << call;
  return static_cast<std::size_t>(found - trace.begin());
}

std::size_t FakeKvm::last(const std::string& call) const {
  const auto found = std::find(trace.rbegin(), trace.rend(), call);
  EXPECT_NE(found, trace.rend()) << "never called: " << call;
  return static_cast<std::size_t>(trace.rend() - found) - 1;
}

bool FakeKvm::called(const std::string& call) const {
  return std::find(trace.begin(), trace.end(), call) != trace.end();
}

}  // namespace vmsnap::vmm::test
