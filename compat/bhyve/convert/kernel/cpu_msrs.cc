// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/kernel/cpu_msrs.h"

#include <fmt/format.h>

#include <optional>

namespace vmsnap::compat::bhyve {
namespace {

constexpr Row kMtrrRows[] = {
    {"mtrr.def_type", "memory_types.mtrr_def_type"},
    {"mtrr.fixed64k", "memory_types.mtrr_fix64k_00000"},
};

/// The fields that hold the numbers of one array.
struct FixedRange {
  std::string_view item;
  std::span<const std::string_view> fields;
};
constexpr std::string_view kFixed4k[] = {
    "memory_types.mtrr_fix4k_c0000", "memory_types.mtrr_fix4k_c8000", "memory_types.mtrr_fix4k_d0000",
    "memory_types.mtrr_fix4k_d8000", "memory_types.mtrr_fix4k_e0000", "memory_types.mtrr_fix4k_e8000",
    "memory_types.mtrr_fix4k_f0000", "memory_types.mtrr_fix4k_f8000",
};
constexpr std::string_view kFixed16k[] = {
    "memory_types.mtrr_fix16k_80000",
    "memory_types.mtrr_fix16k_a0000",
};
constexpr FixedRange kFixedRanges[] = {
    {"mtrr.fixed4k", kFixed4k},
    {"mtrr.fixed16k", kFixed16k},
};

constexpr std::uint64_t kVariableMtrrs = 10;
constexpr Row kVariableRows[] = {
    {"base", "base"},
    {"mask", "mask"},
};

struct NumberedMsr {
  std::string_view item;
  std::uint32_t index;
};
/// In rising order, as other_msrs has them.
constexpr NumberedMsr kLastBranch[] = {
    {"br_from", 0x1db},
    {"br_to", 0x1dc},
    {"int_from", 0x1dd},
    {"int_to", 0x1de},
};

Result<std::string> variable_mtrr(const StateTree& cpu, std::uint64_t number) {
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t count, cpu.count("memory_types.variable_mtrrs"));
  for (std::size_t i = 0; i < count; ++i) {
    std::string element = fmt::format("memory_types.variable_mtrrs[{}].", i);
    VMSNAP_ASSIGN_OR_RETURN(const auto found, cpu.get<std::uint8_t>(element + "number"));
    if (found == number) return element;
  }
  return std::string();
}

/// Those of a guest that never set them up say nothing.
Result<void> lose_mtrrs(const StateTree& cpu, Values& values) {
  VMSNAP_ASSIGN_OR_RETURN(const auto type, cpu.get<std::optional<std::uint64_t>>(kMtrrRows[0].field));
  if (type.value_or(0) == 0) return {};
  values.lose(
      "bhyve before main of 2024 does not keep MTRRs: a guest that reads them finds what its next "
      "host starts with, not what it wrote when it booted");
  return {};
}

}  // namespace

Result<void> mtrrs_up(const SourceChunk& chunk, std::string_view vcpu, StateTree& cpu) {
  if (chunk.decoded.find(fmt::format("{}mtrr.def_type", vcpu)) == nullptr) return {};
  VMSNAP_RETURN_IF_ERROR(carry_up(kMtrrRows, chunk, vcpu, cpu, ""));
  for (const FixedRange& range : kFixedRanges) {
    for (std::size_t i = 0; i < range.fields.size(); ++i) {
      VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t types,
                              chunk.number(fmt::format("{}{}", vcpu, range.item), i));
      VMSNAP_RETURN_IF_ERROR(cpu.set(range.fields[i], types));
    }
  }
  VMSNAP_RETURN_IF_ERROR(cpu.clear("memory_types.variable_mtrrs"));
  for (std::uint64_t n = 0; n < kVariableMtrrs; ++n) {
    VMSNAP_RETURN_IF_ERROR(cpu.append("memory_types.variable_mtrrs"));
    const std::string element = fmt::format("memory_types.variable_mtrrs[{}].", n);
    VMSNAP_RETURN_IF_ERROR(cpu.set(element + "number", n));
    VMSNAP_RETURN_IF_ERROR(
        carry_up(kVariableRows, chunk, fmt::format("{}mtrr.var[{}].", vcpu, n), cpu, element));
  }
  return {};
}

Result<void> mtrrs_down(const StateTree& cpu, std::string_view vcpu, TargetChunk& chunk) {
  Values& values = chunk.values;
  if (!has_item(chunk.layout.items(), kMtrrRows[0].item)) return lose_mtrrs(cpu, values);
  VMSNAP_RETURN_IF_ERROR(carry_down(kMtrrRows, cpu, "", values, vcpu));
  for (const FixedRange& range : kFixedRanges) {
    ByteVector bytes(range.fields.size() * sizeof(std::uint64_t));
    bool is_complete = true;
    for (std::size_t i = 0; i < range.fields.size(); ++i) {
      VMSNAP_ASSIGN_OR_RETURN(const auto types, cpu.get<std::optional<std::uint64_t>>(range.fields[i]));
      is_complete = is_complete && types.has_value();
      store_le<std::uint64_t>(bytes, i * sizeof(std::uint64_t), types.value_or(0));
    }
    if (is_complete) values.map(fmt::format("{}{}", vcpu, range.item), std::move(bytes));
  }
  for (std::uint64_t n = 0; n < kVariableMtrrs; ++n) {
    VMSNAP_ASSIGN_OR_RETURN(const std::string element, variable_mtrr(cpu, n));
    if (element.empty()) continue;
    VMSNAP_RETURN_IF_ERROR(
        carry_down(kVariableRows, cpu, element, values, fmt::format("{}mtrr.var[{}].", vcpu, n)));
  }
  return {};
}

Result<void> last_branch_up(const SourceChunk& chunk, std::string_view record, StateTree& cpu) {
  if (chunk.decoded.find(fmt::format("{}br_from", record)) == nullptr) return {};
  VMSNAP_RETURN_IF_ERROR(cpu.clear("other_msrs"));
  for (const NumberedMsr& msr : kLastBranch) {
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t value, chunk.number(fmt::format("{}{}", record, msr.item)));
    VMSNAP_ASSIGN_OR_RETURN(const std::size_t at, cpu.append("other_msrs"));
    VMSNAP_RETURN_IF_ERROR(cpu.set(fmt::format("other_msrs[{}].index", at), msr.index));
    VMSNAP_RETURN_IF_ERROR(cpu.set(fmt::format("other_msrs[{}].value", at), value));
  }
  return {};
}

Result<void> last_branch_down(const StateTree& cpu, std::string_view record, Values& values) {
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t count, cpu.count("other_msrs"));
  for (std::size_t i = 0; i < count; ++i) {
    VMSNAP_ASSIGN_OR_RETURN(const auto index, cpu.get<std::uint32_t>(fmt::format("other_msrs[{}].index", i)));
    for (const NumberedMsr& msr : kLastBranch) {
      if (msr.index != index) continue;
      VMSNAP_ASSIGN_OR_RETURN(const auto value,
                              cpu.get<std::uint64_t>(fmt::format("other_msrs[{}].value", i)));
      values.map(fmt::format("{}{}", record, msr.item), value);
    }
  }
  return {};
}

}  // namespace vmsnap::compat::bhyve
