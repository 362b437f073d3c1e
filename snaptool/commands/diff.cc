// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "chunk_printer.h"
#include "commands/commands.h"
#include "memory_diff.h"
#include "snapshot_file.h"
#include "tree_diff.h"

namespace vmsnap::snaptool {
namespace {

struct DiffOptions {
  std::string left;
  std::string right;
  bool json = false;
};

/// One of the two files.
class Side {
 public:
  static Result<std::unique_ptr<Side>> open(const std::string& path) {
    VMSNAP_ASSIGN_OR_RETURN(SnapshotReader reader, open_snapshot(path, ReadLevel::kMeta));
    return std::unique_ptr<Side>(new Side(std::move(reader)));
  }

  [[nodiscard]] const SnapshotReader& reader() const { return reader_; }

  /// What a chunk's meta says, by the schema that the file carries.
  Result<compat::StateTree> tree(const ChunkRecord& chunk) {
    VMSNAP_ASSIGN_OR_RETURN(const reflect::SchemaModel* model, schemas_.schema_for(chunk));
    VMSNAP_ASSIGN_OR_RETURN(const ByteVector meta, reader_.container().meta(chunk));
    auto tree = compat::StateTree::decode(*model, meta);
    if (!tree) {
      return std::move(std::move(tree)
                           .error()
                           .in_file(reader_.container().file().name())
                           .at_offset(chunk.offset)
                           .in_chunk(chunk.name()));
    }
    return tree;
  }

  [[nodiscard]] const DeviceEntry* find_device(const std::string& path) const {
    const auto& devices = reader_.manifest().devices;
    const auto found = std::find_if(devices.begin(), devices.end(),
                                    [&](const DeviceEntry& device) { return device.path == path; });
    return found == devices.end() ? nullptr : &*found;
  }

 private:
  explicit Side(SnapshotReader reader) : reader_(std::move(reader)), schemas_(reader_) {}

  SnapshotReader reader_;
  SchemaCache schemas_;
};

/// What differs in one part of the snapshots.
struct PartDiff {
  std::string part;           // "manifest", "memory", or the path of a device
  std::string type;           // of a device
  std::string left_version;   // of a device; empty: the left file has none of that path
  std::string right_version;  // likewise
  TreeDiff diff;

  [[nodiscard]] bool differs() const { return diff.count > 0 || left_version != right_version; }
};

struct Report {
  std::vector<PartDiff> parts;  // those that differ
  std::uint64_t compared = 0;   // parts in all
  MemoryDiff memory;
};

Result<PartDiff> compare_tables(Side& left, Side& right, FourCc type, std::string part,
                                std::string_view without) {
  VMSNAP_ASSIGN_OR_RETURN(const compat::StateTree l, left.tree(*left.reader().container().find(type)));
  VMSNAP_ASSIGN_OR_RETURN(const compat::StateTree r, right.tree(*right.reader().container().find(type)));
  return PartDiff{std::move(part), "", "", "", compare(l, r, without)};
}

/// What the manifest says of a device beside its version.
void compare_entries(const DeviceEntry& left, const DeviceEntry& right, TreeDiff& diff) {
  const auto add = [&](std::string_view name, std::string l, std::string r) {
    if (l == r) return;
    ++diff.count;
    diff.differences.push_back({fmt::format("manifest: {}", name), printable(l), printable(r)});
  };
  add("type", left.type, right.type);
  add("readable since", to_string(left.readable_since), to_string(right.readable_since));
  add("features", fmt::format("{}", fmt::join(left.features, " ")),
      fmt::format("{}", fmt::join(right.features, " ")));
  const auto slots = [](const DeviceEntry& device) {
    std::string text;
    for (const Slot& slot : device.slots) {
      text += fmt::format("{}{}={}", text.empty() ? "" : " ", slot.name, slot.hint);
    }
    return text;
  };
  add("slots", slots(left), slots(right));
}

Result<PartDiff> compare_device(Side& left, Side& right, const std::string& path) {
  const DeviceEntry* l = left.find_device(path);
  const DeviceEntry* r = right.find_device(path);
  PartDiff part;
  part.part = path;
  part.type = (l != nullptr ? l : r)->type;
  if (l != nullptr) part.left_version = to_string(l->version);
  if (r != nullptr) part.right_version = to_string(r->version);
  if (l == nullptr || r == nullptr) return part;
  compare_entries(*l, *r, part.diff);
  VMSNAP_ASSIGN_OR_RETURN(const compat::StateTree left_tree,
                          left.tree(left.reader().device_chunk(l->instance)));
  VMSNAP_ASSIGN_OR_RETURN(const compat::StateTree right_tree,
                          right.tree(right.reader().device_chunk(r->instance)));
  TreeDiff states = compare(left_tree, right_tree);
  part.diff.count += states.count;
  std::move(states.differences.begin(), states.differences.end(), std::back_inserter(part.diff.differences));
  return part;
}

Result<Report> compare_snapshots(Side& left, Side& right) {
  Report report;
  const auto keep = [&](PartDiff part) {
    ++report.compared;
    if (part.differs()) report.parts.push_back(std::move(part));
  };
  VMSNAP_ASSIGN_OR_RETURN(PartDiff manifest,
                          compare_tables(left, right, kChunkManifest, "manifest", "devices"));
  keep(std::move(manifest));
  VMSNAP_ASSIGN_OR_RETURN(PartDiff map, compare_tables(left, right, kChunkMemoryMap, "memory map", ""));
  keep(std::move(map));
  std::vector<std::string> paths;
  for (const DeviceEntry& device : left.reader().manifest().devices) paths.push_back(device.path);
  for (const DeviceEntry& device : right.reader().manifest().devices) {
    if (left.find_device(device.path) == nullptr) paths.push_back(device.path);
  }
  for (const std::string& path : paths) {
    VMSNAP_ASSIGN_OR_RETURN(PartDiff part, compare_device(left, right, path));
    keep(std::move(part));
  }
  VMSNAP_ASSIGN_OR_RETURN(report.memory, compare_memory(left.reader(), right.reader()));
  return report;
}

std::string shown(const std::string& text) {
  return text.empty() ? "(not there)" : text;
}

void print_text(const DiffOptions& options, const Report& report, Output& output) {
  output.print(fmt::format("--- {}\n+++ {}\n", printable(options.left), printable(options.right)));
  for (const PartDiff& part : report.parts) {
    std::string head = printable(part.part);
    if (!part.type.empty()) {
      head += part.left_version == part.right_version
                  ? fmt::format(" ({} {})", printable(part.type), part.left_version)
                  : fmt::format(" ({} {} -> {})", printable(part.type), shown(part.left_version),
                                shown(part.right_version));
    }
    output.print(head + '\n');
    for (const Difference& difference : part.diff.differences) {
      output.print(
          fmt::format("  {}: {} -> {}\n", difference.path, shown(difference.left), shown(difference.right)));
    }
    if (part.diff.count > part.diff.differences.size()) {
      output.print(fmt::format("  ... and {} more\n", part.diff.count - part.diff.differences.size()));
    }
  }
  print_text(report.memory, output);
  if (report.parts.empty() && report.memory.same()) output.print("no difference\n");
}

Json to_json(const PartDiff& part) {
  Json fields = Json::array();
  for (const Difference& difference : part.diff.differences) {
    fields.push_back({{"field", difference.path},
                      {"left", text_or_null(difference.left)},
                      {"right", text_or_null(difference.right)}});
  }
  return {{"part", part.part},
          {"type", text_or_null(part.type)},
          {"left_version", text_or_null(part.left_version)},
          {"right_version", text_or_null(part.right_version)},
          {"count", wide(part.diff.count)},
          {"fields", std::move(fields)}};
}

ExitCode run(const DiffOptions& options, Output& output) {
  auto left = Side::open(options.left);
  if (!left) return fail(std::move(left).error().in_file(options.left), options.json, output);
  auto right = Side::open(options.right);
  if (!right) return fail(std::move(right).error().in_file(options.right), options.json, output);
  const auto report = compare_snapshots(**left, **right);
  if (!report) return fail(report.error(), options.json, output);
  if (options.json) {
    Json parts = Json::array();
    for (const PartDiff& part : report->parts) parts.push_back(to_json(part));
    output.print_json({{"left", options.left},
                       {"right", options.right},
                       {"compared", wide(report->compared)},
                       {"parts", std::move(parts)},
                       {"memory", snaptool::to_json(report->memory)}});
  } else {
    print_text(options, *report, output);
  }
  return report->parts.empty() && report->memory.same() ? kExitOk : kExitFindings;
}

}  // namespace

void add_diff_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<DiffOptions>();
  CLI::App* command = app.add_subcommand(
      "diff", "Say which fields and which memory differ between two snapshots, of any versions");
  command->add_option("A", options->left, "One snapshot")->required()->type_name("");
  command->add_option("B", options->right, "The other")->required()->type_name("");
  command->add_flag("--json", options->json, "Print JSON, for programs");
  command->callback(
      [&action, options] { action = [options](Output& output) { return run(*options, output); }; });
}

}  // namespace vmsnap::snaptool
