// SPDX-License-Identifier: BSD-2-Clause
// Text of unknown origin on its way to a person: it must not act on the terminal it is shown on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vmsnap::reflect {

/// One step through text that claims to be UTF-8.
struct CodePoint {
  std::uint32_t value = 0;
  std::uint32_t length = 1;  // bytes; 1 when not valid
  bool valid = false;        // shortest form, no surrogate, at most U+10FFFF
};

/// Decodes at the front of `text`, which is not empty.
[[nodiscard]] CodePoint decode_utf8(std::string_view text);

[[nodiscard]] bool is_utf8(std::string_view text);

/// False for control characters (C0, DEL, C1), line and paragraph separators, and invisible characters that
/// change the direction or the joining of text.
[[nodiscard]] bool is_safe_to_print(std::uint32_t code_point);

/// Appends `text`, for use between double quotes: what is not safe, a backslash, a double quote and bytes
/// that are not UTF-8 become escapes (\n, \x1b, \u{202e}).
void append_escaped(std::string& out, std::string_view text);

/// The same, but backslashes and double quotes stay as they are: for prose, which nobody reads back.
void append_prose(std::string& out, std::string_view text);

}  // namespace vmsnap::reflect
