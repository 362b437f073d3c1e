// SPDX-License-Identifier: BSD-2-Clause
// Where the words of the program go, and the forms that all commands share.
#pragma once

#include <nlohmann/json.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/exit_code.h"
#include "reflect/output.h"

namespace vmsnap::snaptool {

using Json = nlohmann::ordered_json;

/// Who sits before the program, if anybody.
struct Watcher {
  /// `err` is a terminal: a line there may be overwritten.
  bool terminal = false;
  /// From its first call on, an interrupt sets the flag that it returns instead of ending the program. The
  /// flag lives as long as the program. Absent: nobody interrupts.
  std::function<const std::atomic<bool>*()> catch_interrupt = {};
};

/// The streams of the program; borrowed. Results go to `out`, diagnosis to `err`. As a sink it is `out`.
class Output : public reflect::Sink {
 public:
  Output(std::ostream& out, std::ostream& err, Watcher watcher = {})
      : out_(out), err_(err), watcher_(std::move(watcher)) {}

  /// Writes to `out`. Errors: Io.
  [[nodiscard]] Result<void> write(std::string_view text) override;
  /// Writes to `out`; a failure is found by finish().
  void print(std::string_view text);
  /// True when something written to `out` was lost; nothing more will reach it.
  [[nodiscard]] bool failed() const;
  /// Writes "snaptool: `sentence`" as one line to `err`, made printable.
  void complain(std::string_view sentence);
  [[nodiscard]] const Watcher& watcher() const { return watcher_; }
  /// Puts `line` in place of what the last call put there, on a terminal: no newline follows. Empty: leaves
  /// an empty line to go on with.
  void overwrite(std::string_view line);
  /// Writes a JSON document and a newline to `out`, in ASCII whatever the strings hold.
  void print_json(const Json& value);

  /// Flushes `out`. Errors: Io when anything written to it so far was lost.
  [[nodiscard]] Result<void> finish();

 private:
  std::ostream& out_;
  std::ostream& err_;
  Watcher watcher_;
};

/// `text` fit for a terminal: control characters, characters that change the direction of writing and bytes
/// that are not UTF-8 become escapes. Quotes and backslashes stay, so sentences stay readable.
[[nodiscard]] std::string printable(std::string_view text);

/// "1.5 GiB", "512 bytes"; cut, not rounded up.
[[nodiscard]] std::string human_size(std::uint64_t bytes);
/// "1.5 GiB (1610612736 bytes)".
[[nodiscard]] std::string exact_size(std::uint64_t bytes);
/// "1 device", "2 devices".
[[nodiscard]] std::string count_of(std::uint64_t count, std::string_view noun);
/// Nanoseconds since 1970 as "2026-01-31T23:59:59.123456789Z"; zero fractions are left out.
[[nodiscard]] std::string utc_time(std::int64_t nanoseconds);

/// Indented JSON without a trailing newline; ASCII only, wrong bytes become U+FFFD.
[[nodiscard]] std::string to_text(const Json& value);
/// Every integer of 64 bits is a decimal string in our JSON, as JavaScript and jq cannot hold it.
[[nodiscard]] Json wide(std::uint64_t value);
/// {"kind", "message", "file", "offset", "chunk", "device", "field"}; what is not known is null.
[[nodiscard]] Json to_json(const Error& error);
/// The text, or null when it is empty.
[[nodiscard]] Json text_or_null(std::string_view text);

/// Reports an error that ended a command: the sentence on `err`, with --json also {"error": ...} on `out`.
[[nodiscard]] ExitCode fail(const Error& error, bool json, Output& output);

}  // namespace vmsnap::snaptool
