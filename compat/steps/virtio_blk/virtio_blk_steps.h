// SPDX-License-Identifier: BSD-2-Clause
// virtio_blk (schema/virtio_blk/virtio_blk.md): 1.1 appended the wrap counters of packed rings.
#pragma once

#include "migrate/step.h"

namespace vmsnap::compat {

[[nodiscard]] StepRegistry virtio_blk_steps();

}  // namespace vmsnap::compat
