// SPDX-License-Identifier: BSD-2-Clause
#include "register_check.h"

#include <inttypes.h>
#include <sys/syscall.h>

enum { kRegisters = 16, kDefaultMxcsr = 0x1f80 };

struct Registers {
  uint64_t xmm[kRegisters][2];
  uint32_t mxcsr;
};

#define LOAD_XMM(number) "movups " #number "*16(%[in]), %%xmm" #number "\n"
#define STORE_XMM(number) "movups %%xmm" #number ", " #number "*16(%[out])\n"
#define ALL_XMM(op) \
  op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define LOAD_ALL "ldmxcsr 256(%[in])\n" ALL_XMM(LOAD_XMM)
#define STORE_ALL ALL_XMM(STORE_XMM) "stmxcsr 256(%[out])\n"
#define XMM_CLOBBERS                                                                                         \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
      "xmm13", "xmm14", "xmm15"

static struct Registers pattern(uint64_t tick) {
  struct Registers registers;
  for (int i = 0; i < kRegisters; ++i) {
    registers.xmm[i][0] = mix(tick * 64 + (uint64_t)i);
    registers.xmm[i][1] = ~registers.xmm[i][0];
  }
  // Another rounding mode at each tick; no code of ours computes with it meanwhile.
  registers.mxcsr = kDefaultMxcsr | (uint32_t)(tick & 3) << 13;
  return registers;
}

static void compare(const struct Registers* in, const struct Registers* out, uint64_t tick,
                    const char* during) {
  const uint32_t normal = kDefaultMxcsr;
  __asm__ volatile("ldmxcsr %0" : : "m"(normal));
  for (int i = 0; i < kRegisters; ++i) {
    if (in->xmm[i][0] != out->xmm[i][0] || in->xmm[i][1] != out->xmm[i][1]) {
      complain("xmm-bad tick=%" PRIu64 " during=%s register=xmm%d expected=%016" PRIx64 "%016" PRIx64
               " found=%016" PRIx64 "%016" PRIx64,
               tick, during, i, in->xmm[i][1], in->xmm[i][0], out->xmm[i][1], out->xmm[i][0]);
    }
  }
  if (in->mxcsr != out->mxcsr) {
    complain("xmm-bad tick=%" PRIu64 " during=%s register=mxcsr expected=%08x found=%08x", tick, during,
             in->mxcsr, out->mxcsr);
  }
}

void sleep_holding_registers(const struct timespec* until, uint64_t tick) {
  const struct Registers in = pattern(tick);
  struct Registers out;
  long result = SYS_clock_nanosleep;
  register const struct timespec* request __asm__("rdx") = until;
  register long remaining __asm__("r10") = 0;
  // The system call is made by hand: nothing of the C library may touch a register between load and store.
  __asm__ volatile(LOAD_ALL "syscall\n" STORE_ALL
                   : "+a"(result)
                   : [in] "r"(&in), [out] "r"(&out), "D"((long)CLOCK_MONOTONIC), "S"((long)TIMER_ABSTIME),
                     "r"(request), "r"(remaining)
                   : "rcx", "r11", "memory", XMM_CLOBBERS);
  compare(&in, &out, tick, "sleep");
}

void spin_holding_registers(uint64_t rounds, uint64_t tick) {
  const struct Registers in = pattern(tick + 1);
  struct Registers out;
  __asm__ volatile(LOAD_ALL "1: decq %[rounds]\n jnz 1b\n" STORE_ALL
                   : [rounds] "+r"(rounds)
                   : [in] "r"(&in), [out] "r"(&out)
                   : "cc", "memory", XMM_CLOBBERS);
  compare(&in, &out, tick, "spin");
}
