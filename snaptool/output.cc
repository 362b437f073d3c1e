// SPDX-License-Identifier: BSD-2-Clause
#include "output.h"

#include <fmt/format.h>

#include <array>
#include <ctime>
#include <ostream>

#include "reflect/text_escape.h"

namespace vmsnap::snaptool {

Result<void> Output::write(std::string_view text) {
  print(text);
  if (failed()) return Error(ErrorKind::kIo, "the output cannot be written; is the disk full?");
  return {};
}

void Output::print(std::string_view text) {
  out_.write(text.data(), static_cast<std::streamsize>(text.size()));
}

bool Output::failed() const {
  return !out_;
}

void Output::complain(std::string_view sentence) {
  err_ << "snaptool: " << printable(sentence) << '\n';
}

void Output::overwrite(std::string_view line) {
  err_ << '\r' << printable(line) << "\x1b[K" << std::flush;
}

void Output::print_json(const Json& value) {
  print(to_text(value) + '\n');
}

Result<void> Output::finish() {
  out_.flush();
  return write({});
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const reflect::CodePoint point = reflect::decode_utf8(text);
    const std::string_view piece = text.substr(0, point.length);
    if (point.valid && reflect::is_safe_to_print(point.value)) {
      out += piece;
    } else {
      reflect::append_escaped(out, piece);
    }
    text.remove_prefix(piece.size());
  }
  return out;
}

std::string human_size(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return count_of(bytes, "byte");
  std::size_t unit = 0;
  unsigned shift = 10;
  while (unit + 1 < kUnits.size() && (bytes >> shift) >= 1024) {
    ++unit;
    shift += 10;
  }
  const std::uint64_t whole = bytes >> shift;
  const std::uint64_t rest = bytes - (whole << shift);
  if (rest == 0) return fmt::format("{} {}", whole, kUnits[unit]);
  // The remainder is first brought down to ten bits, so that its tenth cannot overflow.
  return fmt::format("{}.{} {}", whole, ((rest >> (shift - 10)) * 10) >> 10, kUnits[unit]);
}

std::string exact_size(std::uint64_t bytes) {
  if (bytes < 1024) return human_size(bytes);
  return fmt::format("{} ({} bytes)", human_size(bytes), bytes);
}

std::string count_of(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string utc_time(std::int64_t nanoseconds) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  std::int64_t seconds = nanoseconds / kSecond;
  std::int64_t fraction = nanoseconds % kSecond;
  if (fraction < 0) {
    --seconds;
    fraction += kSecond;
  }
  const std::time_t time = seconds;
  std::tm parts{};
  // Cannot fail: 64 bits of nanoseconds stay within the years 1677 to 2262.
  ::gmtime_r(&time, &parts);
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", parts.tm_year + 1900, parts.tm_mon + 1,
                                parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
  if (fraction != 0) {
    out += fmt::format(".{:09}", fraction);
    out.erase(out.find_last_not_of('0') + 1);
  }
  return out + 'Z';
}

std::string to_text(const Json& value) {
  return value.dump(2, ' ', true, Json::error_handler_t::replace);
}

Json wide(std::uint64_t value) {
  return std::to_string(value);
}

Json text_or_null(std::string_view text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json to_json(const Error& error) {
  return {
      {"kind", to_string(error.kind())},
      {"message", error.message()},
      {"file", text_or_null(error.file())},
      {"offset", error.offset() ? wide(*error.offset()) : Json(nullptr)},
      {"chunk", text_or_null(error.chunk())},
      {"device", text_or_null(error.device())},
      {"field", text_or_null(error.field())},
  };
}

ExitCode fail(const Error& error, bool json, Output& output) {
  output.complain(error.to_string());
  if (json) output.print_json({{"error", to_json(error)}});
  return exit_code(error.kind());
}

}  // namespace vmsnap::snaptool
