// SPDX-License-Identifier: BSD-2-Clause
#include "ram/userfault.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "format/constants.h"

namespace vmsnap {
namespace {

constexpr int kOpenFlags = O_CLOEXEC | O_NONBLOCK;
// When a process is killed, its descriptors are released from the highest number down, and a virtual machine
// of KVM is not released while a worker of the kernel waits for a page of its memory. So that this never waits
// for ever, the descriptor that makes the worker wait has to go first.
constexpr int kHighDescriptor = 512;

uffdio_range range_of(MutableByteView memory) {
  return {reinterpret_cast<std::uintptr_t>(memory.data()), memory.size()};
}

/// A descriptor that also reports the faults of system calls and of KVM, which a plain process may not have.
UniqueFd open_descriptor() {
  UniqueFd fd(static_cast<int>(::syscall(SYS_userfaultfd, kOpenFlags)));
  if (fd || errno != EPERM) return fd;
  const UniqueFd device(::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
  if (device) fd.reset(::ioctl(device.get(), USERFAULTFD_IOC_NEW, kOpenFlags));
  if (!fd) errno = EPERM;
  return fd;
}

}  // namespace

Result<UserFault> UserFault::open() {
  UniqueFd fd = open_descriptor();
  if (!fd && errno == EPERM) {
    return Error(ErrorKind::kUnsupported,
                 "memory cannot be brought in lazily: this process may not handle the page faults of the "
                 "kernel (userfaultfd); give it access to /dev/userfaultfd or the capability "
                 "CAP_SYS_PTRACE, set the sysctl vm.unprivileged_userfaultfd to 1, or load memory eagerly");
  }
  if (!fd && errno == ENOSYS) {
    return Error(ErrorKind::kUnsupported,
                 "memory cannot be brought in lazily: this kernel has no userfaultfd; load memory eagerly");
  }
  if (!fd) return io_error("cannot create a userfaultfd", errno);
  UniqueFd high(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kHighDescriptor));
  if (high) fd = std::move(high);
  uffdio_api api{};
  api.api = UFFD_API;
  if (::ioctl(fd.get(), UFFDIO_API, &api) != 0) return io_error("cannot set up a userfaultfd", errno);
  return UserFault(std::move(fd));
}

Result<void> UserFault::watch(MutableByteView memory) const {
  uffdio_register request{};
  request.range = range_of(memory);
  request.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (::ioctl(fd_.get(), UFFDIO_REGISTER, &request) == 0) return {};
  return io_error("cannot register memory with userfaultfd", errno);
}

Result<std::size_t> UserFault::take_faults(std::span<std::byte*> out) const {
  std::array<uffd_msg, 16> messages;
  const std::size_t wanted = std::min(messages.size(), out.size()) * sizeof messages[0];
  const ssize_t count = ::read(fd_.get(), messages.data(), wanted);
  if (count < 0) {
    if (errno == EAGAIN || errno == EINTR) return std::size_t{0};
    return io_error("cannot read page faults from userfaultfd", errno);
  }
  std::size_t faults = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count) / sizeof messages[0]; ++i) {
    // Other events must be asked for, and were not.
    if (messages[i].event != UFFD_EVENT_PAGEFAULT) continue;
    const auto address = static_cast<std::uintptr_t>(messages[i].arg.pagefault.address);
    out[faults++] = reinterpret_cast<std::byte*>(address & ~(kPageSize - 1));
  }
  return faults;
}

Result<void> UserFault::copy(std::byte* place, ByteView content) const {
  while (!content.empty()) {
    uffdio_copy request{};
    request.dst = reinterpret_cast<std::uintptr_t>(place);
    request.src = reinterpret_cast<std::uintptr_t>(content.data());
    request.len = content.size();
    request.mode = UFFDIO_COPY_MODE_DONTWAKE;
    std::uint64_t done = content.size();
    if (::ioctl(fd_.get(), UFFDIO_COPY, &request) != 0) {
      if (request.copy > 0) {
        done = static_cast<std::uint64_t>(request.copy);
      } else if (errno == EEXIST) {
        done = kPageSize;
      } else if (errno == EAGAIN) {
        done = 0;
      } else {
        return io_error("cannot put restored memory in place (UFFDIO_COPY)", errno);
      }
    }
    place += done;
    content = content.subspan(done);
  }
  return {};
}

Result<void> UserFault::zero(MutableByteView pages) const {
  uffdio_zeropage request{};
  request.range = range_of(pages);
  while (::ioctl(fd_.get(), UFFDIO_ZEROPAGE, &request) != 0 && request.zeropage <= 0) {
    if (errno == EEXIST) {
      wake(pages.first(kPageSize));
      return {};
    }
    if (errno != EAGAIN) return io_error("cannot put zero memory in place (UFFDIO_ZEROPAGE)", errno);
    request.zeropage = 0;
  }
  return {};
}

void UserFault::wake(MutableByteView pages) const {
  uffdio_range range = range_of(pages);
  // Fails only for a range that is not ours.
  ::ioctl(fd_.get(), UFFDIO_WAKE, &range);
}

}  // namespace vmsnap
