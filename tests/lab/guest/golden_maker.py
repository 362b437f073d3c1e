#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes golden snapshots of the tiny guest on the machine it is started on (compat/golden/make runs it in the lab)."""

import argparse
import json
import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import tiny  # noqa: E402
from vm import Machine, require  # noqa: E402

DISK_MEBIBYTES = 1
# name: (virtual CPUs, disks)
SETS = {'one-cpu': (1, 0), 'two-cpus-disk': (2, 1), 'two-disks': (1, 2)}


def make(machine, kernel, level, name, out):
    cpus, disk_count = SETS[name]
    disks = [machine.disk(f'{name}-{number}.img', DISK_MEBIBYTES) for number in range(disk_count)]
    base = os.path.join(out, f'level{level}-{name}')
    with tiny.start(machine, kernel, cpus, disks) as vm:
        last = tiny.require_goes_on(vm, 0, 20)
        vm.ctl('suspend', f'{base}.vmsnap', '--compress', 'lz4')
        require(vm.wait_for_exit() == 0, f'suspend failed:\n{vm.tail()}')
        last = tiny.counts(vm)[-1][0]
        record = {'cpus': cpus, 'disks': disk_count, 'disk_mebibytes': DISK_MEBIBYTES, 'last_number': last,
                  'line_so_far': vm.line_so_far()}
    with open(f'{base}.json', 'w', encoding='ascii') as file:
        json.dump(record, file, indent=2)
        file.write('\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--programs', required=True)
    parser.add_argument('--tiny', required=True)
    parser.add_argument('--out', required=True)
    parser.add_argument('level', type=int)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        machine = Machine(arguments.programs, None, None, None, scratch, 'baseline', sys.stderr)
        for name in SETS:
            make(machine, arguments.tiny, arguments.level, name, arguments.out)


if __name__ == '__main__':
    main()
