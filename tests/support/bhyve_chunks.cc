// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve_chunks.h"

#include <cstdio>
#include <cstdlib>
#include <random>

#include "bhyve/layout/usb_devices.h"

namespace vmsnap::compat::bhyve {
namespace {

class Values {
 public:
  explicit Values(std::uint64_t seed) : random_(seed) {}

  ByteVector of(const Field& field) {
    const std::string_view name = field.item->name;
    if (name == "msix.table_count") return number(field, below(4));
    if (name == "vc_nvq" || name == "br_iovcnt") return number(field, below(3));
    if (name == "vq_qsize") return number(field, 64u << below(3));
    if (name == "ioqsz") return number(field, below(5));
    if (name == "bctx" || name == "xfer" || name == "ureq") {
      return number(field, below(2) == 0 ? 0 : random_() | 1);
    }
    if (name == "dev_ctx") return number(field, below(2) == 0 ? ~std::uint64_t{0} : below(1u << 30));
    if (name == "map") return number(field, below(kMaxUsbDevices + 1));
    if (name == "free") return free_list();
    if (field.path.starts_with("device[")) {
      if (name == "index") return number(field, std::strtoull(field.path.c_str() + 7, nullptr, 10));
      if (name == "name") return text("tablet", field.size);
    }
    if (name == "index") return number(field, below(2) == 0 ? ~std::uint64_t{0} : below(5));
    ByteVector bytes(field.size);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_());
    return bytes;
  }

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

  static ByteVector number(const Field& field, std::uint64_t value) {
    ByteVector bytes(8);
    store_le(MutableByteView(bytes), 0, value);
    bytes.resize(field.size);
    return bytes;
  }

  static ByteVector text(std::string_view text, std::size_t size) {
    const ByteView view = as_byte_view(text);
    ByteVector bytes(view.begin(), view.end());
    bytes.resize(size);
    return bytes;
  }

  ByteVector free_list() {
    ByteVector bytes(4 * (1 + below(4)));
    for (std::size_t i = 0; i + 4 < bytes.size(); i += 4) {
      store_le(MutableByteView(bytes), i, static_cast<std::uint32_t>(below(135)));
    }
    store_le(MutableByteView(bytes), bytes.size() - 4, ~std::uint32_t{0});
    return bytes;
  }

  std::mt19937_64 random_;
};

}  // namespace

RandomChunk make_random_chunk(const Layout& layout, const Context& context, std::uint64_t seed) {
  RandomChunk chunk;
  Values values(seed);
  auto bytes = encode(layout, context, [&](const Field& field) -> std::optional<FieldValue> {
    auto known = chunk.values.find(field.path);
    if (known == chunk.values.end()) known = chunk.values.emplace(field.path, values.of(field)).first;
    return ByteView(known->second);
  });
  if (!bytes) {
    std::fprintf(stderr, "%s\n", bytes.error().to_string().c_str());
    std::abort();
  }
  chunk.bytes = *std::move(bytes);
  return chunk;
}

}  // namespace vmsnap::compat::bhyve
