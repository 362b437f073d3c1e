// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "bhyve/convert/devices/pci_prefix.h"
#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::array<std::string_view, 4> kUartPaths = {
    "isa0/uart@3f8",
    "isa0/uart@2f8",
    "isa0/uart@3e8",
    "isa0/uart@2e8",
};
constexpr std::size_t kBufferSize = 16;

constexpr std::uint8_t kDataReady = 0x01;             // of LSR
constexpr std::uint8_t kTransmitterEmpty = 0x60;      // of LSR: THRE and TEMT
constexpr std::uint8_t kFifosEnabled = 0x01;          // of FCR
constexpr std::uint8_t kTransmitterInterrupt = 0x02;  // of IER

constexpr Row kRows[] = {
    {"ier", "ier"}, {"lcr", "lcr"}, {"mcr", "mcr"}, {"msr", "msr"},
    {"fcr", "fcr"}, {"scr", "scr"}, {"dll", "dll"}, {"dlh", "dlm"},
};

/// What the guest has yet to read. Positions that are in no FIFO name no bytes.
Result<ByteVector> received(const SourceChunk& chunk, const std::string& item) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t first, chunk.number(item + "rxfifo.rindex"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t count, chunk.number(item + "rxfifo.num"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t size, chunk.number(item + "rxfifo.size"));
  VMSNAP_ASSIGN_OR_RETURN(const ByteView buffer, chunk.bytes(item + "rxfifo.buf"));
  ByteVector bytes;
  if (size > kBufferSize || first >= size || count > size) return bytes;
  for (std::uint64_t i = 0; i < count; ++i) bytes.push_back(buffer[(first + i) % size]);
  return bytes;
}

Result<void> uart_up(const SourceChunk& chunk, Machine& machine, std::size_t index) {
  const std::string item = fmt::format("uart[{}].", index);
  VMSNAP_ASSIGN_OR_RETURN(StateTree * uart, machine.device(kUartPaths[index], "uart16550"));
  VMSNAP_RETURN_IF_ERROR(carry_up(kRows, chunk, item, *uart, ""));
  VMSNAP_ASSIGN_OR_RETURN(const ByteVector fifo, received(chunk, item));
  VMSNAP_RETURN_IF_ERROR(uart->set("receive_fifo", fifo));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t stored_lsr, chunk.number(item + "lsr"));
  const std::uint64_t lsr =
      (stored_lsr & ~std::uint64_t{kDataReady}) | kTransmitterEmpty | (fifo.empty() ? 0 : kDataReady);
  VMSNAP_RETURN_IF_ERROR(uart->set("lsr", lsr));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t ier, chunk.number(item + "ier"));
  VMSNAP_RETURN_IF_ERROR(uart->set("thre_interrupt_pending", (ier & kTransmitterInterrupt) != 0));
  machine.not_in_file({std::string(kUartPaths[index]), "thre_interrupt_pending", "pending if it is enabled",
                       "A driver may see one transmitter interrupt too many, which drivers expect."});
  return {};
}

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * bridge, machine.device(chunk.device_path, "lpc_bridge"));
  VMSNAP_RETURN_IF_ERROR(pci_up(chunk, machine, *bridge, "pci."));
  machine.not_in_file({chunk.device_path, "reset_control, apm_control, apm_status", "0",
                       "What the guest has written to ports CF9h, B2h and B3h does not read back."});
  machine.not_in_file(
      {chunk.device_path, "variables of the firmware, TPM", "no device",
       "UEFI variables are those of the file that the next bhyve is started with; what the guest "
       "has sealed with a TPM stays so where the next one is another."});
  const std::uint64_t uarts = chunk.decoded.context().uarts.value_or(0);
  for (std::size_t i = 0; i < kUartPaths.size() && i < uarts; ++i) {
    VMSNAP_RETURN_IF_ERROR(uart_up(chunk, machine, i));
  }
  return {};
}

Result<void> uart_down(const StateTree& uart, std::size_t index, Values& values) {
  const std::string item = fmt::format("uart[{}].", index);
  VMSNAP_RETURN_IF_ERROR(carry_down(kRows, uart, "", values, item));
  VMSNAP_ASSIGN_OR_RETURN(const auto lsr, uart.get<std::uint8_t>("lsr"));
  values.map(item + "lsr", lsr);
  VMSNAP_ASSIGN_OR_RETURN(const auto fcr, uart.get<std::uint8_t>("fcr"));
  const std::size_t size = (fcr & kFifosEnabled) != 0 ? kBufferSize : 1;
  VMSNAP_ASSIGN_OR_RETURN(ByteVector fifo, uart.get<ByteVector>("receive_fifo"));
  if (fifo.size() > kBufferSize) fifo.resize(kBufferSize);
  values.map(item + "rxfifo.num", fifo.size());
  values.derive(item + "rxfifo.rindex", 0);
  values.derive(item + "rxfifo.windex", fifo.size() % size);
  values.derive(item + "rxfifo.size", size);
  fifo.resize(kBufferSize);
  values.map(item + "rxfifo.buf", std::move(fifo));
  return {};
}

/// A port that the machine does not have, as bhyve makes it: 9600 bit/s, a carrier and a peer.
void give_untouched_uart(std::size_t index, Values& values) {
  const std::string item = fmt::format("uart[{}].", index);
  for (const std::string_view name : {"data", "ier", "lcr", "mcr", "lsr", "fcr", "scr", "dlh",
                                      "rxfifo.rindex", "rxfifo.windex", "rxfifo.num"}) {
    values.derive(fmt::format("{}{}", item, name), 0);
  }
  values.derive(item + "dll", 12);
  values.derive(item + "msr", 0xa0);
  values.derive(item + "rxfifo.size", 1);
  values.derive(item + "rxfifo.buf", ByteVector(kBufferSize));
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* bridge, machine.need(chunk.device_path));
  VMSNAP_RETURN_IF_ERROR(pci_down(*bridge, "pci.", chunk));
  std::size_t uarts = 0;
  for (std::size_t i = 0; i < kUartPaths.size(); ++i) {
    const StateTree* uart = machine.find(kUartPaths[i]);
    if (uart == nullptr) {
      give_untouched_uart(i, chunk.values);
      continue;
    }
    VMSNAP_RETURN_IF_ERROR(uart_down(*uart, i, chunk.values));
    uarts = i + 1;
  }
  // How many ports there are is bhyve's matter, unless nobody has said it.
  if (!chunk.context.uarts) chunk.context.uarts = uarts;
  return {};
}

}  // namespace

namespace mappings {
constinit const Mapping kLpc = {"lpc", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
