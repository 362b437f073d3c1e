// SPDX-License-Identifier: BSD-2-Clause
#include "machine/machine.h"

#include <fmt/format.h>

#include <optional>

#include "boot/acpi.h"
#include "boot/kernel.h"
#include "boot/platform.h"
#include "kvm/boot_registers.h"

namespace vmsnap::vmm {
namespace {

/// ISA interrupts go to the PIC and the I/O APIC, the timer's to another input of the latter (platform.h);
/// the rest goes to the I/O APIC alone.
std::vector<GsiRoute> gsi_routes() {
  constexpr std::uint32_t kIsaIrqs = 16;
  constexpr std::uint32_t kPicPins = 8;
  std::vector<GsiRoute> routes;
  for (std::uint32_t gsi = 0; gsi < platform::kIoApicPins; ++gsi) {
    if (gsi < kIsaIrqs && gsi != platform::kPitIoApicPin) {
      const bool primary = gsi < kPicPins;
      routes.push_back({gsi, primary ? GsiRoute::Chip::kPicPrimary : GsiRoute::Chip::kPicSecondary,
                        primary ? gsi : gsi - kPicPins});
    }
    if (gsi == platform::kPitIrq) {
      routes.push_back({gsi, GsiRoute::Chip::kIoApic, platform::kPitIoApicPin});
    } else if (gsi != platform::kPitIoApicPin) {
      routes.push_back({gsi, GsiRoute::Chip::kIoApic, gsi});
    }
  }
  return routes;
}

}  // namespace

std::string_view to_string(RunState state) {
  switch (state) {
    case RunState::kPaused:
      return "paused";
    case RunState::kRunning:
      return "running";
    case RunState::kEnded:
      return "ended";
  }
  return "ended";
}

Machine::Machine(MachineConfig config, GuestMemory memory, schema::CpuProfileT profile,
                 std::unique_ptr<const Kvm> kvm, std::unique_ptr<KvmVm> vm, CharacterSink& console,
                 const StateConverter& converter)
    : config_(std::move(config)),
      converter_(converter),
      profile_(std::move(profile)),
      memory_(std::move(memory)),
      kvm_(std::move(kvm)),
      vm_(std::move(vm)),
      platform_({memory_, ports_, mmio_, vm_->msi(),
                 [this](std::uint32_t gsi) -> IrqLine& { return irq_line(gsi); }, end_, clock_, console}),
      gate_(config_.vcpu_count, [this] {
        for (std::uint32_t i = 0; i < vm_->vcpu_count(); ++i) vm_->vcpu(i).kick();
      }) {}

Result<std::unique_ptr<Machine>> Machine::create(const MachineConfig& config, GuestMemory memory,
                                                 const schema::CpuProfileT& profile, Kvm kvm,
                                                 CharacterSink& console, const StateConverter& converter) {
  VMSNAP_RETURN_IF_ERROR(validate(config));
  VMSNAP_RETURN_IF_ERROR(converter.check_level(config.level));
  auto owned_kvm = std::make_unique<const Kvm>(std::move(kvm));
  VMSNAP_ASSIGN_OR_RETURN(auto vm,
                          KvmVm::create(*owned_kvm, {platform::kKvmTssBase, platform::kKvmIdentityMapBase}));
  std::unique_ptr<Machine> machine(new Machine(config, std::move(memory), profile, std::move(owned_kvm),
                                               std::move(vm), console, converter));
  VMSNAP_RETURN_IF_ERROR(machine->set_up());
  return machine;
}

Result<void> Machine::set_up() {
  KvmVcpu::install_kick_handler();
  VMSNAP_RETURN_IF_ERROR(vm_->map_memory(memory_));
  VMSNAP_RETURN_IF_ERROR(vm_->create_vcpus(config_.vcpu_count, profile_));
  VMSNAP_RETURN_IF_ERROR(vm_->set_gsi_routing(gsi_routes()));
  for (const DeviceSpec& spec : config_.devices) VMSNAP_RETURN_IF_ERROR(platform_.add(spec));
  return {};
}

Machine::~Machine() {
  stop();
}

IrqLine& Machine::irq_line(std::uint32_t gsi) {
  for (const auto& [number, line] : irq_lines_) {
    if (number == gsi) return *line;
  }
  irq_lines_.emplace_back(gsi, vm_->irq_line(gsi));
  return *irq_lines_.back().second;
}

Result<void> Machine::boot(const BootSource& source) {
  VMSNAP_ASSIGN_OR_RETURN(const File kernel, File::open_for_reading(source.kernel));
  std::optional<File> initrd;
  if (!source.initrd.empty()) {
    VMSNAP_ASSIGN_OR_RETURN(initrd, File::open_for_reading(source.initrd));
  }
  VMSNAP_ASSIGN_OR_RETURN(const BootState state,
                          load_kernel(memory_, kernel, initrd ? &*initrd : nullptr, source.command_line));
  const AcpiOptions acpi{converter_.knows(config_.level, "acpi_pm", "gpe0")};
  VMSNAP_RETURN_IF_ERROR(write_acpi_tables(memory_, config_.vcpu_count, acpi));
  return set_boot_registers(vm_->vcpu(0), state);
}

Result<void> Machine::restore(const MachineState& state, const std::vector<std::size_t>& device_order,
                              TimePolicy policy) {
  VMSNAP_ASSIGN_OR_RETURN(const PreparedKvmState prepared, prepare_restore(state.kvm, vm_->facts()));
  // Emulated devices check and take their state first: nothing of it reaches KVM before they are resumed.
  for (const std::size_t position : device_order) {
    VMSNAP_RETURN_IF_ERROR(platform_.devices()[position]->restore(state.devices[position]));
  }
  VMSNAP_ASSIGN_OR_RETURN(const RestoredTime time, apply_restore(*vm_, prepared, policy));
  platform_.advance_clocks(static_cast<std::int64_t>(time.downtime));
  return {};
}

Result<void> Machine::start() {
  const std::lock_guard lock(state_mutex_);
  if (started_) return Error(ErrorKind::kInvalidState, "the machine has been started already");
  started_ = true;
  for (std::uint32_t i = 0; i < vm_->vcpu_count(); ++i) {
    threads_.emplace_back([this, i] { run_vcpu(vm_->vcpu(i)); });
  }
  return {};
}

void Machine::stop() {
  {
    const std::lock_guard lock(state_mutex_);
    state_ = RunState::kEnded;
  }
  gate_.dismiss();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

RunState Machine::run_state() {
  const std::lock_guard lock(state_mutex_);
  return state_;
}

void Machine::stop_guest() {
  gate_.close();
  state_ = RunState::kPaused;
}

Result<void> Machine::let_guest_go() {
  // The guest has been away for an unknown time: its watchdogs must not take that for a lockup.
  for (std::uint32_t i = 0; i < vm_->vcpu_count(); ++i) VMSNAP_RETURN_IF_ERROR(vm_->vcpu(i).kvmclock_ctrl());
  for (const auto& device : platform_.devices()) device->resume();
  state_ = RunState::kRunning;
  gate_.open();
  return {};
}

Result<void> Machine::pause() {
  const std::lock_guard lock(state_mutex_);
  if (state_ != RunState::kRunning) {
    return Error(ErrorKind::kInvalidState,
                 fmt::format("the machine is {}, so it cannot be paused", to_string(state_)));
  }
  stop_guest();
  for (const auto& device : platform_.devices()) {
    if (auto quiet = device->quiesce(); !quiet) {
      VMSNAP_RETURN_IF_ERROR(let_guest_go());
      return quiet;
    }
  }
  return {};
}

Result<void> Machine::resume() {
  const std::lock_guard lock(state_mutex_);
  if (state_ != RunState::kPaused) {
    return Error(ErrorKind::kInvalidState,
                 fmt::format("the machine is {}, so it cannot be resumed", to_string(state_)));
  }
  return let_guest_go();
}

std::size_t Machine::receive_console(ByteView bytes) {
  return platform_.console() == nullptr ? bytes.size() : platform_.console()->receive(bytes);
}

void Machine::send_console() {
  if (platform_.console() != nullptr) platform_.console()->send_waiting();
}

void Machine::flush_console(std::chrono::milliseconds limit) {
  constexpr std::chrono::milliseconds kStep{1};
  Uart16550* const console = platform_.console();
  if (console == nullptr) return;
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!console->flush() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(kStep);
}

}  // namespace vmsnap::vmm
