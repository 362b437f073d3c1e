// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <vector>

#include "reflect/walker.h"

namespace vmsnap::reflect {

/// Writes down the events of a walk, one short line each.
class Recorder : public Visitor {
 public:
  void begin_object(const Object& object) override { lines.push_back("{ " + object.name); }
  void end_object(const Object&, std::uint32_t unknown) override {
    lines.push_back(unknown == 0 ? "}" : "} +" + std::to_string(unknown));
  }
  void field(const Field& field, Presence presence) override {
    static constexpr const char* kWords[] = {"", " default", " null"};
    lines.push_back(field.name + ":" + kWords[static_cast<int>(presence)]);
  }
  void scalar(const Field&, Scalar value) override { lines.push_back(std::to_string(value.as_signed())); }
  void string(const Field&, std::string_view text) override {
    lines.push_back("\"" + std::string(text) + "\"");
  }
  void scalars(const Field&, const ScalarRun& run) override {
    std::string line = "(";
    for (std::uint32_t i = 0; i < run.count; ++i)
      line += (i == 0 ? "" : " ") + std::to_string(run.at(i).as_signed());
    lines.push_back(line + ")");
  }
  void begin_list(const Field&, std::uint32_t count) override {
    lines.push_back("[ " + std::to_string(count));
  }
  void end_list(const Field&) override { lines.push_back("]"); }
  void null(const Field&) override { lines.push_back("null"); }
  void unknown_member(const Field&, std::uint8_t discriminator) override {
    lines.push_back("member " + std::to_string(discriminator) + "?");
  }
  [[nodiscard]] bool done() const override { return lines.size() >= stop_after; }

  std::vector<std::string> lines;
  std::size_t stop_after = ~std::size_t{0};
};

}  // namespace vmsnap::reflect
