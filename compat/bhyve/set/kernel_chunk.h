// SPDX-License-Identifier: BSD-2-Clause
// The chunks of a legacy snapshot that bhyve's kernel module writes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace vmsnap::compat::bhyve {

enum class KernelChunk : std::uint8_t {
  kVhpet,
  kVm,
  kVmx,  // not in generations C0 and C
  kVioapic,
  kVlapic,
  kVmcx,
  kVatpit,
  kVatpic,
  kVpmtmr,
  kVrtc,
};

/// All of them, in the order in which bhyve writes them.
[[nodiscard]] std::span<const KernelChunk> all_kernel_chunks();

/// The name in a `.meta`: "vhpet".
[[nodiscard]] std::string_view to_string(KernelChunk chunk);
/// The number in a `.meta` of generations A, A2 and B.
[[nodiscard]] std::uint64_t request_number(KernelChunk chunk);

[[nodiscard]] std::optional<KernelChunk> kernel_chunk_by_name(std::string_view name);
[[nodiscard]] std::optional<KernelChunk> kernel_chunk_by_request(std::uint64_t number);

}  // namespace vmsnap::compat::bhyve
