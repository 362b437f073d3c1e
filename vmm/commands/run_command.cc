// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/checked.h"
#include "commands/commands.h"
#include "commands/session.h"
#include "kvm/cpu_profile.h"
#include "levels/level_converter.h"
#include "machine/machine.h"

namespace vmsnap::vmm {
namespace {

constexpr std::uint64_t kPageSize = 4096;
constexpr std::uint64_t kSmallestMemory = std::uint64_t{32} << 20;

struct RunOptions {
  std::string kernel;
  std::string initrd;
  std::string command_line = "console=ttyS0 reboot=k panic=-1";
  std::uint64_t memory = std::uint64_t{512} << 20;
  std::uint32_t cpus = 1;
  std::vector<std::string> disks;
  std::string cpu_profile = "host";
  std::string control;
  std::optional<std::uint16_t> level;
};

Result<std::vector<DiskBackend>> parse_disks(const std::vector<std::string>& texts) {
  std::vector<DiskBackend> disks;
  for (const std::string& text : texts) {
    DiskBackend disk;
    disk.slot = fmt::format("disk{}", disks.size());
    disk.serial = fmt::format("vmsnap-{}", disk.slot);
    disk.path = text;
    constexpr std::string_view kReadOnly = ",ro";
    if (text.ends_with(kReadOnly)) {
      disk.read_only = true;
      disk.path.resize(text.size() - kReadOnly.size());
    }
    if (disk.path.empty())
      return Error(ErrorKind::kUsage, "--disk needs the path of an image: --disk PATH[,ro]");
    // The path becomes the slot's hint in a snapshot, which may be restored from another directory.
    disk.path = std::filesystem::absolute(disk.path).lexically_normal().string();
    disks.push_back(std::move(disk));
  }
  return disks;
}

Result<MachineEnd> run(const RunOptions& options) {
  if (options.memory < kSmallestMemory) {
    return Error(ErrorKind::kUsage,
                 fmt::format("--memory {} is too small; a guest needs at least 32M", options.memory));
  }
  const std::unique_ptr<StateConverter> converter = make_state_converter();
  MachineConfig config;
  config.level = options.level.value_or(converter->current_level());
  VMSNAP_RETURN_IF_ERROR(converter->check_level(config.level));
  config.vcpu_count = options.cpus;
  config.memory_map = GuestMemory::layout(align_up(options.memory, kPageSize));
  VMSNAP_ASSIGN_OR_RETURN(const std::vector<DiskBackend> disks, parse_disks(options.disks));
  config.devices = standard_devices(disks, converter->knows(config.level, "virtio_blk", "packed-ring"));
  VMSNAP_ASSIGN_OR_RETURN(GuestMemory memory, GuestMemory::allocate(config.memory_map));
  VMSNAP_ASSIGN_OR_RETURN(Kvm kvm, Kvm::open());
  VMSNAP_ASSIGN_OR_RETURN(const ProfileKind kind, parse_profile_kind(options.cpu_profile));
  VMSNAP_ASSIGN_OR_RETURN(const schema::CpuProfileT profile, make_profile(kvm, kind));
  VMSNAP_ASSIGN_OR_RETURN(std::unique_ptr<Session> session, Session::open());
  VMSNAP_ASSIGN_OR_RETURN(
      const std::unique_ptr<Machine> machine,
      Machine::create(config, std::move(memory), profile, std::move(kvm), session->console(), *converter));
  VMSNAP_RETURN_IF_ERROR(machine->boot({options.kernel, options.initrd, options.command_line}));
  return session->run(*machine, options.control, Session::Start::kRunning);
}

}  // namespace

void add_run_command(CLI::App& app, CommandAction& action) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Boot a Linux kernel");
  command->add_option("--kernel", options->kernel, "bzImage, or ELF vmlinux with a PVH entry")->required();
  command->add_option("--initrd", options->initrd, "Initial RAM disk");
  command->add_option("--cmdline", options->command_line, "Kernel command line")->capture_default_str();
  command->add_option("--memory", options->memory, "Size of RAM, e.g. 512M or 8G")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("512M");
  command->add_option("--cpus", options->cpus, "Number of virtual CPUs")
      ->check(CLI::Range(1u, kMaxVcpus))
      ->capture_default_str();
  command->add_option("--disk", options->disks, "Raw disk image, PATH[,ro]; may be given more than once");
  command->add_option("--cpu-profile", options->cpu_profile, "What CPU the guest sees")
      ->check(CLI::IsMember({"host", "baseline"}))
      ->capture_default_str();
  command->add_option("--level", options->level,
                      "Release level: offer the guest and save only what a release of it knows; default: the "
                      "newest");
  command->add_option("--control", options->control, "Make the control socket here");
  command->callback([&action, options] { action = [options] { return finish(run(*options)); }; });
}

}  // namespace vmsnap::vmm
