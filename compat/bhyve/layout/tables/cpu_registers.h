// SPDX-License-Identifier: BSD-2-Clause
// Registers of a vCPU that several chunks have in the same order.
#pragma once

#include "bhyve/layout/tables/items.h"

namespace vmsnap::compat::bhyve::tables {

inline constexpr Item kSegment[] = {
    u64("selector"),
    u64("base"),
    u32("limit"),
    u32("access").note("VMCS access rights; bit 16: unusable"),
};

inline constexpr Item kSegments[] = {
    record("ES", kSegment), record("CS", kSegment), record("SS", kSegment), record("DS", kSegment),
    record("FS", kSegment), record("GS", kSegment), record("TR", kSegment), record("LDTR", kSegment),
};

inline constexpr Item kMtrrPair[] = {u64("base"), u64("mask")};

inline constexpr Item kMtrr[] = {
    u64("mtrr.def_type"),
    u64("mtrr.fixed4k", 8),
    u64("mtrr.fixed16k", 2),
    u64("mtrr.fixed64k"),
    record("mtrr.var", kMtrrPair).times(10),
};

// Intel.
inline constexpr Item kIntelMsrs[] = {
    u64("msr.LSTAR"),   u64("msr.CSTAR"), u64("msr.STAR"),    u64("msr.SF_MASK"),
    u64("msr.KGSBASE"), u64("msr.PAT"),   u64("msr.TSC_AUX"),
};

inline constexpr Item kIntelRegisters[] = {
    u64("rdi"), u64("rsi"), u64("rdx"), u64("rcx"), u64("r8"),  u64("r9"),  u64("rax"),
    u64("rbx"), u64("rbp"), u64("r10"), u64("r11"), u64("r12"), u64("r13"), u64("r14"),
    u64("r15"), u64("cr2"), u64("dr0"), u64("dr1"), u64("dr2"), u64("dr3"), u64("dr6"),
};

// AMD.
inline constexpr Item kAmdDescriptorTable[] = {
    u64("base"),
    u32("limit"),
    u32("access").note("0"),
};

inline constexpr Item kAmdRegisters[] = {
    u64("rbp"), u64("rbx"), u64("rcx"), u64("rdx"), u64("rdi"), u64("rsi"),
    u64("r8"),  u64("r9"),  u64("r10"), u64("r11"), u64("r12"), u64("r13"),
    u64("r14"), u64("r15"), u64("dr0"), u64("dr1"), u64("dr2"), u64("dr3"),
};

// Of the VMCB.
inline constexpr Item kAmdSysenter[] = {
    u64("sysenter_cs"),
    u64("sysenter_esp"),
    u64("sysenter_eip"),
};

inline constexpr Item kAmdSystemCalls[] = {
    u64("star"), u64("lstar"), u64("cstar"), u64("sfmask"), u64("kernelgsbase"), group(kAmdSysenter),
};

inline constexpr Item kAmdLastBranch[] = {
    u64("dbgctl"), u64("br_from"), u64("br_to"), u64("int_from"), u64("int_to"),
};

inline constexpr Item kAmdRun[] = {
    u64("nextrip"),
    i32("lastcpu").note("host CPU that the vCPU ran on last"),
    u32("dirty").note("parts of the VMCB that the processor has to load again"),
    u64("eptgen"),
    u64("asid.gen"),
    u32("asid.num"),
};

}  // namespace vmsnap::compat::bhyve::tables
