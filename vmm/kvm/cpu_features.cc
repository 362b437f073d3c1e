// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/cpu_features.h"

#include <fmt/format.h>

namespace vmsnap::vmm {
namespace {

constexpr std::uint32_t bits() {
  return 0;
}
template <typename... Rest>
constexpr std::uint32_t bits(unsigned first, Rest... rest) {
  return (std::uint32_t{1} << first) | bits(rest...);
}

constexpr const char* kLeaf1Ecx[32] = {"pni",    "pclmulqdq", "dtes64",  "monitor", "ds_cpl",
                                       "vmx",    "smx",       "est",     "tm2",     "ssse3",
                                       "cid",    "sdbg",      "fma",     "cx16",    "xtpr",
                                       "pdcm",   "",          "pcid",    "dca",     "sse4_1",
                                       "sse4_2", "x2apic",    "movbe",   "popcnt",  "tsc_deadline_timer",
                                       "aes",    "xsave",     "osxsave", "avx",     "f16c",
                                       "rdrand", "hypervisor"};
constexpr const char* kLeaf1Edx[32] = {"fpu",  "vme",   "de",   "pse",     "tsc",  "msr", "pae",  "mce",
                                       "cx8",  "apic",  "",     "sep",     "mtrr", "pge", "mca",  "cmov",
                                       "pat",  "pse36", "pn",   "clflush", "",     "dts", "acpi", "mmx",
                                       "fxsr", "sse",   "sse2", "ss",      "ht",   "tm",  "ia64", "pbe"};
constexpr const char* kLeaf7Ebx[32] = {
    "fsgsbase", "tsc_adjust", "sgx",      "bmi1",     "hle",      "avx2",       "",         "smep",
    "bmi2",     "erms",       "invpcid",  "rtm",      "cqm",      "",           "mpx",      "rdt_a",
    "avx512f",  "avx512dq",   "rdseed",   "adx",      "smap",     "avx512ifma", "",         "clflushopt",
    "clwb",     "intel_pt",   "avx512pf", "avx512er", "avx512cd", "sha_ni",     "avx512bw", "avx512vl"};
constexpr const char* kLeaf7Ecx[32] = {"prefetchwt1",
                                       "avx512vbmi",
                                       "umip",
                                       "pku",
                                       "ospke",
                                       "waitpkg",
                                       "avx512_vbmi2",
                                       "shstk",
                                       "gfni",
                                       "vaes",
                                       "vpclmulqdq",
                                       "avx512_vnni",
                                       "avx512_bitalg",
                                       "tme",
                                       "avx512_vpopcntdq",
                                       "",
                                       "la57",
                                       "",
                                       "",
                                       "",
                                       "",
                                       "",
                                       "rdpid",
                                       "keylocker",
                                       "bus_lock_detect",
                                       "cldemote",
                                       "",
                                       "movdiri",
                                       "movdir64b",
                                       "enqcmd",
                                       "sgx_lc",
                                       "pks"};
constexpr const char* kLeaf7Edx[32] = {"",
                                       "sgx_keys",
                                       "avx512_4vnniw",
                                       "avx512_4fmaps",
                                       "fsrm",
                                       "uintr",
                                       "",
                                       "",
                                       "avx512_vp2intersect",
                                       "",
                                       "md_clear",
                                       "",
                                       "",
                                       "",
                                       "serialize",
                                       "hybrid_cpu",
                                       "tsxldtrk",
                                       "",
                                       "pconfig",
                                       "arch_lbr",
                                       "ibt",
                                       "",
                                       "amx_bf16",
                                       "avx512_fp16",
                                       "amx_tile",
                                       "amx_int8",
                                       "spec_ctrl",
                                       "intel_stibp",
                                       "flush_l1d",
                                       "arch_capabilities",
                                       "core_capabilities",
                                       "spec_ctrl_ssbd"};
constexpr const char* kLeaf71Eax[32] = {"",     "",          "",    "",         "avx_vnni", "avx512_bf16",
                                        "",     "cmpccxadd", "",    "",         "fzrm",     "fsrs",
                                        "fsrc", "",          "",    "",         "",         "fred",
                                        "lkgs", "",          "",    "amx_fp16", "",         "avx_ifma",
                                        "",     "",          "lam", "",         "",         "",
                                        "",     ""};
constexpr const char* kLeafD1Eax[32] = {
    "xsaveopt", "xsavec", "xgetbv1", "xsaves", "xfd", "", "", "", "", "", "", "", "", "", "", "",
    "",         "",       "",        "",       "",    "", "", "", "", "", "", "", "", "", "", ""};
constexpr const char* kLeafD0Eax[32] = {"x87 state",
                                        "SSE state",
                                        "AVX state",
                                        "BNDREGS state",
                                        "BNDCSR state",
                                        "AVX-512 opmask state",
                                        "AVX-512 ZMM_Hi256 state",
                                        "AVX-512 Hi16_ZMM state",
                                        "",
                                        "PKRU state",
                                        "",
                                        "",
                                        "",
                                        "",
                                        "",
                                        "",
                                        "",
                                        "AMX TILECFG state",
                                        "AMX TILEDATA state",
                                        "",
                                        "",
                                        "",
                                        "",
                                        "",
                                        "",
                                        "",
                                        "",
                                        "",
                                        "",
                                        "",
                                        "",
                                        ""};
constexpr const char* kExtended1Ecx[32] = {"lahf_lm",
                                           "cmp_legacy",
                                           "svm",
                                           "extapic",
                                           "cr8_legacy",
                                           "abm",
                                           "sse4a",
                                           "misalignsse",
                                           "3dnowprefetch",
                                           "osvw",
                                           "ibs",
                                           "xop",
                                           "skinit",
                                           "wdt",
                                           "",
                                           "lwp",
                                           "fma4",
                                           "tce",
                                           "",
                                           "nodeid_msr",
                                           "",
                                           "tbm",
                                           "topoext",
                                           "perfctr_core",
                                           "perfctr_nb",
                                           "",
                                           "bpext",
                                           "ptsc",
                                           "perfctr_llc",
                                           "mwaitx",
                                           "",
                                           ""};
constexpr const char* kExtended1Edx[32] = {
    "fpu",     "vme",  "de",   "pse",      "tsc",     "msr",    "pae",   "mce", "cx8",      "apic", "",
    "syscall", "mtrr", "pge",  "mca",      "cmov",    "pat",    "pse36", "",    "mp",       "nx",   "",
    "mmxext",  "mmx",  "fxsr", "fxsr_opt", "pdpe1gb", "rdtscp", "",      "lm",  "3dnowext", "3dnow"};
constexpr const char* kExtended7Edx[32] = {"", "", "", "", "", "", "", "", "constant_tsc",
                                           "", "", "", "", "", "", "", "", "",
                                           "", "", "", "", "", "", "", "", "",
                                           "", "", "", "", ""};
constexpr const char* kExtended8Ebx[32] = {
    "clzero",   "irperf",    "xsaveerptr", "",          "rdpru",    "",
    "",         "",          "",           "wbnoinvd",  "",         "",
    "amd_ibpb", "",          "amd_ibrs",   "amd_stibp", "",         "amd_stibp_always_on",
    "",         "",          "",           "",          "",         "amd_ppin",
    "amd_ssbd", "virt_ssbd", "amd_ssb_no", "cppc",      "amd_psfd", "btc_no",
    "",         ""};
constexpr const char* kLeaf6Eax[32] = {"", "", "arat", "", "", "", "", "", "", "", "", "", "", "", "", "",
                                       "", "", "",     "", "", "", "", "", "", "", "", "", "", "", "", ""};
constexpr const char* kKvmFeatures[32] = {"kvmclock",
                                          "kvm_nop_io_delay",
                                          "kvm_mmu_op",
                                          "kvmclock2",
                                          "kvm_async_pf",
                                          "kvm_steal_time",
                                          "kvm_pv_eoi",
                                          "kvm_pv_unhalt",
                                          "",
                                          "kvm_pv_tlb_flush",
                                          "kvm_async_pf_vmexit",
                                          "kvm_pv_send_ipi",
                                          "kvm_poll_control",
                                          "kvm_pv_sched_yield",
                                          "kvm_async_pf_int",
                                          "kvm_msi_ext_dest_id",
                                          "kvm_hc_map_gpa_range",
                                          "kvm_migration_control",
                                          "",
                                          "",
                                          "",
                                          "",
                                          "",
                                          "",
                                          "kvmclock_stable",
                                          "",
                                          "",
                                          "",
                                          "",
                                          "",
                                          "",
                                          ""};
constexpr const char* kNoNames[32] = {"", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "",
                                      "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", ""};

constexpr std::uint32_t kAll = 0xffffffff;
// XCR0 components whose state, and whose layout in the XSAVE area, the schema x86_cpu was made for: x87, SSE,
// AVX, AVX-512 and PKRU.
constexpr std::uint32_t kCarriedXcr0 = bits(0, 1, 2, 5, 6, 7, 9);
// kvmclock, no delay after port access, kvmclock (new), EOI, polling control, stable kvmclock: their MSRs are
// carried, and they need nothing of the host that might be lost on the way.
constexpr std::uint32_t kCarriedKvmFeatures = bits(0, 1, 3, 6, 12, 24);

using R = CpuidRegister;
constexpr FeatureWord kWords[] = {
    {0x1, 0, R::kEcx, bits(27, 31), bits(2, 3, 4, 5, 6, 7, 8, 10, 11, 14, 15, 18, 27),
     bits(0, 1, 9, 13, 19, 20, 21, 23, 24, 25, 30, 31), kLeaf1Ecx},
    {0x1, 0, R::kEdx, bits(28), bits(18, 21, 22, 28, 29, 30, 31),
     bits(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 19, 23, 24, 25, 26), kLeaf1Edx},
    {0x6, 0, R::kEax, 0, kAll & ~bits(2), bits(2), kLeaf6Eax},
    {0x7, 0, R::kEbx, 0, bits(2, 12, 14, 15, 25), bits(0, 7, 9, 18, 20), kLeaf7Ebx},
    {0x7, 0, R::kEcx, bits(4), bits(4, 7, 13, 23, 29, 30, 31), 0, kLeaf7Ecx},
    {0x7, 0, R::kEdx, 0, bits(5, 15, 18, 19, 20, 22, 24, 25, 30), 0, kLeaf7Edx},
    {0x7, 1, R::kEax, 0, bits(17, 21), 0, kLeaf71Eax},
    {0x7, 1, R::kEbx, 0, 0, 0, kNoNames},
    {0x7, 1, R::kEcx, 0, kAll, 0, kNoNames},
    {0x7, 1, R::kEdx, 0, bits(8, 18, 21), 0, kNoNames},
    {0x7, 2, R::kEdx, 0, 0, 0, kNoNames},
    {0xd, 0, R::kEax, 0, kAll & ~kCarriedXcr0, 0, kLeafD0Eax},
    {0xd, 0, R::kEdx, 0, kAll, 0, kNoNames},
    {0xd, 1, R::kEax, 0, bits(4), 0, kLeafD1Eax},
    {0xd, 1, R::kEcx, 0, kAll, 0, kNoNames},
    {0xd, 1, R::kEdx, 0, kAll, 0, kNoNames},
    {0x40000001, 0, R::kEax, 0, kAll & ~kCarriedKvmFeatures, kCarriedKvmFeatures, kKvmFeatures},
    {0x80000001, 0, R::kEcx, bits(1), bits(1, 2, 3, 10, 12, 13, 15, 19, 23, 24, 26, 27, 28, 29), bits(0, 8),
     kExtended1Ecx},
    {0x80000001, 0, R::kEdx, 0, 0,
     bits(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 20, 23, 24, 26, 27, 29), kExtended1Edx},
    {0x80000007, 0, R::kEdx, 0, kAll & ~bits(8), 0, kExtended7Edx},
    {0x80000008, 0, R::kEbx, 0, bits(1, 4, 23, 27), 0, kExtended8Ebx},
    {0x80000021, 0, R::kEax, 0, 0, 0, kNoNames},
};

}  // namespace

std::span<const FeatureWord> feature_words() {
  return kWords;
}

std::string feature_name(const FeatureWord& word, unsigned bit) {
  const char* name = word.names[bit];
  if (*name != '\0') return name;
  static constexpr const char* kRegisters[] = {"EAX", "EBX", "ECX", "EDX"};
  return fmt::format("CPUID {:x}.{:x} {} bit {}", word.leaf, word.subleaf,
                     kRegisters[static_cast<int>(word.reg)], bit);
}

std::uint32_t register_of(const schema::CpuidLeaf& leaf, CpuidRegister reg) {
  switch (reg) {
    case R::kEax:
      return leaf.eax();
    case R::kEbx:
      return leaf.ebx();
    case R::kEcx:
      return leaf.ecx();
    case R::kEdx:
      return leaf.edx();
  }
  return 0;
}

void set_register(schema::CpuidLeaf& leaf, CpuidRegister reg, std::uint32_t value) {
  leaf = schema::CpuidLeaf(leaf.leaf(), leaf.subleaf(), leaf.indexed(), reg == R::kEax ? value : leaf.eax(),
                           reg == R::kEbx ? value : leaf.ebx(), reg == R::kEcx ? value : leaf.ecx(),
                           reg == R::kEdx ? value : leaf.edx());
}

}  // namespace vmsnap::vmm
