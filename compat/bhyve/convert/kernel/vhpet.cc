// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kPath = "system0/hpet@fed00000";
constexpr std::uint64_t kBase = 0xfed00000;
constexpr std::uint64_t kTimers = 8;

/// Bits 31:0 of GCAP_ID: vendor 8086h, 8 timers, a counter of 32 bits, revision 1.
constexpr std::uint64_t kCapabilities = 0x80860701;
constexpr std::uint64_t kFemtosecondsPerSecond = 1'000'000'000'000'000;

__extension__ using Wide = unsigned __int128;

/// freq_sbt is a tick in seconds with 32 binary places.
std::uint64_t period_of(std::uint64_t freq_sbt) {
  return static_cast<std::uint64_t>((static_cast<Wide>(freq_sbt) * kFemtosecondsPerSecond) >> 32) &
         0xffffffff;
}
std::uint64_t freq_sbt_of(std::uint64_t period) {
  const Wide scaled = static_cast<Wide>(period) << 32;
  return static_cast<std::uint64_t>((scaled + kFemtosecondsPerSecond / 2) / kFemtosecondsPerSecond);
}

constexpr Row kRows[] = {
    {"config", "configuration"},
    {"isr", "interrupt_status"},
    {"countbase", "main_counter"},
};
constexpr Row kTimerRows[] = {
    {"cap_config", "configuration"},
    {"msireg", "fsb_route"},
    {"compval", "comparator"},
    {"comprate", "period"},
};

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * hpet, machine.device(kPath, "hpet"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t freq_sbt, chunk.number("freq_sbt"));
  VMSNAP_RETURN_IF_ERROR(hpet->set("base", kBase));
  VMSNAP_RETURN_IF_ERROR(hpet->set("capabilities", period_of(freq_sbt) << 32 | kCapabilities));
  VMSNAP_RETURN_IF_ERROR(carry_up(kRows, chunk, "", *hpet, ""));
  for (std::uint64_t i = 0; i < kTimers; ++i) {
    VMSNAP_RETURN_IF_ERROR(hpet->append("timers"));
    VMSNAP_RETURN_IF_ERROR(
        carry_up(kTimerRows, chunk, fmt::format("timer[{}].", i), *hpet, fmt::format("timers[{}].", i)));
  }
  return {};
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* hpet, machine.need(kPath));
  VMSNAP_ASSIGN_OR_RETURN(const auto capabilities, hpet->get<std::uint64_t>("capabilities"));
  chunk.values.derive("freq_sbt", freq_sbt_of(capabilities >> 32));
  VMSNAP_RETURN_IF_ERROR(carry_down(kRows, *hpet, "", chunk.values, ""));
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t timers, hpet->count("timers"));
  for (std::size_t i = 0; i < timers; ++i) {
    VMSNAP_RETURN_IF_ERROR(carry_down(kTimerRows, *hpet, fmt::format("timers[{}].", i), chunk.values,
                                      fmt::format("timer[{}].", i)));
  }
  return {};
}

}  // namespace

namespace mappings {
constinit const Mapping kVhpet = {"vhpet", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
