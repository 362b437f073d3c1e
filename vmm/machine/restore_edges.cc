// SPDX-License-Identifier: BSD-2-Clause
#include "machine/restore_edges.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace vmsnap::vmm {
namespace {

/// `after` is restored when every `before` has been. An empty name stands for every emulated device: one that
/// may raise an interrupt as soon as it is restored.
struct Edge {
  std::string_view before;
  std::string_view after;
};

constexpr std::array<Edge, 12> kEdges{{
    {"cpu_profile", "x86_cpu"},  // legal bits of control registers, XSAVE and MSRs follow from CPUID
    {"x86_cpu", "lapic"},        // mode and base of the APIC are in the CPU's registers
    {"lapic", "i8259"},          // a controller passes requests on to the APICs
    {"lapic", "ioapic"},
    {"lapic", "i8254"},
    {"i8259", "kvm_clock"},
    {"ioapic", "kvm_clock"},
    {"i8254", "kvm_clock"},
    {"lapic", "kvm_clock"},  // the clock's page is named by an MSR of the CPU
    {"kvm_clock", ""},
    {"ioapic", ""},              // restoring a controller later would overwrite the interrupt
    {"pci_host", "virtio_blk"},  // a function is reached through its bus
}};

bool is_emulated(std::string_view type) {
  constexpr std::array<std::string_view, 7> kInsideKvm{"cpu_profile", "x86_cpu", "lapic",    "i8254",
                                                       "i8259",       "ioapic",  "kvm_clock"};
  return std::find(kInsideKvm.begin(), kInsideKvm.end(), type) == kInsideKvm.end();
}

/// "cpu0/lapic" belongs to "cpu0" alone.
bool concerns(const DeviceEntry& before, const DeviceEntry& after) {
  if (before.type == "x86_cpu" && after.type == "lapic") return after.path == before.path + "/lapic";
  return true;
}

}  // namespace

void add_restore_edges(Manifest& manifest) {
  for (DeviceEntry& after : manifest.devices) {
    for (const DeviceEntry& before : manifest.devices) {
      const bool wanted = std::any_of(kEdges.begin(), kEdges.end(), [&](const Edge& edge) {
        return edge.before == before.type &&
               (edge.after.empty() ? is_emulated(after.type) : edge.after == after.type) &&
               concerns(before, after);
      });
      const bool known = std::find(after.restore_after.begin(), after.restore_after.end(), before.instance) !=
                         after.restore_after.end();
      if (wanted && !known) after.restore_after.push_back(before.instance);
    }
    std::sort(after.restore_after.begin(), after.restore_after.end());
  }
}

}  // namespace vmsnap::vmm
