// SPDX-License-Identifier: BSD-2-Clause
// What a schema may become within one major version (docs/versioning.md). `flatc --conform` misses about half
// of the breaks that matter here; this is the second gate.
#pragma once

#include <string>
#include <vector>

#include "reflect/schema_model.h"

namespace vmsnap::reflect {

struct EvolutionViolation {
  std::string where;     // "vmsnap.schema.Uart16550.ier"
  std::string sentence;  // what changed and what to do instead
};

/// Every way in which `current` breaks a promise that `frozen`, an earlier minor of the same major, has made.
/// Kept must be: root table, file identifier, chunk_name; every table, field, enum value and union member
/// that the frozen root reaches, by number and by name; types, defaults, `required`, `= null`, units and
/// (gpa); structs entirely. Allowed is: appending optional fields, enum values and union members, deprecating
/// a field, changing (hex), (image) and documentation, stating a unit where none was. When anything was
/// appended, chunk_version must have a higher minor.
[[nodiscard]] std::vector<EvolutionViolation> check_evolution(const SchemaModel& frozen,
                                                              const SchemaModel& current);

}  // namespace vmsnap::reflect
