// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/chosen_layouts.h"

#include <fmt/format.h>

#include <algorithm>

#include "bhyve/verdict/device_fit.h"

namespace vmsnap::compat::bhyve {
namespace {

/// bhyve takes the first entry that fits.
bool is_first(const LegacySet& set, const ClassifiedEntry& one) {
  if (!one.is_kernel) return !one.entry->request && set.find_device(one.entry->name) == one.entry;
  const auto chunk = kernel_chunk(*one.entry);
  return chunk && set.find(*chunk) == one.entry;
}

/// The private state has one context for all chunks.
bool has_context(const ClassifiedEntry& one, const Context& context) {
  const std::vector<Axis> axes = axes_of(*one.layout);
  return std::all_of(axes.begin(), axes.end(),
                     [&](Axis axis) { return one.context.shape(axis) == context.shape(axis); });
}

ChosenLayout choose(const LegacySet& set, const ClassifiedEntry& one, const Context& common) {
  ChosenLayout chosen{one.entry, one.is_kernel, nullptr, one.context, one.why_not};
  if (one.entry->size == 0 || one.layout == nullptr) return chosen;
  if (!is_first(set, one)) {
    chosen.why_not = "bhyve reads another chunk of the same name instead";
  } else if (!has_context(one, common)) {
    chosen.why_not = "it is laid out in another way than the chunks of the other devices";
  } else {
    chosen.layout = one.layout;
  }
  return chosen;
}

Result<void> check_complete(const LegacySet& set, const ChosenLayouts& chosen) {
  for (const KernelChunk chunk : all_kernel_chunks()) {
    if (chunk == KernelChunk::kVmx) continue;  // only the oldest have it, and it may be empty
    const auto is_there = [&](const ChosenLayout& one) {
      return one.is_kernel && one.layout != nullptr && kernel_chunk(*one.entry) == chunk;
    };
    if (std::any_of(chosen.entries.begin(), chosen.entries.end(), is_there)) continue;
    return Error(ErrorKind::kUnsupported,
                 "the snapshot has no such chunk, or none that can be read, and there is no guest without it")
        .in_file(set.meta_path())
        .in_chunk(to_string(chunk));
  }
  return {};
}

}  // namespace

Result<ChosenLayouts> choose_layouts(const LegacySet& set, const Verdict& verdict) {
  ChosenLayouts chosen;
  chosen.vendor = verdict.vendor;
  chosen.vcpus = static_cast<std::uint32_t>(verdict.ncpus);
  chosen.context = verdict.context;
  for (const ClassifiedEntry& one : verdict.entries) {
    const ChosenLayout& entry = chosen.entries.emplace_back(choose(set, one, verdict.context));
    if (entry.layout == nullptr) continue;
    for (auto count : {&Context::uarts, &Context::cpuset_longs, &Context::usb_devices}) {
      if (entry.context.*count) chosen.context.*count = entry.context.*count;
    }
  }
  VMSNAP_RETURN_IF_ERROR(check_complete(set, chosen));
  return chosen;
}

}  // namespace vmsnap::compat::bhyve
