// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/text_escape.h"

#include <fmt/format.h>

#include <cstring>
#include <iterator>

namespace vmsnap::reflect {

CodePoint decode_utf8(std::string_view text) {
  const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {first, 1, true};
  std::uint32_t length = 0;
  std::uint32_t smallest = 0;
  std::uint32_t value = 0;
  if (first >= 0xc0 && first < 0xe0) {
    length = 2, smallest = 0x80, value = first & 0x1f;
  } else if (first >= 0xe0 && first < 0xf0) {
    length = 3, smallest = 0x800, value = first & 0x0f;
  } else if (first >= 0xf0 && first < 0xf8) {
    length = 4, smallest = 0x10000, value = first & 0x07;
  } else {
    return {};
  }
  if (text.size() < length) return {};
  for (std::uint32_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3f);
  }
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < smallest || value > 0x10ffff || surrogate) return {};
  return {value, length, true};
}

bool is_utf8(std::string_view text) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080;
  while (!text.empty()) {
    // Nearly all text is ASCII.
    std::uint64_t word = 0;
    if (text.size() >= sizeof word) {
      std::memcpy(&word, text.data(), sizeof word);
      if ((word & kHighBits) == 0) {
        text.remove_prefix(sizeof word);
        continue;
      }
    }
    const CodePoint point = decode_utf8(text);
    if (!point.valid) return false;
    text.remove_prefix(point.length);
  }
  return true;
}

bool is_safe_to_print(std::uint32_t c) {
  if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return false;
  if (c == 0x061c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e)) return false;
  return !((c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
           (c >= 0xe0000 && c <= 0xe007f));
}

namespace {

void append(std::string& out, std::string_view text, bool between_quotes) {
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    if (!point.valid) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(text[0]));
    } else if (between_quotes && (point.value == '\\' || point.value == '"')) {
      out += '\\';
      out += text[0];
    } else if (point.value == '\n') {
      out += "\\n";
    } else if (point.value == '\t') {
      out += "\\t";
    } else if (point.value == '\r') {
      out += "\\r";
    } else if (is_safe_to_print(point.value)) {
      out += text.substr(0, point.length);
    } else if (point.value < 0x80) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", point.value);
    } else {
      fmt::format_to(std::back_inserter(out), "\\u{{{:x}}}", point.value);
    }
    text.remove_prefix(point.length);
  }
}

}  // namespace

void append_escaped(std::string& out, std::string_view text) {
  append(out, text, true);
}

void append_prose(std::string& out, std::string_view text) {
  append(out, text, false);
}

}  // namespace vmsnap::reflect
