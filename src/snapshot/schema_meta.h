// SPDX-License-Identifier: BSD-2-Clause
// The meta of a SCHM chunk.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "format/chunk_type.h"

namespace vmsnap {

/// A schema that the file carries.
struct EmbeddedSchema {
  std::uint32_t id = 0;  // as chunk headers refer to it
  FourCc chunk_type;     // of the chunks it describes
  std::string name;      // type name, "uart16550"
  ChunkVersion version;
  std::string root_table;   // fully qualified
  Digest128 content_hash;   // XXH3-128 of the binary schema
  std::uint32_t chunk = 0;  // sequence number of the SCHM chunk; not part of the meta
  bool operator==(const EmbeddedSchema&) const = default;
};

/// What the SCHM chunk with that id says of a chunk type of this build.
[[nodiscard]] EmbeddedSchema describe(const ChunkType& type, std::uint32_t id);

[[nodiscard]] ByteVector encode(const EmbeddedSchema& schema);

/// Verifies bytes from a file; `chunk` stays 0. Errors: Corrupt, LimitExceeded.
[[nodiscard]] Result<EmbeddedSchema> decode_schema_meta(ByteView meta);

/// True for a type name: [a-z0-9_]+, 1..63 characters.
[[nodiscard]] bool is_type_name(std::string_view name);

}  // namespace vmsnap
