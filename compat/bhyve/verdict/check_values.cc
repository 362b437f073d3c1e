// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/verdict/check_values.h"

#include "bhyve/verdict/record_shape.h"
#include "bhyve/verdict/values/value_checker.h"

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
      chunk.say(field.path, "null-address", "it points nowhere", Consequence::kRefused);
    } else if ((field.item->type == Type::kGaddr || field.item->type == Type::kGaddrOrNull) &&
               value != kNull && !chunk.is_memory(value, 1)) {
      chunk.say(field.path, "outside-memory",
                fmt::format("it points to {:#x}, where the guest has no memory", value), Consequence::kCrash);
    }
  }
}

struct Check {
  std::string_view chunk;
  void (*check)(ValueChecker&);
};

constexpr Check kChecks[] = {
    {"vhpet", check_vhpet},       {"vm", check_vm},
    {"vmx", check_vmx},           {"vmcx", check_vmcx},
    {"vioapic", check_vioapic},   {"vlapic", check_vlapic},
    {"vatpit", check_vatpit},     {"vatpic", check_vatpic},
    {"vrtc", check_vrtc},         {"virtio-blk", check_virtio},
    {"virtio-net", check_virtio}, {"virtio-rnd", check_virtio},
    {"e1000", check_e1000},       {"ahci", check_ahci},
    {"xhci", check_xhci},         {"lpc", check_lpc},
    {"atkbdc", check_atkbdc},
};

void check_chunk(const LegacySet& set, const GuestSize& guest, const ClassifiedEntry& one,
                 std::vector<ValueFinding>& findings) {
  const auto add = [&](Severity severity, Consequence consequence, std::string_view code,
                       std::uint64_t offset, std::string field, std::string sentence) {
    findings.push_back(
        {severity, consequence, code, label_of(*one.entry), std::move(field), offset, std::move(sentence)});
  };
  if (one.layout == nullptr) {
    // What is empty, unknown to the kernel or listed twice is told as a finding about the files.
    if (one.entry->size != 0 && !one.is_kernel && !one.entry->request && !one.entry->name.empty() &&
        set.find_device(one.entry->name) == one.entry) {
      add(Severity::kWarning, Consequence::kSuspicious, "unknown-device", one.entry->file_offset, {},
          one.why_not + "; its state cannot be read");
    }
    return;
  }
  const auto bytes = set.read(*one.entry);
  const auto decoded = bytes ? decode(*one.layout, one.context, *bytes) : Result<Decoded>(bytes.error());
  if (!decoded) {
    const Error& error = decoded.error();
    add(Severity::kError, Consequence::kRefused, "unreadable-chunk",
        error.offset().value_or(one.entry->file_offset), error.field(), error.message());
    return;
  }
  if (!decoded->trailing().empty()) {
    add(Severity::kWarning, Consequence::kSuspicious, "trailing-bytes",
        one.entry->file_offset + one.entry->size - decoded->trailing().size(), {},
        fmt::format("{} bytes follow the last field, which bhyve ignores; it never writes any",
                    decoded->trailing().size()));
  }
  for (ValueFinding& finding : check_values(guest, one, *decoded)) findings.push_back(std::move(finding));
}

/// Generation A has half of the registers in vmx.
void check_registers(const LegacySet& set, const Verdict& verdict, std::vector<ValueFinding>& findings) {
  const MetaEntry* vmcx = set.find(KernelChunk::kVmcx);
  const MetaEntry* vmx = set.find(KernelChunk::kVmx);
  const ClassifiedEntry* incomplete = nullptr;
  for (const ClassifiedEntry& one : verdict.entries) {
    if (one.layout == nullptr || one.entry->size == 0) continue;
    if (one.entry == vmx) return;
    if (one.entry == vmcx && registers_are_in_vmx(*one.layout)) incomplete = &one;
  }
  if (incomplete == nullptr) return;
  const MetaEntry& entry = *incomplete->entry;
  findings.push_back(
      {Severity::kError,
       Consequence::kRefused,
       "registers-missing",
       label_of(entry),
       {},
       entry.file_offset,
       "general registers and MSRs are not in vmcx of this shape but in the chunk vmx, which is "
       "not there, empty or not read"});
}

}  // namespace

std::vector<ValueFinding> check_values(const GuestSize& guest, const ClassifiedEntry& entry,
                                       const Decoded& decoded) {
  ValueChecker chunk(guest, label_of(*entry.entry), entry.entry->file_offset, decoded);
  check_types(chunk);
  if (decoded.find("config_space") != nullptr) check_pci(chunk);
  for (const Check& check : kChecks) {
    if (check.chunk == entry.layout->chunk) check.check(chunk);
  }
  return chunk.take();
}

std::vector<ValueFinding> check_chunks(const LegacySet& set, const Verdict& verdict) {
  std::vector<ValueFinding> findings;
  const GuestSize guest{verdict.ncpus, set.meta().memsize};
  for (const ClassifiedEntry& one : verdict.entries) check_chunk(set, guest, one, findings);
  check_registers(set, verdict, findings);
  return findings;
}

}  // namespace vmsnap::compat::bhyve
