// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/schema_meta.h"

#include <algorithm>

#include "container/flatbuffer.h"
#include "schm_generated.h"

namespace vmsnap {
namespace {

constexpr std::size_t kDigestSize = sizeof(Digest128::bytes);
constexpr std::size_t kMaxRootTableName = 255;

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_qualified_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxRootTableName && is_letter(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '.'; });
}

Error corrupt(std::string message, std::string_view field) {
  return Error(ErrorKind::kCorrupt, std::move(message)).in_field(field);
}

}  // namespace

bool is_type_name(std::string_view name) {
  return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '_';
  });
}

EmbeddedSchema describe(const ChunkType& type, std::uint32_t id) {
  EmbeddedSchema schema;
  schema.id = id;
  schema.chunk_type = type.type;
  schema.name = type.name;
  schema.version = type.version;
  schema.root_table = type.root_table;
  schema.content_hash = xxh3_128(type.schema);
  return schema;
}

ByteVector encode(const EmbeddedSchema& schema) {
  flatbuffers::FlatBufferBuilder builder(256);
  const auto type = builder.CreateString(schema.chunk_type.to_string());
  const auto name = builder.CreateString(schema.name);
  const auto root = builder.CreateString(schema.root_table);
  const auto hash = builder.CreateVector(
      reinterpret_cast<const std::uint8_t*>(schema.content_hash.bytes.data()), kDigestSize);
  schema::FinishSchemaBuffer(builder,
                             schema::CreateSchema(builder, schema.id, type, name, schema.version.major,
                                                  schema.version.minor, root, hash));
  return take_bytes(builder);
}

Result<EmbeddedSchema> decode_schema_meta(ByteView meta) {
  VMSNAP_ASSIGN_OR_RETURN(const auto* table, verified_root<schema::Schema>(meta, kChunkSchema));
  EmbeddedSchema result;
  result.id = table->schema_id();
  if (table->chunk_type()->size() != 4) return corrupt("a chunk type has four letters", "chunk_type");
  result.chunk_type = FourCc(
      load_le<std::uint32_t>(as_byte_view(table->chunk_type()->data(), table->chunk_type()->size()), 0));
  if (!result.chunk_type.is_printable())
    return corrupt("a chunk type has four printable letters", "chunk_type");
  if (!is_type_name(table->name()->string_view())) {
    return corrupt("a type name has 1 to 63 characters a-z, 0-9 and _", "name");
  }
  result.name = table->name()->str();
  result.version = {table->major(), table->minor()};
  if (result.version.major == 0) return corrupt("major versions begin with 1", "major");
  if (!is_qualified_name(table->root_table()->string_view())) {
    return corrupt("this is not the name of a table", "root_table");
  }
  result.root_table = table->root_table()->str();
  if (table->content_hash()->size() != kDigestSize) {
    return corrupt("the content hash does not have 16 bytes", "content_hash");
  }
  std::memcpy(result.content_hash.bytes.data(), table->content_hash()->data(), kDigestSize);
  return result;
}

}  // namespace vmsnap
