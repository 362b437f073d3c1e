// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands/commands.h"
#include "legacy/legacy.h"
#include "snapshot/check.h"
#include "snapshot/provenance.h"
#include "snapshot/text.h"
#include "snapshot_file.h"

namespace vmsnap::snaptool {
namespace {

/// The name in docs/registry.md, as the manifest itself is printed too, and words for people.
struct KindName {
  std::string_view registered;
  std::string_view words;
};

KindName to_name(SlotKind kind) {
  switch (kind) {
    case SlotKind::kUnknown:
      break;
    case SlotKind::kBlockBackend:
      return {"BlockBackend", "block backend"};
    case SlotKind::kCharacterBackend:
      return {"CharacterBackend", "character backend"};
    case SlotKind::kNetworkBackend:
      return {"NetworkBackend", "network backend"};
    case SlotKind::kFirmwareImage:
      return {"FirmwareImage", "firmware image"};
  }
  return {"Unknown", "something unknown"};
}

KindName to_name(SegmentKind kind) {
  if (kind == SegmentKind::kSystemMemory) return {"SystemMemory", ""};
  return {"DeviceMemory", ", device memory"};
}

std::string architecture(std::uint32_t arch) {
  return arch == kArchX86_64 ? "x86-64" : fmt::format("unknown architecture {}", arch);
}

std::uint64_t system_memory(const MemoryMap& map) {
  std::uint64_t bytes = 0;
  for (const MemorySegment& segment : map.segments) {
    // Saturates: the sizes of different segments may come from a hostile file.
    const std::uint64_t size = segment.kind == SegmentKind::kSystemMemory ? segment.size : 0;
    bytes = size > UINT64_MAX - bytes ? UINT64_MAX : bytes + size;
  }
  return bytes;
}

/// How the memory of a segment stands in the file.
struct Encoding {
  std::string_view name;         // "flat" or "extents"
  std::string_view compression;  // "none" or "lz4"
};

/// Chunk headers alone tell it, so that a huge guest costs no more than a small one.
Encoding encoding_of(const SnapshotReader& reader, std::uint32_t segment) {
  Encoding encoding{"flat", "none"};
  for (const ChunkRecord* chunk : reader.segment_chunks(segment)) {
    if (chunk->header.type == kChunkExtentRam) encoding.name = "extents";
    if (chunk->header.codec() == kCodecLz4) encoding.compression = "lz4";
  }
  return encoding;
}

/// What info tells, gathered.
struct Facts {
  const SnapshotReader& reader;
  std::uint64_t allocated = 0;  // bytes on the disk
  CheckReport check;            // at header level
  std::vector<Migration> migrations;
};

Json slots_json(const DeviceEntry& device) {
  Json slots = Json::array();
  for (const Slot& slot : device.slots) {
    slots.push_back({{"name", slot.name},
                     {"kind", to_name(slot.kind).registered},
                     {"hint", text_or_null(slot.hint)},
                     {"size", slot.size ? wide(*slot.size) : Json(nullptr)},
                     {"read_only", slot.read_only}});
  }
  return slots;
}

Json to_json(const Facts& facts) {
  const SnapshotReader& reader = facts.reader;
  const Manifest& manifest = reader.manifest();
  Json features = Json::array();
  for (const Feature& feature : reader.header().features) {
    features.push_back({{"name", feature.name},
                        {"kind", feature.kind == FeatureKind::kIncompatible ? "incompatible" : "compatible"},
                        {"bit", feature.bit}});
  }
  Json segments = Json::array();
  for (const MemorySegment& segment : reader.memory_map().segments) {
    const Encoding encoding = encoding_of(reader, segment.id);
    segments.push_back({{"id", segment.id},
                        {"name", segment.name},
                        {"kind", to_name(segment.kind).registered},
                        {"size", wide(segment.size)},
                        {"encoding", encoding.name},
                        {"compression", encoding.compression}});
  }
  Json devices = Json::array();
  for (const DeviceEntry& device : manifest.devices) {
    devices.push_back({{"instance", device.instance},
                       {"path", device.path},
                       {"type", device.type},
                       {"version", vmsnap::to_string(device.version)},
                       {"readable_since", vmsnap::to_string(device.readable_since)},
                       {"features", device.features},
                       {"slots", slots_json(device)}});
  }
  Json migrations = Json::array();
  for (const Migration& migration : facts.migrations) {
    migrations.push_back({{"tool", migration.tool},
                          {"tool_version", migration.tool_version},
                          {"time", utc_time(migration.time)},
                          {"from_level", migration.from_level},
                          {"to_level", migration.to_level},
                          {"source_uuid", vmsnap::to_string(migration.source_uuid)},
                          {"source_root", vmsnap::to_string(migration.source_root)},
                          {"lost", migration.losses.size()}});
  }
  Json findings = Json::array();
  for (const Finding& finding : facts.check.findings) {
    findings.push_back({{"code", vmsnap::to_string(finding.code)}, {"message", finding.message}});
  }
  return {
      {"file", reader.container().file().name()},
      {"file_size", wide(reader.container().file_size())},
      {"allocated_size", wide(facts.allocated)},
      {"format_version", fmt::format("{}.{}", reader.header().major, reader.header().minor)},
      {"uuid", vmsnap::to_string(reader.header().uuid)},
      {"root", vmsnap::to_string(reader.root())},
      {"features", std::move(features)},
      {"producer", {{"name", manifest.producer_name}, {"version", manifest.producer_version}}},
      {"created", utc_time(manifest.created)},
      {"release_level", manifest.release_level},
      {"migrations", std::move(migrations)},
      {"comment", text_or_null(manifest.comment)},
      {"architecture", architecture(reader.header().arch)},
      {"vcpu_count", manifest.vcpu_count},
      {"ram_size", wide(system_memory(reader.memory_map()))},
      {"chunk_count", reader.container().chunks().size()},
      {"segments", std::move(segments)},
      {"devices", std::move(devices)},
      {"refused", facts.check.error ? snaptool::to_json(*facts.check.error) : Json(nullptr)},
      {"findings", std::move(findings)},
  };
}

/// Free text may have thousands of characters; here the beginning will do.
std::string shortened(const std::string& text) {
  constexpr std::size_t kLongest = 200;
  return text.size() <= kLongest ? text : std::string(cut_text(text, kLongest)) + "...";
}

void print_line(Output& output, std::string_view name, std::string_view value) {
  output.print(fmt::format("  {:<14}  {}\n", name, printable(value)));
}

std::string describe(const Feature& feature) {
  return fmt::format("{} ({} bit {})", feature.name,
                     feature.kind == FeatureKind::kIncompatible ? "incompatible" : "compatible", feature.bit);
}

template <typename Range, typename Describe>
std::string joined(const Range& range, Describe&& describe_one) {
  std::string out;
  for (const auto& element : range) {
    if (!out.empty()) out += ", ";
    out += describe_one(element);
  }
  return out.empty() ? "none" : out;
}

void print_segments(const SnapshotReader& reader, Output& output) {
  for (const MemorySegment& segment : reader.memory_map().segments) {
    const Encoding encoding = encoding_of(reader, segment.id);
    output.print(fmt::format("    {:<14}  {}{}, {}{}\n", printable(segment.name), exact_size(segment.size),
                             to_name(segment.kind).words, encoding.name,
                             encoding.compression == "none" ? "" : ", lz4"));
  }
}

std::string describe(const Slot& slot) {
  std::string out = fmt::format("{}: {}", slot.name, to_name(slot.kind).words);
  if (slot.size) out += ", " + exact_size(*slot.size);
  if (slot.read_only) out += ", read-only";
  if (!slot.hint.empty()) out += fmt::format(", was \"{}\"", shortened(slot.hint));
  return out;
}

void print_devices(const Manifest& manifest, Output& output) {
  std::size_t path_width = 0;
  std::size_t type_width = 0;
  for (const DeviceEntry& device : manifest.devices) {
    path_width = std::max(path_width, device.path.size());
    type_width = std::max(type_width, device.type.size());
  }
  constexpr std::size_t kWidest = 40;
  path_width = std::min(path_width, kWidest);
  type_width = std::min(type_width, kWidest);
  for (const DeviceEntry& device : manifest.devices) {
    std::string line =
        fmt::format("    {:>3}  {:<{}}  {:<{}}  {}", device.instance, printable(device.path), path_width,
                    printable(device.type), type_width, vmsnap::to_string(device.version));
    if (device.readable_since != device.version) {
      line += fmt::format(", readable since {}", vmsnap::to_string(device.readable_since));
    }
    if (!device.features.empty()) {
      line +=
          ", features: " + printable(joined(device.features, [](const std::string& name) { return name; }));
    }
    output.print(line + '\n');
    for (const Slot& slot : device.slots) {
      output.print(fmt::format("         needs {}\n", printable(describe(slot))));
    }
  }
}

void print_text(const Facts& facts, Output& output) {
  const SnapshotReader& reader = facts.reader;
  const Manifest& manifest = reader.manifest();
  output.print(printable(reader.container().file().name()) + '\n');
  print_line(output, "file",
             fmt::format("{}, {} on the disk, {}", exact_size(reader.container().file_size()),
                         human_size(facts.allocated), count_of(reader.container().chunks().size(), "chunk")));
  print_line(output, "format", fmt::format("{}.{}", reader.header().major, reader.header().minor));
  print_line(output, "uuid", vmsnap::to_string(reader.header().uuid));
  print_line(output, "root", vmsnap::to_string(reader.root()));
  print_line(output, "features",
             joined(reader.header().features, [](const Feature& feature) { return describe(feature); }));
  print_line(output, "producer", fmt::format("{} {}", manifest.producer_name, manifest.producer_version));
  print_line(output, "created", utc_time(manifest.created));
  print_line(output, "release level", std::to_string(manifest.release_level));
  for (const Migration& migration : facts.migrations) {
    print_line(output, "migrated",
               fmt::format("from level {} to {} by {} {}, {}{}", migration.from_level, migration.to_level,
                           migration.tool, migration.tool_version, utc_time(migration.time),
                           migration.losses.empty()
                               ? ""
                               : fmt::format("; {} lost", count_of(migration.losses.size(), "field"))));
  }
  if (!manifest.comment.empty()) print_line(output, "comment", shortened(manifest.comment));
  print_line(
      output, "guest",
      fmt::format("{}, {}, {} of RAM", architecture(reader.header().arch),
                  count_of(manifest.vcpu_count, "vCPU"), human_size(system_memory(reader.memory_map()))));
  print_line(output, "memory", count_of(reader.memory_map().segments.size(), "segment"));
  print_segments(reader, output);
  print_line(output, "state of", count_of(manifest.devices.size(), "device"));
  print_devices(manifest, output);
  if (facts.check.error) print_line(output, "restore", "refused: " + facts.check.error->message());
  if (facts.check.findings.empty()) print_line(output, "findings", "none");
  for (const Finding& finding : facts.check.findings) print_line(output, "finding", finding.message);
}

struct InfoOptions {
  CommonOptions common;
  std::vector<std::string> assume;
};

ExitCode run_on_snapshot(const CommonOptions& options, Output& output) {
  const Result<SnapshotReader> reader = open_snapshot(options.file);
  if (!reader) return fail(reader.error(), options.json, output);
  const Result<std::uint64_t> allocated = allocated_size(reader->container().file());
  if (!allocated) return fail(allocated.error(), options.json, output);
  // If they cannot be read, that is among the findings.
  auto migrations = read_provenance(*reader).value_or(std::vector<Migration>());
  const Facts facts{*reader, *allocated, check_snapshot(options.file, ReadLevel::kHeader),
                    std::move(migrations)};
  if (options.json) {
    output.print_json(to_json(facts));
  } else {
    print_text(facts, output);
  }
  return kExitOk;
}

ExitCode run(const InfoOptions& options, Output& output) {
  const CommonOptions& common = options.common;
  if (compat::bhyve::is_legacy_set(common.file))
    return legacy::info({common.file, common.json, options.assume}, output);
  if (const auto refused = legacy::refuse_assume(options.assume); !refused)
    return fail(refused.error(), common.json, output);
  return run_on_snapshot(common, output);
}

}  // namespace

void add_info_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<InfoOptions>();
  CLI::App* command =
      app.add_subcommand("info", "Say what a snapshot is: who made it and when, the machine, its devices");
  add_common_options(*command, options->common);
  legacy::add_assume_option(*command, options->assume);
  command->callback(
      [&action, options] { action = [options](Output& output) { return run(*options, output); }; });
}

}  // namespace vmsnap::snaptool
