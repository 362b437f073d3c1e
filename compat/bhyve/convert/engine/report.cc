// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "bhyve/layout/walk.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr FieldFate kFates[] = {FieldFate::kMapped,      FieldFate::kRecomputed, FieldFate::kPrivate,
                                FieldFate::kMeaningless, FieldFate::kMadeUp,     FieldFate::kDropped};

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string counts_of(const ChunkReport& chunk) {
  std::string text;
  for (const FieldFate fate : kFates) {
    const auto count = std::count_if(chunk.fields.begin(), chunk.fields.end(),
                                     [&](const FieldReport& field) { return field.fate == fate; });
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, to_string(fate));
  }
  return text.empty() ? "no fields" : text;
}

bool is_plain(FieldFate fate) {
  return fate == FieldFate::kMapped || fate == FieldFate::kRecomputed;
}

/// Those that are not plain, each on a line, but the records of all CPUs that the machine does not have
/// together.
std::string fields_of(const ChunkReport& chunk) {
  std::string text;
  std::size_t without_cpu = 0;
  for (const FieldReport& field : chunk.fields) {
    if (is_plain(field.fate)) continue;
    if (field.remark == kNoSuchVcpu) {
      ++without_cpu;
      continue;
    }
    text += fmt::format("  {:<11}  {}{}{}\n", to_string(field.fate), field.path,
                        field.remark.empty() ? "" : ": ", field.remark);
  }
  if (without_cpu > 0) {
    text += fmt::format("  {:<11}  {} in records of CPUs that the machine does not have\n",
                        to_string(FieldFate::kMeaningless),
                        without_cpu == 1 ? "a field" : fmt::format("{} fields", without_cpu));
  }
  return text;
}

/// Devices of all CPUs that have the same path but for the number: "cpu0/lapic", "cpu1/lapic".
struct CpuDevices {
  std::string_view rest;  // "", "/lapic"
  std::vector<std::uint32_t> numbers;

  [[nodiscard]] std::string text() const {
    if (numbers.size() == 1) return fmt::format("cpu{}{}", numbers.front(), rest);
    std::string ranges;
    for (std::size_t first = 0, i = 0; i < numbers.size(); ++i) {
      if (i + 1 < numbers.size() && numbers[i + 1] == numbers[i] + 1) continue;
      ranges += fmt::format("{}{}", ranges.empty() ? "" : ", ", numbers[first]);
      if (i > first) ranges += fmt::format("-{}", numbers[i]);
      first = i + 1;
    }
    return rest.empty() ? "CPUs " + ranges : fmt::format("{} of CPUs {}", rest.substr(1), ranges);
  }
};

/// A note that holds for several devices.
struct SharedNote {
  const NotInFile* note = nullptr;
  std::vector<CpuDevices> cpus;
  std::vector<std::string> others;

  void add(std::string_view path) {
    constexpr std::string_view kCpu = "cpu";
    std::uint32_t number = 0;
    const char* end = path.data() + path.size();
    const char* begin = path.data() + std::min(kCpu.size(), path.size());
    const auto [after, error] = std::from_chars(begin, end, number);
    if (!path.starts_with(kCpu) || error != std::errc() || (after != end && *after != '/')) {
      others.emplace_back(path);
      return;
    }
    const std::string_view rest = path.substr(static_cast<std::size_t>(after - path.data()));
    auto found =
        std::find_if(cpus.begin(), cpus.end(), [&](const CpuDevices& one) { return one.rest == rest; });
    if (found == cpus.end()) found = cpus.insert(cpus.end(), {rest, {}});
    found->numbers.push_back(number);
  }

  [[nodiscard]] std::string devices() const {
    std::vector<std::string> all;
    for (const CpuDevices& one : cpus) all.push_back(one.text());
    all.insert(all.end(), others.begin(), others.end());
    return join(all);
  }
};

/// Each note once, in the order of the first device that has it. Borrows the notes.
std::vector<SharedNote> share(const std::vector<NotInFile>& notes) {
  std::vector<SharedNote> shared;
  for (const NotInFile& note : notes) {
    auto found = std::find_if(shared.begin(), shared.end(), [&](const SharedNote& one) {
      return one.note->field == note.field && one.note->instead == note.instead &&
             one.note->consequence == note.consequence;
    });
    if (found == shared.end()) found = shared.insert(shared.end(), {&note, {}, {}});
    found->add(note.device);
  }
  return shared;
}

}  // namespace

std::string_view to_string(FieldFate fate) {
  switch (fate) {
    case FieldFate::kMapped:
      return "mapped";
    case FieldFate::kRecomputed:
      return "recomputed";
    case FieldFate::kPrivate:
      return "private";
    case FieldFate::kMeaningless:
      return "meaningless";
    case FieldFate::kMadeUp:
      return "made-up";
    case FieldFate::kDropped:
      return "dropped";
  }
  return "dropped";
}

std::string_view to_string(Remark::Kind kind) {
  switch (kind) {
    case Remark::Kind::kNote:
      return "note";
    case Remark::Kind::kRepair:
      return "repair";
    case Remark::Kind::kLoss:
      return "loss";
  }
  return "loss";
}

bool ConversionReport::has_losses() const {
  return std::any_of(remarks.begin(), remarks.end(),
                     [](const Remark& remark) { return remark.kind == Remark::Kind::kLoss; });
}

std::string to_text(const ConversionReport& report, bool fields) {
  std::string text;
  for (const ChunkReport& chunk : report.chunks) {
    text += fmt::format("{}{}{}: {}\n", chunk.chunk, chunk.devices.empty() ? "" : "  ", join(chunk.devices),
                        counts_of(chunk));
    if (fields) text += fields_of(chunk);
  }
  if (!report.not_in_file.empty()) text += "not in the file:\n";
  for (const SharedNote& shared : share(report.not_in_file)) {
    const NotInFile& note = *shared.note;
    text += fmt::format("  {}  {}: {}; {}\n", shared.devices(), note.field, note.instead, note.consequence);
  }
  for (const Remark& remark : report.remarks) {
    text += fmt::format("{:<6}  {}: {}\n", to_string(remark.kind), remark.subject, remark.sentence);
  }
  return text;
}

nlohmann::ordered_json to_json(const ConversionReport& report) {
  using Json = nlohmann::ordered_json;
  Json chunks = Json::array();
  for (const ChunkReport& chunk : report.chunks) {
    Json fields = Json::array();
    for (const FieldReport& field : chunk.fields) {
      fields.push_back(
          Json{{"field", field.path}, {"fate", to_string(field.fate)}, {"remark", field.remark}});
    }
    chunks.push_back(Json{{"chunk", chunk.chunk},
                          {"layout", chunk.layout},
                          {"devices", chunk.devices},
                          {"fields", std::move(fields)}});
  }
  Json notes = Json::array();
  for (const NotInFile& note : report.not_in_file) {
    notes.push_back(Json{{"device", note.device},
                         {"field", note.field},
                         {"instead", note.instead},
                         {"consequence", note.consequence}});
  }
  Json remarks = Json::array();
  for (const Remark& remark : report.remarks) {
    remarks.push_back(
        Json{{"kind", to_string(remark.kind)}, {"subject", remark.subject}, {"sentence", remark.sentence}});
  }
  return Json{
      {"chunks", std::move(chunks)}, {"not_in_file", std::move(notes)}, {"remarks", std::move(remarks)}};
}

}  // namespace vmsnap::compat::bhyve
