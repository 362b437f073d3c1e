// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands/commands.h"
#include "container/chunk_reader.h"
#include "format/digest.h"
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

/// The chunk digest, told from the bytes in the file; nullopt when the meta does not verify.
Result<std::optional<Digest128>> read_digest(const File& file, const ChunkRecord& chunk) {
  std::array<std::byte, kChunkHeaderSize> header{};
  VMSNAP_RETURN_IF_ERROR(file.read_at(chunk.offset, header));
  ByteVector meta(chunk.header.meta_size);  // at most 16 MiB: the header was checked
  VMSNAP_RETURN_IF_ERROR(file.read_at(chunk.meta_offset(), meta));
  if (xxh3_64(meta) != chunk.header.meta_hash) return std::optional<Digest128>{};
  return std::optional(chunk_digest(header, meta));
}

std::string subject(const SnapshotReader& reader, const ChunkRecord& chunk) {
  const std::uint32_t instance = chunk.header.instance;
  if (chunk.header.type == kChunkSchema) {
    const EmbeddedSchema* schema = reader.find_schema(instance);
    return schema == nullptr ? "" : fmt::format("{} {}", schema->name, vmsnap::to_string(schema->version));
  }
  if (chunk.header.type == kChunkFlatRam) {
    const auto& segments = reader.memory_map().segments;
    return instance < segments.size() ? segments[instance].name : "";
  }
  const auto& devices = reader.manifest().devices;
  if (instance < devices.size() && reader.device_chunk(instance).offset == chunk.offset) return devices[instance].path;
  return "";
}

Result<void> list_whole(const SnapshotReader& reader, Listing& listing) {
  for (const ChunkRecord& chunk : reader.container().chunks()) {
    Row row;
    row.chunk = chunk;
    row.subject = subject(reader, chunk);
    if (const EmbeddedSchema* schema = reader.schema_of(chunk)) {
      row.name = schema->name;
      row.version = vmsnap::to_string(schema->version);
    }
    VMSNAP_ASSIGN_OR_RETURN(row.digest, read_digest(reader.container().file(), chunk));
    listing.rows.push_back(std::move(row));
  }
  return {};
}

/// What the headers alone tell of a file that does not open.
Result<void> list_remains(const std::string& path, Listing& listing) {
  VMSNAP_ASSIGN_OR_RETURN(const File file, File::open_for_reading(path));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t size, file.size());
  VMSNAP_ASSIGN_OR_RETURN(const FileHeader header, read_file_header(file, size));
  for (const ChunkRecord& chunk : walk_chunks(file, size, header).chunks) {
    Row row;
    row.chunk = chunk;
    VMSNAP_ASSIGN_OR_RETURN(row.digest, read_digest(file, chunk));
    listing.rows.push_back(std::move(row));
  }
  return {};
}

Listing list(const std::string& path) {
  Listing listing;
  const Result<SnapshotReader> reader = open_snapshot(path);
  if (reader) {
    if (Result<void> listed = list_whole(*reader, listing); !listed) listing.error = std::move(listed).error();
    return listing;
  }
  listing.error = reader.error();
  const ErrorKind kind = reader.error().kind();
  if (kind != ErrorKind::kIo && kind != ErrorKind::kUsage) {
    // Whatever stops the list of what is left, the first error is the one that says what is wrong.
    [[maybe_unused]] const Result<void> listed = list_remains(path, listing);
  }
  return listing;
}

std::vector<std::string_view> flag_names(const ChunkHeader& header) {
  std::vector<std::string_view> names;
  if (header.critical()) names.push_back("critical");
  if ((header.flags & kChunkSafeToCopy) != 0) names.push_back("safe-to-copy");
  if (header.has_leaves()) names.push_back("leaves");
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
  output.print(fmt::format("{:>5}  {:>12}  {:>12}  TYPE  {:<{}}  INSTANCE  {:<{}}  FLAGS  DIGEST\n", "SEQ", "OFFSET",
                           "SIZE", "NAME", name_width, "SUBJECT", subject_width));
  for (const Row& row : listing.rows) {
    const ChunkHeader& header = row.chunk.header;
    const std::string flags = fmt::format("{}{}{}", header.critical() ? 'C' : '-',
                                          (header.flags & kChunkSafeToCopy) != 0 ? 'S' : '-',
                                          header.has_leaves() ? 'L' : '-');
    output.print(fmt::format("{:>5}  {:>12}  {:>12}  {}  {:<{}}  {:>8}  {:<{}}  {:<5}  {}\n", header.sequence,
                             row.chunk.offset, row.chunk.end - row.chunk.offset, printable(header.type.to_string()),
                             row.name.empty() ? "-" : printable(row.name), name_width, header.instance,
                             row.subject.empty() ? "-" : printable(row.subject), subject_width, flags,
                             row.digest ? vmsnap::to_string(*row.digest) : "damaged"));
  }
}

ExitCode run(const CommonOptions& options, Output& output) {
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

}  // namespace

void add_ls_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<CommonOptions>();
  CLI::App* command = app.add_subcommand("ls", "List the chunks, one line each; of a damaged file, those that are left");
  add_common_options(*command, *options);
  command->callback([&action, options] {
    action = [options](Output& output) { return run(*options, output); };
  });
}

}  // namespace vmsnap::snaptool
