// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "base/error.h"

namespace vmsnap {

/// Exit statuses of the programs (docs: EXIT STATUS in every man page).
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,      // the operating system refused something, or a limit was reached
  kExitUsage = 2,        // the command line is off
  kExitFindings = 3,     // the work was done, and something deserves attention
  kExitCorrupt = 4,      // the file is damaged or cut short
  kExitUnsupported = 5,  // the file is whole but needs something this build or host does not have
};

[[nodiscard]] ExitCode exit_code(ErrorKind kind);

}  // namespace vmsnap
