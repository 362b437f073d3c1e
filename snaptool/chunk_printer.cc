// SPDX-License-Identifier: BSD-2-Clause
#include "chunk_printer.h"

#include "reflect/json_printer.h"
#include "reflect/text_printer.h"

namespace vmsnap::snaptool {

Result<const reflect::SchemaModel*> SchemaCache::schema_for(const ChunkRecord& chunk) {
  const EmbeddedSchema* schema = reader_.schema_of(chunk);
  if (const auto known = models_.find(schema->id); known != models_.end()) return &known->second;
  VMSNAP_ASSIGN_OR_RETURN(const ByteVector body, reader_.schema_body(*schema));
  Result<reflect::SchemaModel> model = reflect::SchemaModel::load(body);
  if (!model) {
    const ChunkRecord& origin = reader_.container().chunks()[schema->chunk];
    return std::move(model.error().at_offset(origin.offset).in_chunk(origin.name()));
  }
  return &models_.emplace(schema->id, *std::move(model)).first->second;
}

Result<ChunkPrintReport> print_chunk(const SnapshotReader& reader, SchemaCache& schemas,
                                     const ChunkRecord& chunk, const ChunkPrint& print, reflect::Sink& sink) {
  VMSNAP_ASSIGN_OR_RETURN(const reflect::SchemaModel* model, schemas.schema_for(chunk));
  VMSNAP_ASSIGN_OR_RETURN(const ByteVector meta, reader.container().meta(chunk));
  const auto located = [&chunk](Error& error) -> Error {
    return error.kind() == ErrorKind::kUsage ? error : error.at_offset(chunk.offset).in_chunk(chunk.name());
  };
  if (print.form == PrintForm::kJson) {
    reflect::JsonOptions options;
    options.path = print.field;
    options.level = print.indent;
    options.max_output = print.max_output;
    auto report = reflect::print_json(*model, meta, sink, options);
    if (!report) return located(report.error());
    return ChunkPrintReport{*std::move(report), false};
  }
  reflect::TextOptions options;
  options.path = print.field;
  options.docs = print.form == PrintForm::kTextWithDocs;
  options.indent = print.indent;
  options.max_output = print.max_output;
  auto report = reflect::print_text(*model, meta, sink, options);
  if (!report) return located(report.error());
  return ChunkPrintReport{std::move(report->walk), report->cut};
}

}  // namespace vmsnap::snaptool
