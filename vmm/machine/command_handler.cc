// SPDX-License-Identifier: BSD-2-Clause
#include "machine/command_handler.h"

#include <fcntl.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "base/stream.h"

namespace vmsnap::vmm {

Result<nlohmann::json> MachineCommands::handle(const Request& request, UniqueFd stream) {
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
    case Command::kSuspend:
      return save(request, std::move(stream));
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
          {"level", machine_.config().level},
          {"vcpus", machine_.config().vcpu_count},
          {"memory", std::to_string(memory)},
          {"memory_from", to_string(machine_.memory().origin())},
          {"memory_filled", machine_.memory().is_filled()},
          {"devices", devices},
          {"version", VMSNAP_VERSION}};
}

Result<nlohmann::json> MachineCommands::save(const Request& request, UniqueFd stream) {
  const bool suspend = request.command == Command::kSuspend;
  SaveTarget target;
  target.name = request.stream ? "a stream" : request.file;
  target.encoding =
      request.chosen_encoding() == SaveEncoding::kFlat ? RamEncoding::kFlat : RamEncoding::kExtents;
  if (request.compression == SaveCompression::kLz4) target.codec = Codec::kLz4;
  target.level = request.level;
  UniqueFd held;
  std::optional<StreamSink> sink;
  if (request.stream) {
    held.reset(::fcntl(stream.get(), F_DUPFD_CLOEXEC, 0));
    if (!held) return io_error("cannot keep the stream open", errno);
    // A reader that does not read must not keep the machine from ending.
    sink.emplace(std::move(stream), target.name, [this] { return machine_.end().has_ended(); });
    target.stream = &*sink;
  }
  VMSNAP_ASSIGN_OR_RETURN(const SnapshotSummary summary, machine_.save(target, suspend));
  // Open until this process is gone: who reads the stream to its end finds the disks of the guest free.
  if (suspend) held.release();
  nlohmann::json result = {{"uuid", to_string(summary.uuid)},
                           {"root", to_string(summary.root)},
                           {"level", request.level.value_or(machine_.config().level)},
                           {"file_size", std::to_string(summary.file_size)},
                           {"ram_bytes", std::to_string(summary.ram_bytes)},
                           {"ram_data_bytes", std::to_string(summary.ram_data_bytes)}};
  if (!request.stream) result["file"] = request.file;
  return result;
}

}  // namespace vmsnap::vmm
