// SPDX-License-Identifier: BSD-2-Clause
// One mapping at work: a chunk made from known values, the machine that it becomes, and what comes back.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <concepts>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "bhyve/convert/mapping.h"
#include "bhyve/layout/encode.h"
#include "bhyve/layout/layouts.h"

namespace vmsnap::compat::bhyve {

/// RAM from 0 on. Counts what is written.
class FakeGuestMemory final : public GuestMemory {
 public:
  explicit FakeGuestMemory(std::size_t size = 1 << 20) : bytes(size) {}

  [[nodiscard]] Result<ByteVector> read(Gpa address, std::uint64_t size) const override {
    if (size > 1 << 20) return Error(ErrorKind::kLimitExceeded, "too much memory");
    if (!holds(address, size)) return Error(ErrorKind::kCorrupt, "no memory there");
    const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(address.value());
    return ByteVector(first, first + static_cast<std::ptrdiff_t>(size));
  }
  [[nodiscard]] Result<void> write(Gpa address, ByteView from) override {
    if (!holds(address, from.size())) return Error(ErrorKind::kCorrupt, "no memory there");
    std::copy(from.begin(), from.end(), bytes.begin() + static_cast<std::ptrdiff_t>(address.value()));
    ++writes;
    return {};
  }

  ByteVector bytes;
  int writes = 0;

 private:
  [[nodiscard]] bool holds(Gpa address, std::uint64_t size) const {
    return address.value() <= bytes.size() && size <= bytes.size() - address.value();
  }
};

/// A number of any type, or bytes.
struct ItemValue : std::variant<std::uint64_t, ByteVector> {
  using Base = std::variant<std::uint64_t, ByteVector>;
  ItemValue() = default;
  template <std::integral T>
  ItemValue(T number) : Base(static_cast<std::uint64_t>(number)) {}
  ItemValue(ByteVector bytes) : Base(std::move(bytes)) {}
};

/// Values of a legacy chunk by path; what is not named is 0.
using ItemValues = std::map<std::string, ItemValue, std::less<>>;

[[nodiscard]] inline ByteVector bytes_of(const std::vector<unsigned>& numbers) {
  ByteVector bytes;
  for (const unsigned number : numbers) bytes.push_back(static_cast<std::byte>(number));
  return bytes;
}

/// `count` numbers of `size` bytes each, little-endian.
[[nodiscard]] inline ByteVector array_of(std::size_t size, const std::vector<std::uint64_t>& numbers) {
  ByteVector bytes(size * numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) std::memcpy(&bytes[i * size], &numbers[i], size);
  return bytes;
}

/// The lowest `size` bytes of a number, at most 8: what the engine takes of it.
[[nodiscard]] inline ByteVector cut(std::uint64_t number, std::size_t size) {
  ByteVector bytes(std::min(size, sizeof number));
  std::memcpy(bytes.data(), &number, bytes.size());
  return bytes;
}

[[nodiscard]] inline ByteVector encode_items(const Layout& layout, const Context& context,
                                             const ItemValues& items) {
  ByteVector bytes;
  const auto chunk = encode(layout, context, [&](const Field& field) -> std::optional<FieldValue> {
    const bool is_list = field.item->count.source == Count::Source::kUntilMinusOne;
    bytes.assign(is_list ? size_of(field.item->type) : field.size, is_list ? std::byte{0xff} : std::byte{});
    if (const auto found = items.find(field.path); found != items.end()) {
      if (const auto* number = std::get_if<std::uint64_t>(&found->second)) {
        std::memcpy(bytes.data(), number, std::min<std::size_t>(bytes.size(), sizeof *number));
      } else {
        bytes = std::get<ByteVector>(found->second);
      }
    }
    return ByteView(bytes);
  });
  EXPECT_TRUE(chunk) << chunk.error().to_string();
  return chunk ? *chunk : ByteVector();
}

/// True when the engine need not keep the item, whose bytes were `was`, beside the value.
[[nodiscard]] inline bool is_same(const Values::Value& value, const Field& field, ByteView was) {
  if (const auto* bytes = std::get_if<ByteVector>(&value.content)) {
    return std::equal(bytes->begin(), bytes->end(), was.begin(), was.end());
  }
  const ByteVector low = cut(std::get<std::uint64_t>(value.content), was.size());
  return field.count() == 1 && std::equal(low.begin(), low.end(), was.begin(), was.end());
}

/// Paths of the items that the values do not give back as they were, in the order of the chunk.
[[nodiscard]] inline std::vector<std::string> paths_to_keep(const Decoded& decoded, const Values& values) {
  std::vector<std::string> paths;
  for (const Field& field : decoded.fields()) {
    const Values::Value* value = values.find(field.path);
    if (value == nullptr || !is_same(*value, field, decoded.bytes(field))) paths.push_back(field.path);
  }
  return paths;
}

/// The value at a path of a device. `T` as in StateTree::get().
template <typename T>
[[nodiscard]] T field_of(const Machine& machine, std::string_view device, std::string_view path) {
  const StateTree* state = machine.find(device);
  if (state == nullptr) {
    ADD_FAILURE() << "no device " << device;
    return {};
  }
  const auto value = state->get<T>(path);
  EXPECT_TRUE(value) << value.error().to_string();
  return value ? *value : T{};
}

/// A chunk, its mapping, and the machine that `up` fills.
class MappingRun {
 public:
  MappingRun(std::string_view chunk, std::string_view shape, Context context, const ItemValues& items,
             Vendor vendor = Vendor::kIntel, std::string device_path = {})
      : layout_(find_layout(chunk, shape)),
        mapping_(find_mapping(chunk)),
        context_(context),
        vendor_(vendor),
        device_path_(std::move(device_path)),
        machine_(static_cast<std::uint32_t>(context.vcpus.value_or(1)), vendor, memory) {
    if (layout_ == nullptr || mapping_ == nullptr) {
      ADD_FAILURE() << "no layout or no mapping of " << chunk << " " << shape;
      std::abort();
    }
    bytes_ = encode_items(*layout_, context_, items);
  }

  /// The same with the bytes of a whole chunk.
  MappingRun(const Layout& layout, Context context, ByteVector bytes, Vendor vendor,
             std::string device_path = {})
      : layout_(&layout),
        mapping_(find_mapping(layout.chunk)),
        context_(context),
        vendor_(vendor),
        device_path_(std::move(device_path)),
        machine_(static_cast<std::uint32_t>(context.vcpus.value_or(1)), vendor, memory),
        bytes_(std::move(bytes)) {
    if (mapping_ == nullptr) {
      ADD_FAILURE() << "no mapping of " << layout.chunk;
      std::abort();
    }
  }

  [[nodiscard]] Result<void> up() {
    VMSNAP_ASSIGN_OR_RETURN(const Decoded decoded, decode(*layout_, context_, bytes_));
    return mapping_->up(SourceChunk{decoded, vendor_, device_path_}, machine_);
  }

  /// Runs `down` and says which items do not come back as they were, in the order of the chunk: those that
  /// the engine keeps in bhyve_private.
  [[nodiscard]] Result<std::vector<std::string>> kept() {
    VMSNAP_ASSIGN_OR_RETURN(const Decoded decoded, decode(*layout_, context_, bytes_));
    Context context = decoded.context();
    TargetChunk target{*layout_, context, vendor_, device_path_, bytes_.size(), {}};
    VMSNAP_RETURN_IF_ERROR(mapping_->down(machine_, target));
    values = std::move(target.values);
    return paths_to_keep(decoded, values);
  }

  /// The same for tests that expect success.
  [[nodiscard]] std::vector<std::string> kept_after_both_ways() {
    const auto done = up();
    EXPECT_TRUE(done) << done.error().to_string();
    if (!done) return {"up failed"};
    auto paths = kept();
    EXPECT_TRUE(paths) << paths.error().to_string();
    return paths ? *std::move(paths) : std::vector<std::string>{"down failed"};
  }

  /// See field_of().
  template <typename T>
  [[nodiscard]] T field(std::string_view device, std::string_view path) const {
    return field_of<T>(machine_, device, path);
  }

  [[nodiscard]] Machine& machine() { return machine_; }
  [[nodiscard]] const ByteVector& bytes() const { return bytes_; }
  [[nodiscard]] std::vector<std::string> not_in_file() const {
    std::vector<std::string> fields;
    for (const NotInFile& note : machine_.not_in_file()) fields.push_back(note.field);
    return fields;
  }

  FakeGuestMemory memory;
  Values values;  // of the last kept()

 private:
  const Layout* layout_;
  const Mapping* mapping_;
  Context context_;
  Vendor vendor_;
  std::string device_path_;
  Machine machine_;
  ByteVector bytes_;
};

}  // namespace vmsnap::compat::bhyve
