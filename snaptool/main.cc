// SPDX-License-Identifier: BSD-2-Clause
#include <cstddef>
#include <iostream>

#include "snaptool.h"

int main(int argc, char** argv) {
  vmsnap::snaptool::Output output(std::cout, std::cerr);
  return vmsnap::snaptool::snaptool_main({argv, static_cast<std::size_t>(argc)}, output);
}
