// SPDX-License-Identifier: BSD-2-Clause
// The chunks of the vCPUs of one machine, which share their devices, through their mappings both ways.
#pragma once

#include <deque>

#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {

class VcpuMachine {
 public:
  VcpuMachine(Vendor vendor, std::uint32_t vcpus) : vendor_(vendor), machine_(vcpus, vendor, memory_) {
    context.vcpus = vcpus;
    context.cpuset_longs = 16;
  }

  /// Adds a chunk in which everything but `items` is 0.
  VcpuMachine& with(std::string_view chunk, std::string_view shape, const ItemValues& items = {}) {
    const Layout* layout = find_layout(chunk, shape);
    if (layout == nullptr) {
      ADD_FAILURE() << "no layout " << chunk << " " << shape;
      std::abort();
    }
    return with(*layout, encode_items(*layout, context, items));
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
        VMSNAP_ASSIGN_OR_RETURN(const Decoded decoded, decode(*chunk.layout, context, chunk.bytes));
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
      VMSNAP_ASSIGN_OR_RETURN(const Decoded decoded, decode(*chunk.layout, context, chunk.bytes));
      VMSNAP_ASSIGN_OR_RETURN(values, down(*chunk.layout));
      std::vector<std::string> paths = paths_to_keep(decoded, values);
      std::erase_if(paths, [&](const std::string& path) { return vcpu_of(path) >= machine_.vcpus(); });
      return paths;
    }
    return Error(ErrorKind::kInternal, "no such chunk");
  }

  /// What the mapping gives for a chunk of any shape, whether it was read or not.
  [[nodiscard]] Result<Values> down(const Layout& layout) {
    Context counts = context;
    TargetChunk target{layout, counts, vendor_, {}, std::nullopt, {}};
    VMSNAP_RETURN_IF_ERROR(find_mapping(layout.chunk)->down(machine_, target));
    return std::move(target.values);
  }

  template <typename T>
  [[nodiscard]] T field(std::string_view device, std::string_view path) const {
    return field_of<T>(machine_, device, path);
  }
  [[nodiscard]] std::uint64_t cpu(std::string_view path, std::uint32_t index = 0) const {
    const auto value =
        field<std::optional<std::uint64_t>>(index == 0 ? "cpu0" : "cpu" + std::to_string(index), path);
    EXPECT_TRUE(value) << path << " is absent";
    return value.value_or(0);
  }

  [[nodiscard]] Machine& machine() { return machine_; }

  Context context;  // the counts of all chunks
  Values values;    // of the last kept()

 private:
  struct Chunk {
    const Layout* layout;
    ByteVector bytes;
  };

  /// 0 for an item of no vCPU.
  [[nodiscard]] static std::uint64_t vcpu_of(const std::string& path) {
    constexpr std::string_view kRecord = "vcpu[";
    return path.starts_with(kRecord) ? std::stoull(path.substr(kRecord.size())) : 0;
  }

  Vendor vendor_;
  FakeGuestMemory memory_;
  Machine machine_;
  std::deque<Chunk> chunks_;
};

}  // namespace vmsnap::compat::bhyve
