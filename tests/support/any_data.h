// SPDX-License-Identifier: BSD-2-Clause
// Data of any type, made from its schema alone: what a round trip, a printer or a fuzz seed needs when the
// type is not known in advance.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "reflect/schema_model.h"

namespace vmsnap::reflect {

struct AnyDataOptions {
  std::uint64_t seed = 1;
  bool every_field = true;        // else each field that is not required is left out half of the time
  std::uint32_t vector_size = 3;  // elements of each vector
  std::uint32_t max_depth = 4;    // tables nest no deeper where they need not
};

/// A FlatBuffer that the schema's generated verifier accepts. Bools are 0 or 1, enums and unions hold known
/// values, strings are ASCII.
[[nodiscard]] ByteVector make_any_data(const SchemaModel& model, const AnyDataOptions& options = {});

}  // namespace vmsnap::reflect
