// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bhyve_chunks.h"
#include "vcpu_machine.h"

namespace vmsnap::compat::bhyve {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::UnorderedElementsAreArray;

using Fields = std::map<std::string, std::uint64_t>;

struct Register {
  std::string item;
  std::string field;
};

const std::vector<Register> kGeneral = {
    {"rax", "rax"}, {"rbx", "rbx"}, {"rcx", "rcx"}, {"rdx", "rdx"}, {"rsi", "rsi"}, {"rdi", "rdi"},
    {"rbp", "rbp"}, {"r8", "r8"},   {"r9", "r9"},   {"r10", "r10"}, {"r11", "r11"}, {"r12", "r12"},
    {"r13", "r13"}, {"r14", "r14"}, {"r15", "r15"}, {"cr2", "cr2"}, {"dr0", "dr0"}, {"dr1", "dr1"},
    {"dr2", "dr2"}, {"dr3", "dr3"}, {"dr6", "dr6"}};
const std::vector<Register> kIntelCommon = {{"cr0", "cr0"},
                                            {"cr3", "cr3"},
                                            {"dr7", "dr7"},
                                            {"rsp", "rsp"},
                                            {"rflags", "rflags"},
                                            {"efer", "efer"},
                                            {"IA32_SYSENTER_CS", "sysenter.cs"},
                                            {"IA32_SYSENTER_ESP", "sysenter.esp"},
                                            {"IA32_SYSENTER_EIP", "sysenter.eip"}};
const std::vector<Register> kIntelMsrs = {{"msr.LSTAR", "syscall.lstar"},
                                          {"msr.CSTAR", "syscall.cstar"},
                                          {"msr.STAR", "syscall.star"},
                                          {"msr.SF_MASK", "syscall.sfmask"},
                                          {"msr.KGSBASE", "syscall.kernel_gs_base"},
                                          {"msr.PAT", "memory_types.pat"},
                                          {"msr.TSC_AUX", "time_stamp.tsc_aux"}};
const std::vector<Register> kAmd = {{"cr0", "cr0"},
                                    {"cr3", "cr3"},
                                    {"cr4", "cr4"},
                                    {"dr7", "dr7"},
                                    {"rsp", "rsp"},
                                    {"rflags", "rflags"},
                                    {"star", "syscall.star"},
                                    {"lstar", "syscall.lstar"},
                                    {"cstar", "syscall.cstar"},
                                    {"sfmask", "syscall.sfmask"},
                                    {"kernelgsbase", "syscall.kernel_gs_base"},
                                    {"sysenter_cs", "sysenter.cs"},
                                    {"sysenter_esp", "sysenter.esp"},
                                    {"sysenter_eip", "sysenter.eip"},
                                    {"guest_pat", "memory_types.pat"},
                                    {"dbgctl", "debug.debugctl"}};

/// Values of their own for registers of a vCPU; 64 bits wide.
std::uint64_t value_of(std::size_t n) {
  return 0xa5a5'0000'0000'0000 | n << 16 | n;
}

void add(ItemValues& items, Fields& expected, const std::vector<Register>& registers,
         const std::string& vcpu = "vcpu[0].") {
  for (const Register& one : registers) {
    const std::uint64_t value = value_of(items.size());
    items[vcpu + one.item] = value;
    expected[one.field] = value;
  }
}

void add_segments(ItemValues& items, Fields& expected) {
  const std::vector<Register> segments = {{"ES", "es"}, {"CS", "cs"}, {"SS", "ss"}, {"DS", "ds"},
                                          {"FS", "fs"}, {"GS", "gs"}, {"TR", "tr"}, {"LDTR", "ldtr"}};
  std::uint64_t n = 1;
  for (const Register& one : segments) {
    items["vcpu[0]." + one.item + ".selector"] = expected[one.field + ".selector"] = 8 * n;
    items["vcpu[0]." + one.item + ".base"] = expected[one.field + ".base"] = 0xffff800000000000 + n;
    items["vcpu[0]." + one.item + ".limit"] = expected[one.field + ".limit"] = 0xfffff000 + n;
    items["vcpu[0]." + one.item + ".access"] = expected[one.field + ".access_rights"] = 0xc09b + (n << 5);
    ++n;
  }
  items["vcpu[0].IDTR.base"] = expected["idtr.base"] = 0xfffffe0000000000;
  items["vcpu[0].IDTR.limit"] = expected["idtr.limit"] = 0xfff;
  items["vcpu[0].GDTR.base"] = expected["gdtr.base"] = 0xfffffe0000001000;
  items["vcpu[0].GDTR.limit"] = expected["gdtr.limit"] = 0x7f;
}

void add_mtrrs(ItemValues& items, Fields& expected) {
  items["vcpu[0].mtrr.def_type"] = expected["memory_types.mtrr_def_type"] = 0xc06;
  items["vcpu[0].mtrr.fixed64k"] = expected["memory_types.mtrr_fix64k_00000"] = 0x0606060606060606;
  items["vcpu[0].mtrr.fixed16k"] = array_of(8, {0x1600, 0x1601});
  expected["memory_types.mtrr_fix16k_80000"] = 0x1600;
  expected["memory_types.mtrr_fix16k_a0000"] = 0x1601;
  items["vcpu[0].mtrr.fixed4k"] = array_of(8, {0x400, 0x401, 0x402, 0x403, 0x404, 0x405, 0x406, 0x407});
  const char* const names[] = {"c0000", "c8000", "d0000", "d8000", "e0000", "e8000", "f0000", "f8000"};
  for (std::uint64_t i = 0; i < 8; ++i) {
    expected[std::string("memory_types.mtrr_fix4k_") + names[i]] = 0x400 + i;
  }
  for (std::uint64_t i = 0; i < 10; ++i) {
    const std::string n = std::to_string(i);
    items["vcpu[0].mtrr.var[" + n + "].base"] = 0x80000000 * i + 6;
    items["vcpu[0].mtrr.var[" + n + "].mask"] = 0xff80000800 + i;
    expected["memory_types.variable_mtrrs[" + n + "].number"] = i;
    expected["memory_types.variable_mtrrs[" + n + "].base"] = 0x80000000 * i + 6;
    expected["memory_types.variable_mtrrs[" + n + "].mask"] = 0xff80000800 + i;
  }
}

void expect_fields(const VcpuMachine& machine, const Fields& expected) {
  for (const auto& [path, value] : expected) EXPECT_EQ(machine.cpu(path), value) << path;
}

std::vector<std::string> of_vcpu(std::uint32_t vcpu, const std::vector<std::string_view>& items) {
  std::vector<std::string> paths;
  for (const std::string_view item : items) {
    paths.push_back("vcpu[" + std::to_string(vcpu) + "]." + std::string(item));
  }
  return paths;
}

const std::vector<std::string_view> kPdptes = {"pdpte0", "pdpte1", "pdpte2", "pdpte3"};
const std::vector<std::string_view> kIntelKept = {"IDTR.access", "GDTR.access", "pdpte0",     "pdpte1",
                                                  "pdpte2",      "pdpte3",      "entry_ctls", "exit_ctls"};

struct IntelShape {
  std::string_view name;
  bool own_registers, posted, mtrrs;
};
constexpr IntelShape kIntelShapes[] = {{"Intel A", false, false, false},
                                       {"Intel B", true, false, false},
                                       {"Intel C0", true, true, false},
                                       {"Intel 856", true, false, true},
                                       {"Intel C", true, true, true}};

TEST(VmcxMapping, CarriesEveryRegisterOfEveryIntelShapeBothWays) {
  for (const IntelShape& shape : kIntelShapes) {
    SCOPED_TRACE(shape.name);
    ItemValues items;
    Fields expected;
    add(items, expected, kIntelCommon);
    add_segments(items, expected);
    items["vcpu[0].cr4"] = 0x3626f0u;  // VMXE among them
    expected["cr4"] = 0x3606f0;
    items["vcpu[0].rip"] = 0xffffffff81000000u;
    if (shape.own_registers) {
      add(items, expected, kGeneral);
      add(items, expected, kIntelMsrs);
    }
    if (shape.mtrrs) add_mtrrs(items, expected);
    VcpuMachine machine(Vendor::kIntel, 1);
    machine.with("vm", "C", {{"vcpu[0].nextrip", 0xffffffff81000000u}})
        .with("vmcx", shape.name, items)
        .with("vlapic", "B");
    const auto done = machine.up();
    ASSERT_TRUE(done) << done.error().to_string();
    expect_fields(machine, expected);
    std::vector<std::string> private_items = of_vcpu(0, kIntelKept);
    if (shape.posted) {
      const auto more = of_vcpu(0, {"pir_desc.pir", "pir_desc.pending", "pir_desc.unused"});
      private_items.insert(private_items.end(), more.begin(), more.end());
    }
    const auto kept = machine.kept("vmcx");
    ASSERT_TRUE(kept) << kept.error().to_string();
    EXPECT_THAT(*kept, UnorderedElementsAreArray(private_items));
    EXPECT_EQ(machine.machine().find("cpu0")->has("memory_types.mtrr_def_type").value(), shape.mtrrs);
  }
}

const std::vector<std::string_view> kAmdKept = {
    "cr_intercept", "dr_intercept", "exc_intercept", "inst1_intercept", "inst2_intercept", "tlb_ctrl",
    "virq",         "exit_reason",  "exitinfo1",     "exitinfo2",       "exitintinfo",     "asid",
    "avic_bar",     "avic_page",    "avic_lt",       "avic_pt"};

TEST(VmcxMapping, CarriesEveryRegisterOfLaterAmdShapesBothWays) {
  for (const bool with_mtrrs : {false, true}) {
    SCOPED_TRACE(with_mtrrs);
    ItemValues items;
    Fields expected;
    add(items, expected, kAmd);
    add(items, expected, kGeneral);
    add_segments(items, expected);
    if (with_mtrrs) add_mtrrs(items, expected);
    items["vcpu[0].efer"] = 0x1d01u;  // SVME among them
    expected["efer"] = 0x0d01;
    items["vcpu[0].rip"] = 0x1234u;
    items["vcpu[0].cpl"] = 3u;
    items["vcpu[0].SS.access"] = expected["ss.access_rights"] = 0xc0f3;
    items["vcpu[0].intr_shadow"] = 1u;
    items["vcpu[0].br_from"] = 0x111u;
    items["vcpu[0].br_to"] = 0x222u;
    items["vcpu[0].int_from"] = 0x333u;
    items["vcpu[0].int_to"] = 0x444u;
    for (std::uint64_t i = 0; i < 4; ++i) {
      const std::string msr = "other_msrs[" + std::to_string(i) + "].";
      expected[msr + "index"] = 0x1db + i;
      expected[msr + "value"] = 0x111 * (i + 1);
    }
    VcpuMachine machine(Vendor::kAmd, 1);
    machine.with("vm", "C", {{"vcpu[0].nextrip", 0x1234u}})
        .with("vmcx", with_mtrrs ? "AMD C" : "AMD B", items);
    const auto done = machine.up();
    ASSERT_TRUE(done) << done.error().to_string();
    expect_fields(machine, expected);
    EXPECT_TRUE(machine.field<bool>("cpu0", "events.blocked_by_sti"));
    EXPECT_EQ(machine.field<std::optional<std::uint64_t>>("cpu0", "time_stamp.tsc_aux"), std::nullopt);
    std::vector<std::string> private_items = of_vcpu(0, kAmdKept);
    const auto more = of_vcpu(0, {"pause_filthresh", "pause_filcnt", "np_enable", "nextrip", "lastcpu",
                                  "dirty", "eptgen", "asid.gen", "asid.num"});
    private_items.insert(private_items.end(), more.begin(), more.end());
    const auto kept = machine.kept("vmcx");
    ASSERT_TRUE(kept) << kept.error().to_string();
    EXPECT_THAT(*kept, UnorderedElementsAreArray(private_items));
  }
}

TEST(VmcxMapping, KeepsARipThatIsNotWhereTheCpuGoesOn) {
  VcpuMachine machine(Vendor::kIntel, 1);
  machine.with("vm", "B", {{"vcpu[0].nextrip", 0x1002u}})
      .with("vmcx", "Intel B", {{"vcpu[0].rip", 0x1000u}, {"vcpu[0].cr4", 0x2000u}});
  ASSERT_TRUE(machine.up());
  EXPECT_EQ(machine.cpu("rip"), 0x1002);
  const auto kept = machine.kept("vmcx");
  ASSERT_TRUE(kept);
  EXPECT_THAT(*kept, Contains("vcpu[0].rip"));
}

TEST(VmcxMapping, KeepsWhatTheFieldsCannotHold) {
  VcpuMachine machine(Vendor::kIntel, 1);
  machine.with("vm", "B").with("vmcx", "Intel B",
                               {{"vcpu[0].CS.selector", 0x10008u},
                                {"vcpu[0].IDTR.limit", 0xffffffffu},
                                {"vcpu[0].interruptibility", 0x1fu},
                                {"vcpu[0].cr4", 0x20u}});  // without VMXE
  ASSERT_TRUE(machine.up());
  EXPECT_EQ(machine.cpu("cs.selector"), 8);
  EXPECT_EQ(machine.cpu("idtr.limit"), 0xffff);
  EXPECT_TRUE(machine.field<bool>("cpu0", "events.blocked_by_sti"));
  EXPECT_TRUE(machine.field<bool>("cpu0", "events.blocked_by_mov_ss"));
  EXPECT_TRUE(machine.field<bool>("cpu0", "events.nmi_blocked"));
  const auto kept = machine.kept("vmcx");
  ASSERT_TRUE(kept);
  EXPECT_THAT(*kept, IsSupersetOf(of_vcpu(0, {"CS.selector", "IDTR.limit", "interruptibility", "cr4"})));
}

struct Paging {
  std::string_view what;
  std::uint64_t cr0, cr4, efer;
  bool is_pae;
};

TEST(VmcxMapping, TakesThePageDirectoryPointersOnlyWithPaePaging) {
  const Paging cases[] = {
      {"PAE", 0x80000011, 0x20, 0, true},
      {"without paging", 0x11, 0x20, 0, false},
      {"32-bit", 0x80000011, 0, 0, false},
      {"long mode", 0x80000011, 0x20, 0x500, false},
  };
  for (const Paging& one : cases) {
    SCOPED_TRACE(one.what);
    VcpuMachine machine(Vendor::kIntel, 1);
    machine.with("vm", "B").with("vmcx", "Intel B",
                                 {{"vcpu[0].cr0", one.cr0},
                                  {"vcpu[0].cr4", one.cr4},
                                  {"vcpu[0].efer", one.efer},
                                  {"vcpu[0].pdpte0", 0x1001u},
                                  {"vcpu[0].pdpte1", 0x2001u},
                                  {"vcpu[0].pdpte2", 0x3001u},
                                  {"vcpu[0].pdpte3", 0x4001u}});
    ASSERT_TRUE(machine.up());
    const auto entries = machine.field<std::optional<std::vector<std::uint64_t>>>("cpu0", "pdpte");
    const auto kept = machine.kept("vmcx");
    ASSERT_TRUE(kept);
    if (one.is_pae) {
      ASSERT_TRUE(entries);
      EXPECT_THAT(*entries, ElementsAre(0x1001, 0x2001, 0x3001, 0x4001));
      EXPECT_THAT(*kept, Not(Contains("vcpu[0].pdpte0")));
    } else {
      EXPECT_EQ(entries, std::nullopt);
      EXPECT_THAT(*kept, IsSupersetOf(of_vcpu(0, kPdptes)));
    }
  }
}

TEST(VmcxMapping, SeesWhatACpuDoesNextInItsActivity) {
  struct {
    std::uint64_t activity;
    std::uint8_t run_state;
    bool triple_fault, comes_back;
  } const cases[] = {{0, 0, false, true},
                     {1, 3, false, true},
                     {2, 0, true, true},
                     {3, 1, false, false},
                     {7, 0, false, false}};
  for (const auto& one : cases) {
    SCOPED_TRACE(one.activity);
    VcpuMachine machine(Vendor::kIntel, 1);
    machine.with("vm", "B").with("vmcx", "Intel B", {{"vcpu[0].activity", one.activity}});
    ASSERT_TRUE(machine.up());
    EXPECT_EQ(machine.field<std::uint8_t>("cpu0", "run_state"), one.run_state);
    EXPECT_EQ(machine.field<bool>("cpu0", "events.triple_fault_pending"), one.triple_fault);
    const auto kept = machine.kept("vmcx");
    ASSERT_TRUE(kept);
    EXPECT_EQ(std::count(kept->begin(), kept->end(), "vcpu[0].activity"), one.comes_back ? 0 : 1);
  }
}

TEST(VmcxMapping, BelievesStartupCpusBeforeTheActivity) {
  VcpuMachine machine(Vendor::kIntel, 2);
  machine.with("vm", "B", {{"startup_cpus", array_of(8, {2, 0, 0, 0})}})
      .with("vmcx", "Intel B", {{"vcpu[1].activity", 1u}});
  ASSERT_TRUE(machine.up());
  EXPECT_EQ(machine.field<std::uint8_t>("cpu1", "run_state"), 1);
  const auto kept = machine.kept("vmcx");
  ASSERT_TRUE(kept);
  EXPECT_THAT(*kept, Contains("vcpu[1].activity"));
}

TEST(VmcxMapping, LetsPostedInterruptsWaitInTheLocalApic) {
  ByteVector page(4096);
  page[0x220] = std::byte{0x01};  // IRR, vector 64
  VcpuMachine machine(Vendor::kIntel, 1);
  machine.with("vm", "C")
      .with("vmcx", "Intel C",
            {{"vcpu[0].pir_desc.pir", array_of(8, {0x8000000100000000, 0x2, 0, 0x8000000000000000})},
             {"vcpu[0].pir_desc.pending", 1u}})
      .with("vlapic", "B", {{"vcpu[0].apic_page", page}});
  ASSERT_TRUE(machine.up());
  EXPECT_THAT(machine.field<std::vector<std::uint32_t>>("cpu0/lapic", "irr"),
              ElementsAre(0, 0x80000001, 0x3, 0, 0, 0, 0, 0x80000000));
  const auto kept = machine.kept("vlapic");
  ASSERT_TRUE(kept);
  EXPECT_THAT(*kept, Contains("vcpu[0].apic_page")) << "the page that was read has not these bits";
  const Values::Value* written = machine.values.find("vcpu[0].apic_page");
  ASSERT_NE(written, nullptr);
  EXPECT_TRUE(written->is_preferred);
  EXPECT_EQ(std::get<ByteVector>(written->content)[0x220], std::byte{0x03});
}

TEST(VmcxMapping, NamesWhatTheFileLacksByVendorAndShape) {
  struct {
    Vendor vendor;
    std::string_view shape;
    std::vector<std::string> missing;
  } const cases[] = {
      {Vendor::kIntel, "Intel C", {"bits of CR0 and CR4 that the host keeps from the guest"}},
      {Vendor::kIntel, "Intel B", {"MTRRs", "bits of CR0 and CR4 that the host keeps from the guest"}},
      {Vendor::kAmd, "AMD C", {"time_stamp.tsc_aux", "events.nmi_blocked"}},
      {Vendor::kAmd, "AMD B", {"MTRRs", "time_stamp.tsc_aux", "events.nmi_blocked"}},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.shape);
    VcpuMachine machine(one.vendor, 1);
    machine.with("vmcx", one.shape);
    ASSERT_TRUE(machine.up());
    std::vector<std::string> missing;
    for (const NotInFile& note : machine.machine().not_in_file()) missing.push_back(note.field);
    EXPECT_EQ(missing, one.missing);
  }
}

TEST(VmcxMapping, ConvertsGenerationAToLaterOnesWithoutLosingARegister) {
  ItemValues vmcx;
  ItemValues vmx;
  Fields expected;
  add(vmcx, expected, kIntelCommon);
  add(vmx, expected, kGeneral);
  add(vmx, expected, kIntelMsrs);
  VcpuMachine machine(Vendor::kIntel, 1);
  machine.with("vm", "A").with("vmx", "Intel A", vmx).with("vmcx", "Intel A", vmcx);
  ASSERT_TRUE(machine.up());
  const auto values = machine.down(*find_layout("vmcx", "Intel C"));
  ASSERT_TRUE(values) << values.error().to_string();
  for (const ItemValues& items : {vmcx, vmx}) {
    for (const auto& [path, value] : items) {
      const Values::Value* written = values->find(path);
      ASSERT_NE(written, nullptr) << path;
      EXPECT_EQ(written->content, value) << path;
    }
  }
}

TEST(VcpuMappings, TakeAnyBytesAndGiveStatesThatCanBeStored) {
  struct {
    Vendor vendor;
    std::string_view vm, vmx, vmcx, vlapic;
  } const sets[] = {
      {Vendor::kIntel, "A", "Intel A", "Intel A", "A"}, {Vendor::kAmd, "A", "AMD A", "AMD A", "A"},
      {Vendor::kIntel, "B", "B", "Intel B", "B"},       {Vendor::kIntel, "C", "", "Intel C0", "B"},
      {Vendor::kIntel, "C", "", "Intel 856", "B"},      {Vendor::kIntel, "C", "", "Intel C", "B"},
      {Vendor::kAmd, "B", "B", "AMD B", "B"},           {Vendor::kAmd, "C", "", "AMD C", "B"},
  };
  for (const auto& set : sets) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      SCOPED_TRACE(std::string(set.vmcx) + " " + std::to_string(seed));
      VcpuMachine machine(set.vendor, 2);
      for (const auto& [chunk, shape] : {std::pair(std::string_view("vm"), set.vm),
                                         {"vmx", set.vmx},
                                         {"vmcx", set.vmcx},
                                         {"vlapic", set.vlapic}}) {
        if (shape.empty()) continue;
        const Layout* layout = find_layout(chunk, shape);
        ASSERT_NE(layout, nullptr);
        machine.with(*layout, make_random_chunk(*layout, machine.context, seed).bytes);
      }
      const auto done = machine.up();
      ASSERT_TRUE(done) << done.error().to_string();
      for (const auto& device : machine.machine().devices()) {
        const auto state = device->state.encode();
        EXPECT_TRUE(state) << state.error().to_string();
      }
      for (const std::string_view chunk : {"vm", "vmcx", "vlapic"}) {
        const auto kept = machine.kept(chunk);
        EXPECT_TRUE(kept) << kept.error().to_string();
      }
    }
  }
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
