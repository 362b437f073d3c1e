// SPDX-License-Identifier: BSD-2-Clause
// Result<T>: a value or an Error, with the member names of std::expected (which C++20 lacks).
#pragma once

#include <cassert>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/error.h"

namespace vmsnap {

/// Holds either a T or an Error. Asking for the one that is not there is a bug of the caller (assert).
/// Not thread-safe; a value type.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  template <typename U = T,
            std::enable_if_t<std::is_constructible_v<T, U&&> && !std::is_same_v<std::decay_t<U>, Result> &&
                                 !std::is_same_v<std::decay_t<U>, Error>,
                             int> = 0>
  Result(U&& value)  // NOLINT(google-explicit-constructor)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  Result(Error error)  // NOLINT(google-explicit-constructor)
      : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  [[nodiscard]] T& value() & { return *ok(); }
  [[nodiscard]] const T& value() const& { return *const_cast<Result*>(this)->ok(); }
  [[nodiscard]] T&& value() && { return std::move(*ok()); }
  [[nodiscard]] T& operator*() & { return value(); }
  [[nodiscard]] const T& operator*() const& { return value(); }
  [[nodiscard]] T&& operator*() && { return std::move(*this).value(); }
  [[nodiscard]] T* operator->() { return ok(); }
  [[nodiscard]] const T* operator->() const { return const_cast<Result*>(this)->ok(); }

  template <typename U>
  [[nodiscard]] T value_or(U&& fallback) && {
    return has_value() ? std::move(*ok()) : static_cast<T>(std::forward<U>(fallback));
  }

  [[nodiscard]] Error& error() & { return *bad(); }
  [[nodiscard]] const Error& error() const& { return *const_cast<Result*>(this)->bad(); }
  [[nodiscard]] Error&& error() && { return std::move(*bad()); }

 private:
  T* ok() {
    assert(has_value());
    return std::get_if<0>(&state_);
  }
  Error* bad() {
    assert(!has_value());
    return std::get_if<1>(&state_);
  }

  std::variant<T, Error> state_;
};

/// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }

  [[nodiscard]] Error& error() & {
    assert(error_);
    return *error_;
  }
  [[nodiscard]] const Error& error() const& {
    assert(error_);
    return *error_;
  }
  [[nodiscard]] Error&& error() && {
    assert(error_);
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

}  // namespace vmsnap

#define VMSNAP_CONCAT_INNER(a, b) a##b
#define VMSNAP_CONCAT(a, b) VMSNAP_CONCAT_INNER(a, b)

/// Returns the error of `expr` (a Result of any type) from the enclosing function, if it is one.
#define VMSNAP_RETURN_IF_ERROR(expr)                                                          \
  do {                                                                                        \
    if (auto vmsnap_result = (expr); !vmsnap_result) return std::move(vmsnap_result).error(); \
  } while (false)

#define VMSNAP_ASSIGN_OR_RETURN_INNER(result, declaration, expr) \
  auto result = (expr);                                          \
  if (!result) return std::move(result).error();                 \
  declaration = std::move(result).value()

/// `VMSNAP_ASSIGN_OR_RETURN(auto file, open(path));` declares `file` or returns the error.
#define VMSNAP_ASSIGN_OR_RETURN(declaration, expr) \
  VMSNAP_ASSIGN_OR_RETURN_INNER(VMSNAP_CONCAT(vmsnap_result_, __LINE__), declaration, expr)
