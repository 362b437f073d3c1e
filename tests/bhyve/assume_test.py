#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""assume_test.py SNAPTOOL: what a person may take for granted of a legacy snapshot, axis by axis, in every command.

A set that cannot be read without an assumption is read with the right one, converted, and comes back byte for byte;
with a wrong one it is refused with a reason, and nothing is written.
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
SUFFIXES = ('', '.kern', '.meta')
DEVICES = 'blk,net,ahci,xhci'

# Axis and shape, the set, and whether it is read without as well.
NEEDED, CONFIRMED = False, True
READ = (
    ('generation=C', {'generation': 'C', 'hostile': 'chunk-long:vmcx'}, NEEDED),
    ('ncpus=3', {'generation': 'C', 'ncpus': 3, 'said': 2}, NEEDED),
    ('vm=A', {'generation': 'A', 'hostile': 'chunk-long:vm'}, NEEDED),
    ('vm=C', {'generation': 'C', 'hostile': 'chunk-long:vm'}, NEEDED),
    ('vm=A cpuset=32', {'generation': 'A2', 'ncpus': 16, 'mixed': 'small-cpuset'}, CONFIRMED),
    ('cpuset=24', {'generation': 'C', 'axes': {'cpuset': '24'}}, NEEDED),
    ('vmx=data', {'generation': 'A', 'hostile': 'chunk-long:vmx'}, NEEDED),
    ('vmx=data', {'generation': 'A', 'vendor': 'amd', 'hostile': 'chunk-long:vmx'}, NEEDED),
    ('vmx=filled', {'generation': 'B', 'mixed': 'resumable-13.2'}, CONFIRMED),
    ('vmcx=intel-920', {'generation': 'C', 'hostile': 'chunk-long:vmcx'}, NEEDED),
    ('vmcx=amd-772', {'generation': 'B', 'vendor': 'amd', 'hostile': 'chunk-long:vmcx'}, NEEDED),
    ('vendor=amd', {'generation': 'C', 'vendor': 'amd'}, CONFIRMED),
    ('vlapic=B', {'generation': 'C', 'hostile': 'chunk-long:vlapic'}, NEEDED),
    ('vlapic=A', {'generation': 'A', 'hostile': 'chunk-long:vlapic'}, NEEDED),
    ('prefix=A', {'generation': 'C', 'mixed': 'prefix-of-a', 'devices': DEVICES}, CONFIRMED),
    ('prefix=B', {'generation': 'C', 'devices': DEVICES}, CONFIRMED),
    ('rings=A', {'generation': 'A', 'devices': DEVICES}, CONFIRMED),
    ('rings=B', {'generation': 'C', 'devices': 'blk:rings=none,net'}, CONFIRMED),
    ('net-tail=A', {'generation': 'C', 'mixed': 'net-tail-of-a', 'devices': 'net'}, CONFIRMED),
    ('net-tail=B', {'generation': 'C', 'devices': 'net'}, CONFIRMED),
    ('ahci=A', {'generation': 'A', 'devices': 'ahci'}, CONFIRMED),
    ('ahci=B', {'generation': 'B', 'devices': 'ahci'}, CONFIRMED),
    ('xhci=A', {'generation': 'A', 'devices': 'xhci'}, CONFIRMED),
    ('xhci=B', {'generation': 'C', 'devices': 'xhci'}, CONFIRMED),
    ('uarts=2', {'generation': 'C', 'mixed': 'two-uarts'}, CONFIRMED),
)
# Wrong ones, and what the refusal says.
REFUSED = (
    ('generation=A', {'generation': 'C'}, 'chunk vmcx: it has 1840 bytes, too few'),
    ('ncpus=5', {'generation': 'C', 'ncpus': 2}, 'chunk vmcx: it has 1840 bytes'),
    ('vm=A', {'generation': 'C'}, 'chunk vm: it has 496 bytes'),
    ('cpuset=256', {'generation': 'C'}, 'chunk vm: it has 496 bytes'),
    ('vmx=data', {'generation': 'A', 'hostile': 'chunk-short:vmx'}, 'chunk vmx: it has 3583 bytes'),
    ('vmcx=amd-1028', {'generation': 'C'}, 'too few for the assumed vmcx=amd-1028'),
    ('vendor=amd', {'generation': 'C'}, 'are of intel-920, not of amd as assumed'),
    ('vlapic=A', {'generation': 'C'}, 'too few for the assumed vlapic=A'),
    ('prefix=A', {'generation': 'C', 'devices': DEVICES}, 'chunk hostbridge@pci.0.0.0: its 452 bytes'),
    ('rings=A', {'generation': 'B', 'devices': 'blk:rings=none'}, 'field queue[0].ring'),
    ('net-tail=B', {'generation': 'C', 'mixed': 'net-tail-of-a', 'devices': 'net'}, 'chunk virtio-net@pci.0.2.0'),
    ('ahci=B', {'generation': 'A', 'devices': 'ahci'}, 'chunk ahci: field port['),
    ('xhci=A', {'generation': 'C', 'devices': 'xhci'}, 'chunk xhci@pci.0.2.0'),
    ('uarts=4', {'generation': 'C', 'mixed': 'two-uarts'}, 'field uart[2].data'),
)
AXES = {'generation', 'vendor', 'ncpus', 'vm', 'cpuset', 'vmx', 'vmcx', 'vlapic', 'prefix', 'rings', 'net-tail', 'ahci',
        'xhci', 'uarts'}


def make(base: str, said: int = 0, **request: object) -> None:
    """`said` is the number of vCPUs in the .meta file, if not the true one."""
    draft = assemble.make(assemble.Request(**{'memsize': 8 << 20, **request}))
    if said:
        draft.meta_text = draft.meta_text.replace(b'"ncpus": %d' % request['ncpus'], b'"ncpus": %d' % said)
    assemble.save(draft, base)


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([SNAPTOOL, *arguments], capture_output=True, text=True, check=False, timeout=60)


def options(assumed: str) -> list[str]:
    return [word for one in assumed.split() for word in ('--assume', one)]


class Assumptions(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory(dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None)
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        self.base = os.path.join(self.folder, 'vm')
        self.snapshot = os.path.join(self.folder, 'snapshot')
        self.back = os.path.join(self.folder, 'back')

    def clear(self) -> None:
        for name in os.listdir(self.folder):
            os.unlink(os.path.join(self.folder, name))

    def axes(self, *extra: str) -> dict[str, dict]:
        done = run('info', '--json', *extra, self.base)
        self.assertEqual(done.returncode, 0, done.stderr)
        return {axis['axis']: axis for axis in json.loads(done.stdout)['axes']}

    def convert_and_back(self, *extra: str) -> str:
        """Gives the report."""
        done = run('convert', '--from', 'bhyve', *extra, self.base, self.snapshot)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(run('check', '--level', 'full', self.snapshot).returncode, 0)
        back = run('convert', '--to', 'bhyve', self.snapshot, self.back)
        self.assertEqual(back.returncode, 0, back.stderr)
        for suffix in SUFFIXES:
            self.assertEqual(pathlib.Path(self.base + suffix).read_bytes(),
                             pathlib.Path(self.back + suffix).read_bytes(), suffix)
        return done.stdout

    def test_there_is_a_case_for_each_axis(self) -> None:
        for cases in (READ, REFUSED):
            self.assertEqual({one.partition('=')[0] for case in cases for one in case[0].split()}, AXES)

    def test_a_right_assumption_reads_the_set_in_every_command(self) -> None:
        for assumed, request, without in READ:
            with self.subTest(assumed=assumed, **request):
                self.clear()
                make(self.base, **request)
                self.assertEqual(run('info', self.base).returncode, 0 if without else 5)
                self.assertEqual(run('convert', '--from', 'bhyve', '--dry-run', self.base).returncode,
                                 0 if without else 5)
                given = options(assumed)
                axes = self.axes(*given)
                for one in assumed.split():
                    name, _, shape = one.partition('=')
                    if name in axes:
                        self.assertEqual((axes[name]['shape'], axes[name]['certainty']), (shape, 'assumed'))
                shown = json.loads(run('show', '--json', *given, self.base).stdout)
                self.assertGreater(sum(len(chunk['fields']) for chunk in shown['chunks']), 300)
                self.assertIn(run('check', *given, self.base).returncode, (0, 3))
                self.convert_and_back(*given)

    def test_a_wrong_assumption_is_refused_in_every_command(self) -> None:
        for assumed, request, sentence in REFUSED:
            with self.subTest(assumed=assumed, **request):
                self.clear()
                make(self.base, **request)
                given = options(assumed)
                for command in (['info'], ['show'], ['check'], ['convert', '--from', 'bhyve']):
                    target = [self.snapshot] if command[0] == 'convert' else []
                    done = run(*command, *given, self.base, *target)
                    self.assertIn(done.returncode, (4, 5), command)
                    self.assertTrue(done.stderr.startswith(f'snaptool: {self.base}.kern: offset '), done.stderr)
                    self.assertIn(sentence, done.stderr)
                    self.assertEqual(done.stderr.count('\n'), 1)
                self.assertFalse(os.path.exists(self.snapshot))

    def make_filled(self, vendor: str, filler: bytes) -> None:
        """A set of 13.2 of which somebody has filled the empty vmx, so that it resumes."""
        self.clear()
        draft = assemble.make(assemble.Request('B', vendor, devices=DEVICES, memsize=8 << 20, mixed='resumable-13.2'))
        draft.chunk('vmx').data[:] = filler
        draft.kern = b''.join(bytes(chunk.data) for chunk in draft.all_chunks())
        for entry, offset, chunk in zip([*draft.meta.kernel, *draft.meta.devices], draft.offsets(), draft.all_chunks()):
            entry.update(size=len(chunk.data), file_offset=offset)
        draft.meta_text = draft.meta.text()
        assemble.save(draft, self.base)

    def check_registers(self) -> None:
        """Those of vmcx are in the converted file."""
        fields = json.loads(pathlib.Path(self.base + '.expected.json').read_text(encoding='ascii'))['fields']['vmcx']
        made = {path: value for path, _, _, _, value in fields}
        for register in ('rax', 'rdi', 'dr0', 'cr3'):
            shown = run('show', self.snapshot, 'cpu1.' + register).stdout.split()[-1]
            self.assertEqual(int(shown, 16), made['vcpu[1].' + register])

    def test_a_filled_vmx_beside_registers_in_vmcx_is_kept_and_not_looked_at(self) -> None:
        # As many bytes as the registers of generation A have are no registers, either.
        for vendor, fillers in (('intel', (8, 1, 3584)), ('amd', (8, 1, 50856))):
            for size in fillers:
                with self.subTest(vendor=vendor, size=size):
                    self.make_filled(vendor, b'\x5a' * size)
                    told = json.loads(run('info', '--json', self.base).stdout)
                    self.assertEqual(told['generations'], ['B'])
                    axes = {axis['axis']: axis for axis in told['axes']}
                    self.assertEqual((axes['vmx']['shape'], axes['vmx']['certainty']), ('filled', 'likely'))
                    self.assertEqual(axes['vmcx']['shape'], {'intel': 'intel-600', 'amd': 'amd-772'}[vendor])
                    self.assertEqual(run('show', self.base, 'vmcx.vcpu[1].rip').returncode, 0)
                    self.assertEqual(run('check', self.base).returncode, 0)
                    self.assertIn('vmx: it is kept as it is: the registers are in vmcx', self.convert_and_back())
                    self.check_registers()

    def test_who_takes_a_filler_for_registers_sees_them_but_does_not_get_them(self) -> None:
        self.make_filled('intel', b'\x5a' * 3584)
        given = options('vmx=data')
        self.assertEqual(self.axes(*given)['vmx']['certainty'], 'assumed')
        self.assertIn('5a5a5a5a', run('show', *given, self.base, 'vmx.vcpu[0].rax').stdout)
        self.assertIn('vmx: it is kept as it is: the registers are in vmcx', self.convert_and_back(*given))
        self.check_registers()

    def test_registers_that_are_in_no_chunk_are_not_made_up(self) -> None:
        """Generation A has half of them in vmx; a filler in its place, or nothing, is no guest."""
        for request, assumed in (({'mixed': 'resumable-13.2'}, 'vmx=filled'), ({'hostile': 'empty-chunk:vmx'}, ''),
                                 ({'hostile': 'kernel-missing:vmx'}, ''),
                                 ({'hostile': 'chunk-short:vmx'}, 'vmx=filled')):
            for vendor in ('intel', 'amd'):
                with self.subTest(vendor=vendor, **request):
                    self.clear()
                    make(self.base, generation='A', vendor=vendor, **request)
                    given = options(assumed)
                    if assumed:
                        self.assertEqual(run('info', self.base).returncode, 5)
                    self.assertEqual(self.axes(*given)['vmcx']['shape'],
                                     {'intel': 'intel-376', 'amd': 'amd-496'}[vendor])
                    self.assertEqual(run('show', *given, self.base, 'vmcx.vcpu[0].rip').returncode, 0)
                    check = run('check', *given, self.base)
                    self.assertEqual(check.returncode, 4)
                    self.assertIn('general registers and MSRs are not in vmcx of this shape', check.stdout)
                    done = run('convert', '--from', 'bhyve', *given, self.base, self.snapshot)
                    self.assertEqual(done.returncode, 5)
                    self.assertIn('there is no guest without them', done.stderr)
                    self.assertFalse(os.path.exists(self.snapshot))


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
