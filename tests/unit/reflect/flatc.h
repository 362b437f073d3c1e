// SPDX-License-Identifier: BSD-2-Clause
// Schemas and data for tests, written where they are used and compiled by flatc when the test runs.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "reflect/schema_model.h"

namespace vmsnap::reflect {

/// The .bfbs of a schema, with comments and built-in attributes as the build makes them. `fbs` may use the
/// attributes of schema/common/attributes.fbs without declaring them. Aborts, with flatc's words, when flatc
/// refuses it.
[[nodiscard]] ByteVector compile_schema(std::string_view fbs);

/// The FlatBuffer that `json` describes.
[[nodiscard]] ByteVector compile_data(std::string_view fbs, std::string_view json);

/// True when `flatc --conform` accepts `current` as a successor of `frozen`.
[[nodiscard]] bool flatc_conforms(std::string_view frozen, std::string_view current);

/// The model of a schema that must load.
[[nodiscard]] SchemaModel compile_model(std::string_view fbs);

}  // namespace vmsnap::reflect
