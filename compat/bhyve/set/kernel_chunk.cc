// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/set/kernel_chunk.h"

#include <array>

namespace vmsnap::compat::bhyve {
namespace {

struct Row {
  std::string_view name;
  std::uint64_t request;
};

// Indexed by KernelChunk. Number 4 is reserved for guest memory and never written.
constexpr std::array<Row, 10> kRows = {{{"vhpet", 5},
                                        {"vm", 2},
                                        {"vmx", 0},
                                        {"vioapic", 1},
                                        {"vlapic", 3},
                                        {"vmcx", 6},
                                        {"vatpit", 8},
                                        {"vatpic", 7},
                                        {"vpmtmr", 9},
                                        {"vrtc", 10}}};

constexpr std::array<KernelChunk, kRows.size()> kAll = {
    KernelChunk::kVhpet,  KernelChunk::kVm,   KernelChunk::kVmx,    KernelChunk::kVioapic,
    KernelChunk::kVlapic, KernelChunk::kVmcx, KernelChunk::kVatpit, KernelChunk::kVatpic,
    KernelChunk::kVpmtmr, KernelChunk::kVrtc};

const Row& row(KernelChunk chunk) {
  return kRows[static_cast<std::size_t>(chunk)];
}

}  // namespace

std::span<const KernelChunk> all_kernel_chunks() {
  return kAll;
}

std::string_view to_string(KernelChunk chunk) {
  return row(chunk).name;
}

std::uint64_t request_number(KernelChunk chunk) {
  return row(chunk).request;
}

std::optional<KernelChunk> kernel_chunk_by_name(std::string_view name) {
  for (const KernelChunk chunk : kAll) {
    if (row(chunk).name == name) return chunk;
  }
  return std::nullopt;
}

std::optional<KernelChunk> kernel_chunk_by_request(std::uint64_t number) {
  for (const KernelChunk chunk : kAll) {
    if (row(chunk).request == number) return chunk;
  }
  return std::nullopt;
}

}  // namespace vmsnap::compat::bhyve
