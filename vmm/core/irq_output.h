// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "core/io_handler.h"

namespace vmsnap::vmm {

/// A device's end of an interrupt line. Not thread-safe: the device's lock guards it.
class IrqOutput {
 public:
  /// `line` must outlive it; it is taken to be down.
  explicit IrqOutput(IrqLine& line) : line_(line) {}

  /// Drives the line, which hears of changes only.
  void set(bool level) {
    if (level != level_) announce(level);
  }
  /// Drives the line even if its level is the same: after a restore the other end may not know it.
  void announce(bool level) {
    level_ = level;
    line_.set_level(level);
  }

 private:
  IrqLine& line_;
  bool level_ = false;
};

}  // namespace vmsnap::vmm
