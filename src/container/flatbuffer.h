// SPDX-License-Identifier: BSD-2-Clause
// The bounded way to look at a FlatBuffer that comes from a file, when its schema is compiled in.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <cstdint>

#include "base/bytes.h"
#include "base/fourcc.h"
#include "base/result.h"
#include "container/vector_alignment.h"
#include "format/constants.h"

namespace vmsnap {

/// True when `bytes` say that they are a FlatBuffer of a chunk of that type. Nothing else of them is
/// verified.
[[nodiscard]] inline bool has_identifier(ByteView bytes, FourCc identifier) {
  return bytes.size() >= 8 && load_le<std::uint32_t>(bytes, 4) == identifier.value();
}

/// The root table of `meta` after a bounded verification; borrowed from `meta`, which must be aligned as the
/// heap aligns. Values (enums, lengths, text) are still the caller's to check. `Root` is a generated table.
/// Errors: Corrupt; LimitExceeded (over 16 MiB).
template <typename Root>
[[nodiscard]] Result<const Root*> verified_root(ByteView meta, FourCc identifier) {
  if (meta.size() > kMaxMetaSize) {
    return Error(ErrorKind::kLimitExceeded, "the meta is larger than the 16 MiB that the format allows");
  }
  if (meta.size() < 12 || !has_identifier(meta, identifier)) {
    return Error(ErrorKind::kCorrupt, "the meta is not a FlatBuffer of the chunk's type");
  }
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(meta.data());
  const auto max_tables =
      static_cast<flatbuffers::uoffset_t>(std::min<std::size_t>(8 * meta.size(), 200'000));
  flatbuffers::Verifier verifier(bytes, meta.size(), 32, max_tables);
  if (!verifier.VerifyBuffer<Root>(nullptr) || !vectors_are_aligned(*flatbuffers::GetRoot<Root>(bytes))) {
    return Error(ErrorKind::kCorrupt, "the meta is not a sound FlatBuffer of the chunk's schema");
  }
  return flatbuffers::GetRoot<Root>(bytes);
}

/// The finished bytes of a builder as an owned vector.
[[nodiscard]] inline ByteVector take_bytes(const flatbuffers::FlatBufferBuilder& builder) {
  const auto* begin = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {begin, begin + builder.GetSize()};
}

}  // namespace vmsnap
