// SPDX-License-Identifier: BSD-2-Clause
#include "steps/steps.h"

namespace vmsnap::compat {

StepRegistry registered_steps() {
  return {};
}

}  // namespace vmsnap::compat
