// SPDX-License-Identifier: BSD-2-Clause
// Memory type range registers. bhyve keeps what the guest wrote, and the processor never sees it: so nothing
// here can stop a guest, but a processor would have refused the write.
#include "bhyve/verdict/values/value_checker.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kType = 0xff;
/// Default type, enable, and enable the fixed ranges.
constexpr std::uint64_t kDefTypeReserved = ~std::uint64_t{0xcff};
/// The most bits that a physical address of a processor has.
constexpr unsigned kWidth = 52;
constexpr std::uint64_t kBeyondWidth = ~std::uint64_t{0} << kWidth;
constexpr std::uint64_t kBaseReserved = kBeyondWidth | 0xf00;
constexpr std::uint64_t kMaskReserved = kBeyondWidth | 0x7ff;
constexpr std::uint64_t kMaskValid = 0x800;
constexpr unsigned kVariable = 10;

bool is_memory_type(std::uint64_t type) {
  return type == 0 || type == 1 || (type >= 4 && type <= 6);
}

void check_fixed(ValueChecker& chunk, const std::string& path) {
  const Field* field = chunk.decoded().find(path);
  if (field == nullptr) return;
  for (std::size_t index = 0; index < field->count(); ++index) {
    const std::uint64_t value = chunk.get_or_zero(path, index);
    for (unsigned byte = 0; byte < 8; ++byte) {
      const std::uint64_t type = value >> 8 * byte & kType;
      if (is_memory_type(type)) continue;
      chunk.say_of(path, index, "memory-type",
                   fmt::format("byte {} of {:#x} is {}, which is no memory type", byte, value, type));
      break;
    }
  }
}

}  // namespace

void check_mtrrs(ValueChecker& chunk, const std::string& name) {
  const std::string def_type = name + "mtrr.def_type";
  if (const auto value = chunk.get(def_type)) {
    chunk.without_bits(def_type, kDefTypeReserved, "which the register does not have");
    if (!is_memory_type(*value & kType))
      chunk.say(
          def_type, "memory-type",
          fmt::format("the default type of {:#x} is {}, which is no memory type", *value, *value & kType));
  }
  for (const std::string_view fixed : {"mtrr.fixed4k", "mtrr.fixed16k", "mtrr.fixed64k"})
    check_fixed(chunk, name + std::string(fixed));
  for (unsigned index = 0; index < kVariable; ++index) {
    const std::string pair = fmt::format("{}mtrr.var[{}].", name, index);
    // A range that is not in use may hold anything.
    if ((chunk.get_or_zero(pair + "mask") & kMaskValid) == 0) continue;
    const std::uint64_t base = chunk.get_or_zero(pair + "base");
    if (!is_memory_type(base & kType))
      chunk.say(pair + "base", "memory-type",
                fmt::format("the type of {:#x} is {}, which is no memory type", base, base & kType));
    chunk.without_bits(pair + "base", kBaseReserved, "which no physical address has");
    chunk.without_bits(pair + "mask", kMaskReserved, "which no physical address has");
  }
}

}  // namespace vmsnap::compat::bhyve
