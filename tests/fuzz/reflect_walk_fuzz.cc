// SPDX-License-Identifier: BSD-2-Clause
// Input: 4 bytes S, then
//   S = 0: 1 byte that picks a chunk type of this build, then data of that type;
//   else:  S bytes of binary schema, then data.
// The data goes through both printers, the digest and a search. What is printed must be JSON, respectively
// lines that no terminal obeys, and within its budget.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "format/chunk_type.h"
#include "reflect/content.h"
#include "reflect/json_printer.h"
#include "reflect/text_escape.h"
#include "reflect/text_printer.h"

namespace {

using namespace vmsnap;
using namespace vmsnap::reflect;

constexpr std::uint64_t kMaxOutput = 200000;

void expect(bool holds) {
  if (!holds) std::abort();
}

void print(const SchemaModel& model, ByteView data) {
  Limits limits;
  limits.max_nodes = 20000;

  JsonOptions json;
  json.max_output = kMaxOutput;
  json.limits = limits;
  std::string json_text;
  StringSink json_sink(json_text);
  const auto json_report = print_json(model, data, json_sink, json);
  expect(json_text.size() <= kMaxOutput);
  if (json_report) expect(nlohmann::json::accept(json_text));

  TextOptions text;
  text.docs = true;
  text.max_output = kMaxOutput;
  text.limits = limits;
  std::string lines;
  StringSink text_sink(lines);
  const auto text_report = print_text(model, data, text_sink, text);
  expect(lines.size() <= kMaxOutput + 200);
  expect(text_report.has_value() == json_report.has_value() ||
         json_report.error().kind() == ErrorKind::kLimitExceeded);
  expect(is_utf8(lines));
  for (std::string_view rest = lines; !rest.empty();) {
    const CodePoint point = decode_utf8(rest);
    expect(point.value == '\n' || is_safe_to_print(point.value));
    rest.remove_prefix(point.length);
  }

  (void)content_digest(model, data, limits);
  for (const Field& field : model.root().fields) (void)find(model, data, field.name + "[0]", limits);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteView input = as_byte_view(data, size);
  if (input.size() < 5) return 0;
  const auto schema_size = load_le<std::uint32_t>(input, 0);
  input = input.subspan(4);
  if (schema_size > input.size()) return 0;
  ByteView schema = input.subspan(0, schema_size);
  ByteView state = input.subspan(schema_size);
  if (schema_size == 0) {
    std::vector<ChunkType> types = container_chunk_types();
    for (const ChunkType& type : device_chunk_types()) types.push_back(type);
    schema = types[std::to_integer<std::size_t>(input[0]) % types.size()].schema;
    state = input.subspan(1);
  }
  const auto model = SchemaModel::load(schema);
  if (model) print(*model, state);
  return 0;
}
