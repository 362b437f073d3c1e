// SPDX-License-Identifier: BSD-2-Clause
#include "base/exit_code.h"

namespace vmsnap {

ExitCode exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return kExitUsage;
    case ErrorKind::kTruncated:
    case ErrorKind::kCorrupt:
      return kExitCorrupt;
    case ErrorKind::kUnsupported:
      return kExitUnsupported;
    case ErrorKind::kIo:
    case ErrorKind::kLimitExceeded:
    case ErrorKind::kInvalidState:
    case ErrorKind::kInternal:
      return kExitFailure;
  }
  return kExitFailure;
}

}  // namespace vmsnap
