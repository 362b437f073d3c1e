// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/read_set.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/checked.h"
#include "bhyve/convert/engine/field_values.h"
#include "bhyve/convert/mapping.h"
#include "bhyve/layout/decode.h"
#include "bhyve/layout/encode.h"
#include "bhyve/layout/layouts.h"
#include "bhyve/set/shown.h"
#include "format/constants.h"

namespace vmsnap::compat::bhyve {
namespace {

/// The host bridge that bhyve shows to every guest.
constexpr struct {
  std::size_t offset;
  std::uint8_t value;
} kHostBridgeBytes[] = {
    {0x00, 0x75}, {0x01, 0x12}, {0x02, 0x75}, {0x03, 0x12},  // vendor and device 1275h
    {0x0b, 0x06},                                            // a bridge, to the host
    {0x06, 0x10}, {0x34, 0x40},                              // it has capabilities, from 40h on
    {0x40, 0x10}, {0x42, 0x42},                              // PCI Express, version 2, a root port
    {0x4c, 0x11}, {0x4d, 0x04}, {0x52, 0x11},                // a link of 2.5 GT/s, one lane
};

/// One chunk on its way.
struct Chunk {
  const ChosenLayout* chosen = nullptr;
  std::string_view name;  // of the layout
  ByteVector bytes;
  std::optional<Decoded> decoded;
  std::string device_path;
  const Mapping* mapping = nullptr;
  std::vector<std::string> devices;
  std::string why_not;  // it is kept as it is
};

class Reader {
 public:
  Reader(const LegacySet& set, const ChosenLayouts& layouts, OverlaidMemory& memory,
         const std::vector<SaidPlace>& said)
      : set_(set),
        layouts_(layouts),
        memory_(memory),
        said_(said),
        result_{Machine(layouts.vcpus, layouts.vendor, memory), {}, {}, {}} {}

  Result<ReadSet> read() {
    VMSNAP_RETURN_IF_ERROR(read_frame());
    VMSNAP_RETURN_IF_ERROR(read_chunks());
    VMSNAP_RETURN_IF_ERROR(run_up());
    VMSNAP_RETURN_IF_ERROR(make_host_bridge());
    for (std::size_t i = 0; i < chunks_.size(); ++i) {
      auto kept = keep(chunks_[i], result_.private_state.chunks[i]);
      if (!kept) return std::move(std::move(kept).error().in_chunk(label_of(*chunks_[i].chosen->entry)));
    }
    note_single_devices();
    result_.report.not_in_file = result_.machine.not_in_file();
    return std::move(result_);
  }

 private:
  Result<void> read_frame() {
    const Meta& meta = set_.meta();
    PrivateState& state = result_.private_state;
    state.vendor = layouts_.vendor;
    state.context = layouts_.context;
    state.vm_name = meta.vmname;
    state.memflags = meta.memflags;
    state.kernel_key = meta.kernel_key;
    state.devices_key = meta.devices_key;
    const auto usual = write_meta(meta);
    const bool is_usual = usual && *usual == set_.meta_text() && meta.ncpus == layouts_.vcpus;
    if (!is_usual) state.meta_text = set_.meta_text();
    return read_gaps();
  }

  Result<void> read_gaps() {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> used;  // begin and end
    for (const ChosenLayout& chosen : layouts_.entries) {
      const std::uint64_t begin = chosen.entry->file_offset;
      const auto end = checked_add(begin, chosen.entry->size);
      if (end) used.emplace_back(begin, *end);
    }
    std::sort(used.begin(), used.end());
    used.emplace_back(set_.kern_size(), set_.kern_size());
    std::uint64_t at = 0;
    std::uint64_t total = 0;
    for (const auto& [begin, end] : used) {
      const std::uint64_t limit = std::min(begin, set_.kern_size());
      if (limit > at) {
        total += limit - at;
        VMSNAP_RETURN_IF_ERROR(read_gap(at, limit, total));
      }
      at = std::max(at, end);
    }
    return {};
  }

  Result<void> read_gap(std::uint64_t begin, std::uint64_t end, std::uint64_t total) {
    constexpr std::uint64_t kMost = std::uint64_t{8} << 20;
    if (total > kMost) {
      return Error(ErrorKind::kLimitExceeded,
                   fmt::format("more than {} bytes belong to no chunk; the .meta file is wrong", kMost))
          .in_file(set_.kern().name())
          .at_offset(begin);
    }
    PrivateGap& gap = result_.private_state.gaps.emplace_back();
    gap.file_offset = begin;
    gap.bytes.resize(end - begin);
    return set_.kern().read_at(begin, gap.bytes);
  }

  Result<void> read_chunks() {
    VMSNAP_ASSIGN_OR_RETURN(const std::vector<PciPlace> places, find_places());
    chunks_.reserve(layouts_.entries.size());
    for (std::size_t i = 0; i < layouts_.entries.size(); ++i) {
      const ChosenLayout& chosen = layouts_.entries[i];
      Chunk& chunk = chunks_.emplace_back();
      chunk.chosen = &chosen;
      PrivateChunk& kept = result_.private_state.chunks.emplace_back();
      kept.is_kernel = chosen.is_kernel;
      kept.entry = *chosen.entry;
      if (chosen.entry->size > 0) {
        VMSNAP_ASSIGN_OR_RETURN(chunk.bytes, set_.read(*chosen.entry));
      }
      chunk.why_not = chosen.why_not;
      if (chosen.layout == nullptr || chosen.entry->size == 0) continue;
      chunk.name = chosen.layout->chunk;
      if (is_pci(chunk) && places[i].path.empty()) {
        chunk.name = {};
        chunk.why_not = "another chunk stands for the device at the same place";
        continue;
      }
      auto decoded = decode(*chosen.layout, chosen.context, chunk.bytes);
      if (!decoded) return std::move(std::move(decoded).error().in_file(set_.kern().name()));
      fields_ += decoded->fields().size();
      if (fields_ > kMaxFieldsOfSet) {
        return Error(ErrorKind::kLimitExceeded,
                     fmt::format("with this chunk all together have more than {} fields, which no machine of "
                                 "bhyve's has; the .meta file is wrong",
                                 kMaxFieldsOfSet))
            .in_file(set_.kern().name())
            .at_offset(chosen.entry->file_offset)
            .in_chunk(label_of(*chosen.entry));
      }
      chunk.decoded = std::move(*decoded);
      chunk.device_path = places[i].path;
      if (places[i].is_invented) {
        note(chunk, fmt::format("the snapshot does not say where on the bus it sits; it is taken to be at {}",
                                chunk.device_path));
      }
      chunk.mapping = find_mapping(chunk.name);
      if (chunk.name == "fbuf") find_pixels(chunk);
    }
    return {};
  }

  static bool is_pci(const Chunk& chunk) { return !chunk.chosen->is_kernel && chunk.name != "atkbdc"; }

  [[nodiscard]] Result<std::vector<PciPlace>> find_places() const {
    std::vector<NamedDevice> devices;
    for (const ChosenLayout& chosen : layouts_.entries) {
      const bool is_known = !chosen.is_kernel && chosen.layout != nullptr && chosen.entry->size > 0;
      NamedDevice& device = devices.emplace_back();
      device.name = chosen.entry->name;
      if (is_known) device.chunk = chosen.layout->chunk;
      for (const SaidPlace& place : said_) {
        if (is_known && place.name == device.name && place.name != "atkbdc") device.said = place.address;
      }
    }
    for (const SaidPlace& place : said_) VMSNAP_RETURN_IF_ERROR(check_is_there(place, devices));
    std::vector<PciPlace> places = assign_places(devices);
    for (std::size_t i = 0; i < devices.size(); ++i) {
      if (!devices[i].said || address_of(places[i].path) == devices[i].said) continue;
      return Error(ErrorKind::kUsage,
                   fmt::format("{} cannot sit where --place says, because another device does",
                               shown(devices[i].name)));
    }
    return places;
  }

  static Result<void> check_is_there(const SaidPlace& place, const std::vector<NamedDevice>& devices) {
    std::vector<std::string> names;
    for (const NamedDevice& device : devices) {
      if (device.chunk.empty() || device.chunk == "atkbdc" || parse_device_name(device.name).pci) continue;
      if (device.name == place.name) return {};
      names.push_back(shown(device.name));
    }
    return Error(ErrorKind::kUsage,
                 fmt::format("the snapshot has no device {} whose place is to be said; {}", shown(place.name),
                             names.empty() ? "it says all places itself"
                                           : fmt::format("there are {}", fmt::join(names, ", "))));
  }

  Result<void> run_up() {
    for (const Mapping* mapping : all_mappings()) {
      for (Chunk& chunk : chunks_) {
        if (chunk.mapping != mapping) continue;
        const SourceChunk source{*chunk.decoded, layouts_.vendor, chunk.device_path};
        auto done = mapping->up(source, result_.machine);
        chunk.devices = result_.machine.take_used();
        if (!done) {
          return std::move(std::move(done)
                               .error()
                               .in_file(set_.kern().name())
                               .at_offset(chunk.chosen->entry->file_offset)
                               .in_chunk(label_of(*chunk.chosen->entry)));
        }
      }
    }
    return {};
  }

  void find_pixels(const Chunk& chunk) {
    const Field* field = chunk.decoded->find(kFramebufferItem);
    if (field == nullptr || result_.pixels) return;
    constexpr std::uint64_t kMemory32 = 2;
    constexpr std::uint64_t kMemory64 = 3;
    Pixels pixels{chunk.chosen->entry->file_offset + field->offset, field->size, {}};
    const auto type = chunk.decoded->number("bar[1].type");
    const auto address = chunk.decoded->number("bar[1].addr");
    if (type && address && (type->bits == kMemory32 || type->bits == kMemory64) && address->bits != 0 &&
        address->bits % kPageSize == 0) {
      pixels.address = Gpa(address->bits);
    }
    result_.pixels = pixels;
  }

  /// Generations A and B save no host bridge, but every guest of theirs has one.
  Result<void> make_host_bridge() {
    if (result_.machine.find(kHostBridgePath) != nullptr) return {};
    const bool has_pci = std::any_of(chunks_.begin(), chunks_.end(),
                                     [](const Chunk& chunk) { return !chunk.device_path.empty(); });
    if (!has_pci) return {};
    for (const Chunk& chunk : chunks_) {
      if (chunk.device_path == kHostBridgePath) return {};
    }
    VMSNAP_ASSIGN_OR_RETURN(StateTree * bridge, result_.machine.device(kHostBridgePath, "pci_host"));
    std::vector<std::uint8_t> config(256);
    for (const auto& byte : kHostBridgeBytes) config[byte.offset] = byte.value;
    VMSNAP_RETURN_IF_ERROR(bridge->set("function.config_space", config));
    VMSNAP_RETURN_IF_ERROR(bridge->make("function.bars"));
    result_.machine.not_in_file({std::string(kHostBridgePath), "the host bridge", "that of every bhyve",
                                 "the guest finds the bridge that it knows"});
    return {};
  }

  /// Generations A and B save the first device of each kind, and do not say whether there were more.
  void note_single_devices() {
    const bool is_placed = std::any_of(chunks_.begin(), chunks_.end(), [](const Chunk& chunk) {
      return parse_device_name(chunk.chosen->entry->name).pci.has_value();
    });
    const bool has_pci = std::any_of(chunks_.begin(), chunks_.end(),
                                     [](const Chunk& chunk) { return !chunk.device_path.empty(); });
    if (is_placed || !has_pci) return;
    result_.report.remarks.push_back(
        {Remark::Kind::kNote, "devices",
         "13.0 to 13.2 save the first device of each kind only; if the guest had a second disk or network "
         "adapter of a kind, its state is not in the file"});
  }

  Result<void> keep(const Chunk& chunk, PrivateChunk& kept) {
    ChunkReport report;
    report.chunk = label_of(*chunk.chosen->entry);
    if (!chunk.decoded) {
      if (!chunk.bytes.empty()) {
        note(chunk, fmt::format("it is kept as it is: {}", chunk.why_not));
        kept.items.push_back({std::string(kWholeItem), std::nullopt, chunk.bytes});
        report.fields.push_back({std::string(kWholeItem), FieldFate::kPrivate, chunk.why_not});
      }
      result_.report.chunks.push_back(std::move(report));
      return {};
    }
    const Decoded& decoded = *chunk.decoded;
    kept.chunk = chunk.name;
    kept.layout = decoded.layout().shape;
    report.layout = kept.layout;
    VMSNAP_ASSIGN_OR_RETURN(const Values values, run_down(chunk));
    for (const Field& field : decoded.fields()) keep(chunk, field, values, kept, report);
    if (!decoded.trailing().empty()) {
      const ByteView tail = decoded.trailing();
      kept.items.push_back({std::string(kTailItem), std::nullopt, ByteVector(tail.begin(), tail.end())});
      report.fields.push_back(
          {std::string(kTailItem), FieldFate::kPrivate, "bytes behind the last field, which bhyve ignores"});
    }
    kept.devices = chunk.devices;
    report.devices = kept.devices;
    result_.report.chunks.push_back(std::move(report));
    return {};
  }

  /// What the mapping would write from the devices.
  Result<Values> run_down(const Chunk& chunk) {
    Context context = chunk.decoded->context();
    TargetChunk target{chunk.decoded->layout(), context, layouts_.vendor, chunk.device_path,
                       chunk.bytes.size(),      {}};
    if (chunk.mapping != nullptr) VMSNAP_RETURN_IF_ERROR(chunk.mapping->down(result_.machine, target));
    return std::move(target.values);
  }

  void keep(const Chunk& chunk, const Field& field, const Values& values, PrivateChunk& kept,
            ChunkReport& report) {
    const ByteView bytes = chunk.decoded->bytes(field);
    FieldReport said{field.path, FieldFate::kMapped, {}};
    if (result_.pixels && chunk.name == "fbuf" && field.path == kFramebufferItem) {
      said.remark = "the segment framebuffer";
      report.fields.push_back(std::move(said));
      return;
    }
    const Values::Value* value = values.find(field.path);
    const auto again = value == nullptr ? std::nullopt : field_bytes(field, value->content);
    if (again && std::equal(again->begin(), again->end(), bytes.begin(), bytes.end())) {
      if (value->origin == Origin::kDerived) said.fate = FieldFate::kRecomputed;
      if (is_ring(field)) keep_memory_before(*chunk.decoded, field, kept, report);
    } else {
      said.fate = field.mark == Mark::kMeaningless ? FieldFate::kMeaningless : FieldFate::kPrivate;
      if (said.fate == FieldFate::kMeaningless) {
        said.remark = field.remark;
      } else if (value != nullptr) {
        said.remark = "hardware cannot hold it as it is, or says something else";
      }
      kept.items.push_back(item_of(field, bytes));
    }
    report.fields.push_back(std::move(said));
  }

  /// The ring went to memory, as when bhyve restores; what it hides there is not lost either.
  void keep_memory_before(const Decoded& decoded, const Field& ring, PrivateChunk& kept,
                          ChunkReport& report) {
    const auto address = decoded.number(ring_address(ring));
    if (!address) return;
    auto before = memory_.read_original(Gpa(address->bits), ring.size);
    const ByteView bytes = decoded.bytes(ring);
    if (!before || std::equal(before->begin(), before->end(), bytes.begin(), bytes.end())) return;
    report.fields.push_back(
        {ring_before(ring), FieldFate::kPrivate, "what guest memory holds where bhyve would put the ring"});
    kept.items.push_back({ring_before(ring), std::nullopt, std::move(*before)});
  }

  void note(const Chunk& chunk, std::string sentence) {
    result_.report.remarks.push_back(
        {Remark::Kind::kNote, label_of(*chunk.chosen->entry), std::move(sentence)});
  }

  const LegacySet& set_;
  const ChosenLayouts& layouts_;
  OverlaidMemory& memory_;
  const std::vector<SaidPlace>& said_;
  ReadSet result_;
  std::size_t fields_ = 0;  // of all chunks
  std::vector<Chunk> chunks_;
};

}  // namespace

Result<ReadSet> read_set(const LegacySet& set, const ChosenLayouts& layouts, OverlaidMemory& memory,
                         const std::vector<SaidPlace>& said) {
  return Reader(set, layouts, memory, said).read();
}

}  // namespace vmsnap::compat::bhyve
