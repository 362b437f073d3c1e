// SPDX-License-Identifier: BSD-2-Clause
// Finds what is left of the framing of a damaged file. Every byte of the file is hostile.
#pragma once

#include <cstdint>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "container/chunk_rules.h"
#include "format/file_header.h"

namespace vmsnap {

/// The chunks whose headers verify, with rising offsets and rising sequence numbers. Where no header follows
/// a chunk, it is searched for: its hash covers the UUID of the file and its own offset, so nothing that lies
/// in guest memory passes for one. `end` of the last chunk may be beyond the end of the file; whether metas
/// and bodies are whole is not known. Holes of the file are not read. Errors: Io.
[[nodiscard]] Result<std::vector<ChunkRecord>> find_chunks(const File& file, std::uint64_t file_size,
                                                           const FileHeader& header);

}  // namespace vmsnap
