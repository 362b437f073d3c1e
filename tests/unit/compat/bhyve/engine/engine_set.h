// SPDX-License-Identifier: BSD-2-Clause
// A legacy snapshot of a few chunks, what a conversion makes of it, and what comes back.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "../convert/mapping_fixture.h"
#include "../set/legacy_files.h"
#include "bhyve/convert/engine/read_set.h"
#include "bhyve/convert/engine/write_set.h"
#include "bhyve/set/device_name.h"
#include "ram.h"

namespace vmsnap::compat::bhyve {

class EngineSet {
 public:
  /// `axes` is the shape of all devices. Guest memory has 1 MiB.
  explicit EngineSet(Vendor vendor = Vendor::kIntel, std::uint32_t vcpus = 1, Shape axes = Shape::kB)
      : vendor_(vendor), vcpus_(vcpus) {
    context.set_shapes(axes);
    context.vcpus = vcpus;
    context.uarts = 4;
    context.cpuset_longs = 16;
    context.usb_devices = 1;
    meta.ncpus = vcpus;
    meta.vmname = "guest";
    meta.memsize = 1 << 20;
    meta.memflags = 0;
    ram.segments.push_back({Gpa(0), ByteVector(1 << 20)});
  }

  /// A chunk with these bytes; nobody knows it when `layout` is nullptr.
  void add(std::string name, bool is_kernel, const Layout* layout, ByteVector bytes) {
    MetaEntry entry;
    entry.size = bytes.size();
    entry.file_offset = kern.size();
    const auto number = is_kernel ? kernel_chunk_by_name(name) : std::nullopt;
    if (number) {
      entry.request = request_number(*number);
      entry.debug_name = name;
    } else {
      entry.name = std::move(name);
    }
    (is_kernel ? meta.kernel : meta.devices).push_back(entry);
    (is_kernel ? kernel_layouts_ : device_layouts_).push_back(layout);
    kern.insert(kern.end(), bytes.begin(), bytes.end());
  }
  void add_kernel(std::string_view chunk, std::string_view shape, const ItemValues& items = {}) {
    const Layout* layout = find_layout(chunk, shape);
    add(std::string(chunk), true, layout, encode_items(*layout, context, items));
  }
  void add_device(std::string name, const ItemValues& items = {}) {
    const Layout* layout = layouts_of(parse_device_name(name).emulation).front();
    add(std::move(name), false, layout, encode_items(*layout, context, items));
  }

  /// Writes the three files and converts them.
  [[nodiscard]] Result<ReadSet> read() {
    VMSNAP_ASSIGN_OR_RETURN(const std::string text, write_meta(meta));
    return read(text);
  }
  [[nodiscard]] Result<ReadSet> read(const std::string& meta_text) {
    files_ = std::make_unique<LegacyFiles>(meta_text, 0, 0);
    files_->write(".kern", as_text(kern));
    VMSNAP_ASSIGN_OR_RETURN(set_, LegacySet::open(files_->path()));
    layouts_ = {};
    layouts_.vendor = vendor_;
    layouts_.vcpus = vcpus_;
    layouts_.context = context;
    for (std::size_t i = 0; i < kernel_layouts_.size(); ++i) {
      choose(set_->meta().kernel.at(i), true, kernel_layouts_[i]);
    }
    for (std::size_t i = 0; i < device_layouts_.size(); ++i) {
      choose(set_->meta().devices.at(i), false, device_layouts_[i]);
    }
    memory_.emplace(ram.overlay());
    return read_set(*set_, layouts_, *memory_, said);
  }

  /// Of what read() gave; the memory that it left is used.
  [[nodiscard]] Result<WrittenSet> write(const ReadSet& read, std::optional<KernelShape> shape = {},
                                         bool repair = false) {
    WriteSetOptions options;
    options.shape = shape;
    options.repair = repair;
    options.memsize = meta.memsize;
    return write_set(read.machine, read.private_state, *memory_, options);
  }

  [[nodiscard]] OverlaidMemory& memory() { return *memory_; }

  static std::string_view as_text(const ByteVector& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  Context context;
  std::vector<SaidPlace> said;
  Meta meta;
  ByteVector kern;
  Ram ram;

 private:
  void choose(const MetaEntry& entry, bool is_kernel, const Layout* layout) {
    Context of_chunk = context;
    of_chunk.file_offset = entry.file_offset;
    layouts_.entries.push_back(
        {&entry, is_kernel, layout, of_chunk, layout == nullptr ? "nobody knows it" : ""});
  }

  Vendor vendor_;
  std::uint32_t vcpus_;
  std::vector<const Layout*> kernel_layouts_;
  std::vector<const Layout*> device_layouts_;
  std::unique_ptr<LegacyFiles> files_;
  std::optional<LegacySet> set_;
  ChosenLayouts layouts_;
  std::optional<OverlaidMemory> memory_;
};

/// The .kern file; what no piece covers is 0.
[[nodiscard]] inline ByteVector kern_of(const WrittenSet& written) {
  ByteVector kern;
  for (const KernPiece& piece : written.kern) {
    kern.resize(std::max<std::size_t>(kern.size(), piece.file_offset + piece.bytes.size()));
    std::copy(piece.bytes.begin(), piece.bytes.end(),
              kern.begin() + static_cast<std::ptrdiff_t>(piece.file_offset));
  }
  return kern;
}

/// A field of a chunk that was written; nothing when there is no such chunk or field.
[[nodiscard]] inline std::optional<ByteVector> written_field(const WrittenSet& written,
                                                             std::string_view chunk, std::string_view shape,
                                                             Context context, std::string_view path) {
  const auto meta = parse_meta(written.meta_text);
  if (!meta) return std::nullopt;
  const ByteVector kern = kern_of(written);
  for (const auto* entries : {&meta->kernel, &meta->devices}) {
    for (const MetaEntry& entry : *entries) {
      if (label_of(entry) != chunk) continue;
      const ByteVector bytes(kern.begin() + static_cast<std::ptrdiff_t>(entry.file_offset),
                             kern.begin() + static_cast<std::ptrdiff_t>(entry.file_offset + entry.size));
      const auto decoded = decode(*find_layout(parse_device_name(chunk).emulation, shape), context, bytes);
      EXPECT_TRUE(decoded) << decoded.error().to_string();
      const auto field = decoded ? decoded->bytes(path) : std::nullopt;
      if (field) return ByteVector(field->begin(), field->end());
    }
  }
  return std::nullopt;
}

[[nodiscard]] inline std::vector<std::string> sentences(const ConversionReport& report, Remark::Kind kind) {
  std::vector<std::string> sentences;
  for (const Remark& remark : report.remarks) {
    if (remark.kind == kind) sentences.push_back(remark.subject + ": " + remark.sentence);
  }
  return sentences;
}

/// Paths of the fields of a chunk that had that fate.
[[nodiscard]] inline std::vector<std::string> fields(const ConversionReport& report, std::string_view chunk,
                                                     FieldFate fate) {
  std::vector<std::string> paths;
  for (const ChunkReport& one : report.chunks) {
    if (one.chunk != chunk) continue;
    for (const FieldReport& field : one.fields) {
      if (field.fate == fate) paths.push_back(field.path);
    }
  }
  return paths;
}

}  // namespace vmsnap::compat::bhyve
