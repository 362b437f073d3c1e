// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <span>

#include "output.h"

namespace vmsnap::snaptool {

/// The whole program: `arguments` are those of main(), the program's name first. Returns the exit status
/// (base/exit_code.h). Touches nothing but the files named by the arguments, standard input and output where
/// these are named "-", and `output`.
[[nodiscard]] int snaptool_main(std::span<const char* const> arguments, Output& output);

}  // namespace vmsnap::snaptool
