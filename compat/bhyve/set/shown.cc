// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/set/shown.h"

#include "reflect/text_escape.h"

namespace vmsnap::compat::bhyve {

std::string printable(std::string_view bytes) {
  constexpr std::size_t kLimit = 64;
  std::size_t length = bytes.size();
  if (length > kLimit) {
    length = kLimit;
    // Not in the middle of a character, if it is one: none has more than three bytes after its first.
    while (length > kLimit - 3 && (static_cast<unsigned char>(bytes[length]) & 0xc0) == 0x80) --length;
  }
  std::string out;
  reflect::append_escaped(out, bytes.substr(0, length));
  if (length < bytes.size()) out += "...";
  return out;
}

std::string shown(std::string_view bytes) {
  return "\"" + printable(bytes) + "\"";
}

}  // namespace vmsnap::compat::bhyve
