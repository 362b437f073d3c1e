// SPDX-License-Identifier: BSD-2-Clause
//
// What the checks of the guest workload share.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Prints one line with a single write, so that lines of several threads never mix. The newline is added.
void say(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Like say, for a check that failed; after 100 of them the rest is only counted, since a guest that is
// broken at all is usually broken at every tick.
void complain(const char* format, ...) __attribute__((format(printf, 1, 2)));

// How often complain was called.
unsigned complaints(void);

// Now, of a clock of clock_gettime.
uint64_t clock_ns(int clock);

// A well mixed function of its argument (the finaliser of SplitMix64): the patterns are made of it.
static inline uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15u;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

// FNV-1a over 64-bit words instead of bytes, with a shift so that high bits reach low ones.
static inline uint64_t hash_words(uint64_t hash, const uint64_t* words, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    hash = (hash ^ words[i]) * 0x100000001b3u;
    hash ^= hash >> 29;
  }
  return hash;
}
