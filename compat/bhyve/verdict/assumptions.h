// SPDX-License-Identifier: BSD-2-Clause
// What a person decides where a set does not say it, or says it wrongly.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "bhyve/verdict/generation.h"

namespace vmsnap::compat::bhyve {

/// Value type.
class Assumptions {
 public:
  /// Each text is AXIS=SHAPE. Besides the axes of a verdict there are generation, which gives every axis that
  /// is not named itself the shape of that generation, vendor, and ncpus. Errors: Usage, with what there is;
  /// also when an axis is named twice.
  [[nodiscard]] static Result<Assumptions> parse(std::span<const std::string> texts);

  /// What was said about the axis itself, or about "vendor" or "ncpus".
  [[nodiscard]] std::optional<std::string> said(std::string_view name) const;
  /// The same, or else what the assumed generation writes.
  [[nodiscard]] std::optional<std::string> shape(std::string_view axis, Vendor vendor) const;
  [[nodiscard]] std::optional<std::uint64_t> number(std::string_view name) const;
  [[nodiscard]] std::optional<Generation> generation() const;
  [[nodiscard]] std::optional<Vendor> vendor() const;
  [[nodiscard]] bool empty() const { return said_.empty(); }
  /// AXIS=SHAPE of all, for a person.
  [[nodiscard]] std::string text() const;

 private:
  std::map<std::string, std::string, std::less<>> said_;
};

}  // namespace vmsnap::compat::bhyve
