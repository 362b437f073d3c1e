// SPDX-License-Identifier: BSD-2-Clause
// The part of Machine that runs on the threads of the virtual CPUs.
#include <fmt/format.h>

#include "machine/machine.h"

namespace vmsnap::vmm {
namespace {

// system event types of KVM_EXIT_SYSTEM_EVENT (api.rst).
constexpr std::uint32_t kSystemEventShutdown = 1;
constexpr std::uint32_t kSystemEventReset = 2;

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <typename... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace

bool Machine::serve(const VcpuExit& exit) {
  return std::visit(
      Overloaded{
          [](const InterruptedExit&) { return true; },
          [this](const IoExit& io) {
            // The elements of a string instruction go to the same port one after the other.
            for (std::uint32_t i = 0; i < io.count; ++i) {
              const MutableByteView element = io.data.subspan(std::size_t{i} * io.size, io.size);
              if (io.is_write) {
                ports_.write(io.port, element);
              } else {
                ports_.read(io.port, element);
              }
            }
            return true;
          },
          [this](const MmioExit& access) {
            if (access.is_write) {
              mmio_.write(access.address.value(), access.data);
            } else {
              mmio_.read(access.address.value(), access.data);
            }
            return true;
          },
          [](const HaltExit&) { return true; },
          [this](const ShutdownExit&) {
            end_.post(EndReason::kTripleFault);
            return false;
          },
          [this](const SystemEventExit& event) {
            if (event.type == kSystemEventShutdown) {
              end_.post(EndReason::kPowerOff);
            } else if (event.type == kSystemEventReset) {
              end_.post(EndReason::kReset);
            } else {
              end_.post(EndReason::kFailure,
                        fmt::format("the guest reported a crash (system event {})", event.type));
            }
            return false;
          },
          [this](const DebugExit& debug) {
            end_.post(
                EndReason::kFailure,
                fmt::format("the virtual CPU stopped for a debugger that is not there, at {:#x}", debug.pc));
            return false;
          },
          [this](const FailureExit& failure) {
            end_.post(EndReason::kFailure, failure.description);
            return false;
          },
      },
      exit);
}

bool Machine::settle(KvmVcpu& vcpu) {
  while (true) {
    const Result<VcpuExit> exit = vcpu.complete_pending_io();
    if (!exit) {
      end_.post(EndReason::kFailure, exit.error().to_string());
      return false;
    }
    if (std::holds_alternative<InterruptedExit>(*exit)) return true;
    if (!serve(*exit)) return false;
  }
}

void Machine::run_vcpu(KvmVcpu& vcpu) {
  vcpu.attach_thread();
  bool entered = false;
  while (true) {
    if (gate_.is_shut()) {
      // Before its first entry a virtual CPU has nothing pending, and a restored one must not be touched.
      if (entered && !settle(vcpu)) break;
      if (!gate_.pass()) break;
    }
    entered = true;
    const Result<VcpuExit> exit = vcpu.run();
    if (!exit) {
      end_.post(EndReason::kFailure,
                fmt::format("virtual CPU {}: {}", vcpu.index(), exit.error().to_string()));
      break;
    }
    if (!serve(*exit)) break;
  }
  vcpu.detach_thread();
  gate_.leave();
}

}  // namespace vmsnap::vmm
