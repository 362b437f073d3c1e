// SPDX-License-Identifier: BSD-2-Clause
// JSON as libxo writes it and bhyve's users hold it: strings are bytes, with raw control characters and bytes
// that are no UTF-8, which a strict reader would refuse. Nothing is built: the caller pulls tokens and
// decodes those it wants, so that memory does not depend on the text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace vmsnap::compat::bhyve {

/// Arrays and objects within each other.
inline constexpr std::size_t kMaxJsonDepth = 16;

enum class JsonKind : std::uint8_t {
  kBeginObject,
  kEndObject,
  kBeginArray,
  kEndArray,
  kKey,  // a string and the colon after it
  kString,
  kNumber,
  kLiteral,  // true, false, null
  kEnd,      // of the text
};

/// "an object", "a number": what stands there, for a sentence.
[[nodiscard]] std::string_view describe(JsonKind kind);

struct JsonToken {
  JsonKind kind = JsonKind::kEnd;
  std::uint64_t offset = 0;  // of its first byte in the text
  std::string_view raw;  // as it stands in the text, of strings and keys without the quotes; borrowed from it
};

/// Goes through one text, which must outlive it and its tokens. Not thread-safe.
/// Errors, with the offset: Truncated where the text ends before its outermost value does; Corrupt where it
/// is not JSON; LimitExceeded below kMaxJsonDepth. After an error the scanner is of no more use.
class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text) : text_(text) {}

  [[nodiscard]] Result<JsonToken> next();

  /// Skips the value that comes next, with all its parts.
  [[nodiscard]] Result<void> skip_value();

 private:
  enum class Expect : std::uint8_t { kValue, kFirstValue, kFirstKey, kNextKey, kCommaOrEnd, kNothing };

  [[nodiscard]] Result<JsonToken> after_comma_or_end();
  [[nodiscard]] Result<JsonToken> value();
  [[nodiscard]] Result<JsonToken> key();
  [[nodiscard]] Result<JsonToken> open(JsonKind kind, char closing);
  [[nodiscard]] JsonToken close(JsonKind kind);
  [[nodiscard]] Result<JsonToken> string(JsonKind kind);
  [[nodiscard]] Result<JsonToken> number();
  [[nodiscard]] Result<JsonToken> literal();

  void skip_blanks();
  void skip_digits();
  [[nodiscard]] bool at_end() const { return position_ == text_.size(); }
  [[nodiscard]] bool at_digit() const;
  [[nodiscard]] JsonToken finished(JsonKind kind, std::size_t begin);
  [[nodiscard]] Error truncated() const;
  [[nodiscard]] Error unexpected(std::string_view wanted) const;

  std::string_view text_;
  std::size_t position_ = 0;
  Expect expect_ = Expect::kValue;
  std::array<char, kMaxJsonDepth> closing_{};  // of the arrays and objects that are open
  std::size_t depth_ = 0;
};

/// The bytes that a string or key stands for. Errors, with the offset: Corrupt for an escape that JSON does
/// not have and for a NUL, LimitExceeded for more than `limit` bytes.
[[nodiscard]] Result<std::string> decode_string(const JsonToken& token, std::size_t limit);

}  // namespace vmsnap::compat::bhyve
