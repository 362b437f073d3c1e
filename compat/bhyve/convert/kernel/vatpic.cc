// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <array>

#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kPath = "isa0/i8259@20";
constexpr std::array<std::string_view, 2> kChips = {"primary.", "secondary."};
constexpr std::size_t kPins = 8;

constexpr std::uint64_t kFirstAwaited = 2;  // ICW2
constexpr std::uint64_t kLastAwaited = 4;

/// bhyve has the pin of the lowest priority.
std::uint64_t pin_after(std::uint64_t pin) {
  return (pin + 1) % kPins;
}
std::uint64_t pin_before(std::uint64_t pin) {
  return (pin + kPins - 1) % kPins;
}

constexpr Row kRows[] = {
    {"rd_cmd_reg", "read_isr"},
    {"aeoi", "auto_eoi"},
    {"poll", "poll"},
    {"rotate", "rotate_on_auto_eoi"},
    {"sfn", "special_fully_nested"},
    {"irq_base", "vector_base"},
    {"request", "irr"},
    {"service", "isr"},
    {"mask", "imr"},
    {"smm", "special_mask"},
    {"lowprio", "highest_priority_pin", pin_after, pin_before},
};

Result<void> chip_up(const SourceChunk& chunk, std::size_t index, StateTree& state) {
  const std::string chip(kChips[index]);
  const std::string pic = fmt::format("pic[{}].", index);
  VMSNAP_RETURN_IF_ERROR(carry_up(kRows, chunk, pic, state, chip));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t ready, chunk.number(pic + "ready"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t icw_num, chunk.number(pic + "icw_num"));
  const bool awaits = ready == 0 && icw_num >= kFirstAwaited && icw_num <= kLastAwaited;
  VMSNAP_RETURN_IF_ERROR(state.set(chip + "initialisation_step", awaits ? icw_num : 0));
  VMSNAP_RETURN_IF_ERROR(state.set(chip + "icw4_needed", true));
  std::uint64_t level = 0;
  for (std::size_t n = 0; n < kPins; ++n) {
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t holders, chunk.number(pic + "acnt", n));
    if (static_cast<std::int64_t>(holders) > 0) level |= std::uint64_t{1} << n;
  }
  VMSNAP_RETURN_IF_ERROR(state.set(chip + "input_level", level));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t elcr, chunk.number("elc", index));
  return state.set(chip + "elcr", elcr);
}

Result<void> chip_down(const StateTree& state, std::size_t index, Values& values) {
  const std::string chip(kChips[index]);
  const std::string pic = fmt::format("pic[{}].", index);
  VMSNAP_RETURN_IF_ERROR(carry_down(kRows, state, chip, values, pic));
  VMSNAP_ASSIGN_OR_RETURN(const auto step, state.get<std::uint8_t>(chip + "initialisation_step"));
  values.map(pic + "ready", step == 0 ? 1 : 0);
  values.map(pic + "icw_num", step);
  VMSNAP_ASSIGN_OR_RETURN(const auto level, state.get<std::uint8_t>(chip + "input_level"));
  ByteVector holders(kPins * sizeof(std::uint32_t));
  for (std::size_t n = 0; n < kPins; ++n) {
    store_le(MutableByteView(holders), n * sizeof(std::uint32_t), std::uint32_t{level} >> n & 1);
  }
  values.derive(pic + "acnt", std::move(holders));
  return {};
}

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * state, machine.device(kPath, "i8259"));
  for (std::size_t i = 0; i < kChips.size(); ++i) VMSNAP_RETURN_IF_ERROR(chip_up(chunk, i, *state));
  return {};
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* state, machine.need(kPath));
  ByteVector elc;
  for (std::size_t i = 0; i < kChips.size(); ++i) {
    VMSNAP_RETURN_IF_ERROR(chip_down(*state, i, chunk.values));
    VMSNAP_ASSIGN_OR_RETURN(const auto elcr, state->get<std::uint8_t>(std::string(kChips[i]) + "elcr"));
    elc.push_back(static_cast<std::byte>(elcr));
  }
  chunk.values.map("elc", std::move(elc));
  return {};
}

}  // namespace

namespace mappings {
constinit const Mapping kVatpic = {"vatpic", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
