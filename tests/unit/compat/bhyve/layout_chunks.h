// SPDX-License-Identifier: BSD-2-Clause
// Every layout in every context that makes a difference to it.
#pragma once

#include <string>
#include <vector>

#include "bhyve/layout/layouts.h"

namespace vmsnap::compat::bhyve {

struct LayoutCase {
  const Layout* layout = nullptr;
  Context context;
  std::string name;  // for messages
};

/// Each layout with all axes in shape A, all in shape B, and one of the mixed forms; with few and many of
/// what the context counts. Without fbuf unless asked for: its chunks are 16 MiB.
[[nodiscard]] inline std::vector<LayoutCase> layout_cases(bool with_fbuf = false) {
  std::vector<LayoutCase> cases;
  for (const Layout* layout : all_layouts()) {
    if (layout->chunk == "fbuf" && !with_fbuf) continue;
    for (const std::string_view form : {"A", "B", "mixed"}) {
      LayoutCase one{layout, {}, std::string(layout->chunk) + " " + std::string(layout->shape) + " "};
      one.name += form;
      one.context.set_shapes(form == "A" ? Shape::kA : Shape::kB);
      if (form == "mixed") one.context.pci_prefix = one.context.xhci = Shape::kA;
      one.context.vcpus = form == "A" ? 16 : form == "B" ? 4 : 1;
      one.context.uarts = form == "A" ? 2 : 4;
      one.context.cpuset_longs = form == "A" ? 4 : 16;
      one.context.usb_devices = form == "A" ? 1 : form == "B" ? 0 : 3;
      cases.push_back(one);
    }
  }
  return cases;
}

}  // namespace vmsnap::compat::bhyve
