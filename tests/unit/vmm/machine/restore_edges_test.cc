// SPDX-License-Identifier: BSD-2-Clause
#include "machine/restore_edges.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace vmsnap::vmm {
namespace {

Manifest manifest_of(const std::vector<std::pair<std::string, std::string>>& devices) {
  Manifest manifest;
  manifest.producer_name = "restore_edges_test";
  manifest.producer_version = "1";
  manifest.vcpu_count = 2;
  for (const auto& [type, path] : devices) {
    DeviceEntry entry;
    entry.instance = static_cast<std::uint32_t>(manifest.devices.size());
    entry.type = type;
    entry.path = path;
    entry.version = entry.readable_since = {1, 0};
    manifest.devices.push_back(entry);
  }
  return manifest;
}

// In the worst order there could be.
const std::vector<std::pair<std::string, std::string>> kMachine = {
    {"virtio_blk", "pci0/00:03.0"},
    {"uart16550", "isa0/uart@3f8"},
    {"pci_host", "pci0/00:00.0"},
    {"kvm_clock", "system0/clock"},
    {"i8254", "isa0/i8254@40"},
    {"ioapic", "system0/ioapic"},
    {"i8259", "isa0/i8259@20"},
    {"lapic", "cpu1/lapic"},
    {"lapic", "cpu0/lapic"},
    {"x86_cpu", "cpu1"},
    {"x86_cpu", "cpu0"},
    {"cpu_profile", "cpus"},
};

std::ptrdiff_t position(const std::vector<std::uint32_t>& order, std::uint32_t instance) {
  return std::find(order.begin(), order.end(), instance) - order.begin();
}

TEST(RestoreEdges, BringAMachineInTheWorstOrderIntoOneThatKvmAccepts) {
  Manifest manifest = manifest_of(kMachine);
  add_restore_edges(manifest);
  ASSERT_TRUE(validate(manifest));
  const std::vector<std::uint32_t> order = restore_order(manifest);
  ASSERT_EQ(order.size(), kMachine.size());
  const auto before = [&](std::uint32_t a, std::uint32_t b) {
    return position(order, a) < position(order, b);
  };
  EXPECT_TRUE(before(11, 10)) << "CPUID before the registers";
  EXPECT_TRUE(before(10, 8)) << "registers of cpu0 before its APIC";
  EXPECT_TRUE(before(9, 7)) << "registers of cpu1 before its APIC";
  EXPECT_TRUE(before(7, 5)) << "APICs before the I/O APIC";
  EXPECT_TRUE(before(5, 3)) << "interrupt controllers before the clock";
  EXPECT_TRUE(before(3, 1)) << "the clock before emulated devices";
  EXPECT_TRUE(before(2, 0)) << "the bus before its functions";
}

TEST(RestoreEdges, TieEachApicToItsOwnCpuOnly) {
  Manifest manifest = manifest_of(kMachine);
  add_restore_edges(manifest);
  EXPECT_EQ(manifest.devices[8].restore_after, (std::vector<std::uint32_t>{10}));
}

TEST(RestoreEdges, KeepEdgesThatTheFileAlreadyHasAndAddNoneTwice) {
  Manifest manifest = manifest_of({{"uart16550", "a"}, {"uart16550", "b"}, {"ioapic", "c"}});
  manifest.devices[1].restore_after = {0, 2};
  add_restore_edges(manifest);
  EXPECT_EQ(manifest.devices[0].restore_after, (std::vector<std::uint32_t>{2}));
  EXPECT_EQ(manifest.devices[1].restore_after, (std::vector<std::uint32_t>{0, 2}));
}

}  // namespace
}  // namespace vmsnap::vmm
