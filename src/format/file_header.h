// SPDX-License-Identifier: BSD-2-Clause
// The first bytes of a snapshot.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/uuid.h"
#include "format/constants.h"
#include "format/features.h"

namespace vmsnap {

struct FileHeader {
  std::uint16_t major = kFormatMajor;
  std::uint16_t minor = kFormatMinor;
  Uuid uuid;
  std::uint8_t page_shift = kPageShift;
  std::uint8_t body_align_shift = kMinBodyAlignShift;  // log2 of the alignment of RAM bodies
  std::uint8_t digest_algorithm = kDigestXxh3;
  std::uint32_t arch = kArchX86_64;
  std::vector<Feature> features;  // sorted by kind, then bit; the masks follow from it
  bool operator==(const FileHeader&) const = default;

  /// Bytes the header takes in the file; the first chunk follows.
  [[nodiscard]] std::uint64_t encoded_size() const {
    return kFileHeaderFixedSize + kFeatureRecordSize * features.size();
  }
  [[nodiscard]] bool has_incompatible(std::uint8_t bit) const;
  /// The seed of the header hashes of this file, so that a chunk of another file does not verify.
  [[nodiscard]] std::uint64_t hash_seed() const;
};

/// The bytes of a header; the caller has kept to the limits of the format (features sorted and unique).
[[nodiscard]] ByteVector encode(const FileHeader& header);

/// How many bytes the header takes, told from its first kFileHeaderFixedSize bytes, which are not trusted yet
/// beyond their magic. `first` may be shorter when the file is. Errors: Truncated (too short for a header);
/// Corrupt (this is no snapshot, text-mode transfer damaged it, or the size is impossible).
[[nodiscard]] Result<std::uint32_t> file_header_size(ByteView first);

/// For a header that ends before the size which its first bytes state: true when these look whole, so that
/// the end is missing and not the size damaged. `first` has kFileHeaderFixedSize bytes.
[[nodiscard]] bool is_cut_header(ByteView first);

/// Decodes and checks a whole header of file_header_size() bytes. Errors: Corrupt; Unsupported (another
/// major version, digest algorithm or page size, an incompatible feature: named as the file names it).
/// The architecture is not judged here.
[[nodiscard]] Result<FileHeader> decode_file_header(ByteView bytes);

}  // namespace vmsnap
