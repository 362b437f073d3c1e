// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/newest_states.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../convert/mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr ChunkVersion k10{1, 0}, k11{1, 1};

DeviceEntry entry(std::string path, std::string type, ChunkVersion version) {
  DeviceEntry device;
  device.path = std::move(path);
  device.type = std::move(type);
  device.version = device.readable_since = version;
  return device;
}

/// A state of acpi_pm of that version whose timer says 77.
ByteVector acpi_pm(ChunkVersion version) {
  for (const ChunkType& type : frozen_device_chunk_types()) {
    if (type.name != "acpi_pm" || type.version != version) continue;
    auto model = reflect::SchemaModel::load(type.schema);
    EXPECT_TRUE(model);
    StateTree tree(*model);
    EXPECT_TRUE(tree.set("pm_timer", 77));
    auto state = tree.encode();
    EXPECT_TRUE(state);
    return *state;
  }
  ADD_FAILURE() << "no such version";
  return {};
}

TEST(NewestStates, LeaveAStateOfTheNewestVersionAsItIs) {
  NewestStates states;
  const ByteVector state = acpi_pm(k11);
  const auto brought = states.bring(entry("isa0/acpi_pm@400", "acpi_pm", k11), state);
  ASSERT_TRUE(brought) << brought.error().to_string();
  EXPECT_EQ(*brought, state);
  EXPECT_THAT(states.take_remarks(), IsEmpty());
}

TEST(NewestStates, BringAnOlderStateUpAndSayWhatWasAssumed) {
  NewestStates states;
  const auto brought = states.bring(entry("isa0/acpi_pm@400", "acpi_pm", k10), acpi_pm(k10));
  ASSERT_TRUE(brought) << brought.error().to_string();
  FakeGuestMemory memory(0);
  Machine machine(1, Vendor::kIntel, memory);
  ASSERT_TRUE(machine.add("isa0/acpi_pm@400", "acpi_pm", *brought));
  EXPECT_EQ(field_of<std::uint32_t>(machine, "isa0/acpi_pm@400", "pm_timer"), 77u);
  const auto remarks = states.take_remarks();
  EXPECT_THAT(
      remarks,
      Contains(AllOf(Field(&Remark::kind, Remark::Kind::kNote), Field(&Remark::subject, "isa0/acpi_pm@400"),
                     Field(&Remark::sentence, HasSubstr("gpe0_enable defaulted in version 1.1")))));
  EXPECT_THAT(states.take_remarks(), IsEmpty());
}

TEST(NewestStates, RefuseATypeOrAVersionThatNobodyKnows) {
  NewestStates states;
  const auto type = states.bring(entry("pci0/00:09.0", "nvme", k10), {});
  ASSERT_FALSE(type);
  EXPECT_EQ(type.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(type.error().to_string(), AllOf(HasSubstr("pci0/00:09.0"), HasSubstr("nvme")));
  const auto version = states.bring(entry("isa0/acpi_pm@400", "acpi_pm", {9, 0}), acpi_pm(k11));
  ASSERT_FALSE(version);
  EXPECT_EQ(version.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(version.error().to_string(), HasSubstr("isa0/acpi_pm@400"));
}

TEST(NewestStates, RefuseAnOlderStateThatIsDamaged) {
  NewestStates states;
  const auto brought =
      states.bring(entry("isa0/acpi_pm@400", "acpi_pm", k10), ByteVector(40, std::byte{0xff}));
  ASSERT_FALSE(brought);
  EXPECT_EQ(brought.error().kind(), ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
