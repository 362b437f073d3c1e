// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/text.h"

#include <algorithm>

#include "reflect/text_escape.h"
#include "snapshot/manifest_limits.h"

namespace vmsnap {

bool is_path(std::string_view text) {
  return !text.empty() && text.size() <= kMaxPathLength &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNameLength && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

bool is_text(std::string_view text, std::size_t limit) {
  return text.size() <= limit && text.find('\0') == std::string_view::npos && reflect::is_utf8(text);
}

std::string_view cut_text(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text;
  constexpr std::size_t kLongestCharacter = 4;  // bytes
  const auto is_continuation = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
  std::size_t end = limit;
  while (end > 0 && limit - end < kLongestCharacter - 1 && is_continuation(text[end])) --end;
  return text.substr(0, end);
}

}  // namespace vmsnap
