#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""layouts_and_generator_test.py LIST_FIELDS MAKE_SET: the layouts find every field of the sets that the generator
makes where the generator put it. The two were written independently of each other."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

LIST_FIELDS, MAKE_SET = sys.argv[1:3]
DEVICES = {
    'A': ['blk,net,rnd,e1000,ahci:ports=3:inflight=2,xhci:tablet=on,fbuf,atkbdc', 'xhci:tablet=off,ahci-hd,blk:msix=off'],
    'B': ['blk,net:rings=half,rnd:rings=none,e1000,ahci:ports=3,xhci:tablet=on,atkbdc', 'xhci:context=off,ahci-cd'],
}
TYPES = {'gaddr or null': 'gaddr_or_null', 'host pointer': 'host_pointer'}


def shape_of(chunk: str, axes: dict, vendor: str) -> str:
    vendor = {'intel': 'Intel', 'amd': 'AMD'}[vendor]
    if chunk == 'vmx':
        return f'{vendor} A' if axes['vmx'] == 'data' else 'B'
    if chunk == 'vmcx':
        return 'Intel 856' if axes['vmcx'] == 'B+mtrr' else f'{vendor} {axes["vmcx"]}'
    return axes.get(chunk, 'A') if chunk in ('vm', 'vlapic') else 'A'


def letters_of(axes: dict) -> str:
    of_a = (axes['pci_prefix'] == 436, axes['ring_rule'] == 'always', axes['net_tail'] == 40, axes['ahci'] == 'A',
            axes['xhci'] == 'A')
    return ''.join('A' if is_a else 'B' for is_a in of_a)


class Listed:
    """A field as the layout has it."""

    def __init__(self, line: str) -> None:
        self.path, kind, offset, size, self.mark = line.split('\t')
        self.type = TYPES.get(kind, kind)
        self.offset, self.size = int(offset), int(size)


class LayoutsAndGenerator(unittest.TestCase):
    def check(self, vendor: str, ncpus: int, devices: str, *form: str) -> int:
        with tempfile.TemporaryDirectory() as folder:
            base = os.path.join(folder, 'vm')
            subprocess.run([sys.executable, MAKE_SET, base, *form, '--vendor', vendor, '--ncpus', str(ncpus),
                            '--ram', '64M', '--devices', devices], check=True, stdout=subprocess.DEVNULL)
            with open(base + '.expected.json', encoding='utf-8') as file:
                expected = json.load(file)
            axes = expected['verdict']['axes']
            requests, keys = [], []
            for chunk in expected['chunks']:
                if chunk['size'] == 0 and not chunk['kernel']:
                    continue
                name = re.sub(r'(@pci\.|-pci-)[0-9.-]+$', '', chunk['name'])
                shape = 'by axes' if not chunk['kernel'] and name != 'atkbdc' else shape_of(
                    name, axes, vendor)
                requests.append(f'{name}/{shape}\t{chunk["offset"]} {chunk["size"]} {ncpus} {letters_of(axes)}\n')
                keys.append(chunk['name'])
            told = subprocess.run([LIST_FIELDS, base + '.kern'], input=''.join(requests), check=True, text=True,
                                  stdout=subprocess.PIPE).stdout
            lists = re.split(r'^\.\n', told, flags=re.MULTILINE)[:-1]
            self.assertEqual(len(lists), len(keys))
            return sum(self.compare(expected, key, [Listed(line) for line in text.splitlines()])
                       for key, text in zip(keys, lists))

    def compare(self, expected: dict, key: str, listed: list) -> int:
        fields = {field.path: field for field in listed}
        compared = set(expected['compare_only'].get(key, []))
        meaningless = set(expected['meaningless'].get(key, []))
        covered = 0
        for path, kind, offset, size, _ in expected['fields'].get(key, []):
            with self.subTest(chunk=key, path=path):
                self.assertEqual(offset, covered)
                covered += size
                field = fields.get(path)
                if field is None:  # an element of an array, or a structure that the layout takes apart
                    array = re.fullmatch(r'(.*)\[(\d+)\]', path)
                    field = array and fields.get(array[1])
                    if field:
                        self.assertEqual(offset, field.offset + size * int(array[2]))
                        self.assertLessEqual(offset + size, field.offset + field.size)
                    else:
                        parts = [part for part in listed if part.path.startswith(path + '.')]
                        self.assertTrue(parts, 'the layout has no such field')
                        self.assertEqual(offset, parts[0].offset)
                        self.assertEqual(size, sum(part.size for part in parts))
                        continue
                else:
                    self.assertEqual((offset, size), (field.offset, field.size))
                if kind != 'bytes' and field.type != 'bytes':
                    self.assertEqual(kind, field.type)
                if not path.startswith('device['):  # xhci: compared, but not by the means the others are
                    self.assertEqual(path in compared, field.mark == 'c')
                self.assertEqual(path in meaningless, field.mark == 'm')
        self.assertEqual(covered, sum(field.size for field in listed), key)
        return len(listed)

    def test_every_field_is_where_the_generator_put_it(self) -> None:
        for generation in ('A', 'A2', 'B', 'C0', 'C'):
            for vendor in ('intel', 'amd'):
                for ncpus, devices in zip((1, 4), DEVICES['A' if generation.startswith('A') else 'B']):
                    with self.subTest(generation=generation, vendor=vendor, ncpus=ncpus):
                        self.assertGreater(self.check(vendor, ncpus, devices, '--generation', generation), 1000)

    def test_mixed_forms_are_the_shapes_of_their_axes(self) -> None:
        for mixed in ('review', 'two-uarts', 'mtrr-without-pir', 'small-cpuset', 'net-tail-of-a', 'prefix-of-a'):
            for generation in ('B', 'C'):
                with self.subTest(mixed=mixed, generation=generation):
                    self.assertGreater(self.check('intel', 2, 'blk,net,rnd,e1000,ahci,xhci', '--generation', generation,
                                                  '--mixed', mixed), 1000)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
