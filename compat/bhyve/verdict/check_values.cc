// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/verdict/check_values.h"

#include "base/checked.h"
#include "bhyve/verdict/value_checker.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kNull = ~std::uint64_t{0};

/// What the type of a field promises.
void check_types(ValueChecker& chunk) {
  for (const Field& field : chunk.decoded().fields()) {
    if (field.mark == Mark::kMeaningless || field.item->type == Type::kByte) continue;
    const std::uint64_t value = load_number(field.item->type, chunk.decoded().bytes(field)).bits;
    if (field.item->type == Type::kBool && value > 1) {
      chunk.say(field.path, "not-a-bool", fmt::format("it is {}, but can only be 0 or 1", value));
    } else if (field.item->type == Type::kGaddr && value == kNull) {
      chunk.say(field.path, "null-address", "it points nowhere, so bhyve refuses to resume");
    } else if ((field.item->type == Type::kGaddr || field.item->type == Type::kGaddrOrNull) &&
               value != kNull && !chunk.is_memory(value, 1)) {
      chunk.say(field.path, "outside-memory",
                fmt::format("it points to {:#x}, where the guest has no memory", value));
    }
  }
}

void check_keyboard(ValueChecker& chunk) {
  for (const std::string_view path : {"kbd.brd", "kbd.bwr", "kbd_raw.brd", "kbd_raw.bwr"})
    chunk.within(path, 0, 14, "an index in the 15 bytes of the keyboard's queue");
  for (const std::string_view path : {"kbd.bcnt", "kbd_raw.bcnt"})
    chunk.within(path, 0, 15, "how many of the queue's 15 bytes are used");
}

struct Check {
  std::string_view chunk;
  void (*check)(ValueChecker&);
};

constexpr Check kChecks[] = {
    {"vm", check_vm},
    {"vmcx", check_vmcx},
    {"vlapic", check_vlapic},
    {"vatpic", check_interrupt_controllers},
    {"vioapic", check_interrupt_controllers},
    {"vatpit", check_interrupt_controllers},
    {"virtio-blk", check_virtio},
    {"virtio-net", check_virtio},
    {"virtio-rnd", check_virtio},
    {"ahci", check_ahci},
    {"xhci", check_xhci},
    {"lpc", check_lpc},
    {"atkbdc", check_keyboard},
};

void check_chunk(const LegacySet& set, const Verdict& verdict, const ClassifiedEntry& one,
                 std::vector<ValueFinding>& findings) {
  const auto add = [&](Severity severity, std::string_view code, std::uint64_t offset, std::string field,
                       std::string sentence) {
    findings.push_back({severity, code, label_of(*one.entry), std::move(field), offset, std::move(sentence)});
  };
  if (one.layout == nullptr) {
    // What is empty, unknown to the kernel or listed twice is told as a finding about the files.
    if (one.entry->size != 0 && !one.is_kernel && !one.entry->request && !one.entry->name.empty() &&
        set.find_device(one.entry->name) == one.entry) {
      add(Severity::kWarning, "unknown-device", one.entry->file_offset, {},
          one.why_not + "; its state cannot be read");
    }
    return;
  }
  const auto bytes = set.read(*one.entry);
  const auto decoded = bytes ? decode(*one.layout, one.context, *bytes) : Result<Decoded>(bytes.error());
  if (!decoded) {
    const Error& error = decoded.error();
    add(Severity::kError, "unreadable-chunk", error.offset().value_or(one.entry->file_offset), error.field(),
        error.message());
    return;
  }
  if (!decoded->trailing().empty()) {
    add(Severity::kWarning, "trailing-bytes",
        one.entry->file_offset + one.entry->size - decoded->trailing().size(), {},
        fmt::format("{} bytes follow the last field, which bhyve ignores; it never writes any",
                    decoded->trailing().size()));
  }
  for (ValueFinding& finding : check_values(set, verdict, one, *decoded))
    findings.push_back(std::move(finding));
}

}  // namespace

void ValueChecker::add(Severity severity, std::uint64_t offset, std::string_view path, std::string_view code,
                       std::string sentence) {
  if (findings_.size() > kMostValueFindings) return;
  if (findings_.size() == kMostValueFindings) {
    severity = Severity::kNote;
    code = "more-findings";
    sentence = "there are more odd values in this chunk";
  }
  findings_.push_back({severity, code, label_of(*entry_.entry), std::string(path),
                       entry_.entry->file_offset + offset, std::move(sentence)});
}

void ValueChecker::within(std::string_view path, std::int64_t low, std::int64_t high, std::string_view what) {
  const auto value = get(path);
  if (!value) return;
  const auto number = static_cast<std::int64_t>(*value);
  if (number >= low && number <= high) return;
  say(path, "out-of-range",
      fmt::format("it is {}, but as {} it can only be {} to {}", number, what, low, high));
}

bool ValueChecker::is_memory(std::uint64_t address, std::uint64_t size) const {
  const auto end = checked_add(address, size);
  if (!end) return false;
  if (*end <= memory_.low) return true;
  return address >= kHighMemoryBase && *end - kHighMemoryBase <= memory_.high;
}

std::vector<ValueFinding> check_values(const LegacySet& set, const Verdict& verdict,
                                       const ClassifiedEntry& entry, const Decoded& decoded) {
  ValueChecker chunk(set, verdict, entry, decoded);
  check_types(chunk);
  if (decoded.find("config_space") != nullptr) check_pci(chunk);
  for (const Check& check : kChecks) {
    if (check.chunk == entry.layout->chunk) check.check(chunk);
  }
  return chunk.take();
}

std::vector<ValueFinding> check_chunks(const LegacySet& set, const Verdict& verdict) {
  std::vector<ValueFinding> findings;
  for (const ClassifiedEntry& one : verdict.entries) check_chunk(set, verdict, one, findings);
  return findings;
}

}  // namespace vmsnap::compat::bhyve
