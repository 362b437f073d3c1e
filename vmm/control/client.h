// SPDX-License-Identifier: BSD-2-Clause
// The other end of the control socket: `snapvmm ctl SOCKET COMMAND [FILE]`.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "control/protocol.h"

namespace vmsnap::vmm {

/// How a snapshot is written; absent: as Request::chosen_encoding() says.
struct SaveOptions {
  std::optional<SaveEncoding> encoding = {};
  std::optional<SaveCompression> compression = {};
  std::optional<std::uint16_t> level = {};
};

/// A request from the words of a command line. A relative `file` is taken from the current directory of this
/// process, since the machine has another one; empty is none, "-" a stream. Errors: Usage, Io (there is no
/// current directory).
[[nodiscard]] Result<Request> make_request(std::string_view command, const std::string& file,
                                           const SaveOptions& options = {});

/// Connects to the machine at `socket`, sends `request` and waits for its reply, without end when there is no
/// `timeout`: saving a large guest may take long. When the time is over the machine still does what it was
/// asked to. `stream` is a descriptor for a request that has a stream; the machine gets one of its own of the
/// same pipe, socket or file. Returns the result; errors are those of the machine, or Io (no machine, it went
/// away, time over), Corrupt (what answers is no snapvmm). Thread-safe.
[[nodiscard]] Result<nlohmann::json> call(const std::string& socket, const Request& request,
                                          std::optional<std::chrono::milliseconds> timeout = std::nullopt,
                                          int stream = -1);

}  // namespace vmsnap::vmm
