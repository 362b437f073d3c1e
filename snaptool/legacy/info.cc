// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "bhyve/set/check_set.h"
#include "bhyve/set/shown.h"
#include "bhyve/verdict/known_bugs.h"
#include "legacy/legacy.h"

namespace vmsnap::snaptool::legacy {
namespace {

using namespace compat::bhyve;

class Info {
 public:
  Info(const LegacySet& set, const Result<Verdict>& verdict, Output& output)
      : set_(set), verdict_(verdict), output_(output) {}

  void print_text() {
    const Meta& meta = set_.meta();
    const MemorySplit split = split_memory(meta.memsize);
    output_.print(vmsnap::snaptool::printable(set_.base()) + '\n');
    line("format", "snapshot of bhyve in three files");
    line("generation", verdict_ ? verdict_->generation_text() : "cannot be told");
    if (verdict_) line("how sure", sureness());
    if (verdict_) line("vendor", verdict_->vendor == Vendor::kIntel ? "Intel" : "AMD");
    if (verdict_ && !verdict_->assumed.empty()) line("assumed", verdict_->assumed);
    line("guest",
         fmt::format("{}, {}, {} of RAM ({} below 3 GiB, {} from 4 GiB on)",
                     meta.vmname ? shown(*meta.vmname) : "without a name", count_of(meta.ncpus, "vCPU"),
                     human_size(meta.memsize), human_size(split.low), human_size(split.high)));
    if (meta.memflags) line("memflags", describe_memflags(*meta.memflags));
    line("files", fmt::format("guest memory {}, .kern {}, {} listed in .meta", exact_size(set_.memory_size()),
                              exact_size(set_.kern_size()),
                              count_of(meta.kernel.size() + meta.devices.size(), "chunk")));
    if (verdict_) {
      print_axes();
      print_chunks();
      print_bugs();
    } else {
      print_raw_chunks();
      line("refused", verdict_.error().to_string());
    }
    print_findings();
  }

  [[nodiscard]] Json to_json() const {
    const Meta& meta = set_.meta();
    const MemorySplit split = split_memory(meta.memsize);
    Json axes = Json::array();
    Json chunks = Json::array();
    Json bugs = Json::array();
    if (verdict_) {
      for (const AxisVerdict& one : verdict_->axes) {
        axes.push_back({{"axis", one.axis},
                        {"shape", text_or_null(one.shape)},
                        {"certainty", to_string(one.certainty)},
                        {"evidence", one.evidence}});
      }
      for (const ClassifiedEntry& one : verdict_->entries) chunks.push_back(legacy::to_json(one));
      for (const KnownBug& bug : known_bugs(*verdict_))
        bugs.push_back({{"name", bug.name}, {"sentence", bug.sentence}});
    }
    const auto counts = count_findings();
    return {
        {"format", "bhyve"},
        {"base", set_.base()},
        {"generations", generations()},
        {"nearest", verdict_ ? Json(to_string(verdict_->nearest)) : Json(nullptr)},
        {"deviating", verdict_ ? Json(verdict_->deviating) : Json::array()},
        {"vendor", verdict_ ? Json(to_string(verdict_->vendor)) : Json(nullptr)},
        {"assumed", verdict_ ? text_or_null(verdict_->assumed) : Json(nullptr)},
        {"vmname", meta.vmname ? Json(compat::bhyve::printable(*meta.vmname)) : Json(nullptr)},
        {"ncpus", meta.ncpus},
        {"memory", {{"size", wide(meta.memsize)}, {"low", wide(split.low)}, {"high", wide(split.high)}}},
        {"memflags", meta.memflags ? wide(*meta.memflags) : Json(nullptr)},
        {"file_sizes", {{"memory", wide(set_.memory_size())}, {"kern", wide(set_.kern_size())}}},
        {"axes", std::move(axes)},
        {"chunks", std::move(chunks)},
        {"known_bugs", std::move(bugs)},
        {"findings", {{"errors", counts[2]}, {"warnings", counts[1]}, {"notes", counts[0]}}},
        {"error", verdict_ ? Json(nullptr) : snaptool::to_json(verdict_.error())},
    };
  }

 private:
  void line(std::string_view name, std::string_view text) {
    output_.print(fmt::format("  {:<13} {}\n", name, vmsnap::snaptool::printable(text)));
  }

  /// "9 axes say so for certain, 1 is guessed"
  [[nodiscard]] std::string sureness() const {
    constexpr std::pair<Certainty, std::string_view> kWords[] = {{Certainty::kAssumed, "assumed"},
                                                                 {Certainty::kCertain, "certain"},
                                                                 {Certainty::kLikely, "likely"},
                                                                 {Certainty::kGuess, "guessed"},
                                                                 {Certainty::kNone, "unknown"}};
    std::string text;
    for (const auto& word : kWords) {
      const auto count = std::count_if(verdict_->axes.begin(), verdict_->axes.end(),
                                       [&](const AxisVerdict& one) { return one.certainty == word.first; });
      if (count != 0) text += fmt::format("{}{} {}", text.empty() ? "axes: " : ", ", count, word.second);
    }
    return text;
  }

  static std::string describe_memflags(std::uint64_t flags) {
    std::string text = fmt::format("{:#x}", flags);
    if ((flags & 1) != 0) text += ", in core files";
    if ((flags & 2) != 0) text += ", wired";
    return text;
  }

  [[nodiscard]] Json generations() const {
    Json out = Json::array();
    if (!verdict_) return out;
    for (const Generation generation : verdict_->generations) out.push_back(to_string(generation));
    return out;
  }

  void print_axes() {
    line("axes", "what each says by itself, how sure that is, and why");
    for (const AxisVerdict& one : verdict_->axes) {
      output_.print(fmt::format("    {:<9} {:<12} {:<8}  {}\n", one.axis, one.shape.empty() ? "-" : one.shape,
                                to_string(one.certainty), vmsnap::snaptool::printable(one.evidence)));
    }
  }

  void print_chunk(const MetaEntry& entry, std::string_view shape) {
    output_.print(fmt::format("    {:>10}  {:>10}  {:<26}  {}\n", entry.file_offset, entry.size,
                              label_of(entry), shape));
  }

  void print_chunks() {
    line("chunks", "offset in the .kern file, bytes, name, shape");
    for (const ClassifiedEntry& one : verdict_->entries) {
      std::string shape = one.layout == nullptr ? "- (" + one.why_not + ")" : shape_text(one);
      if (one.trailing != 0) shape += fmt::format(", and {} more at the end", count_of(one.trailing, "byte"));
      print_chunk(*one.entry, shape);
    }
  }

  void print_raw_chunks() {
    line("chunks", "offset in the .kern file, bytes, name");
    for (const auto* entries : {&set_.meta().kernel, &set_.meta().devices}) {
      for (const MetaEntry& entry : *entries) print_chunk(entry, "?");
    }
  }

  void print_bugs() {
    for (const KnownBug& bug : known_bugs(*verdict_))
      line("known bug", fmt::format("{}: {}", bug.name, bug.sentence));
  }

  [[nodiscard]] std::array<std::size_t, 3> count_findings() const {
    std::array<std::size_t, 3> counts{};
    for (const SetFinding& finding : check_set(set_)) ++counts[static_cast<std::size_t>(finding.severity)];
    return counts;
  }

  void print_findings() {
    const auto counts = count_findings();
    line("findings", counts[1] + counts[2] == 0
                         ? "none about the files; snaptool check looks at the values, too"
                         : fmt::format("{} and {} about the files; snaptool check tells them",
                                       count_of(counts[2], "error"), count_of(counts[1], "warning")));
  }

  const LegacySet& set_;
  const Result<Verdict>& verdict_;
  Output& output_;
};

}  // namespace

ExitCode info(const LegacyOptions& options, Output& output) {
  const auto assumptions = Assumptions::parse(options.assume);
  if (!assumptions) return fail(assumptions.error(), options.json, output);
  const auto set = LegacySet::open(options.file);
  if (!set) return fail(set.error(), options.json, output);
  const auto verdict = classify(*set, *assumptions);
  Info info(*set, verdict, output);
  if (options.json) {
    output.print_json(info.to_json());
  } else {
    info.print_text();
  }
  if (verdict) return kExitOk;
  output.complain(verdict.error().to_string());
  return exit_code(verdict.error().kind());
}

}  // namespace vmsnap::snaptool::legacy
