// SPDX-License-Identifier: BSD-2-Clause
// Reading a chunk along its layout.
#pragma once

#include "bhyve/layout/walk.h"

namespace vmsnap::compat::bhyve {

/// The fields of a chunk in order. Borrows the bytes of the chunk and its layout, which must outlive it. A
/// value type; const use from several threads is safe.
class Decoded {
 public:
  [[nodiscard]] const Layout& layout() const { return *layout_; }
  /// What the chunk was decoded with, and the counts that decoding found.
  [[nodiscard]] const Context& context() const { return walked_.context; }
  [[nodiscard]] std::span<const Field> fields() const { return walked_.fields; }
  /// What follows the last field, which bhyve ignores; borrowed from the chunk.
  [[nodiscard]] ByteView trailing() const { return chunk_.subspan(walked_.size); }

  /// nullptr when the chunk has no field of that path. O(log n).
  [[nodiscard]] const Field* find(std::string_view path) const;
  /// Of a field of this object; borrowed from the chunk.
  [[nodiscard]] ByteView bytes(const Field& field) const { return chunk_.subspan(field.offset, field.size); }
  /// Nothing when there is no field of that path.
  [[nodiscard]] std::optional<ByteView> bytes(std::string_view path) const;
  /// Value `index` of the field. Nothing when there is no field of that path or it has fewer values.
  [[nodiscard]] std::optional<Number> number(std::string_view path, std::size_t index = 0) const;

 private:
  friend Result<Decoded> decode(const Layout& layout, const Context& context, ByteView chunk);
  Decoded(const Layout& layout, ByteView chunk, Walked walked);

  const Layout* layout_;
  ByteView chunk_;
  Walked walked_;
  std::vector<std::uint32_t> by_path_;  // indices of fields, in order of path
};

/// Decodes what was found in a file: any bytes are safe. Truncated names the field in which the chunk ends;
/// Corrupt a count that cannot be; LimitExceeded a chunk of too many fields (kMaxFields); Unsupported a part
/// whose length nobody knows; InvalidState a count that the context lacks. Values are not judged.
[[nodiscard]] Result<Decoded> decode(const Layout& layout, const Context& context, ByteView chunk);

}  // namespace vmsnap::compat::bhyve
