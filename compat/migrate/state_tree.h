// SPDX-License-Identifier: BSD-2-Clause
// A device state of any version as a tree of named values: decoded through the schema of that version,
// encoded through the same. Conversion steps work on trees, so no program needs the generated code of every
// version that ever was.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "migrate/value.h"
#include "reflect/limits.h"
#include "reflect/schema_model.h"

namespace vmsnap::compat {

/// Something the data holds that its schema does not know: a newer minor version wrote it.
struct UnknownPart {
  std::string path;         // the table that has unknown fields (empty: the root), or the union
  std::uint32_t count = 0;  // unknown fields; 1 for a member of a union
};

/// Limits for decode(): those of reflect with fewer values, since each becomes an object in memory.
[[nodiscard]] reflect::Limits tree_limits();

/// A value type. Paths name values as reflect::find() does: "virtio.queues[2].size"; a path that the schema
/// does not have is a bug of the step that wrote it: Internal, naming path and schema. Not thread-safe.
class StateTree {
 public:
  /// The state in which every field has its default. `model` must outlive the tree.
  explicit StateTree(const reflect::SchemaModel& model);

  /// The state that `data` describes. `model` must outlive the tree; the data is copied. At most
  /// limits.max_nodes values of some 48 bytes each, besides texts and numbers. Errors: those of
  /// reflect::walk().
  [[nodiscard]] static Result<StateTree> decode(const reflect::SchemaModel& model, ByteView data,
                                                const reflect::Limits& limits = tree_limits());

  /// The FlatBuffer of the state. Canonical: equal trees give equal bytes; a default is not stored.
  /// Errors: LimitExceeded (over 16 MiB), Internal (a required field is absent, or a value does not fit).
  [[nodiscard]] Result<ByteVector> encode() const;

  [[nodiscard]] const reflect::SchemaModel& model() const { return *model_; }
  [[nodiscard]] const Record& root() const { return root_; }
  [[nodiscard]] Record& root() { return root_; }
  /// What decode() could not keep, in the order of the data.
  [[nodiscard]] const std::vector<UnknownPart>& unknown() const { return unknown_; }

  /// The value at `path`. T: bool, an integer type that holds every value of the field's, std::string,
  /// std::vector of an integer type of exactly the field's size or of std::byte; std::optional of any of
  /// these for what may be absent. Errors: Internal; Corrupt (absent, and T is not optional: the state lacks
  /// what it needs).
  template <typename T>
  [[nodiscard]] Result<T> get(std::string_view path) const;

  /// True when there is a value: an optional number, text, list, table or union that is not absent. A path
  /// through something absent leads to nothing. Errors: Internal.
  [[nodiscard]] Result<bool> has(std::string_view path) const;

  /// Elements of a list or vector; 0 when it is absent. Errors: Internal.
  [[nodiscard]] Result<std::size_t> count(std::string_view path) const;

  /// Sets a value; the types are those of get(), the number must fit into the field. Tables on the way are
  /// made. Errors: Internal (also: no such element, union on the way that holds nothing).
  template <typename T>
  [[nodiscard]] Result<void> set(std::string_view path, const T& value);

  /// Makes the field absent, or, for a number that cannot be, gives it its default. Errors: Internal.
  [[nodiscard]] Result<void> clear(std::string_view path);
  /// Makes a table, string, vector or list exist, empty where it did not. Errors: Internal.
  [[nodiscard]] Result<void> make(std::string_view path);
  /// Makes a union hold an empty member of that name. Errors: Internal.
  [[nodiscard]] Result<void> make_member(std::string_view path, std::string_view member);
  /// Adds an empty element to a list of strings, tables or structs and returns its index. Errors: Internal.
  [[nodiscard]] Result<std::size_t> append(std::string_view path);

  /// The value at `path` and the field that declares it; the value is nullptr when the way there is absent,
  /// and for an element of a vector of numbers. Valid until the tree changes. Errors: Internal.
  struct Place {
    const reflect::Field* field = nullptr;
    const Value* value = nullptr;
    std::optional<std::size_t> number;  // index into the numbers of `owner`, when the path ends there
    const Value* owner = nullptr;       // of that number
  };
  [[nodiscard]] Result<Place> find(std::string_view path) const;
  /// The same, to change it; tables on the way are made. Never nullptr.
  [[nodiscard]] Result<Value*> find_to_set(std::string_view path);

 private:
  [[nodiscard]] Result<std::optional<reflect::Scalar>> number_at(std::string_view path) const;
  [[nodiscard]] Result<std::optional<std::string>> text_at(std::string_view path) const;
  /// nullptr when absent.
  [[nodiscard]] Result<const Numbers*> numbers_at(std::string_view path, std::size_t element_size) const;
  [[nodiscard]] Error absent(std::string_view path) const;
  [[nodiscard]] Error does_not_fit(std::string_view path, std::string_view what) const;

  [[nodiscard]] Result<void> set_number(std::string_view path, bool negative, std::uint64_t bits,
                                        bool is_bool);
  [[nodiscard]] Result<void> set_text(std::string_view path, std::string text);
  [[nodiscard]] Result<void> set_numbers(std::string_view path, std::size_t element_size, ByteVector bytes);

  const reflect::SchemaModel* model_;
  Record root_;
  std::vector<UnknownPart> unknown_;
};

namespace tree_detail {

template <typename T>
struct OptionalTraits {
  static constexpr bool kIsOptional = false;
  using Type = T;
};
template <typename T>
struct OptionalTraits<std::optional<T>> {
  static constexpr bool kIsOptional = true;
  using Type = T;
};

template <typename T>
struct VectorTraits {
  static constexpr bool kIsVector = false;
};
template <typename T>
struct VectorTraits<std::vector<T>> {
  static_assert(std::is_same_v<T, std::byte> || (std::is_integral_v<T> && !std::is_same_v<T, bool>));
  static constexpr bool kIsVector = true;
  using Element = T;
};

/// True when T holds every value of the scalar type.
template <typename T>
[[nodiscard]] bool holds_all(reflect::ScalarType type) {
  if (is_float(type)) return false;
  const bool of_bool = type == reflect::ScalarType::kBool;
  if constexpr (std::is_same_v<T, bool>) return of_bool;
  if (of_bool) return false;
  if constexpr (std::is_signed_v<T>) {
    return is_signed(type) ? sizeof(T) >= size_of(type) : sizeof(T) > size_of(type);
  }
  return !is_signed(type) && sizeof(T) >= size_of(type);
}

}  // namespace tree_detail

template <typename T>
Result<T> StateTree::get(std::string_view path) const {
  using Optional = tree_detail::OptionalTraits<T>;
  using Plain = typename Optional::Type;
  std::optional<Plain> found;
  if constexpr (std::is_same_v<Plain, std::string>) {
    VMSNAP_ASSIGN_OR_RETURN(found, text_at(path));
  } else if constexpr (tree_detail::VectorTraits<Plain>::kIsVector) {
    using Element = typename tree_detail::VectorTraits<Plain>::Element;
    VMSNAP_ASSIGN_OR_RETURN(const Numbers* numbers, numbers_at(path, sizeof(Element)));
    if (numbers != nullptr) {
      found.emplace(numbers->count());
      if (!numbers->bytes.empty()) std::memcpy(found->data(), numbers->bytes.data(), numbers->bytes.size());
    }
  } else {
    static_assert(std::is_integral_v<Plain>);
    VMSNAP_ASSIGN_OR_RETURN(const std::optional<reflect::Scalar> number, number_at(path));
    if (number) {
      if (!tree_detail::holds_all<Plain>(number->type)) {
        return does_not_fit(path, "is read as a type that does not hold all its values");
      }
      if constexpr (std::is_same_v<Plain, bool>) {
        found = number->bits != 0;
      } else {
        found = static_cast<Plain>(number->as_signed());
      }
    }
  }
  if constexpr (Optional::kIsOptional) {
    return found;
  } else {
    if (!found) return absent(path);
    return std::move(*found);
  }
}

template <typename T>
Result<void> StateTree::set(std::string_view path, const T& value) {
  if constexpr (tree_detail::OptionalTraits<T>::kIsOptional) {
    return value ? set(path, *value) : clear(path);
  } else if constexpr (std::is_convertible_v<T, std::string_view>) {
    return set_text(path, std::string(std::string_view(value)));
  } else if constexpr (tree_detail::VectorTraits<T>::kIsVector) {
    using Element = typename tree_detail::VectorTraits<T>::Element;
    const ByteView bytes = as_byte_view(value.data(), value.size() * sizeof(Element));
    return set_numbers(path, sizeof(Element), ByteVector(bytes.begin(), bytes.end()));
  } else {
    static_assert(std::is_integral_v<T>);
    const bool negative = std::cmp_less(static_cast<std::int64_t>(value), 0) && std::is_signed_v<T>;
    return set_number(path, negative, static_cast<std::uint64_t>(value), std::is_same_v<T, bool>);
  }
}

}  // namespace vmsnap::compat
