// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "steps/step_fixture.h"
#include "steps/x86_cpu/msr_groups.h"

namespace vmsnap::compat {
namespace {

using testing::HasSubstr;

constexpr ChunkVersion k10{1, 0}, k20{2, 0};

using Msrs = std::map<std::uint32_t, std::uint64_t>;

class X86CpuStepsTest : public StepFixture {
 protected:
  X86CpuStepsTest() : StepFixture("x86_cpu") {}

  static void append(StateTree& tree, const std::string& list, std::uint32_t index, std::uint64_t value,
                     std::uint32_t reserved = 0) {
    const auto at = tree.append(list);
    ASSERT_TRUE(at) << at.error().to_string();
    const std::string element = fmt::format("{}[{}].", list, *at);
    ASSERT_TRUE(tree.set(element + "index", index));
    ASSERT_TRUE(tree.set(element + "reserved", reserved));
    ASSERT_TRUE(tree.set(element + "value", value));
  }
  StateTree old_state(const Msrs& msrs) {
    StateTree tree = blank(k10);
    for (const auto& [index, value] : msrs) append(tree, "msrs", index, value);
    return tree;
  }
  static std::optional<std::uint64_t> number(const StateTree& tree, std::string_view path) {
    const auto value = tree.get<std::optional<std::uint64_t>>(path);
    EXPECT_TRUE(value) << value.error().to_string();
    return *value;
  }
  void expect_corrupt(const StateTree& tree, ChunkVersion from, ChunkVersion to, const char* field) {
    const auto conversion = try_convert(tree, from, to);
    ASSERT_FALSE(conversion);
    EXPECT_EQ(conversion.error().kind(), ErrorKind::kCorrupt) << conversion.error().to_string();
    EXPECT_EQ(conversion.error().field(), field);
  }

  /// Every register with a field.
  static std::vector<std::uint32_t> every_index() {
    std::vector<std::uint32_t> all;
    for (const GroupedMsr& msr : grouped_msrs()) all.push_back(msr.index);
    for (const MsrArray& array : msr_arrays()) {
      for (std::uint32_t number = 0; number < array.elements; ++number) {
        for (std::size_t part = 0; part < array.parts.size(); ++part) {
          all.push_back(array.index(number, part));
        }
      }
    }
    return all;
  }
};

TEST_F(X86CpuStepsTest, KnowEveryNumberInTheGroupsOfTheSchemaByTheRegisterInItsComment) {
  std::map<std::string, std::string> comments;
  std::set<std::string> groups;
  const reflect::SchemaModel& schema = model(k20);
  for (const reflect::Field& group : schema.root().fields) {
    if (group.type.kind != reflect::Kind::kTable || model(k10).root().find_field(group.name) != nullptr)
      continue;
    groups.insert(group.name);
    for (const reflect::Field& member : schema.object(group.type).fields) {
      const std::string path = group.name + "." + member.name;
      if (member.type.kind == reflect::Kind::kScalar) {
        comments[path] = member.documentation;
        continue;
      }
      const auto array = std::find_if(msr_arrays().begin(), msr_arrays().end(),
                                      [&](const MsrArray& each) { return each.path == path; });
      ASSERT_NE(array, msr_arrays().end()) << path;
      const reflect::Object& element = schema.object(member.type);
      ASSERT_EQ(element.fields.size(), array->parts.size() + 1);
      for (std::size_t part = 0; part < array->parts.size(); ++part) {
        EXPECT_EQ(element.fields[part + 1].name, array->parts[part]);
        EXPECT_THAT(element.fields[part + 1].documentation,
                    HasSubstr(fmt::format("({:X}h + ", array->index(0, part))));
      }
    }
  }
  EXPECT_EQ(groups, std::set<std::string>(msr_groups().begin(), msr_groups().end()));
  EXPECT_EQ(comments.size(), grouped_msrs().size());
  for (const GroupedMsr& msr : grouped_msrs()) {
    EXPECT_THAT(comments[std::string(msr.path)], HasSubstr(fmt::format("({:X}h", msr.index))) << msr.path;
  }
}

TEST_F(X86CpuStepsTest, PutEachRegisterIntoItsFieldAndBackAlone) {
  for (const GroupedMsr& msr : grouped_msrs()) {
    for (const std::uint64_t value : {std::uint64_t{0}, 0x8000'0000'0000'0001}) {
      const StateTree old = old_state({{msr.index, value}});
      const StateTree up = convert_all(old, k10, k20);
      EXPECT_EQ(number(up, msr.path), value) << msr.path;
      EXPECT_EQ(*up.count("other_msrs"), 0u) << msr.path;
      EXPECT_EQ(*convert_all(up, k20, k10).encode(), *old.encode()) << msr.path;
    }
  }
}

TEST_F(X86CpuStepsTest, PutRegistersOfArraysIntoTheElementOfTheirNumberInRisingOrder) {
  const StateTree old = old_state(
      {{0x203, 0x800}, {0x21e, 6}, {0x283, 1}, {0x29f, 2}, {0x401, 3}, {0x40e, 4}, {0x47c, 5}, {0x47f, 6}});
  const StateTree up = convert_all(old, k10, k20);
  ASSERT_EQ(*up.count("memory_types.variable_mtrrs"), 2u);
  EXPECT_EQ(*up.get<std::uint8_t>("memory_types.variable_mtrrs[0].number"), 1);
  EXPECT_EQ(number(up, "memory_types.variable_mtrrs[0].mask"), 0x800u);
  EXPECT_FALSE(number(up, "memory_types.variable_mtrrs[0].base").has_value());
  EXPECT_EQ(*up.get<std::uint8_t>("memory_types.variable_mtrrs[1].number"), 15);
  EXPECT_EQ(number(up, "memory_types.variable_mtrrs[1].base"), 6u);
  ASSERT_EQ(*up.count("machine_check.banks"), 3u);
  EXPECT_EQ(*up.get<std::uint8_t>("machine_check.banks[0].number"), 0);
  EXPECT_EQ(number(up, "machine_check.banks[0].status"), 3u);
  EXPECT_EQ(*up.get<std::uint8_t>("machine_check.banks[1].number"), 3);
  EXPECT_EQ(number(up, "machine_check.banks[1].ctl2"), 1u);
  EXPECT_EQ(number(up, "machine_check.banks[1].addr"), 4u);
  EXPECT_EQ(*up.get<std::uint8_t>("machine_check.banks[2].number"), 31);
  EXPECT_EQ(number(up, "machine_check.banks[2].ctl"), 5u);
  EXPECT_EQ(number(up, "machine_check.banks[2].misc"), 6u);
  EXPECT_EQ(number(up, "machine_check.banks[2].ctl2"), 2u);
  EXPECT_EQ(*convert_all(up, k20, k10).encode(), *old.encode());
}

TEST_F(X86CpuStepsTest, KeepRegistersWithoutAFieldAsAList) {
  const StateTree old = old_state({{0, 1}, {0x220, 2}, {0x480, 3}, {0xc0011029, 4}, {0xffffffff, 5}});
  const StateTree up = convert_all(old, k10, k20);
  ASSERT_EQ(*up.count("other_msrs"), 5u);
  EXPECT_EQ(*up.get<std::uint32_t>("other_msrs[3].index"), 0xc0011029u);
  EXPECT_EQ(number(up, "other_msrs[3].value"), 4u);
  for (const std::string_view group : msr_groups()) EXPECT_FALSE(*up.has(group)) << group;
  EXPECT_EQ(*convert_all(up, k20, k10).encode(), *old.encode());
}

TEST_F(X86CpuStepsTest, LoseNothingOfAnySetOfRegistersEitherWay) {
  std::mt19937_64 random(42);
  const std::vector<std::uint32_t> known = every_index();
  for (int round = 0; round < 60; ++round) {
    Msrs msrs;
    for (const std::uint32_t index : known) {
      if (random() % 3 == 0) msrs[index] = random() % 4 == 0 ? 0 : random();
    }
    for (std::uint64_t i = random() % 30; i > 0; --i) msrs[static_cast<std::uint32_t>(random())] = random();
    const StateTree old = old_state(msrs);
    const StateTree up = convert_all(old, k10, k20);
    const StateTree down = convert_all(up, k20, k10);
    EXPECT_EQ(*down.encode(), *old.encode());
    EXPECT_EQ(*convert_all(down, k10, k20).encode(), *up.encode());
  }
}

TEST_F(X86CpuStepsTest, TakeACpuWithoutRegisters) {
  const StateTree old = old_state({});
  const StateTree up = convert_all(old, k10, k20);
  EXPECT_EQ(*up.encode(), *blank(k20).encode());
  EXPECT_EQ(*convert_all(up, k20, k10).encode(), *old.encode());
}

TEST_F(X86CpuStepsTest, CarryTheRestOfTheCpu) {
  StateTree old = old_state({{0x277, 6}});
  ASSERT_TRUE(old.set("rip", std::uint64_t{0xfff0}));
  ASSERT_TRUE(old.set("xcr0", std::uint64_t{7}));
  ASSERT_TRUE(old.set("tsc", std::uint64_t{1} << 63));
  ASSERT_TRUE(old.set("gs.base", std::uint64_t{0x1000}));
  ASSERT_TRUE(old.set("events.exception.payload", std::uint64_t{0x123}));
  ASSERT_TRUE(old.set("xsave_area", std::vector<std::uint8_t>(576, 3)));
  const StateTree up = convert_all(old, k10, k20);
  EXPECT_EQ(number(up, "rip"), 0xfff0u);
  EXPECT_EQ(number(up, "events.exception.payload"), 0x123u);
  EXPECT_EQ(*convert_all(up, k20, k10).encode(), *old.encode());
}

TEST_F(X86CpuStepsTest, SayWhatTheyConverted) {
  const Conversion up = convert(old_state({{0x277, 6}, {0xc0011029, 4}}), k10, k20);
  const Outcome* outcome = find(up, "msrs");
  ASSERT_NE(outcome, nullptr);
  EXPECT_EQ(outcome->kind, OutcomeKind::kConverted);
  EXPECT_EQ(outcome->sentence, "1 registers have a field of their own, 1 are in other_msrs");
  const Conversion down = convert(decode(k20, up.converted->state), k20, k10);
  for (const char* field : {"memory_types", "other_msrs"}) {
    const Outcome* said = find(down, field);
    ASSERT_NE(said, nullptr) << field;
    EXPECT_EQ(said->kind, OutcomeKind::kConverted) << field;
  }
  EXPECT_EQ(find(down, "syscall"), nullptr);
}

TEST_F(X86CpuStepsTest, RefuseAListInWhichARegisterStandsTwiceOrOutOfOrder) {
  for (const std::uint32_t second : {0x277u, 0x276u}) {
    StateTree old = blank(k10);
    append(old, "msrs", 0x277, 6);
    append(old, "msrs", second, 6);
    expect_corrupt(old, k10, k20, "msrs");
    StateTree grouped = blank(k20);
    append(grouped, "other_msrs", 0xc0011029, 1);
    append(grouped, "other_msrs", second == 0x277 ? 0xc0011029 : 0x33, 1);
    expect_corrupt(grouped, k20, k10, "other_msrs");
  }
}

TEST_F(X86CpuStepsTest, RefuseMoreRegistersThanReadersTake) {
  StateTree old = blank(k10);
  StateTree grouped = blank(k20);
  for (std::uint32_t i = 0; i < 2048; ++i) {
    append(old, "msrs", 0x10000 + i, 1);
    append(grouped, "other_msrs", 0x10000 + i, 1);
  }
  convert_all(old, k10, k20);
  convert_all(grouped, k20, k10);
  append(old, "msrs", 0x20000, 1);
  ASSERT_TRUE(grouped.set("syscall.lstar", std::uint64_t{1}));
  EXPECT_EQ(try_convert(old, k10, k20).error().kind(), ErrorKind::kLimitExceeded);
  EXPECT_EQ(try_convert(grouped, k20, k10).error().kind(), ErrorKind::kLimitExceeded);
}

TEST_F(X86CpuStepsTest, RefuseAReservedWordThatIsNotZero) {
  StateTree old = blank(k10);
  append(old, "msrs", 0x277, 6, 1);
  expect_corrupt(old, k10, k20, "msrs");
  StateTree grouped = blank(k20);
  append(grouped, "other_msrs", 0x33, 6, 1);
  expect_corrupt(grouped, k20, k10, "other_msrs");
}

TEST_F(X86CpuStepsTest, RefuseARegisterWithAFieldAmongThoseWithout) {
  for (const std::uint32_t index : {0x277u, 0x200u, 0x29fu, 0x403u}) {
    StateTree grouped = blank(k20);
    append(grouped, "other_msrs", index, 6);
    expect_corrupt(grouped, k20, k10, "other_msrs");
  }
}

TEST_F(X86CpuStepsTest, RefuseElementsOfNumbersThatRepeatFallOrDoNotExist) {
  for (const MsrArray& array : msr_arrays()) {
    const std::string list(array.path);
    const auto with_numbers = [&](std::vector<std::uint8_t> numbers) {
      StateTree tree = blank(k20);
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        EXPECT_TRUE(tree.append(list));
        EXPECT_TRUE(tree.set(fmt::format("{}[{}].number", list, i), numbers[i]));
      }
      return tree;
    };
    expect_corrupt(with_numbers({3, 3}), k20, k10, (list + "[1].number").c_str());
    expect_corrupt(with_numbers({3, 2}), k20, k10, (list + "[1].number").c_str());
    expect_corrupt(with_numbers({static_cast<std::uint8_t>(array.elements)}), k20, k10,
                   (list + "[0].number").c_str());
  }
}

}  // namespace
}  // namespace vmsnap::compat
