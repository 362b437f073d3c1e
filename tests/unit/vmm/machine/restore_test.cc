// SPDX-License-Identifier: BSD-2-Clause
// What is refused before KVM is asked for anything.
#include "machine/restore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "../../base/temp_dir.h"
#include "base/stream.h"
#include "levels/level_converter.h"
#include "raw_snapshot.h"
#include "small_snapshot.h"
#include "snapshot/recover.h"
#include "streamed.h"

namespace vmsnap::vmm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class SilentConsole : public CharacterSink {
 public:
  [[nodiscard]] std::size_t write(ByteView bytes) override { return bytes.size(); }
};

/// Restores what was recovered of a small snapshot that no machine of this VMM has saved: one that gets past
/// the question of what is missing ends at a feature of its clock that no machine has.
class RestoreRecovered : public ::testing::Test {
 protected:
  void damage_and_recover(const std::function<void(ByteVector&, const SnapshotReader&)>& damage) {
    ByteVector bytes = test::SmallSnapshot().bytes();
    {
      const auto sound = SnapshotReader::open(test::memory_file(bytes));
      ASSERT_TRUE(sound);
      damage(bytes, *sound);
    }
    const auto report = recover_snapshot(test::memory_file(bytes), path());
    ASSERT_TRUE(report) << report.error().to_string();
    ASSERT_FALSE(report->losses.empty());
  }
  void lose_memory() {
    damage_and_recover([](ByteVector& bytes, const SnapshotReader& sound) {
      bytes[sound.segment_chunks(0).front()->body_offset()] ^= std::byte{1};
    });
  }
  void lose_clock() {
    damage_and_recover([](ByteVector& bytes, const SnapshotReader& sound) {
      bytes[sound.device_chunk(1).meta_offset() + 30] ^= std::byte{1};
    });
  }

  /// The refusals of the file and of the same bytes in a stream.
  std::vector<Error> refusals(bool allow_recovered) {
    RestoreRequest request;
    request.file = path();
    request.allow_recovered = allow_recovered;
    std::vector<Error> errors;
    auto machine = restore_machine(request, console_, *converter_);
    EXPECT_FALSE(machine);
    if (!machine) errors.push_back(std::move(machine).error());
    auto snapshot = test::read_through_pipe(test::read_whole(path()), {}, true);
    EXPECT_TRUE(snapshot) << snapshot.error().to_string();
    if (!snapshot) return errors;
    machine = restore_machine(std::move(*snapshot), request, console_, *converter_);
    EXPECT_FALSE(machine);
    if (!machine) errors.push_back(std::move(machine).error());
    return errors;
  }

  [[nodiscard]] std::string path() const { return dir_.file("recovered.vmsnap"); }

  TempDir dir_;
  SilentConsole console_;
  const std::unique_ptr<StateConverter> converter_ = make_state_converter();
};

TEST_F(RestoreRecovered, IsRefusedWithTheOptionThatAllowsIt) {
  lose_memory();
  const std::vector<Error> errors = refusals(false);
  ASSERT_EQ(errors.size(), 2u);
  for (const Error& error : errors) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(error.to_string(),
                AllOf(HasSubstr("--allow-recovered"), HasSubstr("\"ram-low\""), HasSubstr(path())));
  }
}

TEST_F(RestoreRecovered, IsTakenWithoutItsMemoryWhenThatIsAllowed) {
  lose_memory();
  const std::vector<Error> errors = refusals(true);
  ASSERT_EQ(errors.size(), 2u);
  for (const Error& error : errors) EXPECT_THAT(error.message(), HasSubstr("the feature \"alarm\""));
}

TEST_F(RestoreRecovered, IsRefusedByTheNameOfTheDeviceThatIsLostWhateverIsAllowed) {
  lose_clock();
  for (const bool allowed : {false, true}) {
    const std::vector<Error> errors = refusals(allowed);
    ASSERT_EQ(errors.size(), 2u);
    for (const Error& error : errors) {
      EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
      EXPECT_THAT(error.message(), HasSubstr("device isa0/rtc@70 (mc146818)"));
      EXPECT_THAT(error.message(), ::testing::Not(HasSubstr("--allow-recovered")));
    }
  }
}

TEST_F(RestoreRecovered, IsRefusedWhenItLacksSomethingOfAnUnknownKind) {
  lose_memory();
  test::RawSnapshot raw = test::RawSnapshot::parse(test::read_whole(path()));
  const MemoryMap map = decode_memory_map(raw.find(kChunkMemoryMap).meta).value();
  Loss loss;
  loss.kind = static_cast<Loss::Kind>(77);
  loss.reason = "it cannot be said here";
  raw.find(kChunkLost).meta = encode(std::vector<Loss>{loss}, map).value();
  test::write_whole(path(), raw.bytes());
  for (const Error& error : refusals(true)) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(error.message(), HasSubstr("unknown kind: it cannot be said here"));
  }
}

}  // namespace
}  // namespace vmsnap::vmm
