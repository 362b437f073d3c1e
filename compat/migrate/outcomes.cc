// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "migrate/carry.h"

namespace vmsnap::compat {
namespace {

using reflect::Field;

constexpr std::size_t kMaxOutcomes = 16384;  // of one step of one device

/// True when a mark on a part says that somebody has looked inside.
bool is_touched(const Value& value) {
  const auto touched = [](const Value& part) { return part.fate != Fate::kOpen || is_touched(part); };
  if (const Record* record = value.record()) {
    return std::any_of(record->fields.begin(), record->fields.end(), touched);
  }
  const List* list = value.list();
  return list != nullptr && std::any_of(list->begin(), list->end(), touched);
}

/// True when all that the value tells has been carried.
bool is_wholly_carried(const Value& value) {
  if (value.fate != Fate::kCarried) return false;
  if (const Record* record = value.record()) {
    for (std::size_t i = 0; i < record->fields.size(); ++i) {
      const Field& field = record->type->fields[i];
      const Value& part = record->fields[i];
      const bool untold = part.fate == Fate::kOpen && (field.is_union_type || is_default(field, part));
      if (!untold && !is_wholly_carried(part)) return false;
    }
  }
  const List* list = value.list();
  return list == nullptr || std::all_of(list->begin(), list->end(), is_wholly_carried);
}

class Assessment {
 public:
  Assessment(const StateTree& source, const StateTree& target, const StepContext& step, ChunkVersion from,
             ChunkVersion to, const std::vector<AppendedField>& losses)
      : source_(source), target_(target), step_(step), from_(from), to_(to), losses_(losses) {}

  Result<std::vector<Outcome>> run() {
    for (Outcome outcome : step_.said_lost()) {
      outcome.from = from_;
      outcome.to = to_;
      outcomes_.push_back(std::move(outcome));
    }
    for (const StepContext::Said& said : step_.said_converted()) {
      converted_.insert_or_assign(said.path, said.sentence);
    }
    source_record(source_.root(), "");
    for (const StepContext::Said& said : step_.said_defaulted()) {
      VMSNAP_ASSIGN_OR_RETURN(const StateTree::Place place, target_.find(said.path));
      const std::string value =
          place.value == nullptr ? "absent" : render(target_.model(), *place.field, *place.value);
      add({OutcomeKind::kDefaulted, said.path, value, said.sentence});
      defaulted_.insert(without_indices(said.path));
    }
    target_record(target_.root(), "");
    if (outcomes_.size() > kMaxOutcomes) {
      return Error(ErrorKind::kLimitExceeded,
                   fmt::format("more than {} values would change or be lost; no real state has so many",
                               kMaxOutcomes));
    }
    return std::move(outcomes_);
  }

 private:
  struct Finding {
    OutcomeKind kind;
    std::string field;
    std::string value;
    std::string sentence;
    bool noticeable = false;
  };

  void add(Finding finding) {
    if (outcomes_.size() > kMaxOutcomes) return;
    outcomes_.push_back({finding.kind, std::move(finding.field), std::move(finding.value),
                         std::move(finding.sentence), finding.noticeable, false, from_, to_});
  }

  void source_record(const Record& record, const std::string& prefix) {
    for (std::size_t i = 0; i < record.fields.size(); ++i) {
      const Field& field = record.type->fields[i];
      if (!field.is_union_type) source_value(field, record.fields[i], prefix + field.name);
    }
  }

  void source_value(const Field& field, const Value& value, const std::string& path) {
    switch (value.fate) {
      case Fate::kTaken:
        add({OutcomeKind::kConverted, path, render(source_.model(), field, value), converted_sentence(path)});
        return;
      case Fate::kLost:
        return;
      case Fate::kCarried:
        if (is_wholly_carried(value)) return add({OutcomeKind::kCarried, path, "", ""});
        return source_parts(field, value, path);
      case Fate::kSet:
      case Fate::kOpen:
        if (is_default(field, value)) return;
        if (is_touched(value)) return source_parts(field, value, path);
        return lost(field, value, path);
    }
  }

  void source_parts(const Field& field, const Value& value, const std::string& path) {
    if (const Record* record = value.record()) source_record(*record, path + ".");
    if (const List* list = value.list()) {
      for (std::size_t i = 0; i < list->size(); ++i) {
        source_value(field, (*list)[i], fmt::format("{}[{}]", path, i));
      }
    }
  }

  [[nodiscard]] std::string converted_sentence(const std::string& path) const {
    const auto said = converted_.find(path);
    if (said != converted_.end()) return said->second;
    return fmt::format("version {} says it in other words", to_string(to_));
  }

  void lost(const Field& field, const Value& value, const std::string& path) {
    std::string sentence = fmt::format("version {} has no place for it", to_string(to_));
    bool noticeable = true;
    const std::string pattern = without_indices(path);
    for (const AppendedField& declared : losses_) {
      if (declared.path != pattern) continue;
      sentence = declared.consequence;
      noticeable = declared.loss == Loss::kNoticeable;
    }
    add({OutcomeKind::kLost, path, render(source_.model(), field, value), std::move(sentence), noticeable});
  }

  /// Fields that nobody has set; of the elements of a list, each field once.
  void target_record(const Record& record, const std::string& prefix) {
    for (std::size_t i = 0; i < record.fields.size(); ++i) {
      const Field& field = record.type->fields[i];
      if (!field.is_union_type) target_value(field, record.fields[i], prefix + field.name);
    }
  }

  void target_value(const Field& field, const Value& value, const std::string& path) {
    if (value.fate == Fate::kOpen) {
      if (!defaulted_.insert(path).second) return;
      return add({OutcomeKind::kDefaulted, path, render(target_.model(), field, value),
                  fmt::format("version {} does not say", to_string(from_))});
    }
    if (const Record* record = value.record()) target_record(*record, path + ".");
    if (const List* list = value.list()) {
      for (const Value& element : *list) {
        if (const Record* record = element.record()) target_record(*record, path + ".");
      }
    }
  }

  const StateTree& source_;
  const StateTree& target_;
  const StepContext& step_;
  ChunkVersion from_;
  ChunkVersion to_;
  const std::vector<AppendedField>& losses_;
  std::map<std::string, std::string> converted_;  // sentences by path
  std::set<std::string> defaulted_;               // paths without indices
  std::vector<Outcome> outcomes_;
};

}  // namespace

Result<std::vector<Outcome>> outcomes_of(const StateTree& source, const StateTree& target,
                                         const StepContext& step, ChunkVersion from, ChunkVersion to,
                                         const std::vector<AppendedField>& losses) {
  return Assessment(source, target, step, from, to, losses).run();
}

}  // namespace vmsnap::compat
