// SPDX-License-Identifier: BSD-2-Clause
// The chunks of the kernel: their sizes say whose host wrote them, and which generation.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>

#include "bhyve/layout/layouts.h"
#include "bhyve/verdict/classify_parts.h"
#include "bhyve/verdict/record_shape.h"

namespace vmsnap::compat::bhyve {
namespace {

class KernelClassifier {
 public:
  KernelClassifier(const LegacySet& set, const Assumptions& assumptions, Verdict& verdict)
      : set_(set), assumptions_(assumptions), verdict_(verdict) {}

  Result<void> run() {
    VMSNAP_RETURN_IF_ERROR(judge_vmcx());
    VMSNAP_RETURN_IF_ERROR(judge_vmx());
    VMSNAP_RETURN_IF_ERROR(judge_vm());
    VMSNAP_RETURN_IF_ERROR(judge_vlapic());
    return judge_rest_of_kernel();
  }

 private:
  /// The entry that bhyve takes; nullptr when there is none with bytes.
  ClassifiedEntry* kernel_entry(KernelChunk chunk) {
    const MetaEntry* entry = set_.find(chunk);
    for (ClassifiedEntry& one : verdict_.entries) {
      if (one.entry == entry && one.is_kernel && entry->size != 0) return &one;
    }
    return nullptr;
  }

  void choose(ClassifiedEntry& one, const Layout& layout, const Context& context, std::uint64_t expected) {
    one.layout = &layout;
    one.context = context;
    one.trailing = one.entry->size - expected;
  }

  [[nodiscard]] Error misfit(const MetaEntry& entry, std::string sentence) const {
    return Error(ErrorKind::kUnsupported, std::move(sentence))
        .in_file(set_.kern().name())
        .at_offset(entry.file_offset)
        .in_chunk(label_of(entry));
  }

  /// The number of vCPUs of which both chunks that have a record for each would be.
  [[nodiscard]] std::string other_ncpus() const {
    const MetaEntry* vmcx = set_.find(KernelChunk::kVmcx);
    const MetaEntry* vlapic = set_.find(KernelChunk::kVlapic);
    if (vmcx == nullptr || vlapic == nullptr) return {};
    for (std::uint64_t count = 1; count <= kMostCpus; ++count) {
      if (count != verdict_.ncpus && is_whole("vmcx", vmcx->size, count) &&
          is_whole("vlapic", vlapic->size, count))
        return fmt::format(
            "; as vmcx and vlapic have records for {0} vCPUs, the .meta file may be wrong: try "
            "--assume ncpus={0}",
            count);
    }
    return {};
  }

  static bool is_whole(std::string_view chunk, std::uint64_t size, std::uint64_t ncpus) {
    Context context;
    context.vcpus = ncpus;
    const auto layouts = layouts_of(chunk);
    return std::any_of(layouts.begin(), layouts.end(), [&](const Layout* layout) {
      return !has_fixed_records(*layout) && size_in(*layout, context) == size;
    });
  }

  [[nodiscard]] std::string advice_on_cpuset() const {
    const std::string advice = other_ncpus();
    return !advice.empty()
               ? advice
               : "; the .meta file may belong to another snapshot; if not, --assume cpuset=BYTES says "
                 "how wide the set is";
  }

  /// A chunk of one record for each vCPU. `shape_of` names a layout as the axis does.
  template <typename ShapeOf>
  Result<void> judge_records(std::string_view axis, KernelChunk chunk,
                             const std::optional<std::string>& assumed, const ShapeOf& shape_of) {
    ClassifiedEntry* one = kernel_entry(chunk);
    if (one == nullptr) {
      verdict_.say(axis, {}, Certainty::kNone, "there is no such chunk, or it is empty");
      return {};
    }
    const std::uint64_t size = one->entry->size;
    std::vector<std::string> sizes;
    for (const Layout* layout : layouts_of(to_string(chunk))) {
      const auto expected = size_in(*layout, verdict_.context);
      if (!expected) continue;
      const std::uint64_t records = has_fixed_records(*layout) ? kFixedRecords : verdict_.ncpus;
      const std::string shape = shape_of(*layout);
      const std::string sum = fmt::format("{} x {}", records, *expected / records);
      if (assumed ? shape == *assumed && size >= *expected : size == *expected && verdict_.ncpus <= records) {
        choose(*one, *layout, verdict_.context, *expected);
        verdict_.say(
            axis, shape, assumed ? Certainty::kAssumed : Certainty::kCertain,
            fmt::format(
                "{} bytes{}", size,
                size == *expected ? " = " + sum : fmt::format(", of which the assumed shape uses {}", sum)));
        return {};
      }
      sizes.push_back(fmt::format("{} ({}: {})", *expected, shape, sum));
    }
    if (assumed) {
      return misfit(*one->entry,
                    fmt::format("it has {} bytes, too few for the assumed {}={}; for {} vCPUs it has "
                                "{}",
                                size, axis, *assumed, verdict_.ncpus, fmt::join(sizes, ", ")));
    }
    std::string advice = other_ncpus();
    if (advice.empty()) {
      advice = fmt::format(
          "; the .meta file may belong to another snapshot; if not, --assume {}=SHAPE reads it as one of "
          "these, if it has the bytes",
          axis);
    }
    return misfit(*one->entry,
                  fmt::format("it has {} bytes, which is no size that is known; for {} vCPUs it has {}{}",
                              size, verdict_.ncpus, fmt::join(sizes, ", "), advice));
  }

  Result<void> judge_vmcx() {
    const auto vendor = assumptions_.vendor();
    const auto assumed = assumptions_.shape(axis::kVmcx, vendor.value_or(vendor_of_size()));
    VMSNAP_RETURN_IF_ERROR(judge_records(axis::kVmcx, KernelChunk::kVmcx, assumed, record_shape));
    const ClassifiedEntry* one = kernel_entry(KernelChunk::kVmcx);
    if (one != nullptr) {
      verdict_.vendor = one->layout->vendor.value_or(Vendor::kIntel);
      if (!vendor || *vendor == verdict_.vendor) return {};
      return misfit(*one->entry, fmt::format("its {} bytes are of {}, not of {} as assumed", one->entry->size,
                                             verdict_.axes.back().shape, to_string(*vendor)));
    }
    if (vendor) {
      verdict_.vendor = *vendor;
      return {};
    }
    return Error(ErrorKind::kUnsupported,
                 "there is no chunk vmcx with bytes in it, which has the registers of the vCPUs and says "
                 "whether the "
                 "host was Intel's or AMD's; to look at the rest, say --assume vendor=intel or vendor=amd")
        .in_file(set_.meta_path())
        .in_chunk("vmcx");
  }

  /// Of vmx, when vmcx is not to be trusted.
  [[nodiscard]] Vendor vendor_of_size() {
    for (const KernelChunk chunk : {KernelChunk::kVmcx, KernelChunk::kVmx}) {
      const ClassifiedEntry* one = kernel_entry(chunk);
      if (one == nullptr) continue;
      for (const Layout* layout : layouts_of(to_string(chunk))) {
        if (layout->vendor && size_in(*layout, verdict_.context) == one->entry->size) return *layout->vendor;
      }
    }
    return Vendor::kIntel;
  }

  Result<void> judge_vmx() {
    const MetaEntry* entry = set_.find(KernelChunk::kVmx);
    if (entry == nullptr) {
      verdict_.say(axis::kVmx, "none", Certainty::kCertain, "there is no such chunk");
      return {};
    }
    ClassifiedEntry* one = kernel_entry(KernelChunk::kVmx);
    if (one == nullptr) {
      verdict_.say(axis::kVmx, "empty", Certainty::kCertain, "the chunk is listed with 0 bytes");
      return {};
    }
    const auto assumed = assumptions_.said(axis::kVmx);
    const AxisVerdict* vmcx = verdict_.find(axis::kVmcx);
    const bool is_needed =
        assumed
            ? *assumed == "data"
            : vmcx->shape.empty() || vmcx->shape == shape_in(Generation::kA, verdict_.vendor, axis::kVmcx);
    std::vector<std::string> sizes;
    for (const Layout* layout : layouts_of("vmx")) {
      if (!layout->vendor) continue;
      const auto expected = size_in(*layout, verdict_.context);
      if (!expected) continue;
      sizes.push_back(fmt::format("{} ({})", *expected, layout->shape));
      if (*layout->vendor != verdict_.vendor) continue;
      const bool fits =
          assumed ? *assumed == "data" && entry->size >= *expected : is_needed && entry->size == *expected;
      if (!fits) continue;
      choose(*one, *layout, verdict_.context, *expected);
      verdict_.say(axis::kVmx, "data", assumed ? Certainty::kAssumed : Certainty::kCertain,
                   fmt::format("{} bytes, which is {}", entry->size, layout->shape));
      return {};
    }
    if (is_needed) {
      return misfit(*entry,
                    fmt::format("it has {} bytes, which is no size that is known for {}; there are {}. "
                                "--assume vmx=filled reads the set without it",
                                entry->size, to_string(verdict_.vendor), fmt::join(sizes, ", ")));
    }
    const ClassifiedEntry* registers = kernel_entry(KernelChunk::kVmcx);
    if (registers != nullptr && registers_are_in_vmx(*registers->layout)) {
      one->why_not = "it is not read, as assumed, although the registers that this vmcx lacks belong here";
    } else {
      one->why_not = "the registers are in vmcx, so nobody reads this chunk";
    }
    verdict_.say(
        axis::kVmx, "filled", assumed ? Certainty::kAssumed : Certainty::kLikely,
        fmt::format("{} bytes{}", entry->size,
                    assumed
                        ? ", which are not read"
                        : ", which mean nothing beside this vmcx: so an empty chunk is made acceptable to "
                          "bhyve"));
    return {};
  }

  Result<void> judge_vm() {
    ClassifiedEntry* one = kernel_entry(KernelChunk::kVm);
    if (one == nullptr) {
      verdict_.say(axis::kVm, {}, Certainty::kNone, "there is no such chunk, or it is empty");
      verdict_.say(axis::kCpuset, {}, Certainty::kNone, "there is no chunk vm");
      return {};
    }
    const std::uint64_t size = one->entry->size;
    const auto assumed = assumptions_.shape(axis::kVm, verdict_.vendor);
    const Layout& layout_a = *find_layout("vm", "A");
    const std::uint64_t size_a = size_in(layout_a, verdict_.context).value_or(0);
    const bool is_a = size == size_a && verdict_.ncpus <= kFixedRecords;
    const bool has_cpuset = assumptions_.number(axis::kCpuset).value_or(0) != 0;
    if (assumed ? *assumed == "A" && size >= size_a && !has_cpuset : is_a) {
      choose(*one, layout_a, verdict_.context, size_a);
      verdict_.say(axis::kVm, "A", assumed ? Certainty::kAssumed : Certainty::kCertain,
                   fmt::format("{} bytes = {} x {}", size, kFixedRecords, size_a / kFixedRecords));
      verdict_.say(axis::kCpuset, "0", assumed ? Certainty::kAssumed : Certainty::kCertain,
                   "this shape of vm has none");
      return {};
    }
    if (is_a_with_cpuset(size, size_a, assumed)) return choose_a_with_cpuset(*one, size_a);
    return judge_vm_with_cpuset(*one, size_a / kFixedRecords, assumed);
  }

  /// Kernels between 13.1 and 13.2 had the set of vCPUs, and still 16 records. No other shape has such a
  /// size.
  [[nodiscard]] bool is_a_with_cpuset(std::uint64_t size, std::uint64_t size_a,
                                      const std::optional<std::string>& assumed) const {
    const auto width = assumptions_.number(axis::kCpuset);
    if (assumed || width) return assumed == "A" && width.value_or(0) != 0 && size >= size_a + *width;
    return verdict_.ncpus < kFixedRecords && size >= size_a + sizeof(std::uint64_t) &&
           std::has_single_bit(size - size_a);
  }

  Result<void> choose_a_with_cpuset(ClassifiedEntry& one, std::uint64_t size_a) {
    const auto assumed = assumptions_.number(axis::kCpuset);
    const std::uint64_t width = assumed.value_or(one.entry->size - size_a);
    Context context = verdict_.context;
    context.cpuset_longs = width / sizeof(std::uint64_t);
    verdict_.context.cpuset_longs = context.cpuset_longs;
    choose(one, *find_layout("vm", "A+cpuset"), context, size_a + width);
    const Certainty certainty = assumed ? Certainty::kAssumed : Certainty::kLikely;
    verdict_.say(axis::kVm, "A", certainty,
                 fmt::format("{} bytes = {} x {} + {}", one.entry->size, kFixedRecords,
                             size_a / kFixedRecords, one.entry->size - size_a));
    verdict_.say(axis::kCpuset, std::to_string(width), certainty,
                 fmt::format("{} bytes follow the {} records of vm", width, kFixedRecords));
    return {};
  }

  Result<void> judge_vm_with_cpuset(ClassifiedEntry& one, std::uint64_t record,
                                    const std::optional<std::string>& assumed) {
    const std::uint64_t size = one.entry->size;
    const std::uint64_t records = verdict_.ncpus * record;
    const std::uint64_t needed = (verdict_.ncpus + 63) / 64 * 8;
    const std::string sizes =
        fmt::format("for {} vCPUs it has {} (A), {} (B), {} (C), or {} and a set of vCPUs of another width",
                    verdict_.ncpus, kFixedRecords * record, records + 32, records + 128, records);
    auto width = assumptions_.number(axis::kCpuset);
    if (!width && assumed && *assumed != "A") width = *assumed == "B" ? 32 : 128;
    const bool is_assumed = width.has_value();
    if (!is_assumed && !assumed && size > records) width = size - records;
    if (assumed == "A" || !width || *width % 8 != 0 || *width < needed || size < records + *width ||
        (!is_assumed && !std::has_single_bit(*width))) {
      return misfit(*one.entry, fmt::format("it has {} bytes, which is no size that is {}; {}{}", size,
                                            assumed || is_assumed ? "possible as assumed" : "known", sizes,
                                            is_assumed || assumed ? std::string() : advice_on_cpuset()));
    }
    Context context = verdict_.context;
    context.cpuset_longs = *width / 8;
    verdict_.context.cpuset_longs = context.cpuset_longs;
    const std::string shape = *width == 32 ? "B" : "C";
    choose(one, *find_layout("vm", shape), context, records + *width);
    const Certainty certainty = is_assumed                      ? Certainty::kAssumed
                                : *width == 32 || *width == 128 ? Certainty::kCertain
                                                                : Certainty::kLikely;
    verdict_.say(axis::kVm, shape, certainty,
                 fmt::format("{} bytes = {} x {} + {}", size, verdict_.ncpus, record, size - records));
    verdict_.say(axis::kCpuset, std::to_string(*width), certainty,
                 fmt::format("{} bytes follow the records of vm: a kernel for {} vCPUs", *width, *width * 8));
    return {};
  }

  Result<void> judge_vlapic() {
    return judge_records(axis::kVlapic, KernelChunk::kVlapic,
                         assumptions_.shape(axis::kVlapic, verdict_.vendor),
                         [](const Layout& layout) { return std::string(layout.shape); });
  }

  Result<void> judge_rest_of_kernel() {
    for (ClassifiedEntry& one : verdict_.entries) {
      if (!one.is_kernel || one.layout != nullptr || !one.why_not.empty()) continue;
      const auto chunk = kernel_chunk(*one.entry);
      if (!chunk) {
        one.why_not = "no bhyve that is known writes such a chunk";
      } else if (set_.find(*chunk) != one.entry) {
        one.why_not = "it is listed before, and bhyve reads the first";
      } else if (one.entry->size == 0) {
        one.why_not = "it is empty";
      } else {
        VMSNAP_RETURN_IF_ERROR(judge_fixed(one, *chunk));
      }
    }
    return {};
  }

  Result<void> judge_fixed(ClassifiedEntry& one, KernelChunk chunk) {
    const Layout& layout = *layouts_of(to_string(chunk)).front();
    const std::uint64_t expected = size_in(layout, verdict_.context).value_or(0);
    if (one.entry->size < expected) {
      return misfit(
          *one.entry,
          fmt::format("it has {} bytes, but {} in every bhyve that is known; the .meta file belongs to "
                      "another snapshot or was changed, so use whole copies of all three files",
                      one.entry->size, expected));
    }
    choose(one, layout, verdict_.context, expected);
    return {};
  }

  const LegacySet& set_;
  const Assumptions& assumptions_;
  Verdict& verdict_;
};

}  // namespace

Result<void> classify_kernel(const LegacySet& set, const Assumptions& assumptions, Verdict& verdict) {
  return KernelClassifier(set, assumptions, verdict).run();
}

}  // namespace vmsnap::compat::bhyve
