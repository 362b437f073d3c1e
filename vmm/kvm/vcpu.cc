// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/vcpu.h"

#include <fmt/format.h>
#include <signal.h>

#include <atomic>
#include <cerrno>

#include "kvm/kvm_api.h"

namespace vmsnap::vmm {
namespace {

constexpr int kKickSignal = SIGUSR1;

void on_kick(int) {}

}  // namespace

KvmVcpu::~KvmVcpu() {
  fd_.calls()->unmap(run_, run_size_);
}

void KvmVcpu::install_kick_handler() {
  struct sigaction action {};
  action.sa_handler = on_kick;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(kKickSignal, &action, nullptr);
}

void KvmVcpu::attach_thread() {
  const std::lock_guard lock(thread_mutex_);
  thread_ = ::pthread_self();
  attached_ = true;
}

void KvmVcpu::detach_thread() {
  const std::lock_guard lock(thread_mutex_);
  attached_ = false;
}

// Written by any thread and read by the kernel.
void KvmVcpu::set_immediate_exit(bool value) {
  std::atomic_ref<std::uint8_t>(run_->immediate_exit).store(value ? 1 : 0, std::memory_order_seq_cst);
}

void KvmVcpu::kick() {
  set_immediate_exit(true);
  const std::lock_guard lock(thread_mutex_);
  if (attached_) ::pthread_kill(thread_, kKickSignal);
}

Result<VcpuExit> KvmVcpu::enter() {
  const int result = fd_.raw(KVM_RUN);
  // EAGAIN: the run state changed (INIT or SIPI arrived) without an instruction; the next run() goes on.
  if (result == -EINTR || result == -EAGAIN) {
    set_immediate_exit(false);
    return VcpuExit(InterruptedExit{});
  }
  // A kernel that cannot go on says so with an exit reason and, for some reasons, EFAULT besides.
  if (result < 0 && !(result == -EFAULT && run_->exit_reason == KVM_EXIT_INTERNAL_ERROR)) {
    return io_error(fmt::format("virtual CPU {} cannot run: KVM_RUN failed", index_), -result);
  }
  return decode();
}

Result<VcpuExit> KvmVcpu::run() {
  return enter();
}

Result<VcpuExit> KvmVcpu::complete_pending_io() {
  set_immediate_exit(true);
  auto exit = enter();
  set_immediate_exit(false);
  return exit;
}

Result<VcpuExit> KvmVcpu::decode() const {
  auto* page = reinterpret_cast<std::byte*>(run_);
  switch (run_->exit_reason) {
    case KVM_EXIT_IO: {
      const auto& io = run_->io;
      return VcpuExit(IoExit{io.port, io.size, io.count, io.direction == KVM_EXIT_IO_OUT,
                             MutableByteView(page + io.data_offset, std::size_t{io.size} * io.count)});
    }
    case KVM_EXIT_MMIO: {
      auto& mmio = run_->mmio;
      return VcpuExit(MmioExit{Gpa(mmio.phys_addr), mmio.is_write != 0,
                               MutableByteView(reinterpret_cast<std::byte*>(mmio.data), mmio.len)});
    }
    case KVM_EXIT_HLT:
      return VcpuExit(HaltExit{});
    case KVM_EXIT_SHUTDOWN:
      return VcpuExit(ShutdownExit{});
    case KVM_EXIT_SYSTEM_EVENT:
      return VcpuExit(SystemEventExit{run_->system_event.type});
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
      return VcpuExit(InterruptedExit{});
    case KVM_EXIT_DEBUG:
      return VcpuExit(DebugExit{run_->debug.arch.exception, run_->debug.arch.pc});
    case KVM_EXIT_FAIL_ENTRY:
      return VcpuExit(failure(fmt::format("the processor refused to enter the guest (hardware reason {:#x})",
                                          run_->fail_entry.hardware_entry_failure_reason)));
    case KVM_EXIT_INTERNAL_ERROR: {
      std::string what = fmt::format("KVM met an internal error, suberror {}", run_->internal.suberror);
      if (run_->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
        what += " (an instruction it cannot emulate)";
      for (std::uint32_t i = 0; i < run_->internal.ndata && i < std::size(run_->internal.data); ++i) {
        what += fmt::format("{} {:#x}", i == 0 ? ", data" : "", std::uint64_t{run_->internal.data[i]});
      }
      return VcpuExit(failure(std::move(what)));
    }
    default:
      return VcpuExit(failure(
          fmt::format("KVM reports exit reason {}, which this build does not know", run_->exit_reason)));
  }
}

FailureExit KvmVcpu::failure(std::string what) const {
  kvm_regs registers{};
  const bool known = fd_.raw(KVM_GET_REGS, &registers) >= 0;
  return {fmt::format("virtual CPU {} stopped at RIP {}: {}", index_,
                      known ? fmt::format("{:#x}", std::uint64_t{registers.rip}) : "unknown", what)};
}

Result<void> KvmVcpu::kvmclock_ctrl() {
  const int result = fd_.raw(KVM_KVMCLOCK_CTRL);
  // EINVAL: the guest has no kvmclock page; ENOTTY: the kernel has no such call. Nobody is to be told.
  if (result >= 0 || result == -EINVAL || result == -ENOTTY) return {};
  return io_error(fmt::format("KVM_KVMCLOCK_CTRL of virtual CPU {} failed", index_), -result);
}

}  // namespace vmsnap::vmm
