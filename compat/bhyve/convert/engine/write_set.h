// SPDX-License-Identifier: BSD-2-Clause
// From a machine and what is bhyve's own to the chunks of a legacy snapshot.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bhyve/convert/engine/overlaid_memory.h"
#include "bhyve/convert/engine/private_state.h"
#include "bhyve/convert/engine/report.h"
#include "bhyve/convert/machine.h"
#include "bhyve/set/meta.h"

namespace vmsnap::compat::bhyve {

struct WriteSetOptions {
  /// Absent: the one that was read.
  std::optional<KernelShape> shape;
  /// Also when the shape is the one that was read, makes what bhyve itself would refuse or should not use
  /// into what it accepts; the files are then not those that were read. Another shape is always so.
  bool repair = false;
  /// The pixels; absent when there are none.
  std::optional<ByteVector> pixels;
  std::uint64_t memsize = 0;  // bytes of guest memory
};

/// Bytes at a place of the .kern file.
struct KernPiece {
  std::uint64_t file_offset = 0;
  ByteVector bytes;
};

struct WrittenSet {
  std::string meta_text;
  std::vector<KernPiece> kern;
  ConversionReport report;
};

/// Lays out all chunks. In the shape that was read, and without repair, the text and the bytes are those that
/// were read. `memory` is that of the machine; it is changed where the file that was read had something else.
/// Errors: Unsupported (what the shape has no room for, with the reason); InvalidState (a device that bhyve
/// needs is not there); LimitExceeded (more than any machine of bhyve's has); those of the mappings, encode()
/// and write_meta().
[[nodiscard]] Result<WrittenSet> write_set(const Machine& machine, const PrivateState& state,
                                           OverlaidMemory& memory, const WriteSetOptions& options);

}  // namespace vmsnap::compat::bhyve
