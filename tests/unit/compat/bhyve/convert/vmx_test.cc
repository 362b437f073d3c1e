// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vcpu_machine.h"

namespace vmsnap::compat::bhyve {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

/// Items of the first vCPU, without its name.
std::vector<std::string> of_first_vcpu(const std::vector<std::string>& paths) {
  std::vector<std::string> first;
  for (const std::string& path : paths) {
    if (path.starts_with("vcpu[0].")) first.push_back(path.substr(8));
  }
  return first;
}

TEST(VmxMapping, HasTheGeneralRegistersOfIntel) {
  ItemValues items;
  std::uint64_t value = 0x1000;
  for (const std::string_view name :
       {"rdi", "rsi", "rdx", "rcx", "r8",  "r9",  "rax", "rbx", "rbp", "r10", "r11",
        "r12", "r13", "r14", "r15", "cr2", "dr0", "dr1", "dr2", "dr3", "dr6"}) {
    items["vcpu[0]." + std::string(name)] = ++value;
  }
  items["vcpu[0].msr.LSTAR"] = 0xffffffff81800000u;
  items["vcpu[0].msr.CSTAR"] = 0xffffffff81800010u;
  items["vcpu[0].msr.STAR"] = 0x23001000000000u;
  items["vcpu[0].msr.SF_MASK"] = 0x47700u;
  items["vcpu[0].msr.KGSBASE"] = 0xffff888000000000u;
  items["vcpu[0].msr.PAT"] = 0x0007040600070406u;
  items["vcpu[0].msr.TSC_AUX"] = 5u;
  VcpuMachine machine(Vendor::kIntel, 1);
  machine.with("vm", "A").with("vmx", "Intel A", items).with("vmcx", "Intel A");
  ASSERT_TRUE(machine.up());
  value = 0x1000;
  for (const std::string_view name :
       {"rdi", "rsi", "rdx", "rcx", "r8",  "r9",  "rax", "rbx", "rbp", "r10", "r11",
        "r12", "r13", "r14", "r15", "cr2", "dr0", "dr1", "dr2", "dr3", "dr6"}) {
    EXPECT_EQ(machine.cpu(name), ++value) << name;
  }
  EXPECT_EQ(machine.cpu("syscall.lstar"), 0xffffffff81800000);
  EXPECT_EQ(machine.cpu("syscall.cstar"), 0xffffffff81800010);
  EXPECT_EQ(machine.cpu("syscall.star"), 0x23001000000000);
  EXPECT_EQ(machine.cpu("syscall.sfmask"), 0x47700);
  EXPECT_EQ(machine.cpu("syscall.kernel_gs_base"), 0xffff888000000000);
  EXPECT_EQ(machine.cpu("memory_types.pat"), 0x0007040600070406);
  EXPECT_EQ(machine.cpu("time_stamp.tsc_aux"), 5);
  const auto kept = machine.kept("vmx");
  ASSERT_TRUE(kept) << kept.error().to_string();
  EXPECT_THAT(of_first_vcpu(*kept), IsEmpty());
}

/// What the save area of AMD has and vmcx has again.
const std::map<std::string, std::uint64_t> kInBoth = {
    {"cr4", 0x3406f0},   {"cr3", 0x1000},     {"cr0", 0x80050033},     {"dr7", 0x400},
    {"rflags", 0x246},   {"rsp", 0xffffc900}, {"rax", 0x77},           {"sysenter_cs", 0x10},
    {"sysenter_esp", 1}, {"sysenter_eip", 2}, {"cr2", 0x7fff12345678}, {"efer", 0x1d01},
};

/// A vCPU of AMD A in its two chunks.
struct AmdA {
  ItemValues vm = {{"vcpu[0].nextrip", 0x9000u}};
  ItemValues vmx;
  ItemValues vmcx;

  AmdA() {
    for (const auto& [name, value] : kInBoth) {
      vmx["vcpu[0].save_area." + name] = value;
      vmcx["vcpu[0]." + name] = value;
    }
    vmx["vcpu[0].save_area.rip"] = vmcx["vcpu[0].rip"] = 0x9000u;
    vmx["vcpu[0].save_area.g_pat"] = vmcx["vcpu[0].guest_pat"] = 0x0007040600070406u;
    vmx["vcpu[0].intr_shadow"] = vmcx["vcpu[0].intr_shadow"] = 1u;
    vmcx["vcpu[0].SS.access"] = 0xc0f3u;
    vmx["vcpu[0].save_area.cpl"] = 3u;
    vmx["vcpu[0].save_area.dr6"] = 0xffff0ff0u;
    vmx["vcpu[0].save_area.star"] = 0x11u;
    vmx["vcpu[0].save_area.lstar"] = 0x12u;
    vmx["vcpu[0].save_area.cstar"] = 0x13u;
    vmx["vcpu[0].save_area.sfmask"] = 0x14u;
    vmx["vcpu[0].save_area.kernelgsbase"] = 0x15u;
    vmx["vcpu[0].save_area.dbgctl"] = 0x16u;
    vmx["vcpu[0].save_area.br_from"] = 0x17u;
    vmx["vcpu[0].save_area.br_to"] = 0x18u;
    vmx["vcpu[0].save_area.int_from"] = 0x19u;
    vmx["vcpu[0].save_area.int_to"] = 0x1au;
    std::uint64_t value = 0x2000;
    for (const std::string_view name : {"rbp", "rbx", "rcx", "rdx", "rdi", "rsi", "r8", "r9", "r10", "r11",
                                        "r12", "r13", "r14", "r15", "dr0", "dr1", "dr2", "dr3"}) {
      vmx["vcpu[0]." + std::string(name)] = ++value;
    }
  }
};

const std::vector<std::string> kAmdKept = {
    "v_tpr",
    "v_tpr_again",
    "asid",
    "np_enable",
    "tlb_ctrl",
    "save_area.reserved_0a0",
    "save_area.reserved_0cc",
    "save_area.reserved_0d8",
    "save_area.reserved_180",
    "save_area.reserved_1e0",
    "save_area.reserved_248",
    "save_area.reserved_298",
    "host_dr0",
    "host_dr1",
    "host_dr2",
    "host_dr3",
    "host_dr6",
    "host_dr7",
    "host_debugctl",
    "nextrip",
    "lastcpu",
    "dirty",
    "eptgen",
    "asid.gen",
    "asid.num",
};

TEST(VmxMapping, MakesOneCpuOfTheTwoChunksOfAmdA) {
  const AmdA items;
  VcpuMachine machine(Vendor::kAmd, 1);
  machine.with("vm", "A", items.vm).with("vmx", "AMD A", items.vmx).with("vmcx", "AMD A", items.vmcx);
  const auto done = machine.up();
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(machine.cpu("efer"), 0xd01);
  EXPECT_EQ(machine.cpu("cr2"), 0x7fff12345678);
  EXPECT_EQ(machine.cpu("dr6"), 0xffff0ff0);
  EXPECT_EQ(machine.cpu("rip"), 0x9000);
  EXPECT_EQ(machine.cpu("rax"), 0x77);
  EXPECT_EQ(machine.cpu("rbp"), 0x2001);
  EXPECT_EQ(machine.cpu("r15"), 0x200e);
  EXPECT_EQ(machine.cpu("dr3"), 0x2012);
  EXPECT_EQ(machine.cpu("syscall.star"), 0x11);
  EXPECT_EQ(machine.cpu("syscall.lstar"), 0x12);
  EXPECT_EQ(machine.cpu("syscall.cstar"), 0x13);
  EXPECT_EQ(machine.cpu("syscall.sfmask"), 0x14);
  EXPECT_EQ(machine.cpu("syscall.kernel_gs_base"), 0x15);
  EXPECT_EQ(machine.cpu("debug.debugctl"), 0x16);
  EXPECT_EQ(machine.cpu("other_msrs[0].index"), 0x1db);
  EXPECT_EQ(machine.cpu("other_msrs[0].value"), 0x17);
  EXPECT_EQ(machine.cpu("other_msrs[3].value"), 0x1a);
  EXPECT_EQ(machine.cpu("sysenter.cs"), 0x10);
  EXPECT_EQ(machine.cpu("memory_types.pat"), 0x0007040600070406);
  EXPECT_TRUE(machine.field<bool>("cpu0", "events.blocked_by_sti"));

  const auto kept = machine.kept("vmx");
  ASSERT_TRUE(kept) << kept.error().to_string();
  EXPECT_EQ(of_first_vcpu(*kept), kAmdKept);
  EXPECT_EQ(machine.values.find("vcpu[0].save_area.cr3")->origin, Origin::kDerived);
  EXPECT_EQ(machine.values.find("vcpu[0].save_area.lstar")->origin, Origin::kMapped);
}

TEST(VmxMapping, KeepsWhatTheSaveAreaHasOtherThanVmcx) {
  AmdA items;
  items.vmx["vcpu[0].save_area.cr3"] = 0x5000u;
  items.vmx["vcpu[0].save_area.cpl"] = 0u;
  VcpuMachine machine(Vendor::kAmd, 1);
  machine.with("vm", "A", items.vm).with("vmx", "AMD A", items.vmx).with("vmcx", "AMD A", items.vmcx);
  ASSERT_TRUE(machine.up());
  EXPECT_EQ(machine.cpu("cr3"), 0x1000);
  auto kept = machine.kept("vmx");
  ASSERT_TRUE(kept);
  for (const std::string& path : kAmdKept) std::erase(*kept, "vcpu[0]." + path);
  EXPECT_THAT(of_first_vcpu(*kept), UnorderedElementsAre("save_area.cr3", "save_area.cpl"));
}

TEST(VmxMapping, ConvertsAmdAToLaterGenerationsWithoutLosingARegister) {
  const AmdA items;
  VcpuMachine machine(Vendor::kAmd, 1);
  machine.with("vm", "A", items.vm).with("vmx", "AMD A", items.vmx).with("vmcx", "AMD A", items.vmcx);
  ASSERT_TRUE(machine.up());
  const auto values = machine.down(*find_layout("vmcx", "AMD B"));
  ASSERT_TRUE(values);
  struct {
    std::string_view path;
    std::uint64_t value;
  } const cases[] = {
      {"dr6", 0xffff0ff0}, {"lstar", 0x12}, {"efer", 0x1d01}, {"cpl", 3},
      {"int_to", 0x1a},    {"r15", 0x200e}, {"rip", 0x9000},  {"guest_pat", 0x0007040600070406}};
  for (const auto& one : cases) {
    const Values::Value* value = values->find("vcpu[0]." + std::string(one.path));
    ASSERT_NE(value, nullptr) << one.path;
    EXPECT_EQ(std::get<std::uint64_t>(value->content), one.value) << one.path;
  }
}

TEST(VmxMapping, HasNothingToSayOfTheEmptyChunkOfGenerationB) {
  VcpuMachine machine(Vendor::kIntel, 20);
  machine.with("vmx", "B");
  ASSERT_TRUE(machine.up());
  EXPECT_THAT(machine.machine().devices(), IsEmpty());
  const auto kept = machine.kept("vmx");
  ASSERT_TRUE(kept);
  EXPECT_THAT(*kept, IsEmpty());
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
