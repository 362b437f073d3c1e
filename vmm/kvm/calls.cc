// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/calls.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <x86intrin.h>

#include <cerrno>

#include "kvm/kvm_api.h"

namespace vmsnap::vmm {
namespace {

class SystemKvmCalls final : public KvmCalls {
 public:
  int ioctl(int fd, unsigned long request, void* argument) override {
    const int result = ::ioctl(fd, request, argument);
    return result < 0 ? -errno : result;
  }
  void* map(int fd, std::size_t size) override {
    void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return address == MAP_FAILED ? nullptr : address;
  }
  void unmap(void* address, std::size_t size) override { ::munmap(address, size); }
  unsigned long long host_tsc() override { return __rdtsc(); }
};

}  // namespace

std::shared_ptr<KvmCalls> system_kvm_calls() {
  return std::make_shared<SystemKvmCalls>();
}

Result<int> KvmFd::call(unsigned long request, std::string_view name, void* argument) const {
  const int result = raw(request, argument);
  if (result < 0) return io_error(fmt::format("the KVM call {} failed", name), -result);
  return result;
}

Result<int> KvmFd::call_value(unsigned long request, std::string_view name, unsigned long argument) const {
  // The kernel takes the number in the place of the pointer.
  return call(request, name, reinterpret_cast<void*>(argument));
}

int KvmFd::extension(int capability) const {
  const int result =
      raw(KVM_CHECK_EXTENSION, reinterpret_cast<void*>(static_cast<std::uintptr_t>(capability)));
  return result < 0 ? 0 : result;
}

}  // namespace vmsnap::vmm
