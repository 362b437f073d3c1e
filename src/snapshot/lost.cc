// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/lost.h"

#include <fmt/format.h>

#include "container/flatbuffer.h"
#include "lost_generated.h"
#include "snapshot/manifest_limits.h"
#include "snapshot/text.h"

namespace vmsnap {
namespace {

Error corrupt(std::string message, std::string_view field) {
  return Error(ErrorKind::kCorrupt, std::move(message)).in_field(field);
}

Result<void> check_memory(const Loss& loss, const MemoryMap& map) {
  if (loss.segment >= map.segments.size()) {
    return corrupt(fmt::format("memory of segment {} is missing, which the memory map has not", loss.segment),
                   "losses.segment");
  }
  const std::uint64_t whole = map.segments[loss.segment].size;
  if (loss.size == 0 || loss.offset > whole || loss.size > whole - loss.offset ||
      loss.offset % kPageSize != 0 || loss.size % kPageSize != 0) {
    return corrupt(fmt::format("{} bytes from {:#x} are missing of a segment of {} bytes", loss.size,
                               loss.offset, whole),
                   "losses.offset");
  }
  return {};
}

Result<void> check(std::span<const Loss> losses, const MemoryMap& map) {
  if (losses.empty()) return corrupt("nothing is missing, so the chunk should not be there", "losses");
  for (const Loss& loss : losses) {
    if (loss.reason.empty() || !is_text(loss.reason, kMaxReasonLength)) {
      return corrupt("a reason is empty, too long or not UTF-8", "losses.reason");
    }
    if (!loss.path.empty() && !is_path(loss.path)) return corrupt("a path is malformed", "losses.path");
    if (!is_text(loss.type, kMaxNameLength)) return corrupt("a type is malformed", "losses.type");
    if (loss.kind == Loss::Kind::kMemory) VMSNAP_RETURN_IF_ERROR(check_memory(loss, map));
  }
  return {};
}

Error too_many(std::size_t count) {
  return Error(ErrorKind::kLimitExceeded,
               fmt::format("{} losses are more than the {} this build is ready for", count, kMaxLosses))
      .in_field("losses");
}

std::string what_is_lost(const Loss& loss, const MemoryMap& map) {
  switch (loss.kind) {
    case Loss::Kind::kDevice:
      return fmt::format("device {} ({})", loss.path, loss.type);
    case Loss::Kind::kMemory:
      return fmt::format("{} bytes of memory segment \"{}\" from {:#x}", loss.size,
                         map.segments[loss.segment].name, loss.offset);
    case Loss::Kind::kChunk:
      if (!loss.type.empty()) return fmt::format("a chunk {} with instance {}", loss.type, loss.instance);
      return "an unknown number of chunks";
  }
  return "something of an unknown kind";
}

}  // namespace

std::string to_string(const Loss& loss, const MemoryMap& map) {
  return fmt::format("{}: {}", what_is_lost(loss, map), loss.reason);
}

Result<ByteVector> encode(std::span<const Loss> losses, const MemoryMap& map) {
  if (losses.size() > kMaxLosses) return too_many(losses.size());
  VMSNAP_RETURN_IF_ERROR(check(losses, map));
  flatbuffers::FlatBufferBuilder builder(4096);
  std::vector<flatbuffers::Offset<schema::Loss>> tables;
  const auto text = [&](const std::string& value) {
    return value.empty() ? flatbuffers::Offset<flatbuffers::String>() : builder.CreateSharedString(value);
  };
  for (const Loss& loss : losses) {
    const auto reason = text(loss.reason);
    const auto path = text(loss.path);
    const auto type = text(loss.type);
    tables.push_back(schema::CreateLoss(builder, static_cast<schema::LossKind>(loss.kind), reason, path, type,
                                        loss.instance, loss.segment, loss.offset, loss.size));
  }
  schema::FinishLostBuffer(builder, schema::CreateLost(builder, builder.CreateVector(tables)));
  return take_bytes(builder);
}

Result<std::vector<Loss>> decode_lost(ByteView meta, const MemoryMap& map) {
  VMSNAP_ASSIGN_OR_RETURN(const auto* table, verified_root<schema::Lost>(meta, kChunkLost));
  if (table->losses()->size() > kMaxLosses) return too_many(table->losses()->size());
  std::vector<Loss> losses;
  // A small buffer may name the same long text many times over: what is copied is bounded by what is allowed.
  const auto copy = [](const flatbuffers::String* from, std::size_t limit) {
    return from == nullptr ? std::string() : from->str().substr(0, limit + 1);
  };
  for (const schema::Loss* from : *table->losses()) {
    Loss& loss = losses.emplace_back();
    loss.kind = static_cast<Loss::Kind>(from->kind());
    loss.reason = copy(from->reason(), kMaxReasonLength);
    loss.path = copy(from->path(), kMaxPathLength);
    loss.type = copy(from->type(), kMaxNameLength);
    loss.instance = from->instance();
    loss.segment = from->segment();
    loss.offset = from->offset();
    loss.size = from->size();
  }
  VMSNAP_RETURN_IF_ERROR(check(losses, map));
  return losses;
}

}  // namespace vmsnap
