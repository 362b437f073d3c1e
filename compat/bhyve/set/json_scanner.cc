// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/set/json_scanner.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "bhyve/set/shown.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::array<std::string_view, 3> kLiterals = {"true", "false", "null"};

Error corrupt(std::uint64_t offset, std::string sentence) {
  return Error(ErrorKind::kCorrupt, std::move(sentence)).at_offset(offset);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::optional<std::uint32_t> hex_digit(char c) {
  if (is_digit(c)) return static_cast<std::uint32_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint32_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<std::uint32_t>(c - 'A' + 10);
  return std::nullopt;
}

void append_utf8(std::string& out, std::uint32_t c) {
  const auto tail = [&](std::uint32_t shift) { out += static_cast<char>(0x80 | (c >> shift & 0x3f)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0 | c >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

/// Decodes one escape at a time; `rest` begins after the backslash.
class Unescaper {
 public:
  explicit Unescaper(std::string_view rest) : rest_(rest) {}

  /// Appends what the escape stands for; false when JSON has no such escape, or it stands for NUL.
  [[nodiscard]] bool append_to(std::string& out) {
    if (rest_.empty()) return false;
    const char c = rest_.front();
    rest_.remove_prefix(1);
    if (c == 'u') return append_code_point(out);
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const std::size_t index = kLetters.find(c);
    if (index == std::string_view::npos) return false;
    out += kMeanings[index];
    return true;
  }

  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::optional<std::uint32_t> unit() {
    if (rest_.size() < 4) return std::nullopt;
    std::uint32_t value = 0;
    for (const char c : rest_.substr(0, 4)) {
      const auto digit = hex_digit(c);
      if (!digit) return std::nullopt;
      value = value << 4 | *digit;
    }
    rest_.remove_prefix(4);
    return value;
  }

  bool append_code_point(std::string& out) {
    const auto first = unit();
    if (!first || *first == 0 || (*first >= 0xdc00 && *first < 0xe000)) return false;
    if (*first < 0xd800 || *first >= 0xe000) {
      append_utf8(out, *first);
      return true;
    }
    if (!rest_.starts_with("\\u")) return false;
    rest_.remove_prefix(2);
    const auto second = unit();
    if (!second || *second < 0xdc00 || *second >= 0xe000) return false;
    append_utf8(out, 0x10000 + ((*first - 0xd800) << 10) + (*second - 0xdc00));
    return true;
  }

  std::string_view rest_;
};

}  // namespace

std::string_view describe(JsonKind kind) {
  switch (kind) {
    case JsonKind::kBeginObject:
      return "an object";
    case JsonKind::kEndObject:
      return "the end of an object";
    case JsonKind::kBeginArray:
      return "an array";
    case JsonKind::kEndArray:
      return "the end of an array";
    case JsonKind::kKey:
      return "a key";
    case JsonKind::kString:
      return "a text";
    case JsonKind::kNumber:
      return "a number";
    case JsonKind::kLiteral:
      return "true, false or null";
    case JsonKind::kEnd:
      return "the end of the file";
  }
  return "something else";
}

Result<JsonToken> JsonScanner::next() {
  skip_blanks();
  if (expect_ == Expect::kNothing) {
    if (!at_end()) return unexpected("nothing more after the last brace");
    return finished(JsonKind::kEnd, position_);
  }
  if (at_end()) return truncated();
  switch (expect_) {
    case Expect::kCommaOrEnd:
      return after_comma_or_end();
    case Expect::kFirstKey:
      if (text_[position_] == '}') return close(JsonKind::kEndObject);
      return key();
    case Expect::kNextKey:
      return key();
    case Expect::kFirstValue:
      if (text_[position_] == ']') return close(JsonKind::kEndArray);
      return value();
    default:
      return value();
  }
}

Result<JsonToken> JsonScanner::after_comma_or_end() {
  const char closing = closing_[depth_ - 1];
  const bool in_object = closing == '}';
  if (text_[position_] == closing) return close(in_object ? JsonKind::kEndObject : JsonKind::kEndArray);
  if (text_[position_] != ',') return unexpected(in_object ? "a comma or }" : "a comma or ]");
  ++position_;
  skip_blanks();
  if (at_end()) return truncated();
  return in_object ? key() : value();
}

Result<JsonToken> JsonScanner::value() {
  switch (text_[position_]) {
    case '{':
      return open(JsonKind::kBeginObject, '}');
    case '[':
      return open(JsonKind::kBeginArray, ']');
    case '"':
      return string(JsonKind::kString);
    case 't':
    case 'f':
    case 'n':
      return literal();
    default:
      return number();
  }
}

Result<JsonToken> JsonScanner::key() {
  if (text_[position_] != '"') return unexpected("a key in double quotes");
  VMSNAP_ASSIGN_OR_RETURN(const JsonToken token, string(JsonKind::kKey));
  skip_blanks();
  if (at_end()) return truncated();
  if (text_[position_] != ':') return unexpected("a colon");
  ++position_;
  expect_ = Expect::kValue;
  return token;
}

Result<JsonToken> JsonScanner::open(JsonKind kind, char closing) {
  if (depth_ == kMaxJsonDepth) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format("more than {} arrays and objects lie within each other; bhyve never writes more "
                             "than 3, so this is not its file",
                             kMaxJsonDepth))
        .at_offset(position_);
  }
  closing_[depth_++] = closing;
  ++position_;
  JsonToken token = finished(kind, position_ - 1);
  expect_ = kind == JsonKind::kBeginObject ? Expect::kFirstKey : Expect::kFirstValue;
  return token;
}

JsonToken JsonScanner::close(JsonKind kind) {
  --depth_;
  ++position_;
  return finished(kind, position_ - 1);
}

Result<JsonToken> JsonScanner::string(JsonKind kind) {
  const std::size_t begin = position_++;
  for (; !at_end() && text_[position_] != '"'; ++position_) {
    const char c = text_[position_];
    if (c == '\n' || c == '\0')
      return corrupt(position_, "a text has a line break or a NUL in it; the file was changed or damaged");
    if (c == '\\' && ++position_ == text_.size()) return truncated();
  }
  if (at_end()) return truncated();
  ++position_;
  JsonToken token = finished(kind, begin);
  token.raw = token.raw.substr(1, token.raw.size() - 2);
  return token;
}

Result<JsonToken> JsonScanner::number() {
  const std::size_t begin = position_;
  constexpr std::string_view kWanted = "a digit";
  if (text_[position_] == '-') {
    ++position_;
  } else if (!at_digit()) {
    return unexpected("a value");
  }
  const auto digits = [&]() -> Result<void> {
    if (at_end()) return truncated();
    if (!at_digit()) return unexpected(kWanted);
    skip_digits();
    return {};
  };
  const bool zero = !at_end() && text_[position_] == '0';
  const std::size_t first = position_;
  VMSNAP_RETURN_IF_ERROR(digits());
  if (zero && position_ - first > 1) {
    return corrupt(first, "a number begins with 0; the file was changed or damaged");
  }
  if (!at_end() && text_[position_] == '.') {
    ++position_;
    VMSNAP_RETURN_IF_ERROR(digits());
  }
  if (!at_end() && (text_[position_] == 'e' || text_[position_] == 'E')) {
    ++position_;
    if (!at_end() && (text_[position_] == '+' || text_[position_] == '-')) ++position_;
    VMSNAP_RETURN_IF_ERROR(digits());
  }
  return finished(JsonKind::kNumber, begin);
}

Result<JsonToken> JsonScanner::literal() {
  const std::string_view rest = text_.substr(position_);
  for (const std::string_view word : kLiterals) {
    if (rest.size() < word.size() && word.starts_with(rest)) return truncated();
    if (!rest.starts_with(word)) continue;
    position_ += word.size();
    return finished(JsonKind::kLiteral, position_ - word.size());
  }
  return unexpected("a value");
}

Result<void> JsonScanner::skip_value() {
  const std::size_t depth = depth_;
  do {
    VMSNAP_RETURN_IF_ERROR(next());
  } while (depth_ > depth);
  return {};
}

void JsonScanner::skip_blanks() {
  position_ = std::min(text_.find_first_not_of(" \t\r\n", position_), text_.size());
}

void JsonScanner::skip_digits() {
  while (!at_end() && at_digit()) ++position_;
}

bool JsonScanner::at_digit() const {
  return is_digit(text_[position_]);
}

JsonToken JsonScanner::finished(JsonKind kind, std::size_t begin) {
  expect_ = depth_ == 0 ? Expect::kNothing : Expect::kCommaOrEnd;
  return {kind, begin, text_.substr(begin, position_ - begin)};
}

Error JsonScanner::truncated() const {
  return Error(ErrorKind::kTruncated, "the text ends in the middle").at_offset(text_.size());
}

Error JsonScanner::unexpected(std::string_view wanted) const {
  return corrupt(position_, fmt::format("{} belongs here, but there is {}; the file was changed or damaged",
                                        wanted, shown(text_.substr(position_, 1))));
}

Result<std::string> decode_string(const JsonToken& token, std::size_t limit) {
  const auto too_long = [&] {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format("a text is longer than {} bytes, which no name of bhyve's is", limit))
        .at_offset(token.offset);
  };
  std::string out;
  for (std::string_view rest = token.raw; !rest.empty();) {
    const std::size_t plain = std::min(rest.find('\\'), rest.size());
    // Compared before it is copied: the text may be megabytes long.
    if (plain > limit - out.size()) return too_long();
    out += rest.substr(0, plain);
    rest.remove_prefix(plain);
    if (rest.empty()) break;
    const auto at = token.offset + 1 + (token.raw.size() - rest.size());
    Unescaper unescaper(rest.substr(1));
    if (!unescaper.append_to(out)) {
      return corrupt(
          at, fmt::format("the escape {} in a text stands for nothing; the file was changed or damaged",
                          shown(rest.substr(0, 6))));
    }
    if (out.size() > limit) return too_long();
    rest = unescaper.rest();
  }
  return out;
}

}  // namespace vmsnap::compat::bhyve
