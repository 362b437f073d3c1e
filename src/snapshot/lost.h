// SPDX-License-Identifier: BSD-2-Clause
// What a file that was made from the remains of a damaged one lacks (LOST).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "snapshot/manifest.h"

namespace vmsnap {

/// One thing that is missing.
struct Loss {
  enum class Kind : std::uint8_t { kDevice, kMemory, kChunk };
  Kind kind = Kind::kChunk;
  std::string reason;          // why it is missing
  std::string path;            // of a device
  std::string type;            // of a device, its type name; of a chunk, its four letters, if known
  std::uint32_t instance = 0;  // of a device in the damaged file; of a chunk, if its type is known
  std::uint32_t segment = 0;   // of memory
  std::uint64_t offset = 0;    // of memory: first byte in the segment
  std::uint64_t size = 0;      // of memory: bytes
  bool operator==(const Loss&) const = default;
};

/// What is missing and why, for a person. `map` is the memory map of the file.
[[nodiscard]] std::string to_string(const Loss& loss, const MemoryMap& map);

/// The FlatBuffer of a LOST meta. Errors: those of decode_lost().
[[nodiscard]] Result<ByteVector> encode(std::span<const Loss> losses, const MemoryMap& map);

/// Verifies bytes that come from a file against its memory map. Errors: Corrupt, LimitExceeded.
[[nodiscard]] Result<std::vector<Loss>> decode_lost(ByteView meta, const MemoryMap& map);

}  // namespace vmsnap
