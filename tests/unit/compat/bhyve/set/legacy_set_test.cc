// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/set/legacy_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "legacy_files.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kKernOfB = 15687;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

LegacyFiles generation_b() {
  return {sample_meta("b"), kKernOfB, kGiB};
}

Error error_of(const std::string& path) {
  auto set = LegacySet::open(path);
  if (set) return {ErrorKind::kInternal, "it was accepted"};
  return std::move(set).error();
}

TEST(LegacySet, OpensByTheNameOfAnyOfTheThreeFiles) {
  const LegacyFiles files = generation_b();
  for (const char* suffix : {"", ".kern", ".meta"}) {
    EXPECT_TRUE(is_legacy_set(files.path(suffix))) << suffix;
    const auto set = LegacySet::open(files.path(suffix));
    ASSERT_TRUE(set) << set.error().to_string();
    EXPECT_EQ(set->base(), files.path());
    EXPECT_EQ(set->meta_path(), files.path(".meta"));
    EXPECT_EQ(set->memory().name(), files.path());
    EXPECT_EQ(set->memory_size(), kGiB);
    EXPECT_EQ(set->kern().name(), files.path(".kern"));
    EXPECT_EQ(set->kern_size(), kKernOfB);
    EXPECT_EQ(set->meta(), *parse_meta(sample_meta("b")));
  }
}

TEST(LegacySet, AGuestMayBeCalledLikeASuffix) {
  const LegacyFiles files(sample_meta("b"), kKernOfB, 4096);
  for (const char* suffix : {"", ".kern", ".meta"})
    std::filesystem::copy(files.path(suffix), files.path(".kern") + suffix,
                          std::filesystem::copy_options::overwrite_existing);
  const auto set = LegacySet::open(files.path(".kern"));
  ASSERT_TRUE(set) << set.error().to_string();
  EXPECT_EQ(set->base(), files.path(".kern"));
}

TEST(LegacySet, ReadsChunksOnDemand) {
  const LegacyFiles files = generation_b();
  std::string kern(kKernOfB, '.');
  kern.replace(284, 4, "vm[0");
  kern.replace(6091, 3, "kbd");
  files.write(".kern", kern);
  const auto set = LegacySet::open(files.path());
  ASSERT_TRUE(set);
  const MetaEntry* vm = set->find(KernelChunk::kVm);
  ASSERT_NE(vm, nullptr);
  const auto bytes = set->read(*vm);
  ASSERT_TRUE(bytes) << bytes.error().to_string();
  ASSERT_EQ(bytes->size(), 216u);
  EXPECT_EQ(std::memcmp(bytes->data(), "vm[0", 4), 0);
  const MetaEntry* keyboard = set->find_device("atkbdc");
  ASSERT_NE(keyboard, nullptr);
  EXPECT_EQ(std::memcmp(set->read(*keyboard)->data(), "kbd", 3), 0);
  EXPECT_TRUE(set->read(*set->find_device("fbuf"))->empty());
  EXPECT_EQ(set->find_device("nvme"), nullptr);
}

TEST(LegacySet, FindsTheFirstAsBhyveDoes) {
  const LegacyFiles files(
      only_entry("\"device\": \"vm\", \"size\": 1, \"file_offset\": 0}, {\"device\": \"vm\", "
                 "\"size\": 2, \"file_offset\": 1"),
      10, 4096);
  const auto set = LegacySet::open(files.path());
  ASSERT_TRUE(set) << set.error().to_string();
  EXPECT_EQ(set->find(KernelChunk::kVm)->size, 1u);
  EXPECT_EQ(set->find(KernelChunk::kVmx), nullptr);
}

TEST(LegacySet, ReadsNothingBeyondTheEndAndAllocatesNothingHuge) {
  const LegacyFiles files = generation_b();
  files.resize(".kern", std::uint64_t{1} << 40);
  const auto set = LegacySet::open(files.path());
  ASSERT_TRUE(set);
  const auto read = [&](std::uint64_t offset, std::uint64_t size) {
    MetaEntry entry;
    entry.request = 2;
    entry.file_offset = offset;
    entry.size = size;
    auto bytes = set->read(entry);
    if (bytes) return Error(ErrorKind::kInternal, "it was read");
    return std::move(bytes).error();
  };
  const std::uint64_t end = set->kern_size();
  EXPECT_EQ(read(end, 1).kind(), ErrorKind::kTruncated);
  EXPECT_EQ(read(end - 1, 2).kind(), ErrorKind::kTruncated);
  EXPECT_EQ(read(UINT64_MAX, 2).kind(), ErrorKind::kTruncated);
  EXPECT_EQ(read(1, UINT64_MAX).kind(), ErrorKind::kTruncated);
  EXPECT_EQ(read(end, 0).kind(), ErrorKind::kInternal);
  const Error huge = read(7, kMaxLegacyChunkSize + 1);
  EXPECT_EQ(huge.kind(), ErrorKind::kLimitExceeded);
  EXPECT_EQ(huge.file(), files.path(".kern"));
  EXPECT_EQ(huge.chunk(), "vm");
  EXPECT_EQ(huge.offset(), 7u);
}

TEST(LegacySet, SaysWhichFileIsMissingAndWhatThatMeans) {
  for (const auto& [suffix, words] : std::initializer_list<std::pair<std::string, std::string_view>>{
           {"", "with the guest's memory"},
           {".kern", "with the state of CPUs and devices"},
           {".meta", "the checkpoint may have failed"}}) {
    const LegacyFiles files = generation_b();
    files.remove(suffix);
    const Error error = error_of(files.path());
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_THAT(error.message(), HasSubstr(files.path(suffix) + " is missing"));
    EXPECT_THAT(error.message(), HasSubstr(words));
    // What is left is known for what it is.
    EXPECT_TRUE(is_legacy_set(files.path()));
  }
  const LegacyFiles files = generation_b();
  files.remove(".kern");
  files.remove("");
  const Error two = error_of(files.path(".meta"));
  EXPECT_THAT(two.message(), HasSubstr(files.path() + " is missing"));
  EXPECT_THAT(two.message(), HasSubstr(files.path(".kern") + " is missing"));
  EXPECT_TRUE(is_legacy_set(files.path(".meta")));
  files.remove(".meta");
  EXPECT_THAT(error_of(files.path()).message(), HasSubstr("there is no such file"));
  EXPECT_FALSE(is_legacy_set(files.path()));
}

TEST(LegacySet, ErrorsInTheMetaNameItsFile) {
  const LegacyFiles files = generation_b();
  files.write(".meta", sample_meta("b").substr(0, 500));
  const Error error = error_of(files.path());
  EXPECT_EQ(error.kind(), ErrorKind::kTruncated);
  EXPECT_EQ(error.file(), files.path(".meta"));
  EXPECT_EQ(error.offset(), 500u);
}

TEST(LegacySet, AHugeMetaIsRefusedUnread) {
  const LegacyFiles files = generation_b();
  files.resize(".meta", std::uint64_t{1} << 40);
  const Error error = error_of(files.path());
  EXPECT_EQ(error.kind(), ErrorKind::kLimitExceeded);
  EXPECT_EQ(error.file(), files.path(".meta"));
  EXPECT_THAT(error.message(), HasSubstr("1099511627776 bytes"));
}

TEST(LegacySet, OpensNothingButRegularFiles) {
  for (const char* suffix : {"", ".kern", ".meta"}) {
    const LegacyFiles files = generation_b();
    files.remove(suffix);
    ASSERT_EQ(::mkfifo(files.path(suffix).c_str(), 0600), 0);
    const Error error = error_of(files.path());
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_EQ(error.file(), files.path(suffix));
    EXPECT_THAT(error.message(), HasSubstr("pipe"));
    files.remove(suffix);
    std::filesystem::create_directory(files.path(suffix));
    EXPECT_EQ(error_of(files.path()).file(), files.path(suffix));
  }
}

TEST(LegacySet, RecognisesAManifestAndSaysWhatToDo) {
  const LegacyFiles files = generation_b();
  const std::string manifest = "{\"data\": \"vm.data\", \"kern\": \"vm.kern\", \"meta\": \"vm.meta\"}\n";
  files.write("", manifest);
  EXPECT_EQ(error_of(files.path()).kind(), ErrorKind::kUnsupported);
  for (const char* suffix : {".kern", ".meta"}) files.remove(suffix);
  EXPECT_TRUE(is_legacy_set(files.path()));
  const Error error = error_of(files.path());
  EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(error.file(), files.path());
  EXPECT_THAT(error.message(), HasSubstr("manifest"));
  EXPECT_THAT(error.message(), HasSubstr("copy what it names to NEW, NEW.kern and NEW.meta"));

  // One that is not text is known by the lock file beside it.
  files.write("", std::string("\0", 1) + manifest);
  EXPECT_EQ(error_of(files.path()).kind(), ErrorKind::kIo);
  files.write(".lock", "");
  EXPECT_EQ(error_of(files.path()).kind(), ErrorKind::kUnsupported);
}

TEST(LegacySet, AVmsnapFileIsNoneWhateverLiesBesideIt) {
  const LegacyFiles files = generation_b();
  files.write("", "\x8fVMS\r\n\x1a\n and more");
  EXPECT_FALSE(is_legacy_set(files.path()));
  const LegacyFiles alone = generation_b();
  alone.remove(".kern");
  alone.remove(".meta");
  EXPECT_FALSE(is_legacy_set(alone.path()));
  EXPECT_FALSE(is_legacy_set("/"));
  EXPECT_FALSE(is_legacy_set(""));
}

TEST(SplitMemory, PutsWhatIsAbove3GiBAt4GiB) {
  const auto split = [](std::uint64_t size) {
    return std::pair(split_memory(size).low, split_memory(size).high);
  };
  EXPECT_EQ(split(0), std::pair(std::uint64_t{0}, std::uint64_t{0}));
  EXPECT_EQ(split(3 * kGiB), std::pair(3 * kGiB, std::uint64_t{0}));
  EXPECT_EQ(split(3 * kGiB + 4096), std::pair(3 * kGiB, std::uint64_t{4096}));
  EXPECT_EQ(split(16 * kGiB), std::pair(3 * kGiB, 13 * kGiB));
  EXPECT_EQ(split(UINT64_MAX).second, UINT64_MAX - 3 * kGiB);
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
