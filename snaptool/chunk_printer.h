// SPDX-License-Identifier: BSD-2-Clause
// Shows the meta of any chunk through the schema that the file itself carries.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>

#include "base/result.h"
#include "reflect/output.h"
#include "reflect/schema_model.h"
#include "reflect/walker.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap::snaptool {

/// The schemas of one file, each loaded when it is first needed. Not thread-safe.
class SchemaCache {
 public:
  /// `reader` must outlive the cache.
  explicit SchemaCache(const SnapshotReader& reader) : reader_(reader) {}

  /// The schema of a chunk's meta; lives as long as the cache. Errors: Io; Corrupt, LimitExceeded,
  /// Unsupported (the schema); Unsupported (the file carries none for the chunk).
  [[nodiscard]] Result<const reflect::SchemaModel*> schema_for(const ChunkRecord& chunk);

 private:
  const SnapshotReader& reader_;
  std::map<std::uint32_t, reflect::SchemaModel> models_;  // by schema id
};

enum class PrintForm : std::uint8_t { kText, kTextWithDocs, kJson };

struct ChunkPrint {
  PrintForm form = PrintForm::kText;
  std::string_view field;        // path inside the meta; empty is everything
  std::uint32_t indent = 0;      // spaces (text) or levels (JSON) that the output is inside of
  std::uint64_t max_output = 0;  // bytes
};

struct ChunkPrintReport {
  reflect::WalkReport walk;
  bool cut = false;  // max_output did not suffice for all of the text
};

/// Prints the meta of a chunk. Errors: those of schema_for(), ChunkReader::meta() and the printers.
[[nodiscard]] Result<ChunkPrintReport> print_chunk(const SnapshotReader& reader, SchemaCache& schemas,
                                                   const ChunkRecord& chunk, const ChunkPrint& print,
                                                   reflect::Sink& sink);

}  // namespace vmsnap::snaptool
