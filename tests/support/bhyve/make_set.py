#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes a legacy bhyve snapshot with known values: OUTBASE, OUTBASE.kern, OUTBASE.meta and OUTBASE.expected.json."""

import argparse
import pathlib
import sys

# The package lies in the source tree, which a test run leaves as it was.
sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from bhyve import assemble, hostile, shapes  # noqa: E402

UNITS = {'K': 10, 'M': 20, 'G': 30}


def size(text: str) -> int:
    return int(text[:-1]) << UNITS[text[-1]] if text[-1:] in UNITS else int(text)


def listing() -> str:
    """All that can be asked for."""
    lines = ['generations: ' + ' '.join(shapes.GENERATIONS), 'vendors: ' + ' '.join(shapes.VENDORS),
             'devices: ' + ' '.join([*assemble.MAKERS, *assemble.ALIASES]),
             'device options: ' + ' '.join(sorted(assemble.OPTIONS)),
             'axes: ' + ' '.join(name for name in shapes.Shape.__dataclass_fields__ if name != 'generation'),
             'mixed forms: ' + ' '.join(shapes.MIXED), 'hostile variants:']
    lines += [f'  {name:<28}{one.outcome:<9}{one.why}' for name, one in hostile.VARIANTS.items()]
    return '\n'.join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('base', nargs='?', metavar='OUTBASE')
    parser.add_argument('--generation', default='C', choices=shapes.GENERATIONS)
    parser.add_argument('--vendor', default='intel', choices=shapes.VENDORS)
    parser.add_argument('--ncpus', type=int, default=2)
    parser.add_argument('--devices', default='', help='such as blk,net:rings=half:msix=off,ahci:ports=3')
    parser.add_argument('--ram', type=size, default=64 << 20, metavar='SIZE', help='such as 64M or 5G; sparse')
    parser.add_argument('--memflags', type=int, default=0)
    parser.add_argument('--vmname', default='vm0')
    parser.add_argument('--seed', default='0', help='zeros, ones and top give corner values')
    parser.add_argument('--axis', action='append', default=[], metavar='NAME=VALUE', help='makes a mixed form')
    parser.add_argument('--mixed', default='', choices=shapes.MIXED, metavar='NAME')
    parser.add_argument('--hostile', default='', metavar='NAME[:ARGUMENT]')
    parser.add_argument('--list', action='store_true', help='shows all names, makes nothing')
    options = parser.parse_args(arguments)
    if options.list:
        print(listing())
        return 0
    if options.base is None:
        parser.error('OUTBASE is missing')
    try:
        draft = assemble.make(assemble.Request(
            options.generation, options.vendor, options.ncpus, options.devices, options.ram, options.memflags,
            options.seed, options.vmname, dict(one.partition('=')[::2] for one in options.axis), options.mixed,
            options.hostile))
    except ValueError as error:
        print(f'make_set.py: {error}', file=sys.stderr)
        return 2
    assemble.save(draft, options.base)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
