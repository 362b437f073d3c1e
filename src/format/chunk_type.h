// SPDX-License-Identifier: BSD-2-Clause
// What this build knows about a type of chunk: its four letters, name, version and schema.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/fourcc.h"

namespace vmsnap {

/// Version of a chunk's state: a major is a meaning, a minor appends fields (docs/versioning.md).
struct ChunkVersion {
  std::uint16_t major = 0;
  std::uint16_t minor = 0;
  auto operator<=>(const ChunkVersion&) const = default;
};

/// "major.minor"
[[nodiscard]] std::string to_string(ChunkVersion version);

/// A type of chunk. The views refer to constants of the program and are valid for its whole run.
struct ChunkType {
  FourCc type;                  // chunk type, equal to the FlatBuffers file identifier
  std::string_view name;        // type name, "uart16550"
  ChunkVersion version;         // the version this build writes
  std::string_view root_table;  // fully qualified, "vmsnap.schema.Uart16550"
  ByteView schema;              // binary FlatBuffers schema (.bfbs)
};

/// The chunk types of the container itself (schm, conf, memm, ramf, rame, lost, end, indx); generated from
/// schema/.
[[nodiscard]] std::vector<ChunkType> container_chunk_types();

/// The types of chunks that say something about the file and that no reader needs (prov); generated from
/// schema/.
[[nodiscard]] std::vector<ChunkType> annotation_chunk_types();

/// The device chunk types; generated from schema/. Linked only into programs that write device chunks.
[[nodiscard]] std::vector<ChunkType> device_chunk_types();

}  // namespace vmsnap
