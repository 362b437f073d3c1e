// SPDX-License-Identifier: BSD-2-Clause
// Guest RAM on its way to the file, without a copy of ours in between.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "container/chunk_writer.h"
#include "ram/extent_source.h"
#include "ram/flat_ram.h"
#include "ram/pass_options.h"
#include "ram/written_ram.h"

namespace vmsnap {

/// A RAMF chunk that is written in as many steps as its source needs; other chunks may be written in between.
class FlatRamWriter {
 public:
  /// Leaves room for the chunk of a segment of `size` bytes. `writer` must outlive this object. Errors: Io;
  /// Usage (the sink has no file behind it); LimitExceeded.
  [[nodiscard]] static Result<FlatRamWriter> begin(ChunkWriter& writer, std::uint32_t schema_id,
                                                   std::uint32_t segment, std::uint64_t size,
                                                   std::uint8_t extent_shift);

  /// Writes the extents that `source` has. Errors: Io; InvalidState (cancelled); those of the source.
  [[nodiscard]] Result<void> write(ExtentSource& source, const PassOptions& options);
  /// Ends the chunk, once every extent is written. Errors: Io.
  [[nodiscard]] Result<WrittenRam> finish();

 private:
  FlatRamWriter(ChunkWriter& writer, const ChunkReservation& reservation, FlatRamMeta meta)
      : writer_(&writer), reservation_(reservation), meta_(std::move(meta)) {}

  ChunkWriter* writer_;
  ChunkReservation reservation_;
  FlatRamMeta meta_;
};

/// Writes one RAMF chunk with a body as write_flat_body() writes it, each extent hashed just before. With
/// more than one thread in `options`, a second one looks for zero pages and hashes. Errors: Io; Usage (the
/// sink has no file behind it); LimitExceeded; InvalidState (cancelled); those of the source.
[[nodiscard]] Result<WrittenRam> write_flat_ram(ChunkWriter& writer, std::uint32_t schema_id,
                                                std::uint32_t segment, ExtentSource& source,
                                                const PassOptions& options = {});

/// The same of guest memory. Errors also: those of MemorySource::check().
[[nodiscard]] Result<WrittenRam> write_flat_ram(ChunkWriter& writer, std::uint32_t schema_id,
                                                std::uint32_t segment, const RamSource& memory,
                                                const PassOptions& options = {});

}  // namespace vmsnap
