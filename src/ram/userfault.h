// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace vmsnap {

/// Private anonymous memory whose missing pages this process brings itself, userfaultfd(2): a thread that
/// touches one, in the process, in a system call or in KVM, waits until the page is there. Thread-safe but
/// for open(), close() and destruction.
class UserFault {
 public:
  UserFault() = default;

  /// Errors: Unsupported (the kernel has it not, or does not let this process); Io.
  [[nodiscard]] static Result<UserFault> open();

  /// Takes over the missing pages of `memory`, which consists of whole pages and is not a mapping of a file.
  /// Errors: Io.
  [[nodiscard]] Result<void> watch(MutableByteView memory) const;
  /// Stops watching everything: pages that are missing are zero pages from here on, and whoever waits goes
  /// on.
  void close() { fd_.reset(); }

  /// Readable (poll) when take_faults() has something to give.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Takes the addresses of pages that threads wait for, as many as there are and as `out` holds; returns how
  /// many. Does not wait. Errors: Io.
  [[nodiscard]] Result<std::size_t> take_faults(std::span<std::byte*> out) const;

  /// Puts a copy of `content` in place from `place` (both whole pages), page by page. A page that is there
  /// already stays as it is. Wakes nobody. Errors: Io.
  [[nodiscard]] Result<void> copy(std::byte* place, ByteView content) const;
  /// Puts zero pages in place from the front of `pages` to the first page that is there already, and wakes
  /// those who wait for them or for the first page. Errors: Io.
  [[nodiscard]] Result<void> zero(MutableByteView pages) const;
  /// Lets those go on who wait for a page of `pages`; they wait again when it is still missing.
  void wake(MutableByteView pages) const;

 private:
  explicit UserFault(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace vmsnap
