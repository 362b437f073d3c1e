// SPDX-License-Identifier: BSD-2-Clause
// What is odd about the three files of a legacy snapshot, before any chunk is decoded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bhyve/set/legacy_set.h"

namespace vmsnap::compat::bhyve {

enum class Severity : std::uint8_t {
  kNote,     // bhyve writes such files, or it does no harm
  kWarning,  // bhyve would not resume it, or something may be lost
  kError,    // bytes are missing, or it is not certain which belong to what
};

/// "note", "warning", "error"
[[nodiscard]] std::string_view to_string(Severity severity);

/// What bhyve would make of what is odd.
enum class Consequence : std::uint8_t {
  kNone,        // nothing that is known of
  kSuspicious,  // no bhyve and no guest that is known leaves such a thing behind; what follows is not known
  kRefused,     // it refuses to resume
  kCrash,       // it, the kernel of its host, or a CPU of the guest stops, at once or when the guest goes on
};

/// "none", "suspicious", "refused", "crash"
[[nodiscard]] std::string_view to_string(Consequence consequence);

/// One thing that is odd.
struct SetFinding {
  enum class Code : std::uint8_t {
    kMemorySize,         // BASE has other than memsize bytes
    kBadMemsize,         // 0, or no whole pages
    kBadNcpus,           // 0, or more than bhyve can have
    kBeyondEnd,          // a chunk ends after the .kern file does
    kChunkTooLarge,      // more than kMaxLegacyChunkSize
    kOverlap,            // two chunks share bytes
    kGap,                // bytes of .kern that belong to no chunk
    kNotCumulative,      // chunks do not begin where the ones before them end; told once
    kDuplicate,          // two entries for the same thing; bhyve reads the first
    kMissingChunk,       // of the kernel's
    kUnknownChunk,       // not of the kernel's
    kNameContradicts,    // debug_name is another's than the number
    kEmptyVmx,           // as FreeBSD 13.2 writes it, and does not resume
    kEmptyChunk,         // of the kernel's
    kEmptyDevice,        // size 0 in the form where that makes bhyve refuse
    kNamelessDevice,     // a number, or no text
    kUnsafeName,         // control characters, no UTF-8, path separators
    kLongName,           // more than 255 bytes
    kUnreadableAddress,  // "@" in a device's name, but no PCI address after it
    kUnknownKey,         // in the .meta
  };
  Code code = Code::kUnknownKey;
  Severity severity = Severity::kNote;
  std::string
      entry;  // "structs[2] vmx", "devices[0] lpc"; empty when it is about a file as a whole. Printable
  std::string file;
  std::optional<std::uint64_t> offset;  // in `file`
  std::string sentence;                 // what is odd and what follows from it; printable
};

/// Stable lower-case name ("beyond-end"), for JSON output.
[[nodiscard]] std::string_view to_string(SetFinding::Code code);

/// What bhyve makes of a set with such a finding, whatever its severity.
[[nodiscard]] Consequence consequence_of(SetFinding::Code code);

/// All findings: about guest memory, then entry by entry, then about the order of the chunks and the text of
/// the
/// `.meta`. Their number is bounded by that of the entries. Thread-safe.
[[nodiscard]] std::vector<SetFinding> check_set(const LegacySet& set);

}  // namespace vmsnap::compat::bhyve
