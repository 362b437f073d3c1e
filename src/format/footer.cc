// SPDX-License-Identifier: BSD-2-Clause
#include "format/footer.h"

#include <algorithm>

namespace vmsnap {
namespace {

constexpr std::size_t kRootAt = 8;
constexpr std::size_t kIndexOffsetAt = 24;
constexpr std::size_t kFileSizeAt = 32;
constexpr std::size_t kChunkCountAt = 40;
constexpr std::size_t kReservedAt = 44;
constexpr std::size_t kHashAt = 56;

}  // namespace

EncodedFooter encode(const Footer& footer, std::uint64_t seed) {
  EncodedFooter bytes{};
  const MutableByteView view(bytes);
  std::transform(kFooterMagic.begin(), kFooterMagic.end(), bytes.begin(),
                 [](std::uint8_t b) { return std::byte{b}; });
  std::copy(footer.root.bytes.begin(), footer.root.bytes.end(), bytes.begin() + kRootAt);
  store_le(view, kIndexOffsetAt, footer.index_offset);
  store_le(view, kFileSizeAt, footer.file_size);
  store_le(view, kChunkCountAt, footer.chunk_count);
  store_le(view, kHashAt, xxh3_64(view.first(kHashAt), seed));
  return bytes;
}

Result<Footer> decode_footer(ByteView bytes, std::uint64_t seed) {
  if (bytes.size() != kFooterSize ||
      !std::equal(kFooterMagic.begin(), kFooterMagic.end(), bytes.begin(),
                  [](std::uint8_t wanted, std::byte is) { return std::byte{wanted} == is; })) {
    return Error(ErrorKind::kCorrupt, "there is no footer at the end of the file; the file is damaged");
  }
  if (load_le<std::uint64_t>(bytes, kHashAt) != xxh3_64(bytes.first(kHashAt), seed)) {
    return Error(ErrorKind::kCorrupt, "the hash of the footer is wrong; the file is damaged");
  }
  if (!is_all_zero(bytes.subspan(kReservedAt, kHashAt - kReservedAt))) {
    return Error(ErrorKind::kCorrupt, "reserved bytes of the footer are not zero");
  }
  Footer footer;
  std::copy_n(bytes.begin() + kRootAt, footer.root.bytes.size(), footer.root.bytes.begin());
  footer.index_offset = load_le<std::uint64_t>(bytes, kIndexOffsetAt);
  footer.file_size = load_le<std::uint64_t>(bytes, kFileSizeAt);
  footer.chunk_count = load_le<std::uint32_t>(bytes, kChunkCountAt);
  return footer;
}

}  // namespace vmsnap
