// SPDX-License-Identifier: BSD-2-Clause
// The commands on a snapshot that bhyve(8) wrote: three files instead of one.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

#include "base/exit_code.h"
#include "bhyve/verdict/verdict.h"
#include "output.h"

namespace vmsnap::snaptool::legacy {

struct LegacyOptions {
  std::string file;  // BASE, BASE.kern or BASE.meta
  bool json = false;
  std::vector<std::string> assume;
};

/// Adds --assume to a command.
void add_assume_option(CLI::App& command, std::vector<std::string>& assume);

/// Refuses --assume for what is no legacy set. Errors: Usage.
[[nodiscard]] Result<void> refuse_assume(const std::vector<std::string>& assume);

/// Each is a command for which is_legacy_set() has been found true.
[[nodiscard]] ExitCode info(const LegacyOptions& options, Output& output);
[[nodiscard]] ExitCode check(const LegacyOptions& options, Output& output);
[[nodiscard]] ExitCode ls(const LegacyOptions& options, Output& output);
/// `what` is CHUNK or CHUNK.FIELD; empty is everything.
[[nodiscard]] ExitCode show(const LegacyOptions& options, const std::string& what, Output& output);

/// What was found about an entry: "vmcx, Intel C" as {chunk, shape}; shared by the commands' JSON.
[[nodiscard]] Json to_json(const compat::bhyve::ClassifiedEntry& one);

}  // namespace vmsnap::snaptool::legacy
