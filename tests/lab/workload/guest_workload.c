// SPDX-License-Identifier: BSD-2-Clause
//
// What the guest of the lab does: it keeps known content in memory, on disk, in registers and in clocks, and
// says so on the console at once when something is not as it was. README.md in the folder above lists the
// output.

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "clock_check.h"
#include "common.h"
#include "disk_log.h"
#include "memory_check.h"
#include "register_check.h"

enum { kMaxComplaints = 100, kSpinRounds = 200000 };

static pthread_mutex_t line_mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint complaint_count;

static void print_line(const char* format, va_list arguments) {
  char line[512];
  int size = vsnprintf(line, sizeof line - 1, format, arguments);
  if (size < 0) return;
  if ((size_t)size > sizeof line - 2) size = sizeof line - 2;
  line[size++] = '\n';
  pthread_mutex_lock(&line_mutex);
  for (int done = 0; done < size;) {
    ssize_t step = write(STDOUT_FILENO, line + done, (size_t)(size - done));
    if (step > 0) done += (int)step;
    if (step < 0 && errno != EINTR) break;
  }
  pthread_mutex_unlock(&line_mutex);
}

void say(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print_line(format, arguments);
  va_end(arguments);
}

void complain(const char* format, ...) {
  if (atomic_fetch_add(&complaint_count, 1) >= kMaxComplaints) return;
  va_list arguments;
  va_start(arguments, format);
  print_line(format, arguments);
  va_end(arguments);
}

unsigned complaints(void) {
  return atomic_load(&complaint_count);
}

uint64_t clock_ns(int clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// The value of NAME=VALUE on the kernel command line, or `fallback`; the result is valid until the next call.
static const char* option(const char* name, const char* fallback) {
  static char line[4096];
  FILE* file = fopen("/proc/cmdline", "re");
  if (!file) return fallback;
  char* read_line = fgets(line, sizeof line, file);
  fclose(file);
  if (!read_line) return fallback;
  size_t size = strlen(name);
  for (char* word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
    if (strncmp(word, name, size) == 0 && word[size] == '=') return word + size + 1;
  }
  return fallback;
}

static uint64_t number_option(const char* name, uint64_t fallback) {
  const char* text = option(name, NULL);
  return text ? strtoull(text, NULL, 10) : fallback;
}

__attribute__((noreturn)) static void leave(void) {
  bool restart = strcmp(option("vmsnap.exit", "poweroff"), "reboot") == 0;
  fflush(NULL);
  sync();
  tcdrain(STDOUT_FILENO);
  reboot(restart ? RB_AUTOBOOT : RB_POWER_OFF);
  for (;;) pause();
}

// The console for reading, with a description of its own so that only reading does not block. No echo,
// because what the host types would be mixed with what the guest says.
static int open_console_input(void) {
  struct termios settings;
  int input = open("/dev/console", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (input >= 0 && tcgetattr(input, &settings) == 0) {
    settings.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    tcsetattr(input, TCSANOW, &settings);
  }
  return input;
}

// Obeys one line from the host, if there is one. Returns true if it asks for the end.
static bool obey_input(int input) {
  char line[128];
  ssize_t size = input < 0 ? -1 : read(input, line, sizeof line - 1);
  if (size <= 0) return false;
  line[size] = '\0';
  line[strcspn(line, "\r\n")] = '\0';
  if (strcmp(line, "finish") == 0) return true;
  if (strncmp(line, "ping ", 5) == 0) say("pong %s", line + 5);
  return false;
}

// The next tick of a regular row, or a new row from now on if time has jumped over it.
static uint64_t next_tick_ns(uint64_t previous, uint64_t period) {
  uint64_t now = clock_ns(CLOCK_MONOTONIC);
  return previous + 2 * period < now || previous > now + period ? now + period : previous + period;
}

__attribute__((noreturn)) static void run_count(void) {
  const uint64_t period = number_option("vmsnap.tick_ms", 100) * 1000000u;
  const uint64_t last = number_option("vmsnap.count_max", UINT64_MAX);
  const uint64_t buffer_mib = number_option("vmsnap.buffer_mib", 32);
  const uint64_t churn_mib = number_option("vmsnap.churn_mib", 4);
  const bool check_tsc = number_option("vmsnap.tsc_check", 1) != 0;
  static struct DiskLog disk;
  static struct MemoryCheck memory;

  bool disk_usable = disk_start(&disk);
  uint64_t count = disk.records;
  if (!memory_start(&memory, buffer_mib, churn_mib, count + 1)) {
    complain("memory-bad there is no room for buffers of %" PRIu64 " and %" PRIu64 " MiB", buffer_mib,
             churn_mib);
    leave();
  }
  unsigned cpus = clock_check_start(check_tsc);
  if (cpus == 0) complain("time-bad the checking threads cannot start");
  int input = open_console_input();
  say("guest cpus=%u buffer_mib=%" PRIu64 " churn_mib=%" PRIu64 " disk=%s records=%" PRIu64, cpus, buffer_mib,
      churn_mib, disk.file >= 0 ? "vda" : "none", disk.records);
  say("GUEST-READY");

  uint64_t wake = clock_ns(CLOCK_MONOTONIC);
  bool finish = false;
  while (count < last && !finish) {
    ++count;
    wake = next_tick_ns(wake, period);
    struct timespec until = {.tv_sec = (time_t)(wake / 1000000000u), .tv_nsec = (long)(wake % 1000000000u)};
    sleep_holding_registers(&until, count);
    spin_holding_registers(kSpinRounds, count);
    uint64_t hash = memory_tick(&memory, count);
    if (disk_usable) disk_usable = disk_append(&disk);
    say("count %" PRIu64 " mono_ns=%" PRIu64 " real_ns=%" PRIu64 " hash=%016" PRIx64, count,
        clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME), hash);
    finish = obey_input(input);
  }
  if (disk_usable) disk_verify(&disk);
  say("guest-done count=%" PRIu64 " complaints=%u", count, complaints());
  leave();
}

int main(void) {
  const char* workload = option("vmsnap.workload", "boot");
  if (strcmp(workload, "count") == 0) run_count();
  if (strcmp(workload, "boot") == 0) {
    say("GUEST-READY");
  } else {
    complain("workload-bad there is no workload %s", workload);
  }
  leave();
}
