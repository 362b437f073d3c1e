// SPDX-License-Identifier: BSD-2-Clause
// Comparison by what data says. The same content has many encodings (order of building, shared parts,
// defaults stored or not), so the bytes of two FlatBuffers say nothing about equality.
#pragma once

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "reflect/limits.h"
#include "reflect/schema_model.h"

namespace vmsnap::reflect {

/// XXH3-128 over a canonical rendering of the values; a default counts the same, stored or not. Comparable
/// within one version of one schema. Errors: those of walk(); Unsupported when the data holds fields or union
/// members that the schema does not know, since their content is not known either.
[[nodiscard]] Result<Digest128> content_digest(const SchemaModel& model, ByteView data,
                                               const Limits& limits = {});

/// True when the digests of both are equal. Errors: as above.
[[nodiscard]] Result<bool> equal_by_content(const SchemaModel& model, ByteView a, ByteView b,
                                            const Limits& limits = {});

}  // namespace vmsnap::reflect
