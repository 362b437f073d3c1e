// SPDX-License-Identifier: BSD-2-Clause
// Writing a chunk along its layout.
#pragma once

#include <functional>
#include <variant>

#include "bhyve/layout/walk.h"

namespace vmsnap::compat::bhyve {

/// Bytes of a chunk that encode() makes: what a reader takes, too.
inline constexpr std::uint64_t kMaxEncodedSize = std::uint64_t{64} << 20;

/// A number for a field of one value, or the bytes of any field as they are to be stored.
using FieldValue = std::variant<std::uint64_t, std::int64_t, ByteView>;

/// Asked once or twice for every field in order; a view it returns is used before it is asked again. The
/// field's path, item and offset are set; its size too, but for lists up to a -1, whose bytes must end with
/// the only -1. Nothing means that the caller has no such field.
using FieldLookup = std::function<std::optional<FieldValue>(const Field&)>;

/// The bytes of a chunk; decode() of them gives what the lookup gave. InvalidState, naming the field, when
/// the lookup has no value or one that does not fit, or when the context lacks a count; Corrupt for a
/// negative count, LimitExceeded beyond kMaxFields fields or kMaxEncodedSize bytes, before the lookup is
/// asked for a field that is too large.
[[nodiscard]] Result<ByteVector> encode(const Layout& layout, const Context& context,
                                        const FieldLookup& lookup);

}  // namespace vmsnap::compat::bhyve
