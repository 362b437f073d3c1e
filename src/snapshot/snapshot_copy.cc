// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/snapshot_copy.h"

#include "ram/stored_source.h"
#include "snapshot/copy_writer.h"

namespace vmsnap {

Result<CopyReport> copy_snapshot(const SnapshotReader& from, Sink& to, const SnapshotWriteOptions& options) {
  CopyReport report;
  VMSNAP_ASSIGN_OR_RETURN(CopyPlan plan, plan_copy(from));
  VMSNAP_ASSIGN_OR_RETURN(plan.manifest, copy_table(from, kChunkManifest));
  plan.source = [&from](std::uint32_t id) -> Result<std::unique_ptr<ExtentSource>> {
    VMSNAP_ASSIGN_OR_RETURN(SegmentReader segment, from.segment(id));
    return std::unique_ptr<ExtentSource>(std::make_unique<StoredSource>(std::move(segment)));
  };
  const auto nothing = [](const ChunkRecord&, bool) { return false; };
  VMSNAP_RETURN_IF_ERROR(plan_chunks(from, plan, report.left_out, nothing));
  VMSNAP_ASSIGN_OR_RETURN(report.written, write_copy(to, plan, options));
  return report;
}

Result<CopyReport> copy_snapshot(const SnapshotReader& from, const std::string& to,
                                 const SnapshotWriteOptions& options) {
  CopyReport report;
  VMSNAP_RETURN_IF_ERROR(publish_copy(from, to, [&](Sink& sink) -> Result<SnapshotSummary> {
    VMSNAP_ASSIGN_OR_RETURN(report, copy_snapshot(from, sink, options));
    return report.written;
  }));
  return report;
}

}  // namespace vmsnap
