// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/text_printer.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "reflect/text_escape.h"

namespace vmsnap::reflect {
namespace {

constexpr std::size_t kBytesPerDumpLine = 16;
constexpr std::uint32_t kLongestInlineBytes = 32;
// An object with no more fields than these stands on one line, in a list or by itself.
constexpr std::size_t kMostFieldsOfElement = 8;
constexpr std::size_t kMostFieldsOfMember = 4;
constexpr std::uint32_t kLongestInlineArray = 16;

class TextVisitor : public Visitor {
 public:
  TextVisitor(const SchemaModel& model, BudgetedWriter& out, const TextOptions& options)
      : model_(model), out_(out), options_(options) {}

  void begin_object(const Object& object) override {
    const bool nested = !levels_.empty();
    const bool element = nested && levels_.back().list;
    const Level level{false, name_width(object), indent() + (nested ? 2 : 0), 0};
    if (element && fits_one_line(object, kMostFieldsOfElement)) {
      one_line_ = true;
      line_ = fmt::format("{:{}}[{}]", "", indent(), levels_.back().next++);
    } else if (nested && !element && field_->type.kind != Kind::kUnion &&
               fits_one_line(object, kMostFieldsOfMember)) {
      one_line_ = true;
      line_ = fmt::format("{:{}}{:{}}", "", indent(), field_->name, levels_.back().name_width);
    } else if (element) {
      put_line(fmt::format("[{}]", levels_.back().next++));
    } else if (nested) {
      put_line(label() + ":");
    }
    levels_.push_back(level);
  }

  void end_object(const Object&, std::uint32_t unknown_fields) override {
    const std::string note =
        fmt::format("({} {} of a newer version {} stored here and not shown)", unknown_fields,
                    unknown_fields == 1 ? "field" : "fields", unknown_fields == 1 ? "is" : "are");
    if (one_line_) {
      if (unknown_fields > 0) line_ += "  " + note;
      out_.put(line_ + "\n");
      one_line_ = false;
    } else if (unknown_fields > 0) {
      put_line(note);
    }
    levels_.pop_back();
  }

  void field(const Field& field, Presence presence) override {
    field_ = &field;
    presence_ = presence;
    if (options_.docs && !hidden() && !one_line_) put_documentation(field);
  }

  void scalar(const Field& field, Scalar value) override {
    if (field.is_union_type) {
      discriminator_ = value;
      return;
    }
    if (hidden()) return;
    put_value(field, with_unit(field, format_scalar(field, value), value));
  }

  void string(const Field& field, std::string_view text) override {
    std::string quoted = "\"";
    append_escaped(quoted, text);
    quoted += '"';
    put_value(field, quoted);
  }

  void scalars(const Field& field, const ScalarRun& run) override {
    const bool plain_bytes = run.type == ScalarType::kU8 && field.type.enumeration == kNoIndex;
    if (run.count == 0) {
      put_value(field, "(empty)");
    } else if (plain_bytes && field.hex && !field.image && run.count <= kLongestInlineBytes) {
      put_value(field, fmt::format("{:02x}", fmt::join(as_bytes(run), "")));
    } else if (plain_bytes && (field.image || field.hex) && !one_line_) {
      put_value(field, fmt::format("{} bytes", run.count));
      put_dump(run.bytes);
    } else {
      put_numbers(field, run);
    }
  }

  void begin_list(const Field& field, std::uint32_t count) override {
    if (count == 0) {
      put_value(field, "(empty)");
    } else {
      put_value(field, fmt::format("{} {}", count, count == 1 ? "entry" : "entries"));
    }
    levels_.push_back({true, 0, indent() + 2, 0});
  }
  void end_list(const Field&) override { levels_.pop_back(); }

  void null(const Field& field) override {
    if (hidden()) return;
    put_value(field,
              field.type.kind == Kind::kScalar && field.type.shape == Shape::kSingle ? "null" : "absent");
  }

  void unknown_member(const Field& field, std::uint8_t discriminator) override {
    put_value(field, fmt::format("member {} of {}, which its schema does not know", discriminator,
                                 model_.describe(field.type)));
  }

  [[nodiscard]] bool done() const override { return out_.stopped(); }

 private:
  struct Level {
    bool list = false;
    std::size_t name_width = 0;
    std::size_t indent = 0;
    std::uint32_t next = 0;  // index of the next element of a list
  };

  [[nodiscard]] std::size_t indent() const {
    return levels_.empty() ? options_.indent : levels_.back().indent;
  }

  void put_line(std::string_view text) { out_.put(fmt::format("{:{}}{}\n", "", indent(), text)); }

  /// Deprecated fields that nobody has written any more are of no interest.
  [[nodiscard]] bool hidden() const {
    return field_ != nullptr &&
           ((field_->deprecated && presence_ != Presence::kStored) || field_->is_union_type);
  }

  static std::size_t name_width(const Object& object) {
    std::size_t width = 0;
    for (const Field& field : object.fields) {
      if (!field.is_union_type) width = std::max(width, field.name.size());
    }
    return width;
  }

  /// Small structs and tables without parts are easier to compare when each stands on one line.
  [[nodiscard]] bool fits_one_line(const Object& object, std::size_t most_fields) const {
    if (options_.docs || one_line_ || object.fields.empty() || object.fields.size() > most_fields)
      return false;
    return std::all_of(object.fields.begin(), object.fields.end(), [](const Field& field) {
      return field.type.kind == Kind::kScalar && !field.is_union_type && field.type.shape != Shape::kVector &&
             field.type.length <= kLongestInlineArray;
    });
  }

  void put_documentation(const Field& field) {
    std::string_view rest = field.documentation;
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      std::string shown = "# ";
      append_prose(shown, line);
      put_line(shown);
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    }
  }

  /// The name of what comes, or the number of the element.
  std::string label() {
    if (levels_.empty()) return {};
    if (levels_.back().list) return fmt::format("[{}]", levels_.back().next++);
    std::string name = field_->name;
    if (field_->type.kind == Kind::kUnion) {
      const EnumValue* member = model_.enumeration(field_->type).find_value(discriminator_.as_signed());
      if (member != nullptr && member->object != kNoIndex) name += " (" + member->name + ")";
    }
    return name;
  }

  void put_value(const Field& field, std::string_view value) {
    const std::string_view note = field.deprecated ? "  (deprecated)" : "";
    if (one_line_) {
      line_ += fmt::format("  {} {}{}", field.name, value, note);
    } else if (levels_.empty()) {
      put_line(value);
    } else if (levels_.back().list) {
      put_line(fmt::format("{} {}", label(), value));
    } else {
      put_line(fmt::format("{:{}}  {}{}", field.name, levels_.back().name_width, value, note));
    }
  }

  [[nodiscard]] std::string format_scalar(const Field& field, Scalar value) const {
    if (field.type.enumeration != kNoIndex) {
      const EnumValue* named = model_.enumeration(field.type).find_value(value.as_signed());
      if (named != nullptr) return named->name;
      return fmt::format("{} (no name in {})", value.as_signed(), model_.enumeration(field.type).name);
    }
    if (value.type == ScalarType::kBool) {
      if (value.bits > 1) return fmt::format("{} (not a bool)", value.bits);
      return value.bits == 1 ? "true" : "false";
    }
    if (value.type == ScalarType::kF32) return fmt::format("{}", static_cast<float>(value.as_double()));
    if (value.type == ScalarType::kF64) return fmt::format("{}", value.as_double());
    if (field.hex || field.gpa) return fmt::format("{:#0{}x}", value.bits, 2 + 2 * size_of(value.type));
    if (is_signed(value.type)) return fmt::format("{}", value.as_signed());
    return fmt::format("{}", value.bits);
  }

  static std::string with_unit(const Field& field, std::string text, Scalar value) {
    if (field.unit.empty()) return text;
    text += ' ';
    append_prose(text, field.unit);
    if (field.unit != "bytes") return text;
    static constexpr std::pair<unsigned, std::string_view> kPrefixes[] = {
        {40, "TiB"}, {30, "GiB"}, {20, "MiB"}, {10, "KiB"}};
    for (const auto& [shift, name] : kPrefixes) {
      const std::uint64_t unit = std::uint64_t{1} << shift;
      if (value.bits >= unit && (value.bits & (unit - 1)) == 0)
        return fmt::format("{} ({} {})", text, value.bits >> shift, name);
    }
    return text;
  }

  static std::vector<unsigned> as_bytes(const ScalarRun& run) {
    std::vector<unsigned> bytes;
    for (const std::byte byte : run.bytes) bytes.push_back(std::to_integer<unsigned>(byte));
    return bytes;
  }

  /// On the line of the name when they fit, else on lines of their own, each with the index it begins with.
  void put_numbers(const Field& field, const ScalarRun& run) {
    std::string unit;
    if (!field.unit.empty()) {
      unit = " ";
      append_prose(unit, field.unit);
    }
    const std::size_t room = options_.width > indent() + 20 ? options_.width - indent() : 20;
    std::string line;
    std::uint32_t begin = 0;
    bool wrapped = false;
    for (std::uint32_t i = 0; i < run.count && !out_.stopped(); ++i) {
      const std::string number = format_scalar(field, run.at(i));
      const std::size_t used = wrapped ? 12 : levels_.empty() ? 0 : levels_.back().name_width + 2;
      if (!one_line_ && !line.empty() && used + line.size() + 1 + number.size() > room) {
        if (!wrapped) {
          // The first line did not suffice for all: begin anew below the name.
          put_value(field, fmt::format("{} values{}", run.count, unit.empty() ? "" : " in" + unit));
          wrapped = true;
          line.clear();
          i = 0;
          begin = 0;
          line = format_scalar(field, run.at(0));
          continue;
        }
        put_line(fmt::format("  [{}] {}", begin, line));
        line.clear();
        begin = i;
      }
      if (!line.empty()) line += ' ';
      line += number;
    }
    if (wrapped) {
      put_line(fmt::format("  [{}] {}", begin, line));
    } else {
      put_value(field, line + unit);
    }
  }

  void put_dump(ByteView bytes) {
    bool collapsed = false;
    for (std::size_t at = 0; at < bytes.size() && !out_.stopped(); at += kBytesPerDumpLine) {
      const ByteView line = bytes.subspan(at, std::min(kBytesPerDumpLine, bytes.size() - at));
      const bool last = at + line.size() == bytes.size();
      const bool repeats = at > 0 && !last &&
                           std::equal(line.begin(), line.end(),
                                      bytes.begin() + static_cast<std::ptrdiff_t>(at - kBytesPerDumpLine));
      if (repeats) {
        if (!collapsed) put_line("  *");
        collapsed = true;
        continue;
      }
      collapsed = false;
      std::string hex;
      std::string characters;
      for (std::size_t i = 0; i < line.size(); ++i) {
        const auto byte = std::to_integer<unsigned>(line[i]);
        fmt::format_to(std::back_inserter(hex), "{}{:02x}", i == 0 ? "" : i == 8 ? "  " : " ", byte);
        characters += byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '.';
      }
      put_line(fmt::format("  {:04x}  {:48}  |{}|", at, hex, characters));
    }
  }

  const SchemaModel& model_;
  BudgetedWriter& out_;
  const TextOptions& options_;
  std::vector<Level> levels_;
  const Field* field_ = nullptr;
  Presence presence_ = Presence::kStored;
  Scalar discriminator_;  // of the union that comes next
  bool one_line_ = false;
  std::string line_;
};

}  // namespace

Result<TextReport> print_text(const SchemaModel& model, ByteView data, Sink& sink,
                              const TextOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(model, data, options.path, options.limits));
  Visitor nobody;
  TextReport report;
  VMSNAP_ASSIGN_OR_RETURN(report.walk, walk(model, data, place, nobody, options.limits));
  BudgetedWriter out(sink, options.max_output);
  TextVisitor visitor(model, out, options);
  VMSNAP_RETURN_IF_ERROR(walk(model, data, place, visitor, options.limits));
  report.cut = out.exhausted();
  VMSNAP_RETURN_IF_ERROR(
      out.finish(report.cut ? fmt::format("... cut after {} bytes; ask for a part of the state by its path\n",
                                          options.max_output)
                            : ""));
  return report;
}

}  // namespace vmsnap::reflect
