// SPDX-License-Identifier: BSD-2-Clause
//
// Proves, on the host, that each check of the guest workload fails when it should: a check that cannot fail
// would make every guest test worthless. Prints one line per proof; exits 1 if one does not hold.

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// The sources themselves, to reach what is private in them.
#include "workload/clock_check.c"
#include "workload/memory_check.c"
#include "workload/register_check.c"

enum { kMib = 4, kTicks = 200 };

static unsigned complaint_count;
static char last_complaint[512];

void complain(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(last_complaint, sizeof last_complaint, format, arguments);
  va_end(arguments);
  ++complaint_count;
}

uint64_t clock_ns(int clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool all_hold = true;

static void expect(bool holds, const char* sentence) {
  printf("%s: %s\n", holds ? "ok" : "FAILED", sentence);
  if (!holds) printf("  the last complaint was: %s\n", complaint_count ? last_complaint : "(none)");
  all_hold = all_hold && holds;
  complaint_count = 0;
}

static bool complained(const char* word) {
  return complaint_count > 0 && strstr(last_complaint, word) != NULL;
}

static void run_ticks(struct MemoryCheck* check, uint64_t first, uint64_t last) {
  for (uint64_t tick = first; tick <= last; ++tick) memory_tick(check, tick);
}

static void prove_memory(void) {
  struct MemoryCheck check, again;
  memory_start(&check, kMib, 1, 1);
  run_ticks(&check, 1, kTicks);
  expect(complaint_count == 0, "untouched memory passes");
  uint64_t first_chain = check.chain;

  memory_start(&again, kMib, 1, 1);
  run_ticks(&again, 1, kTicks);
  expect(again.chain == first_chain && complaint_count == 0, "the printed hash depends on the ticks alone");

  check.still[300000] ^= 1;
  run_ticks(&check, kTicks + 1, kTicks + 16);
  expect(complained("slice=1") && complained("bad_words=1 first_offset=0x249f00"),
         "one changed bit of the buffer is found within 16 ticks and named");
  check.still[300000] ^= 1;

  // What restoring an old version of a page does: the group's content is genuine, but of an earlier tick.
  uint64_t stale[kPageWords];
  memcpy(stale, again.churn, sizeof stale);
  run_ticks(&again, kTicks + 1, kTicks + 16);
  memcpy(again.churn, stale, sizeof stale);
  run_ticks(&again, kTicks + 17, kTicks + 32);
  expect(complained("churn_group=0"), "a stale page is found");
}

static void prove_clocks(void) {
  with_tsc = true;
  for (int i = 0; i < 1000; ++i) {
    check_one(&latest_mono, read_mono, 0);
    check_one(&latest_tsc, read_tsc, 0);
  }
  expect(complaint_count == 0, "clocks that go forward pass");
  atomic_fetch_add(&latest_mono.value, 1000000000u);
  check_one(&latest_mono, read_mono, 0);
  check_one(&latest_mono, read_mono, 0);
  expect(complaint_count == 1 && complained("clock=monotonic"), "a backward jump of time is reported once");
  atomic_fetch_add(&latest_tsc.value, 1000000000u);
  check_one(&latest_tsc, read_tsc, 0);
  expect(complaint_count == 1 && complained("clock=tsc"),
         "a backward jump of the time stamp counter is reported");
}

// Runs `body` in a child whose floating point state `change` may alter half way. Returns the child's
// complaints.
static int complaints_with(void (*body)(void), void (*change)(struct user_fpregs_struct*)) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    body();
    _exit((int)complaint_count);
  }
  usleep(100000);
  int status = -1;
  if (change) {
    struct user_fpregs_struct state;
    ptrace(PTRACE_ATTACH, child, NULL, NULL);
    waitpid(child, &status, 0);
    ptrace(PTRACE_GETFPREGS, child, NULL, &state);
    change(&state);
    ptrace(PTRACE_SETFPREGS, child, NULL, &state);
    ptrace(PTRACE_DETACH, child, NULL, NULL);
  }
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void sleeping_body(void) {
  uint64_t wake = clock_ns(CLOCK_MONOTONIC) + 300000000u;
  struct timespec until = {.tv_sec = (time_t)(wake / 1000000000u), .tv_nsec = (long)(wake % 1000000000u)};
  sleep_holding_registers(&until, 7);
}

static void spinning_body(void) {
  spin_holding_registers(1500000000u, 7);
}

static void change_xmm5(struct user_fpregs_struct* state) {
  state->xmm_space[5 * 4] ^= 1;
}

static void change_mxcsr(struct user_fpregs_struct* state) {
  state->mxcsr ^= 0x2000;
}

static void prove_registers(void) {
  expect(complaints_with(sleeping_body, NULL) == 0, "registers held over a sleep pass");
  expect(complaints_with(spinning_body, NULL) == 0, "registers held over a loop pass");
  expect(complaints_with(sleeping_body, change_xmm5) == 1, "a changed XMM register is found after a sleep");
  expect(complaints_with(sleeping_body, change_mxcsr) == 1, "a changed MXCSR is found after a sleep");
  expect(complaints_with(spinning_body, change_xmm5) == 1, "a changed XMM register is found after a loop");
}

int main(void) {
  prove_memory();
  prove_clocks();
  prove_registers();
  return all_hold ? 0 : 1;
}
