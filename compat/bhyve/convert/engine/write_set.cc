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
#include "bhyve/set/legacy_set.h"

namespace vmsnap::compat::bhyve {
namespace {

/// What is written where 13.2 writes an empty vmx: the hook of bhyve reads nothing of it.
constexpr std::size_t kDummySize = 8;

/// Last parts of the paths of addresses in the memory of a host that is gone.
constexpr std::string_view kHostAddresses[] = {"nptp", "npt_base", "io_perm", "msr_perm"};

bool is_host_address(const Field& field) {
  const std::string_view path = field.path;
  const std::size_t dot = path.rfind('.');
  const std::string_view name = dot == std::string_view::npos ? path : path.substr(dot + 1);
  return std::find(std::begin(kHostAddresses), std::end(kHostAddresses), name) != std::end(kHostAddresses);
}

/// Lays out one chunk.
class ChunkWriter {
 public:
  ChunkWriter(const TargetEntry& target, const TargetFrame& frame, const Machine& machine,
              const WriteSetOptions& options, bool is_repaired)
      : target_(target),
        machine_(machine),
        options_(options),
        is_repaired_(is_repaired),
        context_(frame.context),
        values_{*target.layout, context_, machine.vendor(), target.device_path, {}, {}} {
    context_.vcpus = machine.vcpus();
    context_.file_offset = 0;
    if (target.source == nullptr) return;
    for (const PrivateItem& item : target.source->items) items_.emplace(item.path, &item);
    if (target.source->layout == target.layout->shape) values_.original_size = target.source->entry.size;
  }

  Result<ByteVector> write() {
    if (const Mapping* mapping = find_mapping(target_.chunk); mapping != nullptr) {
      VMSNAP_RETURN_IF_ERROR(mapping->down(machine_, values_));
    }
    VMSNAP_ASSIGN_OR_RETURN(ByteVector bytes, encode(*target_.layout, context_,
                                                     [this](const Field& field) { return look_up(field); }));
    if (const auto tail = items_.find(kTailItem); tail != items_.end()) {
      used_.insert(tail->first);
      bytes.insert(bytes.end(), tail->second->bytes.begin(), tail->second->bytes.end());
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
    for (const auto& [path, item] : items_) {
      // What memory held before belongs to the RAM file.
      if (used_.count(path) != 0 || path.ends_with(".before")) continue;
      report.fields.push_back({std::string(path), FieldFate::kDropped, "this release has no such field"});
    }
    return report;
  }

  [[nodiscard]] const Context& context() const { return context_; }

 private:
  std::optional<FieldValue> look_up(const Field& field) {
    bytes_ = value_of(field);
    return ByteView(bytes_);
  }

  ByteVector value_of(const Field& field) {
    FieldFate& fate = fates_[field.path];
    if (is_repaired_ && is_host_address(field)) {
      if (const auto item = items_.find(field.path); item != items_.end()) used_.insert(item->first);
      fate = FieldFate::kMadeUp;
      return empty_bytes(field);
    }
    if (options_.pixels && target_.chunk == "fbuf" && field.path == kFramebufferItem &&
        options_.pixels->size() == field.size) {
      fate = FieldFate::kMapped;
      return *options_.pixels;
    }
    const Values::Value* value = values_.values.find(field.path);
    const bool is_ahead = is_repaired_ && value != nullptr && value->is_shared;
    if (const auto item = items_.find(field.path); item != items_.end()) {
      auto bytes = field_bytes(field, *item->second);
      if (bytes) used_.insert(item->first);
      if (bytes && !is_ahead) {
        fate = field.mark == Mark::kMeaningless ? FieldFate::kMeaningless : FieldFate::kPrivate;
        return std::move(*bytes);
      }
    }
    if (value != nullptr) {
      if (auto bytes = field_bytes(field, value->content)) {
        fate = value->origin == Origin::kDerived ? FieldFate::kRecomputed : FieldFate::kMapped;
        return std::move(*bytes);
      }
    }
    fate = FieldFate::kMadeUp;
    return empty_bytes(field);
  }

  const TargetEntry& target_;
  const Machine& machine_;
  const WriteSetOptions& options_;
  bool is_repaired_;
  Context context_;
  TargetChunk values_;
  std::map<std::string_view, const PrivateItem*, std::less<>> items_;  // by path
  std::set<std::string_view> used_;                                    // paths of items
  std::map<std::string, FieldFate, std::less<>> fates_;                // by path
  ByteVector bytes_;                                                   // of the field that was asked for last
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
      ChunkWriter writer(target, frame_, machine_, options_, is_repaired_);
      VMSNAP_ASSIGN_OR_RETURN(bytes, writer.write());
      VMSNAP_ASSIGN_OR_RETURN(const Decoded decoded, decode(*target.layout, writer.context(), bytes));
      std::size_t host_addresses = 0;
      report = writer.report(decoded, host_addresses);
      VMSNAP_RETURN_IF_ERROR(check_rings(decoded));
      keep_memory_before(target, decoded);
      tell_host_addresses(target, host_addresses);
    } else if (target.source != nullptr) {
      for (const PrivateItem& item : target.source->items) {
        if (item.path != kWholeItem) continue;
        bytes = item.bytes;
        report.fields.push_back({item.path, FieldFate::kPrivate, "nobody knows its fields"});
      }
    }
    if (bytes.empty() && is_repaired_ && is_vmx(target)) {
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

  static bool is_vmx(const TargetEntry& target) {
    return target.is_kernel && kernel_chunk(target.entry) == KernelChunk::kVmx;
  }

  void tell_host_addresses(const TargetEntry& target, std::size_t count) {
    if (count > 0) {
      remark(Remark::Kind::kRepair, target,
             fmt::format("{} addresses in the memory of the host are 0: 13.0 on AMD would use those of the "
                         "host that saved",
                         count));
    } else if (!is_repaired_ && target.is_kernel && machine_.vendor() == Vendor::kAmd &&
               target.layout->shape == "AMD A") {
      remark(
          Remark::Kind::kNote, target,
          "it has addresses in the memory of the host that saved, which 13.0 on AMD would use; with repair "
          "they are 0");
    }
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
  std::vector<Before> before_;
  std::uint64_t end_ = 0;  // of the last chunk
  WrittenSet written_;
};

}  // namespace

Result<WrittenSet> write_set(const Machine& machine, const PrivateState& state, OverlaidMemory& memory,
                             const WriteSetOptions& options) {
  return Writer(machine, state, memory, options).write();
}

}  // namespace vmsnap::compat::bhyve
