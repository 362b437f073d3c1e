// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "commands/commands.h"
#include "legacy/legacy.h"
#include "snapshot_file.h"
#include "versions/versions.h"

namespace vmsnap::snaptool {
namespace {

struct ExplainOptions {
  CommonOptions common;
  std::string consumer;
  std::vector<std::string> assume;
};

/// Whether snapvmm can go on with one device, and what speaks against it.
struct Answer {
  std::string device;  // path, or chunk of a legacy set
  std::string type;    // of the chunk that has its state
  bool can = false;
  std::string why;
};

/// A type whose state is no hardware: it is not needed to run the guest.
bool is_no_hardware(std::string_view type) {
  return type == "bhyve_private";
}

/// `version` and `features` are absent for what has yet to be converted: that is written in the newest.
Answer judge(std::string device, const std::string& type, const ChunkVersion* version,
             const std::vector<std::string>& features, bool is_from_bhyve) {
  Answer answer{std::move(device), type, false, {}};
  if (is_no_hardware(type)) {
    answer.can = true;
    answer.why = "is no hardware; it is kept for the way back";
    return answer;
  }
  const std::vector<compat::ReleaseLevel> levels = compat::release_levels();
  const compat::LevelChunk* known = levels.back().find(type);
  if (known == nullptr) {
    answer.why = "snapvmm does not emulate it";
  } else if (version != nullptr && *version > known->version) {
    answer.why = fmt::format("the state has version {}, newer than {}, the newest that this release reads",
                             vmsnap::to_string(*version), vmsnap::to_string(known->version));
  } else if (const auto unknown = std::find_if(features.begin(), features.end(),
                                               [&](const std::string& feature) {
                                                 return std::find(known->features.begin(),
                                                                  known->features.end(),
                                                                  feature) == known->features.end();
                                               });
             unknown != features.end()) {
    answer.why = fmt::format("it uses the feature {}, which snapvmm does not have", *unknown);
  } else if (is_from_bhyve && type == "virtio_blk") {
    answer.why =
        "bhyve's has the legacy interface of virtio, which the guest's driver uses and snapvmm does not have";
  } else if (is_from_bhyve && type == "x86_cpu") {
    answer.can = true;
    answer.why =
        "but bhyve does not save FPU, SSE and AVX registers: what the guest computes with them is wrong";
  } else {
    answer.can = true;
    answer.why = "snapvmm emulates it";
  }
  return answer;
}

/// Where the state of a chunk of bhyve lands.
struct Landing {
  std::string_view chunk;
  std::vector<std::string> types;
};

std::vector<std::string> types_of(std::string_view chunk) {
  const Landing landings[] = {
      {"vhpet", {"hpet"}},
      {"vm", {"x86_cpu"}},
      {"vmx", {"x86_cpu"}},
      {"vmcx", {"x86_cpu"}},
      {"vioapic", {"ioapic"}},
      {"vlapic", {"lapic"}},
      {"vatpit", {"i8254"}},
      {"vatpic", {"i8259"}},
      {"vpmtmr", {"acpi_pm"}},
      {"vrtc", {"mc146818"}},
      {"hostbridge", {"pci_host"}},
      {"lpc", {"lpc_bridge", "uart16550"}},
      {"virtio-net", {"virtio_net"}},
      {"virtio-blk", {"virtio_blk"}},
      {"virtio-rnd", {"virtio_rng"}},
      {"e1000", {"e1000"}},
      {"ahci", {"ahci"}},
      {"xhci", {"xhci"}},
      {"fbuf", {"framebuffer"}},
      {"atkbdc", {"i8042", "ps2_keyboard", "ps2_mouse"}},
      {"dummy", {"bhyve_private"}},
  };
  for (const Landing& landing : landings) {
    if (landing.chunk == chunk) return landing.types;
  }
  return {};
}

Result<std::vector<Answer>> explain_legacy(const ExplainOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(const auto assumptions, compat::bhyve::Assumptions::parse(options.assume));
  VMSNAP_ASSIGN_OR_RETURN(const auto set, compat::bhyve::LegacySet::open(options.common.file));
  VMSNAP_ASSIGN_OR_RETURN(const auto verdict, compat::bhyve::classify(set, assumptions));
  std::vector<Answer> answers;
  for (const compat::bhyve::ClassifiedEntry& one : verdict.entries) {
    if (one.layout == nullptr) {
      if (one.entry->size != 0 && !one.is_kernel)
        answers.push_back({label_of(*one.entry), "", false, one.why_not});
      continue;
    }
    for (const std::string& type : types_of(one.layout->chunk))
      answers.push_back(judge(label_of(*one.entry), type, nullptr, {}, true));
  }
  return answers;
}

Result<std::vector<Answer>> explain_snapshot(const ExplainOptions& options) {
  VMSNAP_RETURN_IF_ERROR(legacy::refuse_assume(options.assume));
  VMSNAP_ASSIGN_OR_RETURN(const SnapshotReader reader, open_snapshot(options.common.file));
  const std::vector<DeviceEntry>& devices = reader.manifest().devices;
  const bool is_from_bhyve = std::any_of(
      devices.begin(), devices.end(), [](const DeviceEntry& device) { return is_no_hardware(device.type); });
  std::vector<Answer> answers;
  for (const DeviceEntry& device : devices)
    answers.push_back(judge(device.path, device.type, &device.version, device.features, is_from_bhyve));
  return answers;
}

void print_text(const ExplainOptions& options, const std::vector<Answer>& answers, std::size_t refused,
                Output& output) {
  for (const Answer& answer : answers) {
    output.print(fmt::format("  {:<3}  {:<24}  {:<14}  {}\n", answer.can ? "yes" : "no",
                             printable(answer.device), answer.type.empty() ? "-" : printable(answer.type),
                             printable(answer.why)));
  }
  const std::string file = printable(options.common.file);
  if (refused == 0) {
    output.print(
        fmt::format("{}: snapvmm has every device; whether host and disks are what the guest needs, the "
                    "restore says\n",
                    file));
  } else {
    output.print(fmt::format("{}: snapvmm cannot go on with this guest: {} it cannot take over\n", file,
                             count_of(refused, "state")));
  }
}

ExitCode run(const ExplainOptions& options, Output& output) {
  const auto answers =
      compat::bhyve::is_legacy_set(options.common.file) ? explain_legacy(options) : explain_snapshot(options);
  if (!answers) return fail(answers.error(), options.common.json, output);
  const auto refused = static_cast<std::size_t>(
      std::count_if(answers->begin(), answers->end(), [](const Answer& answer) { return !answer.can; }));
  if (options.common.json) {
    Json devices = Json::array();
    for (const Answer& answer : *answers) {
      devices.push_back({{"device", answer.device},
                         {"type", text_or_null(answer.type)},
                         {"can", answer.can},
                         {"why", answer.why}});
    }
    output.print_json({{"file", options.common.file},
                       {"for", options.consumer},
                       {"can", refused == 0},
                       {"devices", std::move(devices)}});
  } else {
    print_text(options, *answers, refused, output);
  }
  return refused == 0 ? kExitOk : kExitUnsupported;
}

}  // namespace

void add_explain_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* command = app.add_subcommand(
      "explain", "Say which devices of a snapshot a monitor can take over, which not, and why");
  add_common_options(*command, options->common);
  command->add_option("--for", options->consumer, "The monitor")
      ->check(CLI::IsMember({"snapvmm"}))
      ->required()
      ->type_name("PROGRAM");
  legacy::add_assume_option(*command, options->assume);
  command->callback(
      [&action, options] { action = [options](Output& output) { return run(*options, output); }; });
}

}  // namespace vmsnap::snaptool
