// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/set/check_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "base/checked.h"
#include "bhyve/set/device_name.h"
#include "bhyve/set/shown.h"
#include "reflect/text_escape.h"

namespace vmsnap::compat::bhyve {
namespace {

using Code = SetFinding::Code;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMostCpus = 1024;

/// An entry and what a finding calls it.
struct Listed {
  const MetaEntry* entry = nullptr;
  std::string label;
};

constexpr std::size_t kLongestName = 255;

/// What is unusual about the bytes of a name, unless it is that they read like a path; empty when nothing is.
std::string odd_bytes(std::string_view name) {
  if (!reflect::is_utf8(name)) return "is not UTF-8, so strict readers of JSON refuse the .meta file";
  for (std::string_view rest = name; !rest.empty();) {
    const reflect::CodePoint point = reflect::decode_utf8(rest);
    if (!reflect::is_safe_to_print(point.value))
      return "has control characters or invisible ones; it is shown with escapes";
    rest.remove_prefix(point.length);
  }
  return {};
}

bool is_like_a_path(std::string_view name) {
  return name.find('/') != std::string_view::npos || name == "." || name == "..";
}

class Checker {
 public:
  explicit Checker(const LegacySet& set) : set_(set), meta_(set.meta()) {
    list(to_string(meta_.kernel_key), meta_.kernel, kernel_);
    list(to_string(meta_.devices_key), meta_.devices, devices_);
  }

  std::vector<SetFinding> run() {
    check_memory();
    check_basics();
    for (const Listed& listed : kernel_) check_kernel_entry(listed);
    check_all_there();
    for (const Listed& listed : devices_) check_device(listed);
    check_places();
    for (const UnknownKey& key : meta_.unknown_keys) {
      in_meta(Code::kUnknownKey, Severity::kNote, {}, key.meta_offset,
              fmt::format("the key {} is not one that a release of bhyve writes; it is ignored", key.path));
    }
    return std::move(findings_);
  }

 private:
  static void list(std::string_view key, const std::vector<MetaEntry>& entries, std::vector<Listed>& out) {
    for (const MetaEntry& entry : entries) {
      out.push_back({&entry, fmt::format("{}[{}] {}", key, out.size(), label_of(entry))});
    }
  }

  void in_meta(Code code, Severity severity, std::string_view entry, std::optional<std::uint64_t> offset,
               std::string sentence) {
    findings_.push_back({code, severity, std::string(entry), set_.meta_path(), offset, std::move(sentence)});
  }
  void in_meta(Code code, Severity severity, const Listed& listed, std::string sentence) {
    in_meta(code, severity, listed.label, listed.entry->meta_offset, std::move(sentence));
  }
  void in_kern(Code code, Severity severity, std::string_view entry, std::uint64_t offset,
               std::string sentence) {
    findings_.push_back(
        {code, severity, std::string(entry), set_.kern().name(), offset, std::move(sentence)});
  }

  void check_memory() {
    const std::uint64_t is = set_.memory_size();
    const std::uint64_t wanted = meta_.memsize;
    if (is == wanted) return;
    std::string sentence;
    if (is == 0) {
      sentence =
          fmt::format("the file is empty, but the guest has {} bytes of memory; use a whole copy", wanted);
    } else if (is > wanted) {
      sentence = fmt::format(
          "the guest has {} bytes of memory, but the file has {}; it belongs to another snapshot "
          "or the .meta file is wrong",
          wanted, is);
    } else if (const MemorySplit split = split_memory(wanted); is == split.low) {
      sentence = fmt::format(
          "the file ends where the memory below 4 GiB does: the {} bytes above it are missing; use "
          "a whole copy",
          split.high);
    } else {
      sentence =
          fmt::format("the guest has {} bytes of memory, of which the last {} are missing; use a whole copy",
                      wanted, wanted - is);
    }
    findings_.push_back({Code::kMemorySize,
                         Severity::kError,
                         {},
                         set_.memory().name(),
                         std::min(is, wanted),
                         std::move(sentence)});
  }

  void check_basics() {
    constexpr std::string_view kEntry = "basic metadata";
    const auto say = [&](Code code, Severity severity, std::string sentence) {
      in_meta(code, severity, kEntry, meta_.basic_metadata_offset, std::move(sentence));
    };
    if (meta_.memsize == 0) {
      say(Code::kBadMemsize, Severity::kError, "memsize is 0, but no guest is without memory");
    } else if (meta_.memsize % kPage != 0) {
      say(Code::kBadMemsize, Severity::kWarning,
          fmt::format("memsize is {}, which is no whole number of pages", meta_.memsize));
    }
    if (meta_.ncpus == 0) say(Code::kBadNcpus, Severity::kError, "ncpus is 0, but no guest is without a CPU");
    if (meta_.ncpus > kMostCpus) {
      say(Code::kBadNcpus, Severity::kError,
          fmt::format("ncpus is {}, but bhyve has at most {}", meta_.ncpus, kMostCpus));
    }
    if (!meta_.vmname) return;
    // Only a machine's name is a person's to choose freely.
    check_name(*meta_.vmname, Severity::kNote, [&](Code code, Severity severity, std::string sentence) {
      say(code, severity, "the machine's name " + std::move(sentence));
    });
  }

  void check_names(const Listed& listed) {
    const auto say = [&](Code code, Severity severity, std::string sentence) {
      in_meta(code, severity, listed, "the name " + std::move(sentence));
    };
    check_name(listed.entry->name, Severity::kWarning, say);
    if (listed.entry->debug_name) check_name(*listed.entry->debug_name, Severity::kWarning, say);
  }

  template <typename Say>
  static void check_name(const std::string& name, Severity path_severity, const Say& say) {
    if (const std::string odd = odd_bytes(name); !odd.empty())
      say(Code::kUnsafeName, Severity::kWarning, fmt::format("{} {}", shown(name), odd));
    if (is_like_a_path(name))
      say(Code::kUnsafeName, path_severity,
          fmt::format("{} reads like a path; it is never used as one", shown(name)));
    if (name.size() > kLongestName) {
      say(Code::kLongName, Severity::kWarning,
          fmt::format("{} has {} bytes, but none that bhyve writes has more than {}", shown(name),
                      name.size(), kLongestName));
    }
  }

  void check_range(const Listed& listed) {
    const MetaEntry& entry = *listed.entry;
    const auto end = checked_add(entry.file_offset, entry.size);
    if (!end || *end > set_.kern_size()) {
      in_kern(
          Code::kBeyondEnd, Severity::kError, listed.label, entry.file_offset,
          fmt::format(
              "the chunk has {} bytes from here, but the file ends at {}; it was cut off, or the .meta file "
              "belongs to another snapshot",
              entry.size, set_.kern_size()));
    }
    if (entry.size > kMaxLegacyChunkSize) {
      in_kern(
          Code::kChunkTooLarge, Severity::kError, listed.label, entry.file_offset,
          fmt::format("the chunk has {} bytes, but none that bhyve writes has more than {}; it is not read",
                      entry.size, kMaxLegacyChunkSize));
    }
  }

  void check_kernel_entry(const Listed& listed) {
    const MetaEntry& entry = *listed.entry;
    check_names(listed);
    check_range(listed);
    const auto chunk = kernel_chunk(entry);
    if (!chunk) {
      in_meta(Code::kUnknownChunk, Severity::kWarning, listed,
              "this is no chunk that the kernel of any known bhyve writes; it is not read");
      unread_.insert(&entry);
      return;
    }
    if (entry.request && entry.debug_name && kernel_chunk_by_name(*entry.debug_name) != chunk) {
      in_meta(
          Code::kNameContradicts, Severity::kWarning, listed,
          fmt::format("the number {} is that of {}, but debug_name is {}; the number counts, as for bhyve",
                      *entry.request, to_string(*chunk), shown(*entry.debug_name)));
    }
    if (const auto [first, is_first] = seen_chunks_.emplace(*chunk, &listed); !is_first)
      say_duplicate(listed, *first->second, "for the same chunk");
    if (entry.size != 0) return;
    if (*chunk == KernelChunk::kVmx) {
      in_meta(Code::kEmptyVmx, Severity::kWarning, listed,
              "the chunk is empty, as FreeBSD 13.2 writes it, which then refuses to resume its own snapshot; "
              "there the registers are in vmcx, and nothing is lost");
      return;
    }
    in_meta(Code::kEmptyChunk, Severity::kError, listed,
            "the chunk is empty, but bhyve needs it to resume; this state is lost");
  }

  void say_duplicate(const Listed& listed, const Listed& first, std::string_view of_what) {
    in_meta(Code::kDuplicate, Severity::kWarning, listed,
            fmt::format("{} is {} already; bhyve takes the first and never reads this one", first.label,
                        of_what));
    unread_.insert(listed.entry);
  }

  void check_all_there() {
    for (const KernelChunk chunk : all_kernel_chunks()) {
      if (seen_chunks_.contains(chunk)) continue;
      if (chunk != KernelChunk::kVmx) {
        in_meta(Code::kMissingChunk, Severity::kError, to_string(meta_.kernel_key), std::nullopt,
                fmt::format("there is no chunk {}, which bhyve needs to resume; this state is lost",
                            to_string(chunk)));
      } else if (meta_.kernel_key == KernelKey::kStructs) {
        in_meta(Code::kMissingChunk, Severity::kWarning, to_string(meta_.kernel_key), std::nullopt,
                "there is no chunk vmx, without which no bhyve that writes \"structs\" resumes; on FreeBSD "
                "13.0 and "
                "13.1 it holds registers, which are then lost");
      }
    }
  }

  void check_device(const Listed& listed) {
    const MetaEntry& entry = *listed.entry;
    check_names(listed);
    check_range(listed);
    if (entry.request || entry.name.empty()) {
      in_meta(Code::kNamelessDevice, entry.request ? Severity::kError : Severity::kWarning, listed,
              "the entry has no name of a device, so whose state this is cannot be told");
      return;
    }
    const DeviceName name = parse_device_name(entry.name);
    if (!name.pci && entry.name.find('@') != std::string::npos) {
      in_meta(
          Code::kUnreadableAddress, Severity::kWarning, listed,
          "the name has no PCI address that can be read after the @; \"@pci.BUS.SLOT.FUNCTION\" is expected");
    }
    if (const auto [first, is_first] = seen_names_.emplace(entry.name, &listed); !is_first) {
      say_duplicate(listed, *first->second, "the device of this name");
    } else if (name.pci) {
      const std::tuple key(name.pci->bus, name.pci->slot, name.pci->function);
      const auto [other, is_alone] = seen_places_.emplace(key, &listed);
      if (!is_alone) {
        in_meta(Code::kDuplicate, Severity::kWarning, listed,
                fmt::format(
                    "{} is at the same PCI address, in another spelling; a bhyve reads the one that it would "
                    "write",
                    other->second->label));
      }
    }
    // In the other form every kind of device is listed, and those that the guest had not are empty.
    if (entry.size != 0 || entry.form == EntryForm::kSnapshotReq) return;
    in_meta(Code::kEmptyDevice, Severity::kWarning, listed,
            "the chunk is empty, so bhyve refuses to resume a guest with this device");
  }

  // Overlaps, gaps, and an order other than that of the `.meta`.
  void check_places() {
    std::vector<const Listed*> chunks;
    for (const auto* entries : {&kernel_, &devices_}) {
      for (const Listed& listed : *entries) chunks.push_back(&listed);
    }
    std::vector<const Listed*> by_offset;
    for (const Listed* listed : chunks) {
      if (listed->entry->size != 0 && listed->entry->file_offset < set_.kern_size())
        by_offset.push_back(listed);
    }
    std::stable_sort(by_offset.begin(), by_offset.end(), [](const Listed* a, const Listed* b) {
      return a->entry->file_offset < b->entry->file_offset;
    });
    std::uint64_t covered = 0;     // by any chunk
    const Listed* last = nullptr;  // of those that are read, the one that reaches furthest
    for (const Listed* listed : by_offset) {
      const MetaEntry& entry = *listed->entry;
      check_gap(covered, entry.file_offset);
      covered = std::max(covered, end_of(entry));
      if (unread_.contains(&entry)) continue;
      if (last != nullptr && entry.file_offset < end_of(*last->entry)) say_overlap(*listed, *last);
      if (last == nullptr || end_of(entry) > end_of(*last->entry)) last = listed;
    }
    check_gap(covered, set_.kern_size());
    check_order(chunks);
  }

  /// Where the chunk ends, but not after the file does.
  [[nodiscard]] std::uint64_t end_of(const MetaEntry& entry) const {
    return std::min(checked_add(entry.file_offset, entry.size).value_or(UINT64_MAX), set_.kern_size());
  }

  void say_overlap(const Listed& listed, const Listed& before) {
    const std::uint64_t begin = listed.entry->file_offset;
    explained_.insert(begin);
    in_kern(
        Code::kOverlap, Severity::kError, listed.label, begin,
        fmt::format(
            "the chunk begins here, but {} reaches up to {}; the size or the offset of one of them is wrong",
            before.label, end_of(*before.entry)));
  }

  void check_gap(std::uint64_t begin, std::uint64_t end) {
    if (begin >= end) return;
    explained_.insert(end);
    in_kern(
        Code::kGap, Severity::kWarning, {}, begin,
        fmt::format(
            "{} bytes from here belong to no chunk; if an entry of the .meta file is missing, its state is "
            "lost",
            end - begin));
  }

  // Once for the whole set: in one that is written in another order nearly every chunk is out of place.
  void check_order(const std::vector<const Listed*>& chunks) {
    const Listed* first = nullptr;
    std::size_t count = 0;
    std::uint64_t expected = 0;
    std::uint64_t expected_of_first = 0;
    for (const Listed* listed : chunks) {
      const std::uint64_t begin = listed->entry->file_offset;
      if (begin != expected && unread_.contains(listed->entry)) continue;
      if (begin != expected && begin < set_.kern_size() && !explained_.contains(begin) && count++ == 0) {
        first = listed;
        expected_of_first = expected;
      }
      expected = end_of(*listed->entry);
    }
    if (first == nullptr) return;
    const std::string others = count == 1 ? std::string() : fmt::format(", and so do {} others", count - 1);
    in_kern(
        Code::kNotCumulative, Severity::kNote, first->label, first->entry->file_offset,
        fmt::format(
            "the chunk begins here and not at {}, where the one listed before it ends{}; bhyve reads what "
            "is listed, in any order",
            expected_of_first, others));
  }

  const LegacySet& set_;
  const Meta& meta_;
  std::vector<Listed> kernel_;
  std::vector<Listed> devices_;
  std::map<KernelChunk, const Listed*> seen_chunks_;
  std::map<std::string_view, const Listed*> seen_names_;
  std::map<std::tuple<std::uint8_t, std::uint8_t, std::uint8_t>, const Listed*> seen_places_;
  std::set<const MetaEntry*> unread_;  // by bhyve and by us: what lies where they do is no less certain
  std::set<std::uint64_t> explained_;  // offsets that a gap or an overlap has been reported for
  std::vector<SetFinding> findings_;
};

}  // namespace

std::string_view to_string(Consequence consequence) {
  switch (consequence) {
    case Consequence::kNone:
      return "none";
    case Consequence::kSuspicious:
      return "suspicious";
    case Consequence::kRefused:
      return "refused";
    case Consequence::kCrash:
      return "crash";
  }
  return "none";
}

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::kNote:
      return "note";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "error";
}

Consequence consequence_of(SetFinding::Code code) {
  switch (code) {
    case Code::kMemorySize:
    case Code::kBadMemsize:
    case Code::kBadNcpus:
    case Code::kBeyondEnd:
    case Code::kChunkTooLarge:
    case Code::kMissingChunk:
    case Code::kEmptyVmx:
    case Code::kEmptyChunk:
    case Code::kEmptyDevice:
      return Consequence::kRefused;
    case Code::kOverlap:
    case Code::kGap:
    case Code::kDuplicate:
    case Code::kUnknownChunk:
    case Code::kNameContradicts:
    case Code::kNamelessDevice:
    case Code::kUnsafeName:
    case Code::kLongName:
    case Code::kUnreadableAddress:
      return Consequence::kSuspicious;
    case Code::kNotCumulative:
    case Code::kUnknownKey:
      return Consequence::kNone;
  }
  return Consequence::kNone;
}

std::string_view to_string(SetFinding::Code code) {
  switch (code) {
    case Code::kMemorySize:
      return "memory-size";
    case Code::kBadMemsize:
      return "bad-memsize";
    case Code::kBadNcpus:
      return "bad-ncpus";
    case Code::kBeyondEnd:
      return "beyond-end";
    case Code::kChunkTooLarge:
      return "chunk-too-large";
    case Code::kOverlap:
      return "overlap";
    case Code::kGap:
      return "gap";
    case Code::kNotCumulative:
      return "not-cumulative";
    case Code::kDuplicate:
      return "duplicate";
    case Code::kMissingChunk:
      return "missing-chunk";
    case Code::kUnknownChunk:
      return "unknown-chunk";
    case Code::kNameContradicts:
      return "name-contradicts";
    case Code::kEmptyVmx:
      return "empty-vmx";
    case Code::kEmptyChunk:
      return "empty-chunk";
    case Code::kEmptyDevice:
      return "empty-device";
    case Code::kNamelessDevice:
      return "nameless-device";
    case Code::kUnsafeName:
      return "unsafe-name";
    case Code::kLongName:
      return "long-name";
    case Code::kUnreadableAddress:
      return "unreadable-address";
    case Code::kUnknownKey:
      return "unknown-key";
  }
  return "unknown";
}

std::vector<SetFinding> check_set(const LegacySet& set) {
  return Checker(set).run();
}

}  // namespace vmsnap::compat::bhyve
