// SPDX-License-Identifier: BSD-2-Clause
// What the .meta file says, and the conclusion from what all the parts say.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "bhyve/set/device_name.h"
#include "bhyve/set/shown.h"
#include "bhyve/verdict/classify_parts.h"

namespace vmsnap::compat::bhyve {
namespace {

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
    VMSNAP_RETURN_IF_ERROR(classify_kernel(set_, assumptions_, verdict_));
    VMSNAP_RETURN_IF_ERROR(classify_devices(set_, assumptions_, verdict_));
    for (ClassifiedEntry& one : verdict_.entries) one.context.file_offset = one.entry->file_offset;
    choose_generation();
    return std::move(verdict_);
  }

 private:
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

  void judge_meta() {
    const Meta& meta = set_.meta();
    verdict_.say(axis::kMeta, std::string(to_string(meta.kernel_key)), Certainty::kCertain,
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
      verdict_.say(axis::kNames, {}, Certainty::kNone, "no device is listed");
      return;
    }
    const auto most = std::max_element(forms.begin(), forms.end(), [](const auto& a, const auto& b) {
      return a.second.first < b.second.first;
    });
    verdict_.say(axis::kNames, std::string(most->first), Certainty::kCertain,
                 fmt::format("{} of the devices listed are called like {}", most->second.first,
                             shown(most->second.second)));
  }

  [[nodiscard]] std::vector<std::string_view> deviations(Generation generation) const {
    std::vector<std::string_view> out;
    for (const AxisVerdict& one : verdict_.axes) {
      if (one.axis == axis::kCpuset || one.certainty == Certainty::kNone ||
          one.certainty == Certainty::kGuess)
        continue;
      const std::string expected = shape_in(generation, verdict_.vendor, one.axis);
      // A filled vmx is an empty one that someone repaired.
      const std::string_view shape = one.axis == axis::kVmx && one.shape == "filled"
                                         ? std::string_view("empty")
                                         : std::string_view(one.shape);
      if (!expected.empty() && expected != shape) out.push_back(one.axis);
    }
    const AxisVerdict* cpuset = verdict_.find(axis::kCpuset);
    const AxisVerdict* vm = verdict_.find(axis::kVm);
    const bool is_of_vm = std::find(out.begin(), out.end(), axis::kVm) != out.end();
    if (!is_of_vm && vm->certainty != Certainty::kNone &&
        cpuset->shape != shape_in(generation, verdict_.vendor, axis::kCpuset))
      out.push_back(axis::kCpuset);
    return out;
  }

  void choose_generation() {
    std::optional<std::size_t> fewest;
    for (const GenerationTraits& traits : all_generations()) {
      const Generation generation = traits.generation;
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
};

}  // namespace

Result<Verdict> classify(const LegacySet& set, const Assumptions& assumptions) {
  return Classifier(set, assumptions).run();
}

}  // namespace vmsnap::compat::bhyve
