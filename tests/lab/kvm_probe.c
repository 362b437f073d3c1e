// SPDX-License-Identifier: BSD-2-Clause
//
// Finds out whether /dev/kvm really executes guests. Some hosts offer the whole KVM interface but interpret
// guest instructions in software and lack many that every stock kernel uses, so only running them tells.
// The guest here is a few instructions in 64-bit mode; it notes in memory which one it is about to try.
//
// Prints "kvm: executes guests" and exits 0, or prints "kvm: REASON" and exits 1, within a few seconds.

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
  kRamSize = 0x200000,
  kPageTables = 0x1000,
  kCode = 0x10000,
  kData = 0x20000,
  kStackTop = 0x80000,
  kTssAddress = 0xfffbd000 - 0x100000000,
  kDonePort = 0x10,
  kLimitSeconds = 5,
};

// CPUID leaf 1 ECX bits that guard a step, and a bit of ours for RDTSCP (leaf 0x80000001 EDX bit 27).
enum { kCx16 = 1 << 13, kSse42 = 1 << 20, kPopcnt = 1 << 23, kRdtscp = 1 << 27 };

// The page that host and guest share; the offsets are used by the guest's code below.
struct Data {
  uint32_t step;              // 0
  uint32_t features;          // 4
  uint64_t popcnt;            // 8
  uint64_t crc32;             // 16
  uint64_t tsc;               // 24
  float addend_a[4];          // 32
  float addend_b[4];          // 48
  float sum[4];               // 64
  double squared;             // 80
  double root;                // 88
  uint64_t exchanged[2];      // 96
  uint64_t reserved[2];       // 112
  unsigned char fxsave[512];  // 128
};

extern const unsigned char guest_begin[], guest_end[];
__asm__(
    ".pushsection .rodata\n"
    "guest_begin:\n"
    "  movl $1, (%rdi)\n"
    "  movups 32(%rdi), %xmm0\n"
    "  movups 48(%rdi), %xmm1\n"
    "  addps %xmm1, %xmm0\n"
    "  movups %xmm0, 64(%rdi)\n"
    "  sqrtsd 80(%rdi), %xmm2\n"
    "  movsd %xmm2, 88(%rdi)\n"
    "  movl $2, (%rdi)\n"
    "  fxsave 128(%rdi)\n"
    "  fxrstor 128(%rdi)\n"
    "  testl $1<<13, 4(%rdi)\n"
    "  jz 1f\n"
    "  movl $3, (%rdi)\n"
    "  movl $1, %eax\n"
    "  movl $2, %edx\n"
    "  movl $3, %ebx\n"
    "  movl $4, %ecx\n"
    "  lock cmpxchg16b 96(%rdi)\n"
    "1:\n"
    "  testl $1<<23, 4(%rdi)\n"
    "  jz 1f\n"
    "  movl $4, (%rdi)\n"
    "  movl $0xf0f0, %eax\n"
    "  popcnt %rax, %rax\n"
    "  movq %rax, 8(%rdi)\n"
    "1:\n"
    "  testl $1<<20, 4(%rdi)\n"
    "  jz 1f\n"
    "  movl $5, (%rdi)\n"
    "  xorl %eax, %eax\n"
    "  movl $0x12345678, %ecx\n"
    "  crc32q %rcx, %rax\n"
    "  movq %rax, 16(%rdi)\n"
    "1:\n"
    "  testl $1<<27, 4(%rdi)\n"
    "  jz 1f\n"
    "  movl $6, (%rdi)\n"
    "  rdtscp\n"
    "  shlq $32, %rdx\n"
    "  orq %rdx, %rax\n"
    "  movq %rax, 24(%rdi)\n"
    "1:\n"
    "  movl $7, (%rdi)\n"
    "  pushq %rax\n"
    "  popq %rax\n"
    "  outb %al, $0x10\n"
    "2:\n"
    "  hlt\n"
    "  jmp 2b\n"
    "guest_end:\n"
    ".popsection\n");

static const char* step_name(uint32_t step) {
  static const char* const kNames[] = {"the first instruction",
                                       "SSE arithmetic",
                                       "FXSAVE",
                                       "CMPXCHG16B",
                                       "POPCNT",
                                       "CRC32",
                                       "RDTSCP",
                                       "port output"};
  return step < sizeof kNames / sizeof *kNames ? kNames[step] : "an unknown step";
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("kvm: ");
  vprintf(format, arguments);
  printf("\n");
  va_end(arguments);
  exit(1);
}

static int call(int fd, unsigned long request, const char* name, void* argument) {
  int result = ioctl(fd, request, argument);
  if (result < 0) fail("%s failed (%s)", name, strerror(errno));
  return result;
}
#define CALL(fd, request, argument) call(fd, request, #request, (void*)(argument))

static void on_alarm(int signal_number) {
  (void)signal_number;
}

// Gives the vCPU the CPUID that the host supports and returns the features that the steps depend on.
static uint32_t set_cpuid(int kvm, int vcpu) {
  enum { kEntries = 256 };
  struct kvm_cpuid2* cpuid = calloc(1, sizeof *cpuid + kEntries * sizeof cpuid->entries[0]);
  if (!cpuid) fail("there is no memory for the CPUID table");
  cpuid->nent = kEntries;
  CALL(kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
  uint32_t features = 0;
  for (uint32_t i = 0; i < cpuid->nent; ++i) {
    const struct kvm_cpuid_entry2* entry = &cpuid->entries[i];
    if (entry->function == 1) features |= entry->ecx & (kCx16 | kSse42 | kPopcnt);
    if (entry->function == 0x80000001) features |= entry->edx & kRdtscp;
  }
  CALL(vcpu, KVM_SET_CPUID2, cpuid);
  free(cpuid);
  return features;
}

// 64-bit mode with the first 2 MiB mapped one to one, as in AMD's manual, volume 2, chapter 14.
static void set_long_mode(int vcpu, unsigned char* ram) {
  uint64_t* tables = (uint64_t*)(ram + kPageTables);
  tables[0] = (kPageTables + 0x1000) | 3;
  tables[512] = (kPageTables + 0x2000) | 3;
  tables[1024] = 0x83;
  struct kvm_sregs sregs;
  CALL(vcpu, KVM_GET_SREGS, &sregs);
  struct kvm_segment flat = {
      .limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
  sregs.cs = flat;
  flat.selector = 16;
  flat.type = 3;
  flat.l = 0;
  flat.db = 1;
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat;
  sregs.cr0 = 0x80000033;  // PG, NE, ET, MP, PE
  sregs.cr3 = kPageTables;
  sregs.cr4 = 0x620;   // PAE, OSFXSR, OSXMMEXCPT
  sregs.efer = 0x500;  // LME, LMA
  CALL(vcpu, KVM_SET_SREGS, &sregs);
  struct kvm_regs regs = {.rip = kCode, .rsp = kStackTop, .rdi = kData, .rflags = 2};
  CALL(vcpu, KVM_SET_REGS, &regs);
}

static void check_results(const struct Data* data) {
  for (int i = 0; i < 4; ++i) {
    if (data->sum[i] != data->addend_a[i] + data->addend_b[i]) fail("the guest's SSE sums are wrong");
  }
  if (data->root != 3.0) fail("the guest's SSE square root is wrong");
  if ((data->features & kCx16) && (data->exchanged[0] != 3 || data->exchanged[1] != 4)) {
    fail("the guest's CMPXCHG16B did not exchange");
  }
  if ((data->features & kPopcnt) && data->popcnt != 8) fail("the guest's POPCNT is wrong");
  if ((data->features & kSse42) && data->crc32 == 0) fail("the guest's CRC32 is wrong");
  if ((data->features & kRdtscp) && data->tsc == 0) fail("the guest's RDTSCP gives no time");
}

int main(void) {
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) fail("/dev/kvm cannot be opened (%s)", strerror(errno));
  if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) fail("/dev/kvm has another API version than 12");
  int vm = CALL(kvm, KVM_CREATE_VM, 0);
  CALL(vm, KVM_SET_TSS_ADDR, (uintptr_t)(uint32_t)kTssAddress);
  CALL(vm, KVM_CREATE_IRQCHIP, 0);
  int vcpu = CALL(vm, KVM_CREATE_VCPU, 0);
  int run_size = CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  struct kvm_run* run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  unsigned char* ram = mmap(NULL, kRamSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (run == MAP_FAILED || ram == MAP_FAILED) fail("memory cannot be mapped (%s)", strerror(errno));
  struct kvm_userspace_memory_region slot = {.memory_size = kRamSize, .userspace_addr = (uintptr_t)ram};
  CALL(vm, KVM_SET_USER_MEMORY_REGION, &slot);

  struct Data* data = (struct Data*)(ram + kData);
  data->features = set_cpuid(kvm, vcpu);
  for (int i = 0; i < 4; ++i) {
    data->addend_a[i] = 1.5f * (float)i;
    data->addend_b[i] = 2.25f;
  }
  data->squared = 9.0;
  data->exchanged[0] = 1;
  data->exchanged[1] = 2;
  memcpy(ram + kCode, guest_begin, (size_t)(guest_end - guest_begin));
  set_long_mode(vcpu, ram);

  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  alarm(kLimitSeconds);
  if (ioctl(vcpu, KVM_RUN, 0) < 0) {
    if (errno == EINTR) fail("the guest did not get past %s in %d s", step_name(data->step), kLimitSeconds);
    fail("KVM_RUN failed at %s (%s)", step_name(data->step), strerror(errno));
  }
  if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
    fail("it cannot execute %s in a guest (internal error %u): it interprets guests in software",
         step_name(data->step), run->internal.suberror);
  }
  if (run->exit_reason != KVM_EXIT_IO || run->io.port != kDonePort) {
    fail("the guest ended with exit reason %u at %s", run->exit_reason, step_name(data->step));
  }
  check_results(data);
  printf("kvm: executes guests\n");
  return 0;
}
