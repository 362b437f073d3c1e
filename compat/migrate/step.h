// SPDX-License-Identifier: BSD-2-Clause
// What the author of a conversion step writes, and with what. A step leads from one version of a chunk type
// to its neighbour. The engine does the rest (convert.h): before the step runs, every field that has the same
// name, type and unit in both versions has been carried over, with all its parts; after it, every stored
// value of the source that was neither carried nor taken is reported as lost, and every field of the target
// that nobody has set as defaulted. So a step says only what changed.
//
// Minor versions append fields, whose default means what their absence meant; they need no step. What they
// need is an AppendedField each, which says what follows when an older version has no place for the value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/chunk_type.h"
#include "migrate/report.h"
#include "migrate/state_tree.h"

namespace vmsnap::compat {

/// Can the guest tell that a value is lost?
enum class Loss : std::uint8_t { kNoticeable, kUnnoticed };

/// A state on its way from one version to the next. Paths are those of StateTree; errors of all functions:
/// those of StateTree, Internal above all. Lives for one step; not thread-safe.
class StepContext {
 public:
  /// `source` and `target` must outlive the context.
  StepContext(StateTree& source, StateTree& target, std::vector<std::string>& features)
      : source_(source), target_(target), features_(features) {}

  // The source.

  /// The value, which thereby counts as converted: the step answers for it and for all its parts. If it was
  /// carried to a field of the same name, that field goes back to its default. Types as in StateTree::get().
  template <typename T>
  [[nodiscard]] Result<T> take(std::string_view path) {
    VMSNAP_ASSIGN_OR_RETURN(T value, source_.get<T>(path));
    VMSNAP_RETURN_IF_ERROR(mark(path, Fate::kTaken));
    return value;
  }
  /// The value; what becomes of it is left to the engine or to another call.
  template <typename T>
  [[nodiscard]] Result<T> peek(std::string_view path) const {
    return source_.get<T>(path);
  }
  [[nodiscard]] Result<bool> has(std::string_view path) const { return source_.has(path); }
  [[nodiscard]] Result<std::size_t> count(std::string_view path) const { return source_.count(path); }

  // The target; see StateTree.

  template <typename T>
  [[nodiscard]] Result<void> set(std::string_view path, const T& value) {
    return target_.set(path, value);
  }
  [[nodiscard]] Result<void> clear(std::string_view path) { return target_.clear(path); }
  [[nodiscard]] Result<void> make(std::string_view path) { return target_.make(path); }
  [[nodiscard]] Result<void> make_member(std::string_view path, std::string_view member) {
    return target_.make_member(path, member);
  }
  [[nodiscard]] Result<std::size_t> append(std::string_view path) { return target_.append(path); }

  // The report.

  /// The field of the source, table or list as a whole, is expressed in other words; `sentence` says how.
  /// Takes it, if take() has not.
  [[nodiscard]] Result<void> converted(std::string_view path, std::string sentence);
  /// The value in the source, or an element of a vector, cannot be expressed. `consequence` says what follows
  /// for the guest. Nothing is reported when the value is the default or absent.
  [[nodiscard]] Result<void> lost(std::string_view path, std::string consequence,
                                  Loss loss = Loss::kNoticeable);
  /// The source does not say what the field of the target should hold; `sentence` says what is assumed. Its
  /// value is the one that the target holds when the step ends.
  [[nodiscard]] Result<void> defaulted(std::string_view path, std::string sentence);

  // Device features (docs/versioning.md) of the state.

  [[nodiscard]] bool uses_feature(std::string_view name) const;
  void add_feature(std::string_view name);
  /// For a feature whose state the target expresses without it.
  void drop_feature(std::string_view name);

  /// For the engine: what the step has said.
  struct Said {
    std::string path;
    std::string sentence;
  };
  [[nodiscard]] const std::vector<Said>& said_converted() const { return converted_; }
  [[nodiscard]] const std::vector<Said>& said_defaulted() const { return defaulted_; }
  /// With kind, field, value, sentence and noticeable.
  [[nodiscard]] const std::vector<Outcome>& said_lost() const { return lost_; }

 private:
  [[nodiscard]] Result<void> mark(std::string_view path, Fate fate);

  StateTree& source_;
  StateTree& target_;
  std::vector<std::string>& features_;
  std::vector<Said> converted_;
  std::vector<Said> defaulted_;
  std::vector<Outcome> lost_;
};

/// Must depend on nothing but the context. Errors: Internal for its own bugs, Corrupt for a state that cannot
/// be, Unsupported for one that it cannot convert.
using StepFunction = Result<void> (*)(StepContext& context);

/// One step. Between two neighbouring majors of a type there is exactly one up and one down; `from` and `to`
/// are frozen versions. Between two minors there may be one.
struct Step {
  std::string_view type;  // type name; a constant of the program
  ChunkVersion from;
  ChunkVersion to;
  StepFunction function = nullptr;
};

/// A field that a minor version has appended, to the root or to a table below it.
struct AppendedField {
  std::string_view type;     // type name; like the other views, a constant of the program
  ChunkVersion since;        // the version that appended it
  std::string_view path;     // from the root, without indices: "virtio.queues.next_used_wrap"
  std::string_view feature;  // the device feature that announces it; empty when none does
  Loss loss = Loss::kNoticeable;
  std::string_view consequence;  // of losing it, as a sentence without a full stop
};

/// All that conversion knows of particular types.
struct StepRegistry {
  std::vector<Step> steps;
  std::vector<AppendedField> appended_fields;

  void add(const StepRegistry& other);
};

}  // namespace vmsnap::compat
