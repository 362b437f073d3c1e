// SPDX-License-Identifier: BSD-2-Clause
// The chunks of devices: each is read in every shape that it could have, and the devices vote.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/checked.h"
#include "bhyve/layout/layouts.h"
#include "bhyve/set/device_name.h"
#include "bhyve/verdict/classify_parts.h"
#include "bhyve/verdict/device_axes.h"
#include "bhyve/verdict/device_fit.h"

namespace vmsnap::compat::bhyve {
namespace {

/// Of chunks that overlap, the same bytes are read again and again.
constexpr std::uint64_t kMostBytesRead = std::uint64_t{1} << 30;

/// What the devices say about one axis.
struct Tally {
  std::string first_a;  // label and evidence
  std::string first_b;
  std::size_t for_a = 0;
  std::size_t for_b = 0;
  std::size_t for_both = 0;
  std::string either;  // label of the first that fits both
};

class DeviceClassifier {
 public:
  DeviceClassifier(const LegacySet& set, const Assumptions& assumptions, Verdict& verdict)
      : set_(set), assumptions_(assumptions), verdict_(verdict) {}

  Result<void> run() {
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
      Context context = begin;
      context.file_offset = one.entry->file_offset;
      auto fit = fit_device(*one.layout, context, fixed, chunk);
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

 private:
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
      verdict_.say(name, std::string(to_string(begin.shape(axis))), Certainty::kAssumed, "as assumed");
    } else if (tally.for_a + tally.for_b == 0) {
      // What else the same kernel and bhyve did.
      const AxisVerdict* prefix = verdict_.find(axis::kPrefix);
      const AxisVerdict* vlapic = verdict_.find(axis::kVlapic);
      const AxisVerdict* like =
          prefix != nullptr && !prefix->shape.empty() && prefix->shape != "mixed" ? prefix : vlapic;
      const Shape shape = like->shape == "A" ? Shape::kA : Shape::kB;
      set_shape(verdict_.context, axis, shape);
      if (tally.for_both == 0) {
        verdict_.say(name, {}, Certainty::kNone, "the set has no device that tells");
      } else {
        verdict_.say(name, std::string(to_string(shape)), Certainty::kGuess,
                     fmt::format("{}{} reads the same either way; taken to be like {}", tally.either,
                                 others(tally.for_both), like->axis));
      }
    } else if (tally.for_a != 0 && tally.for_b != 0) {
      set_shape(verdict_.context, axis, tally.for_a > tally.for_b ? Shape::kA : Shape::kB);
      verdict_.say(name, "mixed", Certainty::kLikely,
                   fmt::format("A by {}{}; B by {}{}", tally.first_a, others(tally.for_a), tally.first_b,
                               others(tally.for_b)));
    } else {
      const bool is_a = tally.for_a != 0;
      set_shape(verdict_.context, axis, is_a ? Shape::kA : Shape::kB);
      verdict_.say(name, is_a ? "A" : "B", Certainty::kCertain,
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
      verdict_.say(axis::kUarts, std::to_string(*best->context.uarts),
                   is_assumed ? Certainty::kAssumed : Certainty::kCertain,
                   fmt::format("{}: {} bytes have room for as many", label_of(*one.entry), one.entry->size));
    }
    if (!verdict_.context.uarts)
      verdict_.say(axis::kUarts, {}, Certainty::kNone, "the set has no LPC bridge");
  }

  const LegacySet& set_;
  const Assumptions& assumptions_;
  Verdict& verdict_;
  std::map<Axis, Tally> tallies_;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace

Result<void> classify_devices(const LegacySet& set, const Assumptions& assumptions, Verdict& verdict) {
  return DeviceClassifier(set, assumptions, verdict).run();
}

}  // namespace vmsnap::compat::bhyve
