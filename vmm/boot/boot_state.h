// SPDX-License-Identifier: BSD-2-Clause
// How the boot vCPU starts, in the terms of the processor's manual and of no hypervisor.
#pragma once

#include <cstdint>

#include "base/gpa.h"

namespace vmsnap::vmm {

/// What a segment register holds, its hidden part included (Intel SDM volume 3, 3.4.5).
struct BootSegment {
  std::uint16_t selector = 0;
  std::uint64_t base = 0;
  std::uint32_t limit = 0;        // last byte, granularity already applied
  std::uint8_t type = 0;          // 4 bits
  bool code_or_data = true;       // S
  bool is_64bit = false;          // L
  bool default_32bit = false;     // D/B
  bool page_granularity = false;  // G
  // Present, privilege level 0, AVL clear: always.
};

enum class BootMode : std::uint8_t { kLong64, kProtected32 };

/// Every register that matters when the guest's first instruction runs; those not named here are 0 (general
/// registers) or as after reset. Whatever a field refers to is in guest memory already.
struct BootState {
  BootMode mode = BootMode::kLong64;

  std::uint64_t rip = 0;
  std::uint64_t rsp = 0;
  std::uint64_t rsi = 0;     // kLong64: address of the zero page
  std::uint64_t rbx = 0;     // kProtected32: address of the PVH start info
  std::uint64_t rflags = 2;  // interrupts off

  std::uint64_t cr0 = 0;
  std::uint64_t cr3 = 0;  // kLong64: tables that map the first 4 GiB to themselves in 2 MiB pages
  std::uint64_t cr4 = 0;
  std::uint64_t efer = 0;

  Gpa gdt_base;
  std::uint16_t gdt_limit = 0;
  std::uint16_t idt_limit = 0;  // base 0; no interrupt table: the kernel brings its own

  BootSegment code;  // CS
  BootSegment data;  // DS, ES, FS, GS, SS
  BootSegment task;  // TR
};

}  // namespace vmsnap::vmm
