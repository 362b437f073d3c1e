// SPDX-License-Identifier: BSD-2-Clause
// What the conversion of one legacy chunk consists of. The rules, field by field, are in
// schema/bhyve_private/bhyve_private.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "bhyve/convert/machine.h"
#include "bhyve/layout/decode.h"
#include "bhyve/layout/layout.h"
#include "bhyve/vocabulary.h"

namespace vmsnap::compat::bhyve {

/// A chunk that was read.
struct SourceChunk {
  const Decoded& decoded;
  Vendor vendor;
  std::string device_path;  // "pci0/00:03.0" of a PCI function, else empty

  /// Of a field that the layout always has. Errors: Internal.
  [[nodiscard]] Result<std::uint64_t> number(std::string_view path, std::size_t index = 0) const;
  [[nodiscard]] Result<ByteView> bytes(std::string_view path) const;
};

/// How a writer came by a value.
enum class Origin : std::uint8_t {
  kMapped,   // a field of hardware holds it
  kDerived,  // it follows from other fields
};

/// The values of a chunk that is to be written, by path.
class Values {
 public:
  struct Value {
    std::variant<std::uint64_t, ByteVector> content;
    Origin origin;
    /// It goes before what bhyve_private keeps, in a set of other shapes than the one that was read: what is
    /// kept makes sense beside other parts of that set only.
    bool is_preferred = false;
    std::string loss = {};  // a sentence: what is lost if that was something else; empty: nothing
  };
  void map(std::string path, std::uint64_t value) { put(std::move(path), value, Origin::kMapped); }
  void map(std::string path, ByteVector bytes) { put(std::move(path), std::move(bytes), Origin::kMapped); }
  void derive(std::string path, std::uint64_t value) { put(std::move(path), value, Origin::kDerived); }
  void derive(std::string path, ByteVector bytes) {
    put(std::move(path), std::move(bytes), Origin::kDerived);
  }

  void put(std::string path, std::variant<std::uint64_t, ByteVector> content, Origin origin) {
    values_.insert_or_assign(std::move(path), Value{std::move(content), origin});
  }
  /// See Value; of a value that was given.
  void prefer(std::string_view path, std::string loss = {});
  /// Only bhyve_private can know what belongs at `path`. If it does not, the guest loses what `loss` says.
  void leave_out(std::string path, std::string loss) {
    left_out_.insert_or_assign(std::move(path), std::move(loss));
  }
  /// Hardware has something for which the chunk has no place.
  void lose(std::string loss) { lost_.push_back(std::move(loss)); }

  /// nullptr when nobody has given it.
  [[nodiscard]] const Value* find(std::string_view path) const;
  /// See leave_out(); nullptr when nothing was said.
  [[nodiscard]] const std::string* find_left_out(std::string_view path) const;
  /// See lose().
  [[nodiscard]] const std::vector<std::string>& lost() const { return lost_; }

 private:
  std::map<std::string, Value, std::less<>> values_;
  std::map<std::string, std::string, std::less<>> left_out_;  // by path
  std::vector<std::string> lost_;
};

/// A chunk that is to be written. A mapping gives the values that hardware knows, under the paths of
/// `layout`, and the counts in `context` that only it knows; paths that the layout does not have are ignored,
/// and what it leaves out comes from bhyve_private.
struct TargetChunk {
  const Layout& layout;
  Context& context;
  Vendor vendor;
  std::string device_path;                     // as above
  std::optional<std::uint64_t> original_size;  // bytes of the chunk of the same layout that was once read
  Values values;
};

/// Both directions for the chunk of one name. `up` fills devices and says what is not in the file; it need
/// not care for values that hardware cannot hold: whatever `down` does not give back as it was is kept in
/// bhyve_private. `down` gives values from devices alone. Both look at shapes only where meanings differ.
struct Mapping {
  std::string_view chunk;  // as in layouts_of(): "vhpet", "virtio-blk"
  Result<void> (*up)(const SourceChunk& chunk, Machine& machine);
  Result<void> (*down)(const Machine& machine, TargetChunk& chunk);
};

/// All of them, in the order in which they must be read.
[[nodiscard]] std::span<const Mapping* const> all_mappings();
/// nullptr when nobody knows such a chunk.
[[nodiscard]] const Mapping* find_mapping(std::string_view chunk);

/// A number of the legacy chunk and the field of hardware that holds it.
struct Row {
  std::string_view item;   // path below the record that is mapped
  std::string_view field;  // path below the table that is mapped
  /// Identity when absent.
  std::uint64_t (*to_field)(std::uint64_t) = nullptr;
  std::uint64_t (*to_item)(std::uint64_t) = nullptr;
};

/// Carries each row's number, array of numbers or bytes over: `item_prefix` ("vcpu[1].") and `field_prefix`
/// ("timers[3].") stand before its paths. Going up, an item that the layout does not have leaves its field as
/// it is, and a number that is wider than its field is cut. Going down, a field that is null or absent gives
/// no value. Errors: Internal.
[[nodiscard]] Result<void> carry_up(std::span<const Row> rows, const SourceChunk& chunk,
                                    std::string_view item_prefix, StateTree& state,
                                    std::string_view field_prefix);
[[nodiscard]] Result<void> carry_down(std::span<const Row> rows, const StateTree& state,
                                      std::string_view field_prefix, Values& values,
                                      std::string_view item_prefix, Origin origin = Origin::kMapped);

}  // namespace vmsnap::compat::bhyve
