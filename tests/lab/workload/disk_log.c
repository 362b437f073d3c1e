// SPDX-License-Identifier: BSD-2-Clause
#include "disk_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEVICE "/dev/vda"
#define MOUNT_POINT "/mnt"
#define RECORDS MOUNT_POINT "/records"

enum { kPatternWords = 59 };

// 512 bytes, little-endian; tests/lab/check_disk reads it too.
struct Record {
  char magic[8];
  uint64_t number;
  uint64_t check;  // hash_words over the record, this word being zero
  uint64_t mono_ns;
  uint64_t boot_id;
  uint64_t pattern[kPatternWords];
};
_Static_assert(sizeof(struct Record) == 512, "the host's checker expects 512 bytes");

static const char kMagic[8] = "VMSNREC1";

static uint64_t record_check(struct Record record) {
  record.check = 0;
  return hash_words(0xcbf29ce484222325u, (const uint64_t*)(const void*)&record, sizeof record / 8);
}

static uint64_t pattern_word(uint64_t number, size_t index) {
  return mix(number * 64 + index);
}

static const char* record_fault(const struct Record* record, uint64_t number) {
  if (memcmp(record->magic, kMagic, sizeof kMagic) != 0) return "is not a record";
  if (record->number != number) return "has another number";
  if (record->check != record_check(*record)) return "has a wrong check word";
  for (size_t i = 0; i < kPatternWords; ++i) {
    if (record->pattern[i] != pattern_word(number, i)) return "has a wrong pattern";
  }
  return NULL;
}

// Reads all of the file; returns false after a complaint.
static bool read_records(int file, uint64_t* count) {
  struct Record record;
  for (*count = 0;; ++*count) {
    ssize_t size = pread(file, &record, sizeof record, (off_t)(*count * sizeof record));
    if (size == 0) return true;
    if (size != (ssize_t)sizeof record) {
      complain("disk-bad record=%" PRIu64 " reading gives %zd bytes (%s)", *count + 1, size,
               size < 0 ? strerror(errno) : "short");
      return false;
    }
    const char* fault = record_fault(&record, *count + 1);
    if (fault) {
      complain("disk-bad record=%" PRIu64 " %s (its number is %" PRIu64 ")", *count + 1, fault,
               record.number);
      return false;
    }
  }
}

// Whether the ext2/3/4 magic number is in the superblock, at byte 1080 of the disk.
static bool has_file_system(void) {
  unsigned char magic[2] = {0, 0};
  int device = open(DEVICE, O_RDONLY | O_CLOEXEC);
  if (device < 0) return false;
  bool found = pread(device, magic, 2, 1080) == 2 && magic[0] == 0x53 && magic[1] == 0xef;
  close(device);
  return found;
}

static bool make_file_system(void) {
  pid_t child = fork();
  if (child == 0) {
    int null = open("/dev/null", O_WRONLY);
    dup2(null, 1);
    execl("/bin/mke2fs", "mke2fs", "-m", "0", DEVICE, (char*)NULL);
    _exit(127);
  }
  int status = -1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

bool disk_start(struct DiskLog* log) {
  log->file = -1;
  log->records = 0;
  log->boot_id = mix(clock_ns(CLOCK_REALTIME));
  if (access(DEVICE, F_OK) != 0) return true;
  if (!has_file_system() && !make_file_system()) {
    complain("disk-bad mkfs failed on " DEVICE);
    return false;
  }
  if (mount(DEVICE, MOUNT_POINT, "ext4", 0, NULL) != 0) {
    complain("disk-bad mount of " DEVICE " failed (%s)", strerror(errno));
    return false;
  }
  log->file = open(RECORDS, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (log->file < 0) {
    complain("disk-bad " RECORDS " cannot be opened (%s)", strerror(errno));
    return false;
  }
  return read_records(log->file, &log->records);
}

bool disk_append(struct DiskLog* log) {
  if (log->file < 0) return true;
  struct Record record = {
      .number = log->records + 1, .mono_ns = clock_ns(CLOCK_MONOTONIC), .boot_id = log->boot_id};
  memcpy(record.magic, kMagic, sizeof kMagic);
  for (size_t i = 0; i < kPatternWords; ++i) record.pattern[i] = pattern_word(record.number, i);
  record.check = record_check(record);
  if (pwrite(log->file, &record, sizeof record, (off_t)(log->records * sizeof record)) !=
      (ssize_t)sizeof record) {
    complain("disk-bad record=%" PRIu64 " cannot be written (%s)", record.number, strerror(errno));
    return false;
  }
  if (fsync(log->file) != 0) {
    complain("disk-bad record=%" PRIu64 " cannot be synchronised (%s)", record.number, strerror(errno));
    return false;
  }
  ++log->records;
  return true;
}

static void drop_caches(void) {
  int file = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
  if (file < 0 || write(file, "3\n", 2) != 2)
    complain("disk-bad the caches cannot be dropped (%s)", strerror(errno));
  if (file >= 0) close(file);
}

void disk_verify(struct DiskLog* log) {
  if (log->file < 0) {
    say("disk-none");
    return;
  }
  close(log->file);
  log->file = -1;
  if (umount(MOUNT_POINT) != 0) {
    complain("disk-bad unmount failed (%s)", strerror(errno));
    return;
  }
  sync();
  drop_caches();
  if (mount(DEVICE, MOUNT_POINT, "ext4", MS_RDONLY, NULL) != 0) {
    complain("disk-bad read-only mount failed (%s)", strerror(errno));
    return;
  }
  int file = open(RECORDS, O_RDONLY | O_CLOEXEC);
  uint64_t count = 0;
  if (file < 0) {
    complain("disk-bad " RECORDS " cannot be opened again (%s)", strerror(errno));
  } else if (read_records(file, &count)) {
    if (count == log->records) {
      say("disk-ok records=%" PRIu64, count);
    } else {
      complain("disk-bad records=%" PRIu64 " expected=%" PRIu64, count, log->records);
    }
  }
  if (file >= 0) close(file);
  umount(MOUNT_POINT);
}
