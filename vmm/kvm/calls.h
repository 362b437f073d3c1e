// SPDX-License-Identifier: BSD-2-Clause
// The one seam between this folder and the kernel, so that the order of calls can be tested without KVM.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vmsnap::vmm {

/// What is asked of the kernel. Implementations are thread-safe.
class KvmCalls {
 public:
  virtual ~KvmCalls() = default;
  /// ioctl(2): its result, or the negated errno.
  virtual int ioctl(int fd, unsigned long request, void* argument) = 0;
  /// A shared mapping of `size` bytes of `fd` from its start (mmap(2)); nullptr when there is none.
  virtual void* map(int fd, std::size_t size) = 0;
  virtual void unmap(void* address, std::size_t size) = 0;
  /// The host's time-stamp counter now.
  virtual unsigned long long host_tsc() = 0;
};

/// The kernel itself.
[[nodiscard]] std::shared_ptr<KvmCalls> system_kvm_calls();

/// An open KVM file descriptor (the system, a VM or a virtual CPU) and the calls on it. Move-only;
/// thread-safe as far as the kernel is.
class KvmFd {
 public:
  KvmFd() = default;
  KvmFd(std::shared_ptr<KvmCalls> calls, UniqueFd fd) : calls_(std::move(calls)), fd_(std::move(fd)) {}

  /// ioctl(2) without judging the result: what it returned, or the negated errno.
  int raw(unsigned long request, void* argument = nullptr) const {
    return calls_->ioctl(fd_.get(), request, argument);
  }
  /// ioctl(2) that must not fail; `name` is what the error calls it. Errors: Io.
  [[nodiscard]] Result<int> call(unsigned long request, std::string_view name,
                                 void* argument = nullptr) const;
  /// As call(), for requests whose argument is a number.
  [[nodiscard]] Result<int> call_value(unsigned long request, std::string_view name,
                                       unsigned long argument) const;
  /// KVM_CHECK_EXTENSION; 0 when the kernel does not know the extension.
  [[nodiscard]] int extension(int capability) const;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::shared_ptr<KvmCalls>& calls() const { return calls_; }

 private:
  std::shared_ptr<KvmCalls> calls_;
  UniqueFd fd_;
};

}  // namespace vmsnap::vmm
