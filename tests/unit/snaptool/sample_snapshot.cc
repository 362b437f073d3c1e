// SPDX-License-Identifier: BSD-2-Clause
#include "sample_snapshot.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <utility>

#include "container/chunk_reader.h"
#include "format/constants.h"
#include "raw_snapshot.h"
#include "small_snapshot.h"
#include "snapshot/schema_meta.h"
#include "uart16550_generated.h"
#include "virtio_blk_generated.h"
#include "wormhole_generated.h"
#include "x86_cpu_generated.h"

namespace vmsnap {

std::vector<ChunkType> foreign_chunk_types();  // generated

namespace {

Uuid fixed_uuid() {
  Uuid uuid;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) uuid.bytes[i] = static_cast<std::byte>(i);
  return uuid;
}

template <typename T>
T required(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().to_string().c_str());
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

/// The FlatBuffer of a state given in the object form that flatc generates.
template <typename State>
ByteVector pack(const State& state, const char* identifier) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(State::TableType::Pack(builder, &state), identifier);
  const auto* begin = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {begin, begin + builder.GetSize()};
}

ByteVector cpu_state(std::uint32_t index, std::uint64_t rip) {
  schema::X86CpuT cpu;
  cpu.index = index;
  cpu.rip = rip;
  cpu.rflags = 2;
  cpu.rax = 0x1122334455667788;
  for (auto* segment : {&cpu.cs, &cpu.ds, &cpu.es, &cpu.fs, &cpu.gs, &cpu.ss, &cpu.tr, &cpu.ldtr}) {
    *segment = std::make_unique<schema::SegmentRegisterT>();
    (*segment)->selector = static_cast<std::uint16_t>(8 * (index + 1));
    (*segment)->limit = 0xFFFF;
  }
  cpu.gdtr = std::make_unique<schema::DescriptorTableRegisterT>();
  cpu.idtr = std::make_unique<schema::DescriptorTableRegisterT>();
  cpu.xsave_area.assign(576, 0);
  cpu.xsave_area[0] = 0x7F;
  cpu.xsave_area[1] = 0x03;
  cpu.tsc = 123456789;
  cpu.sysenter = std::make_unique<schema::SysenterRegistersT>();
  cpu.sysenter->cs = 0x10;
  cpu.memory_types = std::make_unique<schema::MemoryTypesT>();
  cpu.memory_types->pat = 0x0007040600070406;
  cpu.events = std::make_unique<schema::CpuEventsT>();
  return pack(cpu, schema::X86CpuIdentifier());
}

ByteVector uart_state() {
  schema::Uart16550T uart;
  uart.ier = 0x05;
  uart.lcr = 0x03;
  uart.lsr = 0x60;
  uart.dll = 0x01;
  uart.receive_fifo = {'h', 'i'};
  return pack(uart, schema::Uart16550Identifier());
}

ByteVector disk_state() {
  schema::VirtioBlkT disk;
  disk.pci = std::make_unique<schema::PciFunctionT>();
  disk.pci->config_space.assign(256, 0);
  disk.pci->config_space[0] = 0xF4;
  disk.pci->config_space[1] = 0x1A;
  for (const std::uint64_t size : {0x4000u, 0x1000u}) {
    auto bar = std::make_unique<schema::PciBarT>();
    bar->index = static_cast<std::uint8_t>(disk.pci->bars.size() * 2);
    bar->kind = schema::PciBarKind::Memory64;
    bar->size = size;
    disk.pci->bars.push_back(std::move(bar));
  }
  disk.virtio = std::make_unique<schema::VirtioDeviceT>();
  disk.virtio->device_status = 0x0F;
  auto queue = std::make_unique<schema::VirtqueueT>();
  queue->size = 256;
  queue->enabled = true;
  queue->descriptor_table = 0x7000;
  disk.virtio->queues.push_back(std::move(queue));
  disk.config = std::make_unique<schema::VirtioBlkConfigT>();
  disk.config->capacity = 2048;
  disk.serial = "vmsnap-disk0";
  return pack(disk, schema::VirtioBlkIdentifier());
}

DeviceEntry device(SampleDevice instance, std::string path, std::string type, ChunkVersion version) {
  DeviceEntry entry;
  entry.instance = instance;
  entry.path = std::move(path);
  entry.type = std::move(type);
  entry.version = version;
  entry.readable_since = version;
  return entry;
}

}  // namespace

ByteVector make_wormhole_state(std::uint8_t weather) {
  ::future::schema::WormholeT hole;
  hole.control = 0xCAFE;
  hole.local_time = -42;
  hole.open = true;
  hole.last_user = std::uint64_t{1} << 63;
  for (const char* name : {"Antares", "Vega"}) {
    auto exit = std::make_unique<::future::schema::ExitT>();
    exit->name = name;
    exit->weather = static_cast<::future::schema::Weather>(weather);
    exit->place = std::make_unique<::future::schema::Place>(7, static_cast<std::int16_t>(-3));
    hole.exits.push_back(std::move(exit));
  }
  hole.spins = {1, 2, 65535};
  ::future::schema::FogT fog;
  fog.sight = 2.5;
  hole.payload.Set(std::move(fog));
  hole.microcode = {0xDE, 0xAD, 0xBE, 0xEF};
  hole.label = "mind the gap";
  return pack(hole, ::future::schema::WormholeIdentifier());
}

std::vector<ChunkType> sample_chunk_types() {
  std::vector<ChunkType> types = device_chunk_types();
  for (const ChunkType& type : foreign_chunk_types()) types.push_back(type);
  return types;
}

Sample make_sample() {
  Sample sample;
  Manifest& manifest = sample.contents.manifest;
  manifest.producer_name = "sampler";
  manifest.producer_version = "0.9";
  manifest.created = 1767225600'500000000;  // 2026-01-01T00:00:00.5Z
  manifest.vcpu_count = 2;
  manifest.comment = "before the upgrade";
  manifest.devices = {device(kCpu0, "cpu0", "x86_cpu", {2, 0}), device(kCpu1, "cpu1", "x86_cpu", {2, 0}),
                      device(kUart, "isa0/uart@3f8", "uart16550", {1, 1}),
                      device(kDisk, "pci0/00:03.0", "virtio_blk", {1, 1}),
                      device(kWormhole, "void0", "wormhole", {7, 3})};
  manifest.devices[kUart].slots = {{"console0", SlotKind::kCharacterBackend, "", std::nullopt, false}};
  manifest.devices[kDisk].slots = {{"disk0", SlotKind::kBlockBackend, "/images/a.img", 1u << 20, true}};
  manifest.devices[kWormhole].readable_since = {7, 1};
  manifest.devices[kWormhole].features = {"time-travel"};
  manifest.devices[kWormhole].restore_after = {kCpu0};

  sample.low_memory.assign(64 << 10, std::byte{0});
  sample.boot_rom.assign(16 << 10, std::byte{0});
  sample.low_memory[0x5000] = std::byte{1};
  sample.boot_rom[0x20] = std::byte{2};
  sample.contents.memory_map.segments = {{0, "ram-low", SegmentKind::kSystemMemory, sample.low_memory.size()},
                                         {1, "bootrom", SegmentKind::kDeviceMemory, sample.boot_rom.size()}};
  sample.contents.memory_map.mappings = {{0, 0, Gpa(0), sample.low_memory.size(), false},
                                         {1, 0, Gpa(0xFFFFC000), sample.boot_rom.size(), true}};
  sample.contents.segments = {{sample.low_memory, false}, {sample.boot_rom, false}};
  sample.contents.device_states = {cpu_state(0, 0xFFF0), cpu_state(1, 0xFFFFFFFF81000000), uart_state(),
                                   disk_state(), make_wormhole_state()};
  return sample;
}

SnapshotSummary write_sample(const std::string& path, const SnapshotContents& contents) {
  SnapshotWriteOptions options;
  options.uuid = fixed_uuid();
  return required(write_snapshot(path, contents, sample_chunk_types(), options));
}

SnapshotSummary write_sample(const std::string& path) {
  return write_sample(path, make_sample().contents);
}

void add_unnamed_chunk(const std::string& from, const std::string& to, std::uint32_t flags) {
  test::RawSnapshot raw = test::RawSnapshot::parse(test::read_whole(from));
  const ChunkType wormhole = foreign_chunk_types().front();
  // The same schema under another file identifier.
  ByteVector new_schema(wormhole.schema.begin(), wormhole.schema.end());
  const ByteView old_letters = as_byte_view("xWRM");
  const ByteView new_letters = as_byte_view("xNEW");
  std::copy(new_letters.begin(), new_letters.end(),
            std::search(new_schema.begin(), new_schema.end(), old_letters.begin(), old_letters.end()));
  EmbeddedSchema schema;
  schema.id = 1000;
  schema.chunk_type = FourCc("xNEW");
  schema.name = "novelty";
  schema.version = {1, 4};
  schema.root_table = wormhole.root_table;
  schema.content_hash = xxh3_128(new_schema);
  raw.chunks.insert(raw.chunks.begin(),
                    {{kChunkSchema, 0, schema.id, kChunkCritical}, encode(schema), std::move(new_schema)});
  ByteVector state = make_wormhole_state();
  store_le<std::uint32_t>(state, 4, schema.chunk_type.value());
  raw.chunks.push_back({{schema.chunk_type, schema.id, 0, flags}, std::move(state), {}});
  test::write_whole(to, raw.bytes());
  std::filesystem::permissions(to, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

void flip_byte(const std::string& path, std::uint64_t offset) {
  const File file = required(File::open_for_writing(path));
  std::byte byte{};
  required(file.read_at(offset, {&byte, 1}));
  byte ^= std::byte{0x40};
  required(file.write_at(offset, {&byte, 1}));
}

void claim_next_major(const std::string& path) {
  const File file = required(File::open_for_writing(path));
  FileHeader header = required(read_file_header(file, required(file.size())));
  header.major = 2;
  required(file.write_at(0, encode(header)));
}

}  // namespace vmsnap
