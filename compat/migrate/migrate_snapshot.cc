// SPDX-License-Identifier: BSD-2-Clause
#include "migrate/migrate_snapshot.h"

#include <fmt/format.h>

#include <algorithm>

#include "snapshot/copy_writer.h"
#include "snapshot/manifest_limits.h"
#include "snapshot/provenance.h"
#include "snapshot/text.h"

namespace vmsnap::compat {
namespace {

Result<LevelConversion> convert(const SnapshotReader& from, const Migrator& migrator,
                                const MigrateOptions& options) {
  std::vector<ByteVector> states;
  for (const DeviceEntry& device : from.manifest().devices) {
    VMSNAP_ASSIGN_OR_RETURN(states.emplace_back(), from.container().meta(from.device_chunk(device.instance)));
  }
  const std::vector<ByteView> views(states.begin(), states.end());
  return migrator.convert_to_level(from.manifest(), views, options.to_level, options.allowed);
}

/// The features of the container that a release of the level must know to read the file.
Result<void> check_format(const SnapshotReader& from, const ReleaseLevel& level) {
  for (const Feature& feature : from.header().features) {
    // A recovered file is for those who insist, at every level.
    if (feature.kind != FeatureKind::kIncompatible || feature.bit == kFeatureRecovered) continue;
    const auto& known = level.format_features;
    if (std::find(known.begin(), known.end(), feature.name) != known.end()) continue;
    return Error(ErrorKind::kUnsupported,
                 fmt::format("the file uses the feature \"{}\" of the format, which releases of level {} do "
                             "not know; bring it into another encoding with snaptool repack first",
                             feature.name, level.number));
  }
  return {};
}

Result<LevelConversion> convert_checked(const SnapshotReader& from, const Migrator& migrator,
                                        const MigrateOptions& options) {
  const auto convert_all = [&]() -> Result<LevelConversion> {
    VMSNAP_ASSIGN_OR_RETURN(const ReleaseLevel* level, migrator.level(options.to_level));
    VMSNAP_RETURN_IF_ERROR(check_format(from, *level));
    return convert(from, migrator, options);
  };
  auto converted = convert_all();
  if (!converted) return std::move(std::move(converted).error().in_file(from.container().file().name()));
  return converted;
}

/// What the new file says of this migration and of those before it.
Result<ByteVector> make_provenance(const SnapshotReader& from, const MigrationReport& report,
                                   const MigrateOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(std::vector<Migration> migrations, read_provenance(from));
  Migration& migration = migrations.emplace_back();
  migration.tool = options.tool;
  migration.tool_version = options.tool_version;
  migration.time = options.time;
  migration.from_level = report.from_level;
  migration.to_level = report.to_level;
  migration.source_uuid = from.header().uuid;
  migration.source_root = from.root();
  for (const DeviceReport& device : report.devices) {
    for (const Outcome& outcome : device.outcomes) {
      if (outcome.kind != OutcomeKind::kLost) continue;
      const std::string sentence = fmt::format("{}: {}", outcome.value, outcome.sentence);
      migration.losses.push_back(
          {device.device, outcome.field, std::string(cut_text(sentence, kMaxReasonLength))});
    }
  }
  return encode(migrations);
}

Result<SnapshotSummary> write(const SnapshotReader& from, const std::string& to, const Migrator& migrator,
                              const LevelConversion& conversion, const MigrateOptions& options,
                              std::vector<std::string>& left_out) {
  const ConvertedMachine& machine = *conversion.converted;
  VMSNAP_ASSIGN_OR_RETURN(CopyPlan plan, plan_copy(from));
  VMSNAP_ASSIGN_OR_RETURN(plan.manifest.meta, encode(machine.manifest));
  plan.header = &from.header();
  for (const ChunkRecord& chunk : from.container().chunks()) {
    if (is_ram_chunk(chunk.header.type)) plan.memory.push_back(&chunk);
  }
  const auto is_replaced = [](const ChunkRecord& chunk, bool is_state) {
    return is_state || chunk.header.type == kChunkProvenance;
  };
  VMSNAP_RETURN_IF_ERROR(plan_chunks(from, plan, left_out, is_replaced));
  for (const DeviceEntry& device : machine.manifest.devices) {
    const ChunkType* type = migrator.find(device.type, device.version);
    plan.added.push_back({type, device.instance, kChunkCritical, machine.states[device.instance]});
  }
  const std::vector<ChunkType> annotations = annotation_chunk_types();
  VMSNAP_ASSIGN_OR_RETURN(const ByteVector provenance, make_provenance(from, conversion.report, options));
  plan.added.push_back({&annotations.front(), 0, kChunkSafeToCopy, provenance});

  SnapshotWriteOptions write_options;
  write_options.pass = options.pass;
  return publish_copy(from, to, [&](Sink& sink) { return write_copy(sink, plan, write_options); });
}

}  // namespace

Result<MigrationReport> plan_migration(const SnapshotReader& from, const Migrator& migrator,
                                       const MigrateOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(LevelConversion conversion, convert_checked(from, migrator, options));
  return std::move(conversion.report);
}

Result<MigratedSnapshot> migrate_snapshot(const SnapshotReader& from, const std::string& to,
                                          const Migrator& migrator, const MigrateOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(LevelConversion conversion, convert_checked(from, migrator, options));
  MigratedSnapshot migrated;
  if (conversion.converted) {
    VMSNAP_ASSIGN_OR_RETURN(migrated.written,
                            write(from, to, migrator, conversion, options, migrated.left_out));
  }
  migrated.report = std::move(conversion.report);
  return migrated;
}

}  // namespace vmsnap::compat
