// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include "migrate/state_tree.h"
#include "reflect/walker.h"

namespace vmsnap::compat {
namespace {

using reflect::Field;
using reflect::Object;

/// Builds the tree bottom-up: what is still open is on a stack.
class TreeBuilder final : public reflect::Visitor {
 public:
  void begin_object(const Object& object) override {
    open_.push_back({Record{&object, std::vector<Value>(object.fields.size())}, {}, nullptr, false});
  }
  void end_object(const Object&, std::uint32_t unknown_fields) override {
    Record record = std::move(open_.back().record);
    open_.pop_back();
    if (unknown_fields > 0) unknown_.push_back({path(), unknown_fields});
    place(Value(std::move(record)));
  }
  void field(const Field& field, reflect::Presence) override { open_.back().field = &field; }
  void scalar(const Field&, reflect::Scalar value) override { place(Value(value)); }
  void string(const Field&, std::string_view text) override { place(Value(std::string(text))); }
  void scalars(const Field&, const reflect::ScalarRun& run) override {
    place(Value(Numbers{run.type, ByteVector(run.bytes.begin(), run.bytes.end())}));
  }
  void begin_list(const Field&, std::uint32_t) override { open_.push_back({{}, {}, nullptr, true}); }
  void end_list(const Field&) override {
    List list = std::move(open_.back().list);
    open_.pop_back();
    place(Value(std::move(list)));
  }
  void null(const Field&) override { place(Value()); }
  void unknown_member(const Field& field, std::uint8_t) override {
    unknown_.push_back({path(), 1});
    const Field& discriminator = open_.back().record.type->fields[field.id - 1u];
    open_.back().record.fields[discriminator.id] = default_value(discriminator);
    place(Value());
  }

  Record take_root() { return std::move(*root_.record()); }
  std::vector<UnknownPart> take_unknown() { return std::move(unknown_); }

 private:
  struct Open {
    Record record;
    List list;
    const Field* field = nullptr;  // of the record: to which the next value belongs
    bool is_list = false;
  };

  void place(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().is_list) {
      open_.back().list.push_back(std::move(value));
    } else {
      open_.back().record.fields[open_.back().field->id] = std::move(value);
    }
  }

  /// Of the value that place() would take.
  [[nodiscard]] std::string path() const {
    std::string text;
    for (const Open& open : open_) {
      if (open.is_list) {
        text += fmt::format("[{}]", open.list.size());
      } else {
        text += (text.empty() ? "" : ".") + open.field->name;
      }
    }
    return text;
  }

  std::vector<Open> open_;
  Value root_;
  std::vector<UnknownPart> unknown_;
};

}  // namespace

reflect::Limits tree_limits() {
  reflect::Limits limits;
  limits.max_nodes = std::uint64_t{1} << 20;
  return limits;
}

Result<StateTree> StateTree::decode(const reflect::SchemaModel& model, ByteView data,
                                    const reflect::Limits& limits) {
  TreeBuilder builder;
  VMSNAP_RETURN_IF_ERROR(reflect::walk(model, data, builder, limits));
  StateTree tree(model);
  tree.root_ = builder.take_root();
  tree.unknown_ = builder.take_unknown();
  return tree;
}

}  // namespace vmsnap::compat
