// SPDX-License-Identifier: BSD-2-Clause
// bhyve_layout_doc: prints docs/bhyve-layouts.md.
#include <cstdio>

#include "bhyve/layout/layout_doc.h"

int main() {
  const std::string text = vmsnap::compat::bhyve::layouts_as_markdown();
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return written && std::fflush(stdout) == 0 ? 0 : 1;
}
