// SPDX-License-Identifier: BSD-2-Clause
// 1.0 has the CMOS RAM as one image and one time; 2.0 has registers by name, the bytes that are only RAM, and
// a divider of its own.
#include "steps/mc146818/mc146818_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace vmsnap::compat {
namespace {

constexpr ChunkVersion kVersion1{1, 0};
constexpr ChunkVersion kVersion2{2, 0};

constexpr std::size_t kImageSize = 128;
constexpr std::size_t kRegisterA = 0x0a;
constexpr std::size_t kRegisterB = 0x0b;
constexpr std::size_t kRegisterC = 0x0c;
constexpr std::size_t kNvram = 0x0e;

constexpr std::uint8_t kUpdateInProgress = 0x80;  // register A
constexpr std::uint8_t kSet = 0x80;               // register B
constexpr std::uint8_t kFlags = 0x70;             // register C, and what enables them in register B
constexpr std::uint8_t kInterruptRequest = 0x80;  // register C

/// A byte of the image that 2.0 has under a name, and its bits that are state.
struct Register {
  std::size_t index;
  std::string_view path;
  std::uint8_t mask = 0xff;
};
constexpr std::array<Register, 14> kRegisters = {{
    {0x00, "time_registers.seconds"},
    {0x01, "alarm_registers.seconds"},
    {0x02, "time_registers.minutes"},
    {0x03, "alarm_registers.minutes"},
    {0x04, "time_registers.hours"},
    {0x05, "alarm_registers.hours"},
    {0x06, "time_registers.day_of_week"},
    {0x07, "time_registers.day_of_month"},
    {0x08, "time_registers.month"},
    {0x09, "time_registers.year"},
    {kRegisterA, "register_a", static_cast<std::uint8_t>(~kUpdateInProgress)},
    {kRegisterB, "register_b"},
    {kRegisterC, "register_c", kFlags},
    {0x0d, "register_d", 0x80},
}};

/// Takes the vector at `path`, which has `size` bytes in every sound state.
Result<std::vector<std::uint8_t>> take_image(StepContext& context, std::string_view path, std::size_t size) {
  VMSNAP_ASSIGN_OR_RETURN(std::vector<std::uint8_t> image, context.take<std::vector<std::uint8_t>>(path));
  if (image.size() != size) {
    return Error(ErrorKind::kCorrupt, fmt::format("the image has {} bytes instead of {}", image.size(), size))
        .in_field(path);
  }
  return image;
}

Result<void> name_registers(StepContext& context) {
  VMSNAP_ASSIGN_OR_RETURN(const std::vector<std::uint8_t> image, take_image(context, "cmos", kImageSize));
  VMSNAP_RETURN_IF_ERROR(context.make("time_registers"));
  VMSNAP_RETURN_IF_ERROR(context.make("alarm_registers"));
  for (const Register& one : kRegisters) {
    VMSNAP_RETURN_IF_ERROR(context.set(one.path, static_cast<std::uint8_t>(image[one.index] & one.mask)));
  }
  VMSNAP_RETURN_IF_ERROR(
      context.set("nvram", std::vector<std::uint8_t>(image.begin() + kNvram, image.end())));
  VMSNAP_RETURN_IF_ERROR(context.converted(
      "cmos",
      "its bytes are the time, alarm and control registers and nvram; UIP and IRQF follow from them"));
  VMSNAP_ASSIGN_OR_RETURN(const auto fraction, context.take<std::uint32_t>("time_fraction"));
  VMSNAP_RETURN_IF_ERROR(context.set("divider_phase", fraction));
  return context.converted("time_fraction", "the divider is as far in its second as the time was");
}

Result<void> make_image(StepContext& context) {
  VMSNAP_ASSIGN_OR_RETURN(const std::vector<std::uint8_t> nvram,
                          take_image(context, "nvram", kImageSize - kNvram));
  std::vector<std::uint8_t> image(kImageSize);
  std::copy(nvram.begin(), nvram.end(), image.begin() + kNvram);
  for (const Register& one : kRegisters) {
    VMSNAP_ASSIGN_OR_RETURN(image[one.index], context.take<std::uint8_t>(one.path));
  }
  const std::uint8_t b = image[kRegisterB];
  if ((image[kRegisterC] & b & kFlags) != 0) image[kRegisterC] |= kInterruptRequest;
  VMSNAP_RETURN_IF_ERROR(context.set("cmos", image));
  VMSNAP_RETURN_IF_ERROR(context.converted("time_registers", "bytes 00h, 02h, 04h and 06h to 09h of cmos"));
  VMSNAP_RETURN_IF_ERROR(context.converted("alarm_registers", "bytes 01h, 03h and 05h of cmos"));
  VMSNAP_RETURN_IF_ERROR(context.converted("register_a", "byte 0Ah of cmos"));
  VMSNAP_RETURN_IF_ERROR(context.converted("register_b", "byte 0Bh of cmos"));
  VMSNAP_RETURN_IF_ERROR(context.converted("register_c", "byte 0Ch of cmos, with IRQF"));
  VMSNAP_RETURN_IF_ERROR(context.converted("register_d", "byte 0Dh of cmos"));
  VMSNAP_RETURN_IF_ERROR(context.converted("nvram", "bytes 0Eh to 7Fh of cmos"));
  VMSNAP_ASSIGN_OR_RETURN(const auto phase, context.take<std::uint32_t>("divider_phase"));
  VMSNAP_RETURN_IF_ERROR(context.set("time_fraction", phase));
  return context.converted(
      "divider_phase", (b & kSet) != 0
                           ? "the fraction of the second; a clock of version 1.0 goes on from it when the "
                             "guest clears SET"
                           : "the fraction of the second");
}

}  // namespace

StepRegistry mc146818_steps() {
  StepRegistry registry;
  registry.steps = {{"mc146818", kVersion1, kVersion2, name_registers},
                    {"mc146818", kVersion2, kVersion1, make_image}};
  return registry;
}

}  // namespace vmsnap::compat
