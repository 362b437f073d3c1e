// SPDX-License-Identifier: BSD-2-Clause
#include "monitors/takeover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "monitors/snapvmm.h"
#include "versions/versions.h"

namespace vmsnap::compat {
namespace {

using testing::HasSubstr;

DeviceEntry entry(const std::string& path, const std::string& type) {
  DeviceEntry device;
  device.path = path;
  device.type = type;
  const std::vector<ReleaseLevel> levels = release_levels();
  if (const LevelChunk* known = levels.back().find(type)) device.version = known->version;
  device.readable_since = device.version;
  return device;
}

DeviceEntry disk(const std::string& path) {
  DeviceEntry device = entry(path, "virtio_blk");
  device.slots.push_back({});
  device.slots.back().kind = SlotKind::kBlockBackend;
  return device;
}

/// One that snapvmm can take over as a whole.
std::vector<DeviceEntry> machine() {
  return {entry("cpus", "cpu_profile"),
          entry("cpu0", "x86_cpu"),
          entry("cpu0/lapic", "lapic"),
          entry("cpu1", "x86_cpu"),
          entry("cpu1/lapic", "lapic"),
          entry("isa0/i8259@20", "i8259"),
          entry("system0/ioapic@fec00000", "ioapic"),
          entry("isa0/i8254@40", "i8254"),
          entry("system0/kvm_clock", "kvm_clock"),
          entry("isa0/uart@3f8", "uart16550"),
          entry("isa0/i8042@60", "i8042"),
          entry("isa0/rtc@70", "mc146818"),
          entry("isa0/acpi_pm@600", "acpi_pm"),
          entry("pci0/00:00.0", "pci_host"),
          disk("pci0/00:03.0")};
}

/// The answers that are no, as "path type: why".
std::vector<std::string> refusals(const std::vector<DeviceEntry>& devices, std::uint32_t vcpus = 2) {
  std::vector<std::string> out;
  for (const Takeover& one : judge_takeover(devices, vcpus)) {
    if (!one.can) out.push_back(one.device + " " + one.type + ": " + one.why);
  }
  return out;
}

/// machine() with one device more.
std::vector<std::string> refusals_with(DeviceEntry device) {
  std::vector<DeviceEntry> devices = machine();
  devices.push_back(std::move(device));
  return refusals(devices);
}

TEST(Takeover, OfAMachineOfSnapvmmItselfIsComplete) {
  EXPECT_THAT(refusals(machine()), testing::IsEmpty());
  EXPECT_EQ(judge_takeover(machine(), 2).size(), machine().size());
  for (const Takeover& one : judge_takeover(machine(), 2)) EXPECT_EQ(one.why, "snapvmm has it");
}

TEST(Takeover, IsRefusedForEveryTypeThatSnapvmmDoesNotEmulate) {
  std::size_t refused = 0;
  for (const ChunkType& type : frozen_device_chunk_types()) {
    if (find_device_of_snapvmm(type.name) != nullptr || type.name == "bhyve_private") continue;
    ++refused;
    EXPECT_THAT(refusals_with(entry("some/where", std::string(type.name))),
                testing::ElementsAre(testing::StrEq("some/where " + std::string(type.name) +
                                                    ": snapvmm does not emulate it")));
  }
  EXPECT_GE(refused, 10u);
  EXPECT_THAT(refusals_with(entry("void0", "wormhole")),
              testing::ElementsAre("void0 wormhole: snapvmm does not emulate it"));
}

TEST(Takeover, IsRefusedAtAPlaceThatSnapvmmDoesNotHave) {
  EXPECT_THAT(refusals_with(entry("isa0/uart@2f8", "uart16550")),
              testing::ElementsAre("isa0/uart@2f8 uart16550: snapvmm has it at isa0/uart@3f8 only"));
  EXPECT_THAT(refusals_with(entry("isa0/acpi_pm@400", "acpi_pm")),
              testing::ElementsAre(HasSubstr("at isa0/acpi_pm@600 only")));
  for (const char* path : {"pci0/00:00.0", "pci0/00:20.0", "pci0/00:03.1", "pci0/01:03.0"})
    EXPECT_THAT(refusals_with(disk(path)), testing::ElementsAre(HasSubstr("pci0/00:01.0 to pci0/00:1f.0")));
  EXPECT_THAT(refusals_with(disk("pci0/00:1f.0")), testing::IsEmpty());
}

TEST(Takeover, NamesWhatIsMissingOrTooMany) {
  std::vector<DeviceEntry> devices = machine();
  devices.erase(devices.begin());
  EXPECT_THAT(
      refusals(devices),
      testing::ElementsAre(" cpu_profile: the snapshot has 0 of it, and snapvmm runs a machine with 1"));
  EXPECT_THAT(refusals(machine(), 3),
              testing::ElementsAre(HasSubstr("lapic: the snapshot has 2 of it"), HasSubstr("x86_cpu: the ")));
  EXPECT_THAT(refusals_with(entry("isa0/i8254@50", "i8254")),
              testing::ElementsAre(HasSubstr("i8254: the snapshot has 2 of it")));
  std::vector<DeviceEntry> lost = machine();
  lost[4].path = "cpu7/lapic";
  EXPECT_THAT(refusals(lost), testing::ElementsAre(HasSubstr("the path of its vCPU")));
}

TEST(Takeover, AsksForAReaderOfTheStateAsARestoreDoes) {
  DeviceEntry newer = machine().back();
  newer.path = "pci0/00:04.0";
  newer.version = {newer.version.major, static_cast<std::uint16_t>(newer.version.minor + 1)};
  // An older reader may read it, until it says otherwise.
  EXPECT_THAT(refusals_with(newer), testing::IsEmpty());
  newer.readable_since = newer.version;
  EXPECT_THAT(refusals_with(newer), testing::ElementsAre(HasSubstr("newest that this release reads")));
  DeviceEntry next = machine().back();
  next.path = "pci0/00:04.0";
  next.version = {static_cast<std::uint16_t>(next.version.major + 1), 0};
  EXPECT_THAT(refusals_with(next), testing::ElementsAre(HasSubstr("newest that this release reads")));
  DeviceEntry strange = machine().back();
  strange.path = "pci0/00:04.0";
  strange.features = {"teleport"};
  EXPECT_THAT(refusals_with(strange), testing::ElementsAre(HasSubstr("the feature teleport")));
}

TEST(Takeover, OfADeviceThatNeedsSomethingElseOfTheHostThanADiskIsRefused) {
  DeviceEntry device = disk("pci0/00:04.0");
  device.slots.back().kind = SlotKind::kNetworkBackend;
  EXPECT_THAT(refusals_with(device), testing::ElementsAre(HasSubstr("than one disk image")));
}

TEST(Takeover, FromBhyveSaysWhatIsSpecialThere) {
  std::vector<DeviceEntry> devices = machine();
  devices.push_back(entry("bhyve", "bhyve_private"));
  EXPECT_THAT(refusals(devices),
              testing::ElementsAre(HasSubstr("pci0/00:00.0 pci_host: bhyve's is another chip"),
                                   HasSubstr("pci0/00:03.0 virtio_blk: bhyve's has the legacy interface"),
                                   HasSubstr("bhyve bhyve_private: is no hardware")));
  std::map<std::string, std::string> reasons;
  for (const Takeover& one : judge_takeover(devices, 2)) {
    if (one.can) reasons[one.type] = one.why;
  }
  EXPECT_THAT(reasons["x86_cpu"], HasSubstr("FPU, SSE and AVX"));
  EXPECT_THAT(reasons["ioapic"], HasSubstr("24 of its 32 pins"));
  EXPECT_EQ(reasons["lapic"], "snapvmm has it");
}

}  // namespace
}  // namespace vmsnap::compat
