// SPDX-License-Identifier: BSD-2-Clause
#include "monitors/takeover.h"

#include <fmt/format.h>

#include <algorithm>

#include "monitors/snapvmm.h"
#include "versions/versions.h"

namespace vmsnap::compat {
namespace {

constexpr std::string_view kPrivate = "bhyve_private";

/// What is the same type of device, but not the same device.
struct Difference {
  std::string_view type;
  bool can = false;
  std::string_view why;
};
constexpr Difference kOfBhyve[] = {
    {"ioapic", true, "but with 24 of its 32 pins: interrupts of the others are lost"},
    {"pci_host", false, "bhyve's is another chip than snapvmm's, which the guest has already seen"},
    {"virtio_blk", false,
     "bhyve's has the legacy interface of virtio, which the guest's driver uses and snapvmm does not have"},
    {"x86_cpu", true,
     "but bhyve does not save FPU, SSE and AVX registers: what the guest computes with them is wrong"},
};

class Judge {
 public:
  Judge(std::span<const DeviceEntry> devices, std::uint32_t vcpus)
      : devices_(devices), vcpus_(vcpus), level_(release_levels().back()) {
    is_from_bhyve_ = count_of(kPrivate) != 0;
  }

  std::vector<Takeover> run() {
    std::vector<Takeover> answers;
    for (const DeviceEntry& device : devices_) {
      const std::string refusal = refusal_of(device);
      answers.push_back(
          {device.path, device.type, refusal.empty(), refusal.empty() ? remark_on(device) : refusal});
    }
    for (const MonitorDevice& known : devices_of_snapvmm()) {
      if (known.how_many == HowMany::kAny) continue;
      const std::size_t wanted = known.how_many == HowMany::kOne ? 1 : vcpus_;
      const std::size_t is = count_of(known.type);
      if (is == wanted) continue;
      const std::string machine =
          known.how_many == HowMany::kOne ? "a machine" : fmt::format("a machine of {} vCPUs", vcpus_);
      answers.push_back(
          {{},
           std::string(known.type),
           false,
           fmt::format("the snapshot has {} of it, and snapvmm runs {} with {}", is, machine, wanted)});
    }
    return answers;
  }

 private:
  [[nodiscard]] std::size_t count_of(std::string_view type) const {
    return static_cast<std::size_t>(std::count_if(
        devices_.begin(), devices_.end(), [&](const DeviceEntry& device) { return device.type == type; }));
  }

  /// Empty when it can be taken over.
  [[nodiscard]] std::string refusal_of(const DeviceEntry& device) const {
    if (device.type == kPrivate)
      return "is no hardware, but what bhyve needs to get its files back; snapvmm refuses a file that has it";
    const MonitorDevice* known = find_device_of_snapvmm(device.type);
    const LevelChunk* chunk = level_.find(device.type);
    if (known == nullptr || chunk == nullptr) return "snapvmm does not emulate it";
    if (device.version.major > chunk->version.major || device.readable_since > chunk->version)
      return fmt::format("the state has version {}, and the newest that this release reads is {}",
                         to_string(device.version), to_string(chunk->version));
    for (const std::string& feature : device.features) {
      if (std::find(chunk->features.begin(), chunk->features.end(), feature) == chunk->features.end())
        return fmt::format("it uses the feature {}, which snapvmm does not have", feature);
    }
    if (!is_place_of(*known, device.path, vcpus_))
      return fmt::format("snapvmm has it at {} only", place_of(*known));
    if (const Difference* difference = difference_of(device); difference != nullptr && !difference->can)
      return std::string(difference->why);
    const bool is_disk = device.slots.size() == 1 && device.slots.front().kind == SlotKind::kBlockBackend;
    if (!device.slots.empty() && !is_disk)
      return "it needs something else of the host than one disk image, which snapvmm cannot give it";
    return {};
  }

  [[nodiscard]] std::string remark_on(const DeviceEntry& device) const {
    const Difference* difference = difference_of(device);
    return difference != nullptr ? std::string(difference->why) : "snapvmm has it";
  }

  /// nullptr when there is none.
  [[nodiscard]] const Difference* difference_of(const DeviceEntry& device) const {
    if (!is_from_bhyve_) return nullptr;
    const auto* const found = std::find_if(std::begin(kOfBhyve), std::end(kOfBhyve),
                                           [&](const Difference& one) { return one.type == device.type; });
    return found == std::end(kOfBhyve) ? nullptr : found;
  }

  static std::string place_of(const MonitorDevice& known) {
    if (known.type == "virtio_blk") return "pci0/00:01.0 to pci0/00:1f.0";
    return known.type == "lapic" ? "the path of its vCPU" : std::string(known.place);
  }

  std::span<const DeviceEntry> devices_;
  std::uint32_t vcpus_;
  ReleaseLevel level_;
  bool is_from_bhyve_ = false;
};

}  // namespace

std::vector<Takeover> judge_takeover(std::span<const DeviceEntry> devices, std::uint32_t vcpus) {
  return Judge(devices, vcpus).run();
}

}  // namespace vmsnap::compat
