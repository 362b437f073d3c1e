// SPDX-License-Identifier: BSD-2-Clause
#include "container/flatbuffer.h"

#include <gtest/gtest.h>

#include "rame_generated.h"
#include "misaligned.h"

namespace vmsnap {
namespace {

using schema::ExtentRam;

ByteVector extents_meta() {
  schema::ExtentRamT ram;
  ram.leaves = {1, 2, 3};
  ram.runs = {schema::PageRun(0, 7, schema::PageRunKind::Zero),
              schema::PageRun(0, 9, schema::PageRunKind::Data)};
  ram.block_sizes = {5};
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(ExtentRam::Pack(builder, &ram), schema::ExtentRamIdentifier());
  return take_bytes(builder);
}

TEST(VerifiedRoot, AcceptsWhatAWriterMade) {
  const ByteVector meta = extents_meta();
  const auto root = verified_root<ExtentRam>(meta, FourCc("RAME"));
  ASSERT_TRUE(root) << root.error().to_string();
  EXPECT_EQ((*root)->leaves()->Get(2), 3U);
}

TEST(VerifiedRoot, RefusesVectorsWhoseNumbersOrStructsAreNotAligned) {
  const ByteVector meta = extents_meta();
  const auto* root = flatbuffers::GetRoot<ExtentRam>(meta.data());
  for (const auto& [field, size] : {std::pair{ExtentRam::VT_LEAVES, std::size_t{8}},
                                    std::pair{ExtentRam::VT_RUNS, sizeof(schema::PageRun)}}) {
    const ByteVector moved = with_misaligned_vector(meta, root, field, size);
    const auto refused = verified_root<ExtentRam>(moved, FourCc("RAME"));
    ASSERT_FALSE(refused) << field;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt) << field;
  }
}

TEST(VerifiedRoot, AcceptsAVectorOfSmallerNumbersWhereverItsLengthIsAligned) {
  const ByteVector meta = extents_meta();
  const auto* root = flatbuffers::GetRoot<ExtentRam>(meta.data());
  const ByteVector moved = with_misaligned_vector(meta, root, ExtentRam::VT_BLOCK_SIZES, 4);
  const auto accepted = verified_root<ExtentRam>(moved, FourCc("RAME"));
  ASSERT_TRUE(accepted) << accepted.error().to_string();
  EXPECT_EQ((*accepted)->block_sizes()->Get(0), 5U);
}

}  // namespace
}  // namespace vmsnap
