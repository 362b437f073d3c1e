// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/private_state.h"

#include <fmt/format.h>

namespace vmsnap::compat::bhyve {
namespace {

// As the schema numbers them.
constexpr std::uint8_t kIntelNumber = 1;
constexpr std::uint8_t kAmdNumber = 2;

struct AxisName {
  std::string_view field;
  Shape Context::*shape;
};
constexpr AxisName kAxes[] = {
    {"context.pci_prefix", &Context::pci_prefix},
    {"context.rings", &Context::rings},
    {"context.net_tail", &Context::net_tail},
    {"context.ahci", &Context::ahci},
    {"context.xhci", &Context::xhci},
};

struct CountName {
  std::string_view field;
  std::optional<std::uint64_t> Context::*count;
};
constexpr CountName kCounts[] = {
    {"context.uarts", &Context::uarts},
    {"context.cpuset_longs", &Context::cpuset_longs},
    {"context.usb_devices", &Context::usb_devices},
};

ByteVector copy_of(std::string_view text) {
  const ByteView bytes = as_byte_view(text);
  return {bytes.begin(), bytes.end()};
}

std::string text_of(const ByteVector& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Result<void> put_context(const Context& context, StateTree& tree) {
  VMSNAP_RETURN_IF_ERROR(tree.make("context"));
  for (const AxisName& axis : kAxes) {
    VMSNAP_RETURN_IF_ERROR(tree.set(axis.field, static_cast<std::uint8_t>(context.*axis.shape)));
  }
  for (const CountName& name : kCounts) {
    const auto& count = context.*name.count;
    if (count) VMSNAP_RETURN_IF_ERROR(tree.set(name.field, static_cast<std::uint32_t>(*count)));
  }
  return {};
}

Result<void> put_chunk(const PrivateChunk& chunk, StateTree& tree) {
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t index, tree.append("chunks"));
  const std::string at = fmt::format("chunks[{}].", index);
  const MetaEntry& entry = chunk.entry;
  VMSNAP_RETURN_IF_ERROR(tree.set(at + "chunk", chunk.chunk));
  VMSNAP_RETURN_IF_ERROR(tree.set(at + "layout", chunk.layout));
  VMSNAP_RETURN_IF_ERROR(tree.set(at + "size", entry.size));
  VMSNAP_RETURN_IF_ERROR(tree.set(at + "file_offset", entry.file_offset));
  VMSNAP_RETURN_IF_ERROR(tree.set(at + "kernel", chunk.is_kernel));
  VMSNAP_RETURN_IF_ERROR(tree.set(at + "form", static_cast<std::uint8_t>(entry.form)));
  if (!entry.request) VMSNAP_RETURN_IF_ERROR(tree.set(at + "name", entry.name));
  VMSNAP_RETURN_IF_ERROR(tree.set(at + "request", entry.request));
  if (entry.debug_name) VMSNAP_RETURN_IF_ERROR(tree.set(at + "debug_name", *entry.debug_name));
  for (const std::string& device : chunk.devices) {
    VMSNAP_ASSIGN_OR_RETURN(const std::size_t i, tree.append(at + "devices"));
    VMSNAP_RETURN_IF_ERROR(tree.set(fmt::format("{}devices[{}]", at, i), device));
  }
  VMSNAP_RETURN_IF_ERROR(tree.make(at + "items"));
  for (const PrivateItem& item : chunk.items) {
    VMSNAP_ASSIGN_OR_RETURN(const std::size_t i, tree.append(at + "items"));
    const std::string of_item = fmt::format("{}items[{}].", at, i);
    VMSNAP_RETURN_IF_ERROR(tree.set(of_item + "path", item.path));
    if (item.value) {
      VMSNAP_RETURN_IF_ERROR(tree.set(of_item + "value", *item.value));
    } else {
      VMSNAP_RETURN_IF_ERROR(tree.set(of_item + "bytes", item.bytes));
    }
  }
  return {};
}

Error corrupt(std::string_view field, std::string message) {
  return Error(ErrorKind::kCorrupt, std::move(message)).in_field(field);
}

/// The number of an enumeration whose last value is `last`.
template <typename Enum>
Result<Enum> get_enum(const StateTree& tree, std::string_view path, Enum last) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint8_t number, tree.get<std::uint8_t>(path));
  if (number <= static_cast<std::uint8_t>(last)) return static_cast<Enum>(number);
  return corrupt(path, fmt::format("{} is no value that this build knows", number));
}

Result<std::string> get_text(const StateTree& tree, std::string_view path) {
  VMSNAP_ASSIGN_OR_RETURN(auto text, tree.get<std::optional<std::string>>(path));
  return text ? std::move(*text) : std::string();
}

Result<Context> get_context(const StateTree& tree) {
  Context context;
  for (const AxisName& axis : kAxes) {
    VMSNAP_ASSIGN_OR_RETURN(context.*axis.shape, get_enum(tree, axis.field, Shape::kB));
  }
  for (const CountName& name : kCounts) {
    VMSNAP_ASSIGN_OR_RETURN(context.*name.count, tree.get<std::optional<std::uint64_t>>(name.field));
  }
  return context;
}

Result<PrivateChunk> get_chunk(const StateTree& tree, std::size_t index) {
  const std::string at = fmt::format("chunks[{}].", index);
  PrivateChunk chunk;
  MetaEntry& entry = chunk.entry;
  VMSNAP_ASSIGN_OR_RETURN(chunk.chunk, get_text(tree, at + "chunk"));
  VMSNAP_ASSIGN_OR_RETURN(chunk.layout, get_text(tree, at + "layout"));
  VMSNAP_ASSIGN_OR_RETURN(entry.size, tree.get<std::uint64_t>(at + "size"));
  VMSNAP_ASSIGN_OR_RETURN(entry.file_offset, tree.get<std::uint64_t>(at + "file_offset"));
  VMSNAP_ASSIGN_OR_RETURN(chunk.is_kernel, tree.get<bool>(at + "kernel"));
  VMSNAP_ASSIGN_OR_RETURN(entry.form, get_enum(tree, at + "form", EntryForm::kDevice));
  VMSNAP_ASSIGN_OR_RETURN(entry.name, get_text(tree, at + "name"));
  VMSNAP_ASSIGN_OR_RETURN(entry.request, tree.get<std::optional<std::uint64_t>>(at + "request"));
  VMSNAP_ASSIGN_OR_RETURN(entry.debug_name, tree.get<std::optional<std::string>>(at + "debug_name"));
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t devices, tree.count(at + "devices"));
  for (std::size_t i = 0; i < devices; ++i) {
    VMSNAP_ASSIGN_OR_RETURN(chunk.devices.emplace_back(),
                            get_text(tree, fmt::format("{}devices[{}]", at, i)));
  }
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t items, tree.count(at + "items"));
  for (std::size_t i = 0; i < items; ++i) {
    const std::string of_item = fmt::format("{}items[{}].", at, i);
    PrivateItem& item = chunk.items.emplace_back();
    VMSNAP_ASSIGN_OR_RETURN(item.path, get_text(tree, of_item + "path"));
    VMSNAP_ASSIGN_OR_RETURN(item.value, tree.get<std::optional<std::uint64_t>>(of_item + "value"));
    VMSNAP_ASSIGN_OR_RETURN(auto bytes, tree.get<std::optional<ByteVector>>(of_item + "bytes"));
    if (item.value && bytes) return corrupt(of_item + "value", "the item is a number and bytes at once");
    if (bytes) item.bytes = std::move(*bytes);
  }
  return chunk;
}

}  // namespace

Result<void> to_tree(const PrivateState& state, StateTree& tree) {
  VMSNAP_RETURN_IF_ERROR(tree.set("vendor", state.vendor == Vendor::kIntel ? kIntelNumber : kAmdNumber));
  VMSNAP_RETURN_IF_ERROR(put_context(state.context, tree));
  if (state.vm_name) VMSNAP_RETURN_IF_ERROR(tree.set("vm_name", *state.vm_name));
  VMSNAP_RETURN_IF_ERROR(tree.set("memflags", state.memflags));
  VMSNAP_RETURN_IF_ERROR(tree.set("kernel_key", static_cast<std::uint8_t>(state.kernel_key)));
  VMSNAP_RETURN_IF_ERROR(tree.set("devices_key", static_cast<std::uint8_t>(state.devices_key)));
  if (state.meta_text) VMSNAP_RETURN_IF_ERROR(tree.set("meta_text", copy_of(*state.meta_text)));
  VMSNAP_RETURN_IF_ERROR(tree.make("chunks"));
  for (const PrivateChunk& chunk : state.chunks) VMSNAP_RETURN_IF_ERROR(put_chunk(chunk, tree));
  for (const PrivateGap& gap : state.gaps) {
    VMSNAP_ASSIGN_OR_RETURN(const std::size_t i, tree.append("gaps"));
    VMSNAP_RETURN_IF_ERROR(tree.set(fmt::format("gaps[{}].file_offset", i), gap.file_offset));
    VMSNAP_RETURN_IF_ERROR(tree.set(fmt::format("gaps[{}].bytes", i), gap.bytes));
  }
  return {};
}

Result<PrivateState> from_tree(const StateTree& tree) {
  PrivateState state;
  VMSNAP_ASSIGN_OR_RETURN(const std::uint8_t vendor, tree.get<std::uint8_t>("vendor"));
  if (vendor != kIntelNumber && vendor != kAmdNumber) {
    return corrupt("vendor", fmt::format("{} is neither Intel (1) nor AMD (2)", vendor));
  }
  state.vendor = vendor == kIntelNumber ? Vendor::kIntel : Vendor::kAmd;
  VMSNAP_ASSIGN_OR_RETURN(state.context, get_context(tree));
  VMSNAP_ASSIGN_OR_RETURN(state.vm_name, tree.get<std::optional<std::string>>("vm_name"));
  VMSNAP_ASSIGN_OR_RETURN(state.memflags, tree.get<std::optional<std::uint64_t>>("memflags"));
  VMSNAP_ASSIGN_OR_RETURN(state.kernel_key, get_enum(tree, "kernel_key", KernelKey::kKernStructs));
  VMSNAP_ASSIGN_OR_RETURN(state.devices_key, get_enum(tree, "devices_key", DevicesKey::kPciDevices));
  VMSNAP_ASSIGN_OR_RETURN(const auto text, tree.get<std::optional<ByteVector>>("meta_text"));
  if (text) state.meta_text = text_of(*text);
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t chunks, tree.count("chunks"));
  if (chunks > kMaxMetaEntries) return corrupt("chunks", fmt::format("{} are too many", chunks));
  for (std::size_t i = 0; i < chunks; ++i) {
    VMSNAP_ASSIGN_OR_RETURN(state.chunks.emplace_back(), get_chunk(tree, i));
  }
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t gaps, tree.count("gaps"));
  for (std::size_t i = 0; i < gaps; ++i) {
    PrivateGap& gap = state.gaps.emplace_back();
    VMSNAP_ASSIGN_OR_RETURN(gap.file_offset, tree.get<std::uint64_t>(fmt::format("gaps[{}].file_offset", i)));
    VMSNAP_ASSIGN_OR_RETURN(gap.bytes, tree.get<ByteVector>(fmt::format("gaps[{}].bytes", i)));
  }
  return state;
}

}  // namespace vmsnap::compat::bhyve
