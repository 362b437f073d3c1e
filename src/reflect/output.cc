// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/output.h"

namespace vmsnap::reflect {
namespace {

constexpr std::size_t kBufferSize = std::size_t{1} << 16;

}  // namespace

Result<void> StringSink::write(std::string_view text) {
  out_ += text;
  return {};
}

void BudgetedWriter::put(std::string_view piece) {
  if (stopped()) return;
  if (piece.size() > left_) {
    exhausted_ = true;
    return;
  }
  left_ -= piece.size();
  buffer_ += piece;
  if (buffer_.size() >= kBufferSize) flush();
}

void BudgetedWriter::flush() {
  if (status_ && !buffer_.empty()) status_ = sink_.write(buffer_);
  buffer_.clear();
}

Result<void> BudgetedWriter::finish(std::string_view last) {
  flush();
  if (status_ && !last.empty()) status_ = sink_.write(last);
  return status_;
}

}  // namespace vmsnap::reflect
