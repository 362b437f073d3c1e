// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>

#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kController = "isa0/i8042@60";
constexpr std::string_view kKeyboard = "isa0/i8042@60/keyboard";
constexpr std::string_view kMouse = "isa0/i8042@60/mouse";

constexpr std::size_t kRamSize = 32;
constexpr std::size_t kBufferSize = 15;
constexpr std::uint64_t kReplyWaits = 0x8000;
constexpr std::uint8_t kMouseDisabled = 0x20;  // of the command byte

/// Only these commands wait for a byte: Write Command Byte, Write Output Port, Write Keyboard Output Buffer,
/// Write Mouse Output Buffer, Write to Mouse.
std::uint64_t waiting_command(std::uint64_t command) {
  return command == 0x60 || (command >= 0xd1 && command <= 0xd4) ? command : 0;
}

constexpr Row kControllerRows[] = {
    {"status", "status"},
    {"outport", "output_port"},
    {"curcmd", "pending_command", waiting_command},
};
constexpr Row kKeyboardRows[] = {
    {"ps2kbd.enabled", "scanning_enabled"},
    {"ps2kbd.curcmd", "pending_command"},
};
constexpr Row kMouseRows[] = {
    {"ps2mouse.status", "status"},
    {"ps2mouse.resolution", "resolution"},
    {"ps2mouse.sampling_rate", "sampling_rate"},
    {"ps2mouse.curcmd", "pending_command"},
    {"ps2mouse.delta_x", "delta_x"},
    {"ps2mouse.delta_y", "delta_y"},
};

/// What the guest has yet to read: a reply of the controller goes before the keyboard's bytes.
Result<ByteVector> waiting_bytes(const SourceChunk& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t reply, chunk.number("ctrlbyte"));
  VMSNAP_ASSIGN_OR_RETURN(const ByteView buffer, chunk.bytes("kbd.buffer"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t first, chunk.number("kbd.brd"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t count, chunk.number("kbd.bcnt"));
  ByteVector waiting;
  if ((reply & kReplyWaits) != 0) waiting.push_back(static_cast<std::byte>(reply & 0xff));
  // Positions that are in no buffer name no bytes.
  if (first >= kBufferSize || count > kBufferSize) return waiting;
  for (std::uint64_t i = 0; i < count; ++i) waiting.push_back(buffer[(first + i) % kBufferSize]);
  return waiting;
}

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * controller, machine.device(kController, "i8042"));
  VMSNAP_RETURN_IF_ERROR(carry_up(kControllerRows, chunk, "", *controller, ""));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t command_byte, chunk.number("ram"));
  VMSNAP_RETURN_IF_ERROR(controller->set("command_byte", command_byte));
  VMSNAP_ASSIGN_OR_RETURN(const ByteVector waiting, waiting_bytes(chunk));
  VMSNAP_RETURN_IF_ERROR(controller->set("output_buffer", waiting));

  VMSNAP_ASSIGN_OR_RETURN(StateTree * keyboard, machine.device(kKeyboard, "ps2_keyboard"));
  VMSNAP_RETURN_IF_ERROR(carry_up(kKeyboardRows, chunk, "", *keyboard, ""));
  VMSNAP_RETURN_IF_ERROR(keyboard->make("output_buffer"));
  machine.not_in_file({std::string(kKeyboard), "output_buffer", "no bytes",
                       "Keys that were pressed and had not yet reached the controller are lost."});
  machine.not_in_file(
      {std::string(kKeyboard), "scan_code_set, indicators, typematic",
       "set 2, all off, 10.9 keys a second after half a second",
       "bhyve's keyboard accepts what a guest sets and ignores it; lights may differ from what the guest "
       "believes."});

  VMSNAP_ASSIGN_OR_RETURN(StateTree * mouse, machine.device(kMouse, "ps2_mouse"));
  VMSNAP_RETURN_IF_ERROR(carry_up(kMouseRows, chunk, "", *mouse, ""));
  VMSNAP_RETURN_IF_ERROR(mouse->make("output_buffer"));
  machine.not_in_file({std::string(kMouse), "output_buffer", "no bytes",
                       "Reports and replies that had not yet reached the controller are lost; a driver that "
                       "has read half a report is out of step until it notices."});
  machine.not_in_file({std::string(kMouse), "wrap_mode, device_id", "off, 0",
                       "None: bhyve's mouse is a plain one and knows no wrap mode."});
  return {};
}

/// The keyboard's part of what waits: the controller holds at most one byte itself. Whether it does, only
/// ctrlbyte tells.
ByteVector keyboard_bytes(ByteView waiting) {
  if (waiting.size() > kBufferSize) waiting = waiting.subspan(waiting.size() - kBufferSize);
  return ByteVector(waiting.begin(), waiting.end());
}

void give_buffer(Values& values, std::string_view record, const ByteVector& bytes) {
  ByteVector buffer = bytes;
  buffer.resize(kBufferSize);
  values.map(fmt::format("{}.buffer", record), buffer);
  values.derive(fmt::format("{}.irq", record), 1);
  values.derive(fmt::format("{}.brd", record), 0);
  values.derive(fmt::format("{}.bwr", record), bytes.size() % kBufferSize);
  values.map(fmt::format("{}.bcnt", record), bytes.size());
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  Values& values = chunk.values;
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* controller, machine.need(kController));
  VMSNAP_RETURN_IF_ERROR(carry_down(kControllerRows, *controller, "", values, ""));
  VMSNAP_ASSIGN_OR_RETURN(const auto command_byte, controller->get<std::uint8_t>("command_byte"));
  ByteVector ram(kRamSize);
  ram[0] = std::byte{command_byte};
  values.map("ram", ram);
  VMSNAP_ASSIGN_OR_RETURN(const auto waiting, controller->get<ByteVector>("output_buffer"));
  const ByteVector bytes = keyboard_bytes(waiting);
  give_buffer(values, "kbd", bytes);
  give_buffer(values, "kbd_raw", bytes);
  values.derive("kbd_raw.padding_1", ByteVector(3));
  values.derive("kbd_raw.padding_23", ByteVector(1));
  values.derive("aux.irq", 12);

  VMSNAP_ASSIGN_OR_RETURN(const StateTree* keyboard, machine.need(kKeyboard));
  VMSNAP_RETURN_IF_ERROR(carry_down(kKeyboardRows, *keyboard, "", values, ""));
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* mouse, machine.need(kMouse));
  VMSNAP_RETURN_IF_ERROR(carry_down(kMouseRows, *mouse, "", values, ""));
  values.derive("ps2mouse.ctrlenable", (command_byte & kMouseDisabled) == 0 ? 1 : 0);
  return {};
}

}  // namespace

namespace mappings {
constinit const Mapping kAtkbdc = {"atkbdc", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
