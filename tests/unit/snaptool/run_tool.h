// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <initializer_list>
#include <sstream>
#include <string>
#include <vector>

#include "snaptool.h"

namespace vmsnap::snaptool {

/// What a run of the program left behind.
struct ToolRun {
  int status = -1;
  std::string out;
  std::string err;

  [[nodiscard]] Json json() const { return Json::parse(out); }
};

/// Runs the program in this process; `arguments` without its name.
inline ToolRun run_tool(const std::vector<std::string>& arguments, const Watcher& watcher = {}) {
  std::vector<const char*> pointers = {"snaptool"};
  for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
  std::ostringstream out;
  std::ostringstream err;
  Output output(out, err, watcher);
  ToolRun run;
  run.status = snaptool_main(pointers, output);
  run.out = out.str();
  run.err = err.str();
  return run;
}

/// Of the memory in a file that is sound, as check prints it.
inline Json memory_digest(const std::string& path) {
  return run_tool({"check", "--json", path}).json()["memory_digest"];
}

}  // namespace vmsnap::snaptool
