// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>

#include "bhyve/layout/decode.h"
#include "bhyve/set/device_name.h"
#include "bhyve/set/shown.h"
#include "legacy/legacy.h"

namespace vmsnap::snaptool::legacy {
namespace {

using namespace compat::bhyve;

/// Bytes of a string of bytes that are shown unless the field itself is asked for.
constexpr std::uint64_t kShortText = 32;
constexpr std::uint64_t kLongText = std::uint64_t{1} << 20;
constexpr std::uint64_t kMostInJson = std::uint64_t{64} << 10;

struct Selected {
  const ClassifiedEntry* chunk = nullptr;
  std::string_view field;  // empty is everything
};

/// Whether `text` is `name`, or begins with it and a dot, behind which `rest` then is.
bool is_or_continues(std::string_view text, std::string_view name, std::string_view& rest) {
  if (!text.starts_with(name)) return false;
  rest = text.substr(name.size());
  if (rest.empty()) return true;
  if (rest.front() != '.') return false;
  rest.remove_prefix(1);
  return true;
}

/// The name as the .meta file has it, or the emulation alone: of two that fit, the longer is meant, then the
/// first. Device names contain dots.
Result<Selected> select(const Verdict& verdict, std::string_view what) {
  Selected found;
  std::size_t length = 0;
  std::string names;
  for (const ClassifiedEntry& one : verdict.entries) {
    const std::string label = label_of(*one.entry);
    names += (names.empty() ? "" : ", ") + label;
    for (const std::string_view name :
         {std::string_view(label), parse_device_name(one.entry->name).emulation}) {
      std::string_view rest;
      if (name.empty() || name.size() <= length || !is_or_continues(what, name, rest)) continue;
      length = name.size();
      found = {&one, rest};
    }
  }
  if (found.chunk != nullptr) return found;
  constexpr std::size_t kMostNames = 1000;
  if (names.size() > kMostNames) names = names.substr(0, kMostNames) + "...";
  return Error(ErrorKind::kUsage, fmt::format("there is no chunk {}; there are {}", shown(what), names));
}

/// The field itself, a part of a record or array that it names, or an element "name[3]" of it.
bool is_selected(const Field& field, std::string_view wanted) {
  if (wanted.empty() || field.path == wanted) return true;
  return field.path.size() > wanted.size() && field.path.starts_with(wanted) &&
         (field.path[wanted.size()] == '.' || field.path[wanted.size()] == '[');
}

std::string hex_of(ByteView bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

bool is_text_of_bytes(const Field& field) {
  return field.item->type == Type::kByte || (field.item->type == Type::kU8 && field.count() > 1);
}

std::string number_text(Type type, Number number) {
  if (is_signed(type)) return fmt::format("{}", static_cast<std::int64_t>(number.bits));
  if (type == Type::kGaddrOrNull && number.bits == ~std::uint64_t{0}) return "null";
  if (number.bits < 10) return fmt::format("{}", number.bits);
  return fmt::format("{:#x}", number.bits);
}

Json number_json(Type type, Number number) {
  if (size_of(type) < 8) {
    return is_signed(type) ? Json(static_cast<std::int64_t>(number.bits)) : Json(number.bits);
  }
  if (is_signed(type)) return std::to_string(static_cast<std::int64_t>(number.bits));
  return wide(number.bits);
}

class Show {
 public:
  Show(const LegacySet& set, const LegacyOptions& options, Output& output)
      : set_(set), options_(options), output_(output) {}

  ExitCode everything(const Verdict& verdict) {
    if (options_.json) output_.print("{\n  \"chunks\": [");
    for (const ClassifiedEntry& one : verdict.entries) {
      if (one.layout == nullptr || output_.failed()) continue;
      if (const Result<void> shown = chunk(one, {}); !shown) {
        output_.complain(shown.error().to_string());
        status_ = exit_code(shown.error().kind());
      }
    }
    if (options_.json) output_.print("\n  ]\n}\n");
    return status_;
  }

  ExitCode selected(const Selected& selection) {
    const ClassifiedEntry& one = *selection.chunk;
    Result<void> result = {};
    if (one.layout == nullptr) {
      result = Error(ErrorKind::kUnsupported, "it cannot be shown: " + one.why_not)
                   .in_file(set_.kern().name())
                   .at_offset(one.entry->file_offset)
                   .in_chunk(label_of(*one.entry));
    } else {
      result = chunk(one, selection.field);
    }
    if (!result) return fail(result.error(), options_.json, output_);
    if (options_.json) output_.print("\n");
    return status_;
  }

 private:
  Result<void> chunk(const ClassifiedEntry& one, std::string_view wanted) {
    VMSNAP_ASSIGN_OR_RETURN(const ByteVector bytes, set_.read(*one.entry));
    auto decoded = decode(*one.layout, one.context, bytes);
    if (!decoded)
      return std::move(decoded.error().in_file(set_.kern().name()).in_chunk(label_of(*one.entry)));
    const auto& fields = decoded->fields();
    if (std::none_of(fields.begin(), fields.end(),
                     [&](const Field& field) { return is_selected(field, wanted); })) {
      return Error(ErrorKind::kUsage, fmt::format("there is no field {}; snaptool show BASE {} shows all",
                                                  shown(wanted), label_of(*one.entry)))
          .in_chunk(label_of(*one.entry));
    }
    if (options_.json) {
      print_json(one, *decoded, wanted);
    } else {
      print_text(one, *decoded, wanted);
    }
    return {};
  }

  void print_text(const ClassifiedEntry& one, const Decoded& decoded, std::string_view wanted) {
    output_.print(fmt::format("{}{}: {}, {} from offset {} on\n", is_first_ ? "" : "\n", label_of(*one.entry),
                              shape_text(one), count_of(one.entry->size, "byte"), one.entry->file_offset));
    is_first_ = false;
    for (const Field& field : decoded.fields()) {
      if (!is_selected(field, wanted)) continue;
      std::string_view mark;
      if (field.mark == Mark::kCompared) mark = "  (compared)";
      if (field.mark == Mark::kMeaningless) mark = "  (meaningless)";
      const std::uint64_t limit = field.path == wanted ? kLongText : kShortText;
      output_.print(fmt::format("  {:>8}  {:<34}  {}{}\n", field.offset, field.path,
                                value_text(field, decoded.bytes(field), limit), mark));
    }
    if (wanted.empty() && !decoded.trailing().empty()) {
      output_.print(fmt::format("  {:>8}  {} more\n", one.entry->size - decoded.trailing().size(),
                                count_of(decoded.trailing().size(), "byte")));
    }
  }

  static std::string value_text(const Field& field, ByteView bytes, std::uint64_t limit) {
    if (is_text_of_bytes(field)) {
      const std::uint64_t shown = std::min<std::uint64_t>(bytes.size(), limit);
      return hex_of(bytes.first(static_cast<std::size_t>(shown))) +
             (shown < bytes.size() ? fmt::format("... ({} bytes)", bytes.size()) : "");
    }
    const std::uint64_t count = field.count();
    std::string text;
    for (std::uint64_t i = 0; i < std::min(count, limit); ++i) {
      const Number number = load_number(field.item->type, bytes, static_cast<std::size_t>(i));
      text += (i == 0 ? "" : " ") + number_text(field.item->type, number);
    }
    return count > limit ? text + fmt::format(" ... ({} values)", count) : text;
  }

  void print_json(const ClassifiedEntry& one, const Decoded& decoded, std::string_view wanted) {
    Json head = legacy::to_json(one);
    std::string text = head.dump(-1, ' ', true, Json::error_handler_t::replace);
    text.pop_back();
    output_.print(fmt::format("{}{}, \"fields\": [", is_first_ ? "" : ",\n", text));
    is_first_ = false;
    bool is_first_field = true;
    for (const Field& field : decoded.fields()) {
      if (!is_selected(field, wanted)) continue;
      const std::string_view mark = field.mark == Mark::kCompared      ? "compared"
                                    : field.mark == Mark::kMeaningless ? "meaningless"
                                                                       : "";
      const Json row = {{"path", field.path},
                        {"type", to_string(field.item->type)},
                        {"offset", wide(field.offset)},
                        {"size", wide(field.size)},
                        {"mark", text_or_null(mark)},
                        {"value", value_json(field, decoded.bytes(field), wanted == field.path)}};
      output_.print((is_first_field ? "\n  " : ",\n  ") +
                    row.dump(-1, ' ', true, Json::error_handler_t::replace));
      is_first_field = false;
    }
    output_.print("]}");
  }

  static Json value_json(const Field& field, ByteView bytes, bool is_asked_for) {
    if (is_text_of_bytes(field))
      return bytes.size() <= kMostInJson || is_asked_for ? Json(hex_of(bytes)) : Json(nullptr);
    if (field.count() == 1 && field.item->count.source == Count::Source::kFixed &&
        field.item->count.fixed == 1)
      return number_json(field.item->type, load_number(field.item->type, bytes));
    Json list = Json::array();
    for (std::uint64_t i = 0; i < field.count(); ++i)
      list.push_back(
          number_json(field.item->type, load_number(field.item->type, bytes, static_cast<std::size_t>(i))));
    return list;
  }

  const LegacySet& set_;
  const LegacyOptions& options_;
  Output& output_;
  bool is_first_ = true;
  ExitCode status_ = kExitOk;
};

}  // namespace

ExitCode show(const LegacyOptions& options, const std::string& what, Output& output) {
  const auto assumptions = Assumptions::parse(options.assume);
  if (!assumptions) return fail(assumptions.error(), options.json, output);
  const auto set = LegacySet::open(options.file);
  if (!set) return fail(set.error(), options.json, output);
  const auto verdict = classify(*set, *assumptions);
  if (!verdict) return fail(verdict.error(), options.json, output);
  Show show(*set, options, output);
  if (what.empty()) return show.everything(*verdict);
  const auto selection = select(*verdict, what);
  if (!selection) return fail(selection.error(), options.json, output);
  return show.selected(*selection);
}

}  // namespace vmsnap::snaptool::legacy
