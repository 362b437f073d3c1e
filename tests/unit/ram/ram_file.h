// SPDX-License-Identifier: BSD-2-Clause
// A container with nothing in it but memory chunks, for tests of the layer that reads and writes them.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/sink.h"
#include "container/chunk_reader.h"
#include "container/chunk_writer.h"
#include "ram/extent_ram_writer.h"
#include "ram/segment_reader.h"
#include "small_snapshot.h"

namespace vmsnap::test {

/// What has to stand before the first memory chunk; all refer to schema 1.
[[nodiscard]] inline Result<ChunkWriter> begin_ram_file(Sink& sink) {
  FileHeader header;
  header.uuid = test_uuid();
  header.features = extent_ram_features(Codec::kLz4);
  VMSNAP_ASSIGN_OR_RETURN(ChunkWriter writer, ChunkWriter::begin(sink, header));
  VMSNAP_RETURN_IF_ERROR(writer.append({kChunkSchema, 0, 1}, ByteVector(8), ByteVector(8)));
  VMSNAP_RETURN_IF_ERROR(writer.append({kChunkManifest, 1}, ByteVector(8)));
  VMSNAP_RETURN_IF_ERROR(writer.append({kChunkMemoryMap, 1}, ByteVector(8)));
  return writer;
}

/// A file without a name: written through writer(), then read.
class RamFile {
 public:
  RamFile() : file_(memory_file({})), sink_(file_) {
    auto writer = begin_ram_file(sink_);
    if (writer) writer_.emplace(std::move(*writer));
  }

  [[nodiscard]] ChunkWriter& writer() { return *writer_; }

  /// Ends the file.
  void finish() {
    ASSERT_TRUE(writer_->finish(1, 1));
    auto reader = ChunkReader::open(memory_file(read_whole(file_)));
    ASSERT_TRUE(reader) << reader.error().to_string();
    reader_.emplace(std::move(*reader));
  }

  /// Of a finished file.
  [[nodiscard]] const ChunkReader& reader() const { return *reader_; }
  [[nodiscard]] std::vector<const ChunkRecord*> ram_chunks(std::uint32_t segment = 0) const {
    std::vector<const ChunkRecord*> chunks;
    for (const ChunkRecord& chunk : reader_->chunks()) {
      if (is_ram_chunk(chunk.header.type) && chunk.header.instance == segment) chunks.push_back(&chunk);
    }
    return chunks;
  }
  [[nodiscard]] Result<SegmentReader> segment(std::uint64_t size, std::uint32_t segment = 0) const {
    return SegmentReader::open(reader_->file(), segment, size, ram_chunks(segment));
  }
  /// The decoded metas of the RAME chunks of a segment of `size` bytes.
  [[nodiscard]] std::vector<ExtentRamMeta> batches(std::uint64_t size) const {
    std::vector<ExtentRamMeta> metas;
    for (const ChunkRecord* chunk : ram_chunks()) {
      const auto bytes = reader_->meta(*chunk);
      EXPECT_TRUE(bytes) << bytes.error().to_string();
      auto meta =
          decode_extent_ram(*bytes, size, chunk->header.body_size, static_cast<Codec>(chunk->header.codec()));
      EXPECT_TRUE(meta) << meta.error().to_string();
      metas.push_back(std::move(*meta));
    }
    return metas;
  }

 private:
  File file_;
  FileSink sink_;
  std::optional<ChunkWriter> writer_;
  std::optional<ChunkReader> reader_;
};

}  // namespace vmsnap::test
