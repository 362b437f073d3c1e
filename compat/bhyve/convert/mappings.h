// SPDX-License-Identifier: BSD-2-Clause
// The mappings, by chunk; one file each.
#pragma once

#include "bhyve/convert/mapping.h"

namespace vmsnap::compat::bhyve::mappings {

extern const Mapping kAhci;
extern const Mapping kAtkbdc;
extern const Mapping kDummy;
extern const Mapping kE1000;
extern const Mapping kFbuf;
extern const Mapping kHostbridge;
extern const Mapping kLpc;
extern const Mapping kVatpic;
extern const Mapping kVatpit;
extern const Mapping kVhpet;
extern const Mapping kVioapic;
extern const Mapping kVirtioBlk;
extern const Mapping kVirtioNet;
extern const Mapping kVirtioRnd;
extern const Mapping kVlapic;
extern const Mapping kVm;
extern const Mapping kVmcx;
extern const Mapping kVmx;
extern const Mapping kVpmtmr;
extern const Mapping kVrtc;
extern const Mapping kXhci;

}  // namespace vmsnap::compat::bhyve::mappings
