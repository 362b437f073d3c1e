// SPDX-License-Identifier: BSD-2-Clause
// The layouts of each chunk, one per shape. All are constant data.
#pragma once

#include <span>

#include "bhyve/layout/layout.h"

namespace vmsnap::compat::bhyve::tables {

// Structures of the kernel.
extern const std::span<const Layout> kVhpet;
extern const std::span<const Layout> kVm;
extern const std::span<const Layout> kVmx;
extern const std::span<const Layout> kVioapic;
extern const std::span<const Layout> kVlapic;
extern const std::span<const Layout> kVmcxIntel;
extern const std::span<const Layout> kVmcxAmd;
extern const std::span<const Layout> kVatpit;
extern const std::span<const Layout> kVatpic;
extern const std::span<const Layout> kVpmtmr;
extern const std::span<const Layout> kVrtc;

// Devices of the bhyve process. Each has one layout; its shapes are those of the axes in the context.
extern const std::span<const Layout> kPciFunctions;  // hostbridge, dummy
extern const std::span<const Layout> kLpc;
extern const std::span<const Layout> kVirtioBlk;
extern const std::span<const Layout> kVirtioNet;
extern const std::span<const Layout> kVirtioRnd;
extern const std::span<const Layout> kE1000;
extern const std::span<const Layout> kAhci;
extern const std::span<const Layout> kXhci;
extern const std::span<const Layout> kFbuf;
extern const std::span<const Layout> kAtkbdc;

}  // namespace vmsnap::compat::bhyve::tables
