// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/target_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "bhyve/convert/engine/pci_places.h"
#include "bhyve/layout/layouts.h"
#include "bhyve/set/shown.h"
#include "bhyve/verdict/device_fit.h"
#include "bhyve/verdict/generation.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kAhciChunk = "ahci";

/// The device emulations that A and B save, in their order; one device of each.
constexpr std::string_view kSavedDevices[] = {"atkbdc", "virtio-net", "virtio-blk", "virtio-rnd",
                                              "lpc",    "fbuf",       "xhci",       "e1000",
                                              "ahci",   "ahci-hd",    "ahci-cd"};

constexpr std::uint64_t kUarts = 4;  // of every release but the oldest
constexpr std::string_view kEmptyVmx = "empty";
constexpr std::string_view kNoVmx = "none";

EntryForm form_of(const GenerationTraits& traits) {
  return traits.has_places ? EntryForm::kDevice : EntryForm::kSnapshotReq;
}

KernelKey key_of(const GenerationTraits& traits) {
  return traits.has_places ? KernelKey::kKernStructs : KernelKey::kStructs;
}

/// nullptr when the shape has no such chunk.
const Layout* layout_of(KernelChunk chunk, KernelShape shape, Vendor vendor) {
  return layout_in(to_string(chunk), to_string(shape), vendor);
}

bool fits(const PrivateState& state, const PrivateChunk& chunk, KernelShape shape) {
  const GenerationTraits& traits = traits_of(shape);
  if (chunk.entry.form != form_of(traits)) return false;
  if (chunk.is_kernel) {
    const auto which = kernel_chunk(chunk.entry);
    if (!which) return false;
    if (chunk.chunk.empty()) return *which == KernelChunk::kVmx && traits.vmx == kEmptyVmx;
    const Layout* layout = layout_of(*which, shape, state.vendor);
    return layout != nullptr && chunk.layout == layout->shape;
  }
  if (chunk.chunk.empty() || chunk.chunk == "atkbdc") return true;
  const Layout* layout = find_layout(chunk.chunk, chunk.layout);
  if (layout == nullptr) return false;
  const std::vector<Axis> axes = axes_of(*layout);
  return std::all_of(axes.begin(), axes.end(),
                     [&](Axis axis) { return state.context.shape(axis) == traits.rest; });
}

bool has_chunk(const PrivateState& state, KernelChunk chunk) {
  return std::any_of(state.chunks.begin(), state.chunks.end(), [&](const PrivateChunk& candidate) {
    return candidate.is_kernel && kernel_chunk(candidate.entry) == chunk;
  });
}

std::vector<PciPlace> places_of(const PrivateState& state) {
  std::vector<NamedDevice> devices;
  for (const PrivateChunk& chunk : state.chunks) {
    NamedDevice& device = devices.emplace_back();
    device.name = chunk.entry.name;
    if (!chunk.is_kernel) device.chunk = chunk.chunk;
    for (const std::string& path : chunk.devices) {
      if (!device.said) device.said = address_of(path);
    }
  }
  return assign_places(devices);
}

/// Makes the frame of a shape that the chunks do not have.
class FrameMaker {
 public:
  FrameMaker(KernelShape shape, const PrivateState& state, const Machine& machine)
      : shape_(shape),
        traits_(traits_of(shape)),
        state_(state),
        machine_(machine),
        places_(places_of(state)) {}

  Result<TargetFrame> make() {
    VMSNAP_RETURN_IF_ERROR(check_vcpus());
    frame_.context = state_.context;
    frame_.context.set_shapes(traits_.rest);
    frame_.context.vcpus = machine_.vcpus();
    if (!frame_.context.uarts) frame_.context.uarts = kUarts;
    if (!frame_.context.usb_devices) frame_.context.usb_devices = 0;
    frame_.context.cpuset_longs = traits_.cpuset_longs;
    frame_.kernel_key = key_of(traits_);
    add_kernel();
    find_devices();
    if (traits_.has_places) {
      add_functions();
    } else {
      add_saved_devices();
    }
    lose_the_rest();
    return std::move(frame_);
  }

 private:
  struct Device {
    const PrivateChunk* source = nullptr;
    std::string path;
    bool is_place_invented = false;
    bool is_taken = false;
  };

  Result<void> check_vcpus() const {
    if (machine_.vcpus() <= traits_.most_vcpus) return {};
    return Error(ErrorKind::kUnsupported,
                 fmt::format("the guest has {} CPUs, and the bhyve of shape {} at most "
                             "{}; choose another shape",
                             machine_.vcpus(), to_string(shape_), traits_.most_vcpus));
  }

  void add_kernel() {
    for (const KernelChunk chunk : all_kernel_chunks()) {
      const Layout* layout = layout_of(chunk, shape_, state_.vendor);
      if (layout == nullptr) continue;
      TargetEntry& target = frame_.entries.emplace_back();
      target.is_kernel = true;
      target.chunk = to_string(chunk);
      target.layout = layout;
      if (traits_.has_places) {
        target.entry.form = EntryForm::kDevice;
        target.entry.name = target.chunk;
      } else {
        target.entry.request = request_number(chunk);
        target.entry.debug_name = target.chunk;
      }
      target.source = find_kernel(target.chunk);
      if (chunk == KernelChunk::kVmcx) target.beside = find_kernel(to_string(KernelChunk::kVmx));
      if (chunk == KernelChunk::kVmx) target.beside = find_kernel(to_string(KernelChunk::kVmcx));
    }
  }

  [[nodiscard]] const PrivateChunk* find_kernel(std::string_view chunk) const {
    for (const PrivateChunk& source : state_.chunks) {
      if (source.is_kernel && source.chunk == chunk) return &source;
    }
    return nullptr;
  }

  void find_devices() {
    for (std::size_t i = 0; i < state_.chunks.size(); ++i) {
      const PrivateChunk& chunk = state_.chunks[i];
      if (chunk.is_kernel || chunk.entry.size == 0) continue;
      devices_.push_back({&chunk, places_[i].path, places_[i].is_invented, false});
    }
  }

  TargetEntry& add(std::string name, Device& device) {
    TargetEntry& target = frame_.entries.emplace_back();
    target.entry.form = form_of(traits_);
    target.entry.name = std::move(name);
    target.source = device.source;
    target.chunk = device.source->chunk;
    target.layout = find_layout(target.chunk, device.source->layout);
    target.device_path = device.path;
    device.is_taken = true;
    return target;
  }

  void add_saved_devices() {
    for (const std::string_view name : kSavedDevices) {
      Device* device = find_saved(name);
      if (device != nullptr) {
        add(std::string(name), *device);
      } else {
        frame_.entries.emplace_back().entry.name = name;
      }
    }
    for (Device& device : devices_) {
      if (device.source->chunk == "hostbridge") device.is_taken = true;  // bhyve makes its own
    }
  }

  /// The device that bhyve looks for under a name: that of the command line in shape A, which may be another
  /// name of the emulation, the emulation itself in B.
  Device* find_saved(std::string_view name) {
    for (Device& device : devices_) {
      if (device.is_taken || device.source->chunk.empty()) continue;
      const std::string_view own = shape_ == KernelShape::kA
                                       ? parse_device_name(device.source->entry.name).emulation
                                       : std::string_view(device.source->chunk);
      if (own == name) return &device;
    }
    if (shape_ != KernelShape::kA) return nullptr;
    for (Device& device : devices_) {
      if (device.is_taken || device.source->chunk != kAhciChunk || name_by_drive(device) != name) continue;
      frame_.remarks.push_back(
          {Remark::Kind::kNote, label_of(device.source->entry),
           fmt::format("it is stored as {0}, since there is another controller: 13.0 and "
                       "13.1 find it when they are started with -s SLOT,{0},FILE",
                       name)});
      return &device;
    }
    return nullptr;
  }

  /// The name that an AHCI controller with a single drive can have besides its own; empty for others.
  [[nodiscard]] std::string_view name_by_drive(const Device& device) const {
    const StateTree* state = machine_.find(device.path);
    if (state == nullptr || state->count("ports").value_or(0) != 1) return {};
    const auto takes_packets = state->get<std::optional<bool>>("ports[0].drive.packet_device");
    if (!takes_packets || !*takes_packets) return {};
    return **takes_packets ? "ahci-cd" : "ahci-hd";
  }

  void add_functions() {
    std::vector<std::pair<std::tuple<unsigned, unsigned, unsigned>, Device*>> functions;
    for (Device& device : devices_) {
      const auto address = address_of(device.path);
      if (!address) continue;
      functions.push_back({{address->bus, address->slot, address->function}, &device});
    }
    std::sort(functions.begin(), functions.end());
    const bool has_bridge = std::any_of(devices_.begin(), devices_.end(),
                                        [](const Device& device) { return device.path == kHostBridgePath; });
    if (!has_bridge && machine_.find(kHostBridgePath) != nullptr) add_host_bridge();
    for (const auto& [place, device] : functions) {
      const auto [bus, slot, function] = place;
      if (device->is_place_invented) note_place(*device);
      add(fmt::format("{}@pci.{}.{}.{}", device->source->chunk, bus, slot, function), *device);
    }
    for (Device& device : devices_) {
      if (device.source->chunk == "atkbdc") add("atkbdc", device);
    }
  }

  void note_place(const Device& device) {
    frame_.remarks.push_back(
        {Remark::Kind::kNote, label_of(device.source->entry),
         fmt::format("the snapshot did not say its slot, so it is named as if at {}: if bhyve is to be "
                     "started with another slot for it, write that into its name in the .meta file",
                     device.path)});
  }

  void add_host_bridge() {
    TargetEntry& target = frame_.entries.emplace_back();
    target.entry.form = EntryForm::kDevice;
    target.entry.name = "hostbridge@pci.0.0.0";
    target.chunk = "hostbridge";
    target.layout = find_layout(target.chunk, "by axes");
    target.device_path = kHostBridgePath;
  }

  void lose_the_rest() {
    for (const Device& device : devices_) {
      if (device.is_taken) continue;
      const std::string label = label_of(device.source->entry);
      if (device.source->chunk.empty()) {
        frame_.remarks.push_back(
            {Remark::Kind::kLoss, label,
             "nobody knows the fields of this chunk, so it cannot be laid out for another "
             "release; the guest loses the device"});
      } else {
        frame_.remarks.push_back(
            {Remark::Kind::kLoss, label,
             fmt::format(
                 "bhyve of shape {} saves one device of each kind that it knows; the guest finds this "
                 "device as it is after a reset",
                 to_string(shape_))});
      }
    }
    for (const PrivateChunk& chunk : state_.chunks) {
      if (!chunk.is_kernel || chunk.entry.size == 0 || !chunk.chunk.empty()) continue;
      frame_.remarks.push_back(
          {Remark::Kind::kLoss, label_of(chunk.entry), "nobody knows this chunk, so it is left out"});
    }
  }

  KernelShape shape_;
  const GenerationTraits& traits_;
  const PrivateState& state_;
  const Machine& machine_;
  std::vector<PciPlace> places_;
  std::vector<Device> devices_;
  TargetFrame frame_;
};

}  // namespace

std::string_view to_string(KernelShape shape) {
  return traits_of(shape).name;
}

std::string shapes_text() {
  std::string text;
  std::optional<KernelShape> last;
  for (const GenerationTraits& one : all_generations()) {
    if (last == one.shape) {
      text.insert(text.size() - 1, fmt::format(", {}", one.number));
    } else {
      text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", one.name, one.number);
    }
    last = one.shape;
  }
  return text;
}

Result<KernelShape> parse_shape(std::string_view text) {
  for (const GenerationTraits& one : all_generations()) {
    if (one.name == text || one.number == text) return one.shape;
  }
  return Error(ErrorKind::kUsage, fmt::format("{} is no shape; there are {}", shown(text), shapes_text()));
}

std::optional<KernelShape> shape_of(const PrivateState& state) {
  for (const GenerationTraits& one : all_generations()) {
    if (state.kernel_key != key_of(one)) continue;
    const bool all = std::all_of(state.chunks.begin(), state.chunks.end(),
                                 [&](const PrivateChunk& chunk) { return fits(state, chunk, one.shape); });
    if (all && has_chunk(state, KernelChunk::kVmx) == (one.vmx != kNoVmx)) return one.shape;
  }
  return std::nullopt;
}

Result<TargetFrame> frame_of(const PrivateState& state) {
  TargetFrame frame;
  frame.context = state.context;
  frame.kernel_key = state.kernel_key;
  frame.devices_key = state.devices_key;
  const std::vector<PciPlace> places = places_of(state);
  for (std::size_t i = 0; i < state.chunks.size(); ++i) {
    const PrivateChunk& chunk = state.chunks[i];
    TargetEntry target{chunk.entry, chunk.is_kernel, &chunk, nullptr, chunk.chunk, nullptr, places[i].path};
    if (!chunk.chunk.empty()) {
      target.layout = find_layout(chunk.chunk, chunk.layout);
      if (target.layout == nullptr) {
        return Error(ErrorKind::kUnsupported, fmt::format("this build knows no layout {} of {}",
                                                          shown(chunk.layout), shown(chunk.chunk)))
            .in_chunk(kPrivateType);
      }
    }
    frame.entries.push_back(std::move(target));
  }
  return frame;
}

Result<TargetFrame> frame_for(KernelShape shape, const PrivateState& state, const Machine& machine) {
  return FrameMaker(shape, state, machine).make();
}

}  // namespace vmsnap::compat::bhyve
