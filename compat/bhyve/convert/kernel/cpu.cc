// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/kernel/cpu.h"

#include <fmt/format.h>

#include <optional>

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kApicBaseX2 = 1u << 10;

constexpr std::string_view kCpuTables[] = {"cs", "ds",   "es",   "fs",   "gs",    "ss",
                                           "tr", "ldtr", "gdtr", "idtr", "events"};

constexpr std::string_view kVectorRegisters[] = {"isr", "tmr", "irr"};
constexpr std::size_t kVectorWords = 8;

// The legacy region and the header of the XSAVE area (Intel SDM Vol. 1, 13.4) after a reset.
constexpr std::size_t kXsaveSize = 576, kFcwOffset = 0, kMxcsrOffset = 24;
constexpr std::uint16_t kInitialFcw = 0x37f;
constexpr std::uint32_t kInitialMxcsr = 0x1f80;

Result<void> set_initial_xsave(StateTree& cpu) {
  std::vector<std::uint8_t> area(kXsaveSize);
  const MutableByteView bytes = std::as_writable_bytes(std::span(area));
  store_le(bytes, kFcwOffset, kInitialFcw);
  store_le(bytes, kMxcsrOffset, kInitialMxcsr);
  return cpu.set("xsave_area", area);
}

/// Nothing when the layout has no such records.
std::optional<std::uint64_t> records_of(const Layout& layout, const Context& context) {
  for (const Item& item : layout.items()) {
    if (item.name == "vcpu") return item.is_per_vcpu ? item.count.fixed : context.vcpus.value_or(0);
  }
  return std::nullopt;
}

}  // namespace

std::string cpu_path(std::uint32_t index) {
  return fmt::format("cpu{}", index);
}

std::string lapic_path(std::uint32_t index) {
  return fmt::format("cpu{}/lapic", index);
}

std::string vcpu_prefix(std::uint32_t index) {
  return fmt::format("vcpu[{}].", index);
}

Result<StateTree*> cpu_of(Machine& machine, std::uint32_t index) {
  const std::string path = cpu_path(index);
  const bool is_known = machine.find(path) != nullptr;
  VMSNAP_ASSIGN_OR_RETURN(StateTree * cpu, machine.device(path, "x86_cpu"));
  if (is_known) return cpu;
  VMSNAP_RETURN_IF_ERROR(cpu->set("index", index));
  for (const std::string_view table : kCpuTables) VMSNAP_RETURN_IF_ERROR(cpu->make(table));
  VMSNAP_RETURN_IF_ERROR(set_initial_xsave(*cpu));
  return cpu;
}

Result<StateTree*> lapic_of(Machine& machine, std::uint32_t index) {
  const std::string path = lapic_path(index);
  const bool is_known = machine.find(path) != nullptr;
  // A device comes after the one it is part of.
  if (machine.find(cpu_path(index)) == nullptr) VMSNAP_RETURN_IF_ERROR(cpu_of(machine, index));
  VMSNAP_ASSIGN_OR_RETURN(StateTree * lapic, machine.device(path, "lapic"));
  if (is_known) return lapic;
  for (const std::string_view field : kVectorRegisters) {
    VMSNAP_RETURN_IF_ERROR(lapic->set(field, std::vector<std::uint32_t>(kVectorWords)));
  }
  return lapic;
}

Result<void> need_records(const SourceChunk& chunk, const Machine& machine) {
  const auto records = records_of(chunk.decoded.layout(), chunk.decoded.context());
  if (!records || *records >= machine.vcpus()) return {};
  return Error(ErrorKind::kCorrupt,
               fmt::format("the chunk {} has records of {} vCPUs, and the machine has {}; compare ncpus of "
                           "the .meta file with the size of the chunk",
                           chunk.decoded.layout().chunk, *records, machine.vcpus()));
}

Result<void> need_room(const Machine& machine, const TargetChunk& chunk) {
  const auto records = records_of(chunk.layout, chunk.context);
  if (!records || *records >= machine.vcpus()) return {};
  return Error(
      ErrorKind::kUnsupported,
      fmt::format("the chunk {} has room for {} vCPUs in this shape, and the machine has {}; write a "
                  "set of another shape",
                  chunk.layout.chunk, *records, machine.vcpus()));
}

Result<bool> is_x2apic(const StateTree& lapic) {
  VMSNAP_ASSIGN_OR_RETURN(const auto base, lapic.get<std::uint64_t>("apic_base"));
  return (base & kApicBaseX2) != 0;
}

}  // namespace vmsnap::compat::bhyve
