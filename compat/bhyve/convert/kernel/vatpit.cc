// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kPath = "isa0/i8254@40";
constexpr std::size_t kCounters = 3;

constexpr std::uint64_t kFrequency = 1'193'182;
/// A tick in units of 2^-64 s, as bhyve computes it.
constexpr std::uint64_t kTick = (std::uint64_t{1} << 63) / kFrequency * 2;

constexpr std::uint32_t kWrittenZero = 65536;
/// What bhyve makes of it.
constexpr std::uint16_t kStoredZero = 0xffff;
constexpr std::uint8_t kLowThenHigh = 3;

constexpr Row kRows[] = {
    {"slatched", "status_latched"},
    {"status", "latched_status"},
    {"frbyte", "read_high_next"},
    {"crbyte", "write_high_next"},
};

/// The modes 2 and 3 have a bit that does not matter.
std::uint64_t mode_of(std::uint64_t mode) {
  const std::uint64_t bits = mode >> 1 & 7;
  return bits > 5 ? bits - 4 : bits;
}

/// The bytes of the count and what is half written over them.
struct Written {
  std::uint16_t initial = 0;
  std::uint8_t low = 0;
  std::uint8_t high = 0;
  bool low_is_next_count = false;
};

std::uint32_t count_of(const Written& written) {
  if (written.initial == 0) return kWrittenZero;
  const bool is_zero = written.high == 0 && (written.low == 0 || written.low_is_next_count);
  return written.initial == kStoredZero && is_zero ? kWrittenZero : written.initial;
}

Result<Written> written_of(const SourceChunk& chunk, const std::string& channel) {
  Written written;
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t initial, chunk.number(channel + "initial"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t low, chunk.number(channel + "cr", 0));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t high, chunk.number(channel + "cr", 1));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t crbyte, chunk.number(channel + "crbyte"));
  written.initial = static_cast<std::uint16_t>(initial);
  written.low = static_cast<std::uint8_t>(low);
  written.high = static_cast<std::uint8_t>(high);
  written.low_is_next_count = crbyte != 0;
  return written;
}

Result<void> counter_up(const SourceChunk& chunk, std::size_t index, StateTree& state) {
  const std::string channel = fmt::format("ch{}.", index);
  const std::string counter = fmt::format("counters[{}].", index);
  VMSNAP_RETURN_IF_ERROR(state.append("counters"));
  VMSNAP_RETURN_IF_ERROR(carry_up(kRows, chunk, channel, state, counter));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t mode, chunk.number(channel + "mode"));
  VMSNAP_RETURN_IF_ERROR(state.set(counter + "mode", mode_of(mode)));
  VMSNAP_RETURN_IF_ERROR(state.set(counter + "bcd", (mode & 1) != 0));
  VMSNAP_ASSIGN_OR_RETURN(const Written written, written_of(chunk, channel));
  VMSNAP_RETURN_IF_ERROR(state.set(counter + "count", count_of(written)));
  if (written.low_is_next_count) VMSNAP_RETURN_IF_ERROR(state.set(counter + "write_low_byte", written.low));
  if (written.initial != 0 || mode != 0 || written.low_is_next_count) {
    VMSNAP_RETURN_IF_ERROR(state.set(counter + "access", kLowThenHigh));
  }
  VMSNAP_RETURN_IF_ERROR(state.set(counter + "gate", true));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t high, chunk.number(channel + "ol", 0));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t low, chunk.number(channel + "ol", 1));
  return state.set(counter + "latched_count", high << 8 | low);
}

ByteVector two_bytes(std::uint64_t first, std::uint64_t second) {
  return {static_cast<std::byte>(first), static_cast<std::byte>(second)};
}

Result<void> counter_down(const StateTree& state, std::size_t index, Values& values) {
  const std::string channel = fmt::format("ch{}.", index);
  const std::string counter = fmt::format("counters[{}].", index);
  VMSNAP_RETURN_IF_ERROR(carry_down(kRows, state, counter, values, channel));
  VMSNAP_ASSIGN_OR_RETURN(const auto mode, state.get<std::uint8_t>(counter + "mode"));
  VMSNAP_ASSIGN_OR_RETURN(const bool bcd, state.get<bool>(counter + "bcd"));
  values.map(channel + "mode", std::uint64_t{mode} << 1 | (bcd ? 1 : 0));
  VMSNAP_ASSIGN_OR_RETURN(const auto count, state.get<std::uint32_t>(counter + "count"));
  values.map(channel + "initial", count >= kWrittenZero ? kStoredZero : count);
  VMSNAP_ASSIGN_OR_RETURN(const bool half_written, state.get<bool>(counter + "write_high_next"));
  VMSNAP_ASSIGN_OR_RETURN(const auto next_low, state.get<std::uint8_t>(counter + "write_low_byte"));
  values.derive(channel + "cr", two_bytes(half_written ? next_low : count, count >> 8));
  VMSNAP_ASSIGN_OR_RETURN(const auto latched, state.get<std::uint16_t>(counter + "latched_count"));
  values.map(channel + "ol", two_bytes(latched >> 8u, latched));
  return {};
}

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * state, machine.device(kPath, "i8254"));
  for (std::size_t i = 0; i < kCounters; ++i) VMSNAP_RETURN_IF_ERROR(counter_up(chunk, i, *state));
  const std::string path(kPath);
  machine.not_in_file(
      {path, "counters[].elapsed_pulses, output", "unknown",
       "Every counter begins its period anew; the first tick after the restore may be late by "
       "up to one period."});
  machine.not_in_file({path, "counters[].count_latched", "no count is latched",
                       "A guest that had latched a count and not yet read it reads the count itself."});
  return {};
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* state, machine.need(kPath));
  chunk.values.derive("freq_bt.sec", 0);
  chunk.values.derive("freq_bt.frac", kTick);
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t counters, state->count("counters"));
  for (std::size_t i = 0; i < counters && i < kCounters; ++i) {
    VMSNAP_RETURN_IF_ERROR(counter_down(*state, i, chunk.values));
  }
  return {};
}

}  // namespace

namespace mappings {
constinit const Mapping kVatpit = {"vatpit", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
