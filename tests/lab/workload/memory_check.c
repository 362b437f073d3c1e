// SPDX-License-Identifier: BSD-2-Clause
#include "memory_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { kSliceWords = (2 << 20) / 8, kPageWords = 512, kGroupWords = 16 * kPageWords, kFullCheckEvery = 16 };

static const uint64_t kHashSeed = 0xcbf29ce484222325u;

static uint64_t* map_words(size_t count) {
  void* memory = mmap(NULL, count * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

static uint64_t still_word(size_t index) {
  return mix(index);
}

static uint64_t churn_word(uint64_t tick, size_t index) {
  return mix(tick * 0x100000000u + index + 1);
}

bool memory_start(struct MemoryCheck* check, size_t still_mib, size_t churn_mib, uint64_t first_tick) {
  check->still_slices = (still_mib + 1) / 2;
  if (check->still_slices == 0) check->still_slices = 1;
  check->churn_groups = churn_mib * (1 << 20) / (kGroupWords * 8);
  if (check->churn_groups == 0) check->churn_groups = 1;
  check->still = map_words(check->still_slices * kSliceWords);
  check->churn = map_words(check->churn_groups * kGroupWords);
  check->slice_hashes = calloc(check->still_slices, sizeof(uint64_t));
  if (!check->still || !check->churn || !check->slice_hashes) return false;
  for (size_t slice = 0; slice < check->still_slices; ++slice) {
    uint64_t* words = check->still + slice * kSliceWords;
    for (size_t i = 0; i < kSliceWords; ++i) words[i] = still_word(slice * kSliceWords + i);
    check->slice_hashes[slice] = hash_words(kHashSeed, words, kSliceWords);
  }
  check->first_tick = first_tick;
  check->chain = kHashSeed;
  return true;
}

// Hashes one slice; if the hash is wrong, finds out how by making the pattern again.
static uint64_t check_slice(const struct MemoryCheck* check, size_t slice, uint64_t tick) {
  const uint64_t* words = check->still + slice * kSliceWords;
  uint64_t hash = hash_words(kHashSeed, words, kSliceWords);
  if (hash == check->slice_hashes[slice]) return hash;
  size_t bad = 0, first = 0;
  for (size_t i = kSliceWords; i-- > 0;) {
    if (words[i] != still_word(slice * kSliceWords + i)) {
      ++bad;
      first = i;
    }
  }
  complain("hash-bad tick=%" PRIu64 " slice=%zu bad_words=%zu first_offset=0x%zx expected=%016" PRIx64
           " found=%016" PRIx64,
           tick, slice, bad, (slice * kSliceWords + first) * 8, still_word(slice * kSliceWords + first),
           words[first]);
  return hash;
}

// The last tick up to `tick` that wrote `group`, or 0 if none did since the start.
static uint64_t last_writer(const struct MemoryCheck* check, size_t group, uint64_t tick) {
  uint64_t back = (tick % check->churn_groups + check->churn_groups - group) % check->churn_groups;
  return tick >= back + check->first_tick ? tick - back : 0;
}

static void check_churn_group(const struct MemoryCheck* check, size_t group, uint64_t tick) {
  const uint64_t* words = check->churn + group * kGroupWords;
  uint64_t writer = last_writer(check, group, tick);
  for (size_t i = 0; i < kGroupWords; ++i) {
    uint64_t expected = writer ? churn_word(writer, i) : 0;
    if (words[i] != expected) {
      complain("hash-bad tick=%" PRIu64 " churn_group=%zu written_at=%" PRIu64
               " first_offset=0x%zx expected=%016" PRIx64 " found=%016" PRIx64,
               tick, group, writer, i * 8, expected, words[i]);
      return;
    }
  }
}

uint64_t memory_tick(struct MemoryCheck* check, uint64_t tick) {
  uint64_t slice_hash = check_slice(check, tick % check->still_slices, tick);
  size_t group = tick % check->churn_groups;
  check_churn_group(check, group, tick - 1);
  uint64_t* words = check->churn + group * kGroupWords;
  for (size_t i = 0; i < kGroupWords; ++i) words[i] = churn_word(tick, i);
  if (tick % kFullCheckEvery == 0) {
    for (size_t slice = 0; slice < check->still_slices; ++slice) check_slice(check, slice, tick);
    for (size_t i = 0; i < check->churn_groups; ++i) check_churn_group(check, i, tick);
  }
  check->chain = mix(check->chain ^ slice_hash ^ tick);
  return check->chain;
}
