// SPDX-License-Identifier: BSD-2-Clause
// What has an order and no offsets: pipes, sockets, character devices.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/sink.h"
#include "base/unique_fd.h"

namespace vmsnap {

/// A descriptor written front to back without seeking: a pipe, a stream socket, a character device, or a file
/// from where its descriptor stands. A reader that goes away is an Io error and never a signal, whatever the
/// process has chosen for SIGPIPE; nothing process-wide is changed. A pipe is made larger, where that is
/// allowed. Not thread-safe.
class StreamSink final : public Sink {
 public:
  /// Owns `fd`, which may be blocking or not; `name` is what errors call it. `cancelled`, when given, is
  /// asked several times a second while a pipe or socket takes nothing; once it is true, writing fails with
  /// InvalidState.
  StreamSink(UniqueFd fd, std::string name, std::function<bool()> cancelled = {});

  [[nodiscard]] const std::string& name() const override { return name_; }

 protected:
  [[nodiscard]] ssize_t write_some(std::span<const iovec> pieces) override;
  [[nodiscard]] Error failure(int errno_value) const override;

 private:
  [[nodiscard]] ssize_t send(std::span<const iovec> pieces) const;
  /// Waits until there is room; false with errno when there will be none.
  [[nodiscard]] bool wait_for_room() const;

  UniqueFd fd_;
  std::string name_;
  std::function<bool()> cancelled_;
  bool is_socket_ = false;
};

/// A descriptor read front to back. Not thread-safe.
class StreamSource {
 public:
  /// Owns `fd`, which may be blocking or not; `name` is what errors call it. `cancelled`, when given, is
  /// asked several times a second while nothing comes; once it is true, reading fails with InvalidState.
  StreamSource(UniqueFd fd, std::string name, std::function<bool()> cancelled = {})
      : fd_(std::move(fd)), name_(std::move(name)), cancelled_(std::move(cancelled)) {}

  [[nodiscard]] const std::string& name() const { return name_; }
  /// Number of bytes that were read: the offset of the next one.
  [[nodiscard]] std::uint64_t position() const { return position_; }

  /// Fills the places in order, straight from the descriptor. Errors: Io; Truncated, with the offset of the
  /// end, when the stream ends first. After an error the places hold anything.
  [[nodiscard]] Result<void> read(std::span<const MutableByteView> places);
  [[nodiscard]] Result<void> read(MutableByteView place) {
    return read(std::span<const MutableByteView>(&place, 1));
  }
  /// Fills `place` as far as the stream goes and returns how many bytes there were. Errors: Io.
  [[nodiscard]] Result<std::size_t> read_up_to(MutableByteView place);

 private:
  /// One readv(2), repeated until it says something: the number of bytes, 0 at the end.
  [[nodiscard]] Result<std::size_t> read_some(std::span<const iovec> places);
  /// Waits until there is something to read, or the end.
  [[nodiscard]] Result<void> wait_for_data() const;
  [[nodiscard]] Error failure(int errno_value) const;

  UniqueFd fd_;
  std::string name_;
  std::function<bool()> cancelled_;
  std::uint64_t position_ = 0;
};

}  // namespace vmsnap
