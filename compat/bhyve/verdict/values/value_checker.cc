// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/verdict/values/value_checker.h"

#include <utility>

#include "base/checked.h"

namespace vmsnap::compat::bhyve {

std::optional<std::uint64_t> ValueChecker::get(std::string_view path, std::size_t index) const {
  const auto number = decoded_.number(path, index);
  if (!number) return std::nullopt;
  return number->bits;
}

void ValueChecker::say(std::string_view path, std::string_view code, std::string sentence,
                       Consequence consequence) {
  say_at(path, 0, code, std::move(sentence), consequence);
}

void ValueChecker::say_at(std::string_view path, std::uint64_t at, std::string_view code,
                          std::string sentence, Consequence consequence) {
  const Field* field = decoded_.find(path);
  add((field != nullptr ? field->offset : 0) + at, std::string(path), code, std::move(sentence), consequence);
}

void ValueChecker::say_of(std::string_view path, std::size_t index, std::string_view code,
                          std::string sentence, Consequence consequence) {
  const Field* field = decoded_.find(path);
  const std::uint64_t at = field != nullptr ? field->offset + index * size_of(field->item->type) : 0;
  add(at, fmt::format("{}[{}]", path, index), code, std::move(sentence), consequence);
}

void ValueChecker::add(std::uint64_t offset, std::string path, std::string_view code, std::string sentence,
                       Consequence consequence) {
  if (findings_.size() > kMostValueFindings) return;
  if (findings_.size() == kMostValueFindings) {
    findings_.push_back({Severity::kNote, Consequence::kNone, "more-findings", label_, std::move(path),
                         offset_ + offset, "there are more odd values in this chunk"});
    return;
  }
  findings_.push_back({Severity::kWarning, consequence, code, label_, std::move(path), offset_ + offset,
                       std::move(sentence)});
}

void ValueChecker::within(std::string_view path, std::int64_t low, std::int64_t high, std::string_view what,
                          Consequence consequence) {
  const auto value = get(path);
  if (!value) return;
  const auto number = static_cast<std::int64_t>(*value);
  if (number >= low && number <= high) return;
  const std::string range = low == high ? fmt::format("{}", low) : fmt::format("{} to {}", low, high);
  say(path, "out-of-range", fmt::format("it is {}, but as {} it can only be {}", number, what, range),
      consequence);
}

void ValueChecker::without_bits(std::string_view path, std::uint64_t mask, std::string_view why,
                                Consequence consequence) {
  const std::uint64_t value = get_or_zero(path);
  if ((value & mask) == 0) return;
  say(path, "reserved-bits", fmt::format("{:#x} has bits {:#x}, {}", value, value & mask, why), consequence);
}

bool ValueChecker::is_memory(std::uint64_t address, std::uint64_t size) const {
  const auto end = checked_add(address, size);
  if (!end) return false;
  if (*end <= memory_.low) return true;
  return address >= kHighMemoryBase && *end - kHighMemoryBase <= memory_.high;
}

bool ValueChecker::touches_memory(std::uint64_t address, std::uint64_t size) const {
  const std::uint64_t end = checked_add(address, size).value_or(UINT64_MAX);
  return size != 0 &&
         (address < memory_.low || (end > kHighMemoryBase && address < kHighMemoryBase + memory_.high));
}

}  // namespace vmsnap::compat::bhyve
