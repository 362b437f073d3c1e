// SPDX-License-Identifier: BSD-2-Clause
#include "tree_diff.h"

#include <fmt/format.h>

#include <algorithm>

namespace vmsnap::snaptool {
namespace {

using compat::List;
using compat::Numbers;
using compat::Record;
using compat::StateTree;
using compat::Value;
using reflect::Field;

/// A field of one side, or nothing.
struct Side {
  const Field* field = nullptr;
  const Value* value = nullptr;
};

class Comparison {
 public:
  Comparison(const StateTree& left, const StateTree& right, std::size_t most, TreeDiff& diff)
      : left_(left), right_(right), most_(most), diff_(diff) {}

  void records(const std::string& path, const Record& left, const Record& right, std::string_view without) {
    for (std::size_t i = 0; i < left.fields.size(); ++i) {
      const Field& field = left.type->fields[i];
      if (field.is_union_type || (!without.empty() && field.name == without)) continue;
      values(join(path, field.name), {&field, &left.fields[i]}, find(right, field.name));
    }
    for (std::size_t i = 0; i < right.fields.size(); ++i) {
      const Field& field = right.type->fields[i];
      if (field.is_union_type || find(left, field.name).field != nullptr) continue;
      values(join(path, field.name), {}, {&field, &right.fields[i]});
    }
  }

 private:
  static std::string join(const std::string& path, const std::string& name) {
    return path.empty() ? name : path + '.' + name;
  }
  static Side find(const Record& record, const std::string& name) {
    const Field* field = record.type->find_field(name);
    return field == nullptr ? Side{} : Side{field, record.find(name)};
  }

  void values(const std::string& path, const Side& left, const Side& right) {
    if (left.field == nullptr || right.field == nullptr) {
      const Side& only = left.field == nullptr ? right : left;
      if (!compat::is_default(*only.field, *only.value)) add(path, left, right);
      return;
    }
    if (left.value->is_null() && right.value->is_null()) return;
    if (const Record* l = left.value->record(), *r = right.value->record(); l != nullptr && r != nullptr) {
      return records(path, *l, *r, {});
    }
    if (const List* l = left.value->list(), *r = right.value->list(); l != nullptr && r != nullptr) {
      return lists(path, {left.field, left.value}, *l, {right.field, right.value}, *r);
    }
    if (const Numbers* l = left.value->numbers(), *r = right.value->numbers(); l != nullptr && r != nullptr) {
      return numbers(path, *l, *r, left, right);
    }
    if (!same(left, right)) add(path, left, right);
  }

  /// Of two values that are not both tables, lists or vectors.
  [[nodiscard]] bool same(const Side& left, const Side& right) const {
    if (const std::string* l = left.value->text(), *r = right.value->text(); l != nullptr && r != nullptr) {
      return *l == *r;
    }
    const reflect::Scalar *l = left.value->scalar(), *r = right.value->scalar();
    if (l != nullptr && r != nullptr && l->type == r->type) return l->bits == r->bits;
    return text_of(left_, left) == text_of(right_, right);
  }

  void lists(const std::string& path, const Side& left, const List& l, const Side& right, const List& r) {
    for (std::size_t i = 0; i < std::max(l.size(), r.size()); ++i) {
      const std::string element = fmt::format("{}[{}]", path, i);
      if (i < l.size() && i < r.size()) {
        values(element, {left.field, &l[i]}, {right.field, &r[i]});
      } else {
        add(element, i < l.size() ? Side{left.field, &l[i]} : Side{},
            i < r.size() ? Side{right.field, &r[i]} : Side{});
      }
    }
  }

  /// Few numbers one by one; of many, such as an image, how many and where.
  void numbers(const std::string& path, const Numbers& l, const Numbers& r, const Side& left,
               const Side& right) {
    if (l == r) return;
    if (l.type != r.type || l.count() != r.count()) return add(path, left, right);
    std::vector<std::size_t> where;
    for (std::size_t i = 0; i < l.count(); ++i) {
      if (l.at(i).bits != r.at(i).bits) where.push_back(i);
    }
    constexpr std::size_t kOneByOne = 8;
    for (std::size_t i = 0; i < std::min(where.size(), kOneByOne); ++i) {
      add(fmt::format("{}[{}]", path, where[i]), number(left, l, where[i]), number(right, r, where[i]));
    }
    if (where.size() > kOneByOne) {
      add(fmt::format("{}[{}] and later", path, where[kOneByOne]),
          fmt::format("{} more of {} numbers differ", where.size() - kOneByOne, l.count()), "");
    }
  }

  static std::string number(const Side& side, const Numbers& numbers, std::size_t index) {
    const reflect::Scalar scalar = numbers.at(index);
    if (side.field->hex || side.field->image || side.field->gpa) return fmt::format("{:#x}", scalar.bits);
    if (is_float(scalar.type)) return fmt::format("{}", scalar.as_double());
    return is_signed(scalar.type) ? std::to_string(scalar.as_signed()) : std::to_string(scalar.bits);
  }

  static std::string text_of(const StateTree& tree, const Side& side) {
    if (side.field == nullptr) return "";
    return side.value->is_null() ? "null" : compat::render(tree.model(), *side.field, *side.value);
  }

  void add(const std::string& path, const Side& left, const Side& right) {
    add(path, text_of(left_, left), text_of(right_, right));
  }
  void add(const std::string& path, std::string left, std::string right) {
    ++diff_.count;
    if (diff_.differences.size() >= most_) return;
    diff_.differences.push_back({path, std::move(left), std::move(right)});
  }

  const StateTree& left_;
  const StateTree& right_;
  std::size_t most_;
  TreeDiff& diff_;
};

}  // namespace

TreeDiff compare(const StateTree& left, const StateTree& right, std::string_view without, std::size_t most) {
  TreeDiff diff;
  Comparison(left, right, most, diff).records("", left.root(), right.root(), without);
  return diff;
}

}  // namespace vmsnap::snaptool
