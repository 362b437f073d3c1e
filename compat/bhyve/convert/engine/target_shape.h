// SPDX-License-Identifier: BSD-2-Clause
// The frame in which a release of bhyve stores its chunks: which there are, in which order and layout.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bhyve/convert/engine/private_state.h"
#include "bhyve/convert/engine/report.h"
#include "bhyve/convert/machine.h"
#include "bhyve/layout/layout.h"

namespace vmsnap::compat::bhyve {

/// "A", "B", "C0", "C"
[[nodiscard]] std::string_view to_string(KernelShape shape);
/// All of them with the releases: "A (13.0, 13.1), B (13.2)".
[[nodiscard]] std::string shapes_text();
/// Also of "13.0", "13.1", "13.2", "14.0", "main" and "A2". Errors: Usage.
[[nodiscard]] Result<KernelShape> parse_shape(std::string_view text);

/// The shape in which `state` was stored; nothing when it is a mixture.
[[nodiscard]] std::optional<KernelShape> shape_of(const PrivateState& state);

/// A chunk that is to be written.
struct TargetEntry {
  MetaEntry entry;  // size and file_offset as they were, or 0
  bool is_kernel = false;
  const PrivateChunk* source = nullptr;  // the chunk that was read; nullptr when there was none
  /// Another chunk that was read, for items that other shapes have there: vmx for vmcx, and the other way
  /// round. nullptr when there is none, or when the frame is the one that was read.
  const PrivateChunk* beside = nullptr;
  std::string_view chunk;          // name of the layout; empty of what nobody knows
  const Layout* layout = nullptr;  // nullptr: no bytes, or those of the item `chunk`
  std::string device_path;
};

struct TargetFrame {
  Context context;
  KernelKey kernel_key = KernelKey::kStructs;
  DevicesKey devices_key = DevicesKey::kDevices;
  std::vector<TargetEntry> entries;  // the kernel's, then the devices'
  std::vector<Remark> remarks;
};

/// The frame that was read. `state` must outlive it. Errors: Unsupported (a layout that this build does not
/// know).
[[nodiscard]] Result<TargetFrame> frame_of(const PrivateState& state);

/// The frame of another shape; what has no place in it is in the remarks. `state` must outlive it. Errors:
/// Unsupported (more CPUs than that shape has room for).
[[nodiscard]] Result<TargetFrame> frame_for(KernelShape shape, const PrivateState& state,
                                            const Machine& machine);

}  // namespace vmsnap::compat::bhyve
