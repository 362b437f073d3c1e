// SPDX-License-Identifier: BSD-2-Clause
#include "migrate/step.h"

#include <algorithm>

namespace vmsnap::compat {

Result<void> StepContext::mark(std::string_view path, Fate fate) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree::Place place, source_.find(path));
  if (place.value == nullptr) return {};
  VMSNAP_ASSIGN_OR_RETURN(Value * source, source_.find_to_set(path));
  source->fate = fate;
  // What was carried was carried under the same path.
  const auto carried = target_.find(path);
  if (!carried || carried->value == nullptr || carried->value->fate != Fate::kCarried) return {};
  if (auto cleared = target_.clear(path); !cleared) return {};  // an element, or a part of a struct
  VMSNAP_ASSIGN_OR_RETURN(Value * target, target_.find_to_set(path));
  target->fate = Fate::kOpen;
  return {};
}

Result<void> StepContext::converted(std::string_view path, std::string sentence) {
  VMSNAP_RETURN_IF_ERROR(mark(path, Fate::kTaken));
  converted_.push_back({std::string(path), std::move(sentence)});
  return {};
}

Result<void> StepContext::lost(std::string_view path, std::string consequence, Loss loss) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree::Place place, source_.find(path));
  Value number;
  const Value* value = place.value;
  if (place.number) {
    number = Value(place.owner->numbers()->at(*place.number));
    value = &number;
  }
  if (value == nullptr || is_default(*place.field, *value)) return {};
  lost_.push_back({OutcomeKind::kLost,
                   std::string(path),
                   render(source_.model(), *place.field, *value),
                   std::move(consequence),
                   loss == Loss::kNoticeable,
                   false,
                   {},
                   {}});
  return mark(path, Fate::kLost);
}

Result<void> StepContext::defaulted(std::string_view path, std::string sentence) {
  VMSNAP_RETURN_IF_ERROR(target_.find(path));
  defaulted_.push_back({std::string(path), std::move(sentence)});
  return {};
}

bool StepContext::uses_feature(std::string_view name) const {
  return std::find(features_.begin(), features_.end(), name) != features_.end();
}

void StepContext::add_feature(std::string_view name) {
  if (!uses_feature(name)) features_.emplace_back(name);
}

void StepContext::drop_feature(std::string_view name) {
  std::erase(features_, name);
}

void StepRegistry::add(const StepRegistry& other) {
  steps.insert(steps.end(), other.steps.begin(), other.steps.end());
  appended_fields.insert(appended_fields.end(), other.appended_fields.begin(), other.appended_fields.end());
}

}  // namespace vmsnap::compat
