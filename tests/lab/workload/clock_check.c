// SPDX-License-Identifier: BSD-2-Clause
#include "clock_check.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

enum { kChecksPerBatch = 64, kPauseNs = 4 * 1000 * 1000 };

struct Latest {
  const char* name;
  atomic_uint_least64_t value;
};

static struct Latest latest_mono = {.name = "monotonic"};
static struct Latest latest_tsc = {.name = "tsc"};
static bool with_tsc;

// The fences keep the processor from reading the counter before `seen`, or after what follows.
static uint64_t read_tsc(void) {
  _mm_lfence();
  uint64_t now = __rdtsc();
  _mm_lfence();
  return now;
}

static uint64_t read_mono(void) {
  _mm_lfence();
  return clock_ns(CLOCK_MONOTONIC);
}

static void check_one(struct Latest* latest, uint64_t (*read_clock)(void), long cpu) {
  uint64_t seen = atomic_load_explicit(&latest->value, memory_order_acquire);
  uint64_t now = read_clock();
  if (now < seen) {
    complain("time-bad clock=%s cpu=%ld now=%" PRIu64 " before=%" PRIu64 " backwards=%" PRIu64, latest->name,
             cpu, now, seen, seen - now);
    // Go on from here: one jump is one complaint.
    atomic_store_explicit(&latest->value, now, memory_order_release);
    return;
  }
  while (seen < now && !atomic_compare_exchange_weak_explicit(&latest->value, &seen, now,
                                                              memory_order_acq_rel, memory_order_acquire)) {
  }
}

static void* check_loop(void* argument) {
  long cpu = (long)(intptr_t)argument;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((size_t)cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) complain("time-bad cpu=%ld cannot be used", cpu);
  for (;;) {
    for (int i = 0; i < kChecksPerBatch; ++i) {
      check_one(&latest_mono, read_mono, cpu);
      if (with_tsc) check_one(&latest_tsc, read_tsc, cpu);
    }
    nanosleep(&(struct timespec){.tv_nsec = kPauseNs}, NULL);
  }
  return NULL;
}

unsigned clock_check_start(bool check_tsc) {
  with_tsc = check_tsc;
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  for (long cpu = 0; cpu < cpus; ++cpu) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, check_loop, (void*)(intptr_t)cpu) != 0) return 0;
    pthread_detach(thread);
  }
  return (unsigned)cpus;
}
