// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/devices/virtio.h"

#include <fmt/format.h>

#include "bhyve/convert/devices/pci_prefix.h"
#include "bhyve/layout/tables/virtio.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kPci = "pci.";
constexpr std::string_view kVirtio = "virtio.";

constexpr unsigned kEventIdx = 29;          // VIRTIO_F_EVENT_IDX
constexpr std::uint64_t kUsesMsix = 1;      // vs_flags
constexpr std::uint64_t kUsesEventIdx = 2;  // vs_flags
constexpr std::uint64_t kAllocated = 1;     // vq_flags

std::uint64_t is_allocated(std::uint64_t flags) {
  return flags & kAllocated;
}

constexpr Row kRows[] = {
    {"vs_negotiated_caps", "driver_features"},
    {"vc_hv_caps", "device_features"},
    {"vs_curq", "queue_select"},
    {"vs_status", "device_status"},
    {"vs_isr", "isr_status"},
    {"vs_msix_cfg_idx", "config_msix_vector"},
};
constexpr Row kQueueRows[] = {
    {"vq_qsize", "size"},
    {"vq_qsize", "max_size"},
    {"vq_num", "index"},
    {"vq_flags", "enabled", is_allocated},
    {"vq_last_avail", "next_available"},
    {"vq_next_used", "next_used"},
    {"vq_msix_idx", "msix_vector"},
    {"vq_pfn", "legacy_pfn"},
};
constexpr Row kSignalledRows[] = {{"vq_save_used", "signalled_used"}};
constexpr Row kRingRows[] = {
    {"desc_ring", "descriptor_table"},
    {"avail_ring", "available_ring"},
    {"used_ring", "used_ring"},
};

/// Whether guest memory cannot do what it was asked for because of what the file says.
bool is_no_place(const Error& error) {
  return error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kLimitExceeded;
}

Result<void> ring_up(const SourceChunk& chunk, Machine& machine, const std::string& queue) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t address, chunk.number(queue + "desc_ring"));
  VMSNAP_ASSIGN_OR_RETURN(const ByteView ring, chunk.bytes(queue + "ring"));
  const auto there = machine.memory().read(Gpa(address), ring.size());
  if (!there) {
    if (is_no_place(there.error())) return {};
    return there.error();
  }
  if (std::equal(there->begin(), there->end(), ring.begin(), ring.end())) return {};
  return machine.memory().write(Gpa(address), ring);
}

Result<void> queue_up(const SourceChunk& chunk, Machine& machine, std::uint64_t index, StateTree& state) {
  const std::string queue = fmt::format("queue[{}].", index);
  const std::string field = fmt::format("{}queues[{}].", kVirtio, index);
  VMSNAP_RETURN_IF_ERROR(state.append(fmt::format("{}queues", kVirtio)));
  VMSNAP_RETURN_IF_ERROR(carry_up(kQueueRows, chunk, queue, state, field));
  VMSNAP_ASSIGN_OR_RETURN(const bool tracks_signals, has_accepted(state, kEventIdx));
  if (tracks_signals) VMSNAP_RETURN_IF_ERROR(carry_up(kSignalledRows, chunk, queue, state, field));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t flags, chunk.number(queue + "vq_flags"));
  if (is_allocated(flags) == 0) return {};
  VMSNAP_RETURN_IF_ERROR(carry_up(kRingRows, chunk, queue, state, field));
  return ring_up(chunk, machine, queue);
}

Result<void> ring_down(const Machine& machine, const StateTree& state, const std::string& field,
                       const std::string& queue, Values& values) {
  VMSNAP_ASSIGN_OR_RETURN(const auto address, state.get<std::uint64_t>(field + "descriptor_table"));
  VMSNAP_ASSIGN_OR_RETURN(const auto entries, state.get<std::uint16_t>(field + "max_size"));
  auto ring = machine.memory().read(Gpa(address), tables::ring_size(entries));
  if (!ring) {
    if (is_no_place(ring.error())) return {};
    return std::move(ring).error();
  }
  values.derive(queue + "ring", *std::move(ring));
  return {};
}

Result<void> queue_down(const Machine& machine, const StateTree& state, std::size_t index, Values& values) {
  const std::string queue = fmt::format("queue[{}].", index);
  const std::string field = fmt::format("{}queues[{}].", kVirtio, index);
  VMSNAP_RETURN_IF_ERROR(carry_down(kQueueRows, state, field, values, queue));
  VMSNAP_RETURN_IF_ERROR(carry_down(kSignalledRows, state, field, values, queue));
  VMSNAP_ASSIGN_OR_RETURN(const bool enabled, state.get<bool>(field + "enabled"));
  if (!enabled) return {};
  VMSNAP_RETURN_IF_ERROR(carry_down(kRingRows, state, field, values, queue));
  return ring_down(machine, state, field, queue, values);
}

}  // namespace

Result<bool> has_accepted(const StateTree& state, unsigned bit) {
  VMSNAP_ASSIGN_OR_RETURN(const auto accepted,
                          state.get<std::uint64_t>(fmt::format("{}driver_features", kVirtio)));
  return (accepted >> bit & 1) != 0;
}

Result<void> virtio_up(const SourceChunk& chunk, Machine& machine, StateTree& state) {
  VMSNAP_RETURN_IF_ERROR(pci_up(chunk, machine, state, kPci));
  VMSNAP_RETURN_IF_ERROR(carry_up(kRows, chunk, "", state, kVirtio));
  VMSNAP_RETURN_IF_ERROR(state.make(fmt::format("{}queues", kVirtio)));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t queues, chunk.number("vc_nvq"));
  for (std::uint64_t n = 0; n < queues; ++n) VMSNAP_RETURN_IF_ERROR(queue_up(chunk, machine, n, state));

  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t isr, chunk.number("vs_isr"));
  VMSNAP_ASSIGN_OR_RETURN(const bool by_msix, msix_is_enabled(state, kPci));
  machine.not_in_file({chunk.device_path, "pci.intx_asserted",
                       "asserted when the ISR status is not 0 and MSI-X is not enabled",
                       "The guest finds the interrupt that the device asks for."});
  return state.set(fmt::format("{}intx_asserted", kPci), isr != 0 && !by_msix);
}

Result<void> virtio_down(const Machine& machine, const StateTree& state, std::uint64_t config_size,
                         TargetChunk& chunk) {
  Values& values = chunk.values;
  VMSNAP_RETURN_IF_ERROR(pci_down(state, kPci, chunk));
  VMSNAP_RETURN_IF_ERROR(carry_down(kRows, state, kVirtio, values, ""));
  VMSNAP_ASSIGN_OR_RETURN(const bool has_msix, state.has(fmt::format("{}msix", kPci)));
  VMSNAP_ASSIGN_OR_RETURN(const bool tracks_signals, has_accepted(state, kEventIdx));
  values.derive("vs_flags", (has_msix ? kUsesMsix : 0) | (tracks_signals ? kUsesEventIdx : 0));
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t queues, state.count(fmt::format("{}queues", kVirtio)));
  values.derive("vc_nvq", queues);
  values.derive("vc_cfgsize", config_size);
  for (std::size_t n = 0; n < queues; ++n) {
    VMSNAP_RETURN_IF_ERROR(queue_down(machine, state, n, values));
  }
  return {};
}

}  // namespace vmsnap::compat::bhyve
