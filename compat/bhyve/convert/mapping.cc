// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/mapping.h"

#include <fmt/format.h>

#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

Error no_such_item(std::string_view path) {
  return Error(ErrorKind::kInternal, fmt::format("the layout has no item {}", path)).in_field(path);
}

}  // namespace

Result<std::uint64_t> SourceChunk::number(std::string_view path, std::size_t index) const {
  const auto found = decoded.number(path, index);
  if (!found) return no_such_item(path);
  return found->bits;
}

Result<ByteView> SourceChunk::bytes(std::string_view path) const {
  const auto found = decoded.bytes(path);
  if (!found) return no_such_item(path);
  return *found;
}

const Values::Value* Values::find(std::string_view path) const {
  const auto found = values_.find(path);
  return found == values_.end() ? nullptr : &found->second;
}

const std::string* Values::find_left_out(std::string_view path) const {
  const auto found = left_out_.find(path);
  return found == left_out_.end() ? nullptr : &found->second;
}

void Values::prefer(std::string_view path, std::string loss) {
  const auto found = values_.find(path);
  if (found == values_.end()) return;
  found->second.is_preferred = true;
  found->second.loss = std::move(loss);
}

const Mapping* find_mapping(std::string_view chunk) {
  for (const Mapping* mapping : all_mappings()) {
    if (mapping->chunk == chunk) return mapping;
  }
  return nullptr;
}

}  // namespace vmsnap::compat::bhyve
