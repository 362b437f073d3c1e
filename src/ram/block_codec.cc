// SPDX-License-Identifier: BSD-2-Clause
#include "ram/block_codec.h"

#include <lz4.h>

namespace vmsnap {

bool decompress_block(ByteView encoded, MutableByteView content) {
  const int size = LZ4_decompress_safe(reinterpret_cast<const char*>(encoded.data()),
                                       reinterpret_cast<char*>(content.data()),
                                       static_cast<int>(encoded.size()), static_cast<int>(content.size()));
  return size == static_cast<int>(content.size());
}

}  // namespace vmsnap
