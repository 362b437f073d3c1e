// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>

#include "bhyve/convert/devices/virtio.h"
#include "bhyve/convert/mappings.h"
#include "reflect/text_escape.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kConfigSize = 60;
constexpr std::size_t kIdentSize = 21;
/// The answer to VIRTIO_BLK_T_GET_ID.
constexpr std::size_t kMaxSerial = 20;

constexpr Row kRows[] = {
    {"cfg.capacity", "config.capacity"},
    {"cfg.size_max", "config.size_max"},
    {"cfg.seg_max", "config.seg_max"},
    {"cfg.blk_size", "config.blk_size"},
    {"cfg.physical_block_exp", "config.physical_block_exp"},
    {"cfg.alignment_offset", "config.alignment_offset"},
    {"cfg.min_io_size", "config.min_io_size"},
    {"cfg.opt_io_size", "config.opt_io_size"},
    {"cfg.writeback", "config.writeback"},
    {"cfg.num_queues", "config.num_queues"},
};

/// What a disk without a geometry has.
constexpr std::string_view kZeros[] = {"cfg.cylinders", "cfg.heads", "cfg.sectors", "cfg.unused0"};

/// A serial number that is no text becomes one; the bytes themselves are then kept elsewhere.
std::string serial_of(ByteView ident) {
  const auto end = std::find(ident.begin(), ident.end(), std::byte{});
  const auto size = std::min<std::size_t>(static_cast<std::size_t>(end - ident.begin()), kMaxSerial);
  std::string serial;
  for (const std::byte byte : ident.first(size)) serial.push_back(static_cast<char>(byte));
  if (reflect::is_utf8(serial)) return serial;
  for (char& one : serial) {
    if (static_cast<unsigned char>(one) >= 0x80) one = '?';
  }
  return serial;
}

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * blk, machine.device(chunk.device_path, "virtio_blk"));
  VMSNAP_RETURN_IF_ERROR(virtio_up(chunk, machine, *blk));
  VMSNAP_RETURN_IF_ERROR(carry_up(kRows, chunk, "", *blk, ""));
  VMSNAP_ASSIGN_OR_RETURN(const ByteView ident, chunk.bytes("ident"));
  return blk->set("serial", serial_of(ident));
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* blk, machine.need(chunk.device_path));
  VMSNAP_RETURN_IF_ERROR(virtio_down(machine, *blk, kConfigSize, chunk));
  VMSNAP_RETURN_IF_ERROR(carry_down(kRows, *blk, "", chunk.values, ""));
  for (const std::string_view path : kZeros) chunk.values.derive(std::string(path), 0);
  chunk.values.derive("cfg.unused1", ByteVector(3));
  VMSNAP_ASSIGN_OR_RETURN(const auto serial, blk->get<std::string>("serial"));
  const ByteView text = as_byte_view(serial);
  ByteVector ident(text.begin(),
                   text.begin() + static_cast<std::ptrdiff_t>(std::min(text.size(), kMaxSerial)));
  ident.resize(kIdentSize);
  chunk.values.map("ident", std::move(ident));
  return {};
}

}  // namespace

namespace mappings {
constinit const Mapping kVirtioBlk = {"virtio-blk", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
