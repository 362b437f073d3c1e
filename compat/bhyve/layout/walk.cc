// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/walk.h"

#include <fmt/format.h>

#include <charconv>

#include "base/checked.h"
#include "bhyve/layout/usb_devices.h"

namespace vmsnap::compat::bhyve {

Number load_number(Type type, ByteView bytes, std::size_t index) {
  const std::size_t at = index * size_of(type);
  switch (size_of(type)) {
    case 1: {
      const auto value = load_le<std::uint8_t>(bytes, at);
      if (!is_signed(type)) return {value, false};
      return {static_cast<std::uint64_t>(static_cast<std::int8_t>(value)), (value & 0x80u) != 0};
    }
    case 2: {
      const auto value = load_le<std::uint16_t>(bytes, at);
      if (!is_signed(type)) return {value, false};
      return {static_cast<std::uint64_t>(static_cast<std::int16_t>(value)), (value & 0x8000u) != 0};
    }
    case 4: {
      const auto value = load_le<std::uint32_t>(bytes, at);
      if (!is_signed(type)) return {value, false};
      return {static_cast<std::uint64_t>(static_cast<std::int32_t>(value)), value >> 31 != 0};
    }
    default: {
      const auto value = load_le<std::uint64_t>(bytes, at);
      return {value, is_signed(type) && value >> 63 != 0};
    }
  }
}

namespace {

std::string_view words_for(ContextValue value) {
  switch (value) {
    case ContextValue::kVcpus:
      return "vCPUs";
    case ContextValue::kUarts:
      return "UARTs";
    case ContextValue::kCpusetLongs:
      return "64-bit words in a set of vCPUs";
    case ContextValue::kUsbDevices:
      break;
  }
  return "attached USB devices";
}

class Walker final : public Scope {
 public:
  Walker(const Layout& layout, const Context& context, FieldSource& source)
      : layout_(layout), source_(source), walked_{{}, context, 0}, levels_{{0, 0}} {}

  Result<Walked> run() {
    VMSNAP_RETURN_IF_ERROR(walk_items(layout_.items(), true));
    return std::move(walked_);
  }

  [[nodiscard]] std::optional<Number> number(std::string_view name) const override {
    const Field* field = find(name);
    if (field == nullptr || field->count() != 1) return std::nullopt;
    return load_number(field->item->type, bytes_of(*field));
  }

  [[nodiscard]] std::optional<ByteView> bytes(std::string_view name) const override {
    const Field* field = find(name);
    if (field == nullptr) return std::nullopt;
    return bytes_of(*field);
  }

  [[nodiscard]] const Context& context() const override { return walked_.context; }

 private:
  /// A record that the walk is in: all fields from `first_field` on are in it, and have a path whose first
  /// `path_size` characters are those of the record.
  struct Level {
    std::size_t path_size;
    std::size_t first_field;
  };

  [[nodiscard]] const Field* find(std::string_view name) const {
    for (std::size_t level = levels_.size(); level-- > 0;) {
      for (std::size_t i = walked_.fields.size(); i-- > levels_[level].first_field;) {
        const Field& field = walked_.fields[i];
        if (field.path.size() == levels_[level].path_size + name.size() && field.path.ends_with(name)) {
          return &field;
        }
      }
    }
    return nullptr;
  }

  [[nodiscard]] ByteView bytes_of(const Field& field) const {
    return source_.bytes().subspan(field.offset, field.size);
  }

  [[nodiscard]] Error placed(Error error, std::string_view name) const {
    return std::move(error)
        .in_chunk(layout_.chunk)
        .at_offset(walked_.context.file_offset + walked_.size)
        .in_field(path_ + std::string(name));
  }

  [[nodiscard]] Error table_bug(const Item& item, std::string_view names) const {
    return placed(Error(ErrorKind::kInternal,
                        fmt::format("the layout names a field {} that does not come before", names)),
                  item.name);
  }

  Result<bool> is_present(const Item& item) const {
    const Condition& condition = item.condition;
    switch (condition.kind) {
      case Condition::Kind::kAlways:
        return true;
      case Condition::Kind::kShape:
        return walked_.context.shape(condition.axis) == condition.shape;
      case Condition::Kind::kMask:
      case Condition::Kind::kNotNull:
        break;
      case Condition::Kind::kFunction: {
        auto present = condition.function(*this);
        if (!present) return placed(std::move(present).error(), item.name);
        return present;
      }
    }
    const auto value = number(condition.words);
    if (!value) return table_bug(item, condition.words);
    return condition.kind == Condition::Kind::kMask ? (value->bits & condition.mask) != 0
                                                    : value->bits != ~std::uint64_t{0};
  }

  Result<std::uint64_t> count_of(const Item& item) {
    switch (item.count.source) {
      case Count::Source::kFixed:
      case Count::Source::kUntilMinusOne:
        return item.count.fixed;
      case Count::Source::kContext:
        return count_in_context(item);
      case Count::Source::kField:
        break;
      case Count::Source::kFunction: {
        auto count = item.count.function(*this);
        if (!count) return placed(std::move(count).error(), item.name);
        return count;
      }
    }
    const Field* field = find(item.count.words);
    const auto value = number(item.count.words);
    if (!value) return table_bug(item, item.count.words);
    if (value->is_negative) {
      return Error(ErrorKind::kCorrupt,
                   fmt::format("the count is {}, which is negative; the chunk is damaged "
                               "or not of the shape assumed",
                               static_cast<std::int64_t>(value->bits)))
          .in_chunk(layout_.chunk)
          .at_offset(walked_.context.file_offset + field->offset)
          .in_field(field->path);
    }
    return value->bits;
  }

  Result<std::uint64_t> count_in_context(const Item& item) {
    const ContextValue value = item.count.context;
    if (const auto count = walked_.context.count(value)) return *count;
    const auto rest = source_.rest(walked_.size);
    if (!rest || value == ContextValue::kVcpus) {
      return placed(
          Error(ErrorKind::kInvalidState,
                fmt::format("the number of {} is not in the chunk and has to be given", words_for(value))),
          item.name);
    }
    const std::uint64_t each = item.type == Type::kRecord ? minimum_size(item.nested()) : size_of(item.type);
    const std::uint64_t count =
        value == ContextValue::kUsbDevices ? count_usb_devices(*rest) : rest->size() / each;
    walked_.context.set_count(value, count);
    return count;
  }

  Result<void> walk_items(std::span<const Item> items, bool has_vcpu) {
    for (const Item& item : items) {
      VMSNAP_ASSIGN_OR_RETURN(const bool present, is_present(item));
      if (!present) continue;
      VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t count, count_of(item));
      if (item.type != Type::kRecord) {
        VMSNAP_RETURN_IF_ERROR(walk_field(item, count, has_vcpu));
      } else if (item.name.empty()) {
        VMSNAP_RETURN_IF_ERROR(walk_items(item.nested(), has_vcpu));
      } else {
        VMSNAP_RETURN_IF_ERROR(walk_records(item, count, has_vcpu));
      }
    }
    return {};
  }

  Result<void> walk_records(const Item& item, std::uint64_t count, bool has_vcpu) {
    const std::size_t path_size = path_.size();
    const bool until_minus_one = item.count.source == Count::Source::kUntilMinusOne;
    for (std::uint64_t i = 0; until_minus_one || i < count; ++i) {
      path_ += item.name;
      if (item.is_indexed) path_ += fmt::format("[{}]", item.first_index + i);
      path_ += '.';
      const std::size_t first_field = walked_.fields.size();
      levels_.push_back({path_.size(), first_field});
      const bool is_used = !item.is_per_vcpu || i < walked_.context.vcpus.value_or(~std::uint64_t{0});
      VMSNAP_RETURN_IF_ERROR(walk_items(item.nested(), has_vcpu && is_used));
      levels_.pop_back();
      path_.resize(path_size);
      if (!until_minus_one) continue;
      const Field& field = walked_.fields[first_field];
      if (load_number(field.item->type, bytes_of(field)).bits == ~std::uint64_t{0}) break;
    }
    return {};
  }

  Result<void> walk_field(const Item& item, std::uint64_t count, bool has_vcpu) {
    if (walked_.fields.size() == kMaxFields) {
      return placed(
          Error(ErrorKind::kLimitExceeded,
                fmt::format("the chunk has more than {} fields; no machine of bhyve's has that many, so "
                            "its counts are damaged",
                            kMaxFields)),
          item.name);
    }
    Field field{path_ + std::string(item.name), &item, walked_.size, 0, item.mark, item.remark};
    if (!has_vcpu) {
      field.mark = Mark::kMeaningless;
      field.remark = kNoSuchVcpu;
    }
    const auto size = checked_mul<std::uint64_t>(count, size_of(item.type));
    const auto end = size ? checked_add(walked_.size, *size) : std::nullopt;
    if (!end) {
      return placed(
          Error(ErrorKind::kCorrupt, fmt::format("the field would have {} values, which is damage", count)),
          item.name);
    }
    field.size = *size;
    if (item.count.source == Count::Source::kUntilMinusOne) {
      auto list = source_.list_size(field);
      if (!list) return placed(std::move(list).error(), item.name);
      field.size = *list;
    }
    if (auto taken = source_.take(field); !taken) return placed(std::move(taken).error(), item.name);
    if (item.type == Type::kHostPointer && has_vcpu && is_all_zero(bytes_of(field))) field.mark = Mark::kNone;
    walked_.size += field.size;
    walked_.fields.push_back(std::move(field));
    return {};
  }

  const Layout& layout_;
  FieldSource& source_;
  Walked walked_;
  std::string path_;  // of the record that the walk is in, with a trailing dot
  std::vector<Level> levels_;
};

}  // namespace

Result<Walked> walk(const Layout& layout, const Context& context, FieldSource& source) {
  return Walker(layout, context, source).run();
}

std::optional<std::uint64_t> vcpu_of(std::string_view path) {
  constexpr std::string_view kRecord = "vcpu[";
  if (!path.starts_with(kRecord)) return std::nullopt;
  path.remove_prefix(kRecord.size());
  std::uint64_t index = 0;
  const auto [after, error] = std::from_chars(path.data(), path.data() + path.size(), index);
  if (error != std::errc() || after == path.data() + path.size() || *after != ']') return std::nullopt;
  return index;
}

}  // namespace vmsnap::compat::bhyve
