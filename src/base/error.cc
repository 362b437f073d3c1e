// SPDX-License-Identifier: BSD-2-Clause
#include "base/error.h"

#include <fmt/format.h>

#include <system_error>

namespace vmsnap {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kIo:
      return "io";
    case ErrorKind::kTruncated:
      return "truncated";
    case ErrorKind::kCorrupt:
      return "corrupt";
    case ErrorKind::kUnsupported:
      return "unsupported";
    case ErrorKind::kLimitExceeded:
      return "limit-exceeded";
    case ErrorKind::kInvalidState:
      return "invalid-state";
    case ErrorKind::kUsage:
      return "usage";
    case ErrorKind::kInternal:
      return "internal";
  }
  return "internal";
}

Error& Error::at_offset(std::uint64_t offset) & {
  if (!offset_) offset_ = offset;
  return *this;
}

Error& Error::set(std::string& member, std::string_view value) {
  if (member.empty()) member = value;
  return *this;
}

std::string Error::to_string() const {
  std::string out;
  if (!file_.empty()) out += file_ + ": ";
  if (offset_) out += fmt::format("offset {}: ", *offset_);
  if (!chunk_.empty()) out += fmt::format("chunk {}: ", chunk_);
  if (!device_.empty()) out += fmt::format("device {}: ", device_);
  if (!field_.empty()) out += fmt::format("field {}: ", field_);
  return out + message_;
}

Error io_error(std::string_view what, int errno_value) {
  return {ErrorKind::kIo, fmt::format("{}: {}", what, std::generic_category().message(errno_value))};
}

}  // namespace vmsnap
