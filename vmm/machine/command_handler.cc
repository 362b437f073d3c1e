// SPDX-License-Identifier: BSD-2-Clause
#include "machine/command_handler.h"

namespace vmsnap::vmm {

Result<nlohmann::json> MachineCommands::handle(const Request& request) {
  switch (request.command) {
    case Command::kStatus:
      return status();
    case Command::kPause:
      VMSNAP_RETURN_IF_ERROR(machine_.pause());
      return status();
    case Command::kResume:
      VMSNAP_RETURN_IF_ERROR(machine_.resume());
      return status();
    case Command::kCheckpoint:
      return save(request.file, false);
    case Command::kSuspend:
      return save(request.file, true);
    case Command::kQuit:
      machine_.end().post(EndReason::kQuit);
      return nlohmann::json{{"state", "ended"}};
  }
  return Error(ErrorKind::kInternal, "a command without a handler");
}

nlohmann::json MachineCommands::status() {
  std::uint64_t memory = 0;
  for (const MemorySegment& segment : machine_.config().memory_map.segments) memory += segment.size;
  nlohmann::json devices = nlohmann::json::array();
  for (const auto& device : machine_.platform().devices()) {
    const DeviceEntry entry = device->describe();
    nlohmann::json slots = nlohmann::json::array();
    for (const Slot& slot : entry.slots) slots.push_back({{"name", slot.name}, {"path", slot.hint}});
    devices.push_back({{"path", entry.path}, {"type", entry.type}, {"slots", slots}});
  }
  return {{"state", to_string(machine_.run_state())},
          {"vcpus", machine_.config().vcpu_count},
          {"memory", std::to_string(memory)},
          {"memory_from", to_string(machine_.memory().origin())},
          {"memory_filled", machine_.memory().is_filled()},
          {"devices", devices},
          {"version", VMSNAP_VERSION}};
}

Result<nlohmann::json> MachineCommands::save(const std::string& file, bool suspend) {
  VMSNAP_ASSIGN_OR_RETURN(const SnapshotSummary summary, machine_.save(file, suspend));
  return nlohmann::json{{"file", file},
                        {"uuid", to_string(summary.uuid)},
                        {"root", to_string(summary.root)},
                        {"file_size", std::to_string(summary.file_size)},
                        {"ram_bytes", std::to_string(summary.ram_bytes)},
                        {"ram_data_bytes", std::to_string(summary.ram_data_bytes)}};
}

}  // namespace vmsnap::vmm
