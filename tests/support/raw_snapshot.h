// SPDX-License-Identifier: BSD-2-Clause
// Snapshots taken apart and put together again, to make files that no honest writer makes: every hash right,
// and one thing wrong.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "container/chunk_writer.h"
#include "format/file_header.h"

namespace vmsnap::test {

struct RawChunk {
  ChunkSpec spec;
  ByteVector meta;
  ByteVector body;
  std::uint64_t body_hash = 0;  // used when spec.flags has kChunkLeaves, else computed
};

/// A file as the chunks before END; END, INDX and footer follow from them.
struct RawSnapshot {
  FileHeader header;
  std::vector<RawChunk> chunks;
  std::uint32_t end_schema_id = 0;
  std::uint32_t index_schema_id = 0;

  /// `file` is a sound snapshot.
  [[nodiscard]] static RawSnapshot parse(ByteView file);
  [[nodiscard]] ByteVector bytes() const;

  /// The first chunk of that type; there must be one.
  [[nodiscard]] RawChunk& find(FourCc type);
  /// Adds a SCHM chunk (with a schema that describes nothing) before CONF; returns its id.
  std::uint32_t add_schema(FourCc type, const std::string& name, std::uint16_t major = 1,
                           std::uint16_t minor = 0);
};

/// Computes anew every hash of a file whose framing can still be followed, as far as it can be: what a fuzzer
/// needs to get past the hashes, and what tests need to change a single field.
void reseal(ByteVector& file);

}  // namespace vmsnap::test
