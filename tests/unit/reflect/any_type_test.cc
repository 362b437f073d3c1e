// SPDX-License-Identifier: BSD-2-Clause
// What must hold for every chunk type of this build, and for the next one too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "any_data.h"
#include "conf_generated.h"
#include "format/chunk_type.h"
#include "indx_generated.h"
#include "reflect/content.h"
#include "reflect/json_printer.h"
#include "reflect/text_printer.h"
#include "reflect/walker.h"
#include "uart16550_generated.h"
#include "virtio_blk_generated.h"
#include "x86_cpu_generated.h"

namespace vmsnap::reflect {
namespace {

std::vector<ChunkType> every_type() {
  std::vector<ChunkType> types = container_chunk_types();
  for (const ChunkType& type : device_chunk_types()) types.push_back(type);
  return types;
}

SchemaModel model_of(const ChunkType& type) {
  auto model = SchemaModel::load(type.schema);
  EXPECT_TRUE(model) << type.name << ": " << model.error().to_string();
  return std::move(*model);
}

TEST(AnyType, TheSchemaOfEveryChunkTypeLoadsAndAgreesWithTheTypeList) {
  ASSERT_GT(every_type().size(), 15u);
  for (const ChunkType& type : every_type()) {
    const SchemaModel model = model_of(type);
    EXPECT_EQ(model.root().name, type.root_table);
    EXPECT_EQ(model.file_identifier(), type.type.to_string());
    EXPECT_EQ(model.root().find_attribute("chunk_name")->value, type.name);
    EXPECT_EQ(model.root().find_attribute("chunk_version")->value, to_string(type.version));
  }
}

TEST(AnyType, EveryFieldOfEveryChunkTypeIsDocumented) {
  for (const ChunkType& type : every_type()) {
    const SchemaModel model = model_of(type);
    for (const Object& object : model.objects()) {
      EXPECT_FALSE(object.documentation.empty()) << object.name;
      for (const Field& field : object.fields) {
        EXPECT_TRUE(field.is_union_type || !field.documentation.empty()) << object.name << "." << field.name;
      }
    }
  }
}

TEST(AnyType, DataOfEveryChunkTypeIsPrintedAsJsonWithEveryField) {
  for (const ChunkType& type : every_type()) {
    const SchemaModel model = model_of(type);
    for (const bool every_field : {true, false}) {
      AnyDataOptions options;
      options.every_field = every_field;
      std::string text;
      StringSink sink(text);
      const auto report = print_json(model, make_any_data(model, options), sink);
      ASSERT_TRUE(report) << type.name << ": " << report.error().to_string();
      EXPECT_EQ(report->remark_count, 0u) << type.name;
      const auto json = nlohmann::json::parse(text, nullptr, false);
      ASSERT_TRUE(json.is_object()) << text;
      ASSERT_EQ(json.size(), model.root().fields.size()) << text;
      for (const Field& field : model.root().fields) EXPECT_TRUE(json.contains(field.name)) << field.name;
    }
  }
}

TEST(AnyType, DataOfEveryChunkTypeIsPrintedAsTextInPlainAsciiLines) {
  for (const ChunkType& type : every_type()) {
    const SchemaModel model = model_of(type);
    std::string text;
    StringSink sink(text);
    const auto report = print_text(model, make_any_data(model), sink);
    ASSERT_TRUE(report) << type.name << ": " << report.error().to_string();
    EXPECT_FALSE(report->cut);
    for (const Field& field : model.root().fields)
      EXPECT_NE(text.find(field.name), std::string::npos) << field.name;
    for (const char c : text) ASSERT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << type.name;
    for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 1)) {
      EXPECT_NE(text[at - 1], ' ') << type.name;
    }
  }
}

TEST(AnyType, ContentIsEqualToItselfAndNotToOtherContent) {
  for (const ChunkType& type : every_type()) {
    const SchemaModel model = model_of(type);
    AnyDataOptions options;
    const ByteVector a = make_any_data(model, options);
    options.seed = 2;
    const ByteVector b = make_any_data(model, options);
    const auto same = equal_by_content(model, a, a);
    const auto different = equal_by_content(model, a, b);
    ASSERT_TRUE(same && different) << type.name;
    EXPECT_TRUE(*same) << type.name;
    EXPECT_FALSE(*different) << type.name;
  }
}

/// Damages data of a type in many ways and compares the verdicts of the walker and of the generated verifier.
template <typename Root>
void compare_verdicts(std::string_view name) {
  const auto types = every_type();
  const auto type =
      std::find_if(types.begin(), types.end(), [&](const ChunkType& t) { return t.name == name; });
  ASSERT_NE(type, types.end());
  const SchemaModel model = model_of(*type);
  const ByteVector good = make_any_data(model);
  const std::string identifier = type->type.to_string();
  std::mt19937_64 random(7);
  std::size_t both = 0, neither = 0, verifier_only = 0;
  for (int round = 0; round < 4000; ++round) {
    ByteVector bytes = good;
    for (auto changes = 1 + random() % 3; changes > 0; --changes) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random() % 4 == 0 ? random() : random() % 16);
    }
    flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    const bool verified = verifier.VerifyBuffer<Root>(identifier.c_str());
    Visitor nobody;
    const bool walked = walk(model, bytes, nobody).has_value();
    ASSERT_FALSE(walked && !verified) << name << ", round " << round;
    ++(walked ? both : verified ? verifier_only : neither);
  }
  EXPECT_GT(both, 100u);
  EXPECT_GT(neither, 100u);
  // A vtable too small for its own header is all that the generated verifiers accept and the walker does not.
  EXPECT_LT(verifier_only, 40u);
}

TEST(AnyType, TheWalkerAcceptsNothingThatTheGeneratedVerifierRefuses) {
  compare_verdicts<schema::Uart16550>("uart16550");
  compare_verdicts<schema::VirtioBlk>("virtio_blk");
  compare_verdicts<schema::X86Cpu>("x86_cpu");
  compare_verdicts<schema::Manifest>("manifest");
  compare_verdicts<schema::Index>("index");
}

TEST(AnyType, TheSameContentBuiltInAnotherOrderIsEqual) {
  const auto types = every_type();
  const auto type =
      std::find_if(types.begin(), types.end(), [](const ChunkType& t) { return t.name == "uart16550"; });
  const SchemaModel model = model_of(*type);
  const auto build = [](bool swapped, bool store_default) {
    flatbuffers::FlatBufferBuilder fbb;
    fbb.ForceDefaults(store_default);
    const std::vector<std::uint8_t> bytes{1, 2};
    const auto fifo = fbb.CreateVector(bytes);
    schema::Uart16550Builder uart(fbb);
    if (swapped) uart.add_lcr(3);
    uart.add_ier(5);
    if (!swapped) uart.add_lcr(3);
    uart.add_msr(0);
    uart.add_receive_fifo(fifo);
    schema::FinishUart16550Buffer(fbb, uart.Finish());
    const auto* begin = reinterpret_cast<const std::byte*>(fbb.GetBufferPointer());
    return ByteVector(begin, begin + fbb.GetSize());
  };
  const ByteVector plain = build(false, false);
  EXPECT_NE(plain, build(true, false));
  for (const ByteVector& other : {build(true, false), build(false, true)}) {
    const auto equal = equal_by_content(model, plain, other);
    ASSERT_TRUE(equal);
    EXPECT_TRUE(*equal);
  }
}

}  // namespace
}  // namespace vmsnap::reflect
