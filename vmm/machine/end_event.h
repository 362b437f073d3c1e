// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "core/io_handler.h"

namespace vmsnap::vmm {

enum class EndReason { kPowerOff, kReset, kTripleFault, kSuspended, kQuit, kFailure };

/// "power-off", "reset", ...: as `snapvmm` prints it.
[[nodiscard]] std::string_view to_string(EndReason reason);

struct MachineEnd {
  EndReason reason;
  std::string message;  // for kFailure: what failed; for kSuspended: the file
};

/// Why the machine ends; the first reason given counts. Thread-safe.
class EndEvent : public PowerControl {
 public:
  void post(EndReason reason, std::string message = {});
  /// Waits for the first post().
  [[nodiscard]] MachineEnd wait();
  [[nodiscard]] bool has_ended();

  void request_reset() override { post(EndReason::kReset); }
  void request_power_off() override { post(EndReason::kPowerOff); }

 private:
  std::mutex mutex_;
  std::condition_variable posted_;
  std::optional<MachineEnd> end_;
};

}  // namespace vmsnap::vmm
