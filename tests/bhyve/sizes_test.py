#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""sizes_test.py SNAPTOOL: the layouts have the sizes that real files of bhyve have, and those computed from its code.

The numbers stand here as they were published or computed by hand; the generator and the layouts have to meet in them.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from bhyve import assemble  # noqa: E402

SNAPTOOL = sys.argv[1]

# An excerpt of a .meta file that was published in a code review: Intel, chunks of generation A, two UARTs.
SAMPLE_DEVICES = 'lpc:at=0.1.0,net:at=0.2.0,blk:at=0.3.0,hostbridge:at=0.4.0,atkbdc'
SAMPLE = [('lpc', 520, 80418), ('virtio-net', 66180, 80938), ('virtio-blk', 8819, 147118), ('hostbridge', 436, 155937),
          ('atkbdc', 141, 156373)]

# All chunks of the kernel together, by generation, vendor and number of vCPUs.
KERNEL = {('A', 'intel', 1): 80418, ('A', 'intel', 2): 80418, ('A', 'intel', 4): 80418,
          ('A', 'amd', 1): 129610, ('A', 'amd', 2): 129610, ('A', 'amd', 4): 129610,
          ('B', 'intel', 1): 6091, ('B', 'intel', 2): 11044, ('B', 'intel', 4): 20950,
          ('B', 'amd', 1): 6263, ('B', 'amd', 2): 11388, ('B', 'amd', 4): 21638,
          ('C', 'intel', 1): 6507, ('C', 'intel', 2): 11780, ('C', 'intel', 4): 22326,
          ('C', 'amd', 1): 6615, ('C', 'amd', 2): 11996, ('C', 'amd', 4): 22758}
# Chunks of the kernel that are the same everywhere.
CONSTANT = {'vhpet': 284, 'vioapic': 388, 'vatpit': 172, 'vatpic': 118, 'vpmtmr': 4, 'vrtc': 140}
# Devices by emulation and options, in the generations A, B and C.
DEVICES = {('hostbridge', ''): (None, None, 452), ('lpc', ''): (604, 620, 620),
           ('virtio-blk', 'blk'): (8819, 8835, 8835), ('virtio-blk', 'blk:rings=none'): (None, 619, 619),
           ('virtio-net', 'net'): (66180, 66197, 66197), ('virtio-net', 'net:rings=none'): (None, 613, 613),
           ('virtio-rnd', 'rnd'): (8738, 8754, 8754), ('virtio-rnd', 'rnd:rings=none'): (None, 538, 538),
           ('e1000', 'e1000'): (2174, 2190, 2190), ('ahci', 'ahci'): (None, 1531, 1531),
           ('fbuf', 'fbuf'): (16777652, 16777668, 16777668), ('atkbdc', 'atkbdc'): (141, 141, 141)}


class Sizes(unittest.TestCase):
    def chunks(self, **request: object) -> list[dict]:
        """What `info` says, after `show` has told the fields of every chunk, from its first byte to its last."""
        with tempfile.TemporaryDirectory(dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None) as folder:
            base = os.path.join(folder, 'vm')
            assemble.save(assemble.make(assemble.Request(**{'memsize': 8 << 20, **request})), base)
            told = []
            for command in ('info', 'show'):
                run = subprocess.run([SNAPTOOL, command, '--json', base], capture_output=True, check=True, timeout=60)
                told.append(json.loads(run.stdout)['chunks'])
            for chunk in told[1]:
                end = 0
                for field in chunk['fields']:
                    self.assertEqual(int(field['offset']), end, (chunk['name'], field['path']))
                    end += int(field['size'])
                self.assertEqual(end, int(chunk['size']), chunk['name'])
            for chunk in told[0]:
                self.assertEqual(chunk['trailing'], '0', chunk)
                self.assertEqual(chunk['layout'] is None, chunk['size'] == '0', chunk)
            return told[0]

    def test_the_published_sample_has_its_sizes_and_offsets(self) -> None:
        chunks = self.chunks(generation='A', mixed='review', devices=SAMPLE_DEVICES)
        devices = [(chunk['name'].partition('-pci-')[0], int(chunk['size']), int(chunk['offset']))
                   for chunk in chunks[-len(SAMPLE):]]
        self.assertEqual(devices, SAMPLE)
        self.assertEqual(sum(int(chunk['size']) for chunk in chunks[:-len(SAMPLE)]), SAMPLE[0][2])

    def test_the_chunks_of_the_kernel_have_the_computed_sizes(self) -> None:
        for (generation, vendor, ncpus), total in KERNEL.items():
            with self.subTest(generation=generation, vendor=vendor, ncpus=ncpus):
                chunks = self.chunks(generation=generation, vendor=vendor, ncpus=ncpus)
                names = [chunk['name'] for chunk in chunks]
                kernel = chunks[:names.index('vrtc') + 1]
                self.assertEqual(sum(int(chunk['size']) for chunk in kernel), total)
                sizes = {chunk['name']: int(chunk['size']) for chunk in kernel}
                self.assertEqual({name: sizes[name] for name in CONSTANT}, CONSTANT)

    def test_devices_have_the_computed_sizes(self) -> None:
        compared = 0
        for (emulation, devices), sizes in DEVICES.items():
            for generation, size in zip('ABC', sizes):
                if size is None:
                    continue
                with self.subTest(generation=generation, devices=devices):
                    chunks = self.chunks(generation=generation, devices=devices)
                    found = [int(chunk['size']) for chunk in chunks if chunk['name'].partition('@')[0] == emulation]
                    self.assertEqual(found, [size])
                    compared += 1
        self.assertEqual(compared, 30)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
