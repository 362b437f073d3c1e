// SPDX-License-Identifier: BSD-2-Clause
#include "steps/i8254/i8254_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace vmsnap::compat {
namespace {

constexpr std::uint64_t kPulsesPerSecond = 1'193'182;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

__extension__ typedef unsigned __int128 Wide;  // NOLINT(modernize-use-using)

std::uint64_t pulses_in(std::uint64_t ns) {
  return static_cast<std::uint64_t>(Wide{ns} * kPulsesPerSecond / kNsPerSecond);
}

/// The shortest time with so many whole pulses; nullopt when 64 bits do not hold it.
std::optional<std::uint64_t> time_of(std::uint64_t pulses) {
  const Wide ns = (Wide{pulses} * kNsPerSecond + kPulsesPerSecond - 1) / kPulsesPerSecond;
  if (ns > std::numeric_limits<std::uint64_t>::max()) return std::nullopt;
  return static_cast<std::uint64_t>(ns);
}

/// OUT, as version 1.0 has it follow from the other fields (schema/i8254/i8254.md, KVM).
bool output_of(std::uint8_t mode, std::uint64_t count, std::uint64_t pulses) {
  const std::uint64_t period = std::max<std::uint64_t>(count, 1);
  switch (mode) {
    case 1:
      return pulses < count;
    case 2:
      return pulses != 0 && pulses % period == 0;
    case 3:
      return pulses % period < (period + 1) / 2;
    case 4:
    case 5:
      return pulses == count;
    default:
      return pulses >= count;
  }
}

struct Counter {
  std::string path;
  std::uint8_t mode;
  std::uint32_t count;

  [[nodiscard]] std::string field(std::string_view name) const { return fmt::format("{}.{}", path, name); }
};

Result<Counter> read_counter(const StepContext& context, std::size_t index) {
  Counter counter{fmt::format("counters[{}]", index), 0, 0};
  VMSNAP_ASSIGN_OR_RETURN(counter.mode, context.peek<std::uint8_t>(counter.field("mode")));
  VMSNAP_ASSIGN_OR_RETURN(counter.count, context.peek<std::uint32_t>(counter.field("count")));
  return counter;
}

Result<void> to_pulses(StepContext& context, const Counter& counter) {
  const std::string field = counter.field("elapsed");
  VMSNAP_ASSIGN_OR_RETURN(const auto elapsed, context.take<std::optional<std::uint64_t>>(field));
  if (!elapsed) return {};
  const std::uint64_t pulses = pulses_in(*elapsed);
  const bool output = output_of(counter.mode, counter.count, pulses);
  VMSNAP_RETURN_IF_ERROR(context.set(counter.field("elapsed_pulses"), pulses));
  VMSNAP_RETURN_IF_ERROR(context.set(counter.field("output"), output));
  return context.converted(field, fmt::format("{} ns are {} whole pulses, after which OUT is {}", *elapsed,
                                              pulses, output ? 1 : 0));
}

Result<void> to_time(StepContext& context, const Counter& counter) {
  const std::string pulses_field = counter.field("elapsed_pulses");
  const std::string output_field = counter.field("output");
  VMSNAP_ASSIGN_OR_RETURN(const auto pulses, context.take<std::optional<std::uint64_t>>(pulses_field));
  if (pulses) {
    const std::optional<std::uint64_t> elapsed = time_of(*pulses);
    if (!elapsed) {
      return Error(ErrorKind::kCorrupt,
                   fmt::format("{} pulses are more than five centuries, which no counter has seen", *pulses))
          .in_field(pulses_field);
    }
    VMSNAP_RETURN_IF_ERROR(context.set(counter.field("elapsed"), *elapsed));
    VMSNAP_RETURN_IF_ERROR(
        context.converted(pulses_field, fmt::format("{} pulses take {} ns", *pulses, *elapsed)));
  }
  VMSNAP_ASSIGN_OR_RETURN(const auto output, context.peek<std::optional<bool>>(output_field));
  if (!output) return {};
  if (!pulses) {
    return context.lost(
        output_field,
        "the counter begins its period anew, and the guest may read another level of OUT than "
        "before");
  }
  if (*output == output_of(counter.mode, counter.count, *pulses)) {
    return context.converted(output_field, "it follows from mode, count and time");
  }
  return context.lost(output_field,
                      "OUT follows from mode, count and time, and the guest will read the other level");
}

template <Result<void> (*kConvert)(StepContext&, const Counter&)>
Result<void> each_counter(StepContext& context) {
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t count, context.count("counters"));
  for (std::size_t i = 0; i < count; ++i) {
    VMSNAP_ASSIGN_OR_RETURN(const Counter counter, read_counter(context, i));
    VMSNAP_RETURN_IF_ERROR(kConvert(context, counter));
  }
  return {};
}

}  // namespace

StepRegistry i8254_steps() {
  return {
      {{"i8254", {1, 0}, {2, 0}, each_counter<to_pulses>}, {"i8254", {2, 0}, {1, 0}, each_counter<to_time>}},
      {}};
}

}  // namespace vmsnap::compat
