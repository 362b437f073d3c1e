// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "base/uuid.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap {

/// Something odd about a file that is no reason to refuse it.
struct Finding {
  enum class Code : std::uint8_t {
    kUnknownOptionalChunk,
    kUnknownCompatibleFeature,
    kNewerMinorVersion,
    kFileMode,
    kUnusedSchema,
    kBodyNotChecked,
    kLost,
    kBadProvenance,
  };
  Code code = Code::kFileMode;
  std::string message;  // one sentence
};

/// Stable lower-case name ("unknown-optional-chunk"), for JSON output.
[[nodiscard]] std::string_view to_string(Finding::Code code);

struct CheckReport {
  std::optional<Error> error;  // set when the file must be refused
  std::vector<Finding> findings;
  std::optional<Uuid> uuid;  // as far as the file could be read
  std::optional<Digest128> root;
  std::optional<Digest128> memory_digest;  // not at header level
  std::uint64_t file_size = 0;             // bytes
  std::uint32_t chunk_count = 0;
};

/// Checks a file as a restore would, to the given level; a report for every outcome. `pass` is how level full
/// passes over guest memory.
[[nodiscard]] CheckReport check_snapshot(const std::string& path, ReadLevel level,
                                         const PassOptions& pass = {});

}  // namespace vmsnap
