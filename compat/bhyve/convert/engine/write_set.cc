// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/write_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/checked.h"
#include "bhyve/convert/engine/field_values.h"
#include "bhyve/convert/engine/read_set.h"
#include "bhyve/convert/engine/target_shape.h"
#include "bhyve/convert/mapping.h"
#include "bhyve/layout/decode.h"
#include "bhyve/layout/encode.h"
#include "bhyve/layout/walk.h"
#include "bhyve/set/legacy_set.h"
#include "bhyve/set/shown.h"

namespace vmsnap::compat::bhyve {
namespace {

/// What is written where 13.2 writes an empty vmx: the hook of bhyve reads nothing of it.
constexpr std::size_t kDummySize = 8;

static_assert(kMaxEncodedSize == kMaxLegacyChunkSize);
/// Of all chunks together, which are in memory at once.
constexpr std::uint64_t kMostBytes = std::uint64_t{512} << 20;

/// Last parts of the paths of addresses in the memory of a host that is gone.
constexpr std::string_view kHostAddresses[] = {"nptp", "npt_base", "io_perm", "msr_perm"};

bool is_host_address(const Field& field) {
  const std::string_view path = field.path;
  const std::size_t dot = path.rfind('.');
  const std::string_view name = dot == std::string_view::npos ? path : path.substr(dot + 1);
  return std::find(std::begin(kHostAddresses), std::end(kHostAddresses), name) != std::end(kHostAddresses);
}

using Items = std::map<std::string_view, const PrivateItem*, std::less<>>;  // by path

Items items_of(const PrivateChunk* chunk) {
  Items items;
  if (chunk == nullptr) return items;
  for (const PrivateItem& item : chunk->items) items.emplace(item.path, &item);
  return items;
}

const PrivateItem* find(const Items& items, std::string_view path) {
  const auto found = items.find(path);
  return found == items.end() ? nullptr : found->second;
}

/// Lays out one chunk, and adds the items that are in it to `used`.
class ChunkWriter {
 public:
  ChunkWriter(const TargetEntry& target, const TargetFrame& frame, const Machine& machine,
              const WriteSetOptions& options, bool is_repaired, std::set<const PrivateItem*>& used)
      : target_(target),
        machine_(machine),
        options_(options),
        is_repaired_(is_repaired),
        items_(items_of(target.source)),
        beside_(items_of(target.beside)),
        used_(used),
        context_(frame.context),
        values_{*target.layout, context_, machine.vendor(), target.device_path, {}, {}} {
    context_.vcpus = machine.vcpus();
    context_.file_offset = 0;
    if (target.source != nullptr && target.source->layout == target.layout->shape) {
      values_.original_size = target.source->entry.size;
    }
  }

  Result<ByteVector> write() {
    if (const Mapping* mapping = find_mapping(target_.chunk); mapping != nullptr) {
      VMSNAP_RETURN_IF_ERROR(mapping->down(machine_, values_));
    }
    VMSNAP_ASSIGN_OR_RETURN(ByteVector bytes, encode(*target_.layout, context_,
                                                     [this](const Field& field) { return look_up(field); }));
    if (const PrivateItem* tail = find(items_, kTailItem); tail != nullptr) {
      used_.insert(tail);
      bytes.insert(bytes.end(), tail->bytes.begin(), tail->bytes.end());
    }
    return bytes;
  }

  /// What became of every field; `decoded` is what write() gave. The neutral host addresses are counted.
  ChunkReport report(const Decoded& decoded, std::size_t& host_addresses) {
    ChunkReport report;
    report.layout = target_.layout->shape;
    for (const Field& field : decoded.fields()) {
      FieldReport& said = report.fields.emplace_back();
      said.path = field.path;
      said.fate = fates_.count(field.path) != 0 ? fates_.at(field.path) : FieldFate::kMadeUp;
      if (said.fate != FieldFate::kMadeUp) continue;
      said.remark = "nothing in the snapshot says it";
      if (field.mark == Mark::kMeaningless) {
        said.fate = FieldFate::kMeaningless;
        said.remark = field.remark;
      }
      if (is_repaired_ && is_host_address(field)) ++host_addresses;
    }
    return report;
  }

  /// What the guest loses by the chunk as write() gave it, each once.
  [[nodiscard]] std::vector<std::string> losses() const {
    std::vector<std::string> losses = losses_;
    const auto& lost = values_.values.lost();
    losses.insert(losses.end(), lost.begin(), lost.end());
    std::vector<std::string> once;
    for (std::string& loss : losses) {
      if (std::find(once.begin(), once.end(), loss) == once.end()) once.push_back(std::move(loss));
    }
    return once;
  }

  [[nodiscard]] const Context& context() const { return context_; }

 private:
  std::optional<FieldValue> look_up(const Field& field) {
    bytes_ = value_of(field);
    return ByteView(bytes_);
  }

  /// The bytes of an item that fits.
  std::optional<ByteVector> take(const PrivateItem* item, const Field& field) {
    if (item == nullptr) return std::nullopt;
    auto bytes = field_bytes(field, *item);
    if (bytes) used_.insert(item);
    return bytes;
  }

  ByteVector value_of(const Field& field) {
    FieldFate& fate = fates_[field.path];
    const FieldFate kept = field.mark == Mark::kMeaningless ? FieldFate::kMeaningless : FieldFate::kPrivate;
    if (is_repaired_ && is_host_address(field)) {
      used_.insert(find(items_, field.path));
      fate = FieldFate::kMadeUp;
      return empty_bytes(field);
    }
    if (options_.pixels && target_.chunk == "fbuf" && field.path == kFramebufferItem &&
        options_.pixels->size() == field.size) {
      fate = FieldFate::kMapped;
      return *options_.pixels;
    }
    const Values::Value* value = values_.values.find(field.path);
    const bool is_ahead = is_repaired_ && value != nullptr && value->is_preferred;
    auto own = take(find(items_, field.path), field);
    if (own && !is_ahead) {
      fate = kept;
      return std::move(*own);
    }
    if (value != nullptr) {
      if (auto bytes = field_bytes(field, value->content)) {
        if (own && *own != *bytes && !value->loss.empty()) losses_.push_back(value->loss);
        fate = value->origin == Origin::kDerived ? FieldFate::kRecomputed : FieldFate::kMapped;
        return std::move(*bytes);
      }
    }
    if (auto bytes = take(find(beside_, field.path), field)) {
      fate = kept;
      return std::move(*bytes);
    }
    if (const std::string* loss = values_.values.find_left_out(field.path)) losses_.push_back(*loss);
    fate = FieldFate::kMadeUp;
    return empty_bytes(field);
  }

  const TargetEntry& target_;
  const Machine& machine_;
  const WriteSetOptions& options_;
  bool is_repaired_;
  Items items_;
  Items beside_;
  std::set<const PrivateItem*>& used_;
  Context context_;
  TargetChunk values_;
  std::map<std::string, FieldFate, std::less<>> fates_;  // by path
  std::vector<std::string> losses_;
  ByteVector bytes_;  // of the field that was asked for last
};

class Writer {
 public:
  Writer(const Machine& machine, const PrivateState& state, OverlaidMemory& memory,
         const WriteSetOptions& options)
      : machine_(machine), state_(state), memory_(memory), options_(options) {}

  Result<WrittenSet> write() {
    const auto was = shape_of(state_);
    const bool is_same = !options_.shape || options_.shape == was;
    is_repaired_ = !is_same || options_.repair;
    VMSNAP_ASSIGN_OR_RETURN(frame_,
                            is_same ? frame_of(state_) : frame_for(*options_.shape, state_, machine_));
    written_.report.remarks = frame_.remarks;
    for (TargetEntry& target : frame_.entries) {
      auto bytes = write_chunk(target);
      if (!bytes) return std::move(std::move(bytes).error().in_chunk(label_of(target.entry)));
      VMSNAP_RETURN_IF_ERROR(place(target, std::move(*bytes)));
    }
    report_dropped();
    VMSNAP_RETURN_IF_ERROR(put_memory_back());
    VMSNAP_RETURN_IF_ERROR(write_text());
    if (!is_repaired_) {
      for (const PrivateGap& gap : state_.gaps) written_.kern.push_back({gap.file_offset, gap.bytes});
    }
    return std::move(written_);
  }

 private:
  Result<ByteVector> write_chunk(const TargetEntry& target) {
    ChunkReport report;
    ByteVector bytes;
    if (target.layout != nullptr) {
      ChunkWriter writer(target, frame_, machine_, options_, is_repaired_, used_);
      VMSNAP_ASSIGN_OR_RETURN(bytes, writer.write());
      VMSNAP_ASSIGN_OR_RETURN(const Decoded decoded, decode(*target.layout, writer.context(), bytes));
      VMSNAP_RETURN_IF_ERROR(count(decoded.fields().size(), bytes.size()));
      std::size_t host_addresses = 0;
      report = writer.report(decoded, host_addresses);
      VMSNAP_RETURN_IF_ERROR(check_rings(decoded));
      keep_memory_before(target, decoded);
      tell_host_addresses(target, host_addresses);
      tell_dropped_tsc(target);
      for (std::string& loss : writer.losses()) remark(Remark::Kind::kLoss, target, std::move(loss));
    } else if (target.source != nullptr) {
      for (const PrivateItem& item : target.source->items) {
        if (item.path != kWholeItem) continue;
        bytes = item.bytes;
        used_.insert(&item);
        report.fields.push_back({item.path, FieldFate::kPrivate, "nobody knows its fields"});
      }
    }
    if (bytes.empty() && is_vmx(target) && !is_repaired_) {
      remark(Remark::Kind::kNote, target,
             "it is empty, as 13.2 writes it, and the same 13.2 refuses to resume from an empty one; with "
             "repair it is not");
    } else if (bytes.empty() && is_vmx(target)) {
      bytes.resize(kDummySize);
      remark(
          Remark::Kind::kRepair, target,
          fmt::format("it is empty in the files that 13.2 writes, and the same 13.2 refuses to resume from "
                      "an empty one: it has {} bytes of zeros here",
                      kDummySize));
    }
    report.chunk = label_of(target.entry);
    if (target.source != nullptr) report.devices = target.source->devices;
    written_.report.chunks.push_back(std::move(report));
    return bytes;
  }

  /// A small snapshot may ask for many large chunks.
  Result<void> count(std::size_t fields, std::size_t bytes) {
    fields_ += fields;
    bytes_ += bytes;
    if (fields_ <= kMaxFieldsOfSet && bytes_ <= kMostBytes) return {};
    return Error(
        ErrorKind::kLimitExceeded,
        fmt::format("with this chunk all together would have more than {} fields or {} bytes, which no "
                    "machine of bhyve's has; the snapshot's {} is damaged",
                    kMaxFieldsOfSet, kMostBytes, kPrivateType));
  }

  /// What is kept of the chunks that were read, and stands nowhere.
  void report_dropped() {
    for (const PrivateChunk& chunk : state_.chunks) {
      std::vector<FieldReport> dropped;
      for (const PrivateItem& item : chunk.items) {
        // What memory held before belongs to the RAM file.
        if (used_.count(&item) != 0 || item.path.ends_with(".before")) continue;
        FieldReport& said = dropped.emplace_back();
        said.path = printable(item.path);
        if (is_of_no_vcpu(chunk, item)) {
          said.fate = FieldFate::kMeaningless;
          said.remark = kNoSuchVcpu;
        } else {
          said.fate = FieldFate::kDropped;
          said.remark = "what is written has no place for it";
        }
      }
      if (dropped.empty()) continue;
      auto& fields = report_of(chunk).fields;
      fields.insert(fields.end(), std::make_move_iterator(dropped.begin()),
                    std::make_move_iterator(dropped.end()));
    }
  }

  /// Whether it stands in the record of a vCPU that the machine does not have: 13.0 and 13.1 write 16.
  [[nodiscard]] bool is_of_no_vcpu(const PrivateChunk& chunk, const PrivateItem& item) const {
    const auto vcpu = vcpu_of(item.path);
    return chunk.is_kernel && vcpu && *vcpu >= machine_.vcpus();
  }

  /// That of the chunk that is written for it, or one of its own.
  ChunkReport& report_of(const PrivateChunk& chunk) {
    auto& reports = written_.report.chunks;
    for (std::size_t i = 0; i < frame_.entries.size(); ++i) {
      if (frame_.entries[i].source == &chunk) return reports[i];
    }
    ChunkReport& report = reports.emplace_back();
    report.chunk = label_of(chunk.entry);
    report.devices = chunk.devices;
    return report;
  }

  static bool is_vmx(const TargetEntry& target) {
    return target.is_kernel && kernel_chunk(target.entry) == KernelChunk::kVmx;
  }

  void tell_host_addresses(const TargetEntry& target, std::size_t count) {
    if (count > 0) {
      remark(Remark::Kind::kRepair, target,
             fmt::format("{} in the memory of the host {} 0: 13.0 on AMD would use what the host that saved "
                         "had there",
                         count == 1 ? "an address" : fmt::format("{} addresses", count),
                         count == 1 ? "is" : "are"));
    } else if (!is_repaired_ && target.is_kernel && machine_.vendor() == Vendor::kAmd &&
               target.layout->shape == "AMD A") {
      remark(
          Remark::Kind::kNote, target,
          "it has addresses in the memory of the host that saved, which 13.0 on AMD would use; with repair "
          "they are 0");
    }
  }

  void tell_dropped_tsc(const TargetEntry& target) {
    if (!target.is_kernel || target.chunk != to_string(KernelChunk::kVm) || target.layout->shape != "B")
      return;
    remark(Remark::Kind::kNote, target,
           "13.2 reads the TSC of each CPU from here and drops it: the guest's begins near 0 again");
  }

  /// bhyve of generation A saves the ring of every queue, and fails where there is none.
  Result<void> check_rings(const Decoded& decoded) const {
    if (!is_repaired_ || decoded.context().rings != Shape::kA) return {};
    for (const Field& field : decoded.fields()) {
      constexpr std::string_view kFlags = "].vq_flags";
      if (!field.path.ends_with(kFlags) ||
          (load_number(field.item->type, decoded.bytes(field)).bits & 1) != 0)
        continue;
      return Error(ErrorKind::kUnsupported,
                   "the guest has not set up this queue, and 13.0 and 13.1 have no way to say so; choose a "
                   "later shape")
          .in_field(field.path.substr(0, field.path.size() - kFlags.size() + 1));
    }
    return {};
  }

  void keep_memory_before(const TargetEntry& target, const Decoded& decoded) {
    if (target.source == nullptr) return;
    for (const PrivateItem& item : target.source->items) {
      constexpr std::string_view kBefore = ".before";
      if (!item.path.ends_with(kBefore)) continue;
      const Field* ring =
          decoded.find(std::string_view(item.path).substr(0, item.path.size() - kBefore.size()));
      if (ring == nullptr || !is_ring(*ring)) continue;
      const auto address = decoded.number(ring_address(*ring));
      if (address) before_.push_back({Gpa(address->bits), &item.bytes});
    }
  }

  Result<void> put_memory_back() {
    for (const auto& [address, bytes] : before_) VMSNAP_RETURN_IF_ERROR(memory_.write(address, *bytes));
    return {};
  }

  Result<void> place(TargetEntry& target, ByteVector bytes) {
    MetaEntry& entry = target.entry;
    if (is_repaired_) {
      entry.file_offset = end_;
      entry.size = bytes.size();
    } else if (entry.size != bytes.size()) {
      return Error(ErrorKind::kInternal,
                   fmt::format("the chunk had {} bytes, and would have {}", entry.size, bytes.size()))
          .in_chunk(label_of(entry));
    }
    const auto end = checked_add(entry.file_offset, entry.size);
    if (!end) {
      return Error(ErrorKind::kCorrupt, "the chunk's place is beyond all files").in_chunk(label_of(entry));
    }
    end_ = *end;
    if (!bytes.empty()) written_.kern.push_back({entry.file_offset, std::move(bytes)});
    return {};
  }

  Result<void> write_text() {
    if (!is_repaired_ && state_.meta_text) {
      written_.meta_text = *state_.meta_text;
      return {};
    }
    Meta meta;
    meta.ncpus = machine_.vcpus();
    meta.vmname = state_.vm_name;
    meta.memsize = options_.memsize;
    meta.memflags = state_.memflags;
    meta.kernel_key = frame_.kernel_key;
    meta.devices_key = frame_.devices_key;
    for (const TargetEntry& target : frame_.entries) {
      (target.is_kernel ? meta.kernel : meta.devices).push_back(target.entry);
    }
    VMSNAP_ASSIGN_OR_RETURN(written_.meta_text, write_meta(meta));
    return {};
  }

  void remark(Remark::Kind kind, const TargetEntry& target, std::string sentence) {
    written_.report.remarks.push_back({kind, label_of(target.entry), std::move(sentence)});
  }

  struct Before {
    Gpa address;
    const ByteVector* bytes;
  };

  const Machine& machine_;
  const PrivateState& state_;
  OverlaidMemory& memory_;
  const WriteSetOptions& options_;
  bool is_repaired_ = false;
  TargetFrame frame_;
  std::set<const PrivateItem*> used_;
  std::vector<Before> before_;
  std::uint64_t end_ = 0;    // of the last chunk
  std::size_t fields_ = 0;   // of all chunks
  std::uint64_t bytes_ = 0;  // of all chunks
  WrittenSet written_;
};

}  // namespace

Result<WrittenSet> write_set(const Machine& machine, const PrivateState& state, OverlaidMemory& memory,
                             const WriteSetOptions& options) {
  return Writer(machine, state, memory, options).write();
}

}  // namespace vmsnap::compat::bhyve
