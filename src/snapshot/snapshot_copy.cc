// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/snapshot_copy.h"

#include <algorithm>
#include <set>

#include "base/atomic_file.h"
#include "ram/stored_source.h"
#include "snapshot/copy_rules.h"
#include "snapshot/copy_writer.h"

namespace vmsnap {
namespace {

/// Finds out what becomes of each chunk.
Result<void> plan_chunks(const SnapshotReader& from, CopyPlan& plan, std::vector<std::string>& left_out) {
  std::set<std::uint32_t> unknown;
  for (const ChunkRecord* chunk : from.unknown_chunks()) unknown.insert(chunk->header.sequence);
  for (const ChunkRecord& chunk : from.container().chunks()) {
    if (is_container_chunk(chunk.header.type)) continue;
    auto copied =
        is_copied(chunk, *from.schema_of(chunk), unknown.count(chunk.header.sequence) != 0, left_out);
    if (!copied) return std::move(std::move(copied).error().in_file(from.container().file().name()));
    if (*copied) plan.chunks.push_back({&chunk, chunk.header.instance});
  }
  leave_out_features(from.header(), left_out);
  return {};
}

}  // namespace

Result<CopyReport> copy_snapshot(const SnapshotReader& from, Sink& to, const SnapshotWriteOptions& options) {
  CopyReport report;
  std::vector<CopiedSchema> schemas;
  for (const EmbeddedSchema& schema : from.schemas()) {
    schemas.push_back({schema, &from.container().chunks()[schema.chunk]});
  }
  CopyPlan plan;
  plan.file = &from.container().file();
  plan.arch = from.header().arch;
  plan.schemas = schemas;
  VMSNAP_ASSIGN_OR_RETURN(plan.manifest, copy_table(from, kChunkManifest));
  VMSNAP_ASSIGN_OR_RETURN(plan.memory_map, copy_table(from, kChunkMemoryMap));
  plan.segments = from.memory_map();
  plan.losses.assign(from.losses().begin(), from.losses().end());
  plan.source = [&from](std::uint32_t id) -> Result<std::unique_ptr<ExtentSource>> {
    VMSNAP_ASSIGN_OR_RETURN(SegmentReader segment, from.segment(id));
    return std::unique_ptr<ExtentSource>(std::make_unique<StoredSource>(std::move(segment)));
  };
  VMSNAP_RETURN_IF_ERROR(plan_chunks(from, plan, report.left_out));
  VMSNAP_ASSIGN_OR_RETURN(report.written, write_copy(to, plan, options));
  return report;
}

Result<CopyReport> copy_snapshot(const SnapshotReader& from, const std::string& to,
                                 const SnapshotWriteOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(AtomicFile target, AtomicFile::create(to));
  FileSink sink(target.file());
  auto report = copy_snapshot(from, sink, options);
  if (!report) return report;
  if (auto checked = check_copy(from, target.file(), report->written); !checked) {
    return std::move(std::move(checked).error().in_file(to));
  }
  VMSNAP_RETURN_IF_ERROR(target.publish());
  return report;
}

}  // namespace vmsnap
