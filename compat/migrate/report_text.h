// SPDX-License-Identifier: BSD-2-Clause
// A report for people and for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "migrate/report.h"

namespace vmsnap::compat {

/// Lines for a person: per device that was converted its versions, then what was lost, defaulted and
/// converted, then how many fields were carried; with `carried` each of them by name. Ends with a line feed.
[[nodiscard]] std::string to_text(const MigrationReport& report, bool carried = false);

/// {"from_level", "to_level", "refused", "devices": [{"device", "type", "path": ["1.1", "1.0"], "refused",
/// "fields": [{"field", "outcome", "value", "sentence", "from", "to"}]}]}; losses also have "noticeable" and
/// "allowed". Every device is listed; one that was left as it was has a path of one version and no fields.
[[nodiscard]] nlohmann::ordered_json to_json(const MigrationReport& report);

}  // namespace vmsnap::compat
