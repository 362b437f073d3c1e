// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/chosen_layouts.h"

#include <fmt/format.h>

#include <algorithm>

#include "bhyve/verdict/device_fit.h"
#include "bhyve/verdict/record_shape.h"

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

const ChosenLayout* find(const ChosenLayouts& chosen, KernelChunk chunk) {
  const auto found = std::find_if(chosen.entries.begin(), chosen.entries.end(), [&](const ChosenLayout& one) {
    return one.is_kernel && one.layout != nullptr && kernel_chunk(*one.entry) == chunk;
  });
  return found == chosen.entries.end() ? nullptr : &*found;
}

/// A person may take anything for vmx; registers that stand in vmcx are not taken from there.
void drop_idle_vmx(ChosenLayouts& chosen) {
  const ChosenLayout* vmcx = find(chosen, KernelChunk::kVmcx);
  if (vmcx == nullptr || registers_are_in_vmx(*vmcx->layout)) return;
  for (ChosenLayout& one : chosen.entries) {
    if (!one.is_kernel || one.layout == nullptr || kernel_chunk(*one.entry) != KernelChunk::kVmx) continue;
    one.layout = nullptr;
    one.why_not = "the registers are in vmcx";
  }
}

Result<void> check_complete(const LegacySet& set, const ChosenLayouts& chosen) {
  for (const KernelChunk chunk : all_kernel_chunks()) {
    // Only the oldest have it, and it may be empty.
    if (chunk == KernelChunk::kVmx || find(chosen, chunk) != nullptr) continue;
    return Error(ErrorKind::kUnsupported,
                 "the snapshot has no such chunk, or none that can be read, and there is no guest without it")
        .in_file(set.meta_path())
        .in_chunk(to_string(chunk));
  }
  if (registers_are_in_vmx(*find(chosen, KernelChunk::kVmcx)->layout) &&
      find(chosen, KernelChunk::kVmx) == nullptr) {
    return Error(
               ErrorKind::kUnsupported,
               "it has the general registers and MSRs that vmcx of this shape lacks, but is not there, empty "
               "or not read; there is no guest without them")
        .in_file(set.meta_path())
        .in_chunk(to_string(KernelChunk::kVmx));
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
  drop_idle_vmx(chosen);
  VMSNAP_RETURN_IF_ERROR(check_complete(set, chosen));
  return chosen;
}

}  // namespace vmsnap::compat::bhyve
