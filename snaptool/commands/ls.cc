// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands/commands.h"
#include "container/chunk_reader.h"
#include "format/digest.h"
#include "legacy/legacy.h"
#include "snapshot/schema_meta.h"
#include "snapshot_file.h"

namespace vmsnap::snaptool {
namespace {

/// A line of the list.
struct Row {
  ChunkRecord chunk;
  std::string name;                 // type name; empty when the file does not say it
  std::string version;              // of the meta
  std::string subject;              // what it is about: a device path, a segment, a type; may be empty
  std::optional<Digest128> digest;  // absent when the meta is damaged
};

struct Listing {
  std::vector<Row> rows;
  std::optional<Error> error;  // why the list may be incomplete
};

/// What names the chunks of a file, gathered while the list is made. Tables that do not verify are left out:
/// the list is also for damaged files.
class Names {
 public:
  /// Learns from a meta that verifies.
  void learn(const ChunkHeader& header, ByteView meta) {
    if (header.type == kChunkSchema) {
      if (auto schema = decode_schema_meta(meta)) {
        const auto id = schema->id;
        schemas_.insert_or_assign(id, *std::move(schema));
      }
    } else if (header.type == kChunkManifest) {
      if (auto manifest = decode_manifest(meta)) manifest_ = *std::move(manifest);
    } else if (header.type == kChunkMemoryMap) {
      if (auto map = decode_memory_map(meta)) memory_map_ = *std::move(map);
    }
  }

  /// The schema of a chunk's meta, or nullptr.
  [[nodiscard]] const EmbeddedSchema* schema_of(const ChunkHeader& header) const {
    if (header.type != kChunkSchema) return find_schema(header.schema_id);
    const auto found = std::ranges::find_if(
        schemas_, [](const auto& entry) { return entry.second.chunk_type == kChunkSchema; });
    return found == schemas_.end() ? nullptr : &found->second;
  }

  /// What a chunk is about.
  [[nodiscard]] std::string subject_of(const ChunkHeader& header) const {
    if (header.type == kChunkSchema) {
      const EmbeddedSchema* schema = find_schema(header.instance);
      return schema == nullptr ? "" : fmt::format("{} {}", schema->name, vmsnap::to_string(schema->version));
    }
    if (is_ram_chunk(header.type)) {
      return header.instance < memory_map_.segments.size() ? memory_map_.segments[header.instance].name : "";
    }
    const EmbeddedSchema* schema = schema_of(header);
    if (schema == nullptr || header.instance >= manifest_.devices.size()) return "";
    const DeviceEntry& device = manifest_.devices[header.instance];
    return device.type == schema->name ? device.path : "";
  }

 private:
  [[nodiscard]] const EmbeddedSchema* find_schema(std::uint32_t id) const {
    const auto found = schemas_.find(id);
    return found == schemas_.end() ? nullptr : &found->second;
  }

  std::map<std::uint32_t, EmbeddedSchema> schemas_;  // by schema id
  Manifest manifest_;
  MemoryMap memory_map_;
};

/// Reads the meta of a chunk, learns from it, and sets the digest when it verifies.
Result<void> read_meta(const File& file, Row& row, Names& names) {
  const ChunkHeader& header = row.chunk.header;
  std::array<std::byte, kChunkHeaderSize> encoded{};
  VMSNAP_RETURN_IF_ERROR(file.read_at(row.chunk.offset, encoded));
  ByteVector meta(header.meta_size);  // at most 16 MiB: the header was checked
  VMSNAP_RETURN_IF_ERROR(file.read_at(row.chunk.meta_offset(), meta));
  if (xxh3_64(meta) != header.meta_hash) return {};
  row.digest = chunk_digest(encoded, meta);
  names.learn(header, meta);
  return {};
}

/// Lists every chunk that can be reached along the headers. Errors: what keeps even those from being read.
Result<void> list_chunks(const std::string& path, std::vector<Row>& rows) {
  VMSNAP_ASSIGN_OR_RETURN(const File file, File::open_for_reading(path));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t size, file.size());
  VMSNAP_ASSIGN_OR_RETURN(const FileHeader header, read_file_header(file, size));
  Names names;
  for (const ChunkRecord& chunk : walk_chunks(file, size, header).chunks) {
    rows.push_back({chunk, "", "", "", std::nullopt});
    VMSNAP_RETURN_IF_ERROR(read_meta(file, rows.back(), names));
  }
  for (Row& row : rows) {
    row.subject = names.subject_of(row.chunk.header);
    if (const EmbeddedSchema* schema = names.schema_of(row.chunk.header)) {
      row.name = schema->name;
      row.version = vmsnap::to_string(schema->version);
    }
  }
  return {};
}

Listing list(const std::string& path) {
  Listing listing;
  if (Result<void> usable = check_path(path); !usable) {
    listing.error = std::move(usable).error();
    return listing;
  }
  const Result<void> listed = list_chunks(path, listing.rows);
  if (const Result<SnapshotReader> reader = open_snapshot(path); !reader) {
    listing.error = reader.error();
  } else if (!listed) {
    listing.error = listed.error();
  }
  return listing;
}

std::vector<std::string_view> flag_names(const ChunkHeader& header) {
  std::vector<std::string_view> names;
  if (header.critical()) names.emplace_back("critical");
  if ((header.flags & kChunkSafeToCopy) != 0) names.emplace_back("safe-to-copy");
  if (header.has_leaves()) names.emplace_back("leaves");
  return names;
}

Json to_json(const Row& row) {
  const ChunkHeader& header = row.chunk.header;
  return {
      {"sequence", header.sequence},
      {"offset", wide(row.chunk.offset)},
      {"size", wide(row.chunk.end - row.chunk.offset)},
      {"type", header.type.to_string()},
      {"name", text_or_null(row.name)},
      {"version", text_or_null(row.version)},
      {"instance", header.instance},
      {"subject", text_or_null(row.subject)},
      {"flags", flag_names(header)},
      {"meta_size", header.meta_size},
      {"body_offset", header.body_size == 0 ? Json(nullptr) : wide(row.chunk.body_offset())},
      {"body_size", wide(header.body_size)},
      {"digest", row.digest ? Json(vmsnap::to_string(*row.digest)) : Json(nullptr)},
  };
}

void print_text(const Listing& listing, Output& output) {
  if (listing.rows.empty()) return;
  std::size_t name_width = 4;
  std::size_t subject_width = 7;
  for (const Row& row : listing.rows) {
    constexpr std::size_t kWidest = 40;
    name_width = std::min(kWidest, std::max(name_width, row.name.size()));
    subject_width = std::min(kWidest, std::max(subject_width, row.subject.size()));
  }
  output.print(fmt::format("{:>5}  {:>12}  {:>12}  TYPE  {:<{}}  INSTANCE  {:<{}}  FLAGS  DIGEST\n", "SEQ",
                           "OFFSET", "SIZE", "NAME", name_width, "SUBJECT", subject_width));
  for (const Row& row : listing.rows) {
    const ChunkHeader& header = row.chunk.header;
    const std::string flags =
        fmt::format("{}{}{}", header.critical() ? 'C' : '-',
                    (header.flags & kChunkSafeToCopy) != 0 ? 'S' : '-', header.has_leaves() ? 'L' : '-');
    output.print(fmt::format("{:>5}  {:>12}  {:>12}  {}  {:<{}}  {:>8}  {:<{}}  {:<5}  {}\n", header.sequence,
                             row.chunk.offset, row.chunk.end - row.chunk.offset,
                             printable(header.type.to_string()), row.name.empty() ? "-" : printable(row.name),
                             name_width, header.instance, row.subject.empty() ? "-" : printable(row.subject),
                             subject_width, flags, row.digest ? vmsnap::to_string(*row.digest) : "damaged"));
  }
}

struct LsOptions {
  CommonOptions common;
  std::vector<std::string> assume;
};

ExitCode run_on_snapshot(const CommonOptions& options, Output& output) {
  const Listing listing = list(options.file);
  if (options.json) {
    Json chunks = Json::array();
    for (const Row& row : listing.rows) chunks.push_back(to_json(row));
    output.print_json({{"file", options.file},
                       {"chunks", std::move(chunks)},
                       {"error", listing.error ? snaptool::to_json(*listing.error) : Json(nullptr)}});
  } else {
    print_text(listing, output);
  }
  if (listing.error) {
    output.complain(listing.error->to_string());
    return exit_code(listing.error->kind());
  }
  const bool damaged = std::ranges::any_of(listing.rows, [](const Row& row) { return !row.digest; });
  if (damaged) output.complain(options.file + ": not every meta verifies; run snaptool check to learn more");
  return damaged ? kExitCorrupt : kExitOk;
}

ExitCode run(const LsOptions& options, Output& output) {
  const CommonOptions& common = options.common;
  if (compat::bhyve::is_legacy_set(common.file))
    return legacy::ls({common.file, common.json, options.assume}, output);
  if (const auto refused = legacy::refuse_assume(options.assume); !refused)
    return fail(refused.error(), common.json, output);
  return run_on_snapshot(common, output);
}

}  // namespace

void add_ls_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<LsOptions>();
  CLI::App* command =
      app.add_subcommand("ls", "List the chunks, one line each; of a damaged file, those that are left");
  add_common_options(*command, options->common);
  legacy::add_assume_option(*command, options->assume);
  command->callback(
      [&action, options] { action = [options](Output& output) { return run(*options, output); }; });
}

}  // namespace vmsnap::snaptool
