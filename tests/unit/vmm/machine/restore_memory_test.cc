// SPDX-License-Identifier: BSD-2-Clause
#include "machine/restore_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "../../base/temp_dir.h"
#include "small_snapshot.h"

namespace vmsnap::vmm {
namespace {

using ::testing::HasSubstr;

class RestoreMemory : public ::testing::Test {
 protected:
  void write(RamEncoding encoding = RamEncoding::kFlat, Codec codec = Codec::kNone) {
    SnapshotWriteOptions options;
    options.encoding = encoding;
    options.codec = codec;
    const auto written = write_snapshot(path(), small_.contents(), device_chunk_types(), options);
    ASSERT_TRUE(written) << written.error().to_string();
  }

  [[nodiscard]] Result<GuestMemory> restore(const MemoryRequest& request) const {
    auto opened = SnapshotReader::open(path());
    EXPECT_TRUE(opened);
    return restore_memory(std::make_shared<SnapshotReader>(std::move(*opened)), request);
  }

  void damage() {
    const auto reader = SnapshotReader::open(path());
    ASSERT_TRUE(reader);
    const std::uint64_t at = reader->segment_chunks(0).front()->body_end() - 1;
    const auto file = File::open_for_writing(path());
    ASSERT_TRUE(file);
    ByteVector byte(1);
    ASSERT_TRUE(file->read_at(at, byte));
    byte[0] ^= std::byte{1};
    ASSERT_TRUE(file->write_at(at, byte));
  }

  void expect_content(const GuestMemory& memory) const {
    for (std::uint32_t id = 0; id < small_.segments().size(); ++id) {
      EXPECT_TRUE(std::ranges::equal(memory.segment(id), small_.segments()[id])) << id;
    }
  }

  [[nodiscard]] std::string path() const { return dir_.file("s"); }

  static bool can_be_lazy() { return UserFault::open().has_value(); }

  TempDir dir_;
  test::SmallSnapshot small_;
};

TEST_F(RestoreMemory, EveryEngineGivesTheSameBytesOfEveryEncoding) {
  for (const auto& [encoding, codec] : {std::pair(RamEncoding::kFlat, Codec::kNone),
                                        {RamEncoding::kExtents, Codec::kNone},
                                        {RamEncoding::kExtents, Codec::kLz4}}) {
    write(encoding, codec);
    for (const MemoryOrigin engine : {MemoryOrigin::kMapped, MemoryOrigin::kEager, MemoryOrigin::kLazy}) {
      if (engine == MemoryOrigin::kMapped && codec == Codec::kLz4) continue;
      if (engine == MemoryOrigin::kLazy && !can_be_lazy()) continue;
      const auto memory = restore({engine, std::nullopt, {}});
      ASSERT_TRUE(memory) << memory.error().to_string();
      EXPECT_EQ(memory->origin(), engine);
      expect_content(*memory);
      ASSERT_TRUE(memory->wait_filled(2));
      expect_content(*memory);
      EXPECT_EQ(memory->source(0).private_anonymous, engine != MemoryOrigin::kMapped);
    }
  }
}

TEST_F(RestoreMemory, MapsWhatCanBeMappedAndLoadsTheRestUnlessToldOtherwise) {
  write();
  auto memory = restore({});
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->origin(), MemoryOrigin::kMapped);
  write(RamEncoding::kExtents, Codec::kLz4);
  auto loaded = restore({});
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->origin(), MemoryOrigin::kEager);
  const auto refused = restore({MemoryOrigin::kMapped, std::nullopt, {}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUsage);
  EXPECT_THAT(refused.error().message(), HasSubstr("--memory eager"));
}

TEST_F(RestoreMemory, FindsDamageBeforeTheGuestRunsUnlessToldOtherwise) {
  write();
  damage();
  for (const MemoryOrigin engine : {MemoryOrigin::kMapped, MemoryOrigin::kEager}) {
    for (const std::optional<RamVerify> verify : {std::optional<RamVerify>{}, {RamVerify::kFull}}) {
      const auto refused = restore({engine, verify, {}});
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
    }
    EXPECT_TRUE(restore({engine, RamVerify::kNone, {}}));
  }
}

TEST_F(RestoreMemory, LazyMemoryIsVerifiedAsItComesOrBefore) {
  if (!can_be_lazy()) GTEST_SKIP() << UserFault::open().error().to_string();
  write();
  damage();
  const auto before = restore({MemoryOrigin::kLazy, RamVerify::kFull, {}});
  ASSERT_FALSE(before);
  EXPECT_EQ(before.error().kind(), ErrorKind::kCorrupt);
  std::atomic<int> calls{0};
  const auto on_error = [&](const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    ++calls;
  };
  {
    const auto memory = restore({MemoryOrigin::kLazy, std::nullopt, on_error});
    ASSERT_TRUE(memory) << memory.error().to_string();
    const auto filled = memory->wait_filled(1);
    ASSERT_FALSE(filled);
    EXPECT_EQ(filled.error().kind(), ErrorKind::kCorrupt);
    EXPECT_FALSE(memory->source(0).private_anonymous);
  }
  EXPECT_EQ(calls, 1);
  const auto unverified = restore({MemoryOrigin::kLazy, RamVerify::kNone, on_error});
  ASSERT_TRUE(unverified);
  EXPECT_TRUE(unverified->wait_filled(1));
}

TEST_F(RestoreMemory, LazyVerificationNeedsLazyMemory) {
  write();
  for (const std::optional<MemoryOrigin> engine :
       {std::optional<MemoryOrigin>{}, {MemoryOrigin::kMapped}, {MemoryOrigin::kEager}}) {
    const auto refused = restore({engine, RamVerify::kLazy, {}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kUsage);
    EXPECT_THAT(refused.error().message(), HasSubstr("--memory lazy"));
  }
}

}  // namespace
}  // namespace vmsnap::vmm
