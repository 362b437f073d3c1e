// SPDX-License-Identifier: BSD-2-Clause
#include "small_snapshot.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "container/flatbuffer.h"
#include "mc146818_generated.h"
#include "uart16550_generated.h"

namespace vmsnap::test {
namespace {

template <typename T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "test support: %s\n", result.error().to_string().c_str());
    std::abort();
  }
  return std::move(result).value();
}

void must(const Result<void>& result) {
  if (result) return;
  std::fprintf(stderr, "test support: %s\n", result.error().to_string().c_str());
  std::abort();
}

/// Bytes that do not repeat within a page and differ from page to page.
void fill(MutableByteView bytes, std::uint64_t seed) {
  std::uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (std::byte& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<std::byte>(state >> 56);
  }
}

void fill_page(ByteVector& segment, std::uint64_t offset, std::uint64_t seed) {
  fill(MutableByteView(segment).subspan(offset, kPageSize), seed);
}

}  // namespace

Uuid test_uuid() {
  Uuid uuid;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) uuid.bytes[i] = static_cast<std::byte>(0x11 * i);
  uuid.bytes[6] = std::byte{0x46};
  return uuid;
}

ByteVector uart_state(std::uint8_t scratch) {
  schema::Uart16550T uart;
  uart.ier = 0x05;
  uart.fcr = 0x01;
  uart.lcr = 0x03;
  uart.mcr = 0x0b;
  uart.lsr = 0x61;
  uart.msr = 0xb0;
  uart.scr = scratch;
  uart.dll = 0x01;
  uart.receive_fifo = {'l', 's', '\n'};
  flatbuffers::FlatBufferBuilder builder;
  schema::FinishUart16550Buffer(builder, schema::Uart16550::Pack(builder, &uart));
  return take_bytes(builder);
}

ByteVector rtc_state() {
  schema::Mc146818T rtc;
  rtc.index = 0x0f;
  rtc.time_registers = std::make_unique<schema::Mc146818TimeT>();
  rtc.time_registers->hours = 0x22;
  rtc.alarm_registers = std::make_unique<schema::Mc146818AlarmT>();
  rtc.alarm_registers->hours = 0x07;
  rtc.register_a = 0x26;
  rtc.register_b = 0x02;
  rtc.register_d = 0x80;
  rtc.nvram.resize(114);
  for (std::size_t i = 0; i < rtc.nvram.size(); ++i) rtc.nvram[i] = static_cast<std::uint8_t>(i + 0x0e);
  rtc.time = 1'700'000'000;
  rtc.divider_phase = 250'000'000;
  flatbuffers::FlatBufferBuilder builder;
  schema::FinishMc146818Buffer(builder, schema::Mc146818::Pack(builder, &rtc));
  return take_bytes(builder);
}

SmallSnapshot::SmallSnapshot(const SmallSnapshotOptions& options) {
  ByteVector& low = segments_.emplace_back(options.ram_low_size);
  for (std::uint64_t at = 0; at < low.size(); at += kPageSize) {
    if (at != 2 * kPageSize) fill_page(low, at, at + 1);
  }
  ByteVector& rom = segments_.emplace_back(kPageSize);
  fill_page(rom, 0, 77);
  if (options.large_segment) {
    ByteVector& high = segments_.emplace_back((2u << 20) + (68u << 10));
    fill_page(high, 0, 1000);
    fill_page(high, (3u << 18) + 5 * kPageSize, 1001);
    fill_page(high, high.size() - kPageSize, 1002);
  }
}

SnapshotContents SmallSnapshot::contents() const {
  SnapshotContents contents;
  Manifest& manifest = contents.manifest;
  manifest.producer_name = "small-snapshot";
  manifest.producer_version = "1.0";
  manifest.created = 1'700'000'000'123'456'789;
  manifest.release_level = 2;
  manifest.vcpu_count = 0;
  manifest.comment = "for tests";
  manifest.devices = {
      {0,
       "isa0/uart@3f8",
       "uart16550",
       {1, 1},
       {1, 0},
       {},
       {},
       {{"console0", SlotKind::kCharacterBackend, "stdio", {}, false}}},
      {1, "isa0/rtc@70", "mc146818", {2, 0}, {2, 0}, {"alarm"}, {}, {}},
      {2,
       "isa0/uart@2f8",
       "uart16550",
       {1, 1},
       {1, 0},
       {},
       {0, 1},
       {{"disk0", SlotKind::kBlockBackend, "", 4096, true}}},
  };
  contents.device_states = {uart_state(0x5a), rtc_state(), uart_state(0xa5)};

  const std::uint64_t low_size = segments_[0].size();
  contents.memory_map.segments = {{0, "ram-low", SegmentKind::kSystemMemory, low_size},
                                  {1, "bootrom", SegmentKind::kDeviceMemory, kPageSize}};
  contents.memory_map.mappings = {{0, 0, Gpa(0), low_size, false},
                                  {1, 0, Gpa(0xffff'0000), kPageSize, true},
                                  {1, 0, Gpa(0xffff'f000), kPageSize, true}};
  if (segments_.size() > 2) {
    contents.memory_map.segments.push_back({2, "ram-high", SegmentKind::kSystemMemory, segments_[2].size()});
    contents.memory_map.mappings.push_back({2, 0, Gpa(0x1'0000'0000), segments_[2].size(), false});
  }
  for (const ByteVector& segment : segments_) contents.segments.push_back({segment, false});
  return contents;
}

ByteVector SmallSnapshot::bytes(RamEncoding encoding, Codec codec) const {
  const File file = memory_file({});
  SnapshotWriteOptions options;
  options.uuid = test_uuid();
  options.body_align_shift = kMinBodyAlignShift;
  options.encoding = encoding;
  options.codec = codec;
  must(write_snapshot(file, contents(), device_chunk_types(), options));
  return read_whole(file);
}

File memory_file(ByteView bytes) {
  File file = File::adopt(UniqueFd(::memfd_create("vmsnap-test", MFD_CLOEXEC)), "memory");
  must(file.write_at(0, bytes));
  return file;
}

ByteVector read_whole(const File& file) {
  ByteVector bytes(must(file.size()));
  must(file.read_at(0, bytes));
  return bytes;
}

ByteVector read_whole(const std::string& path) {
  return read_whole(must(File::open_for_reading(path)));
}

void write_whole(const std::string& path, ByteView bytes) {
  std::FILE* stream = std::fopen(path.c_str(), "wb");
  if (stream == nullptr || std::fwrite(bytes.data(), 1, bytes.size(), stream) != bytes.size() ||
      std::fclose(stream) != 0) {
    std::perror(path.c_str());
    std::abort();
  }
}

}  // namespace vmsnap::test
