// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vcpu_machine.h"

namespace vmsnap::compat::bhyve {
namespace {

using ::testing::Contains;

/// What vm keeps of every vCPU, whatever it holds.
std::vector<std::string> private_of(std::uint32_t vcpu) {
  std::vector<std::string> paths;
  for (const std::string_view item : {"exc_vector", "exc_errcode_valid", "exc_errcode", "exitinfo.exitcode",
                                      "exitinfo.inst_length", "exitinfo.rip", "exitinfo.union"}) {
    paths.push_back("vcpu[" + std::to_string(vcpu) + "]." + std::string(item));
  }
  return paths;
}

std::uint64_t lapic_base(const VcpuMachine& machine, std::uint32_t vcpu) {
  return machine.field<std::uint64_t>("cpu" + std::to_string(vcpu) + "/lapic", "apic_base");
}

std::uint8_t run_state(const VcpuMachine& machine, std::uint32_t vcpu) {
  return machine.field<std::uint8_t>("cpu" + std::to_string(vcpu), "run_state");
}

TEST(VmMapping, PutsWhatEveryVcpuHasIntoItsCpuAndItsLocalApicAndBack) {
  VcpuMachine machine(Vendor::kIntel, 2);
  machine.with("vm", "C",
               {{"vcpu[0].guest_xcr0", 7u},
                {"vcpu[0].nextrip", 0xffffffff81001234u},
                {"vcpu[0].tsc", 0x123456789abcdefu},
                {"vcpu[1].x2apic_state", 1u},
                {"vcpu[1].guest_xcr0", 0xe7u},
                {"vcpu[1].nextrip", 0xfff0u},
                {"vcpu[1].tsc", 0xffffffffffffffffu}});
  ASSERT_TRUE(machine.up());
  EXPECT_EQ(machine.cpu("index", 1), 1);
  EXPECT_EQ(machine.cpu("xcr0", 0), 7);
  EXPECT_EQ(machine.cpu("xcr0", 1), 0xe7);
  EXPECT_EQ(machine.cpu("rip", 0), 0xffffffff81001234);
  EXPECT_EQ(machine.cpu("rip", 1), 0xfff0);
  EXPECT_EQ(machine.cpu("tsc", 0), 0x123456789abcdef);
  EXPECT_EQ(machine.cpu("tsc", 1), 0xffffffffffffffff);
  EXPECT_EQ(lapic_base(machine, 0), 0xfee00900) << "the bootstrap processor, xAPIC mode";
  EXPECT_EQ(lapic_base(machine, 1), 0xfee00c00) << "x2APIC mode";

  std::vector<std::string> expected = private_of(0);
  for (const std::string& path : private_of(1)) expected.push_back(path);
  const auto kept = machine.kept("vm");
  ASSERT_TRUE(kept) << kept.error().to_string();
  EXPECT_EQ(*kept, expected);
}

TEST(VmMapping, GivesTheInitialFloatingPointStateAndSaysSo) {
  VcpuMachine machine(Vendor::kIntel, 1);
  machine.with("vm", "B");
  ASSERT_TRUE(machine.up());
  const auto area = machine.field<std::vector<std::uint8_t>>("cpu0", "xsave_area");
  ASSERT_EQ(area.size(), 576);
  EXPECT_EQ(area[0], 0x7f);
  EXPECT_EQ(area[1], 0x03);
  EXPECT_EQ(area[24], 0x80);
  EXPECT_EQ(area[25], 0x1f);
  EXPECT_EQ(std::count(area.begin(), area.end(), 0), 576 - 4) << "XSTATE_BV above all";
  std::vector<std::string> missing;
  for (const NotInFile& note : machine.machine().not_in_file()) {
    missing.push_back(note.device + " " + note.field);
    EXPECT_FALSE(note.instead.empty()) << note.field;
    EXPECT_FALSE(note.consequence.empty()) << note.field;
  }
  EXPECT_THAT(missing, Contains("cpu0 x87, SSE and AVX state"));
  EXPECT_THAT(missing, Contains("cpu0 events.nmi_pending"));
  EXPECT_THAT(missing, Contains("cpu0 CPUID (chunk cpu_profile)"));
  EXPECT_THAT(missing, Contains("cpu0/lapic apic_base"));
}

class VmMappingEvent : public ::testing::Test {
 protected:
  static constexpr std::string_view kPath = "vcpu[0].exitintinfo";

  void read(std::uint64_t information) {
    machine.with("vm", "B", {{std::string(kPath), information}});
    const auto done = machine.up();
    ASSERT_TRUE(done) << done.error().to_string();
  }
  std::optional<std::uint64_t> written() {
    const auto values = machine.down(*find_layout("vm", "B"));
    if (!values || values->find(kPath) == nullptr) return std::nullopt;
    return std::get<std::uint64_t>(values->find(kPath)->content);
  }

  VcpuMachine machine{Vendor::kIntel, 1};
};

TEST_F(VmMappingEvent, IsAnInterruptOfHardwareWhenItsTypeIs0) {
  read(0x80000030);
  EXPECT_EQ(machine.field<std::uint8_t>("cpu0", "events.interrupt.vector"), 0x30);
  EXPECT_FALSE(machine.field<bool>("cpu0", "events.interrupt.software"));
  EXPECT_EQ(machine.field<std::optional<std::uint8_t>>("cpu0", "events.exception.vector"), std::nullopt);
  EXPECT_EQ(written(), 0x80000030);
}

TEST_F(VmMappingEvent, IsAnInterruptOfSoftwareWhenItsTypeIs4) {
  read(0x80000480);
  EXPECT_EQ(machine.field<std::uint8_t>("cpu0", "events.interrupt.vector"), 0x80);
  EXPECT_TRUE(machine.field<bool>("cpu0", "events.interrupt.software"));
  EXPECT_EQ(written(), 0x80000480);
}

TEST_F(VmMappingEvent, IsAnNmiWhenItsTypeIs2) {
  read(0x80000202);
  EXPECT_TRUE(machine.field<bool>("cpu0", "events.nmi_injected"));
  EXPECT_EQ(written(), 0x80000202);
}

TEST_F(VmMappingEvent, IsAnExceptionWithItsErrorCodeWhenItsTypeIs3) {
  read(0xfffffffe80000b0e);
  EXPECT_EQ(machine.field<std::uint8_t>("cpu0", "events.exception.vector"), 14);
  EXPECT_TRUE(machine.field<bool>("cpu0", "events.exception.injected"));
  EXPECT_EQ(machine.field<std::optional<std::uint32_t>>("cpu0", "events.exception.error_code"), 0xfffffffe);
  EXPECT_EQ(written(), 0xfffffffe80000b0e);
}

TEST_F(VmMappingEvent, IsAnExceptionWithoutErrorCodeWhenBit11IsClear) {
  read(0x80000306);
  EXPECT_EQ(machine.field<std::uint8_t>("cpu0", "events.exception.vector"), 6);
  EXPECT_EQ(machine.field<std::optional<std::uint32_t>>("cpu0", "events.exception.error_code"), std::nullopt);
  EXPECT_EQ(written(), 0x80000306);
}

TEST_F(VmMappingEvent, ComesBackAsAnExceptionOfHardwareWhenSoftwareRaisedIt) {
  read(0x80000603);
  EXPECT_EQ(machine.field<std::uint8_t>("cpu0", "events.exception.vector"), 3);
  EXPECT_EQ(written(), 0x80000303);
}

TEST_F(VmMappingEvent, IsNoneWhenNoProcessorCanHaveIt) {
  for (const std::uint64_t information : {
           std::uint64_t{0x00000330},  // not valid
           std::uint64_t{0x80000330},  // an exception has no vector above 31
           std::uint64_t{0x80000302},  // vector 2 is that of the NMI
           std::uint64_t{0x80000130},  // no such types
           std::uint64_t{0xffffffff800007ff},
       }) {
    SCOPED_TRACE(information);
    VcpuMachine one(Vendor::kAmd, 1);
    one.with("vm", "A", {{std::string(kPath), information}});
    ASSERT_TRUE(one.up());
    EXPECT_EQ(one.field<std::optional<std::uint8_t>>("cpu0", "events.exception.vector"), std::nullopt);
    EXPECT_EQ(one.field<std::optional<std::uint8_t>>("cpu0", "events.interrupt.vector"), std::nullopt);
    EXPECT_FALSE(one.field<bool>("cpu0", "events.nmi_injected"));
    const auto kept = one.kept("vm");
    ASSERT_TRUE(kept);
    EXPECT_THAT(*kept, Contains(std::string(kPath)));
  }
}

TEST(VmMapping, MakesCpusWaitThatStartupCpusNames) {
  std::vector<std::uint64_t> waiting(16);
  waiting[0] = 1u << 1;
  waiting[1] = 1u << 2;  // CPU 66
  VcpuMachine machine(Vendor::kIntel, 67);
  machine.with("vm", "C", {{"startup_cpus", array_of(8, waiting)}});
  ASSERT_TRUE(machine.up());
  EXPECT_EQ(run_state(machine, 0), 0);
  EXPECT_EQ(run_state(machine, 1), 1);
  EXPECT_EQ(run_state(machine, 65), 0);
  EXPECT_EQ(run_state(machine, 66), 1);
  const auto kept = machine.kept("vm");
  ASSERT_TRUE(kept);
  EXPECT_THAT(*kept, ::testing::Not(Contains("startup_cpus")));
}

TEST(VmMapping, KeepsStartupCpusThatNamesCpusThatDoNotExist) {
  VcpuMachine machine(Vendor::kIntel, 2);
  machine.with("vm", "B", {{"startup_cpus", array_of(8, {0x6, 0, 0, 0})}});
  ASSERT_TRUE(machine.up());
  EXPECT_EQ(run_state(machine, 1), 1);
  const auto kept = machine.kept("vm");
  ASSERT_TRUE(kept);
  EXPECT_THAT(*kept, Contains("startup_cpus"));
}

TEST(VmMapping, WritesStartupCpusInTheWidthOfTheShape) {
  VcpuMachine machine(Vendor::kIntel, 2);
  machine.with("vm", "B", {{"startup_cpus", array_of(8, {0x2, 0, 0, 0})}});
  ASSERT_TRUE(machine.up());
  const auto b = machine.down(*find_layout("vm", "B"));
  ASSERT_TRUE(b);
  EXPECT_EQ(std::get<ByteVector>(b->find("startup_cpus")->content), array_of(8, {2, 0, 0, 0}));
  machine.context.cpuset_longs = 2;
  const auto c = machine.down(*find_layout("vm", "C"));
  ASSERT_TRUE(c);
  EXPECT_EQ(std::get<ByteVector>(c->find("startup_cpus")->content), array_of(8, {2, 0}));
  const auto a = machine.down(*find_layout("vm", "A"));
  ASSERT_TRUE(a);
  EXPECT_EQ(a->find("startup_cpus"), nullptr);
}

/// Width that the writer chooses for startup_cpus when nobody has said one.
std::optional<std::uint64_t> chosen_longs(std::optional<std::uint64_t> original_size) {
  VcpuMachine machine(Vendor::kIntel, 2);
  machine.with("vm", "B");
  EXPECT_TRUE(machine.up());
  Context context;
  context.vcpus = 2;
  TargetChunk target{*find_layout("vm", "C"), context, Vendor::kIntel, {}, original_size, {}};
  const auto done = find_mapping("vm")->down(machine.machine(), target);
  if (!done) return std::nullopt;
  EXPECT_EQ(std::get<ByteVector>(target.values.find("startup_cpus")->content).size(),
            *context.cpuset_longs * 8);
  return context.cpuset_longs;
}

TEST(VmMapping, TakesTheWidthOfStartupCpusFromTheChunkThatWasRead) {
  EXPECT_EQ(chosen_longs(std::nullopt), 16);
  EXPECT_EQ(chosen_longs(2 * 184 + 8), 1);
  EXPECT_EQ(chosen_longs(2 * 184 + 128 + 7), 16) << "bytes behind the last word are no word";
  EXPECT_EQ(chosen_longs(100), 16) << "smaller than the records";
  EXPECT_EQ(chosen_longs(2 * 184 + 8 * 1024), 1024);
  EXPECT_EQ(chosen_longs(std::uint64_t{1} << 60), std::nullopt) << "no memory is asked for";
}

TEST(VmMapping, LooksOnlyAtRecordsOfVcpusThatExist) {
  VcpuMachine machine(Vendor::kIntel, 1);
  machine.with("vm", "A", {{"vcpu[1].nextrip", 0x1000u}, {"vcpu[15].exitintinfo", 0x80000030u}});
  ASSERT_TRUE(machine.up());
  EXPECT_EQ(machine.machine().find("cpu1"), nullptr);
  const auto values = machine.down(*find_layout("vm", "A"));
  ASSERT_TRUE(values);
  EXPECT_EQ(values->find("vcpu[1].nextrip"), nullptr);
}

TEST(VmMapping, RefusesAMachineOfMoreVcpusThanTheChunkHasRecords) {
  VcpuMachine machine(Vendor::kIntel, 17);
  machine.with("vm", "A");
  const auto done = machine.up();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(done.error().to_string(), ::testing::HasSubstr("16 vCPUs"));
}

TEST(VmMapping, RefusesToWriteMoreVcpusThanGenerationAHasRoomFor) {
  VcpuMachine machine(Vendor::kIntel, 17);
  machine.with("vm", "B");
  ASSERT_TRUE(machine.up());
  const auto values = machine.down(*find_layout("vm", "A"));
  ASSERT_FALSE(values);
  EXPECT_EQ(values.error().kind(), ErrorKind::kUnsupported);
}

TEST(VmMapping, NeedsTheCpusOfTheMachine) {
  VcpuMachine machine(Vendor::kIntel, 1);
  const auto values = machine.down(*find_layout("vm", "B"));
  ASSERT_FALSE(values);
  EXPECT_THAT(values.error().to_string(), ::testing::HasSubstr("cpu0"));
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
