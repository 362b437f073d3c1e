// SPDX-License-Identifier: BSD-2-Clause
// State as strict JSON, for programs. The mapping is an interface (docs/format.md): integers of 64 bits are
// decimal strings; (hex) and (gpa) integers are "0x..." strings; bytes with (image) or (hex) are one string
// of hex digits; enums are names, or numbers where the schema has no name; absent optional values are null;
// a union is its member, with the name of the member in "<field>_type". Keys stand in order of field id. An
// object that holds fields of a newer minor version has the key "$unknown_fields" with their number.
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

struct JsonOptions {
  std::string_view path;                               // what to print, see find(); empty is everything
  std::uint32_t indent = 2;                            // spaces per level; 0 prints one line
  std::uint32_t level = 0;                             // levels the text is already inside of
  std::uint64_t max_output = std::uint64_t{64} << 20;  // bytes
  Limits limits;
};

/// Prints one JSON value without a trailing newline. The data is checked whole before the first byte is
/// written. Text that is not UTF-8 has U+FFFD in place of each wrong byte (the report remarks on it); control
/// characters and others that act on a terminal are escaped.
/// Errors: those of find() and walk(); LimitExceeded when max_output does not suffice, the sink then holds an
/// incomplete text; those of the sink.
[[nodiscard]] Result<WalkReport> print_json(const SchemaModel& model, ByteView data, Sink& sink,
                                            const JsonOptions& options = {});

/// Appends `text` as a JSON string with quotes, escaped as above.
void append_json_string(std::string& out, std::string_view text);

}  // namespace vmsnap::reflect
