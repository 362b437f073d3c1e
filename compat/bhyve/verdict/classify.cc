// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <utility>

#include "base/checked.h"
#include "bhyve/layout/layouts.h"
#include "bhyve/set/device_name.h"
#include "bhyve/set/shown.h"
#include "bhyve/verdict/device_fit.h"
#include "bhyve/verdict/record_shape.h"
#include "bhyve/verdict/verdict.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kMostCpus = 1024;
/// Of chunks that overlap, the same bytes are read again and again.
constexpr std::uint64_t kMostBytesRead = std::uint64_t{1} << 30;

constexpr std::array<std::pair<std::string_view, Axis>, 5> kDeviceAxes = {{
    {axis::kPrefix, Axis::kPciPrefix},
    {axis::kRings, Axis::kRings},
    {axis::kNetTail, Axis::kNetTail},
    {axis::kAhci, Axis::kAhci},
    {axis::kXhci, Axis::kXhci},
}};

/// What the devices say about one axis.
struct Tally {
  std::string first_a;  // label and evidence
  std::string first_b;
  std::size_t for_a = 0;
  std::size_t for_b = 0;
  std::size_t for_both = 0;
  std::string either;  // label of the first that fits both
};

class Classifier {
 public:
  Classifier(const LegacySet& set, const Assumptions& assumptions) : set_(set), assumptions_(assumptions) {}

  Result<Verdict> run() {
    verdict_.assumed = assumptions_.text();
    VMSNAP_RETURN_IF_ERROR(choose_ncpus());
    for (const MetaEntry& entry : set_.meta().kernel)
      verdict_.entries.push_back({&entry, true, nullptr, {}, 0, {}});
    for (const MetaEntry& entry : set_.meta().devices)
      verdict_.entries.push_back({&entry, false, nullptr, {}, 0, {}});
    judge_meta();
    VMSNAP_RETURN_IF_ERROR(judge_vmcx());
    VMSNAP_RETURN_IF_ERROR(judge_vmx());
    VMSNAP_RETURN_IF_ERROR(judge_vm());
    VMSNAP_RETURN_IF_ERROR(judge_vlapic());
    VMSNAP_RETURN_IF_ERROR(judge_rest_of_kernel());
    VMSNAP_RETURN_IF_ERROR(judge_devices());
    for (ClassifiedEntry& one : verdict_.entries) one.context.file_offset = one.entry->file_offset;
    choose_generation();
    return std::move(verdict_);
  }

 private:
  // The machine.

  Result<void> choose_ncpus() {
    verdict_.ncpus = assumptions_.number("ncpus").value_or(set_.meta().ncpus);
    verdict_.context.vcpus = verdict_.ncpus;
    if (verdict_.ncpus >= 1 && verdict_.ncpus <= kMostCpus) return {};
    return Error(ErrorKind::kUnsupported,
                 fmt::format(
                     "{} vCPUs are not what a bhyve can have (1 to {}); if the .meta file is wrong, say how "
                     "many there are with --assume ncpus=N",
                     verdict_.ncpus, kMostCpus))
        .in_file(set_.meta_path())
        .at_offset(set_.meta().basic_metadata_offset)
        .in_field("ncpus");
  }

  AxisVerdict& say(std::string_view axis, std::string shape, Certainty certainty, std::string evidence) {
    verdict_.axes.push_back({axis, std::move(shape), certainty, std::move(evidence)});
    return verdict_.axes.back();
  }

  void judge_meta() {
    const Meta& meta = set_.meta();
    say(axis::kMeta, std::string(to_string(meta.kernel_key)), Certainty::kCertain,
        fmt::format("the arrays of the .meta file are \"{}\" and \"{}\"", to_string(meta.kernel_key),
                    to_string(meta.devices_key)));
    std::map<std::string_view, std::pair<std::size_t, std::string_view>> forms;
    for (const MetaEntry& entry : meta.devices) {
      if (entry.request || entry.name.empty()) continue;
      const DeviceName name = parse_device_name(entry.name);
      // The keyboard controller is on no bus, whatever the others are called.
      if (!name.pci && entry.name == "atkbdc") continue;
      const std::string_view form = !name.pci                                       ? "plain"
                                    : entry.name.find("@pci.") != std::string::npos ? "at"
                                                                                    : "dash";
      auto& [count, example] = forms[form];
      if (count++ == 0) example = entry.name;
    }
    if (forms.empty()) {
      say(axis::kNames, {}, Certainty::kNone, "no device is listed");
      return;
    }
    const auto most = std::max_element(forms.begin(), forms.end(), [](const auto& a, const auto& b) {
      return a.second.first < b.second.first;
    });
    say(axis::kNames, std::string(most->first), Certainty::kCertain,
        fmt::format("{} of the devices listed are called like {}", most->second.first,
                    shown(most->second.second)));
  }

  // The kernel's chunks.

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

  /// A chunk of one record for each vCPU. `shape_of` names a layout as the axis does.
  template <typename ShapeOf>
  Result<void> judge_records(std::string_view axis, KernelChunk chunk,
                             const std::optional<std::string>& assumed, const ShapeOf& shape_of) {
    ClassifiedEntry* one = kernel_entry(chunk);
    if (one == nullptr) {
      say(axis, {}, Certainty::kNone, "there is no such chunk, or it is empty");
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
        say(axis, shape, assumed ? Certainty::kAssumed : Certainty::kCertain,
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
    if (advice.empty()) advice = fmt::format("; --assume {}=SHAPE reads it as one of them", axis);
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
      say(axis::kVmx, "none", Certainty::kCertain, "there is no such chunk");
      return {};
    }
    ClassifiedEntry* one = kernel_entry(KernelChunk::kVmx);
    if (one == nullptr) {
      say(axis::kVmx, "empty", Certainty::kCertain, "the chunk is listed with 0 bytes");
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
      const bool fits = assumed ? *assumed == "data" && entry->size >= *expected : entry->size == *expected;
      if (!fits) continue;
      choose(*one, *layout, verdict_.context, *expected);
      say(axis::kVmx, "data", assumed ? Certainty::kAssumed : Certainty::kCertain,
          fmt::format("{} bytes, which is {}", entry->size, layout->shape));
      return {};
    }
    if (is_needed) {
      return misfit(*entry,
                    fmt::format("it has {} bytes, which is no size that is known for {}; there are {}. "
                                "--assume vmx=filled reads the set without it",
                                entry->size, to_string(verdict_.vendor), fmt::join(sizes, ", ")));
    }
    one->why_not = "the registers are in vmcx, so nobody reads this chunk";
    say(axis::kVmx, "filled", assumed ? Certainty::kAssumed : Certainty::kLikely,
        fmt::format(
            "{} bytes, which mean nothing beside this vmcx: so an empty chunk is made acceptable to bhyve",
            entry->size));
    return {};
  }

  Result<void> judge_vm() {
    ClassifiedEntry* one = kernel_entry(KernelChunk::kVm);
    if (one == nullptr) {
      say(axis::kVm, {}, Certainty::kNone, "there is no such chunk, or it is empty");
      say(axis::kCpuset, {}, Certainty::kNone, "there is no chunk vm");
      return {};
    }
    const std::uint64_t size = one->entry->size;
    const auto assumed = assumptions_.shape(axis::kVm, verdict_.vendor);
    const Layout& layout_a = *find_layout("vm", "A");
    const std::uint64_t size_a = size_in(layout_a, verdict_.context).value_or(0);
    const bool is_a = size == size_a && verdict_.ncpus <= kFixedRecords;
    if (assumed ? *assumed == "A" && size >= size_a : is_a) {
      choose(*one, layout_a, verdict_.context, size_a);
      say(axis::kVm, "A", assumed ? Certainty::kAssumed : Certainty::kCertain,
          fmt::format("{} bytes = {} x {}", size, kFixedRecords, size_a / kFixedRecords));
      say(axis::kCpuset, "0", assumed ? Certainty::kAssumed : Certainty::kCertain,
          "this shape of vm has none");
      return {};
    }
    return judge_vm_with_cpuset(*one, size_a / kFixedRecords, assumed);
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
    if (!width || *width % 8 != 0 || *width < needed || size < records + *width ||
        (!is_assumed && !std::has_single_bit(*width))) {
      return misfit(*one.entry, fmt::format("it has {} bytes, which is no size that is {}; {}{}", size,
                                            assumed || is_assumed ? "possible as assumed" : "known", sizes,
                                            is_assumed || assumed ? std::string() : other_ncpus()));
    }
    Context context = verdict_.context;
    context.cpuset_longs = *width / 8;
    verdict_.context.cpuset_longs = context.cpuset_longs;
    const std::string shape = *width == 32 ? "B" : "C";
    choose(one, *find_layout("vm", shape), context, records + *width);
    const Certainty certainty = is_assumed                      ? Certainty::kAssumed
                                : *width == 32 || *width == 128 ? Certainty::kCertain
                                                                : Certainty::kLikely;
    say(axis::kVm, shape, certainty,
        fmt::format("{} bytes = {} x {} + {}", size, verdict_.ncpus, record, size - records));
    say(axis::kCpuset, std::to_string(*width), certainty,
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
      return misfit(*one.entry, fmt::format("it has {} bytes, but {} in every bhyve that is known",
                                            one.entry->size, expected));
    }
    choose(one, layout, verdict_.context, expected);
    return {};
  }

  // Devices.

  Result<void> judge_devices() {
    Context begin = verdict_.context;
    std::vector<Axis> fixed;
    for (const auto& [name, axis] : kDeviceAxes) {
      if (const auto assumed = assumptions_.shape(name, verdict_.vendor)) {
        set_shape(begin, axis, *assumed == "A" ? Shape::kA : Shape::kB);
        fixed.push_back(axis);
      }
    }
    begin.uarts = assumptions_.number(axis::kUarts);
    std::vector<DeviceFits> fits;
    for (ClassifiedEntry& one : verdict_.entries) {
      fits.emplace_back();
      if (one.is_kernel || !is_readable_device(one)) continue;
      VMSNAP_ASSIGN_OR_RETURN(const ByteVector chunk, read(*one.entry));
      auto fit = fit_device(*one.layout, begin, fixed, chunk);
      if (!fit) {
        return std::move(fit.error()
                             .in_file(set_.kern().name())
                             .at_offset(one.entry->file_offset)
                             .in_chunk(label_of(*one.entry)));
      }
      count_votes(*one.entry, *fit);
      fits.back() = std::move(*fit);
    }
    for (const auto& [name, axis] : kDeviceAxes) conclude(name, axis, begin, fixed);
    choose_fits(fits);
    return {};
  }

  /// Gives the entry its layout, or says why it has none.
  bool is_readable_device(ClassifiedEntry& one) {
    const MetaEntry& entry = *one.entry;
    const std::string_view emulation = parse_device_name(entry.name).emulation;
    const auto layouts = layouts_of(emulation);
    if (entry.size == 0) {
      one.why_not = "it is empty";
    } else if (entry.request || layouts.empty() || kernel_chunk_by_name(emulation)) {
      one.why_not = "no bhyve that is known writes the state of such a device";
    } else if (set_.find_device(entry.name) != &entry) {
      one.why_not = "it is listed before, and bhyve reads the first";
    } else {
      one.layout = layouts.front();
    }
    return one.layout != nullptr;
  }

  Result<ByteVector> read(const MetaEntry& entry) {
    const auto sum = checked_add(bytes_read_, entry.size);
    if (sum && *sum > kMostBytesRead && entry.size <= set_.kern_size()) {
      return Error(ErrorKind::kLimitExceeded,
                   fmt::format("the chunks listed have more than {} bytes together; as the file has {}, they "
                               "overlap, and the .meta file is wrong",
                               kMostBytesRead, set_.kern_size()))
          .in_file(set_.meta_path())
          .at_offset(entry.meta_offset);
    }
    bytes_read_ = sum.value_or(kMostBytesRead);
    return set_.read(entry);
  }

  void count_votes(const MetaEntry& entry, const DeviceFits& fits) {
    for (const AxisVote& vote : fits.votes) {
      Tally& tally = tallies_[vote.axis];
      const std::string text = label_of(entry) + (vote.evidence.empty() ? "" : ": " + vote.evidence);
      if (vote.fits_a && vote.fits_b) {
        if (tally.for_both++ == 0) tally.either = text;
      } else if (vote.fits_a) {
        if (tally.for_a++ == 0) tally.first_a = text;
      } else if (tally.for_b++ == 0) {
        tally.first_b = text;
      }
    }
  }

  void conclude(std::string_view name, Axis axis, const Context& begin, const std::vector<Axis>& fixed) {
    const Tally& tally = tallies_[axis];
    const auto others = [](std::size_t count) {
      return count > 1 ? fmt::format(" (and {} more)", count - 1) : std::string();
    };
    if (std::find(fixed.begin(), fixed.end(), axis) != fixed.end()) {
      set_shape(verdict_.context, axis, begin.shape(axis));
      say(name, std::string(to_string(begin.shape(axis))), Certainty::kAssumed, "as assumed");
    } else if (tally.for_a + tally.for_b == 0) {
      // What else the same kernel and bhyve did.
      const AxisVerdict* prefix = verdict_.find(axis::kPrefix);
      const AxisVerdict* vlapic = verdict_.find(axis::kVlapic);
      const AxisVerdict* like =
          prefix != nullptr && !prefix->shape.empty() && prefix->shape != "mixed" ? prefix : vlapic;
      const Shape shape = like->shape == "A" ? Shape::kA : Shape::kB;
      set_shape(verdict_.context, axis, shape);
      if (tally.for_both == 0) {
        say(name, {}, Certainty::kNone, "the set has no device that tells");
      } else {
        say(name, std::string(to_string(shape)), Certainty::kGuess,
            fmt::format("{}{} reads the same either way; taken to be like {}", tally.either,
                        others(tally.for_both), like->axis));
      }
    } else if (tally.for_a != 0 && tally.for_b != 0) {
      set_shape(verdict_.context, axis, tally.for_a > tally.for_b ? Shape::kA : Shape::kB);
      say(name, "mixed", Certainty::kLikely,
          fmt::format("A by {}{}; B by {}{}", tally.first_a, others(tally.for_a), tally.first_b,
                      others(tally.for_b)));
    } else {
      const bool is_a = tally.for_a != 0;
      set_shape(verdict_.context, axis, is_a ? Shape::kA : Shape::kB);
      say(name, is_a ? "A" : "B", Certainty::kCertain,
          (is_a ? tally.first_a : tally.first_b) + others(is_a ? tally.for_a : tally.for_b));
    }
  }

  /// For each device, of the ways to read it that are equally good, the one that is like the other devices.
  void choose_fits(std::vector<DeviceFits>& fits) {
    std::string uarts;
    for (std::size_t i = 0; i < fits.size(); ++i) {
      if (fits[i].best.empty()) continue;
      ClassifiedEntry& one = verdict_.entries[i];
      const auto likeness = [&](const Fit& fit) {
        return std::count_if(kDeviceAxes.begin(), kDeviceAxes.end(), [&](const auto& pair) {
          return fit.context.shape(pair.second) == verdict_.context.shape(pair.second);
        });
      };
      const auto best =
          std::max_element(fits[i].best.begin(), fits[i].best.end(),
                           [&](const Fit& a, const Fit& b) { return likeness(a) < likeness(b); });
      one.context = best->context;
      one.trailing = best->trailing;
      if (best->context.usb_devices) verdict_.context.usb_devices = best->context.usb_devices;
      if (!best->context.uarts) continue;
      verdict_.context.uarts = best->context.uarts;
      const bool is_assumed = assumptions_.number(axis::kUarts).has_value();
      say(axis::kUarts, std::to_string(*best->context.uarts),
          is_assumed ? Certainty::kAssumed : Certainty::kCertain,
          fmt::format("{}: {} bytes have room for as many", label_of(*one.entry), one.entry->size));
    }
    if (!verdict_.context.uarts) say(axis::kUarts, {}, Certainty::kNone, "the set has no LPC bridge");
  }

  // All of it.

  [[nodiscard]] std::vector<std::string_view> deviations(Generation generation) const {
    std::vector<std::string_view> out;
    for (const AxisVerdict& one : verdict_.axes) {
      if (one.axis == axis::kCpuset || one.certainty == Certainty::kNone ||
          one.certainty == Certainty::kGuess)
        continue;
      const std::string_view expected = shape_in(generation, verdict_.vendor, one.axis);
      // A filled vmx is an empty one that someone repaired.
      const std::string_view shape = one.axis == axis::kVmx && one.shape == "filled"
                                         ? std::string_view("empty")
                                         : std::string_view(one.shape);
      if (!expected.empty() && expected != shape) out.push_back(one.axis);
    }
    const AxisVerdict* cpuset = verdict_.find(axis::kCpuset);
    const AxisVerdict* vm = verdict_.find(axis::kVm);
    const bool is_of_vm = std::find(out.begin(), out.end(), axis::kVm) != out.end();
    if (!is_of_vm && vm->shape == "C" &&
        cpuset->shape != shape_in(Generation::kC, verdict_.vendor, axis::kCpuset))
      out.push_back(axis::kCpuset);
    return out;
  }

  void choose_generation() {
    std::optional<std::size_t> fewest;
    for (const Generation generation : all_generations()) {
      const auto deviating = deviations(generation);
      if (deviating.empty()) verdict_.generations.push_back(generation);
      if (fewest && deviating.size() > *fewest) continue;
      // Of those that are equally near, the newest, but never A2 for A.
      if (fewest == deviating.size() && generation == Generation::kA2) continue;
      fewest = deviating.size();
      verdict_.nearest = generation;
      verdict_.deviating = deviating;
    }
  }

  const LegacySet& set_;
  const Assumptions& assumptions_;
  Verdict verdict_;
  std::map<Axis, Tally> tallies_;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace

std::string_view to_string(Certainty certainty) {
  switch (certainty) {
    case Certainty::kNone:
      return "unknown";
    case Certainty::kGuess:
      return "guessed";
    case Certainty::kLikely:
      return "likely";
    case Certainty::kCertain:
      return "certain";
    case Certainty::kAssumed:
      return "assumed";
  }
  return "unknown";
}

const AxisVerdict* Verdict::find(std::string_view axis) const {
  for (const AxisVerdict& one : axes) {
    if (one.axis == axis) return &one;
  }
  return nullptr;
}

std::string Verdict::generation_text() const {
  if (generations.empty())
    return fmt::format("mixed; nearest to {}, but for {}", to_string(nearest), fmt::join(deviating, ", "));
  std::vector<std::string> names;
  for (const Generation generation : generations)
    names.push_back(fmt::format("{} ({})", to_string(generation), releases_of(generation)));
  return fmt::format("{}", fmt::join(names, " or "));
}

std::string shape_text(const ClassifiedEntry& one) {
  if (one.layout == nullptr) return {};
  const std::vector<Axis> axes = axes_of(*one.layout);
  if (axes.empty()) return std::string(one.layout->shape);
  std::vector<std::string> parts;
  for (const auto& [name, axis] : kDeviceAxes) {
    if (std::find(axes.begin(), axes.end(), axis) != axes.end())
      parts.push_back(fmt::format("{} {}", name, to_string(one.context.shape(axis))));
  }
  if (one.context.uarts) parts.push_back(fmt::format("{} UARTs", *one.context.uarts));
  return fmt::format("{}", fmt::join(parts, ", "));
}

Result<Verdict> classify(const LegacySet& set, const Assumptions& assumptions) {
  return Classifier(set, assumptions).run();
}

}  // namespace vmsnap::compat::bhyve
