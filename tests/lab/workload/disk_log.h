// SPDX-License-Identifier: BSD-2-Clause
//
// A log of numbered records in /records of a file system on the first virtio disk. A record is on the disk
// before the workload mentions its number, so the host can demand every record up to the last number it has
// read.
#pragma once

#include "common.h"

struct DiskLog {
  int file;          // -1 if there is no disk
  uint64_t records;  // how many are in the file
  uint64_t boot_id;
};

// Mounts /dev/vda, making a file system if it has none, and checks the records that are there. Without a disk
// it only sets `file` to -1. Complains with "disk-bad ..." and returns false if the disk cannot be used.
bool disk_start(struct DiskLog* log);

// Writes the next record and waits until it is on the disk. Complains with "disk-bad ..." if that fails.
bool disk_append(struct DiskLog* log);

// Closes and unmounts, drops the caches, mounts read-only and reads every record again. Says
// "disk-ok records=N", "disk-none", or complains with "disk-bad ...".
void disk_verify(struct DiskLog* log);
