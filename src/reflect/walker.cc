// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/walker.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "reflect/flat_reader.h"
#include "reflect/text_escape.h"

namespace vmsnap::reflect {

void Visitor::begin_object(const Object&) {}
void Visitor::end_object(const Object&, std::uint32_t) {}
void Visitor::field(const Field&, Presence) {}
void Visitor::scalar(const Field&, Scalar) {}
void Visitor::string(const Field&, std::string_view) {}
void Visitor::scalars(const Field&, const ScalarRun&) {}
void Visitor::begin_list(const Field&, std::uint32_t) {}
void Visitor::end_list(const Field&) {}
void Visitor::null(const Field&) {}
void Visitor::unknown_member(const Field&, std::uint8_t) {}

namespace {

constexpr std::size_t kMaxRemarks = 100;
constexpr std::uint32_t kNumberBytesPerNode = 64;
constexpr std::uint32_t kTextBytesPerNode = 16;

template <typename... Args>
Error usage(fmt::format_string<Args...> format, Args&&... args) {
  return {ErrorKind::kUsage, fmt::format(format, std::forward<Args>(args)...)};
}

/// The parts of reading that walking and finding share.
class Access {
 public:
  Access(const SchemaModel& model, ByteView data) : model_(model), reader_(data) {}

  [[nodiscard]] const SchemaModel& model() const { return model_; }
  [[nodiscard]] const FlatReader& reader() const { return reader_; }

  [[nodiscard]] Result<void> check_start(const Limits& limits) const {
    const std::size_t size = reader_.bytes().size();
    if (size > limits.max_data_size || size > 0x7fffffff) {
      return Error(
          ErrorKind::kLimitExceeded,
          fmt::format("the state is {} bytes long, more than the {} allowed", size, limits.max_data_size));
    }
    const std::string& letters = model_.file_identifier();
    if (!letters.empty() && !reader_.has_identifier(letters)) {
      return Error(
          ErrorKind::kCorrupt,
          fmt::format(
              "the state does not carry the letters \"{}\" of its schema; it is damaged or belongs to "
              "another type",
              letters));
    }
    return {};
  }

  [[nodiscard]] Place root() const {
    Type type;
    type.kind = Kind::kTable;
    type.object = static_cast<std::uint32_t>(&model_.root() - model_.objects().data());
    return {nullptr, type, Presence::kStored, 0, 0};
  }

  /// Where the field stands in the table. Errors: Corrupt; also when it is required and absent.
  [[nodiscard]] Result<Place> in_table(const FlatReader::Table& table, const Object& object,
                                       const Field& field) const {
    const bool by_offset = field.type.shape == Shape::kVector;
    VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t at,
                            reader_.field(table, field.offset, by_offset ? 4 : model_.inline_size(field.type),
                                          by_offset ? 4 : model_.inline_alignment(field.type)));
    Place place{&field, field.type, at != 0 ? Presence::kStored : Presence::kNull, at, 0};
    const bool single_scalar = field.type.kind == Kind::kScalar && !by_offset;
    if (at == 0 && single_scalar && !field.optional) place.presence = Presence::kDefault;
    if (at == 0 && field.required) {
      return Error(ErrorKind::kCorrupt, "the field is required and missing");
    }
    if (field.type.kind == Kind::kUnion) {
      const Field& discriminator = object.fields[field.id - 1u];
      VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t type_at, reader_.field(table, discriminator.offset, 1, 1));
      place.discriminator = type_at == 0 ? std::uint8_t{0} : reader_.load<std::uint8_t>(type_at);
    }
    return place;
  }

  [[nodiscard]] static Place in_struct(std::uint32_t base, const Field& field) {
    return {&field, field.type, Presence::kStored, base + field.offset, 0};
  }

  struct Elements {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    std::uint32_t size = 0;  // bytes of each
  };
  /// The elements of a stored vector or array.
  [[nodiscard]] Result<Elements> elements(const Place& place) const {
    const std::uint32_t size = model_.inline_size(place.type);
    if (place.type.shape == Shape::kArray) return Elements{place.at, place.type.length, size};
    VMSNAP_ASSIGN_OR_RETURN(const FlatReader::Vector vector,
                            reader_.vector(place.at, size, model_.inline_alignment(place.type)));
    return Elements{vector.first, vector.count, size};
  }

  [[nodiscard]] static Place element(const Place& list, const Elements& elements, std::uint32_t index) {
    Type type = list.type;
    type.shape = Shape::kSingle;
    type.length = 0;
    return {list.field, type, Presence::kStored, elements.first + index * elements.size, 0};
  }

  /// The table that a union holds; nullptr when the schema does not know the member, or there is none.
  [[nodiscard]] const Object* member(const Place& place) const {
    const EnumValue* value = model_.enumeration(place.type).find_value(place.discriminator);
    return value == nullptr || value->object == kNoIndex ? nullptr : &model_.objects()[value->object];
  }

 private:
  const SchemaModel& model_;
  FlatReader reader_;
};

class Walk {
 public:
  Walk(const SchemaModel& model, ByteView data, Visitor& visitor, const Limits& limits)
      : access_(model, data), visitor_(visitor), limits_(limits) {}

  Result<WalkReport> run(const Place& place) {
    VMSNAP_RETURN_IF_ERROR(access_.check_start(limits_));
    auto outcome = value(place);
    if (!outcome) return std::move(outcome).error().in_field(path());
    report_.stopped = visitor_.done();
    return std::move(report_);
  }

  [[nodiscard]] Place root() const { return access_.root(); }

 private:
  /// One step of the path to the value at hand; `field` is nullptr for an element.
  struct Step {
    const Field* field = nullptr;
    std::uint32_t index = 0;
  };

  [[nodiscard]] std::string path() const {
    std::string text;
    for (const Step& step : path_) {
      if (step.field == nullptr) {
        text += fmt::format("[{}]", step.index);
      } else {
        if (!text.empty()) text += '.';
        text += step.field->name;
      }
    }
    return text;
  }

  void remark(std::string sentence) {
    ++report_.remark_count;
    if (report_.remarks.size() < kMaxRemarks) report_.remarks.push_back({path(), std::move(sentence)});
  }

  Result<void> spend(std::uint64_t nodes) {
    report_.nodes += nodes;
    if (report_.nodes > limits_.max_nodes) {
      return Error(
          ErrorKind::kLimitExceeded,
          fmt::format("the state unfolds to more than {} values; no real state does, its parts refer to each "
                      "other too often",
                      limits_.max_nodes));
    }
    return {};
  }

  Result<void> value(const Place& place) {
    VMSNAP_RETURN_IF_ERROR(spend(1));
    if (place.field == nullptr) return table(place.at, access_.model().object(place.type));
    const Field& field = *place.field;
    if (place.type.kind == Kind::kUnion) return union_value(place, field);
    if (place.presence == Presence::kNull) {
      visitor_.null(field);
      return {};
    }
    if (place.type.shape != Shape::kSingle) return list(place, field);
    switch (place.type.kind) {
      case Kind::kScalar: {
        const Scalar number = place.presence == Presence::kDefault
                                  ? field.default_value
                                  : load_scalar(place.type.scalar, access_.reader().bytes(), place.at);
        check_scalar(place.type, number, field.is_union_type);
        visitor_.scalar(field, number);
        return {};
      }
      case Kind::kString: {
        VMSNAP_ASSIGN_OR_RETURN(const std::string_view text, access_.reader().string(place.at));
        VMSNAP_RETURN_IF_ERROR(spend(text.size() / kTextBytesPerNode));
        if (!is_utf8(text)) remark("the text is not UTF-8");
        visitor_.string(field, text);
        return {};
      }
      case Kind::kTable:
        return table(place.at, access_.model().object(place.type));
      case Kind::kStruct:
        return structure(place.at, access_.model().object(place.type));
      case Kind::kUnion:
        break;
    }
    return {};
  }

  Result<void> union_value(const Place& place, const Field& field) {
    const Object* member = access_.member(place);
    if (member == nullptr && place.discriminator != 0) {
      visitor_.unknown_member(field, place.discriminator);
      return {};
    }
    if (place.presence == Presence::kNull || member == nullptr) {
      if (place.presence != Presence::kNull) remark("the union says that it holds nothing, but it does");
      if (member != nullptr) remark("the union says that it holds something, but it does not");
      visitor_.null(field);
      return {};
    }
    return table(place.at, *member);
  }

  Result<void> enter() {
    if (++depth_ > limits_.max_depth) {
      return Error(ErrorKind::kLimitExceeded,
                   fmt::format("the state nests deeper than {} levels", limits_.max_depth));
    }
    return {};
  }

  Result<void> table(std::uint32_t slot, const Object& object) {
    VMSNAP_RETURN_IF_ERROR(enter());
    VMSNAP_ASSIGN_OR_RETURN(const FlatReader::Table found, access_.reader().table(slot));
    visitor_.begin_object(object);
    for (const Field& field : object.fields) {
      if (visitor_.done()) return {};
      path_.push_back({&field, 0});
      VMSNAP_ASSIGN_OR_RETURN(const Place place, access_.in_table(found, object, field));
      visitor_.field(field, place.presence);
      VMSNAP_RETURN_IF_ERROR(value(place));
      path_.pop_back();
    }
    VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t unknown, count_unknown(found, object));
    report_.unknown_fields += unknown;
    if (!visitor_.done()) visitor_.end_object(object, unknown);
    --depth_;
    return {};
  }

  Result<std::uint32_t> count_unknown(const FlatReader::Table& found, const Object& object) {
    const std::uint32_t first = 4 + 2 * static_cast<std::uint32_t>(object.fields.size());
    if (found.vtable_size <= first) return 0u;
    VMSNAP_RETURN_IF_ERROR(spend((found.vtable_size - first) / kNumberBytesPerNode));
    std::uint32_t unknown = 0;
    for (std::uint32_t slot = first; slot + 2 <= found.vtable_size; slot += 2) {
      if (access_.reader().load<std::uint16_t>(found.vtable + slot) != 0) ++unknown;
    }
    return unknown;
  }

  Result<void> structure(std::uint32_t at, const Object& object) {
    VMSNAP_RETURN_IF_ERROR(enter());
    visitor_.begin_object(object);
    for (const Field& field : object.fields) {
      if (visitor_.done()) return {};
      path_.push_back({&field, 0});
      visitor_.field(field, Presence::kStored);
      VMSNAP_RETURN_IF_ERROR(value(Access::in_struct(at, field)));
      path_.pop_back();
    }
    if (!visitor_.done()) visitor_.end_object(object, 0);
    --depth_;
    return {};
  }

  Result<void> list(const Place& place, const Field& field) {
    VMSNAP_ASSIGN_OR_RETURN(const Access::Elements elements, access_.elements(place));
    if (place.type.kind == Kind::kScalar) return run_of_scalars(place, field, elements);
    visitor_.begin_list(field, elements.count);
    for (std::uint32_t i = 0; i < elements.count; ++i) {
      if (visitor_.done()) return {};
      path_.push_back({nullptr, i});
      VMSNAP_RETURN_IF_ERROR(value(Access::element(place, elements, i)));
      path_.pop_back();
    }
    if (!visitor_.done()) visitor_.end_list(field);
    return {};
  }

  Result<void> run_of_scalars(const Place& place, const Field& field, const Access::Elements& elements) {
    const std::size_t size = std::size_t{elements.count} * elements.size;
    VMSNAP_RETURN_IF_ERROR(spend(size / kNumberBytesPerNode));
    const ScalarRun run{place.type.scalar, elements.count,
                        access_.reader().bytes().subspan(elements.first, size)};
    if (place.type.scalar == ScalarType::kBool || place.type.enumeration != kNoIndex) {
      VMSNAP_RETURN_IF_ERROR(spend(elements.count));
      for (std::uint32_t i = 0; i < elements.count; ++i) check_scalar(place.type, run.at(i), false);
    }
    visitor_.scalars(field, run);
    return {};
  }

  void check_scalar(const Type& type, Scalar number, bool is_union_type) {
    if (type.scalar == ScalarType::kBool && number.bits > 1) {
      remark(fmt::format("a bool holds {}", number.bits));
    }
    if (type.enumeration == kNoIndex) return;
    const Enum& named = access_.model().enumeration(type);
    if (named.find_value(number.as_signed()) != nullptr) return;
    const std::string shown =
        is_signed(number.type) ? fmt::format("{}", number.as_signed()) : fmt::format("{}", number.bits);
    remark(is_union_type ? fmt::format("the schema has no member {} in the union {}", shown, named.name)
                         : fmt::format("the schema has no name for the value {} of {}", shown, named.name));
  }

  Access access_;
  Visitor& visitor_;
  const Limits& limits_;
  WalkReport report_;
  std::vector<Step> path_;
  std::uint32_t depth_ = 0;
};

/// One step of a path that a person has typed.
struct PathStep {
  std::string_view name;  // empty: an element
  std::uint32_t index = 0;
};

class Finder {
 public:
  Finder(const SchemaModel& model, ByteView data, std::string_view path)
      : access_(model, data), path_(path), rest_(path) {}

  Result<Place> run(const Limits& limits) {
    VMSNAP_RETURN_IF_ERROR(access_.check_start(limits));
    Place place = access_.root();
    while (true) {
      VMSNAP_ASSIGN_OR_RETURN(const std::optional<PathStep> step, next());
      if (!step) return place;
      auto found = step->name.empty() ? element(place, step->index) : member(place, step->name);
      if (!found && found.error().kind() != ErrorKind::kUsage) found.error().in_field(done_);
      if (!found) return std::move(found).error();
      place = *found;
      done_ = path_.substr(0, path_.size() - rest_.size());
    }
  }

 private:
  [[nodiscard]] Error malformed() const {
    std::string shown;
    append_escaped(shown, path_);
    return usage(
        "\"{}\" is no path; write names joined by dots and elements in brackets, as in "
        "\"pci.msix.table[2].address\"",
        shown);
  }

  /// nullopt at the end of the path.
  Result<std::optional<PathStep>> next() {
    if (rest_.empty()) return std::optional<PathStep>();
    if (rest_[0] == '[') {
      PathStep step;
      const char* end = rest_.data() + rest_.size();
      const auto [stop, error] = std::from_chars(rest_.data() + 1, end, step.index);
      if (error != std::errc() || stop == end || *stop != ']') return malformed();
      rest_.remove_prefix(static_cast<std::size_t>(stop - rest_.data()) + 1);
      return std::optional<PathStep>(step);
    }
    if (rest_.size() < path_.size()) {
      if (rest_[0] != '.') return malformed();
      rest_.remove_prefix(1);
    }
    const std::string_view name = rest_.substr(0, rest_.find_first_of(".["));
    if (name.empty() || name.find(']') != std::string_view::npos) return malformed();
    rest_.remove_prefix(name.size());
    return std::optional<PathStep>(PathStep{name, 0});
  }

  /// What has been reached so far, for a sentence.
  [[nodiscard]] std::string here() const { return done_.empty() ? "the state" : std::string(done_); }

  Result<Place> element(const Place& list, std::uint32_t index) {
    if (list.type.shape == Shape::kSingle)
      return usage("{} is no list; it has no element [{}]", here(), index);
    if (list.presence == Presence::kNull)
      return usage("{} is absent here; it has no element [{}]", here(), index);
    VMSNAP_ASSIGN_OR_RETURN(const Access::Elements elements, access_.elements(list));
    if (elements.count == 0) return usage("{} is empty; it has no element [{}]", here(), index);
    if (index >= elements.count) {
      return usage("{} has no element [{}]; its elements are [0] to [{}]", here(), index, elements.count - 1);
    }
    return Access::element(list, elements, index);
  }

  Result<Place> member(const Place& owner, std::string_view name) {
    if (owner.type.shape != Shape::kSingle) {
      return usage("{} is a list; name an element first, as in \"[0]\"", here());
    }
    const Object* object = nullptr;
    if (owner.type.kind == Kind::kUnion) {
      object = access_.member(owner);
      if (object == nullptr && owner.discriminator != 0) {
        return usage("{} holds something that its schema does not know", here());
      }
    } else if (owner.type.kind == Kind::kTable || owner.type.kind == Kind::kStruct) {
      object = &access_.model().object(owner.type);
    }
    std::string shown;
    append_escaped(shown, name.substr(0, 64));
    if (owner.presence == Presence::kNull || (owner.type.kind == Kind::kUnion && object == nullptr)) {
      return usage("{} is absent here; it has no field \"{}\"", here(), shown);
    }
    if (object == nullptr) return usage("{} is a single value; it has no field \"{}\"", here(), shown);
    const Field* field = object->find_field(name);
    if (field == nullptr) {
      std::string known;
      for (const Field& other : object->fields) known += (known.empty() ? "" : ", ") + other.name;
      return usage("{} has no field \"{}\"; its fields are {}", here(), shown, known);
    }
    if (object->is_struct) return Access::in_struct(owner.at, *field);
    VMSNAP_ASSIGN_OR_RETURN(const FlatReader::Table table, access_.reader().table(owner.at));
    return access_.in_table(table, *object, *field);
  }

  Access access_;
  std::string_view path_;
  std::string_view rest_;
  std::string_view done_;  // the part of path_ that has been found
};

}  // namespace

Result<WalkReport> walk(const SchemaModel& model, ByteView data, Visitor& visitor, const Limits& limits) {
  Walk walk(model, data, visitor, limits);
  return walk.run(walk.root());
}

Result<WalkReport> walk(const SchemaModel& model, ByteView data, const Place& place, Visitor& visitor,
                        const Limits& limits) {
  return Walk(model, data, visitor, limits).run(place);
}

Result<Place> find(const SchemaModel& model, ByteView data, std::string_view path, const Limits& limits) {
  return Finder(model, data, path).run(limits);
}

}  // namespace vmsnap::reflect
