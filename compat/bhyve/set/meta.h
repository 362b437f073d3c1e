// SPDX-License-Identifier: BSD-2-Clause
// The `.meta` file of a legacy snapshot: what chunks there are in the `.kern` file, and where. Free functions
// of this header are thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bhyve/set/kernel_chunk.h"

namespace vmsnap::compat::bhyve {

inline constexpr std::size_t kMaxMetaTextSize = std::size_t{4} << 20;  // bytes of a `.meta`
inline constexpr std::size_t kMaxMetaEntries = 4096;                   // of both arrays
inline constexpr std::size_t kMaxUnknownKeys = 64;                     // that are remembered

/// By which key an entry says what it is. Generations A, A2 and B write kSnapshotReq, C0 and C kDevice; each
/// entry is read for itself.
enum class EntryForm : std::uint8_t { kSnapshotReq, kDevice };

/// The key of the array of kernel chunks: "structs" in A, A2 and B, "kern_structs" in C0 and C.
enum class KernelKey : std::uint8_t { kStructs, kKernStructs };

/// The key of the array of devices: "devices", or "pci_devices" in old development trees.
enum class DevicesKey : std::uint8_t { kDevices, kPciDevices };

[[nodiscard]] std::string_view to_string(EntryForm form);  // "snapshot_req", "device": the key
[[nodiscard]] std::string_view to_string(KernelKey key);
[[nodiscard]] std::string_view to_string(DevicesKey key);

/// One chunk. Names are bytes as the guest's owner chose them: any but NUL, not always UTF-8.
struct MetaEntry {
  EntryForm form = EntryForm::kSnapshotReq;
  std::string name;                      // the key's text; empty when it is a number
  std::optional<std::uint64_t> request;  // the key's number, of kSnapshotReq alone
  std::optional<std::string> debug_name;
  std::uint64_t size = 0;         // bytes
  std::uint64_t file_offset = 0;  // in the `.kern` file
  std::uint64_t meta_offset = 0;  // of the entry's brace in the `.meta` file

  /// The same to bhyve: wherever in the `.meta` they stand.
  friend bool operator==(const MetaEntry& a, const MetaEntry& b) {
    return a.form == b.form && a.name == b.name && a.request == b.request && a.debug_name == b.debug_name &&
           a.size == b.size && a.file_offset == b.file_offset;
  }
};

/// A key that no release of bhyve writes. It was skipped with its value.
struct UnknownKey {
  std::string path;               // "devices[2].transport"; may be cut
  std::uint64_t meta_offset = 0;  // in the `.meta` file
};

struct Meta {
  std::uint64_t ncpus = 0;
  std::optional<std::string> vmname;  // bytes, as the names of entries
  std::uint64_t memsize = 0;          // bytes of guest memory
  std::optional<std::uint64_t> memflags;
  KernelKey kernel_key = KernelKey::kStructs;
  std::vector<MetaEntry> kernel;  // in the order of the file
  DevicesKey devices_key = DevicesKey::kDevices;
  std::vector<MetaEntry> devices;           // in the order of the file
  std::vector<UnknownKey> unknown_keys;     // the first kMaxUnknownKeys
  std::uint64_t basic_metadata_offset = 0;  // of that object's brace in the `.meta` file

  /// The same to bhyve.
  friend bool operator==(const Meta& a, const Meta& b) {
    return a.ncpus == b.ncpus && a.vmname == b.vmname && a.memsize == b.memsize && a.memflags == b.memflags &&
           a.kernel_key == b.kernel_key && a.kernel == b.kernel && a.devices_key == b.devices_key &&
           a.devices == b.devices;
  }
};

/// Reads the text of a `.meta`. What the numbers mean for the other two files is not looked at (check_set()).
/// Memory is bounded by the limits above, not by the text. Errors name the entry as chunk or device, the key
/// as field, and the offset in the text: Truncated for a text that ends in the middle; Corrupt for one that
/// is not JSON, lacks a key, has one twice, or has a value that is no text, number or 64-bit quantity where
/// one belongs; LimitExceeded.
[[nodiscard]] Result<Meta> parse_meta(std::string_view text);

/// The refusal of a text of so many bytes, which are more than kMaxMetaTextSize: for who would have to read
/// them first.
[[nodiscard]] Error too_long_for_a_meta(std::uint64_t size);

/// The text that bhyve writes, byte for byte. parse_meta() of it gives `meta` again. Errors: InvalidState for
/// what no `.meta` can say (an entry with both a name and a number, a device form with a number, a NUL, more
/// than the limits above).
[[nodiscard]] Result<std::string> write_meta(const Meta& meta);

/// What a kernel entry is: by its number where it has one (bhyve reads nothing else), else by its name.
/// nullopt when it is none that is known.
[[nodiscard]] std::optional<KernelChunk> kernel_chunk(const MetaEntry& entry);

/// What a person calls the entry: its name, or the name of its number; printable.
[[nodiscard]] std::string label_of(const MetaEntry& entry);

}  // namespace vmsnap::compat::bhyve
