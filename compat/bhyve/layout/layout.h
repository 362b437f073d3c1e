// SPDX-License-Identifier: BSD-2-Clause
// The language in which the chunks of bhyve's snapshots are described. A layout is an ordered list of items
// that lie back to back without padding, little-endian; it is data, so that reading, writing and
// documentation come from the same table. Everything here is constexpr: tables exist before main and are
// never changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "bhyve/vocabulary.h"

namespace vmsnap::compat::bhyve {

enum class Type : std::uint8_t {
  kU8,
  kU16,
  kU32,
  kU64,
  kI8,
  kI16,
  kI32,
  kI64,
  kBool,         // 1 byte
  kGaddr,        // guest-physical address; all ones is not allowed
  kGaddrOrNull,  // guest-physical address; all ones is NULL
  kHostPointer,  // address in a process that is gone: only whether it is 0 means something
  kByte,         // of an opaque byte string
  kRecord,       // further items
};

/// Bytes of one value; 0 for kRecord.
[[nodiscard]] std::size_t size_of(Type type);
[[nodiscard]] std::string_view to_string(Type type);
[[nodiscard]] bool is_signed(Type type);

/// What of an item matters to whom; the item's remark says why.
enum class Mark : std::uint8_t {
  kNone,
  kCompared,     // bhyve does not load it: it refuses a snapshot whose value is not the one it would have
                 // written
  kMeaningless,  // says nothing to anyone but the process that wrote it
};

/// The layouts of device chunks changed in places that are independent of each other. Shape A is that of the
/// generations A and A2, shape B that of everything later.
enum class Shape : std::uint8_t { kA, kB };
enum class Axis : std::uint8_t {
  kPciPrefix,  // A: 6 BARs and msix.pba_page_offset; B: 7 BARs
  kRings,      // A: rings are always there; B: only where the queue is allocated
  kNetTail,    // A: 40 bytes; B: 41, with features_negotiated
  kAhci,       // A: with the lists of requests; B: without
  kXhci,       // A: with ndevices at the end; B: without
};
[[nodiscard]] std::string_view to_string(Axis axis);
[[nodiscard]] std::string_view to_string(Shape shape);

/// The counts of a Context.
enum class ContextValue : std::uint8_t {
  kVcpus,
  kUarts,        // if absent: as many as fit into the rest of the chunk
  kCpusetLongs,  // if absent: as many as fit into the rest of the chunk
  kUsbDevices,   // if absent: as many as look like one
};

/// What a chunk does not say about itself. A count that is absent is found while decoding (see ContextValue);
/// encoding needs every count that the layout asks for.
struct Context {
  std::optional<std::uint64_t> vcpus;         // of the machine; never found while decoding
  std::optional<std::uint64_t> uarts;         // of the LPC bridge
  std::optional<std::uint64_t> cpuset_longs;  // width of a set of vCPUs in 64-bit words
  std::optional<std::uint64_t> usb_devices;   // attached to the xHCI controller
  Shape pci_prefix = Shape::kB;
  Shape rings = Shape::kB;
  Shape net_tail = Shape::kB;
  Shape ahci = Shape::kB;
  Shape xhci = Shape::kB;
  /// Where the chunk begins in its file. Only for errors, whose offsets are those of the file.
  std::uint64_t file_offset = 0;

  [[nodiscard]] std::optional<std::uint64_t> count(ContextValue value) const;
  void set_count(ContextValue value, std::uint64_t count);
  [[nodiscard]] Shape shape(Axis axis) const;
  /// Every axis in the same shape.
  void set_shapes(Shape shape);
};

/// A number in the chunk, extended to 64 bits.
struct Number {
  std::uint64_t bits = 0;
  bool is_negative = false;
};

/// The part of a chunk that is known when a count or a condition is asked for: all that lies before it.
class Scope {
 public:
  /// Of the nearest field of that name: `name` is a path relative to the record that holds the item, else to
  /// a record around it, else to the chunk. Nothing when there is no such field.
  [[nodiscard]] virtual std::optional<Number> number(std::string_view name) const = 0;
  /// Borrowed until the walk goes on. Nothing when there is no such field.
  [[nodiscard]] virtual std::optional<ByteView> bytes(std::string_view name) const = 0;
  [[nodiscard]] virtual const Context& context() const = 0;

 protected:
  ~Scope() = default;
};

/// How often an item is repeated. A repeated scalar is one field (an array), a repeated record many.
struct Count {
  enum class Source : std::uint8_t {
    kFixed,
    kField,         // as an earlier field says
    kContext,       // as the context says
    kFunction,      // as `function` says
    kUntilMinusOne  // up to and with the first value of -1; of a record, the value of its first field
  };
  using Function = Result<std::uint64_t> (*)(const Scope&);

  Source source = Source::kFixed;
  std::uint64_t fixed = 1;
  std::string_view words = {};  // kField: which; kFunction: how documentation calls it
  ContextValue context = ContextValue::kVcpus;
  Function function = nullptr;
};

/// Whether an item is there at all.
struct Condition {
  enum class Kind : std::uint8_t {
    kAlways,
    kShape,    // the context has `axis` in `shape`
    kMask,     // an earlier field has a bit of `mask`
    kNotNull,  // an earlier field is not all ones
    kFunction  // as `function` says
  };
  using Function = Result<bool> (*)(const Scope&);

  Kind kind = Kind::kAlways;
  Axis axis = Axis::kPciPrefix;
  Shape shape = Shape::kA;
  std::string_view words = {};  // kMask, kNotNull: the field; kFunction: how documentation calls it
  std::uint64_t mask = 0;
  Function function = nullptr;
};

/// A field, an array of one type, or a record. A record without a name is a group: its items have the paths
/// they would have without it.
struct Item {
  std::string_view name = {};
  Type type = Type::kByte;
  const Item* items = nullptr;  // of a kRecord
  std::size_t item_count = 0;
  Count count = {};
  bool is_indexed = false;        // paths of the record are name[i]
  std::uint64_t first_index = 0;  // of an indexed record
  bool is_per_vcpu = false;       // records that the machine has no vCPU for are meaningless
  Condition condition = {};
  Mark mark = Mark::kNone;
  std::string_view remark = {};

  [[nodiscard]] constexpr std::span<const Item> nested() const { return {items, item_count}; }

  // How tables say it. Each returns a changed copy.
  [[nodiscard]] constexpr Item times(std::uint64_t n) const { return counted({.fixed = n}); }
  [[nodiscard]] constexpr Item times_field(std::string_view field) const {
    return counted({.source = Count::Source::kField, .words = field});
  }
  [[nodiscard]] constexpr Item times(ContextValue value) const {
    return counted({.source = Count::Source::kContext, .words = {}, .context = value});
  }
  [[nodiscard]] constexpr Item times(Count::Function function, std::string_view words) const {
    return counted({.source = Count::Source::kFunction, .words = words, .function = function});
  }
  [[nodiscard]] constexpr Item until_minus_one() const {
    return counted({.source = Count::Source::kUntilMinusOne});
  }
  [[nodiscard]] constexpr Item from_index(std::uint64_t index) const {
    Item item = *this;
    item.first_index = index;
    return item;
  }
  [[nodiscard]] constexpr Item per_vcpu() const {
    Item item = *this;
    item.is_per_vcpu = true;
    return item;
  }
  [[nodiscard]] constexpr Item in_shape(Axis axis, Shape shape) const {
    return conditional({.kind = Condition::Kind::kShape, .axis = axis, .shape = shape});
  }
  [[nodiscard]] constexpr Item if_bits(std::string_view field, std::uint64_t mask) const {
    return conditional({.kind = Condition::Kind::kMask, .words = field, .mask = mask});
  }
  [[nodiscard]] constexpr Item if_not_zero(std::string_view field) const { return if_bits(field, ~0ull); }
  [[nodiscard]] constexpr Item if_not_null(std::string_view field) const {
    return conditional({.kind = Condition::Kind::kNotNull, .words = field});
  }
  [[nodiscard]] constexpr Item when(Condition::Function function, std::string_view words) const {
    return conditional({.kind = Condition::Kind::kFunction, .words = words, .function = function});
  }
  [[nodiscard]] constexpr Item note(std::string_view text) const {
    Item item = *this;
    item.remark = text;
    return item;
  }
  [[nodiscard]] constexpr Item compared(std::string_view text = {}) const {
    Item item = note(text);
    item.mark = Mark::kCompared;
    return item;
  }
  [[nodiscard]] constexpr Item meaningless(std::string_view reason) const {
    Item item = note(reason);
    item.mark = Mark::kMeaningless;
    return item;
  }

 private:
  [[nodiscard]] constexpr Item counted(Count how_often) const {
    Item item = *this;
    item.count = how_often;
    item.is_indexed = type == Type::kRecord;
    return item;
  }
  [[nodiscard]] constexpr Item conditional(Condition on) const {
    Item item = *this;
    item.condition = on;
    return item;
  }
};

/// One chunk in one shape.
struct Layout {
  std::string_view chunk = {};        // name of the kernel structure or the device emulation
  std::string_view shape = {};        // unique among the layouts of the chunk
  std::string_view generations = {};  // that write this shape
  std::optional<Vendor> vendor = {};  // when only one vendor's hosts write it
  const Item* first = nullptr;
  std::size_t item_count = 0;
  std::string_view remark = {};

  [[nodiscard]] constexpr std::span<const Item> items() const { return {first, item_count}; }
};

/// True when the generation ("C0") is one of those that write the layout, or all do.
[[nodiscard]] bool is_written_by(const Layout& layout, std::string_view generation);

/// True when one of the items, or of those in them, has that name.
[[nodiscard]] bool has_item(std::span<const Item> items, std::string_view name);

/// Bytes that the items take in every chunk: what is conditional, or whose count the table does not fix, is
/// taken to be absent.
[[nodiscard]] std::uint64_t minimum_size(std::span<const Item> items);

/// Bytes of a chunk of the layout, when they follow from the context alone; nothing when they depend on what
/// the chunk holds, when the context lacks a count, or when they are more than 2^64.
[[nodiscard]] std::optional<std::uint64_t> size_in(const Layout& layout, const Context& context);

}  // namespace vmsnap::compat::bhyve
