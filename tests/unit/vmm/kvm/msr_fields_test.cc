// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/msr_fields.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "kvm/msr_list.h"
#include "kvm/state_codec.h"
#include "reflect/schema_model.h"
#include "sample_states.h"
#include "x86_cpu_bfbs_generated.h"

namespace vmsnap::vmm {
namespace {

using schema::Msr;
using ::testing::HasSubstr;

/// Every register with a field: the groups', and those of the arrays.
std::vector<std::uint32_t> every_index() {
  std::vector<std::uint32_t> all;
  for (const MsrField& field : msr_fields()) all.push_back(field.index);
  for (std::uint32_t i = 0x200; i < 0x220; ++i) all.push_back(i);
  for (std::uint32_t i = 0x280; i < 0x2a0; ++i) all.push_back(i);
  for (std::uint32_t i = 0x400; i < 0x480; ++i) all.push_back(i);
  std::sort(all.begin(), all.end());
  return all;
}

/// Path -> comment of each number in the groups of the schema.
std::map<std::string, std::string> fields_of_the_schema() {
  auto model = reflect::SchemaModel::load(
      as_byte_view(schema::X86CpuBinarySchema::data(), schema::X86CpuBinarySchema::size()));
  EXPECT_TRUE(model) << model.error().to_string();
  const std::set<std::string> no_groups = {"cs", "ds",   "es",   "fs",   "gs",    "ss",
                                           "tr", "ldtr", "gdtr", "idtr", "events"};
  std::map<std::string, std::string> fields;
  for (const reflect::Field& group : model->root().fields) {
    if (group.type.kind != reflect::Kind::kTable || no_groups.contains(group.name)) continue;
    for (const reflect::Field& member : model->object(group.type).fields) {
      if (member.type.kind != reflect::Kind::kScalar) continue;
      EXPECT_TRUE(member.optional && member.hex) << member.name;
      fields[group.name + "." + member.name] = member.documentation;
    }
  }
  return fields;
}

TEST(MsrFields, AreThoseOfTheSchemaEachWithItsNumberAndNameInTheComment) {
  std::map<std::string, std::string> fields = fields_of_the_schema();
  EXPECT_EQ(fields.size(), msr_fields().size());
  for (const MsrField& field : msr_fields()) {
    ASSERT_TRUE(fields.contains(field.path)) << field.path;
    EXPECT_THAT(fields[field.path], HasSubstr(fmt::format("({:X}h", field.index)));
    EXPECT_THAT(fields[field.path], HasSubstr(field.name));
    fields.erase(field.path);
  }
}

TEST(MsrFields, AreOfDifferentRegistersNoneOfWhichBelongsElsewhere) {
  const std::vector<std::uint32_t> all = every_index();
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
  for (const std::uint32_t index : all) {
    EXPECT_TRUE(has_msr_field(index)) << std::hex << index;
    EXPECT_FALSE(has_own_field(index)) << std::hex << index;
    EXPECT_NE(msr_path(index), "other_msrs") << std::hex << index;
  }
}

TEST(MsrFields, HoldEachRegisterAloneInItsOwnField) {
  for (const std::uint32_t index : every_index()) {
    schema::X86CpuT cpu;
    test::put(cpu, {{index, 0, index + 1}});
    EXPECT_TRUE(cpu.other_msrs.empty()) << std::hex << index;
    EXPECT_EQ(all_msrs(cpu), (std::vector<Msr>{{index, 0, index + 1}})) << std::hex << index;
  }
}

TEST(MsrFields, KeepARegisterOf0ApartFromOneThatIsNotThere) {
  schema::X86CpuT cpu;
  test::put(cpu, {{0xc0000082, 0, 0}});
  ASSERT_NE(cpu.syscall, nullptr);
  EXPECT_EQ(cpu.syscall->lstar, 0u);
  EXPECT_FALSE(cpu.syscall->star.has_value());
  EXPECT_EQ(cpu.sysenter, nullptr);
}

TEST(MsrFields, PutRegistersOfArraysIntoTheElementOfTheirNumber) {
  schema::X86CpuT cpu;
  test::put(cpu,
            {{0x2ff, 0, 6}, {0x203, 0, 0x800}, {0x200, 0, 5}, {0x282, 0, 7}, {0x40b, 0, 8}, {0x401, 0, 9}});
  const auto& mtrrs = cpu.memory_types->variable_mtrrs;
  ASSERT_EQ(mtrrs.size(), 2u);
  EXPECT_EQ(mtrrs[0]->number, 0);
  EXPECT_EQ(mtrrs[0]->base, 5u);
  EXPECT_FALSE(mtrrs[0]->mask.has_value());
  EXPECT_EQ(mtrrs[1]->number, 1);
  EXPECT_EQ(mtrrs[1]->mask, 0x800u);
  const auto& banks = cpu.machine_check->banks;
  ASSERT_EQ(banks.size(), 2u);
  EXPECT_EQ(banks[0]->status, 9u);
  EXPECT_EQ(banks[1]->number, 2);
  EXPECT_EQ(banks[1]->misc, 8u);
  EXPECT_EQ(banks[1]->ctl2, 7u);
}

TEST(MsrFields, LeaveNeighboursOfTheArraysToTheRest) {
  for (const std::uint32_t index : {0x1ffu, 0x220u, 0x27fu, 0x2a0u, 0x3ffu, 0x480u, 0xffffffffu, 0u}) {
    EXPECT_FALSE(has_msr_field(index)) << std::hex << index;
    EXPECT_EQ(msr_path(index), "other_msrs");
    EXPECT_FALSE(msr_field_name(index).has_value());
  }
}

TEST(MsrFields, NameRegistersAsTheManualDoes) {
  EXPECT_EQ(msr_name(0xc0000082), "MSR 0xc0000082 (IA32_LSTAR)");
  EXPECT_EQ(msr_name(0x20f), "MSR 0x20f (IA32_MTRR_PHYSMASK7)");
  EXPECT_EQ(msr_name(0x47d), "MSR 0x47d (IA32_MC31_STATUS)");
  EXPECT_EQ(msr_name(0x29f), "MSR 0x29f (IA32_MC31_CTL2)");
  EXPECT_EQ(msr_name(0x6e0), "MSR 0x6e0 (IA32_TSC_DEADLINE)");
  EXPECT_EQ(msr_name(0x777), "MSR 0x777");
}

TEST(MsrFields, GiveBackAnySetOfRegistersInRisingOrder) {
  std::mt19937_64 random(20261121);
  const std::vector<std::uint32_t> known = every_index();
  for (int round = 0; round < 200; ++round) {
    std::map<std::uint32_t, std::uint64_t> chosen;
    for (const std::uint32_t index : known) {
      if (random() % 3 == 0) chosen[index] = random() % 4 == 0 ? 0 : random();
    }
    for (int i = 0; i < 20; ++i) chosen[static_cast<std::uint32_t>(random())] = random();
    std::vector<Msr> msrs;
    for (const auto& [index, value] : chosen) msrs.emplace_back(index, 0u, value);
    schema::X86CpuT cpu;
    std::vector<Msr> shuffled = msrs;
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    put_msrs(cpu, shuffled);
    EXPECT_EQ(all_msrs(cpu), msrs);
  }
}

}  // namespace
}  // namespace vmsnap::vmm
