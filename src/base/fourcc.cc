// SPDX-License-Identifier: BSD-2-Clause
#include "base/fourcc.h"

#include <fmt/format.h>

namespace vmsnap {
namespace {

bool is_plain(unsigned char c) {
  return c >= 0x20 && c <= 0x7e && c != '"' && c != '\'' && c != '\\';
}

}  // namespace

bool FourCc::is_printable() const {
  for (int i = 0; i < 4; ++i) {
    if (!is_plain(static_cast<unsigned char>(value_ >> (8 * i)))) return false;
  }
  return true;
}

std::string FourCc::to_string() const {
  std::string out;
  for (int i = 0; i < 4; ++i) {
    const auto c = static_cast<unsigned char>(value_ >> (8 * i));
    if (is_plain(c)) {
      out += static_cast<char>(c);
    } else {
      out += fmt::format("\\x{:02x}", c);
    }
  }
  return out;
}

}  // namespace vmsnap
