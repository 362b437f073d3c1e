// SPDX-License-Identifier: BSD-2-Clause
// State for people: aligned, with units, bytes as a hex dump. The layout is not an interface; JSON is.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "reflect/limits.h"
#include "reflect/output.h"
#include "reflect/schema_model.h"
#include "reflect/walker.h"

namespace vmsnap::reflect {

struct TextOptions {
  std::string_view path;                               // what to print, see find(); empty is everything
  bool docs = false;                                   // the schema's documentation above each field
  std::uint32_t indent = 0;                            // spaces before each line
  std::uint32_t width = 100;                           // columns at which runs of numbers wrap
  std::uint64_t max_output = std::uint64_t{64} << 20;  // bytes, but for the line that says it was cut
  Limits limits;
};

struct TextReport {
  WalkReport walk;
  bool cut = false;  // max_output was reached; the last line says so
};

/// Prints lines. The data is checked whole before the first byte is written. Nothing of the data or of the
/// schema reaches the output unescaped: control characters, bytes that are not UTF-8 and characters that
/// change the direction of writing are shown as escapes.
/// Errors: those of find() and walk(), and of the sink.
[[nodiscard]] Result<TextReport> print_text(const SchemaModel& model, ByteView data, Sink& sink,
                                            const TextOptions& options = {});

}  // namespace vmsnap::reflect
