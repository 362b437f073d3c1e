// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/layout_doc.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "bhyve/layout/layouts.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kIntroduction =
    R"(# Layouts of the chunks in bhyve's snapshots

Every chunk that a `.kern` file of bhyve can hold, field by field, in every shape that was ever written. A snapshot says
neither its generation nor the version of any chunk; which shape a chunk has follows from sizes and plausibility.

Generations: A is FreeBSD 13.0, A2 is 13.1, B is 13.2, C0 is most likely 14.0, C is later ones and main. "All" is all of
these. Chunks of devices changed in places that are independent of each other, the *axes*; on each axis a chunk has shape
A (generations A and A2) or B (later).

All numbers are little-endian, and fields lie back to back without padding. Offsets count from the beginning of the table
in decimal; `+n` counts from the end of the last item above it whose size varies. Types: `u8` to `u64`, `i8` to `i64`,
`bool` of one byte; `gaddr`, a guest-physical address of 8 bytes, in which all ones is an error or, in `gaddr or null`,
NULL; `host pointer`, 8 bytes, an address in the process that wrote it. bhyve ignores bytes after the last field.

*Compared*: bhyve does not load the field, it refuses to restore if the new machine has another value. *Meaningless*: says
nothing to anyone but the process that wrote it, and a converter may write another value.

This file is made from the tables in `compat/bhyve/layout/tables/`. After a change there, make it anew:
`ninja -C BUILD compat/bhyve_layout_doc && BUILD/compat/bhyve_layout_doc >docs/bhyve-layouts.md`
)";

/// Bytes of the items when they are the same in every chunk.
std::optional<std::uint64_t> fixed_size(std::span<const Item> items);

std::optional<std::uint64_t> fixed_size(const Item& item) {
  if (item.condition.kind != Condition::Kind::kAlways || item.count.source != Count::Source::kFixed) {
    return std::nullopt;
  }
  const auto each = item.type == Type::kRecord ? fixed_size(item.nested()) : size_of(item.type);
  if (!each) return std::nullopt;
  return *each * item.count.fixed;
}

std::optional<std::uint64_t> fixed_size(std::span<const Item> items) {
  std::uint64_t sum = 0;
  for (const Item& item : items) {
    const auto size = fixed_size(item);
    if (!size) return std::nullopt;
    sum += *size;
  }
  return sum;
}

std::string bytes_or_varies(std::optional<std::uint64_t> size) {
  return size ? fmt::format("{}", *size) : "varies";
}

std::string count_in_words(const Count& count) {
  switch (count.source) {
    case Count::Source::kFixed:
      return fmt::format("{}", count.fixed);
    case Count::Source::kField:
      return fmt::format("`{}`", count.words);
    case Count::Source::kFunction:
      return std::string(count.words);
    case Count::Source::kUntilMinusOne:
      return "up to and with -1";
    case Count::Source::kContext:
      break;
  }
  switch (count.context) {
    case ContextValue::kVcpus:
      return "number of vCPUs";
    case ContextValue::kUarts:
      return "number of UARTs";
    case ContextValue::kCpusetLongs:
      return "rest of the chunk";
    case ContextValue::kUsbDevices:
      break;
  }
  return "number of attached devices";
}

std::string condition_in_words(const Condition& condition) {
  switch (condition.kind) {
    case Condition::Kind::kAlways:
      break;
    case Condition::Kind::kShape:
      return fmt::format("if the axis *{}* has shape {}", to_string(condition.axis),
                         to_string(condition.shape));
    case Condition::Kind::kMask:
      return condition.mask == ~std::uint64_t{0}
                 ? fmt::format("if `{}` is not 0", condition.words)
                 : fmt::format("if `{}` & {:#x}", condition.words, condition.mask);
    case Condition::Kind::kNotNull:
      return fmt::format("if `{}` is not all ones", condition.words);
    case Condition::Kind::kFunction:
      return fmt::format("if {}", condition.words);
  }
  return {};
}

/// How a heading is addressed where Markdown is shown.
std::string anchor_of(std::string_view heading) {
  std::string anchor;
  for (const char c : heading) {
    if (c == ' ') anchor += '-';
    if (c >= 'A' && c <= 'Z') anchor += static_cast<char>(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-') anchor += c;
  }
  return anchor;
}

/// A list of items that gets a table of its own.
struct Section {
  std::string title;
  std::span<const Item> items;
};

class Document {
 public:
  std::string make() {
    text_ = kIntroduction;
    std::string_view chunk;
    for (const Layout* layout : all_layouts()) {
      if (layout->chunk != chunk) text_ += fmt::format("\n## {}\n", layout->chunk);
      chunk = layout->chunk;
      add_layout(*layout);
    }
    text_ += "\n## Parts\n\nWhat several chunks have in common.\n";
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const Section part = parts_[i];
      text_ += fmt::format("\n### {}\n", part.title);
      add_tables(part.items);
    }
    return std::move(text_);
  }

 private:
  void add_layout(const Layout& layout) {
    text_ += fmt::format("\n### {}, {}\n\n", layout.chunk, layout.shape);
    const auto size = fixed_size(layout.items());
    text_ += fmt::format("Generations: {}. Size: {}.", layout.generations,
                         size ? fmt::format("{} bytes", *size) : "varies");
    if (!layout.remark.empty()) text_ += fmt::format(" {}", layout.remark);
    text_ += '\n';
    if (!layout.items().empty()) add_tables(layout.items());
  }

  /// The table of the items, then those of the records and conditional parts in it, depth first.
  void add_tables(std::span<const Item> items) {
    text_ += "\n| offset | size | type | field | remark |\n|---:|---:|---|---|---|\n";
    std::vector<Section> below;
    offset_ = 0;
    after_variable_ = false;
    add_rows(items, "", below);
    for (const Section& section : below) {
      text_ += fmt::format("\n{}:\n", section.title);
      add_tables(section.items);
    }
  }

  void add_rows(std::span<const Item> items, const std::string& prefix, std::vector<Section>& below) {
    for (const Item& item : items) {
      const std::string name = prefix + std::string(item.name);
      const bool is_always = item.condition.kind == Condition::Kind::kAlways;
      if (item.type != Type::kRecord) {
        add_field(item, name);
      } else if (item.name.empty() && !item.remark.empty()) {
        add_part(item);
      } else if (item.name.empty() && is_always) {
        add_rows(item.nested(), prefix, below);
      } else if (item.name.empty()) {
        const std::string condition = condition_in_words(item.condition);
        add_row(bytes_or_varies(fixed_size(item.nested())), "", "*table below*", condition);
        below.push_back({"I" + condition.substr(1), item.nested()});
        pass(std::nullopt);
      } else if (item.is_indexed || !is_always) {
        add_record(item, name, below);
      } else {
        if (!item.remark.empty()) {
          add_row(bytes_or_varies(fixed_size(item)), "record", fmt::format("`{}`", name), item.remark);
        }
        add_rows(item.nested(), name + ".", below);
      }
    }
  }

  void add_field(const Item& item, const std::string& name) {
    std::string type(to_string(item.type));
    const bool is_array = item.count.source != Count::Source::kFixed || item.count.fixed != 1;
    if (is_array && item.type != Type::kByte) type += fmt::format("[{}]", count_in_words(item.count));
    std::string remark = condition_in_words(item.condition);
    const auto add_remark = [&](std::string_view text) {
      if (text.empty()) return;
      if (!remark.empty()) remark += "; ";
      remark += text;
    };
    if (item.mark == Mark::kCompared) add_remark("*compared*");
    if (item.mark == Mark::kMeaningless) add_remark("*meaningless*");
    add_remark(item.remark);
    const bool is_computed = item.count.source == Count::Source::kFunction;
    const auto size = fixed_size(item);
    const auto if_there = item.count.source == Count::Source::kFixed
                              ? std::optional(item.count.fixed * size_of(item.type))
                              : std::nullopt;
    add_row(is_computed ? std::string(item.count.words) : bytes_or_varies(if_there), type,
            fmt::format("`{}`", name), remark);
    pass(size);
  }

  void add_record(const Item& item, const std::string& name, std::vector<Section>& below) {
    const auto each = fixed_size(item.nested());
    std::string shown = fmt::format("`{}`", name);
    std::string size = bytes_or_varies(each);
    if (item.is_indexed) {
      shown = fmt::format("`{}[i]`", name);
      size = fmt::format("{} x {}", count_in_words(item.count), each ? fmt::format("{}", *each) : "(varies)");
    }
    std::string title = shown;
    if (item.count.source == Count::Source::kFixed && item.is_indexed) {
      title += fmt::format(", i = {} to {}", item.first_index, item.first_index + item.count.fixed - 1);
    } else if (item.is_indexed) {
      title += fmt::format(", i from {} on", item.first_index);
    }
    std::string remark = condition_in_words(item.condition);
    if (!remark.empty()) title += fmt::format(", {}", remark);
    if (!remark.empty() && !item.remark.empty()) remark += "; ";
    remark += item.remark;
    if (item.is_per_vcpu) remark += "*meaningless* where the machine has no such vCPU";
    add_row(size, "record", shown, remark);
    below.push_back({title, item.nested()});
    pass(fixed_size(item));
  }

  void add_part(const Item& item) {
    add_row(bytes_or_varies(fixed_size(item.nested())), "",
            fmt::format("[{}](#{})", item.remark, anchor_of(item.remark)),
            condition_in_words(item.condition));
    const bool is_listed = std::any_of(parts_.begin(), parts_.end(),
                                       [&](const Section& part) { return part.items.data() == item.items; });
    if (!is_listed) parts_.push_back({std::string(item.remark), item.nested()});
    pass(fixed_size(item));
  }

  void add_row(std::string_view size, std::string_view type, std::string_view name, std::string_view remark) {
    text_ += fmt::format("| {}{} | {} | {} | {} | {} |\n", after_variable_ ? "+" : "", offset_, size, type,
                         name, remark);
  }

  /// Goes past an item; nothing is one whose size varies.
  void pass(std::optional<std::uint64_t> size) {
    offset_ = size ? offset_ + *size : 0;
    if (!size) after_variable_ = true;
  }

  std::string text_;
  std::vector<Section> parts_;  // in order of first mention
  std::uint64_t offset_ = 0;
  bool after_variable_ = false;
};

}  // namespace

std::string layouts_as_markdown() {
  return Document().make();
}

}  // namespace vmsnap::compat::bhyve
