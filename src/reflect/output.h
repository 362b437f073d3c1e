// SPDX-License-Identifier: BSD-2-Clause
// Where printed state goes, and the bound on how much of it there may be: shared parts make 18 KB of hostile
// data into 80 MB of text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace vmsnap::reflect {

/// Receives text in pieces.
class Sink {
 public:
  virtual ~Sink() = default;
  /// Errors: those of the destination; printing stops and returns them.
  [[nodiscard]] virtual Result<void> write(std::string_view text) = 0;
};

/// Collects the text in a string of the caller, which must outlive the sink.
class StringSink : public Sink {
 public:
  explicit StringSink(std::string& out) : out_(out) {}
  [[nodiscard]] Result<void> write(std::string_view text) override;

 private:
  std::string& out_;
};

/// Buffers text on its way to a Sink and stops for good at the first piece that would exceed the budget, or
/// at the first error. Pieces are never split. Not thread-safe.
class BudgetedWriter {
 public:
  /// `budget` in bytes. `sink` must outlive the writer.
  BudgetedWriter(Sink& sink, std::uint64_t budget) : sink_(sink), left_(budget) {}

  void put(std::string_view piece);
  /// True once the budget is used up or the sink has failed; put() does nothing from then on.
  [[nodiscard]] bool stopped() const { return exhausted_ || !status_; }
  [[nodiscard]] bool exhausted() const { return exhausted_; }

  /// Hands the rest over, then `last` beyond the budget. Errors: those of the sink.
  [[nodiscard]] Result<void> finish(std::string_view last = {});

 private:
  void flush();

  Sink& sink_;
  std::uint64_t left_;
  std::string buffer_;
  bool exhausted_ = false;
  Result<void> status_;
};

}  // namespace vmsnap::reflect
