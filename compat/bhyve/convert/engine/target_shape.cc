// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/target_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "bhyve/convert/engine/pci_places.h"
#include "bhyve/layout/layouts.h"
#include "bhyve/set/shown.h"
#include "bhyve/verdict/device_fit.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr KernelShape kShapes[] = {KernelShape::kA, KernelShape::kB, KernelShape::kC0, KernelShape::kC};

struct ShapeName {
  std::string_view name;
  KernelShape shape;
};
constexpr ShapeName kNames[] = {
    {"A", KernelShape::kA},    {"B", KernelShape::kB},    {"C0", KernelShape::kC0},
    {"C", KernelShape::kC},    {"A2", KernelShape::kA},   {"13.0", KernelShape::kA},
    {"13.1", KernelShape::kA}, {"13.2", KernelShape::kB}, {"14.0", KernelShape::kC0},
    {"main", KernelShape::kC},
};

/// The device emulations that A and B save, in their order; one device of each.
constexpr std::string_view kSavedDevices[] = {"atkbdc", "virtio-net", "virtio-blk", "virtio-rnd",
                                              "lpc",    "fbuf",       "xhci",       "e1000",
                                              "ahci",   "ahci-hd",    "ahci-cd"};

constexpr std::uint64_t kUarts = 4;  // of every release but the oldest
constexpr std::uint64_t kCpusetLongsOfB = 4;
constexpr std::uint64_t kCpusetLongsOfC = 16;

bool is_c(KernelShape shape) {
  return shape == KernelShape::kC0 || shape == KernelShape::kC;
}

/// Name of the layout of a kernel chunk; empty when the shape has no such chunk.
std::string_view layout_name(KernelChunk chunk, KernelShape shape, Vendor vendor) {
  const bool is_intel = vendor == Vendor::kIntel;
  switch (chunk) {
    case KernelChunk::kVm:
      return shape == KernelShape::kA ? "A" : shape == KernelShape::kB ? "B" : "C";
    case KernelChunk::kVmx:
      if (is_c(shape)) return {};
      if (shape == KernelShape::kB) return "B";
      return is_intel ? "Intel A" : "AMD A";
    case KernelChunk::kVlapic:
      return shape == KernelShape::kA ? "A" : "B";
    case KernelChunk::kVmcx:
      switch (shape) {
        case KernelShape::kA:
          return is_intel ? "Intel A" : "AMD A";
        case KernelShape::kB:
          return is_intel ? "Intel B" : "AMD B";
        case KernelShape::kC0:
          return is_intel ? "Intel C0" : "AMD B";
        case KernelShape::kC:
          return is_intel ? "Intel C" : "AMD C";
      }
      return {};
    default:
      return "A";
  }
}

bool fits(const PrivateState& state, const PrivateChunk& chunk, KernelShape shape) {
  if (chunk.entry.form != (is_c(shape) ? EntryForm::kDevice : EntryForm::kSnapshotReq)) return false;
  if (chunk.is_kernel) {
    const auto which = kernel_chunk(chunk.entry);
    if (!which) return false;
    if (chunk.chunk.empty()) return *which == KernelChunk::kVmx && shape == KernelShape::kB;
    return chunk.layout == layout_name(*which, shape, state.vendor);
  }
  if (chunk.chunk.empty() || chunk.chunk == "atkbdc") return true;
  const Layout* layout = find_layout(chunk.chunk, chunk.layout);
  if (layout == nullptr) return false;
  const Shape wanted = shape == KernelShape::kA ? Shape::kA : Shape::kB;
  const std::vector<Axis> axes = axes_of(*layout);
  return std::all_of(axes.begin(), axes.end(),
                     [&](Axis axis) { return state.context.shape(axis) == wanted; });
}

bool has_chunk(const PrivateState& state, KernelChunk chunk) {
  return std::any_of(state.chunks.begin(), state.chunks.end(), [&](const PrivateChunk& candidate) {
    return candidate.is_kernel && kernel_chunk(candidate.entry) == chunk;
  });
}

std::vector<PciPlace> places_of(const PrivateState& state) {
  std::vector<NamedDevice> devices;
  for (const PrivateChunk& chunk : state.chunks) {
    devices.push_back(
        {chunk.entry.name, chunk.is_kernel ? std::string_view() : std::string_view(chunk.chunk)});
  }
  return assign_places(devices);
}

/// Makes the frame of a shape that the chunks do not have.
class FrameMaker {
 public:
  FrameMaker(KernelShape shape, const PrivateState& state, const Machine& machine)
      : shape_(shape), state_(state), machine_(machine), places_(places_of(state)) {}

  Result<TargetFrame> make() {
    VMSNAP_RETURN_IF_ERROR(check_vcpus());
    frame_.context = state_.context;
    frame_.context.set_shapes(shape_ == KernelShape::kA ? Shape::kA : Shape::kB);
    frame_.context.vcpus = machine_.vcpus();
    if (!frame_.context.uarts) frame_.context.uarts = kUarts;
    if (!frame_.context.usb_devices) frame_.context.usb_devices = 0;
    frame_.context.cpuset_longs = shape_ == KernelShape::kB ? kCpusetLongsOfB : kCpusetLongsOfC;
    frame_.kernel_key = is_c(shape_) ? KernelKey::kKernStructs : KernelKey::kStructs;
    add_kernel();
    find_devices();
    if (is_c(shape_)) {
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
    bool is_taken = false;
  };

  Result<void> check_vcpus() const {
    const std::uint64_t most = shape_ == KernelShape::kA ? 16 : shape_ == KernelShape::kB ? 256 : 1024;
    if (machine_.vcpus() <= most) return {};
    return Error(ErrorKind::kUnsupported,
                 fmt::format("the guest has {} CPUs, and the bhyve of shape {} at most "
                             "{}; choose another shape",
                             machine_.vcpus(), to_string(shape_), most));
  }

  void add_kernel() {
    for (const KernelChunk chunk : all_kernel_chunks()) {
      const std::string_view layout = layout_name(chunk, shape_, state_.vendor);
      if (layout.empty()) continue;
      TargetEntry& target = frame_.entries.emplace_back();
      target.is_kernel = true;
      target.chunk = to_string(chunk);
      target.layout = find_layout(target.chunk, layout);
      if (is_c(shape_)) {
        target.entry.form = EntryForm::kDevice;
        target.entry.name = target.chunk;
      } else {
        target.entry.request = request_number(chunk);
        target.entry.debug_name = target.chunk;
      }
      for (const PrivateChunk& source : state_.chunks) {
        if (source.is_kernel && !source.chunk.empty() && source.chunk == target.chunk)
          target.source = &source;
      }
    }
  }

  void find_devices() {
    for (std::size_t i = 0; i < state_.chunks.size(); ++i) {
      const PrivateChunk& chunk = state_.chunks[i];
      if (chunk.is_kernel || chunk.entry.size == 0) continue;
      devices_.push_back({&chunk, places_[i].path, false});
    }
  }

  TargetEntry& add(std::string name, Device& device) {
    TargetEntry& target = frame_.entries.emplace_back();
    target.entry.form = is_c(shape_) ? EntryForm::kDevice : EntryForm::kSnapshotReq;
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
      const auto found = std::find_if(devices_.begin(), devices_.end(), [&](const Device& device) {
        return !device.is_taken && parse_device_name(device.source->entry.name).emulation == name &&
               !device.source->chunk.empty();
      });
      if (found != devices_.end()) {
        add(std::string(name), *found);
        continue;
      }
      frame_.entries.emplace_back().entry.name = name;
    }
    for (Device& device : devices_) {
      if (device.source->chunk == "hostbridge") device.is_taken = true;  // bhyve makes its own
    }
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
      add(fmt::format("{}@pci.{}.{}.{}", device->source->chunk, bus, slot, function), *device);
    }
    for (Device& device : devices_) {
      if (device.source->chunk == "atkbdc") add("atkbdc", device);
    }
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
  const PrivateState& state_;
  const Machine& machine_;
  std::vector<PciPlace> places_;
  std::vector<Device> devices_;
  TargetFrame frame_;
};

}  // namespace

std::string_view to_string(KernelShape shape) {
  for (const ShapeName& name : kNames) {
    if (name.shape == shape) return name.name;
  }
  return {};
}

Result<KernelShape> parse_shape(std::string_view text) {
  for (const ShapeName& name : kNames) {
    if (name.name == text) return name.shape;
  }
  return Error(
      ErrorKind::kUsage,
      fmt::format("{} is no shape; there are A (13.0, 13.1), B (13.2), C0 (14.0) and C (main)", shown(text)));
}

std::optional<KernelShape> shape_of(const PrivateState& state) {
  for (const KernelShape shape : kShapes) {
    const KernelKey key = is_c(shape) ? KernelKey::kKernStructs : KernelKey::kStructs;
    if (state.kernel_key != key) continue;
    const bool all = std::all_of(state.chunks.begin(), state.chunks.end(),
                                 [&](const PrivateChunk& chunk) { return fits(state, chunk, shape); });
    if (all && has_chunk(state, KernelChunk::kVmx) == !is_c(shape)) return shape;
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
    TargetEntry target{chunk.entry, chunk.is_kernel, &chunk, chunk.chunk, nullptr, places[i].path};
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
