// SPDX-License-Identifier: BSD-2-Clause
// The kinds of text that metas hold (docs/format.md, section 8).
#pragma once

#include <cstddef>
#include <string_view>

namespace vmsnap {

/// True for the path of a device: 1 to 255 printable ASCII characters without blanks.
[[nodiscard]] bool is_path(std::string_view text);

/// True for the name of a feature, a slot or a segment.
[[nodiscard]] bool is_name(std::string_view text);

/// True for free text: UTF-8 without NUL, of at most `limit` bytes.
[[nodiscard]] bool is_text(std::string_view text, std::size_t limit);

/// As much of the beginning as `limit` bytes hold, without a part of a UTF-8 character at its end. What is
/// not UTF-8 may be cut anywhere.
[[nodiscard]] std::string_view cut_text(std::string_view text, std::size_t limit);

}  // namespace vmsnap
