# SPDX-License-Identifier: BSD-2-Clause
"""The tiny guest (tests/lab/tiny_guest): how to start it, and how to tell that it is well."""

import glob
import json
import os
import re

from vm import GuestFailure, require

GOLDEN = os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', '..', '..', 'compat', 'golden')
COUNT = re.compile(r'^count (\d+) sum=([0-9a-f]+)$')
PATTERN_WORDS = 4096
MASK = 0xffffffff


def sums():
    """What the guest prints as its sum at each number, from 1 on."""
    pattern = [i * 2654435761 & MASK for i in range(PATTERN_WORDS)]
    total = sum(word ^ i for i, word in enumerate(pattern)) & MASK
    number = 0
    while True:
        number += 1
        yield total
        at = number % PATTERN_WORDS
        total -= pattern[at] ^ at
        pattern[at] = (pattern[at] + number) & MASK
        total = (total + (pattern[at] ^ at)) & MASK


def start(machine, kernel, cpus, disks):
    return machine.boot(kernel, cpus, '32M', disks)


def counts(vm):
    """(number, sum) of each line so far; a complaint of the guest is a GuestFailure."""
    found = []
    for line, _ in list(vm.lines):
        if line is None:
            continue
        require(not line.startswith('bad '), f'the guest complained: {vm.tail()}')
        if match := COUNT.match(line):
            found.append((int(match.group(1)), int(match.group(2), 16)))
    return found


def require_goes_on(vm, last, more):
    """The guest counts on after `last`, `more` times, all its devices and memory as it left them. Returns the last."""
    try:
        vm.wait_for(rf'^(bad .*|count {last + more} sum=.*)$', timeout=120)
    except GuestFailure:
        counts(vm)
        raise
    found = counts(vm)
    numbers = [number for number, _ in found]
    require(numbers == list(range(last + 1, last + 1 + len(numbers))), f'a gap or a repeat after {last}: {numbers}')
    right = sums()
    expected = [next(right) for _ in range(numbers[-1])]
    require(all(total == expected[number - 1] for number, total in found), f'memory is not what it was:\n{vm.tail()}')
    return numbers[-1]


def goes_on_from_every_golden_file(machine):
    """Every snapshot that a release has left restores on these programs, and its guest finds nothing changed."""
    files = sorted(glob.glob(os.path.join(GOLDEN, '*.vmsnap')))
    require(len(files) >= 3, f'there are only {len(files)} golden files in {GOLDEN}')
    for path in files:
        with open(path.removesuffix('.vmsnap') + '.json', encoding='ascii') as file:
            record = json.load(file)
        slots = []
        for number in range(record['disks']):
            slots += ['--slot', f'disk{number}={machine.disk(f"golden-{number}.img", record["disk_mebibytes"])}']
        with machine.restore(path, *slots, line_so_far=record['line_so_far']) as vm:
            require_goes_on(vm, record['last_number'], 12)
            vm.ctl('quit')
            require(vm.wait_for_exit() == 0, f'{path}: snapvmm did not end well after quit:\n{vm.tail()}')
