// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/machine.h"

#include <fmt/format.h>

#include <algorithm>

#include "versions/versions.h"

namespace vmsnap::compat::bhyve {

Result<const reflect::SchemaModel*> Machine::model(std::string_view type) {
  if (const auto known = models_.find(type); known != models_.end()) return known->second.get();
  const std::vector<ChunkType> types = frozen_device_chunk_types();
  const ChunkType* newest = newest_of(types, type);
  if (newest == nullptr) return Error(ErrorKind::kInternal, fmt::format("there is no chunk type {}", type));
  VMSNAP_ASSIGN_OR_RETURN(auto loaded, reflect::SchemaModel::load(newest->schema));
  auto owned = std::make_unique<reflect::SchemaModel>(std::move(loaded));
  return models_.emplace(type, std::move(owned)).first->second.get();
}

StateTree* Machine::find(std::string_view path) const {
  for (const auto& device : devices_) {
    if (device->path == path) return &device->state;
  }
  return nullptr;
}

Result<StateTree*> Machine::need(std::string_view path) const {
  StateTree* state = find(path);
  if (state != nullptr) return state;
  return Error(ErrorKind::kInvalidState, "the snapshot has no such device, which bhyve's file needs")
      .in_device(path);
}

Result<StateTree*> Machine::device(std::string_view path, std::string_view type) {
  if (std::find(used_.begin(), used_.end(), path) == used_.end()) used_.emplace_back(path);
  for (const auto& device : devices_) {
    if (device->path != path) continue;
    if (device->type == type) return &device->state;
    return Error(ErrorKind::kInternal, fmt::format("a {} stands where a {} belongs", device->type, type))
        .in_device(path);
  }
  VMSNAP_ASSIGN_OR_RETURN(const reflect::SchemaModel* schema, model(type));
  devices_.push_back(std::make_unique<MachineDevice>(
      MachineDevice{std::string(path), std::string(type), StateTree(*schema)}));
  return &devices_.back()->state;
}

Result<void> Machine::add(std::string_view path, std::string_view type, ByteView state) {
  VMSNAP_ASSIGN_OR_RETURN(const reflect::SchemaModel* schema, model(type));
  auto tree = StateTree::decode(*schema, state);
  if (!tree) return std::move(tree).error().in_device(path);
  VMSNAP_ASSIGN_OR_RETURN(StateTree * place, device(path, type));
  *place = std::move(*tree);
  return {};
}

}  // namespace vmsnap::compat::bhyve
