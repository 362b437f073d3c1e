// SPDX-License-Identifier: BSD-2-Clause
// What a conversion from or to bhyve did to the fields of legacy chunks.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bhyve/convert/machine.h"

namespace vmsnap::compat::bhyve {

enum class FieldFate : std::uint8_t {
  kMapped,       // a field of hardware holds it
  kRecomputed,   // it follows from other fields
  kPrivate,      // bhyve_private holds it
  kMeaningless,  // it says nothing about the guest; bhyve_private holds it, or there is none
  kMadeUp,       // of a chunk that is written: nobody knows it, so it is 0
  kDropped,      // of a chunk that was read: the chunk that is written has no place for it
};

/// "mapped", "recomputed", "private", "meaningless", "made-up", "dropped"
[[nodiscard]] std::string_view to_string(FieldFate fate);

struct FieldReport {
  std::string path;
  FieldFate fate = FieldFate::kMapped;
  std::string remark;  // why, where there is something to say; may be empty
};

/// Of all chunks together, each of which is in the report.
inline constexpr std::size_t kMaxFieldsOfSet = std::size_t{1} << 21;

struct ChunkReport {
  std::string chunk;   // as a person calls it; printable
  std::string layout;  // shape; empty when nobody knows it
  std::vector<std::string> devices;
  std::vector<FieldReport> fields;
};

/// What a conversion did besides.
struct Remark {
  enum class Kind : std::uint8_t {
    kNote,    // that is good to know
    kRepair,  // what was wrong for bhyve itself
    kLoss,    // a part of the machine that the result does not have
  };
  Kind kind = Kind::kNote;
  std::string subject;   // chunk or device; printable
  std::string sentence;  // printable
};

[[nodiscard]] std::string_view to_string(Remark::Kind kind);

struct ConversionReport {
  std::vector<ChunkReport> chunks;     // in the order of the file
  std::vector<NotInFile> not_in_file;  // of a legacy set that was read
  std::vector<Remark> remarks;

  [[nodiscard]] bool has_losses() const;
};

/// Lines for a person: each chunk with the number of its fields by fate, what the file does not hold (of
/// several devices at once: "CPUs 0-63"), and the remarks; with `fields` each field but those that are mapped
/// or recomputed by name, and those in the records of CPUs that the machine does not have by their number.
/// Ends with a line feed.
[[nodiscard]] std::string to_text(const ConversionReport& report, bool fields = false);

/// {"chunks": [{"chunk", "layout", "devices", "fields": [{"field", "fate", "remark"}]}], "not_in_file":
/// [{"device", "field", "instead", "consequence"}], "remarks": [{"kind", "subject", "sentence"}]}
[[nodiscard]] nlohmann::ordered_json to_json(const ConversionReport& report);

}  // namespace vmsnap::compat::bhyve
