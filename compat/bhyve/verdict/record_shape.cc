// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/verdict/record_shape.h"

#include <fmt/format.h>

#include <algorithm>

#include "bhyve/verdict/generation.h"

namespace vmsnap::compat::bhyve {

bool has_fixed_records(const Layout& layout) {
  return std::any_of(layout.items().begin(), layout.items().end(), [](const Item& item) {
    return item.is_per_vcpu && item.count.source == Count::Source::kFixed;
  });
}

bool registers_are_in_vmx(const Layout& vmcx) {
  return has_fixed_records(vmcx);
}

std::string record_shape(const Layout& layout) {
  Context one;
  one.vcpus = 1;
  const std::uint64_t size = size_in(layout, one).value_or(0);
  return fmt::format("{}-{}", layout.vendor ? to_string(*layout.vendor) : "any",
                     has_fixed_records(layout) ? size / kFixedRecords : size);
}

}  // namespace vmsnap::compat::bhyve
