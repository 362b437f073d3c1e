// SPDX-License-Identifier: BSD-2-Clause
// The chunks of the vCPUs of one machine, which share their devices, through their mappings both ways.
#pragma once

#include <deque>

#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {

class VcpuMachine {
 public:
  VcpuMachine(Vendor vendor, std::uint32_t vcpus) : vendor_(vendor), machine_(vcpus, vendor, memory_) {
    context_.vcpus = vcpus;
    context_.cpuset_longs = 16;
  }

  /// Adds a chunk in which everything but `items` is 0.
  VcpuMachine& with(std::string_view chunk, std::string_view shape, const ItemValues& items = {}) {
    const Layout* layout = find_layout(chunk, shape);
    if (layout == nullptr) {
      ADD_FAILURE() << "no layout " << chunk << " " << shape;
      std::abort();
    }
    return with(*layout, encode_items(*layout, context_, items));
  }
  VcpuMachine& with(const Layout& layout, ByteVector bytes) {
    chunks_.push_back({&layout, std::move(bytes)});
    return *this;
  }

  /// All chunks in the order of the mappings.
  [[nodiscard]] Result<void> up() {
    for (const Mapping* mapping : all_mappings()) {
      for (const Chunk& chunk : chunks_) {
        if (chunk.layout->chunk != mapping->chunk) continue;
        VMSNAP_ASSIGN_OR_RETURN(const Decoded decoded, decode(*chunk.layout, context_, chunk.bytes));
        VMSNAP_RETURN_IF_ERROR(mapping->up(SourceChunk{decoded, vendor_, {}}, machine_));
      }
    }
    return {};
  }

  /// Paths of the items that do not come back as they were, in the order of the chunk: of records of vCPUs
  /// that the machine has.
  [[nodiscard]] Result<std::vector<std::string>> kept(std::string_view name) {
    for (const Chunk& chunk : chunks_) {
      if (chunk.layout->chunk != name) continue;
      VMSNAP_ASSIGN_OR_RETURN(const Decoded decoded, decode(*chunk.layout, context_, chunk.bytes));
      VMSNAP_ASSIGN_OR_RETURN(values, down(*chunk.layout));
      std::vector<std::string> paths;
      for (const Field& field : decoded.fields()) {
        if (vcpu_of(field) >= machine_.vcpus()) continue;
        const Values::Value* value = values.find(field.path);
        if (value == nullptr || !is_same(*value, field, decoded.bytes(field))) paths.push_back(field.path);
      }
      return paths;
    }
    return Error(ErrorKind::kInternal, "no such chunk");
  }

  /// What the mapping gives for a chunk of any shape, whether it was read or not.
  [[nodiscard]] Result<Values> down(const Layout& layout) {
    Context context = context_;
    TargetChunk target{layout, context, vendor_, {}, std::nullopt, {}};
    VMSNAP_RETURN_IF_ERROR(find_mapping(layout.chunk)->down(machine_, target));
    return std::move(target.values);
  }

  template <typename T>
  [[nodiscard]] T field(std::string_view device, std::string_view path) const {
    const StateTree* state = machine_.find(device);
    if (state == nullptr) {
      ADD_FAILURE() << "no device " << device;
      return {};
    }
    const auto value = state->get<T>(path);
    EXPECT_TRUE(value) << value.error().to_string();
    return value ? *value : T{};
  }
  [[nodiscard]] std::uint64_t cpu(std::string_view path, std::uint32_t index = 0) const {
    const auto value =
        field<std::optional<std::uint64_t>>(index == 0 ? "cpu0" : "cpu" + std::to_string(index), path);
    EXPECT_TRUE(value) << path << " is absent";
    return value.value_or(0);
  }

  [[nodiscard]] Machine& machine() { return machine_; }

  Context context_;
  Values values;  // of the last kept()

 private:
  struct Chunk {
    const Layout* layout;
    ByteVector bytes;
  };

  /// 0 for a field of no vCPU.
  [[nodiscard]] static std::uint64_t vcpu_of(const Field& field) {
    constexpr std::string_view kRecord = "vcpu[";
    return field.path.starts_with(kRecord) ? std::stoull(field.path.substr(kRecord.size())) : 0;
  }
  [[nodiscard]] static bool is_same(const Values::Value& value, const Field& field, ByteView was) {
    if (const auto* bytes = std::get_if<ByteVector>(&value.content)) {
      return std::equal(bytes->begin(), bytes->end(), was.begin(), was.end());
    }
    return field.count() == 1 &&
           load_number(field.item->type, was).bits == std::get<std::uint64_t>(value.content);
  }

  Vendor vendor_;
  FakeGuestMemory memory_;
  Machine machine_;
  std::deque<Chunk> chunks_;
};

}  // namespace vmsnap::compat::bhyve
