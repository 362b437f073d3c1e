// SPDX-License-Identifier: BSD-2-Clause
// One virtual CPU.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <variant>

#include "base/bytes.h"
#include "base/gpa.h"
#include "base/result.h"
#include "kvm/calls.h"
#include "kvm/host_facts.h"

struct kvm_run;

namespace vmsnap::vmm {

/// The guest accesses an I/O port, `count` times with elements of `size` bytes (string instructions).
/// `data` has size * count bytes: to be filled by the machine for an input, to be taken for an output. It
/// lies in the page shared with the kernel and is valid until the next run() or complete_pending_io().
struct IoExit {
  std::uint16_t port;
  std::uint8_t size;  // 1, 2 or 4
  std::uint32_t count;
  bool is_write;
  MutableByteView data;
};

/// The guest accesses memory where there is no RAM. `data` has 1 to 8 bytes; lifetime as in IoExit.
struct MmioExit {
  Gpa address;
  bool is_write;
  MutableByteView data;
};

/// HLT; only without in-kernel interrupt controllers, so not seen from a KvmVm.
struct HaltExit {};
/// A triple fault, or another condition that shuts a processor down: machines reset.
struct ShutdownExit {};
/// KVM_EXIT_SYSTEM_EVENT; `type` is 1 for power-off, 2 for reset, 3 for crash.
struct SystemEventExit {
  std::uint32_t type;
};
/// run() came back without anything for the machine to do: kick(), a signal, or a change of run state.
struct InterruptedExit {};
/// KVM_EXIT_DEBUG.
struct DebugExit {
  std::uint32_t exception;
  std::uint64_t pc;
};
/// The host could not go on; the guest is lost. `description` is one sentence with RIP.
struct FailureExit {
  std::string description;
};

using VcpuExit = std::variant<InterruptedExit, IoExit, MmioExit, HaltExit, ShutdownExit, SystemEventExit,
                              DebugExit, FailureExit>;

/// A virtual CPU of a KvmVm. run(), complete_pending_io() and attach_thread() belong to one thread, the
/// virtual CPU's own; kick() is for any thread; the state functions (vcpu_state.h) are for whoever holds
/// all virtual CPUs stopped.
///
/// How a kick cannot be lost: kick() sets immediate_exit in the shared page and then signals the thread. A
/// thread in the guest leaves by the signal; a thread about to enter finds immediate_exit set. run() clears
/// immediate_exit when it reports InterruptedExit, so a thread has to look at its gate after each
/// InterruptedExit and before the next run(). The signal's handler is empty and process-wide
/// (install_kick_handler()); without SA_RESTART, so that KVM_RUN returns.
class KvmVcpu {
 public:
  KvmVcpu(const KvmVcpu&) = delete;
  KvmVcpu& operator=(const KvmVcpu&) = delete;
  ~KvmVcpu();

  /// Installs the empty handler of the kick signal (SIGUSR1); once per process, before the first kick().
  static void install_kick_handler();

  [[nodiscard]] std::uint32_t index() const { return index_; }

  /// Makes the calling thread the virtual CPU's own. kick() before this only sets the flag.
  void attach_thread();
  /// Ends that; to be called by the thread before it ends, so that no later kick() signals a dead thread.
  void detach_thread();

  /// Enters the guest until something is to be done. An access that was reported is finished by the next
  /// run(). Errors: Io.
  [[nodiscard]] Result<VcpuExit> run();

  /// Finishes the access that the last exit reported, without running further guest instructions, so that
  /// registers and memory show it: to be called before a thread stops for a save. InterruptedExit means
  /// that nothing is pending any more; any other exit is a further part of the same access (an access that
  /// straddles pages), to be served like one from run(), and then complete_pending_io() again. Errors: Io.
  [[nodiscard]] Result<VcpuExit> complete_pending_io();

  /// Makes the virtual CPU leave the guest, or not enter it. Thread-safe.
  void kick();

  /// KVM_KVMCLOCK_CTRL: tells the guest's watchdogs that it was paused. Before the first run after a
  /// restore and after every long pause; nothing happens when the guest does not use kvmclock. Errors: Io.
  [[nodiscard]] Result<void> kvmclock_ctrl();

  [[nodiscard]] const KvmFd& fd() const { return fd_; }
  /// Of the VM this virtual CPU belongs to; valid as long as the VM.
  [[nodiscard]] const HostFacts& facts() const { return *facts_; }

 private:
  friend class KvmVm;
  KvmVcpu(std::uint32_t index, KvmFd fd, kvm_run* run, std::size_t run_size, const HostFacts* facts)
      : index_(index), fd_(std::move(fd)), run_(run), run_size_(run_size), facts_(facts) {}

  [[nodiscard]] Result<VcpuExit> enter();
  [[nodiscard]] Result<VcpuExit> decode() const;
  [[nodiscard]] FailureExit failure(std::string what) const;
  void set_immediate_exit(bool value);

  std::uint32_t index_;
  KvmFd fd_;
  kvm_run* run_;
  std::size_t run_size_;
  const HostFacts* facts_;
  std::mutex thread_mutex_;
  bool attached_ = false;
  pthread_t thread_{};
};

}  // namespace vmsnap::vmm
