// SPDX-License-Identifier: BSD-2-Clause
// What a conversion did to the fields of device states.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "format/chunk_type.h"

namespace vmsnap::compat {

enum class OutcomeKind : std::uint8_t {
  kCarried,    // copied: same name, type and meaning in both versions
  kConverted,  // expressed in other words; nothing is lost
  kDefaulted,  // the source does not say; a default or an assumption stands in
  kLost,       // the target cannot express it
};

/// "carried", "converted", "defaulted", "lost"
[[nodiscard]] std::string_view to_string(OutcomeKind kind);

/// What became of one field, with all its parts, in one step. Printable text throughout.
struct Outcome {
  OutcomeKind kind = OutcomeKind::kCarried;
  std::string field;  // path in the source, of defaulted fields in the target; "features.NAME" for a feature
  std::string value;  // in the source, of defaulted fields in the target; may be cut; empty when carried
  std::string sentence;  // how it was converted, what was assumed, what follows from the loss; may be empty
  bool noticeable = false;  // of a loss: the guest could notice
  bool allowed = false;     // of a loss: the user has allowed it by name
  ChunkVersion from;        // the step
  ChunkVersion to;

  /// A loss that the guest could notice and nobody has allowed.
  [[nodiscard]] bool refused() const { return kind == OutcomeKind::kLost && noticeable && !allowed; }
};

/// What became of the state of one device.
struct DeviceReport {
  std::string device;              // path in the manifest
  std::string type;                // type name
  std::vector<ChunkVersion> path;  // the versions it went through, first and last included
  std::vector<Outcome> outcomes;   // step by step; empty when the state was left as it was

  [[nodiscard]] bool refused() const;
};

/// What became of a snapshot.
struct MigrationReport {
  std::uint16_t from_level = 0;  // as the manifest states it
  std::uint16_t to_level = 0;
  std::vector<DeviceReport> devices;  // in order of instance

  [[nodiscard]] bool refused() const;
};

/// What to do about a refusal where losses can be allowed.
inline constexpr std::string_view kUsualAdvice = "allow each loss by its name, or keep the newer version";

/// The refusal in one sentence that names the losses that were not allowed, each with device, field, value
/// and consequence; of more than 32 it says how many more there are. `advice` says what to do. Unsupported.
/// `report` is refused.
[[nodiscard]] Error refusal(const MigrationReport& report, std::string_view advice = kUsualAdvice);
[[nodiscard]] Error refusal(const DeviceReport& report);

}  // namespace vmsnap::compat
