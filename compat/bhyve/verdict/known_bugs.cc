// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/verdict/known_bugs.h"

#include <algorithm>

namespace vmsnap::compat::bhyve {
namespace {

class Facts {
 public:
  explicit Facts(const Verdict& verdict) : verdict_(verdict) {}

  [[nodiscard]] bool is_of_a() const {
    return verdict_.nearest == Generation::kA || verdict_.nearest == Generation::kA2;
  }
  [[nodiscard]] bool has(std::string_view axis, std::string_view shape) const {
    const AxisVerdict* one = verdict_.find(axis);
    return one != nullptr && one->shape == shape;
  }
  [[nodiscard]] bool has_device(std::string_view emulation) const {
    return std::any_of(verdict_.entries.begin(), verdict_.entries.end(), [&](const ClassifiedEntry& one) {
      return !one.is_kernel && one.layout != nullptr && one.layout->chunk == emulation;
    });
  }
  [[nodiscard]] Vendor vendor() const { return verdict_.vendor; }
  [[nodiscard]] Generation nearest() const { return verdict_.nearest; }

 private:
  const Verdict& verdict_;
};

struct Rule {
  KnownBug bug;
  bool (*applies)(const Facts&);
};

constexpr Rule kRules[] = {
    {{"first-device-only",
      "only the first device of each emulation is saved; the state of any others is lost"},
     [](const Facts& facts) { return facts.has(axis::kNames, "plain"); }},
    {{"empty-vmx", "the chunk vmx has no bytes, and bhyve refuses to resume a set with an empty chunk"},
     [](const Facts& facts) { return facts.has(axis::kVmx, "empty"); }},
    {{"tsc-dropped", "bhyve reads the saved TSC and drops it: the guest's TSC begins near 0 again"},
     [](const Facts& facts) { return facts.nearest() == Generation::kB; }},
    {{"host-addresses",
      "the registers contain host-physical addresses of nested page tables and permission maps, which are of "
      "no use "
      "in another process and dangerous to load"},
     [](const Facts& facts) { return facts.is_of_a() && facts.vendor() == Vendor::kAmd; }},
    {{"amd-untested", "saving and resuming on AMD was never tested by its authors; Linux guests have frozen"},
     [](const Facts& facts) { return facts.is_of_a() && facts.vendor() == Vendor::kAmd; }},
    {{"no-fpu",
      "the guest's FPU, SSE and AVX registers, a pending NMI, ExtINT and pending exceptions are not in the "
      "set"},
     [](const Facts&) { return true; }},
    {{"timers-not-armed",
      "the PIT and the ACPI timer are not started again, and the RTC does not go on by the time suspended"},
     [](const Facts&) { return true; }},
    {{"no-firmware-state",
      "UEFI variables, TPM, the geometry of the screen, the PCI interrupt router and the state of INTx lines "
      "are not "
      "in the set"},
     [](const Facts&) { return true; }},
    {{"e1000-nvm-mode",
      "nvm_mode of e1000 is lost (nvm_bits is stored twice), and its receive ring is checked with the length "
      "of the "
      "other; in Linux guests the interface may be dead after a restore"},
     [](const Facts& facts) { return facts.has_device("e1000"); }},
    {{"ps2-queues",
      "the queues of keyboard and mouse are not saved, and the keyboard's state is stored twice"},
     [](const Facts& facts) { return facts.has_device("atkbdc"); }},
    {{"xhci-slot-map",
      "empty slots of xHCI have meaningless numbers, and addresses of the host's process are stored"},
     [](const Facts& facts) { return facts.has_device("xhci"); }},
    {{"net-features",
      "bhyve enables the features and reception of virtio-net when it resumes, whether or not the guest had"},
     [](const Facts& facts) { return facts.has(axis::kNetTail, "A"); }},
    {{"meta-assert", "bhyve aborts instead of telling when an offset in the .meta file is wrong"},
     [](const Facts& facts) { return facts.is_of_a() || facts.nearest() == Generation::kB; }},
};

}  // namespace

std::vector<KnownBug> known_bugs(const Verdict& verdict) {
  const Facts facts(verdict);
  std::vector<KnownBug> bugs;
  for (const Rule& rule : kRules) {
    if (rule.applies(facts)) bugs.push_back(rule.bug);
  }
  return bugs;
}

}  // namespace vmsnap::compat::bhyve
