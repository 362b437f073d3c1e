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

void Values::mark_shared(std::string_view path) {
  if (const auto found = values_.find(path); found != values_.end()) found->second.is_shared = true;
}

const Mapping* find_mapping(std::string_view chunk) {
  for (const Mapping* mapping : all_mappings()) {
    if (mapping->chunk == chunk) return mapping;
  }
  return nullptr;
}

}  // namespace vmsnap::compat::bhyve
