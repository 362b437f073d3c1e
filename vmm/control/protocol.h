// SPDX-License-Identifier: BSD-2-Clause
// The control protocol: one JSON object per line, in both directions.
//
//   {"id": 1, "command": "checkpoint", "file": "/abs/path", "encoding": "extents", "compress": "lz4"}
//   {"id": 3, "command": "checkpoint", "file": "/abs/path", "level": 1}
//   {"id": 2, "command": "suspend", "stream": true}
//   {"id": 1, "ok": true, "result": {...}}
//   {"id": 1, "ok": false, "error": {"kind": "invalid-state", "message": "...", ...}}
//
// "checkpoint" and "suspend" write to "file", or, with "stream", into a descriptor: the client sends exactly
// one with SCM_RIGHTS (unix(7)), in a message with the request or its beginning and nothing of another
// request. No other request comes with any. "encoding" (flat, extents) and "compress" (none, lz4) are
// optional: a stream is extents, and so is what is compressed; a file that is neither is flat. "level" is the
// release level to write for, a number from 1 to 65535; without it, the machine's own.
//
// An error has the kind and sentence of base/error.h, and "file", "offset", "chunk", "device", "field" where
// they are known. "id" is a whole number that the client chooses; it is null in the reply to a line that has
// none that can be read. All functions are pure and thread-safe, and none throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace vmsnap::vmm {

/// The longest request, in bytes without the newline.
inline constexpr std::size_t kRequestLimit = std::size_t{64} * 1024;
/// The longest reply, in bytes without the newline.
inline constexpr std::size_t kReplyLimit = std::size_t{16} * 1024 * 1024;

enum class Command : std::uint8_t { kStatus, kPause, kResume, kCheckpoint, kSuspend, kQuit };

/// "status", "pause", ...
[[nodiscard]] std::string_view to_string(Command command);
[[nodiscard]] std::optional<Command> parse_command(std::string_view name);
/// True for the commands that write a snapshot.
[[nodiscard]] bool takes_file(Command command);

enum class SaveEncoding : std::uint8_t { kFlat, kExtents };
enum class SaveCompression : std::uint8_t { kNone, kLz4 };
[[nodiscard]] std::string_view to_string(SaveEncoding encoding);
[[nodiscard]] std::string_view to_string(SaveCompression compression);
[[nodiscard]] std::optional<SaveEncoding> parse_encoding(std::string_view name);
[[nodiscard]] std::optional<SaveCompression> parse_compression(std::string_view name);

struct Request {
  std::uint64_t id = 0;
  Command command = Command::kStatus;
  std::string file;     // absolute; empty when the command takes none, and with `stream`
  bool stream = false;  // the snapshot goes into the descriptor that comes with the request
  std::optional<SaveEncoding> encoding = {};
  std::optional<SaveCompression> compression = {};
  std::optional<std::uint16_t> level = {};  // release that is to read the snapshot; not 0

  /// What `encoding` says, or what follows from the rest where it says nothing.
  [[nodiscard]] SaveEncoding chosen_encoding() const;
};

/// Checks that `request` has a place for a snapshot when its command writes one (a file, absolute and without
/// zero bytes, or a stream), in an encoding that this place and the compression allow, and none of that
/// otherwise. Errors: Usage.
[[nodiscard]] Result<void> validate(const Request& request);

/// Reads one line, without its newline, that anybody may have sent. `id` is set as soon as it is known, so
/// that an error can be answered. Errors: LimitExceeded (too long, nested too deeply), Usage (not JSON,
/// unknown or repeated or missing keys, values of other types).
[[nodiscard]] Result<Request> decode_request(std::string_view line, std::optional<std::uint64_t>& id);
/// With its newline.
[[nodiscard]] std::string encode(const Request& request);

/// With their newline. Text that is not UTF-8 is shown with replacement characters.
[[nodiscard]] std::string encode_result(std::uint64_t id, const nlohmann::json& result);
[[nodiscard]] std::string encode_error(std::optional<std::uint64_t> id, const Error& error);

/// Reads a reply to request `id`: the result, or the error that the machine answered with. Errors of the
/// reply itself: Corrupt.
[[nodiscard]] Result<nlohmann::json> decode_reply(std::string_view line, std::uint64_t id);

}  // namespace vmsnap::vmm
