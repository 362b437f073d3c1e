// SPDX-License-Identifier: BSD-2-Clause
#include "migrate/migrate_snapshot.h"

#include <gtest/gtest.h>

#include <string>

#include "../base/temp_dir.h"
#include "snapshot/manifest_limits.h"
#include "snapshot/provenance.h"
#include "snapshot/text.h"
#include "toy.h"

namespace vmsnap::compat {
namespace {

TEST(MigrateSnapshot, CutsWhatItSaysOfALossBetweenTwoCharacters) {
  // With "[1]: " before it, an even number of bytes ends inside one of these characters.
  std::string consequence;
  while (consequence.size() < 2 * kMaxReasonLength) consequence += "\xC3\xA9";
  StepRegistry registry = toy_registry();
  registry.appended_fields.front().consequence = consequence;
  const Toy& toy = Toy::instance();
  const Migrator migrator = toy.migrator(registry);

  const TempDir dir;
  SnapshotContents contents;
  contents.manifest.producer_name = "migrate_snapshot_test";
  contents.manifest.release_level = 2;
  contents.manifest.devices.push_back(Toy::entry({1, 1}));
  contents.device_states.push_back(Toy::state({1, 1}, R"({label: "a", parts: [], extra: [1]})"));
  const auto written = write_snapshot(dir.file("from"), contents, toy.types());
  ASSERT_TRUE(written) << written.error().to_string();
  const auto from = SnapshotReader::open(dir.file("from"));
  ASSERT_TRUE(from) << from.error().to_string();

  MigrateOptions options;
  options.to_level = 1;
  options.allowed = AllowedLosses::parse({"isa0/toy@40.extra"}).value();
  options.tool = "migrate_snapshot_test";
  const auto migrated = migrate_snapshot(*from, dir.file("to"), migrator, options);
  ASSERT_TRUE(migrated) << migrated.error().to_string();
  ASSERT_TRUE(migrated->written) << refusal(migrated->report).to_string();

  const auto to = SnapshotReader::open(dir.file("to"));
  ASSERT_TRUE(to) << to.error().to_string();
  const auto migrations = read_provenance(*to);
  ASSERT_TRUE(migrations) << migrations.error().to_string();
  ASSERT_EQ(migrations->size(), 1u);
  ASSERT_EQ(migrations->front().losses.size(), 1u);
  const std::string& sentence = migrations->front().losses.front().sentence;
  EXPECT_EQ(sentence, ("[1]: " + consequence).substr(0, kMaxReasonLength - 1));
  EXPECT_TRUE(is_text(sentence, kMaxReasonLength));
}

}  // namespace
}  // namespace vmsnap::compat
