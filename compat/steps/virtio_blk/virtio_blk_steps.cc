// SPDX-License-Identifier: BSD-2-Clause
#include "steps/virtio_blk/virtio_blk_steps.h"

#include <fmt/format.h>

namespace vmsnap::compat {
namespace {

constexpr ChunkVersion kSplitOnly{1, 0};
constexpr ChunkVersion kWithPacked{1, 1};

// Virtio 1.2, sections 2.1 and 6.
constexpr std::uint64_t kRingPacked = std::uint64_t{1} << 34;
constexpr std::uint8_t kFeaturesOk = 0x08;
constexpr std::uint8_t kNeedsReset = 0x40;

constexpr std::string_view kDeviceFeatures = "virtio.device_features";
constexpr std::string_view kDriverFeatures = "virtio.driver_features";
constexpr std::string_view kStatus = "virtio.device_status";

constexpr std::string_view kDiskStops =
    "the guest's driver uses packed rings, which the older version cannot go on with: the disk answers no "
    "request until the guest resets it, as it does when it is rebooted";

Result<void> withdraw_offer(StepContext& context, std::uint64_t offered, std::string sentence) {
  VMSNAP_RETURN_IF_ERROR(context.converted(kDeviceFeatures, std::move(sentence)));
  return context.set(kDeviceFeatures, offered & ~kRingPacked);
}

/// The older version could not tell what is in a packed ring, so the queue is as after a reset.
Result<void> take_queue_away(StepContext& context, const std::string& queue) {
  for (const std::string_view counter : {"next_available_wrap", "next_used_wrap"}) {
    VMSNAP_ASSIGN_OR_RETURN(const bool there, context.has(fmt::format("{}.{}", queue, counter)));
    if (!there) {
      return Error(
                 ErrorKind::kCorrupt,
                 fmt::format("{} is missing, although the driver uses packed rings; take another copy of the "
                             "snapshot",
                             counter))
          .in_field(queue);
    }
  }
  const std::string sentence = "the queue is as after a reset, which the device asks for";
  VMSNAP_ASSIGN_OR_RETURN(const auto max_size, context.peek<std::uint16_t>(queue + ".max_size"));
  for (const std::string_view field : {"size", "enabled", "descriptor_table", "available_ring", "used_ring",
                                       "next_available", "next_used", "signalled_used"}) {
    const std::string path = fmt::format("{}.{}", queue, field);
    VMSNAP_RETURN_IF_ERROR(context.converted(path, sentence));
    VMSNAP_RETURN_IF_ERROR(context.clear(path));
  }
  return context.set(queue + ".size", max_size);
}

Result<void> to_split_only(StepContext& context) {
  VMSNAP_ASSIGN_OR_RETURN(const auto offered, context.peek<std::uint64_t>(kDeviceFeatures));
  VMSNAP_ASSIGN_OR_RETURN(const auto accepted, context.peek<std::uint64_t>(kDriverFeatures));
  VMSNAP_ASSIGN_OR_RETURN(const auto status, context.peek<std::uint8_t>(kStatus));
  if ((offered & kRingPacked) == 0) return {};
  if (status == 0) {
    return withdraw_offer(context, offered, "packed rings are no longer offered; no driver has begun yet");
  }
  if ((status & kFeaturesOk) == 0) {
    VMSNAP_RETURN_IF_ERROR(
        context.lost(kDeviceFeatures,
                     "the guest's driver is choosing among the features it was offered, packed rings among "
                     "them: if it has "
                     "chosen those, the older version refuses and the guest finds no disk"));
    return context.set(kDeviceFeatures, offered & ~kRingPacked);
  }
  if ((accepted & kRingPacked) == 0) {
    return withdraw_offer(context, offered,
                          "packed rings are no longer offered; the driver has agreed on others");
  }
  // That the wrap counters are lost is declared with the fields. Somebody who allows that gets a device that
  // says it is broken, not one that takes the ring for something else.
  VMSNAP_RETURN_IF_ERROR(withdraw_offer(context, offered, "packed rings are no longer offered"));
  VMSNAP_RETURN_IF_ERROR(context.converted(kDriverFeatures, "packed rings are no longer agreed on"));
  VMSNAP_RETURN_IF_ERROR(context.set(kDriverFeatures, accepted & ~kRingPacked));
  VMSNAP_RETURN_IF_ERROR(context.converted(kStatus, "the device asks for a reset"));
  VMSNAP_RETURN_IF_ERROR(context.set(kStatus, static_cast<std::uint8_t>(status | kNeedsReset)));
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t queues, context.count("virtio.queues"));
  for (std::size_t i = 0; i < queues; ++i) {
    VMSNAP_RETURN_IF_ERROR(take_queue_away(context, fmt::format("virtio.queues[{}]", i)));
  }
  return {};
}

}  // namespace

StepRegistry virtio_blk_steps() {
  StepRegistry registry;
  registry.steps = {{"virtio_blk", kWithPacked, kSplitOnly, to_split_only}};
  for (const std::string_view field : {"virtio.queues.next_available_wrap", "virtio.queues.next_used_wrap"}) {
    registry.appended_fields.push_back(
        {"virtio_blk", kWithPacked, field, "packed-ring", Loss::kNoticeable, kDiskStops});
  }
  return registry;
}

}  // namespace vmsnap::compat
