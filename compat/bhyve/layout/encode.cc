// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/encode.h"

#include <fmt/format.h>

namespace vmsnap::compat::bhyve {
namespace {

bool fits(std::uint64_t value, Type type) {
  const std::size_t bits = 8 * size_of(type) - (is_signed(type) ? 1 : 0);
  if (type == Type::kBool) return value <= 1;
  return bits >= 64 || value >> bits == 0;
}

bool fits(std::int64_t value, Type type) {
  if (value >= 0) return fits(static_cast<std::uint64_t>(value), type);
  return is_signed(type) && value >= -(std::int64_t{1} << (8 * size_of(type) - 2)) * 2;
}

Error invalid(std::string sentence) {
  return Error(ErrorKind::kInvalidState, std::move(sentence));
}

class ChunkWriter final : public FieldSource {
 public:
  explicit ChunkWriter(const FieldLookup& lookup) : lookup_(lookup) {}

  Result<void> take(const Field& field) override {
    if (field.size > kMaxEncodedSize || bytes_.size() > kMaxEncodedSize - field.size) {
      return Error(
          ErrorKind::kLimitExceeded,
          fmt::format("the chunk would have more than {} bytes; no chunk of bhyve's has that many, so "
                      "its counts are damaged",
                      kMaxEncodedSize));
    }
    VMSNAP_ASSIGN_OR_RETURN(const FieldValue value, look_up(field));
    if (const auto* view = std::get_if<ByteView>(&value)) {
      if (view->size() != field.size) {
        return invalid(
            fmt::format("the field has {} bytes, but {} were given for it", field.size, view->size()));
      }
      bytes_.insert(bytes_.end(), view->begin(), view->end());
      return {};
    }
    if (const auto* number = std::get_if<std::int64_t>(&value)) return put(field, *number);
    return put(field, std::get<std::uint64_t>(value));
  }

  Result<std::uint64_t> list_size(const Field& field) override {
    VMSNAP_ASSIGN_OR_RETURN(const FieldValue value, look_up(field));
    const auto* view = std::get_if<ByteView>(&value);
    const Type type = field.item->type;
    const std::size_t each = size_of(type);
    if (view == nullptr || view->empty() || view->size() % each != 0) {
      return invalid(
          fmt::format("the field is a list of values of {} bytes each, but no such list was given", each));
    }
    for (std::size_t i = 0; i < view->size() / each; ++i) {
      const bool is_last = i == view->size() / each - 1;
      if ((load_number(type, *view, i).bits == ~std::uint64_t{0}) != is_last) {
        return invalid("the list must end with the only -1 in it");
      }
    }
    return view->size();
  }

  [[nodiscard]] ByteView bytes() const override { return bytes_; }
  [[nodiscard]] std::optional<ByteView> rest(std::uint64_t) const override { return std::nullopt; }

  [[nodiscard]] ByteVector release() { return std::move(bytes_); }

 private:
  [[nodiscard]] Result<FieldValue> look_up(const Field& field) const {
    auto value = lookup_(field);
    if (!value) return invalid("there is no value for the field");
    return *std::move(value);
  }

  template <typename T>
  Result<void> put(const Field& field, T number) {
    const Type type = field.item->type;
    if (field.size != size_of(type)) {
      return invalid(fmt::format("the field has {} bytes, but a single number was given for it", field.size));
    }
    if (!fits(number, type)) {
      return invalid(
          fmt::format("{} does not fit into the field, whose type is {}", number, to_string(type)));
    }
    for (std::size_t i = 0; i < size_of(type); ++i) {
      bytes_.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(number) >> 8 * i));
    }
    return {};
  }

  const FieldLookup& lookup_;
  ByteVector bytes_;
};

}  // namespace

Result<ByteVector> encode(const Layout& layout, const Context& context, const FieldLookup& lookup) {
  ChunkWriter writer(lookup);
  VMSNAP_RETURN_IF_ERROR(walk(layout, context, writer));
  return writer.release();
}

}  // namespace vmsnap::compat::bhyve
