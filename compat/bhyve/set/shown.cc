// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/set/shown.h"

#include "reflect/text_escape.h"
#include "snapshot/text.h"

namespace vmsnap::compat::bhyve {

std::string printable(std::string_view bytes) {
  constexpr std::size_t kLimit = 64;
  const std::string_view first = cut_text(bytes, kLimit);
  std::string out;
  reflect::append_escaped(out, first);
  if (first.size() < bytes.size()) out += "...";
  return out;
}

std::string shown(std::string_view bytes) {
  return "\"" + printable(bytes) + "\"";
}

}  // namespace vmsnap::compat::bhyve
