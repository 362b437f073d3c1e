// SPDX-License-Identifier: BSD-2-Clause
#include "steps/x86_cpu/msr_groups.h"

#include <algorithm>

namespace vmsnap::compat {
namespace {

constexpr GroupedMsr kMsrs[] = {
    {0xc0000081, "syscall.star"},
    {0xc0000082, "syscall.lstar"},
    {0xc0000083, "syscall.cstar"},
    {0xc0000084, "syscall.sfmask"},
    {0xc0000102, "syscall.kernel_gs_base"},
    {0x174, "sysenter.cs"},
    {0x175, "sysenter.esp"},
    {0x176, "sysenter.eip"},
    {0x277, "memory_types.pat"},
    {0x2ff, "memory_types.mtrr_def_type"},
    {0x250, "memory_types.mtrr_fix64k_00000"},
    {0x258, "memory_types.mtrr_fix16k_80000"},
    {0x259, "memory_types.mtrr_fix16k_a0000"},
    {0x268, "memory_types.mtrr_fix4k_c0000"},
    {0x269, "memory_types.mtrr_fix4k_c8000"},
    {0x26a, "memory_types.mtrr_fix4k_d0000"},
    {0x26b, "memory_types.mtrr_fix4k_d8000"},
    {0x26c, "memory_types.mtrr_fix4k_e0000"},
    {0x26d, "memory_types.mtrr_fix4k_e8000"},
    {0x26e, "memory_types.mtrr_fix4k_f0000"},
    {0x26f, "memory_types.mtrr_fix4k_f8000"},
    {0x3b, "time_stamp.tsc_adjust"},
    {0xc0000103, "time_stamp.tsc_aux"},
    {0x1d9, "debug.debugctl"},
    {0x17a, "machine_check.mcg_status"},
    {0x17b, "machine_check.mcg_ctl"},
    {0x4d0, "machine_check.mcg_ext_ctl"},
    {0x48, "speculation.spec_ctrl"},
    {0x10a, "speculation.arch_capabilities"},
    {0x122, "speculation.tsx_ctrl"},
    {0xc001011f, "speculation.virt_spec_ctrl"},
    {0xda0, "extended_state.xss"},
    {0x1c4, "extended_state.xfd"},
    {0x1c5, "extended_state.xfd_err"},
    {0xd90, "extended_state.bndcfgs"},
    {0x6a0, "control_flow.u_cet"},
    {0x6a2, "control_flow.s_cet"},
    {0x6a4, "control_flow.pl0_ssp"},
    {0x6a5, "control_flow.pl1_ssp"},
    {0x6a6, "control_flow.pl2_ssp"},
    {0x6a7, "control_flow.pl3_ssp"},
    {0x6a8, "control_flow.interrupt_ssp_table_addr"},
    {0x3a, "controls.feature_control"},
    {0x8b, "controls.bios_sign_id"},
    {0xce, "controls.platform_info"},
    {0xe1, "controls.umwait_control"},
    {0x140, "controls.misc_features_enables"},
    {0x1a0, "controls.misc_enable"},
    {0x1fc, "controls.power_ctl"},
    {0xc0010015, "controls.hwcr"},
    {0x9e, "smm.smbase"},
    {0x34, "smm.smi_count"},
    {0x11, "kvm.wall_clock"},
    {0x12, "kvm.system_time"},
    {0x4b564d00, "kvm.wall_clock_new"},
    {0x4b564d01, "kvm.system_time_new"},
    {0x4b564d02, "kvm.async_pf_en"},
    {0x4b564d03, "kvm.steal_time"},
    {0x4b564d04, "kvm.eoi_en"},
    {0x4b564d05, "kvm.poll_control"},
    {0x4b564d06, "kvm.async_pf_int"},
    {0x4b564d07, "kvm.async_pf_ack"},
    {0x4b564d08, "kvm.migration_control"},
};

constexpr std::string_view kGroups[] = {"syscall",      "sysenter",      "memory_types", "time_stamp",
                                        "debug",        "machine_check", "speculation",  "extended_state",
                                        "control_flow", "controls",      "smm",          "kvm"};

constexpr std::string_view kMtrrParts[] = {"base", "mask"};
constexpr std::string_view kBankParts[] = {"ctl", "status", "addr", "misc", "ctl2"};
constexpr std::size_t kCtl2 = 4;

constexpr MsrArray kArrays[] = {
    {"memory_types.variable_mtrrs", 16, kMtrrParts,
     [](std::uint32_t number, std::size_t part) {
       return 0x200 + 2 * number + static_cast<std::uint32_t>(part);
     }},
    {"machine_check.banks", 32, kBankParts,
     [](std::uint32_t number, std::size_t part) {
       return part == kCtl2 ? 0x280 + number : 0x400 + 4 * number + static_cast<std::uint32_t>(part);
     }},
};

}  // namespace

std::span<const GroupedMsr> grouped_msrs() {
  return kMsrs;
}

std::span<const std::string_view> msr_groups() {
  return kGroups;
}

std::span<const MsrArray> msr_arrays() {
  return kArrays;
}

std::optional<MsrPlace> find_msr(std::uint32_t index) {
  const auto* found = std::find_if(std::begin(kMsrs), std::end(kMsrs),
                                   [index](const GroupedMsr& msr) { return msr.index == index; });
  if (found != std::end(kMsrs)) return MsrPlace{found, nullptr, 0, 0};
  for (const MsrArray& array : kArrays) {
    for (std::uint32_t number = 0; number < array.elements; ++number) {
      for (std::size_t part = 0; part < array.parts.size(); ++part) {
        if (array.index(number, part) == index) return MsrPlace{nullptr, &array, number, part};
      }
    }
  }
  return std::nullopt;
}

}  // namespace vmsnap::compat
