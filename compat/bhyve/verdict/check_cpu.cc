// SPDX-License-Identifier: BSD-2-Clause
// Registers of vCPUs and interrupt controllers.
#include "bhyve/verdict/value_checker.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kCr0Pe = 1;
constexpr std::uint64_t kCr0Nw = 1u << 29;
constexpr std::uint64_t kCr0Cd = 1u << 30;
constexpr std::uint64_t kCr0Pg = 1u << 31;
constexpr std::uint64_t kCr4Pae = 1u << 5;
/// Bits that no processor has defined.
constexpr std::uint64_t kCr4Reserved = 0xffff'ffff'ec00'8000;
constexpr std::uint64_t kEferLme = 1u << 8;
constexpr std::uint64_t kEferLma = 1u << 10;
constexpr std::uint64_t kEferReserved = ~std::uint64_t{0x36'fd01};
constexpr std::uint64_t kRflagsFixed = 2;
constexpr std::uint64_t kRflagsVm = 1u << 17;
constexpr std::uint64_t kRflagsReserved = 0xffff'ffff'ffc0'8028;
constexpr std::uint64_t kUnusable = 0x10000;
constexpr std::uint64_t kAccessLong = 0x2000;
constexpr std::uint64_t kAccessDefault32 = 0x4000;
constexpr std::uint64_t kAccessCode = 0x18;
constexpr std::uint64_t kAddressOfCr3 = 0x000f'ffff'ffff'f000;

bool is_canonical(std::uint64_t address) {
  // With five levels of page tables: with four, less is.
  const auto top = static_cast<std::int64_t>(address) >> 56;
  return top == 0 || top == -1;
}

class Vcpu {
 public:
  Vcpu(ValueChecker& chunk, std::uint64_t index) : chunk_(chunk), name_(fmt::format("vcpu[{}].", index)) {}

  void check() {
    const std::uint64_t cr0 = get("cr0");
    const std::uint64_t cr4 = get("cr4");
    const std::uint64_t efer = get("efer");
    if ((cr0 & kCr0Pg) != 0 && (cr0 & kCr0Pe) == 0)
      say("cr0", "control-registers",
          fmt::format("{:#x} has paging without protection, which no processor enters", cr0));
    if ((cr0 & kCr0Nw) != 0 && (cr0 & kCr0Cd) == 0)
      say("cr0", "control-registers", fmt::format("{:#x} has NW without CD, which no processor enters", cr0));
    reserved("cr0", cr0, 0xffff'ffff'0000'0000);
    reserved("cr4", cr4, kCr4Reserved);
    reserved("efer", efer, kEferReserved);
    const bool is_long = (efer & kEferLma) != 0;
    const bool should_be = (efer & kEferLme) != 0 && (cr0 & kCr0Pg) != 0;
    if (is_long != should_be) {
      say("efer", "control-registers",
          fmt::format("{:#x} {} 64-bit mode active, which contradicts CR0 {:#x}", efer,
                      is_long ? "has" : "does not have", cr0));
    }
    if (is_long && (cr4 & kCr4Pae) == 0)
      say("cr4", "control-registers",
          fmt::format("{:#x} lacks PAE, without which there is no 64-bit mode", cr4));
    if ((cr0 & kCr0Pg) != 0 && !chunk_.is_memory(get("cr3") & kAddressOfCr3, 4096)) {
      say("cr3", "outside-memory",
          fmt::format("the page tables are at {:#x}, where the guest has no memory",
                      get("cr3") & kAddressOfCr3));
    }
    check_flags();
    check_segments(is_long);
    chunk_.within(name_ + "activity", 0, 3, "an activity state");
  }

 private:
  [[nodiscard]] std::uint64_t get(std::string_view field) const {
    return chunk_.get_or_zero(name_ + std::string(field));
  }
  void say(std::string_view field, std::string_view code, std::string sentence) {
    chunk_.say(name_ + std::string(field), code, std::move(sentence));
  }
  void reserved(std::string_view field, std::uint64_t value, std::uint64_t mask) {
    if ((value & mask) != 0)
      say(field, "reserved-bits",
          fmt::format("{:#x} has bits {:#x}, which no processor knows", value, value & mask));
  }

  void check_flags() {
    const auto rflags = chunk_.get(name_ + "rflags");
    if (!rflags) return;
    if ((*rflags & kRflagsFixed) == 0)
      say("rflags", "reserved-bits", fmt::format("{:#x} lacks bit 1, which is always set", *rflags));
    reserved("rflags", *rflags, kRflagsReserved);
  }

  void check_segments(bool is_long) {
    const std::uint64_t code = get("CS.access");
    if ((code & kUnusable) != 0) {
      say("CS.access", "segments",
          fmt::format("{:#x} means that CS is unusable, but the guest fetches through it", code));
    } else if ((get("rflags") & kRflagsVm) == 0 && (get("cr0") & kCr0Pe) != 0 &&
               (code & kAccessCode) != kAccessCode) {
      say("CS.access", "segments", fmt::format("{:#x} is no code segment", code));
    } else if (is_long && (code & kAccessLong) != 0 && (code & kAccessDefault32) != 0) {
      say("CS.access", "segments", fmt::format("{:#x} has L and D, which exclude each other", code));
    }
    if ((get("TR.access") & kUnusable) != 0)
      say("TR.access", "segments",
          fmt::format("{:#x} means that TR is unusable, which it never is", get("TR.access")));
    for (const std::string_view segment : {"ES", "CS", "SS", "DS", "FS", "GS", "TR", "LDTR"}) {
      const std::string path = std::string(segment) + ".selector";
      if (get(path) > 0xffff)
        say(path, "segments", fmt::format("{:#x} has more than the 16 bits of a selector", get(path)));
    }
    if (!is_long) return;
    for (const std::string_view path : {"rip", "FS.base", "GS.base", "TR.base", "GDTR.base", "IDTR.base"}) {
      if (!is_canonical(get(path)))
        say(path, "not-canonical", fmt::format("{:#x} is no address that 64-bit mode has", get(path)));
    }
  }

  ValueChecker& chunk_;
  std::string name_;
};

}  // namespace

void check_vmcx(ValueChecker& chunk) {
  for (std::uint64_t index = 0; index < chunk.ncpus(); ++index) Vcpu(chunk, index).check();
}

void check_vm(ValueChecker& chunk) {
  const std::uint64_t ncpus = chunk.ncpus();
  for (std::uint64_t index = 0; index < ncpus; ++index) {
    const std::string name = fmt::format("vcpu[{}].", index);
    chunk.within(name + "x2apic_state", 0, 1, "disabled or enabled");
    const auto xcr0 = chunk.get(name + "guest_xcr0");
    if (xcr0 && (*xcr0 & 1) == 0)
      chunk.say(name + "guest_xcr0", "reserved-bits",
                fmt::format("{:#x} lacks the FPU, which is always set", *xcr0));
  }
  const Field* field = chunk.decoded().find("startup_cpus");
  for (std::size_t word = 0; field != nullptr && word < field->count(); ++word) {
    const std::uint64_t bits = chunk.decoded().number("startup_cpus", word).value_or(Number{}).bits;
    const std::uint64_t first = word * 64;
    const std::uint64_t known = ncpus >= first + 64 ? ~std::uint64_t{0}
                                : ncpus > first     ? (std::uint64_t{1} << (ncpus - first)) - 1
                                                    : 0;
    if ((bits & ~known) == 0) continue;
    chunk.say("startup_cpus", "unknown-vcpu",
              fmt::format("word {} is {:#x}: vCPUs wait to be started that a machine of {} does not have",
                          word, bits, ncpus));
  }
}

void check_vlapic(ValueChecker& chunk) {
  for (std::uint64_t index = 0; index < chunk.ncpus(); ++index) {
    const std::string name = fmt::format("vcpu[{}].", index);
    chunk.within(name + "isrvec_stk_top", 0, 16, "the depth of nested interrupts");
    chunk.within(name + "boot_state", 0, 2, "a state on the way to running");
  }
}

void check_interrupt_controllers(ValueChecker& chunk) {
  for (unsigned pin = 0; pin < 32; ++pin)
    chunk.within(fmt::format("pin[{}].acnt", pin), 0, 1 << 16, "how many assert the pin");
  for (unsigned pic = 0; pic < 2; ++pic) {
    chunk.within(fmt::format("pic[{}].irq_base", pic), 0, 0xf8, "the first vector");
    chunk.within(fmt::format("pic[{}].icw_num", pic), 0, 5, "a step of initialisation");
    chunk.within(fmt::format("pic[{}].lowprio", pic), 0, 7, "the input of lowest priority");
  }
  for (unsigned channel = 0; channel < 3; ++channel) {
    chunk.within(fmt::format("ch{}.crbyte", channel), 0, 2, "bytes written of a count");
    chunk.within(fmt::format("ch{}.frbyte", channel), 0, 2, "bytes read of a count");
  }
}

}  // namespace vmsnap::compat::bhyve
