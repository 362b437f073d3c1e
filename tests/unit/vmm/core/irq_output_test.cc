// SPDX-License-Identifier: BSD-2-Clause
#include "core/irq_output.h"

#include <gmock/gmock.h>

#include <vector>

namespace vmsnap::vmm {
namespace {

struct RecordingLine final : IrqLine {
  void set_level(bool asserted) override { levels.push_back(asserted); }
  std::vector<bool> levels;
};

TEST(IrqOutput, TellsTheLineOfChangesOnly) {
  RecordingLine line;
  IrqOutput output(line);
  for (const bool level : {false, true, true, false, false, true}) output.set(level);
  EXPECT_THAT(line.levels, ::testing::ElementsAre(true, false, true));
}

TEST(IrqOutput, AnnouncesALevelThatTheLineHasHeardBefore) {
  RecordingLine line;
  IrqOutput output(line);
  output.announce(false);
  output.announce(true);
  output.announce(true);
  output.set(true);
  EXPECT_THAT(line.levels, ::testing::ElementsAre(false, true, true));
}

}  // namespace
}  // namespace vmsnap::vmm
