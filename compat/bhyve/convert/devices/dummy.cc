// SPDX-License-Identifier: BSD-2-Clause
// A PCI function for testing bhyve itself, which is no hardware: its configuration space, too, stays in
// bhyve_private.
#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

Result<void> up(const SourceChunk& /*chunk*/, Machine& /*machine*/) {
  return {};
}

Result<void> down(const Machine& /*machine*/, TargetChunk& /*chunk*/) {
  return {};
}

}  // namespace

namespace mappings {
constinit const Mapping kDummy = {"dummy", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
