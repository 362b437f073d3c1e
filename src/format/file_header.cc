// SPDX-License-Identifier: BSD-2-Clause
#include "format/file_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

#include "base/hash.h"

namespace vmsnap {
namespace {

constexpr std::size_t kMajorAt = 8;
constexpr std::size_t kMinorAt = 10;
constexpr std::size_t kHeaderSizeAt = 12;
constexpr std::size_t kIncompatibleAt = 16;
constexpr std::size_t kCompatibleAt = 24;
constexpr std::size_t kUuidAt = 32;
constexpr std::size_t kPageShiftAt = 48;
constexpr std::size_t kBodyAlignShiftAt = 49;
constexpr std::size_t kDigestAlgorithmAt = 50;
constexpr std::size_t kZeroByteAt = 51;
constexpr std::size_t kArchAt = 52;
constexpr std::size_t kFeatureCountAt = 56;
constexpr std::size_t kReservedAt = 58;
constexpr std::size_t kHashAt = 120;

constexpr std::size_t kFeatureNameAt = 4;
constexpr std::size_t kFeatureNameSize = 60;

std::uint64_t header_hash(ByteView bytes) {
  Xxh3Stream stream;
  stream.update(bytes.first(kHashAt));
  stream.update(bytes.subspan(kFileHeaderFixedSize));
  return stream.digest_64();
}

Error corrupt(std::string message, std::size_t offset) {
  return Error(ErrorKind::kCorrupt, std::move(message)).at_offset(offset);
}

bool starts_with(ByteView bytes, std::initializer_list<unsigned> pattern) {
  return bytes.size() >= pattern.size() &&
         std::equal(pattern.begin(), pattern.end(), bytes.begin(),
                    [](unsigned wanted, std::byte is) { return std::byte(wanted) == is; });
}

// The magic is made to be changed by the usual ways to mistreat a binary file.
Error wrong_magic(ByteView first) {
  if (starts_with(first, {0x8F, 'V', 'M', 'S', 0x0A}) ||
      starts_with(first, {0x8F, 'V', 'M', 'S', 0x0D, 0x0D}) ||
      starts_with(first, {0x8F, 'V', 'M', 'S', 0x0D, 0x0A, 0x1A, 0x0D})) {
    return corrupt("line ends were converted on the way here; copy the snapshot again in binary mode", 0);
  }
  if (starts_with(first, {0x0F, 'V', 'M', 'S'}) || starts_with(first, {0xC2, 0x8F, 'V', 'M', 'S'}) ||
      starts_with(first, {0xEF, 0xBF, 0xBD, 'V', 'M', 'S'})) {
    return corrupt("the file was treated as text on the way here; copy the snapshot again in binary mode", 0);
  }
  return corrupt("this is not a vmsnap snapshot, or its first bytes are damaged", 0);
}

Result<Feature> decode_feature(ByteView record, std::size_t offset) {
  const auto kind = load_le<std::uint8_t>(record, 0);
  const auto bit = load_le<std::uint8_t>(record, 1);
  if (kind > 1 || bit > 63 || load_le<std::uint16_t>(record, 2) != 0) {
    return corrupt("the feature record is malformed", offset);
  }
  const ByteView field = record.subspan(kFeatureNameAt, kFeatureNameSize);
  const auto end = std::find(field.begin(), field.end(), std::byte{0});
  Feature feature{static_cast<FeatureKind>(kind), bit,
                  std::string(reinterpret_cast<const char*>(field.data()),
                              static_cast<std::size_t>(end - field.begin()))};
  if (!is_feature_name(feature.name) ||
      !std::all_of(end, field.end(), [](std::byte b) { return b == std::byte{0}; })) {
    return corrupt("the name of the feature is malformed", offset + kFeatureNameAt);
  }
  return feature;
}

Result<std::vector<Feature>> decode_features(ByteView bytes) {
  std::vector<Feature> features;
  std::uint64_t masks[2] = {0, 0};
  for (std::size_t at = kFileHeaderFixedSize; at < bytes.size(); at += kFeatureRecordSize) {
    VMSNAP_ASSIGN_OR_RETURN(Feature feature, decode_feature(bytes.subspan(at, kFeatureRecordSize), at));
    if (!features.empty() &&
        std::pair(features.back().kind, features.back().bit) >= std::pair(feature.kind, feature.bit)) {
      return corrupt("the feature records are not in order of kind and bit", at);
    }
    masks[static_cast<std::size_t>(feature.kind)] |= std::uint64_t{1} << feature.bit;
    features.push_back(std::move(feature));
  }
  if (masks[0] != load_le<std::uint64_t>(bytes, kIncompatibleAt)) {
    return corrupt("the incompatible feature mask and the feature records differ", kIncompatibleAt);
  }
  if (masks[1] != load_le<std::uint64_t>(bytes, kCompatibleAt)) {
    return corrupt("the compatible feature mask and the feature records differ", kCompatibleAt);
  }
  return features;
}

Result<void> check_supported(const FileHeader& header) {
  for (const Feature& feature : header.features) {
    if (feature.kind != FeatureKind::kIncompatible) continue;
    const RegisteredFeature* known = find_registered_feature(feature.kind, feature.bit);
    if (known != nullptr && known->supported) continue;
    return Error(
        ErrorKind::kUnsupported,
        fmt::format("the snapshot uses the feature \"{}\" (incompatible bit {}), which this build does "
                    "not support; use a newer version",
                    feature.name, feature.bit));
  }
  if (header.digest_algorithm != kDigestXxh3) {
    return Error(
               ErrorKind::kUnsupported,
               fmt::format("the snapshot uses digest algorithm {}, which this build does not support; use a "
                           "newer version",
                           header.digest_algorithm))
        .at_offset(kDigestAlgorithmAt);
  }
  if (header.page_shift != kPageShift) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format("the snapshot uses pages of 2^{} bytes; this build supports 4096 only",
                             header.page_shift))
        .at_offset(kPageShiftAt);
  }
  return {};
}

}  // namespace

bool FileHeader::has_incompatible(std::uint8_t bit) const {
  return std::any_of(features.begin(), features.end(), [&](const Feature& feature) {
    return feature.kind == FeatureKind::kIncompatible && feature.bit == bit;
  });
}

std::uint64_t FileHeader::hash_seed() const {
  return load_le<std::uint64_t>(uuid.bytes, 0) ^ load_le<std::uint64_t>(uuid.bytes, 8);
}

ByteVector encode(const FileHeader& header) {
  ByteVector bytes(header.encoded_size());
  std::transform(kFileMagic.begin(), kFileMagic.end(), bytes.begin(),
                 [](std::uint8_t b) { return std::byte{b}; });
  store_le(MutableByteView(bytes), kMajorAt, header.major);
  store_le(MutableByteView(bytes), kMinorAt, header.minor);
  store_le(MutableByteView(bytes), kHeaderSizeAt, static_cast<std::uint32_t>(bytes.size()));
  std::copy(header.uuid.bytes.begin(), header.uuid.bytes.end(), bytes.begin() + kUuidAt);
  store_le(MutableByteView(bytes), kPageShiftAt, header.page_shift);
  store_le(MutableByteView(bytes), kBodyAlignShiftAt, header.body_align_shift);
  store_le(MutableByteView(bytes), kDigestAlgorithmAt, header.digest_algorithm);
  store_le(MutableByteView(bytes), kArchAt, header.arch);
  store_le(MutableByteView(bytes), kFeatureCountAt, static_cast<std::uint16_t>(header.features.size()));
  std::uint64_t masks[2] = {0, 0};
  std::size_t at = kFileHeaderFixedSize;
  for (const Feature& feature : header.features) {
    masks[static_cast<std::size_t>(feature.kind)] |= std::uint64_t{1} << feature.bit;
    store_le(MutableByteView(bytes), at, static_cast<std::uint8_t>(feature.kind));
    store_le(MutableByteView(bytes), at + 1, feature.bit);
    const ByteView name = as_byte_view(feature.name);
    std::copy_n(name.begin(), std::min(name.size(), kFeatureNameSize - 1),
                bytes.begin() + at + kFeatureNameAt);
    at += kFeatureRecordSize;
  }
  store_le(MutableByteView(bytes), kIncompatibleAt, masks[0]);
  store_le(MutableByteView(bytes), kCompatibleAt, masks[1]);
  store_le(MutableByteView(bytes), kHashAt, header_hash(bytes));
  return bytes;
}

Result<std::uint32_t> file_header_size(ByteView first) {
  const std::size_t magic_size = std::min(first.size(), kFileMagic.size());
  if (!std::equal(kFileMagic.begin(), kFileMagic.begin() + magic_size, first.begin(),
                  [](std::uint8_t wanted, std::byte is) { return std::byte{wanted} == is; })) {
    return wrong_magic(first);
  }
  if (first.size() < kFileHeaderFixedSize) {
    return Error(ErrorKind::kTruncated,
                 fmt::format("the file ends after {} bytes, inside its header; the copy is incomplete",
                             first.size()))
        .at_offset(first.size());
  }
  const auto size = load_le<std::uint32_t>(first, kHeaderSizeAt);
  if (size % kFeatureRecordSize != 0 || size < kFileHeaderFixedSize || size > kMaxFileHeaderSize) {
    return corrupt(fmt::format("the header cannot have {} bytes; the file is damaged", size), kHeaderSizeAt);
  }
  return size;
}

bool is_cut_header(ByteView first) {
  return load_le<std::uint32_t>(first, kHeaderSizeAt) ==
         kFileHeaderFixedSize + kFeatureRecordSize * load_le<std::uint16_t>(first, kFeatureCountAt);
}

Result<FileHeader> decode_file_header(ByteView bytes) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t size,
                          file_header_size(bytes.first(std::min(bytes.size(), kFileHeaderFixedSize))));
  if (size != bytes.size()) {
    return corrupt("the size of the header is not the one it states; the file is damaged", kHeaderSizeAt);
  }
  if (load_le<std::uint64_t>(bytes, kHashAt) != header_hash(bytes)) {
    return corrupt("the hash of the file header is wrong; the file is damaged", kHashAt);
  }
  FileHeader header;
  header.major = load_le<std::uint16_t>(bytes, kMajorAt);
  header.minor = load_le<std::uint16_t>(bytes, kMinorAt);
  if (header.major != kFormatMajor) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format(
                     "the snapshot has format version {}.{}, this build reads version {}; use a matching "
                     "version",
                     header.major, header.minor, kFormatMajor))
        .at_offset(kMajorAt);
  }
  std::copy_n(bytes.begin() + kUuidAt, header.uuid.bytes.size(), header.uuid.bytes.begin());
  header.page_shift = load_le<std::uint8_t>(bytes, kPageShiftAt);
  header.body_align_shift = load_le<std::uint8_t>(bytes, kBodyAlignShiftAt);
  header.digest_algorithm = load_le<std::uint8_t>(bytes, kDigestAlgorithmAt);
  header.arch = load_le<std::uint32_t>(bytes, kArchAt);
  const auto feature_count = load_le<std::uint16_t>(bytes, kFeatureCountAt);
  if (size != kFileHeaderFixedSize + kFeatureRecordSize * feature_count) {
    return corrupt("the size of the header does not fit its number of features", kFeatureCountAt);
  }
  VMSNAP_ASSIGN_OR_RETURN(header.features, decode_features(bytes));
  // A feature that this build does not know may give the bytes below a meaning: it is named first.
  VMSNAP_RETURN_IF_ERROR(check_supported(header));
  if (load_le<std::uint8_t>(bytes, kZeroByteAt) != 0 ||
      !is_all_zero(bytes.subspan(kReservedAt, kHashAt - kReservedAt))) {
    return corrupt("reserved bytes of the file header are not zero", kReservedAt);
  }
  if (header.body_align_shift < kMinBodyAlignShift || header.body_align_shift > kMaxBodyAlignShift) {
    return corrupt(fmt::format("the body alignment 2^{} is outside 2^12..2^30", header.body_align_shift),
                   kBodyAlignShiftAt);
  }
  return header;
}

}  // namespace vmsnap
