// SPDX-License-Identifier: BSD-2-Clause
// Input: 4 bytes that pick a layout and a context, then a chunk of bhyve's. It is refused by an error that
// says where, or decoded into fields without a gap, from which the same bytes can be made again.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "bhyve/layout/decode.h"
#include "bhyve/layout/encode.h"
#include "bhyve/layout/layouts.h"

namespace {

using namespace vmsnap;
using namespace vmsnap::compat::bhyve;

void expect(bool holds) {
  if (!holds) std::abort();
}

void expect_refusal(const Layout& layout, const Error& error) {
  expect(error.chunk() == layout.chunk);
  expect(!error.field().empty() && error.offset().has_value());
  expect(error.kind() == ErrorKind::kTruncated || error.kind() == ErrorKind::kCorrupt ||
         error.kind() == ErrorKind::kUnsupported || error.kind() == ErrorKind::kLimitExceeded);
}

void expect_same_again(const Decoded& decoded, ByteView chunk) {
  std::uint64_t end = 0;
  for (const Field& field : decoded.fields()) {
    expect(field.offset == end);
    end += field.size;
    expect(decoded.find(field.path) == &field);
  }
  expect(end + decoded.trailing().size() == chunk.size());
  const auto encoded =
      encode(decoded.layout(), decoded.context(), [&](const Field& field) -> std::optional<FieldValue> {
        const auto bytes = decoded.bytes(field.path);
        if (!bytes) return std::nullopt;
        return *bytes;
      });
  expect(encoded.has_value());
  expect(encoded->size() == end && std::equal(encoded->begin(), encoded->end(), chunk.begin()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kHead = 4;
  if (size < kHead) return 0;
  const std::vector<const Layout*> layouts = all_layouts();
  const Layout& layout = *layouts[data[0] % layouts.size()];
  Context context;
  const auto shape = [&](unsigned bit) { return (data[1] >> bit & 1) != 0 ? Shape::kB : Shape::kA; };
  context.pci_prefix = shape(0);
  context.rings = shape(1);
  context.net_tail = shape(2);
  context.ahci = shape(3);
  context.xhci = shape(4);
  context.vcpus = data[2];
  // The top bit leaves the counts to be found.
  if (data[3] < 0x80) context.uarts = context.cpuset_longs = context.usb_devices = data[3];
  const ByteView chunk = as_byte_view(data + kHead, size - kHead);
  const auto decoded = decode(layout, context, chunk);
  if (decoded) {
    expect_same_again(*decoded, chunk);
  } else {
    expect_refusal(layout, decoded.error());
  }
  return 0;
}
