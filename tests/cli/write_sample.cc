// SPDX-License-Identifier: BSD-2-Clause
// Writes the snapshot that the cases look at; see run_case.py.
#include <cstdio>

#include "sample_snapshot.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: write_sample FILE\n", stderr);
    return 2;
  }
  vmsnap::write_sample(argv[1]);
}
