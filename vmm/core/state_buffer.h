// SPDX-License-Identifier: BSD-2-Clause
// What everything with state does with the FlatBuffer of it before it looks at a field, and after it has
// filled one in.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/fourcc.h"
#include "base/result.h"
#include "container/flatbuffer.h"

namespace vmsnap::vmm {

/// The largest state a device writes or accepts, in bytes (the cap of a chunk's meta).
inline constexpr std::size_t kMaxStateSize = std::size_t{16} << 20;

/// Errors about one field of a state; the device adds its place and its chunk type.
[[nodiscard]] inline Error corrupt_field(std::string_view field, std::string sentence) {
  return Error(ErrorKind::kCorrupt, std::move(sentence)).in_field(field);
}
[[nodiscard]] inline Error unsupported_field(std::string_view field, std::string sentence) {
  return Error(ErrorKind::kUnsupported, std::move(sentence)).in_field(field);
}

/// Verifies the structure of a state of any origin and unpacks it. `Root` is the generated table type,
/// `identifier` its file identifier. Says nothing about the values: the device checks each field.
/// Errors: LimitExceeded (size), Corrupt.
template <typename Root>
[[nodiscard]] Result<std::unique_ptr<typename Root::NativeTableType>> unpack_state(ByteView state,
                                                                                   const char* identifier) {
  if (state.size() > kMaxStateSize) {
    return Error(ErrorKind::kLimitExceeded, "the state has " + std::to_string(state.size()) +
                                                " bytes, more than the 16 MiB a device may have");
  }
  // The caller's bytes may be a mapped file that changes underneath; and the copy is aligned.
  const ByteVector copy(state.begin(), state.end());
  const FourCc type(load_le<std::uint32_t>(as_byte_view(identifier, sizeof(std::uint32_t)), 0));
  VMSNAP_ASSIGN_OR_RETURN(const Root* root, verified_root<Root>(copy, type));
  return std::unique_ptr<typename Root::NativeTableType>(root->UnPack());
}

/// The outline of every Device::restore(): unpacks `state`, hands it to `take`, and says in every error which
/// device (`path`) and chunk it is about. `take(const NativeTableType&)` validates, then assigns; it returns
/// Result<void>. Errors: as unpack_state(), and those of `take`.
template <typename Root, typename Take>
[[nodiscard]] Result<void> restore_state(ByteView state, const char* identifier, std::string_view path,
                                         const Take& take) {
  const auto restore = [&]() -> Result<void> {
    VMSNAP_ASSIGN_OR_RETURN(const auto unpacked, unpack_state<Root>(state, identifier));
    return take(*unpacked);
  };
  auto restored = restore();
  if (!restored) return std::move(restored).error().in_chunk(identifier).in_device(path);
  return {};
}

/// The FlatBuffer of a state. The same content gives the same bytes. `Native` is the generated object type.
/// Errors: Internal when it would be larger than any reader accepts.
template <typename Native>
[[nodiscard]] Result<ByteVector> pack_state(const Native& state, const char* identifier) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(Native::TableType::Pack(builder, &state), identifier);
  if (builder.GetSize() > kMaxStateSize) {
    return Error(ErrorKind::kInternal,
                 "the state of the device is larger than the 16 MiB a snapshot may hold");
  }
  const ByteView bytes = as_byte_view(builder.GetBufferPointer(), builder.GetSize());
  return ByteVector(bytes.begin(), bytes.end());
}

}  // namespace vmsnap::vmm
