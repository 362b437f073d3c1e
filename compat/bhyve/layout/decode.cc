// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace vmsnap::compat::bhyve {
namespace {

class ChunkBytes final : public FieldSource {
 public:
  explicit ChunkBytes(ByteView chunk) : chunk_(chunk) {}

  Result<void> take(const Field& field) override {
    if (field.size <= chunk_.size() - field.offset) return {};
    return Error(
        ErrorKind::kTruncated,
        fmt::format("the chunk has {} bytes and ends in this field, which has {} bytes from byte {} on; the "
                    "file is cut off, or the chunk is not of the shape assumed",
                    chunk_.size(), field.size, field.offset));
  }

  Result<std::uint64_t> list_size(const Field& field) override {
    const std::size_t each = size_of(field.item->type);
    const ByteView rest = chunk_.subspan(field.offset);
    for (std::size_t end = each; end <= rest.size(); end += each) {
      if (load_number(field.item->type, rest.subspan(end - each)).bits == ~std::uint64_t{0}) return end;
    }
    return Error(
        ErrorKind::kTruncated,
        fmt::format("the chunk has {} bytes and ends in this list, which begins at byte {} and goes on up to "
                    "a -1; the file is cut off, or the chunk is not of the shape assumed",
                    chunk_.size(), field.offset));
  }

  [[nodiscard]] ByteView bytes() const override { return chunk_; }
  [[nodiscard]] std::optional<ByteView> rest(std::uint64_t offset) const override {
    return chunk_.subspan(offset);
  }

 private:
  ByteView chunk_;
};

}  // namespace

Decoded::Decoded(const Layout& layout, ByteView chunk, Walked walked)
    : layout_(&layout), chunk_(chunk), walked_(std::move(walked)), by_path_(walked_.fields.size()) {
  std::iota(by_path_.begin(), by_path_.end(), 0u);
  std::sort(by_path_.begin(), by_path_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return walked_.fields[a].path < walked_.fields[b].path;
  });
}

const Field* Decoded::find(std::string_view path) const {
  const auto found = std::lower_bound(
      by_path_.begin(), by_path_.end(), path,
      [&](std::uint32_t i, std::string_view wanted) { return walked_.fields[i].path < wanted; });
  if (found == by_path_.end() || walked_.fields[*found].path != path) return nullptr;
  return &walked_.fields[*found];
}

std::optional<ByteView> Decoded::bytes(std::string_view path) const {
  const Field* field = find(path);
  if (field == nullptr) return std::nullopt;
  return bytes(*field);
}

std::optional<Number> Decoded::number(std::string_view path, std::size_t index) const {
  const Field* field = find(path);
  if (field == nullptr || index >= field->count()) return std::nullopt;
  return load_number(field->item->type, bytes(*field), index);
}

Result<Decoded> decode(const Layout& layout, const Context& context, ByteView chunk) {
  ChunkBytes source(chunk);
  VMSNAP_ASSIGN_OR_RETURN(auto walked, walk(layout, context, source));
  return Decoded(layout, chunk, std::move(walked));
}

}  // namespace vmsnap::compat::bhyve
