// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bhyve/layout/layouts.h"
#include "bhyve_chunks.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::HasSubstr;

const Layout& layout_of(std::string_view chunk, std::string_view shape = "by axes") {
  return *find_layout(chunk, shape);
}

/// A chunk of zeros but for the numbers given, `extra` bytes longer than its layout says.
ByteVector chunk_with(const Layout& layout, const Context& context,
                      const std::vector<std::pair<std::string_view, std::uint64_t>>& numbers,
                      std::size_t extra = 0) {
  const ByteVector zeros(1 << 20);
  auto chunk = encode(layout, context, [&](const Field& field) -> std::optional<FieldValue> {
    for (const auto& [path, number] : numbers) {
      if (field.path == path) return number;
    }
    return ByteView(zeros).first(field.size);
  });
  if (!chunk) ADD_FAILURE() << chunk.error().to_string();
  chunk->resize(chunk->size() + extra);
  return *std::move(chunk);
}

Error error_of(const Layout& layout, const Context& context, ByteView chunk) {
  auto decoded = decode(layout, context, chunk);
  if (decoded) {
    ADD_FAILURE() << "the chunk was decoded";
    return Error(ErrorKind::kInternal, "");
  }
  return std::move(decoded).error();
}

Context nothing_attached() {
  Context context;
  context.uarts = context.usb_devices = 0;
  return context;
}

TEST(Decode, ReadsNumbersByTheirTypes) {
  Context context = nothing_attached();
  context.usb_devices = 1;
  const RandomChunk chunk = make_random_chunk(layout_of("virtio-blk"), context, 1);
  const auto decoded = decode(layout_of("virtio-blk"), context, chunk.bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->number("cfg.capacity")->bits,
            load_le<std::uint64_t>(chunk.values.at("cfg.capacity"), 0));
  EXPECT_EQ(decoded->number("config_space", 255)->bits,
            load_le<std::uint8_t>(chunk.values.at("config_space"), 255));
  EXPECT_FALSE(decoded->number("config_space", 256));
  EXPECT_FALSE(decoded->number("cfg.serial"));
  EXPECT_FALSE(decoded->bytes("cfg"));
  EXPECT_EQ(decoded->find("config_space")->count(), 256u);

  const std::byte minus_two[] = {std::byte{0xfe}, std::byte{0xff}, std::byte{0xff}, std::byte{0xff}};
  EXPECT_EQ(load_number(Type::kI32, minus_two).bits, ~std::uint64_t{1});
  EXPECT_TRUE(load_number(Type::kI32, minus_two).is_negative);
  EXPECT_EQ(load_number(Type::kU32, minus_two).bits, 0xfffffffeu);
  EXPECT_FALSE(load_number(Type::kU32, minus_two).is_negative);
  EXPECT_EQ(load_number(Type::kI16, minus_two).bits, ~std::uint64_t{1});
  EXPECT_TRUE(load_number(Type::kI8, minus_two).is_negative);
}

TEST(Decode, RefusesANegativeCount) {
  const Layout& layout = layout_of("hostbridge");
  ByteVector chunk = chunk_with(layout, nothing_attached(), {});
  store_le(MutableByteView(chunk), 40, std::uint32_t{0x80000001});
  Context context = nothing_attached();
  context.file_offset = 1000;
  const Error error = error_of(layout, context, chunk);
  EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(error.field(), "msix.table_count");
  EXPECT_EQ(error.offset(), 1040u);
  EXPECT_EQ(error.chunk(), "hostbridge");
  EXPECT_THAT(error.message(), HasSubstr("-2147483647"));
}

TEST(Decode, RefusesACountThatTheChunkHasNoRoomFor) {
  const Layout& layout = layout_of("hostbridge");
  ByteVector chunk = chunk_with(layout, nothing_attached(), {}, 40);
  store_le(MutableByteView(chunk), 40, std::uint32_t{0x7fffffff});
  const Error error = error_of(layout, nothing_attached(), chunk);
  EXPECT_EQ(error.kind(), ErrorKind::kTruncated);
  EXPECT_EQ(error.field(), "msix.table[2].msg_data");
}

TEST(Decode, RefusesAChunkOfTooManyFields) {
  Context context = nothing_attached();
  context.uarts = std::nullopt;
  const Layout& layout = layout_of("lpc");
  const ByteVector chunk = chunk_with(layout, nothing_attached(), {}, 42 * 20000);
  const Error error = error_of(layout, context, chunk);
  EXPECT_EQ(error.kind(), ErrorKind::kLimitExceeded);
  EXPECT_THAT(error.field(), HasSubstr("uart["));
}

TEST(Decode, AsksForTheNumberOfVcpus) {
  for (const std::string_view chunk : {"vm", "vmcx", "vlapic"}) {
    const Layout& layout = *layouts_of(chunk).back();
    const Error error = error_of(layout, {}, ByteVector(5000));
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidState);
    EXPECT_THAT(error.message(), HasSubstr("number of vCPUs"));
  }
}

TEST(Decode, EndsAnAbsurdNumberOfVcpusWhereTheChunkEnds) {
  Context context;
  context.vcpus = ~std::uint64_t{0};
  EXPECT_EQ(error_of(layout_of("vmcx", "Intel C"), context, ByteVector(2000)).field(), "vcpu[2].FS.base");
  EXPECT_FALSE(size_in(layout_of("vmcx", "Intel C"), context));
}

TEST(Decode, CallsTheRecordsOfAbsentVcpusMeaningless) {
  Context context;
  context.vcpus = 2;
  const RandomChunk chunk = make_random_chunk(layout_of("vm", "A"), context, 1);
  const auto decoded = decode(layout_of("vm", "A"), context, chunk.bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->find("vcpu[1].exitinfo.rip")->mark, Mark::kNone);
  EXPECT_EQ(decoded->find("vcpu[2].exitinfo.rip")->mark, Mark::kMeaningless);
  EXPECT_EQ(decoded->find("vcpu[15].tsc")->remark, "the machine has no such vCPU");
}

TEST(Decode, SaysWhatBhyveComparesAndWhatMeansNothing) {
  const Layout& layout = layout_of("virtio-rnd");
  const ByteVector chunk = chunk_with(layout, {}, {{"vc_nvq", 1}, {"queue[0].vq_qsize", 64}});
  const auto decoded = decode(layout, {}, chunk);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->find("vc_nvq")->mark, Mark::kCompared);
  EXPECT_EQ(decoded->find("queue[0].vq_flags")->mark, Mark::kNone);
  EXPECT_EQ(decoded->find("queue[0].ring"), nullptr);
  const ByteVector vmcx(920);
  Context one;
  one.vcpus = 1;
  EXPECT_EQ(decode(layout_of("vmcx", "Intel C"), one, vmcx)->find("vcpu[0].IDTR.access")->mark,
            Mark::kMeaningless);
  EXPECT_EQ(decode(layout_of("vmcx", "Intel C"), one, vmcx)->find("vcpu[0].TR.access")->mark, Mark::kNone);
}

TEST(Decode, ReadsTheRequestsOfAnAhciPortUpToTheEndsOfTheirLists) {
  Context context;
  context.set_shapes(Shape::kA);
  const std::uint32_t free[] = {4, 2, ~0u};
  std::uint64_t ports = 0;
  const ByteVector zeros(4096);
  const auto chunk = encode(layout_of("ahci"), context, [&](const Field& field) -> std::optional<FieldValue> {
    const std::string_view path = field.path;
    if (path.ends_with(".bctx")) return std::uint64_t{ports++ == 1};
    if (path.ends_with(".ioqsz")) return std::uint64_t{5};
    if (path.ends_with(".free")) return as_byte_view(free, sizeof free);
    if (path.ends_with("busy[0].index")) return std::int64_t{3};
    if (path.ends_with("busy[1].index")) return std::int64_t{-1};
    if (path.ends_with(".br_iovcnt")) return std::uint64_t{2};
    return ByteView(zeros).first(field.size);
  });
  ASSERT_TRUE(chunk) << chunk.error().to_string();
  EXPECT_EQ(chunk->size(), 436u + 52 + 32 * 12 + 643 + 5 * 28 + 12 + (4 + 20 + 2 * 16) + 4 + 44);
  const auto decoded = decode(layout_of("ahci"), context, *chunk);
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_TRUE(decoded->trailing().empty());
  EXPECT_EQ(decoded->find("port[1].free")->count(), 3u);
  EXPECT_NE(decoded->find("port[1].ioreq[4].readop"), nullptr);
  EXPECT_NE(decoded->find("port[1].busy[0].iov[1].iov_base"), nullptr);
  EXPECT_EQ(decoded->find("port[1].busy[1].br_iovcnt"), nullptr);
  EXPECT_TRUE(decoded->number("port[1].busy[1].index")->is_negative);
  EXPECT_EQ(decoded->find("port[0].cmd_lst"), nullptr);
}

/// An xHCI chunk with one device of the name, in slot 1.
ByteVector xhci_with(std::string_view name) {
  Context context;
  context.usb_devices = 1;
  ByteVector padded(128);
  std::copy_n(as_byte_view(name).begin(), name.size(), padded.begin());
  const ByteVector zeros(4096);
  bool named = false;
  auto chunk = encode(layout_of("xhci"), context, [&](const Field& field) -> std::optional<FieldValue> {
    if (field.path == "device[1].index" || field.path == "slot[1].map") return std::uint64_t{1};
    if (field.path == "device[1].name") {
      // The layout does not go on behind a device it does not know, so that it is renamed below.
      named = true;
      const std::string_view known = "tablet";
      std::fill(padded.begin(), padded.end(), std::byte{0});
      std::copy_n(as_byte_view(known).begin(), known.size(), padded.begin());
      return ByteView(padded);
    }
    if (field.item->name == "map") return std::uint64_t{8};
    return ByteView(zeros).first(field.size);
  });
  EXPECT_TRUE(chunk) << chunk.error().to_string();
  EXPECT_TRUE(named);
  std::fill_n(chunk->begin() + 452 + 160 + 4, 128, std::byte{0});
  std::copy_n(as_byte_view(name).begin(), name.size(), chunk->begin() + 452 + 160 + 4);
  return *std::move(chunk);
}

TEST(Decode, FindsTheUsbDevicesAndTheirSlots) {
  const ByteVector chunk = xhci_with("tablet");
  EXPECT_EQ(chunk.size(), 452u + 160 + 132 + 16 + 64 * 4 + (8 + 31 * 8 + 4 + 33 + 8) + 8);
  const auto decoded = decode(layout_of("xhci"), {}, chunk);
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(decoded->context().usb_devices, 1u);
  ASSERT_NE(decoded->find("slot[1].ep[31].xfer"), nullptr);
  EXPECT_EQ(decoded->find("slot[1].ep[31].xfer")->mark, Mark::kNone);  // it is 0, which means something
  EXPECT_NE(decoded->find("slot[1].tablet.report.x"), nullptr);
  EXPECT_EQ(decoded->find("slot[2].dev_ctx"), nullptr);
  EXPECT_TRUE(decoded->trailing().empty());
}

TEST(Decode, RefusesAUsbDeviceWhoseRecordNobodyKnows) {
  const Error error = error_of(layout_of("xhci"), {}, xhci_with("k\x01yboard"));
  EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(error.field(), "slot[1].tablet");
  EXPECT_THAT(error.message(), HasSubstr("\"k?yboard\""));
}

TEST(Encode, NamesTheFieldThatHasNoValueOrOneThatDoesNotFit) {
  const Layout& layout = layout_of("vhpet", "A");
  const ByteVector zeros(64);
  const auto with = [&](std::string_view path, std::optional<FieldValue> value) {
    return encode(layout, {}, [&](const Field& field) -> std::optional<FieldValue> {
      return field.path == path ? value : ByteView(zeros).first(field.size);
    });
  };
  const auto missing = with("timer[3].compval", std::nullopt);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kInvalidState);
  EXPECT_EQ(missing.error().field(), "timer[3].compval");
  EXPECT_EQ(missing.error().chunk(), "vhpet");
  EXPECT_TRUE(with("timer[3].compval", std::uint64_t{0xffffffff}));
  EXPECT_THAT(with("timer[3].compval", std::uint64_t{1} << 32).error().message(),
              HasSubstr("4294967296 does not fit"));
  EXPECT_FALSE(with("timer[3].compval", std::int64_t{-1}));
  EXPECT_FALSE(with("timer[3].compval", ByteView(zeros).first(3)));
  EXPECT_TRUE(with("freq_sbt", std::int64_t{-1}));
  EXPECT_FALSE(with("freq_sbt", ~std::uint64_t{0}));
  const auto signed_field = [&](std::int64_t value) {
    return encode(layout_of("vpmtmr", "A"), {},
                  [&](const Field&) -> std::optional<FieldValue> { return value; });
  };
  EXPECT_TRUE(signed_field(7));
  EXPECT_FALSE(signed_field(-7));
}

TEST(Encode, AsksForEveryCountOfTheContext) {
  const RandomChunk chunk = make_random_chunk(layout_of("lpc"), nothing_attached(), 1);
  const auto encoded = encode(layout_of("lpc"), {}, [&](const Field& field) -> std::optional<FieldValue> {
    return ByteView(chunk.values.at(field.path));
  });
  ASSERT_FALSE(encoded);
  EXPECT_EQ(encoded.error().kind(), ErrorKind::kInvalidState);
  EXPECT_THAT(encoded.error().message(), HasSubstr("number of UARTs"));
}

TEST(Encode, RefusesAListThatDoesNotEndWithItsOnlyMinusOne) {
  Context context;
  context.set_shapes(Shape::kA);
  const auto with_list = [&](const std::vector<std::uint32_t>& list) {
    const ByteVector zeros(4096);
    return encode(layout_of("ahci"), context, [&](const Field& field) -> std::optional<FieldValue> {
      if (field.item->name == "bctx") return std::uint64_t{1};
      if (field.item->name == "index") return std::int64_t{-1};
      if (field.item->name == "free") return as_byte_view(list.data(), 4 * list.size());
      return ByteView(zeros).first(field.size);
    });
  };
  EXPECT_TRUE(with_list({1, ~0u}));
  for (const std::vector<std::uint32_t>& list :
       std::vector<std::vector<std::uint32_t>>{{}, {1}, {1, ~0u, 2}, {~0u, ~0u}}) {
    const auto encoded = with_list(list);
    ASSERT_FALSE(encoded);
    EXPECT_EQ(encoded.error().field(), "port[0].free");
  }
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
