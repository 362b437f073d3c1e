// SPDX-License-Identifier: BSD-2-Clause
// Input: a binary schema. Whatever loads must describe itself without contradiction, keep data apart from
// damage, and compare with itself as unchanged.
#include <cstdint>
#include <cstdlib>

#include "reflect/evolution.h"
#include "reflect/schema_model.h"
#include "reflect/walker.h"

namespace {

using namespace vmsnap;
using namespace vmsnap::reflect;

void expect(bool holds) {
  if (!holds) std::abort();
}

void check_type(const SchemaModel& model, const Type& type) {
  expect(!model.describe(type).empty());
  expect(model.inline_size(type) > 0 && model.inline_alignment(type) <= 32);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto model = SchemaModel::load(as_byte_view(data, size));
  if (!model) {
    const ErrorKind kind = model.error().kind();
    expect(kind == ErrorKind::kCorrupt || kind == ErrorKind::kUnsupported ||
           kind == ErrorKind::kLimitExceeded);
    return 0;
  }
  for (const Object& object : model->objects()) {
    for (const Field& field : object.fields) check_type(*model, field.type);
  }
  // The schema's own bytes are data of some other type: they must be refused or walked, no more.
  Visitor nobody;
  Limits limits;
  limits.max_nodes = 100000;
  (void)walk(*model, as_byte_view(data, size), nobody, limits);
  for (const EvolutionViolation& violation : check_evolution(*model, *model)) {
    // A hostile chunk_version is the one thing a schema cannot agree with itself about.
    expect(violation.sentence.find("chunk_version") != std::string::npos);
  }
  return 0;
}
