// SPDX-License-Identifier: BSD-2-Clause
// Compressed blocks of guest memory.
#pragma once

#include "base/bytes.h"

namespace vmsnap {

/// Decodes one LZ4 block of hostile bytes; false unless it gives exactly content.size() bytes. `content` is
/// undefined after a failure.
[[nodiscard]] bool decompress_block(ByteView encoded, MutableByteView content);

}  // namespace vmsnap
