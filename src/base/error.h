// SPDX-License-Identifier: BSD-2-Clause
// The one error type of the library: a kind that a program can act on, a sentence for a person, and
// breadcrumbs that say where.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vmsnap {

enum class ErrorKind : std::uint8_t {
  kIo,             // the operating system refused or failed an operation
  kTruncated,      // the file ends before the format says it may
  kCorrupt,        // the bytes contradict the format or their own hashes
  kUnsupported,    // well-formed, but needs something this build or host does not have
  kLimitExceeded,  // a budget (size, depth, nodes, output) would be exceeded
  kInvalidState,   // the call does not fit the state of the object
  kUsage,          // the caller's words or arguments are off
  kInternal,       // a bug of ours
};

/// Stable lower-case name of a kind ("corrupt"), used in JSON output and in the control protocol.
[[nodiscard]] std::string_view to_string(ErrorKind kind);

/// Value type. Breadcrumbs are filled in by whoever knows them, the innermost knowledge first: a setter
/// never overwrites a breadcrumb that is already there.
class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  [[nodiscard]] ErrorKind kind() const { return kind_; }
  /// The sentence alone, without breadcrumbs.
  [[nodiscard]] const std::string& message() const { return message_; }

  [[nodiscard]] const std::string& file() const { return file_; }
  /// Byte offset in `file()`.
  [[nodiscard]] std::optional<std::uint64_t> offset() const { return offset_; }
  [[nodiscard]] const std::string& chunk() const { return chunk_; }
  [[nodiscard]] const std::string& device() const { return device_; }
  [[nodiscard]] const std::string& field() const { return field_; }

  Error& in_file(std::string_view file) & { return set(file_, file); }
  Error& at_offset(std::uint64_t offset) &;
  Error& in_chunk(std::string_view chunk) & { return set(chunk_, chunk); }
  Error& in_device(std::string_view device) & { return set(device_, device); }
  Error& in_field(std::string_view field) & { return set(field_, field); }
  Error&& in_file(std::string_view file) && { return std::move(in_file(file)); }
  Error&& at_offset(std::uint64_t offset) && { return std::move(at_offset(offset)); }
  Error&& in_chunk(std::string_view chunk) && { return std::move(in_chunk(chunk)); }
  Error&& in_device(std::string_view device) && { return std::move(in_device(device)); }
  Error&& in_field(std::string_view field) && { return std::move(in_field(field)); }

  /// One line for a person: breadcrumbs, then the sentence, e.g.
  /// `guest.vmsnap: offset 4096: chunk UART: the meta hash is wrong; ...`.
  [[nodiscard]] std::string to_string() const;

 private:
  Error& set(std::string& member, std::string_view value);

  ErrorKind kind_;
  std::string message_;
  std::string file_;
  std::optional<std::uint64_t> offset_;
  std::string chunk_;
  std::string device_;
  std::string field_;
};

/// An Io error whose sentence is "`what`: <text of errno>"; `errno_value` is a positive errno.
[[nodiscard]] Error io_error(std::string_view what, int errno_value);

}  // namespace vmsnap
