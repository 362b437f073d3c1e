#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks and shows vmsnap files; written from docs/format.md alone, see the package vmsnap_reader."""

import sys

# The package lies in the source tree, which a test run leaves as it was.
sys.dont_write_bytecode = True

from vmsnap_reader.cli import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
