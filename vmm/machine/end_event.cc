// SPDX-License-Identifier: BSD-2-Clause
#include "machine/end_event.h"

namespace vmsnap::vmm {

std::string_view to_string(EndReason reason) {
  switch (reason) {
    case EndReason::kPowerOff:
      return "power-off";
    case EndReason::kReset:
      return "reset";
    case EndReason::kTripleFault:
      return "triple-fault";
    case EndReason::kSuspended:
      return "suspended";
    case EndReason::kQuit:
      return "quit";
    case EndReason::kFailure:
      return "failure";
  }
  return "failure";
}

void EndEvent::post(EndReason reason, std::string message) {
  const std::lock_guard lock(mutex_);
  if (!end_) end_ = MachineEnd{reason, std::move(message)};
  posted_.notify_all();
}

MachineEnd EndEvent::wait() {
  std::unique_lock lock(mutex_);
  posted_.wait(lock, [this] { return end_.has_value(); });
  return *end_;
}

bool EndEvent::has_ended() {
  const std::lock_guard lock(mutex_);
  return end_.has_value();
}

}  // namespace vmsnap::vmm
