// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/devices/virtio.h"
#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kConfigSize = 12;

constexpr unsigned kMergeableBuffers = 15;  // VIRTIO_NET_F_MRG_RXBUF
/// Bytes of the header of a packet, with and without the number of buffers.
constexpr std::uint64_t kHeader = 10;
constexpr std::uint64_t kMergeableHeader = 12;

constexpr Row kRows[] = {
    {"cfg.mac", "config.mac"},
    {"cfg.status", "config.status"},
    {"cfg.max_virtqueue_pairs", "config.max_virtqueue_pairs"},
    {"cfg.mtu", "config.mtu"},
};

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * net, machine.device(chunk.device_path, "virtio_net"));
  VMSNAP_RETURN_IF_ERROR(virtio_up(chunk, machine, *net));
  return carry_up(kRows, chunk, "", *net, "");
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* net, machine.need(chunk.device_path));
  VMSNAP_RETURN_IF_ERROR(virtio_down(machine, *net, kConfigSize, chunk));
  VMSNAP_RETURN_IF_ERROR(carry_down(kRows, *net, "", chunk.values, ""));
  VMSNAP_ASSIGN_OR_RETURN(const auto features, net->get<std::uint64_t>("virtio.driver_features"));
  VMSNAP_ASSIGN_OR_RETURN(const bool merges, has_accepted(*net, kMergeableBuffers));
  chunk.values.derive("vsc_features", features);
  chunk.values.derive("features_negotiated", features != 0 ? 1 : 0);
  chunk.values.derive("rx_merge", merges ? 1 : 0);
  chunk.values.derive("vhdrlen", merges ? kMergeableHeader : kHeader);
  return {};
}

}  // namespace

namespace mappings {
constinit const Mapping kVirtioNet = {"virtio-net", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
