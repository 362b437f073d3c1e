// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/report.h"

#include <fmt/format.h>

#include <algorithm>

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
    for (const FieldReport& field : chunk.fields) {
      if (!fields || is_plain(field.fate)) continue;
      text += fmt::format("  {:<11}  {}{}{}\n", to_string(field.fate), field.path,
                          field.remark.empty() ? "" : ": ", field.remark);
    }
  }
  if (!report.not_in_file.empty()) text += "not in the file:\n";
  for (const NotInFile& note : report.not_in_file) {
    text += fmt::format("  {}  {}: {}; {}\n", note.device, note.field, note.instead, note.consequence);
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
