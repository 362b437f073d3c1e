// SPDX-License-Identifier: BSD-2-Clause
#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsSupersetOf;

constexpr std::string_view kController = "isa0/i8042@60";
constexpr std::string_view kKeyboard = "isa0/i8042@60/keyboard";
constexpr std::string_view kMouse = "isa0/i8042@60/mouse";

/// What bhyve writes whenever there is nothing to read: three fields are left over from interrupts, and
/// nobody but the file tells whether the controller has a reply.
ItemValues idle() {
  ByteVector ram(32);
  ram[0] = std::byte{0x47};
  return {
      {"status", 0x1c},
      {"outport", 0x03},
      {"ram", ram},
      {"kbd_raw.irq", 1},
      {"kbd.irq", 1},
      {"aux.irq", 12},
      {"ps2kbd.enabled", 1},
      {"ps2mouse.status", 0x20},
      {"ps2mouse.resolution", 4},
      {"ps2mouse.ctrlenable", 1},
      {"ps2mouse.sampling_rate", 100},
  };
}

void put_keyboard(ItemValues& items, const std::vector<unsigned>& buffer, std::uint64_t first,
                  std::uint64_t count) {
  ByteVector bytes = bytes_of(buffer);
  bytes.resize(15);
  for (const std::string record : {"kbd.", "kbd_raw."}) {
    items[record + "buffer"] = bytes;
    items[record + "brd"] = first;
    items[record + "bwr"] = (first + count) % 15;
    items[record + "bcnt"] = count;
  }
}

MappingRun run_of(const ItemValues& items) {
  return MappingRun("atkbdc", "A", {}, items);
}

TEST(Atkbdc, GivesEverythingBackButWhatOnlyBhyveKnows) {
  ItemValues items = idle();
  items["curcmd"] = 0xd4;
  items["ps2kbd.curcmd"] = 0xed;
  items["ps2mouse.curcmd"] = 0xf3;
  items["ps2mouse.delta_x"] = 0xfffffffe;
  items["ps2mouse.delta_y"] = 7;
  put_keyboard(items, {0x1c, 0xf0, 0x1c}, 0, 3);
  MappingRun run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("ctrlbyte", "kbd_raw.irq_active", "kbd.irq_active",
                                                      "aux.irq_active", "ps2mouse.cur_x", "ps2mouse.cur_y"));

  EXPECT_EQ(run.field<std::uint8_t>(kController, "status"), 0x1c);
  EXPECT_EQ(run.field<std::uint8_t>(kController, "output_port"), 0x03);
  EXPECT_EQ(run.field<std::uint8_t>(kController, "command_byte"), 0x47);
  EXPECT_EQ(run.field<std::uint8_t>(kController, "pending_command"), 0xd4);
  EXPECT_EQ(run.field<ByteVector>(kController, "output_buffer"), bytes_of({0x1c, 0xf0, 0x1c}));
  EXPECT_TRUE(run.field<bool>(kKeyboard, "scanning_enabled"));
  EXPECT_EQ(run.field<std::uint8_t>(kKeyboard, "pending_command"), 0xed);
  EXPECT_EQ(run.field<std::uint8_t>(kKeyboard, "scan_code_set"), 2);
  EXPECT_EQ(run.field<std::uint8_t>(kKeyboard, "typematic"), 0x2b);
  EXPECT_EQ(run.field<std::uint8_t>(kMouse, "status"), 0x20);
  EXPECT_EQ(run.field<std::uint8_t>(kMouse, "resolution"), 4);
  EXPECT_EQ(run.field<std::uint8_t>(kMouse, "sampling_rate"), 100);
  EXPECT_EQ(run.field<std::uint8_t>(kMouse, "pending_command"), 0xf3);
  EXPECT_EQ(run.field<std::int32_t>(kMouse, "delta_x"), -2);
  EXPECT_EQ(run.field<std::int32_t>(kMouse, "delta_y"), 7);
  EXPECT_THAT(run.not_in_file(),
              IsSupersetOf({"scan_code_set, indicators, typematic", "wrap_mode, device_id"}));
}

TEST(Atkbdc, PutsTheControllersReplyBeforeTheKeyboardsBytes) {
  ItemValues items = idle();
  items["ctrlbyte"] = 0x8055;
  put_keyboard(items, {0x1c}, 0, 1);
  MappingRun run = run_of(items);
  // From the devices alone nobody can tell whose the first byte was.
  EXPECT_THAT(run.kept_after_both_ways(),
              IsSupersetOf({"ctrlbyte", "kbd.buffer", "kbd.bcnt", "kbd.bwr", "kbd_raw.buffer"}));
  EXPECT_EQ(run.field<ByteVector>(kController, "output_buffer"), bytes_of({0x55, 0x1c}));
}

TEST(Atkbdc, TakesTheLastFifteenOfSixteenBytesForTheKeyboards) {
  ItemValues items = idle();
  items["ctrlbyte"] = 0x8055;
  const std::vector<unsigned> full = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  put_keyboard(items, full, 0, 15);
  MappingRun run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("ctrlbyte", "kbd_raw.irq_active", "kbd.irq_active",
                                                      "aux.irq_active", "ps2mouse.cur_x", "ps2mouse.cur_y"));
  EXPECT_EQ(run.field<ByteVector>(kController, "output_buffer").size(), 16u);
}

TEST(Atkbdc, FollowsTheRingOfTheKeyboardAroundItsEnd) {
  ItemValues items = idle();
  put_keyboard(items, {0x03, 0x04, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x02}, 13, 4);
  MappingRun run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(), IsSupersetOf({"kbd.buffer", "kbd.brd", "kbd.bwr"}));
  EXPECT_EQ(run.field<ByteVector>(kController, "output_buffer"), bytes_of({1, 2, 3, 4}));
}

TEST(Atkbdc, ReadsNothingFromPositionsOutsideOfTheRing) {
  for (const auto& [first, count] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{
           {15, 1}, {0x7fffffff, 1}, {0xffffffff, 1}, {0, 16}, {0, 0x7fffffff}, {14, 0x80000000}}) {
    ItemValues items = idle();
    items["kbd.brd"] = first;
    items["kbd.bcnt"] = count;
    MappingRun run = run_of(items);
    EXPECT_THAT(run.kept_after_both_ways(), ::testing::Contains("kbd.bcnt")) << first << ", " << count;
    EXPECT_TRUE(run.field<ByteVector>(kController, "output_buffer").empty()) << first << ", " << count;
  }
}

TEST(Atkbdc, KeepsACommandThatWaitsForNothingApart) {
  for (const std::uint64_t command : {0x20u, 0xd0u, 0xd5u, 0xaau, 0x160u, 0xffffffffu}) {
    ItemValues items = idle();
    items["curcmd"] = command;
    MappingRun run = run_of(items);
    EXPECT_THAT(run.kept_after_both_ways(), ::testing::Contains("curcmd")) << command;
    EXPECT_EQ(run.field<std::uint8_t>(kController, "pending_command"), 0) << command;
  }
}

TEST(Atkbdc, KeepsTheMemoryOfTheControllerApartThatHasNoField) {
  ItemValues items = idle();
  ByteVector ram(32);
  ram[0] = std::byte{0x67};  // the mouse is switched off
  ram[31] = std::byte{1};
  items["ram"] = ram;
  items["ps2mouse.ctrlenable"] = 0;
  MappingRun run = run_of(items);
  const auto kept = run.kept_after_both_ways();
  EXPECT_THAT(kept, ::testing::Contains("ram"));
  EXPECT_THAT(kept, ::testing::Not(::testing::Contains("ps2mouse.ctrlenable")));
  EXPECT_EQ(run.field<std::uint8_t>(kController, "command_byte"), 0x67);
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
