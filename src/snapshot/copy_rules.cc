// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/copy_rules.h"

#include <fmt/format.h>

#include "snapshot/encoding_rules.h"

namespace vmsnap {

Result<FileHeader> header_of_copy(std::uint32_t arch, const MemoryMap& map, bool recovered,
                                  const SnapshotWriteOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(FileHeader header, make_file_header(map, options));
  header.arch = arch;
  if (recovered) header.features.push_back({FeatureKind::kIncompatible, kFeatureRecovered, "recovered"});
  return header;
}

bool is_made_anew(FourCc type) {
  return is_ram_chunk(type) || type == kChunkLost || type == kChunkEnd || type == kChunkIndex;
}

Result<bool> is_copied(const ChunkRecord& chunk, const EmbeddedSchema& schema, bool unknown,
                       std::vector<std::string>& left_out) {
  if (!unknown || (chunk.header.flags & kChunkSafeToCopy) != 0) return true;
  if (!chunk.header.critical()) {
    left_out.push_back(
        fmt::format("the optional chunk {} (\"{}\"), whose meaning is not known", chunk.name(), schema.name));
    return false;
  }
  return Error(ErrorKind::kUnsupported,
               fmt::format("this build does not know what the critical chunk (\"{}\") means, so it cannot "
                           "tell what would become of it in another file; use a newer version",
                           schema.name))
      .at_offset(chunk.offset)
      .in_chunk(chunk.name());
}

void leave_out_features(const FileHeader& original, std::vector<std::string>& left_out) {
  for (const Feature& feature : original.features) {
    if (feature.kind != FeatureKind::kCompatible) continue;
    left_out.push_back(
        fmt::format("the compatible feature \"{}\", whose meaning is not known", feature.name));
  }
}

}  // namespace vmsnap
