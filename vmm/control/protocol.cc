// SPDX-License-Identifier: BSD-2-Clause
#include "control/protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

namespace vmsnap::vmm {
namespace {

using nlohmann::json;

constexpr std::size_t kRequestDepth = 4;
constexpr std::size_t kReplyDepth = 32;

constexpr std::array kCommands = {Command::kStatus,     Command::kPause,   Command::kResume,
                                  Command::kCheckpoint, Command::kSuspend, Command::kQuit};
constexpr std::array<std::string_view, 7> kRequestKeys = {"id",       "command",  "file", "stream",
                                                          "encoding", "compress", "level"};
constexpr std::array kErrorKinds = {
    ErrorKind::kIo,          ErrorKind::kTruncated,     ErrorKind::kCorrupt,
    ErrorKind::kUnsupported, ErrorKind::kLimitExceeded, ErrorKind::kInvalidState,
    ErrorKind::kUsage,       ErrorKind::kInternal};

// Looked at before parsing, so that the parser never builds (or later frees) a deep tree.
bool is_nested_deeper(std::string_view text, std::size_t limit) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '{' || c == '[') {
      if (++depth > limit) return true;
    }
    if ((c == '}' || c == ']') && depth > 0) --depth;
  }
  return false;
}

struct Parsed {
  json value;
  std::size_t keys = 0;  // of the outermost object, repeated ones included
};

std::optional<Parsed> parse_object(std::string_view text) {
  Parsed parsed;
  const auto count_keys = [&](int depth, json::parse_event_t event, json&) {
    if (event == json::parse_event_t::key && depth == 1) ++parsed.keys;
    return true;
  };
  parsed.value = json::parse(text, count_keys, /*allow_exceptions=*/false);
  if (!parsed.value.is_object()) return std::nullopt;
  return parsed;
}

std::string to_line(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

Error usage(std::string message) {
  return {ErrorKind::kUsage, std::move(message)};
}

const std::string* find_string(const json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() ? nullptr : it->get_ptr<const std::string*>();
}

const json::number_unsigned_t* find_number(const json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() ? nullptr : it->get_ptr<const json::number_unsigned_t*>();
}

std::string command_names() {
  std::string names;
  for (const Command command : kCommands) {
    if (!names.empty()) names += ", ";
    names += to_string(command);
  }
  return names;
}

std::optional<Error> decode_error(const json& object) {
  const std::string* kind_name = find_string(object, "kind");
  const std::string* message = find_string(object, "message");
  if (kind_name == nullptr || message == nullptr) return std::nullopt;
  for (const ErrorKind kind : kErrorKinds) {
    if (to_string(kind) != *kind_name) continue;
    Error error(kind, *message);
    if (const auto* text = find_string(object, "file")) error.in_file(*text);
    if (const auto* offset = find_number(object, "offset")) error.at_offset(*offset);
    if (const auto* text = find_string(object, "chunk")) error.in_chunk(*text);
    if (const auto* text = find_string(object, "device")) error.in_device(*text);
    if (const auto* text = find_string(object, "field")) error.in_field(*text);
    return error;
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Command command) {
  switch (command) {
    case Command::kStatus:
      return "status";
    case Command::kPause:
      return "pause";
    case Command::kResume:
      return "resume";
    case Command::kCheckpoint:
      return "checkpoint";
    case Command::kSuspend:
      return "suspend";
    case Command::kQuit:
      return "quit";
  }
  return "";
}

std::optional<Command> parse_command(std::string_view name) {
  for (const Command command : kCommands) {
    if (to_string(command) == name) return command;
  }
  return std::nullopt;
}

std::string_view to_string(SaveEncoding encoding) {
  return encoding == SaveEncoding::kFlat ? "flat" : "extents";
}

std::string_view to_string(SaveCompression compression) {
  return compression == SaveCompression::kNone ? "none" : "lz4";
}

std::optional<SaveEncoding> parse_encoding(std::string_view name) {
  for (const SaveEncoding encoding : {SaveEncoding::kFlat, SaveEncoding::kExtents}) {
    if (to_string(encoding) == name) return encoding;
  }
  return std::nullopt;
}

std::optional<SaveCompression> parse_compression(std::string_view name) {
  for (const SaveCompression compression : {SaveCompression::kNone, SaveCompression::kLz4}) {
    if (to_string(compression) == name) return compression;
  }
  return std::nullopt;
}

SaveEncoding Request::chosen_encoding() const {
  if (encoding) return *encoding;
  return stream || compression == SaveCompression::kLz4 ? SaveEncoding::kExtents : SaveEncoding::kFlat;
}

bool takes_file(Command command) {
  return command == Command::kCheckpoint || command == Command::kSuspend;
}

Result<void> validate(const Request& request) {
  const std::string_view name = to_string(request.command);
  if (!takes_file(request.command)) {
    if (!request.file.empty()) {
      return usage(fmt::format("the command {} takes no file; leave it out", name)).in_field("file");
    }
    if (request.stream) {
      return usage(fmt::format("the command {} writes no snapshot; leave the stream out", name))
          .in_field("stream");
    }
    if (request.encoding || request.compression) {
      return usage(fmt::format("the command {} writes no snapshot; leave encoding and compression out", name))
          .in_field(request.encoding ? "encoding" : "compress");
    }
    if (request.level) {
      return usage(fmt::format("the command {} writes no snapshot; leave the level out", name))
          .in_field("level");
    }
    return {};
  }
  if (request.level == 0) {
    return usage("release levels begin with 1; choose one, or leave the level out").in_field("level");
  }
  if (request.stream && !request.file.empty()) {
    return usage(fmt::format("the command {} writes to a file or to a stream; choose one", name))
        .in_field("stream");
  }
  if (request.chosen_encoding() == SaveEncoding::kFlat) {
    if (request.stream) {
      return usage("flat memory can only be written to a file; choose the encoding extents for a stream")
          .in_field("encoding");
    }
    if (request.compression == SaveCompression::kLz4) {
      return usage("flat memory is never compressed; choose the encoding extents").in_field("compress");
    }
  }
  if (request.stream) return {};
  if (request.file.empty()) {
    return usage(fmt::format("the command {} needs a file to write; name one", name)).in_field("file");
  }
  if (request.file.front() != '/') {
    return usage(fmt::format("the file of {} is not an absolute path; begin it with a slash", name))
        .in_field("file");
  }
  if (request.file.find('\0') != std::string::npos) {
    return usage(fmt::format("the file name of {} contains a zero byte; remove it", name)).in_field("file");
  }
  return {};
}

Result<Request> decode_request(std::string_view line, std::optional<std::uint64_t>& id) {
  if (line.size() > kRequestLimit) {
    return Error(
        ErrorKind::kLimitExceeded,
        fmt::format("the request is longer than {} bytes; send one JSON object per line", kRequestLimit));
  }
  if (is_nested_deeper(line, kRequestDepth)) {
    return Error(
        ErrorKind::kLimitExceeded,
        fmt::format("the request is nested more than {} deep; send one flat JSON object", kRequestDepth));
  }
  const auto parsed = parse_object(line);
  if (!parsed)
    return usage(R"(the request is not a JSON object; send a line such as {"id": 1, "command": "status"})");
  const json& object = parsed->value;
  if (const auto* number = find_number(object, "id")) id = *number;
  if (parsed->keys != object.size()) return usage("the request has a key more than once; send each once");
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(kRequestKeys, key) == kRequestKeys.end()) {
      return usage(fmt::format("the request has a key that is not known; use {} alone",
                               fmt::join(kRequestKeys, ", ")))
          .in_field(key);
    }
  }
  if (!id) return usage("the request has no \"id\" that is a whole number from 0 up; add one").in_field("id");

  Request request;
  request.id = *id;
  const std::string* name = find_string(object, "command");
  const auto command = name == nullptr ? std::nullopt : parse_command(*name);
  if (!command) {
    return usage(fmt::format("the request has no \"command\" that is known; use one of {}", command_names()))
        .in_field("command");
  }
  request.command = *command;
  if (object.contains("file")) {
    const std::string* file = find_string(object, "file");
    if (file == nullptr || file->empty()) {
      return usage("the \"file\" of the request is not a text with a file name in it; send one")
          .in_field("file");
    }
    request.file = *file;
  }
  if (const auto stream = object.find("stream"); stream != object.end()) {
    const auto* value = stream->get_ptr<const bool*>();
    if (value == nullptr) {
      return usage("the \"stream\" of the request is neither true nor false; send one of them")
          .in_field("stream");
    }
    request.stream = *value;
  }
  if (object.contains("encoding")) {
    const std::string* word = find_string(object, "encoding");
    if (word != nullptr) request.encoding = parse_encoding(*word);
    if (!request.encoding) {
      return usage("the \"encoding\" of the request is not known; use flat or extents").in_field("encoding");
    }
  }
  if (object.contains("compress")) {
    const std::string* word = find_string(object, "compress");
    if (word != nullptr) request.compression = parse_compression(*word);
    if (!request.compression) {
      return usage("the \"compress\" of the request is not known; use none or lz4").in_field("compress");
    }
  }
  if (object.contains("level")) {
    const auto* level = find_number(object, "level");
    if (level == nullptr || *level > std::numeric_limits<std::uint16_t>::max()) {
      return usage("the \"level\" of the request is not a whole number from 1 to 65535; send one")
          .in_field("level");
    }
    request.level = static_cast<std::uint16_t>(*level);
  }
  VMSNAP_RETURN_IF_ERROR(validate(request));
  return request;
}

std::string encode(const Request& request) {
  json object = {{"id", request.id}, {"command", std::string(to_string(request.command))}};
  if (!request.file.empty()) object["file"] = request.file;
  if (request.stream) object["stream"] = true;
  if (request.encoding) object["encoding"] = std::string(to_string(*request.encoding));
  if (request.compression) object["compress"] = std::string(to_string(*request.compression));
  if (request.level) object["level"] = *request.level;
  return to_line(object);
}

std::string encode_result(std::uint64_t id, const nlohmann::json& result) {
  return to_line({{"id", id}, {"ok", true}, {"result", result}});
}

std::string encode_error(std::optional<std::uint64_t> id, const Error& error) {
  json details = {{"kind", std::string(to_string(error.kind()))}, {"message", error.message()}};
  if (!error.file().empty()) details["file"] = error.file();
  if (error.offset()) details["offset"] = *error.offset();
  if (!error.chunk().empty()) details["chunk"] = error.chunk();
  if (!error.device().empty()) details["device"] = error.device();
  if (!error.field().empty()) details["field"] = error.field();
  return to_line({{"id", id ? json(*id) : json(nullptr)}, {"ok", false}, {"error", details}});
}

Result<nlohmann::json> decode_reply(std::string_view line, std::uint64_t id) {
  const Error malformed(
      ErrorKind::kCorrupt,
      "the reply is not one of the control protocol; is it really the socket of a snapvmm?");
  if (line.size() > kReplyLimit || is_nested_deeper(line, kReplyDepth)) return malformed;
  auto parsed = parse_object(line);
  if (!parsed) return malformed;
  json& object = parsed->value;
  const auto ok = object.find("ok");
  if (ok == object.end() || !ok->is_boolean()) return malformed;
  if (!*ok->get_ptr<const bool*>()) {
    const auto details = object.find("error");
    if (details == object.end() || !details->is_object()) return malformed;
    if (auto error = decode_error(*details)) return std::move(*error);
    return malformed;
  }
  const auto* reply_id = find_number(object, "id");
  const auto result = object.find("result");
  if (reply_id == nullptr || *reply_id != id || result == object.end()) return malformed;
  return std::move(*result);
}

}  // namespace vmsnap::vmm
