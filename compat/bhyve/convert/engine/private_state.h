// SPDX-License-Identifier: BSD-2-Clause
// The chunk bhyve_private as plain values: what a legacy snapshot holds besides hardware
// (schema/bhyve_private/bhyve_private.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "bhyve/layout/layout.h"
#include "bhyve/set/meta.h"
#include "migrate/state_tree.h"

namespace vmsnap::compat::bhyve {

inline constexpr std::string_view kPrivateType = "bhyve_private";
inline constexpr std::string_view kPrivatePath = "bhyve0";

/// Names of items that no layout has.
inline constexpr std::string_view kTailItem = "tail";    // bytes behind the last field
inline constexpr std::string_view kWholeItem = "chunk";  // all bytes of a chunk that nobody knows

/// An item of a legacy chunk that no hardware holds.
struct PrivateItem {
  std::string path;
  std::optional<std::uint64_t> value;  // absent: the item is `bytes`
  ByteVector bytes;
};

/// An entry of the .meta file.
struct PrivateChunk {
  std::string chunk;   // name of the layout; empty when nobody knows it
  std::string layout;  // shape of it; empty for a chunk without bytes, or that nobody knows
  bool is_kernel = false;
  MetaEntry entry;                   // meta_offset is not kept
  std::vector<std::string> devices;  // paths
  std::vector<PrivateItem> items;
};

struct PrivateGap {
  std::uint64_t file_offset = 0;
  ByteVector bytes;
};

struct PrivateState {
  Vendor vendor = Vendor::kIntel;
  /// `vcpus` and `file_offset` are not kept. Counts are those of the only chunk that has them.
  Context context;
  std::optional<std::string> vm_name;
  std::optional<std::uint64_t> memflags;
  KernelKey kernel_key = KernelKey::kStructs;
  DevicesKey devices_key = DevicesKey::kDevices;
  std::optional<std::string> meta_text;  // the .meta file where it is not what bhyve would write
  std::vector<PrivateChunk> chunks;      // the kernel's, then the devices', in the order of the file
  std::vector<PrivateGap> gaps;
};

/// Fills `tree`, a bhyve_private with all defaults. Errors: Internal.
[[nodiscard]] Result<void> to_tree(const PrivateState& state, StateTree& tree);

/// Errors: Corrupt (a value that the chunk's page does not allow), naming the field.
[[nodiscard]] Result<PrivateState> from_tree(const StateTree& tree);

}  // namespace vmsnap::compat::bhyve
