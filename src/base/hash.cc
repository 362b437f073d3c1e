// SPDX-License-Identifier: BSD-2-Clause
#include "base/hash.h"

#include <fmt/format.h>

// The variant that looks at the processor once and then uses its widest vectors; all give the same result.
#define XXH_STATIC_LINKING_ONLY
#include <xxh_x86dispatch.h>

namespace vmsnap {
namespace {

Digest128 canonical(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  Digest128 digest;
  static_assert(sizeof canonical == sizeof digest.bytes);
  std::memcpy(digest.bytes.data(), &canonical, sizeof canonical);
  return digest;
}

}  // namespace

std::string to_string(const Digest128& digest) {
  std::string out;
  for (const std::byte byte : digest.bytes) out += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return out;
}

std::uint64_t xxh3_64(ByteView bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::uint64_t xxh3_64(ByteView bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

Digest128 xxh3_128(ByteView bytes) {
  return canonical(XXH3_128bits(bytes.data(), bytes.size()));
}

struct Xxh3Stream::State {
  XXH3_state_t xxh;
};

Xxh3Stream::Xxh3Stream() : Xxh3Stream(0) {}

// XXH3_state_t is 64-byte aligned; operator new honours that since C++17.
Xxh3Stream::Xxh3Stream(std::uint64_t seed) : state_(new State) {
  XXH3_INITSTATE(&state_->xxh);
  XXH3_64bits_reset_withSeed(&state_->xxh, seed);
}

Xxh3Stream::~Xxh3Stream() {
  delete state_;
}

// The 64-bit and the 128-bit variants share one state and one update function (xxhash.h, "Streaming").
void Xxh3Stream::update(ByteView bytes) {
  XXH3_64bits_update(&state_->xxh, bytes.data(), bytes.size());
}

std::uint64_t Xxh3Stream::digest_64() const {
  return XXH3_64bits_digest(&state_->xxh);
}

Digest128 Xxh3Stream::digest_128() const {
  return canonical(XXH3_128bits_digest(&state_->xxh));
}

}  // namespace vmsnap
