// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "core/guest_memory.h"
#include "core/io_bus.h"
#include "core/state_converter.h"
#include "kvm/machine_state.h"
#include "kvm/vm.h"
#include "machine/end_event.h"
#include "machine/host_clock.h"
#include "machine/machine_config.h"
#include "machine/platform.h"
#include "machine/run_gate.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap::vmm {

/// The files of a direct kernel boot.
struct BootSource {
  std::string kernel;
  std::string initrd;  // empty: none
  std::string command_line;
};

/// Everything of a machine that a snapshot has and that is not RAM: what restore() puts back.
struct MachineState {
  KvmState kvm;
  std::vector<ByteVector> devices;  // in order of Platform::devices()
};

enum class RunState : std::uint8_t { kPaused, kRunning, kEnded };
[[nodiscard]] std::string_view to_string(RunState state);

/// Where a snapshot goes, and how.
struct SaveTarget {
  std::string name;        // the path of a file, or how `stream` is called
  Sink* stream = nullptr;  // when not null, the snapshot goes here instead
  RamEncoding encoding = RamEncoding::kFlat;
  Codec codec = Codec::kNone;
  std::optional<std::uint16_t> level = {};  // the release that is to read it; absent: that of the machine
};

/// A virtual machine: its memory, virtual CPUs and devices, and the threads that run them.
///
/// create(), then boot() or restore(), then start() (which leaves it paused) and resume(). pause(), resume(),
/// save() and status calls are thread-safe and exclude each other; stop() ends the threads.
class Machine {
 public:
  /// `console` and `converter` must outlive it. Errors: Io, Unsupported (KVM, CPU profile, device), Usage (a
  /// disk, a release level).
  [[nodiscard]] static Result<std::unique_ptr<Machine>> create(const MachineConfig& config,
                                                               GuestMemory memory,
                                                               const schema::CpuProfileT& profile, Kvm kvm,
                                                               CharacterSink& console,
                                                               const StateConverter& converter);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine();

  /// Loads a kernel and sets the boot processor to its entry. Errors: those of load_kernel().
  [[nodiscard]] Result<void> boot(const BootSource& source);

  /// Puts back a state. Everything is checked before anything is set; `device_order` lists positions in
  /// Platform::devices() in the order of their restore. After an error the machine must not be started.
  /// Errors: Corrupt, Unsupported, Io.
  [[nodiscard]] Result<void> restore(const MachineState& state, const std::vector<std::size_t>& device_order,
                                     TimePolicy policy);

  /// Starts the threads of the virtual CPUs; the guest stays paused. Errors: Io.
  [[nodiscard]] Result<void> start();
  /// Ends the threads. Nothing runs afterwards.
  void stop();

  /// Stops the guest between two instructions. Errors: InvalidState when it is paused already or has ended.
  [[nodiscard]] Result<void> pause();
  /// Errors: InvalidState when it is not paused; Io.
  [[nodiscard]] Result<void> resume();

  /// Saves the machine (see write_snapshot()); a running guest is stopped for the time of the save.
  /// Memory that is still being restored is waited for first, with the guest as it is.
  /// With `suspend`, a machine that was saved stays stopped and end() is posted. Errors: Io, Usage (no such
  /// release level), Unsupported (also: a release of that level could not take the state), InvalidState; the
  /// machine then goes on as before.
  [[nodiscard]] Result<SnapshotSummary> save(const SaveTarget& target, bool suspend);

  [[nodiscard]] RunState run_state();
  [[nodiscard]] const MachineConfig& config() const { return config_; }
  [[nodiscard]] const GuestMemory& memory() const { return memory_; }
  [[nodiscard]] const Platform& platform() const { return platform_; }
  [[nodiscard]] EndEvent& end() { return end_; }

  /// Input of the guest's console; returns how many bytes it took. Thread-safe.
  [[nodiscard]] std::size_t receive_console(ByteView bytes);
  /// There is room again for output of the console. Thread-safe.
  void send_console();
  /// Waits until the console has no output left, but at most `limit`. The guest must not run.
  void flush_console(std::chrono::milliseconds limit);

 private:
  Machine(MachineConfig config, GuestMemory memory, schema::CpuProfileT profile,
          std::unique_ptr<const Kvm> kvm, std::unique_ptr<KvmVm> vm, CharacterSink& console,
          const StateConverter& converter);

  [[nodiscard]] Result<void> set_up();
  IrqLine& irq_line(std::uint32_t gsi);
  void run_vcpu(KvmVcpu& vcpu);
  /// Serves one exit; false when the machine has to end.
  [[nodiscard]] bool serve(const VcpuExit& exit);
  /// Brings a virtual CPU that has left the guest to where its state can be read.
  [[nodiscard]] bool settle(KvmVcpu& vcpu);

  // These are called with state_mutex_ held.
  [[nodiscard]] Result<SnapshotSummary> write(const SaveTarget& target);
  [[nodiscard]] Result<Manifest> describe();
  void stop_guest();
  [[nodiscard]] Result<void> let_guest_go();

  MachineConfig config_;
  const StateConverter& converter_;
  schema::CpuProfileT profile_;
  GuestMemory memory_;
  IoBus ports_;
  IoBus mmio_;
  HostClock clock_;
  EndEvent end_;
  std::unique_ptr<const Kvm> kvm_;  // vm_ refers to it
  std::unique_ptr<KvmVm> vm_;
  std::vector<std::pair<std::uint32_t, std::unique_ptr<IrqLine>>> irq_lines_;  // by GSI
  Platform platform_;
  RunGate gate_;
  std::vector<std::thread> threads_;

  std::mutex state_mutex_;
  RunState state_ = RunState::kPaused;
  bool started_ = false;
};

}  // namespace vmsnap::vmm
