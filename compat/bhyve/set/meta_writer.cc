// SPDX-License-Identifier: BSD-2-Clause
// The text as libxo writes it, pretty-printed.
#include <fmt/format.h>

#include <iterator>

#include "bhyve/set/meta.h"
#include "bhyve/set/shown.h"

namespace vmsnap::compat::bhyve {
namespace {

Error refused(std::string sentence) {
  return {ErrorKind::kInvalidState, std::move(sentence)};
}

Result<void> check_text(std::string_view text) {
  if (text.find('\0') != std::string_view::npos)
    return refused(fmt::format("the name {} has a NUL in it, which a .meta file cannot say", shown(text)));
  return {};
}

Result<void> check_entry(const MetaEntry& entry) {
  VMSNAP_RETURN_IF_ERROR(check_text(entry.name));
  if (entry.debug_name) VMSNAP_RETURN_IF_ERROR(check_text(*entry.debug_name));
  if (!entry.request) return {};
  if (entry.form == EntryForm::kDevice) {
    return refused(fmt::format("the chunk {} has the number {}, but \"device\" is a name", label_of(entry),
                               *entry.request));
  }
  if (!entry.name.empty()) {
    return refused(
        fmt::format("the chunk {} has the number {} and a name, but \"snapshot_req\" is one of them",
                    shown(entry.name), *entry.request));
  }
  return {};
}

class Writer {
 public:
  void open(std::string_view key, char bracket) {
    next();
    if (!key.empty()) append_quoted(key), out_ += ": ";
    out_ += bracket;
    out_ += '\n';
    indent_ += 2;
    first_ = true;
  }

  void close(char bracket) {
    if (!first_) out_ += '\n';
    indent_ -= 2;
    out_.append(indent_, ' ');
    out_ += bracket;
    first_ = false;
  }

  void text(std::string_view key, std::string_view value) {
    begin(key);
    append_quoted(value);
  }

  void number(std::string_view key, std::uint64_t value) {
    begin(key);
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }

  [[nodiscard]] std::string finish() && {
    out_ += '\n';
    return std::move(out_);
  }

 private:
  void next() {
    if (!first_) out_ += ",\n";
    out_.append(indent_, ' ');
    first_ = false;
  }

  void begin(std::string_view key) {
    next();
    append_quoted(key);
    out_ += ": ";
  }

  // libxo escapes these four and nothing else.
  void append_quoted(std::string_view value) {
    out_ += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') out_ += '\\';
      if (c == '\n') {
        out_ += "\\n";
      } else if (c == '\r') {
        out_ += "\\r";
      } else {
        out_ += c;
      }
    }
    out_ += '"';
  }

  std::string out_;
  std::size_t indent_ = 0;
  bool first_ = true;
};

void write_entries(Writer& writer, std::string_view key, const std::vector<MetaEntry>& entries) {
  writer.open(key, '[');
  for (const MetaEntry& entry : entries) {
    writer.open("", '{');
    if (entry.debug_name) writer.text("debug_name", *entry.debug_name);
    if (entry.request) {
      writer.number(to_string(entry.form), *entry.request);
    } else {
      writer.text(to_string(entry.form), entry.name);
    }
    writer.number("size", entry.size);
    writer.number("file_offset", entry.file_offset);
    writer.close('}');
  }
  writer.close(']');
}

}  // namespace

Result<std::string> write_meta(const Meta& meta) {
  if (meta.kernel.size() > kMaxMetaEntries || meta.devices.size() > kMaxMetaEntries - meta.kernel.size())
    return refused(fmt::format("there are more than {} chunks", kMaxMetaEntries));
  for (const auto* entries : {&meta.kernel, &meta.devices}) {
    for (const MetaEntry& entry : *entries) VMSNAP_RETURN_IF_ERROR(check_entry(entry));
  }
  if (meta.vmname) VMSNAP_RETURN_IF_ERROR(check_text(*meta.vmname));

  Writer writer;
  writer.open("", '{');
  writer.open("basic metadata", '{');
  writer.number("ncpus", meta.ncpus);
  if (meta.vmname) writer.text("vmname", *meta.vmname);
  writer.number("memsize", meta.memsize);
  if (meta.memflags) writer.number("memflags", *meta.memflags);
  writer.close('}');
  write_entries(writer, to_string(meta.kernel_key), meta.kernel);
  write_entries(writer, to_string(meta.devices_key), meta.devices);
  writer.close('}');
  std::string text = std::move(writer).finish();
  if (text.size() > kMaxMetaTextSize)
    return refused(
        fmt::format("its text has {} bytes, more than {}; shorten its names", text.size(), kMaxMetaTextSize));
  return text;
}

}  // namespace vmsnap::compat::bhyve
