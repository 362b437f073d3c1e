// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/json_printer.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "reflect/text_escape.h"

namespace vmsnap::reflect {
namespace {

/// Bytes of a run that are formatted before they are handed on, so that a budget stops a long run early.
constexpr std::size_t kPiece = 4096;

class JsonVisitor : public Visitor {
 public:
  JsonVisitor(const SchemaModel& model, BudgetedWriter& out, const JsonOptions& options)
      : model_(model), out_(out), options_(options) {}

  void begin_object(const Object&) override { open('{'); }
  void end_object(const Object&, std::uint32_t unknown_fields) override {
    if (unknown_fields > 0) {
      key("$unknown_fields");
      out_.put(std::to_string(unknown_fields));
    }
    close('}');
  }

  void field(const Field& field, Presence presence) override {
    skipped_ = field.deprecated && presence != Presence::kStored;
    if (!skipped_) key(field.name);
  }

  void scalar(const Field& field, Scalar value) override {
    if (skip()) return;
    begin_value();
    std::string text;
    append_scalar(text, field, value);
    out_.put(text);
  }

  void string(const Field&, std::string_view text) override {
    if (skip()) return;
    begin_value();
    std::string quoted;
    append_json_string(quoted, text);
    out_.put(quoted);
  }

  void scalars(const Field& field, const ScalarRun& run) override {
    if (skip()) return;
    begin_value();
    const bool as_bytes =
        run.type == ScalarType::kU8 && field.type.enumeration == kNoIndex && (field.image || field.hex);
    std::string text(1, as_bytes ? '"' : '[');
    for (std::uint32_t i = 0; i < run.count && !out_.stopped(); ++i) {
      if (as_bytes) {
        fmt::format_to(std::back_inserter(text), "{:02x}", run.at(i).bits);
      } else {
        if (i > 0) text += options_.indent > 0 ? ", " : ",";
        append_scalar(text, field, run.at(i));
      }
      if (text.size() >= kPiece) {
        out_.put(text);
        text.clear();
      }
    }
    text += as_bytes ? '"' : ']';
    out_.put(text);
  }

  void begin_list(const Field&, std::uint32_t) override { open('['); }
  void end_list(const Field&) override { close(']'); }

  void null(const Field&) override {
    if (skip()) return;
    begin_value();
    out_.put("null");
  }
  void unknown_member(const Field& field, std::uint8_t) override { null(field); }

  [[nodiscard]] bool done() const override { return out_.stopped(); }

 private:
  struct Level {
    bool list = false;
    bool empty = true;
  };

  /// True for the value of a deprecated field that is not stored; such a value is never an object or a list.
  bool skip() { return std::exchange(skipped_, false); }

  void new_line() {
    if (options_.indent == 0) return;
    out_.put("\n" + std::string((options_.level + levels_.size()) * options_.indent, ' '));
  }

  void separate() {
    if (!levels_.back().empty) out_.put(",");
    levels_.back().empty = false;
    new_line();
  }

  void key(std::string_view name) {
    separate();
    out_.put(fmt::format(fmt::runtime(options_.indent > 0 ? "\"{}\": " : "\"{}\":"), name));
  }

  void begin_value() {
    if (!levels_.empty() && levels_.back().list) separate();
  }

  void open(char bracket) {
    begin_value();
    out_.put(std::string_view(&bracket, 1));
    levels_.push_back({bracket == '[', true});
  }

  void close(char bracket) {
    const bool empty = levels_.back().empty;
    levels_.pop_back();
    if (!empty) new_line();
    out_.put(std::string_view(&bracket, 1));
  }

  void append_scalar(std::string& text, const Field& field, Scalar value) const {
    const auto out = std::back_inserter(text);
    if (field.type.enumeration != kNoIndex) {
      if (const EnumValue* named = model_.enumeration(field.type).find_value(value.as_signed())) {
        fmt::format_to(out, "\"{}\"", named->name);
        return;
      }
    }
    if (value.type == ScalarType::kBool && value.bits <= 1) {
      text += value.bits == 1 ? "true" : "false";
    } else if (is_float(value.type)) {
      append_float(text, value);
    } else if (field.hex || field.gpa) {
      fmt::format_to(out, "\"{:#x}\"", value.bits);
    } else if (size_of(value.type) == 8) {
      is_signed(value.type) ? fmt::format_to(out, "\"{}\"", value.as_signed())
                            : fmt::format_to(out, "\"{}\"", value.bits);
    } else {
      fmt::format_to(out, "{}", value.as_signed());
    }
  }

  static void append_float(std::string& text, Scalar value) {
    const double number = value.as_double();
    if (std::isnan(number)) {
      text += "\"NaN\"";
    } else if (std::isinf(number)) {
      text += number > 0 ? "\"Infinity\"" : "\"-Infinity\"";
    } else if (value.type == ScalarType::kF32) {
      fmt::format_to(std::back_inserter(text), "{}", static_cast<float>(number));
    } else {
      fmt::format_to(std::back_inserter(text), "{}", number);
    }
  }

  const SchemaModel& model_;
  BudgetedWriter& out_;
  const JsonOptions& options_;
  std::vector<Level> levels_;
  bool skipped_ = false;
};

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  const auto append_unit = [&](std::uint32_t unit) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", unit);
  };
  out += '"';
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    if (!point.valid) {
      append_unit(0xfffd);
    } else if (point.value == '"' || point.value == '\\') {
      out += '\\';
      out += text[0];
    } else if (point.value == '\n') {
      out += "\\n";
    } else if (point.value == '\t') {
      out += "\\t";
    } else if (is_safe_to_print(point.value)) {
      out += text.substr(0, point.length);
    } else if (point.value < 0x10000) {
      append_unit(point.value);
    } else {
      append_unit(0xd800 + ((point.value - 0x10000) >> 10));
      append_unit(0xdc00 + ((point.value - 0x10000) & 0x3ff));
    }
    text.remove_prefix(point.length);
  }
  out += '"';
}

Result<WalkReport> print_json(const SchemaModel& model, ByteView data, Sink& sink,
                              const JsonOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(model, data, options.path, options.limits));
  Visitor nobody;
  VMSNAP_ASSIGN_OR_RETURN(WalkReport report, walk(model, data, place, nobody, options.limits));
  BudgetedWriter out(sink, options.max_output);
  JsonVisitor visitor(model, out, options);
  VMSNAP_RETURN_IF_ERROR(walk(model, data, place, visitor, options.limits));
  VMSNAP_RETURN_IF_ERROR(out.finish());
  if (out.exhausted()) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format("the JSON would be longer than {} bytes; ask for a part of the "
                             "state by its path",
                             options.max_output));
  }
  return report;
}

}  // namespace vmsnap::reflect
