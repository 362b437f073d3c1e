// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/set/meta.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "bhyve/set/json_scanner.h"
#include "bhyve/set/shown.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kBasicKey = "basic metadata";
constexpr std::size_t kMaxKey = 64;  // bytes; none of bhyve's is longer
constexpr std::string_view kChanged = "the file was changed or damaged after bhyve wrote it";

Error corrupt(std::uint64_t offset, std::string sentence) {
  return Error(ErrorKind::kCorrupt, std::move(sentence)).at_offset(offset);
}

/// What is known of an entry while its keys come in, in any order.
struct Draft {
  std::optional<std::string> device;
  std::optional<std::string> request_name;
  std::optional<std::uint64_t> request;
  std::optional<std::string> debug_name;
  std::optional<std::uint64_t> size;
  std::optional<std::uint64_t> file_offset;

  [[nodiscard]] const std::string* any_name() const {
    for (const auto* name : {&device, &request_name, &debug_name}) {
      if (*name) return &**name;
    }
    return nullptr;
  }
};

enum class Section : std::uint8_t { kKernel, kDevices };

class MetaParser {
 public:
  explicit MetaParser(std::string_view text) : scanner_(text) {}

  Result<Meta> run() {
    auto result = file();
    if (result) return std::move(meta_);
    if (result.error().kind() != ErrorKind::kTruncated) return std::move(result).error();
    return Error(ErrorKind::kTruncated,
                 fmt::format(
                     "the text ends in the middle, after {} kernel chunks and {} devices: bhyve writes the "
                     "end when a checkpoint has succeeded, so this one failed, or the file was cut off "
                     "later; use another copy or an earlier checkpoint",
                     meta_.kernel.size(), meta_.devices.size()))
        .at_offset(result.error().offset().value_or(0));
  }

 private:
  Result<void> file() {
    VMSNAP_RETURN_IF_ERROR(begin(JsonKind::kBeginObject, "the file's outermost value"));
    const auto on_key = [&](std::string_view key, std::uint64_t at) -> Result<bool> {
      if (key == kBasicKey) return basic_metadata(at);
      for (const KernelKey known : {KernelKey::kStructs, KernelKey::kKernStructs}) {
        if (key != to_string(known)) continue;
        VMSNAP_RETURN_IF_ERROR(first_of(kernel_seen_, key, at, "the kernel's chunks"));
        meta_.kernel_key = known;
        return entries(key, Section::kKernel);
      }
      for (const DevicesKey known : {DevicesKey::kDevices, DevicesKey::kPciDevices}) {
        if (key != to_string(known)) continue;
        VMSNAP_RETURN_IF_ERROR(first_of(devices_seen_, key, at, "the devices"));
        meta_.devices_key = known;
        return entries(key, Section::kDevices);
      }
      return false;
    };
    VMSNAP_RETURN_IF_ERROR(each_key("", on_key));
    VMSNAP_RETURN_IF_ERROR(scanner_.next());  // that nothing follows
    if (!basic_seen_)
      return missing("it has no \"basic metadata\", which says how much memory the guest has");
    if (!kernel_seen_) return missing("it has neither \"structs\" nor \"kern_structs\", the kernel's chunks");
    if (!devices_seen_) return missing("it has neither \"devices\" nor \"pci_devices\"");
    return {};
  }

  static Error missing(std::string_view what) {
    return corrupt(0, fmt::format("{}; this is not the .meta file of a snapshot, or {}", what, kChanged));
  }

  static Result<void> first_of(bool& seen, std::string_view key, std::uint64_t at, std::string_view what) {
    if (std::exchange(seen, true)) {
      return corrupt(
          at, fmt::format("it lists {} twice, here as \"{}\", so which list holds cannot be told; {}", what,
                          key, kChanged));
    }
    return {};
  }

  Result<bool> basic_metadata(std::uint64_t at) {
    VMSNAP_RETURN_IF_ERROR(first_of(basic_seen_, kBasicKey, at, "the basic metadata"));
    VMSNAP_ASSIGN_OR_RETURN(meta_.basic_metadata_offset, begin(JsonKind::kBeginObject, kBasicKey));
    std::optional<std::uint64_t> ncpus;
    std::optional<std::uint64_t> memsize;
    const auto on_key = [&](std::string_view key, std::uint64_t key_at) -> Result<bool> {
      if (key == "ncpus") return number(ncpus, key, key_at);
      if (key == "vmname") return text(meta_.vmname, key, key_at);
      if (key == "memsize") return number(memsize, key, key_at);
      if (key == "memflags") return number(meta_.memflags, key, key_at);
      return false;
    };
    VMSNAP_RETURN_IF_ERROR(each_key(kBasicKey, on_key));
    for (const auto& [value, key] : {std::pair(ncpus, "ncpus"), std::pair(memsize, "memsize")}) {
      if (value) continue;
      return corrupt(meta_.basic_metadata_offset,
                     fmt::format("\"basic metadata\" has no \"{}\"; {}", key, kChanged));
    }
    meta_.ncpus = *ncpus;
    meta_.memsize = *memsize;
    return true;
  }

  Result<bool> entries(std::string_view key, Section section) {
    VMSNAP_RETURN_IF_ERROR(begin(JsonKind::kBeginArray, key));
    auto& list = section == Section::kKernel ? meta_.kernel : meta_.devices;
    for (;;) {
      VMSNAP_ASSIGN_OR_RETURN(const JsonToken token, scanner_.next());
      if (token.kind == JsonKind::kEndArray) return true;
      const std::string path = fmt::format("{}[{}]", key, list.size());
      if (token.kind != JsonKind::kBeginObject) {
        return corrupt(token.offset, fmt::format("{} should be an object, but is {}; {}", path,
                                                 describe(token.kind), kChanged));
      }
      if (meta_.kernel.size() + meta_.devices.size() == kMaxMetaEntries) {
        return Error(ErrorKind::kLimitExceeded,
                     fmt::format("it lists more than {} chunks, which no machine of bhyve's has",
                                 kMaxMetaEntries))
            .at_offset(token.offset);
      }
      Draft draft;
      auto done = entry(draft, path, token.offset);
      if (!done) return blamed(std::move(done).error(), draft, path, section);
      list.push_back(std::move(*done));
    }
  }

  static Error blamed(Error error, const Draft& draft, const std::string& path, Section section) {
    const std::string* name = draft.any_name();
    const std::string where = name == nullptr ? path : fmt::format("{} {}", path, shown(*name));
    return section == Section::kKernel ? std::move(error).in_chunk(where) : std::move(error).in_device(where);
  }

  Result<MetaEntry> entry(Draft& draft, const std::string& path, std::uint64_t at) {
    const auto on_key = [&](std::string_view key, std::uint64_t key_at) -> Result<bool> {
      if (key == "device") return text(draft.device, key, key_at);
      if (key == "snapshot_req") return snapshot_request(draft, key_at);
      if (key == "debug_name") return text(draft.debug_name, key, key_at);
      if (key == "size") return number(draft.size, key, key_at);
      if (key == "file_offset") return number(draft.file_offset, key, key_at);
      return false;
    };
    VMSNAP_RETURN_IF_ERROR(each_key(path, on_key));
    const bool has_request = draft.request_name || draft.request;
    if (draft.device && has_request) {
      return corrupt(
          at, fmt::format("it has both \"device\" and \"snapshot_req\", so what it is cannot be told; {}",
                          kChanged));
    }
    if (!draft.device && !has_request) {
      return corrupt(
          at, fmt::format("it has neither \"device\" nor \"snapshot_req\" to say what it is; {}", kChanged));
    }
    if (!draft.size || !draft.file_offset) {
      return corrupt(at, fmt::format("it has no \"{}\"; {}", draft.size ? "file_offset" : "size", kChanged));
    }
    MetaEntry made;
    made.form = draft.device ? EntryForm::kDevice : EntryForm::kSnapshotReq;
    made.name = std::move(draft.device).value_or(std::move(draft.request_name).value_or(""));
    made.request = draft.request;
    made.debug_name = std::move(draft.debug_name);
    made.size = *draft.size;
    made.file_offset = *draft.file_offset;
    made.meta_offset = at;
    return made;
  }

  Result<bool> snapshot_request(Draft& draft, std::uint64_t at) {
    constexpr std::string_view kKey = "snapshot_req";
    if (draft.request || draft.request_name) return twice(kKey, at);
    VMSNAP_ASSIGN_OR_RETURN(const JsonToken token, scanner_.next());
    if (token.kind == JsonKind::kString) return decode(draft.request_name, token, kKey);
    return convert(draft.request, token, kKey);
  }

  /// The members of an object that has begun, each with the offset of its key. `on_key` takes the value and
  /// returns true, or leaves it and returns false when it does not know the key.
  template <typename OnKey>
  Result<void> each_key(std::string_view path, const OnKey& on_key) {
    for (;;) {
      VMSNAP_ASSIGN_OR_RETURN(const JsonToken token, scanner_.next());
      if (token.kind == JsonKind::kEndObject) return {};
      auto key = decode_string(token, kMaxKey);
      if (key) {
        VMSNAP_ASSIGN_OR_RETURN(const bool known, on_key(*key, token.offset));
        if (known) continue;
      } else if (key.error().kind() != ErrorKind::kLimitExceeded) {
        return std::move(key).error();
      }
      if (meta_.unknown_keys.size() < kMaxUnknownKeys) {
        const std::string name = key ? printable(*key) : printable(token.raw);
        meta_.unknown_keys.push_back({path.empty() ? name : fmt::format("{}.{}", path, name), token.offset});
      }
      VMSNAP_RETURN_IF_ERROR(scanner_.skip_value());
    }
  }

  /// Returns the offset of the brace or bracket.
  Result<std::uint64_t> begin(JsonKind kind, std::string_view what) {
    VMSNAP_ASSIGN_OR_RETURN(const JsonToken token, scanner_.next());
    if (token.kind == kind) return token.offset;
    return corrupt(token.offset,
                   fmt::format("{} should be {}, but is {}; this is not the .meta file of a snapshot, "
                               "or {}",
                               what, describe(kind), describe(token.kind), kChanged));
  }

  Result<bool> number(std::optional<std::uint64_t>& out, std::string_view key, std::uint64_t at) {
    if (out) return twice(key, at);
    VMSNAP_ASSIGN_OR_RETURN(const JsonToken token, scanner_.next());
    return convert(out, token, key);
  }

  Result<bool> text(std::optional<std::string>& out, std::string_view key, std::uint64_t at) {
    if (out) return twice(key, at);
    VMSNAP_ASSIGN_OR_RETURN(const JsonToken token, scanner_.next());
    if (token.kind != JsonKind::kString) {
      return corrupt(token.offset,
                     fmt::format("it should be a text, but is {}; {}", describe(token.kind), kChanged))
          .in_field(key);
    }
    return decode(out, token, key);
  }

  static Error twice(std::string_view key, std::uint64_t at) {
    return corrupt(at, fmt::format("the key is there twice, so which one holds cannot be told; {}", kChanged))
        .in_field(key);
  }

  static Result<bool> decode(std::optional<std::string>& out, const JsonToken& token, std::string_view key) {
    auto text = decode_string(token, kMaxMetaTextSize);
    if (!text) return std::move(text).error().in_field(key);
    out = std::move(*text);
    return true;
  }

  static Result<bool> convert(std::optional<std::uint64_t>& out, const JsonToken& token,
                              std::string_view key) {
    const auto refuse = [&](std::string_view why) {
      return corrupt(token.offset, fmt::format("{}; {}", why, kChanged)).in_field(key);
    };
    if (token.kind != JsonKind::kNumber)
      return refuse(fmt::format("it should be a whole number, but is {}", describe(token.kind)));
    const std::string_view raw = token.raw;
    if (raw.starts_with('-')) return refuse(fmt::format("{} is negative", printable(raw)));
    if (raw.find_first_of(".eE") != std::string_view::npos)
      return refuse(fmt::format("{} is not written as a whole number", printable(raw)));
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(raw.data(), raw.data() + raw.size(), value);
    if (error != std::errc()) return refuse(fmt::format("{} is more than 64 bits hold", printable(raw)));
    out = value;
    return true;
  }

  JsonScanner scanner_;
  Meta meta_;
  bool basic_seen_ = false;
  bool kernel_seen_ = false;
  bool devices_seen_ = false;
};

}  // namespace

std::string_view to_string(EntryForm form) {
  return form == EntryForm::kDevice ? "device" : "snapshot_req";
}

std::string_view to_string(KernelKey key) {
  return key == KernelKey::kKernStructs ? "kern_structs" : "structs";
}

std::string_view to_string(DevicesKey key) {
  return key == DevicesKey::kPciDevices ? "pci_devices" : "devices";
}

Error too_long_for_a_meta(std::uint64_t size) {
  return {
      ErrorKind::kLimitExceeded,
      fmt::format("it has {} bytes, but no .meta file that bhyve writes has more than {}; this is not one",
                  size, kMaxMetaTextSize)};
}

Result<Meta> parse_meta(std::string_view text) {
  if (text.size() > kMaxMetaTextSize) return too_long_for_a_meta(text.size());
  return MetaParser(text).run();
}

std::optional<KernelChunk> kernel_chunk(const MetaEntry& entry) {
  return entry.request ? kernel_chunk_by_request(*entry.request) : kernel_chunk_by_name(entry.name);
}

std::string label_of(const MetaEntry& entry) {
  if (!entry.request) return entry.name.empty() ? "(without a name)" : printable(entry.name);
  if (const auto chunk = kernel_chunk_by_request(*entry.request)) return std::string(to_string(*chunk));
  return fmt::format("request {}", *entry.request);
}

}  // namespace vmsnap::compat::bhyve
