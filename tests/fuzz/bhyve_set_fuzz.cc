// SPDX-License-Identifier: BSD-2-Clause
// Input: the size of a `.meta` (4 bytes, little-endian), the `.meta`, then the `.kern`; guest memory is zeros
// of the size that the `.meta` tells, up to 16 MiB. The set is refused by an error that can be printed, or
// converted into a sound snapshot, from which the same chunks come back and from which those of another
// generation, which the size of the input picks, can be made or are refused.
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <string>
#include <string_view>

#include "bhyve/convert/engine/chosen_layouts.h"
#include "bhyve/convert/from_bhyve/from_bhyve.h"
#include "bhyve/convert/to_bhyve/to_bhyve.h"
#include "bhyve/set/check_set.h"
#include "bhyve/verdict/check_values.h"
#include "bhyve/verdict/verdict.h"
#include "legacy_files.h"
#include "snapshot/snapshot_reader.h"

namespace {

using namespace vmsnap;
using namespace vmsnap::compat::bhyve;
using vmsnap::fuzz::is_printable;
using vmsnap::fuzz::LegacyFiles;
using vmsnap::fuzz::require;

constexpr std::uint64_t kMostMemory = std::uint64_t{16} << 20;

void expect_refusal(const Error& error) {
  require(error.kind() != ErrorKind::kInternal && is_printable(error.to_string()));
}

void look_at(const LegacySet& set, const Verdict& verdict) {
  for (const SetFinding& finding : check_set(set))
    require(is_printable(finding.entry) && is_printable(finding.sentence));
  for (const ValueFinding& finding : check_chunks(set, verdict))
    require(is_printable(finding.entry) && is_printable(finding.field) && is_printable(finding.sentence));
}

/// The bytes of every chunk must be those of the set that was converted.
void expect_same_chunks(const LegacySet& before, const std::string& base) {
  const auto after = LegacySet::open(base);
  require(after.has_value());
  const auto expect_same = [&](const std::vector<MetaEntry>& these, const std::vector<MetaEntry>& those) {
    require(these.size() == those.size());
    for (std::size_t i = 0; i < these.size(); ++i) {
      const auto was = before.read(these[i]);
      const auto is = after->read(those[i]);
      require(was && is && *was == *is);
    }
  };
  expect_same(before.meta().kernel, after->meta().kernel);
  expect_same(before.meta().devices, after->meta().devices);
}

void convert_back(const LegacyFiles& files, const LegacySet& set, KernelShape other) {
  const auto snapshot = SnapshotReader::open(files.path("snapshot"), {ReadLevel::kFull});
  require(snapshot.has_value());
  for (const char* suffix : {"back", "back.kern", "back.meta"}) std::filesystem::remove(files.path(suffix));
  const auto report = to_bhyve(*snapshot, files.path("back"), {});
  if (report) {
    expect_same_chunks(set, files.path("back"));
  } else {
    expect_refusal(report.error());
  }
  ToBhyveOptions options;
  options.shape = other;
  const auto others = to_bhyve(*snapshot, {}, options);
  if (!others) expect_refusal(others.error());
}

void convert(const LegacyFiles& files, const LegacySet& set, const Verdict& verdict, KernelShape other) {
  const auto layouts = choose_layouts(set, verdict);
  if (!layouts) return expect_refusal(layouts.error());
  FromBhyveOptions options;
  options.tool = "fuzz";
  options.tool_version = "0";
  const auto converted = from_bhyve(set, *layouts, files.path("snapshot"), options);
  if (!converted) return expect_refusal(converted.error());
  require(is_printable(to_json(converted->report).dump(-1, ' ', true)));
  convert_back(files, set, other);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kHead = 4;
  if (size < kHead) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t meta_size = data[0] | data[1] << 8 | data[2] << 16 | std::size_t{data[3]} << 24;
  if (meta_size > size - kHead) return 0;
  const std::string_view meta = input.substr(kHead, meta_size);
  static const LegacyFiles files;
  files.write("vm", {});
  files.write("vm.meta", meta);
  files.write("vm.kern", input.substr(kHead + meta_size));
  const auto parsed = parse_meta(meta);
  if (parsed) std::filesystem::resize_file(files.path("vm"), std::min(parsed->memsize, kMostMemory));
  const auto set = LegacySet::open(files.path("vm"));
  if (!set) {
    expect_refusal(set.error());
    return 0;
  }
  const auto verdict = classify(*set);
  if (!verdict) {
    expect_refusal(verdict.error());
    return 0;
  }
  look_at(*set, *verdict);
  constexpr KernelShape kShapes[] = {KernelShape::kA, KernelShape::kB, KernelShape::kC0, KernelShape::kC};
  convert(files, *set, *verdict, kShapes[size % std::size(kShapes)]);
  return 0;
}
