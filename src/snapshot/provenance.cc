// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/provenance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "container/flatbuffer.h"
#include "prov_generated.h"
#include "snapshot/manifest_limits.h"
#include "snapshot/text.h"

namespace vmsnap {
namespace {

constexpr std::size_t kIdentitySize = 16;

Error corrupt(std::string message, std::string_view field) {
  return Error(ErrorKind::kCorrupt, std::move(message)).in_field(field);
}

Error too_many(std::string_view what, std::size_t count, std::size_t most, std::string_view field) {
  return Error(ErrorKind::kLimitExceeded,
               fmt::format("{} {} are more than the {} this build is ready for", count, what, most))
      .in_field(field);
}

/// A hostile buffer may let many migrations share one list of losses, so that is counted for all together.
Result<void> check_budget(std::size_t migrations, std::size_t losses) {
  if (migrations > kMaxMigrations) return too_many("migrations", migrations, kMaxMigrations, "migrations");
  if (losses > kMaxMigrationLosses) {
    return too_many("losses", losses, kMaxMigrationLosses, "migrations.losses");
  }
  return {};
}

std::size_t count_losses(std::span<const Migration> migrations) {
  std::size_t count = 0;
  for (const Migration& migration : migrations) count += migration.losses.size();
  return count;
}

Result<void> check(std::span<const Migration> migrations) {
  if (migrations.empty()) {
    return corrupt("there is no migration, so the chunk should not be there", "migrations");
  }
  for (const Migration& migration : migrations) {
    if (migration.tool.empty() || !is_text(migration.tool, kMaxPathLength) ||
        !is_text(migration.tool_version, kMaxPathLength)) {
      return corrupt("the name or the version of a tool is empty, too long or not UTF-8", "migrations.tool");
    }
    if (migration.from_level == 0 || migration.to_level == 0) {
      return corrupt("release levels begin with 1", "migrations.to_level");
    }
    for (const MigrationLoss& loss : migration.losses) {
      if (!is_path(loss.device)) return corrupt("a path is malformed", "migrations.losses.device");
      if (!is_path(loss.field)) return corrupt("a field is malformed", "migrations.losses.field");
      if (loss.sentence.empty() || !is_text(loss.sentence, kMaxReasonLength)) {
        return corrupt("a sentence is empty, too long or not UTF-8", "migrations.losses.sentence");
      }
    }
  }
  return {};
}

/// A small buffer may name the same long text many times over: what is copied is bounded by what is allowed.
std::string copy(const flatbuffers::String* from, std::size_t limit) {
  return from->str().substr(0, limit + 1);
}

template <typename Identity>
Result<Identity> copy_identity(const flatbuffers::Vector<std::uint8_t>* from, std::string_view field) {
  if (from->size() != kIdentitySize) return corrupt("it does not have 16 bytes", field);
  Identity identity;
  std::memcpy(identity.bytes.data(), from->data(), kIdentitySize);
  return identity;
}

Result<Migration> unpack(const schema::Migration& from) {
  Migration migration;
  migration.tool = copy(from.tool(), kMaxPathLength);
  migration.tool_version = copy(from.tool_version(), kMaxPathLength);
  migration.time = from.time();
  migration.from_level = from.from_level();
  migration.to_level = from.to_level();
  VMSNAP_ASSIGN_OR_RETURN(migration.source_uuid,
                          copy_identity<Uuid>(from.source_uuid(), "migrations.source_uuid"));
  VMSNAP_ASSIGN_OR_RETURN(migration.source_root,
                          copy_identity<Digest128>(from.source_root(), "migrations.source_root"));
  for (const schema::MigrationLoss* loss : *from.losses()) {
    migration.losses.push_back({copy(loss->device(), kMaxPathLength), copy(loss->field(), kMaxPathLength),
                                copy(loss->sentence(), kMaxReasonLength)});
  }
  return migration;
}

}  // namespace

Result<ByteVector> encode(std::span<const Migration> migrations) {
  VMSNAP_RETURN_IF_ERROR(check_budget(migrations.size(), count_losses(migrations)));
  VMSNAP_RETURN_IF_ERROR(check(migrations));
  flatbuffers::FlatBufferBuilder builder(4096);
  const auto identity = [&](const auto& value) {
    return builder.CreateVector(reinterpret_cast<const std::uint8_t*>(value.bytes.data()), kIdentitySize);
  };
  std::vector<flatbuffers::Offset<schema::Migration>> tables;
  for (const Migration& migration : migrations) {
    std::vector<flatbuffers::Offset<schema::MigrationLoss>> losses;
    for (const MigrationLoss& loss : migration.losses) {
      const auto device = builder.CreateSharedString(loss.device);
      const auto field = builder.CreateSharedString(loss.field);
      losses.push_back(
          schema::CreateMigrationLoss(builder, device, field, builder.CreateSharedString(loss.sentence)));
    }
    const auto tool = builder.CreateSharedString(migration.tool);
    const auto version = builder.CreateSharedString(migration.tool_version);
    const auto uuid = identity(migration.source_uuid);
    const auto root = identity(migration.source_root);
    tables.push_back(schema::CreateMigration(builder, tool, version, migration.time, migration.from_level,
                                             migration.to_level, uuid, root, builder.CreateVector(losses)));
  }
  schema::FinishProvenanceBuffer(builder, schema::CreateProvenance(builder, builder.CreateVector(tables)));
  return take_bytes(builder);
}

Result<std::vector<Migration>> decode_provenance(ByteView meta) {
  VMSNAP_ASSIGN_OR_RETURN(const auto* table, verified_root<schema::Provenance>(meta, kChunkProvenance));
  std::size_t losses = 0;
  for (const schema::Migration* from : *table->migrations()) losses += from->losses()->size();
  VMSNAP_RETURN_IF_ERROR(check_budget(table->migrations()->size(), losses));
  std::vector<Migration> migrations;
  for (const schema::Migration* from : *table->migrations()) {
    VMSNAP_ASSIGN_OR_RETURN(Migration migration, unpack(*from));
    migrations.push_back(std::move(migration));
  }
  VMSNAP_RETURN_IF_ERROR(check(migrations));
  return migrations;
}

bool is_provenance(const SnapshotReader& reader, const ChunkRecord& chunk) {
  return chunk.header.type == kChunkProvenance && reader.schema_of(chunk)->version.major == 1;
}

Result<std::vector<Migration>> read_provenance(const SnapshotReader& reader) {
  std::vector<Migration> all;
  for (const ChunkRecord& chunk : reader.container().chunks()) {
    if (!is_provenance(reader, chunk)) continue;
    VMSNAP_ASSIGN_OR_RETURN(const ByteVector meta, reader.container().meta(chunk));
    auto migrations = decode_provenance(meta);
    if (!migrations) {
      return std::move(std::move(migrations)
                           .error()
                           .in_file(reader.container().file().name())
                           .at_offset(chunk.meta_offset())
                           .in_chunk(chunk.name()));
    }
    all.insert(all.end(), std::make_move_iterator(migrations->begin()),
               std::make_move_iterator(migrations->end()));
  }
  return all;
}

}  // namespace vmsnap
