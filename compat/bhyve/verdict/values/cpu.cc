// SPDX-License-Identifier: BSD-2-Clause
// Registers of vCPUs.
#include <array>

#include "bhyve/verdict/values/value_checker.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kCr0Pe = 1;
constexpr std::uint64_t kCr0Nw = 1u << 29;
constexpr std::uint64_t kCr0Cd = 1u << 30;
constexpr std::uint64_t kCr0Pg = 1u << 31;
constexpr std::uint64_t kCr4Pae = 1u << 5;
constexpr std::uint64_t kCr0Reserved = 0xffff'ffff'0000'0000;
/// Bits that no processor has defined.
constexpr std::uint64_t kCr4Reserved = 0xffff'ffff'ec00'8000;
constexpr std::uint64_t kEferLme = 1u << 8;
constexpr std::uint64_t kEferLma = 1u << 10;
constexpr std::uint64_t kEferReserved = ~std::uint64_t{0x36'fd01};
constexpr std::uint64_t kRflagsFixed = 2;
constexpr std::uint64_t kRflagsVm = 1u << 17;
constexpr std::uint64_t kRflagsReserved = 0xffff'ffff'ffc0'8028;
constexpr std::uint64_t kDr7Reserved = 0xffff'ffff'0000'0000;
constexpr std::uint64_t kUnusable = 0x10000;
constexpr std::uint64_t kAccessLong = 0x2000;
constexpr std::uint64_t kAccessDefault32 = 0x4000;
constexpr std::uint64_t kAccessCode = 0x18;
constexpr std::uint64_t kAddressOfCr3 = 0x000f'ffff'ffff'f000;
/// Of Intel's interruptibility: blocking by STI and by MOV SS, by an SMI, by an NMI; an interrupted enclave.
constexpr std::uint64_t kInterruptibilityReserved = ~std::uint64_t{0x1f};
constexpr std::uint64_t kBlockedBySti = 1, kBlockedByMovSs = 2;

constexpr std::string_view kUnknownBits = "which no processor knows";

bool is_canonical(std::uint64_t address) {
  // With five levels of page tables: with four, less is.
  const auto top = static_cast<std::int64_t>(address) >> 56;
  return top == 0 || top == -1;
}

class Vcpu {
 public:
  Vcpu(ValueChecker& chunk, std::uint64_t index) : chunk_(chunk), name_(fmt::format("vcpu[{}].", index)) {}

  void check_registers() {
    const std::uint64_t cr0 = get("cr0");
    const std::uint64_t cr4 = get("cr4");
    const std::uint64_t efer = get("efer");
    // Where the two vendors differ in what they enter a guest with, the processor is Intel's.
    if ((cr0 & kCr0Pg) != 0 && (cr0 & kCr0Pe) == 0)
      crash("cr0", "control-registers",
            fmt::format("{:#x} has paging without protection, which no processor enters", cr0));
    if ((cr0 & kCr0Nw) != 0 && (cr0 & kCr0Cd) == 0)
      crash("cr0", "control-registers",
            fmt::format("{:#x} has NW without CD, which no processor enters", cr0));
    reserved("cr0", kCr0Reserved);
    reserved("cr4", kCr4Reserved);
    reserved("efer", kEferReserved);
    reserved("dr7", kDr7Reserved);
    const bool is_long = (efer & kEferLma) != 0;
    const bool should_be = (efer & kEferLme) != 0 && (cr0 & kCr0Pg) != 0;
    if (is_long != should_be) {
      crash("efer", "control-registers",
            fmt::format("{:#x} {} 64-bit mode active, which contradicts CR0 {:#x}", efer,
                        is_long ? "has" : "does not have", cr0));
    }
    if (is_long && (cr4 & kCr4Pae) == 0)
      crash("cr4", "control-registers",
            fmt::format("{:#x} lacks PAE, without which there is no 64-bit mode", cr4));
    if ((cr0 & kCr0Pg) != 0 && !chunk_.is_memory(get("cr3") & kAddressOfCr3, 4096)) {
      crash("cr3", "outside-memory",
            fmt::format("the page tables are at {:#x}, where the guest has no memory",
                        get("cr3") & kAddressOfCr3));
    }
    check_flags();
    check_segments(is_long);
    check_interruptibility();
    chunk_.within(name_ + "activity", 0, 3, "an activity state", Consequence::kCrash);
    check_mtrrs(chunk_, name_);
  }

  /// Those that the host's kernel writes to its processor while the guest runs.
  void check_msrs() {
    for (const std::string_view path : {"msr.LSTAR", "msr.CSTAR", "msr.KGSBASE"}) {
      if (is_canonical(get(path))) continue;
      crash(path, "not-canonical",
            fmt::format("{:#x} is no address that 64-bit mode has, and the host's processor faults when it "
                        "is written",
                        get(path)));
    }
    for (const std::string_view path : {"msr.SF_MASK", "msr.TSC_AUX"}) {
      if (get(path) <= UINT32_MAX) continue;
      crash(path, "reserved-bits",
            fmt::format("{:#x} has more than 32 bits, and the host's processor faults when it is written",
                        get(path)));
    }
    for (const std::string_view path : {"msr.PAT", "guest_pat"}) check_pat(path);
  }

 private:
  [[nodiscard]] std::uint64_t get(std::string_view field) const {
    return chunk_.get_or_zero(name_ + std::string(field));
  }
  void crash(std::string_view field, std::string_view code, std::string sentence) {
    chunk_.say(name_ + std::string(field), code, std::move(sentence), Consequence::kCrash);
  }
  void reserved(std::string_view field, std::uint64_t mask) {
    chunk_.without_bits(name_ + std::string(field), mask, kUnknownBits, Consequence::kCrash);
  }

  void check_flags() {
    const auto rflags = chunk_.get(name_ + "rflags");
    if (!rflags) return;
    if ((*rflags & kRflagsFixed) == 0)
      crash("rflags", "reserved-bits", fmt::format("{:#x} lacks bit 1, which is always set", *rflags));
    reserved("rflags", kRflagsReserved);
  }

  void check_segments(bool is_long) {
    const std::uint64_t code = get("CS.access");
    if ((code & kUnusable) != 0) {
      crash("CS.access", "segments",
            fmt::format("{:#x} means that CS is unusable, but the guest fetches through it", code));
    } else if ((get("rflags") & kRflagsVm) == 0 && (get("cr0") & kCr0Pe) != 0 &&
               (code & kAccessCode) != kAccessCode) {
      crash("CS.access", "segments", fmt::format("{:#x} is no code segment", code));
    } else if (is_long && (code & kAccessLong) != 0 && (code & kAccessDefault32) != 0) {
      crash("CS.access", "segments", fmt::format("{:#x} has L and D, which exclude each other", code));
    }
    if ((get("TR.access") & kUnusable) != 0)
      crash("TR.access", "segments",
            fmt::format("{:#x} means that TR is unusable, which it never is", get("TR.access")));
    for (const std::string_view segment : {"ES", "CS", "SS", "DS", "FS", "GS", "TR", "LDTR"}) {
      const std::string path = name_ + std::string(segment) + ".selector";
      const std::uint64_t selector = chunk_.get_or_zero(path);
      if (selector <= 0xffff) continue;
      chunk_.say(path, "segments", fmt::format("{:#x} has more than the 16 bits of a selector", selector));
    }
    if (!is_long) return;
    for (const std::string_view path : {"rip", "FS.base", "GS.base", "TR.base", "GDTR.base", "IDTR.base"}) {
      if (!is_canonical(get(path)))
        crash(path, "not-canonical", fmt::format("{:#x} is no address that 64-bit mode has", get(path)));
    }
  }

  void check_interruptibility() {
    const std::uint64_t blocked = get("interruptibility");
    reserved("interruptibility", kInterruptibilityReserved);
    if ((blocked & kBlockedBySti) != 0 && (blocked & kBlockedByMovSs) != 0) {
      crash(
          "interruptibility", "interruptibility",
          fmt::format("{:#x} means that STI and MOV SS block interrupts at once, which cannot be", blocked));
    }
  }

  void check_pat(std::string_view field) {
    const std::string path = name_ + std::string(field);
    const auto pat = chunk_.get(path);
    if (!pat) return;
    for (unsigned entry = 0; entry < 8; ++entry) {
      const std::uint64_t type = *pat >> 8 * entry & 0xff;
      if (type <= 7 && type != 2 && type != 3) continue;
      chunk_.say_at(path, entry, "memory-type",
                    fmt::format("entry {} of {:#x} is {}, which is no memory type", entry, *pat, type),
                    Consequence::kCrash);
    }
  }

  ValueChecker& chunk_;
  std::string name_;
};

/// An event that an exit cut short, as VMCS and VMCB have it.
void check_event(ValueChecker& chunk, const std::string& path) {
  constexpr std::uint64_t kValid = 1u << 31;
  constexpr std::uint64_t kReserved = 0x7fff'f000;
  const std::uint64_t event = chunk.get_or_zero(path);
  if ((event & kValid) == 0) return;
  chunk.without_bits(path, kReserved, "which an interrupted event does not have");
  const std::uint64_t type = event >> 8 & 7;
  const std::uint64_t vector = event & 0xff;
  constexpr std::uint64_t kNmi = 2, kException = 3, kSoftware = 4;
  if (type != 0 && (type < kNmi || type > kSoftware)) {
    chunk.say(path, "event", fmt::format("{:#x} has the type {}, which no event has", event, type));
  } else if (type == kNmi && vector != 2) {
    chunk.say(path, "event", fmt::format("{:#x} is an NMI with vector {}; it always has 2", event, vector));
  } else if (type == kException && vector >= 32) {
    chunk.say(path, "event",
              fmt::format("{:#x} is an exception with vector {}; it has less than 32", event, vector));
  }
}

}  // namespace

void check_vmcx(ValueChecker& chunk) {
  for (std::uint64_t index = 0; index < chunk.ncpus(); ++index) {
    Vcpu vcpu(chunk, index);
    vcpu.check_registers();
    vcpu.check_msrs();
  }
}

void check_vmx(ValueChecker& chunk) {
  for (std::uint64_t index = 0; index < chunk.ncpus(); ++index) Vcpu(chunk, index).check_msrs();
}

void check_vm(ValueChecker& chunk) {
  const std::uint64_t ncpus = chunk.ncpus();
  for (std::uint64_t index = 0; index < ncpus; ++index) {
    const std::string name = fmt::format("vcpu[{}].", index);
    chunk.within(name + "x2apic_state", 0, 1, "disabled or enabled");
    check_event(chunk, name + "exitintinfo");
    chunk.within(name + "exc_vector", 0, 31, "the vector of an exception");
    chunk.within(name + "exc_errcode_valid", 0, 1, "whether there is an error code");
    chunk.within(name + "exitinfo.inst_length", 0, 15, "the bytes of an instruction");
    const auto xcr0 = chunk.get(name + "guest_xcr0");
    if (xcr0 && (*xcr0 & 1) == 0)
      chunk.say(name + "guest_xcr0", "reserved-bits",
                fmt::format("{:#x} lacks the FPU, which is always set, and the host's processor faults when "
                            "it is loaded",
                            *xcr0),
                Consequence::kCrash);
  }
  const Field* field = chunk.decoded().find("startup_cpus");
  for (std::size_t word = 0; field != nullptr && word < field->count(); ++word) {
    const std::uint64_t bits = chunk.get_or_zero("startup_cpus", word);
    const std::uint64_t first = word * 64;
    const std::uint64_t known = ncpus >= first + 64 ? ~std::uint64_t{0}
                                : ncpus > first     ? (std::uint64_t{1} << (ncpus - first)) - 1
                                                    : 0;
    if ((bits & ~known) == 0) continue;
    chunk.say_of(
        "startup_cpus", word, "unknown-vcpu",
        fmt::format("{:#x} has vCPUs that wait to be started, but that a machine of {} does not have", bits,
                    ncpus));
  }
}

}  // namespace vmsnap::compat::bhyve
