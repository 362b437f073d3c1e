// SPDX-License-Identifier: BSD-2-Clause
//
// Guest memory that must survive: a large buffer that is written once, and a smaller one, "churn", of which
// some pages are rewritten at every tick. Every word of both is a function of its place and of the tick
// number, so a page that is lost, stale or misplaced is found and named.
#pragma once

#include "common.h"

struct MemoryCheck {
  uint64_t* still;
  size_t still_slices;
  uint64_t* slice_hashes;
  uint64_t* churn;
  size_t churn_groups;
  uint64_t first_tick;
  uint64_t chain;
};

// Allocates and fills. `first_tick` is the number of the first tick that memory_tick will see. The sizes are
// rounded up to one slice (2 MiB) and one group (64 KiB). Returns false if there is not enough memory.
bool memory_start(struct MemoryCheck* check, size_t still_mib, size_t churn_mib, uint64_t first_tick);

// Checks one slice and one churn group, rewrites that group; every 16th tick checks everything. Complains
// with "hash-bad ...". Returns a hash that depends on the buffer and on every tick since the start.
uint64_t memory_tick(struct MemoryCheck* check, uint64_t tick);
