// SPDX-License-Identifier: BSD-2-Clause
// Reads data of any type whose schema is at hand. The data is hostile: every offset is checked before it is
// followed, and the work is bounded, however often parts of the data are shared.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "reflect/limits.h"
#include "reflect/schema_model.h"

namespace vmsnap::reflect {

/// How a field stands in a table. The fields of a struct are always kStored.
enum class Presence : std::uint8_t {
  kStored,   // the data holds a value
  kDefault,  // it does not; the schema's default is the value
  kNull,     // it does not, and absence is the value (optional scalars and everything that is no scalar)
};

/// A vector or array of numbers. Borrowed from the data.
struct ScalarRun {
  ScalarType type = ScalarType::kU8;
  std::uint32_t count = 0;
  ByteView bytes;

  [[nodiscard]] Scalar at(std::uint32_t index) const {
    return load_scalar(type, bytes, std::size_t{index} * size_of(type));
  }
};

/// Receives the events of a walk, fields in order of id:
///   value  := scalar | string | scalars | null | unknown_member | object | list
///   object := begin_object { field value } end_object
///   list   := begin_list { value } end_list
/// References are valid for the call; to the model, as long as it lives. The `field` of a value is the one
/// that declares it; the elements of a list share the list's.
class Visitor {
 public:
  virtual ~Visitor() = default;

  virtual void begin_object(const Object& object);
  /// `unknown_fields`: fields that are stored but not in the schema; a newer minor version wrote the data.
  virtual void end_object(const Object& object, std::uint32_t unknown_fields);
  /// The next value belongs to this field of the innermost object.
  virtual void field(const Field& field, Presence presence);
  virtual void scalar(const Field& field, Scalar value);
  /// Any bytes, without the terminator: possibly not UTF-8, possibly with NUL inside.
  virtual void string(const Field& field, std::string_view text);
  virtual void scalars(const Field& field, const ScalarRun& run);
  virtual void begin_list(const Field& field, std::uint32_t count);
  virtual void end_list(const Field& field);
  virtual void null(const Field& field);
  /// A union holds a member that the schema does not know; a newer minor version wrote the data.
  virtual void unknown_member(const Field& field, std::uint8_t discriminator);

  /// Asked after each event; true ends the walk early.
  [[nodiscard]] virtual bool done() const { return false; }
};

/// Something that is no damage but that a person should hear of.
struct Remark {
  std::string path;      // "pci.bars[1].kind"
  std::string sentence;  // printable ASCII
};

struct WalkReport {
  std::uint64_t nodes = 0;
  std::uint64_t unknown_fields = 0;  // of all objects together
  std::uint64_t remark_count = 0;
  std::vector<Remark> remarks;  // the first 100: bool not 0 or 1, unknown enum value, text not UTF-8, ...
  bool stopped = false;         // Visitor::done() ended the walk
};

/// A value somewhere in the data, as find() returns it. Valid with the same model and data only.
struct Place {
  const Field* field = nullptr;  // the field that declares it; nullptr for the root
  Type type;                     // of the value itself: of an element when the path ends in [n]
  Presence presence = Presence::kStored;
  std::uint32_t at = 0;            // position of the value, or of the offset that leads to it
  std::uint8_t discriminator = 0;  // of a union
};

/// Walks all of `data`. Errors: LimitExceeded (size, depth, nodes), Corrupt (an offset or a length that does
/// not fit, wrong file identifier, a required field is missing); the error names the field.
[[nodiscard]] Result<WalkReport> walk(const SchemaModel& model, ByteView data, Visitor& visitor,
                                      const Limits& limits = {});

/// Walks the value at `place` and what it holds. Errors as above.
[[nodiscard]] Result<WalkReport> walk(const SchemaModel& model, ByteView data, const Place& place,
                                      Visitor& visitor, const Limits& limits = {});

/// Finds the value at `path`: names joined by dots, elements as [n], e.g. "pci.msix.table[2].address"; the
/// empty path is the root. A union is passed through to the member it holds.
/// Errors: Usage (no such field or element; the sentence lists those that exist), Corrupt, LimitExceeded.
[[nodiscard]] Result<Place> find(const SchemaModel& model, ByteView data, std::string_view path,
                                 const Limits& limits = {});

}  // namespace vmsnap::reflect
