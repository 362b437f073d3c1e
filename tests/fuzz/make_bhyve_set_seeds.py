#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes seeds for bhyve_set_fuzz: sets of every generation and vendor, each in one file.

usage: make_bhyve_set_seeds.py DIRECTORY
"""

import pathlib
import struct
import subprocess
import sys
import tempfile

MAKE_SET = pathlib.Path(__file__).parent.parent / "support" / "bhyve" / "make_set.py"
GENERATIONS = ("A", "B", "C0", "C")
VENDORS = ("intel", "amd")
# Where a bhyve could do so, without the memory of rings, which is long and opaque.
DEVICES = ("atkbdc", "blk:rings=none", "net:rings=none", "rnd:rings=none", "e1000:rings=none", "ahci", "xhci")
DEVICES_OF_A = ("atkbdc", "blk", "e1000", "ahci", "xhci")


def main():
    folder = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as temporary:
        base = pathlib.Path(temporary) / "vm"
        for generation in GENERATIONS:
            for vendor in VENDORS:
                devices = DEVICES_OF_A if generation == "A" else DEVICES
                chosen = devices if vendor == "intel" else devices[:2]
                command = [sys.executable, MAKE_SET, base, "--generation", generation, "--vendor", vendor,
                           "--ncpus", "1", "--ram", "4M", "--devices", ",".join(chosen)]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                meta = base.with_suffix(".meta").read_bytes()
                kern = base.with_suffix(".kern").read_bytes()
                (folder / f"{generation}-{vendor}").write_bytes(struct.pack("<I", len(meta)) + meta + kern)


if __name__ == "__main__":
    main()
