// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/layouts.h"

#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr const std::span<const Layout>* kTables[] = {
    &tables::kVhpet,        &tables::kVm,      &tables::kVmx,       &tables::kVioapic,   &tables::kVlapic,
    &tables::kVmcxIntel,    &tables::kVmcxAmd, &tables::kVatpit,    &tables::kVatpic,    &tables::kVpmtmr,
    &tables::kVrtc,         &tables::kAtkbdc,  &tables::kVirtioNet, &tables::kVirtioBlk, &tables::kVirtioRnd,
    &tables::kLpc,          &tables::kFbuf,    &tables::kXhci,      &tables::kE1000,     &tables::kAhci,
    &tables::kPciFunctions,
};

struct OtherName {
  std::string_view other;
  std::string_view name;
};

constexpr OtherName kOtherNames[] = {
    {"ahci-hd", "ahci"},
    {"ahci-cd", "ahci"},
    {"amd_hostbridge", "hostbridge"},
};

}  // namespace

std::vector<const Layout*> all_layouts() {
  std::vector<const Layout*> all;
  for (const std::span<const Layout>* table : kTables) {
    for (const Layout& layout : *table) all.push_back(&layout);
  }
  return all;
}

std::vector<const Layout*> layouts_of(std::string_view chunk) {
  for (const OtherName& name : kOtherNames) {
    if (chunk == name.other) chunk = name.name;
  }
  std::vector<const Layout*> found;
  for (const Layout* layout : all_layouts()) {
    if (layout->chunk == chunk) found.push_back(layout);
  }
  return found;
}

const Layout* find_layout(std::string_view chunk, std::string_view shape) {
  for (const Layout* layout : layouts_of(chunk)) {
    if (layout->shape == shape) return layout;
  }
  return nullptr;
}

const Layout* layout_in(std::string_view chunk, std::string_view generation, Vendor vendor) {
  for (const Layout* layout : layouts_of(chunk)) {
    if (layout->vendor.value_or(vendor) == vendor && is_written_by(*layout, generation)) return layout;
  }
  return nullptr;
}

}  // namespace vmsnap::compat::bhyve
