// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/check.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "snapshot/provenance.h"

namespace vmsnap {
namespace {

void look_at_mode(const File& file, CheckReport& report) {
  struct stat status {};
  if (::fstat(file.fd(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  const unsigned others = status.st_mode & (S_IRWXG | S_IRWXO);
  if (others == 0) return;
  report.findings.push_back(
      {Finding::Code::kFileMode,
       fmt::format(
           "the file has mode {:04o}: others than its owner have access to the guest's memory; a snapshot "
           "should have mode 0600",
           status.st_mode & 07777)});
}

void look_at_features(const FileHeader& header, CheckReport& report) {
  if (header.minor > kFormatMinor) {
    report.findings.push_back(
        {Finding::Code::kNewerMinorVersion,
         fmt::format("the file has format version {}.{}, newer than the {}.{} of this build", header.major,
                     header.minor, kFormatMajor, kFormatMinor)});
  }
  for (const Feature& feature : header.features) {
    if (find_registered_feature(feature.kind, feature.bit) != nullptr) continue;
    report.findings.push_back(
        {Finding::Code::kUnknownCompatibleFeature,
         fmt::format("the file uses the compatible feature \"{}\" (bit {}), which this build "
                     "does not know and ignores",
                     feature.name, feature.bit)});
  }
}

void look_at_chunks(const SnapshotReader& reader, CheckReport& report) {
  if (const auto provenance = read_provenance(reader); !provenance) {
    report.findings.push_back(
        {Finding::Code::kBadProvenance,
         "what the file says of its own migrations cannot be used: " + provenance.error().to_string()});
  }
  for (const ChunkRecord* chunk : reader.unknown_chunks()) {
    if (is_provenance(reader, *chunk)) continue;
    report.findings.push_back(
        {Finding::Code::kUnknownOptionalChunk,
         fmt::format("this build does not know what the optional chunk {} (\"{}\") means and "
                     "ignores it",
                     chunk->name(), reader.schema_of(*chunk)->name)});
    if (chunk->header.has_leaves()) {
      report.findings.push_back(
          {Finding::Code::kBodyNotChecked,
           fmt::format("the body of chunk {} was not checked: this build does not know where "
                       "its hashes are",
                       chunk->name())});
    }
  }
  std::set<std::uint32_t> used;
  for (const ChunkRecord& chunk : reader.container().chunks()) {
    used.insert(reader.schema_of(chunk)->id);
  }
  const std::vector<ChunkType> own_types = container_chunk_types();
  for (const EmbeddedSchema& schema : reader.schemas()) {
    if (used.count(schema.id) == 0) {
      report.findings.push_back(
          {Finding::Code::kUnusedSchema,
           fmt::format("no chunk uses the embedded schema {} (\"{}\")", schema.id, schema.name)});
    }
    const auto own = std::find_if(own_types.begin(), own_types.end(),
                                  [&](const ChunkType& type) { return type.type == schema.chunk_type; });
    if (own != own_types.end() && schema.version > own->version) {
      report.findings.push_back(
          {Finding::Code::kNewerMinorVersion,
           fmt::format("{} chunks have version {}, newer than the {} of this build",
                       schema.chunk_type.to_string(), to_string(schema.version), to_string(own->version))});
    }
  }
}

/// What a recovered file lacks, of which a hostile one could claim any amount.
void look_at_losses(const SnapshotReader& reader, CheckReport& report) {
  constexpr std::size_t kMostLosses = 200;
  for (const Loss& loss : reader.losses().first(std::min(kMostLosses, reader.losses().size()))) {
    report.findings.push_back(
        {Finding::Code::kLost, fmt::format("this file was recovered from a damaged one and lacks {}",
                                           to_string(loss, reader.memory_map()))});
  }
  if (reader.losses().size() > kMostLosses) {
    report.findings.push_back({Finding::Code::kLost, fmt::format("the file lacks {} other things",
                                                                 reader.losses().size() - kMostLosses)});
  }
}

Result<void> check(const std::string& path, ReadLevel level, const PassOptions& pass, CheckReport& report) {
  VMSNAP_ASSIGN_OR_RETURN(File file, File::open_for_reading(path));
  look_at_mode(file, report);
  VMSNAP_ASSIGN_OR_RETURN(report.file_size, file.size());
  VMSNAP_ASSIGN_OR_RETURN(const FileHeader header, read_file_header(file, report.file_size));
  report.uuid = header.uuid;
  look_at_features(header, report);
  SnapshotReadOptions options;
  options.level = level;
  options.pass = pass;
  options.allow_recovered = true;
  VMSNAP_ASSIGN_OR_RETURN(const SnapshotReader reader, SnapshotReader::open(std::move(file), options));
  report.root = reader.root();
  report.chunk_count = static_cast<std::uint32_t>(reader.container().chunks().size());
  if (level >= ReadLevel::kMeta) {
    VMSNAP_ASSIGN_OR_RETURN(report.memory_digest, reader.memory_digest());
  }
  look_at_losses(reader, report);
  look_at_chunks(reader, report);
  return {};
}

}  // namespace

std::string_view to_string(Finding::Code code) {
  switch (code) {
    case Finding::Code::kUnknownOptionalChunk:
      return "unknown-optional-chunk";
    case Finding::Code::kUnknownCompatibleFeature:
      return "unknown-compatible-feature";
    case Finding::Code::kNewerMinorVersion:
      return "newer-minor-version";
    case Finding::Code::kFileMode:
      return "file-mode";
    case Finding::Code::kUnusedSchema:
      return "unused-schema";
    case Finding::Code::kBodyNotChecked:
      return "body-not-checked";
    case Finding::Code::kBadProvenance:
      return "bad-provenance";
    case Finding::Code::kLost:
      return "lost";
  }
  return "unknown";
}

CheckReport check_snapshot(const std::string& path, ReadLevel level, const PassOptions& pass) {
  CheckReport report;
  if (auto result = check(path, level, pass, report); !result)
    report.error = std::move(result).error().in_file(path);
  return report;
}

}  // namespace vmsnap
