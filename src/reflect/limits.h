// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>

namespace vmsnap::reflect {

/// Bounds on what a reader spends on a schema or on data that it has been given. Exceeding one is an error
/// of kind LimitExceeded, or, for output of text, a marked cut.
struct Limits {
  std::size_t max_schema_size = std::size_t{1} << 20;  // bytes of a binary schema
  std::size_t max_data_size = std::size_t{16} << 20;   // bytes of a FlatBuffer; never more than 2^31 - 1
  std::uint32_t max_depth = 32;                        // nesting of tables and structs
  // Values visited in one walk; a vector of numbers counts one more for each 64 bytes, a string for each 16.
  // Parts of a FlatBuffer may be shared, so the size of the data alone bounds nothing.
  std::uint64_t max_nodes = std::uint64_t{1} << 23;
};

}  // namespace vmsnap::reflect
