// SPDX-License-Identifier: BSD-2-Clause
// What the engine does around a step: copy what two versions share, and find out what became of everything.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "migrate/report.h"
#include "migrate/state_tree.h"
#include "migrate/step.h"

namespace vmsnap::compat {

/// Copies every value whose field has the same name, type, unit and (gpa) in both schemas, tables and lists
/// with all their parts, and marks both sides kCarried. An enum value or union member that the target's
/// schema does not know, though the source's does, stays behind. `target` is fresh.
void carry(StateTree& source, StateTree& target);

/// Makes all values kOpen, so that the target of one step can be the source of the next.
void reopen(StateTree& tree);

/// What became of every field, read off the marks that carry() and the step have left, with what the step has
/// said. `losses`: what is declared of fields that minor versions appended to this type. Errors:
/// LimitExceeded (more outcomes than anybody would read).
[[nodiscard]] Result<std::vector<Outcome>> outcomes_of(const StateTree& source, const StateTree& target,
                                                       const StepContext& step, ChunkVersion from,
                                                       ChunkVersion to,
                                                       const std::vector<AppendedField>& losses);

/// The path without indices: "virtio.queues[2].size" -> "virtio.queues.size".
[[nodiscard]] std::string without_indices(std::string_view path);

/// Calls `visit` with the path, the field and the value of every value in the tree whose path without indices
/// is `pattern`.
void for_each_match(const StateTree& tree, std::string_view pattern,
                    const std::function<void(const std::string& path, const reflect::Field& field,
                                             const Value& value)>& visit);

/// Paths, without indices, of every field that `newer` can hold and `older` cannot. What a new field holds is
/// not listed again.
[[nodiscard]] std::vector<std::string> appended_fields(const reflect::SchemaModel& older,
                                                       const reflect::SchemaModel& newer);

}  // namespace vmsnap::compat
