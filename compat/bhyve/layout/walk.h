// SPDX-License-Identifier: BSD-2-Clause
// The walk along a layout that decoding and encoding have in common: which fields a chunk has, in which
// order, under which paths.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bhyve/layout/layout.h"

namespace vmsnap::compat::bhyve {

/// A chunk that would have more fields is refused. The vmcx chunk of 1024 vCPUs, the most that any kernel has
/// been built for, has half as many.
inline constexpr std::size_t kMaxFields = std::size_t{1} << 18;

/// Remark of the fields in the record of a vCPU that the machine does not have.
inline constexpr std::string_view kNoSuchVcpu = "the machine has no such vCPU";

/// One value or one array of values in a chunk.
struct Field {
  std::string path;
  const Item* item = nullptr;  // never null; gives the type
  std::uint64_t offset = 0;    // in the chunk
  std::uint64_t size = 0;      // bytes
  /// The item's, but kMeaningless in the record of a vCPU that the machine does not have, and kNone for a
  /// host pointer that is 0.
  Mark mark = Mark::kNone;
  std::string_view remark = {};

  /// Values in the array; 1 for what is no array.
  [[nodiscard]] std::uint64_t count() const { return size / size_of(item->type); }
};

/// The value at `index` of an array of a type other than kRecord; the caller has checked that `bytes` reaches
/// that far.
[[nodiscard]] Number load_number(Type type, ByteView bytes, std::size_t index = 0);

/// Where the bytes of the fields come from.
class FieldSource {
 public:
  /// Makes the bytes of the field part of bytes().
  virtual Result<void> take(const Field& field) = 0;
  /// Bytes of a list of numbers that ends with -1, that number included. The size of `field` is not known
  /// yet.
  virtual Result<std::uint64_t> list_size(const Field& field) = 0;
  /// At least all fields taken so far.
  [[nodiscard]] virtual ByteView bytes() const = 0;
  /// What is left of the chunk from `offset` on; nothing when the chunk has no end yet.
  [[nodiscard]] virtual std::optional<ByteView> rest(std::uint64_t offset) const = 0;

 protected:
  ~FieldSource() = default;
};

struct Walked {
  std::vector<Field> fields;
  Context context;  // with the counts that were found on the way
  std::uint64_t size = 0;
};

/// Every field of the chunk in order. Errors have chunk, offset and field: those of the source; Corrupt or
/// InvalidState for a count that cannot be, LimitExceeded beyond kMaxFields.
[[nodiscard]] Result<Walked> walk(const Layout& layout, const Context& context, FieldSource& source);

/// N of a field in a record "vcpu[N]"; nothing for other fields.
[[nodiscard]] std::optional<std::uint64_t> vcpu_of(std::string_view path);

}  // namespace vmsnap::compat::bhyve
