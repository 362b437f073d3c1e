// SPDX-License-Identifier: BSD-2-Clause
// What holds for every mapping and any content.
#include <fmt/format.h>

#include <set>

#include "../layout_chunks.h"
#include "bhyve_chunks.h"
#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

/// The fields that were kept from the chunk itself, all others as the mapping gives them.
Result<ByteVector> written_again(const MappingRun& run, const Decoded& decoded,
                                 const std::set<std::string>& kept) {
  ByteVector bytes;
  return encode(decoded.layout(), decoded.context(), [&](const Field& field) -> std::optional<FieldValue> {
    if (kept.count(field.path) != 0) return *decoded.bytes(field.path);
    const auto& content = run.values.find(field.path)->content;
    if (const auto* given = std::get_if<ByteVector>(&content)) return ByteView(*given);
    bytes = cut(std::get<std::uint64_t>(content), field.size);
    return ByteView(bytes);
  });
}

TEST(Mappings, TakeAnyContentAndGiveBackWhatTheySayTheyGiveBack) {
  for (const LayoutCase& one : layout_cases()) {
    if (find_mapping(one.layout->chunk) == nullptr) continue;
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      SCOPED_TRACE(fmt::format("{}, seed {}", one.name, seed));
      const Vendor vendor = one.layout->vendor.value_or(seed % 2 == 0 ? Vendor::kIntel : Vendor::kAmd);
      MappingRun run(*one.layout, one.context, make_random_chunk(*one.layout, one.context, seed).bytes,
                     vendor, "pci0/00:03.0");
      const auto done = run.up();
      ASSERT_TRUE(done) << done.error().to_string();
      const auto kept = run.kept();
      ASSERT_TRUE(kept) << kept.error().to_string();
      for (const auto& device : run.machine().devices()) {
        const auto state = device->state.encode();
        EXPECT_TRUE(state) << device->path << ": " << state.error().to_string();
      }
      const auto decoded = decode(*one.layout, one.context, run.bytes());
      ASSERT_TRUE(decoded);
      const auto again = written_again(run, *decoded, {kept->begin(), kept->end()});
      ASSERT_TRUE(again) << again.error().to_string();
      EXPECT_EQ(*again, run.bytes());
    }
  }
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
