#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""classify_test.py SNAPTOOL: snaptool says of every set that the generator makes what the generator meant it to be."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from bhyve import assemble, hostile, shapes  # noqa: E402

SNAPTOOL = sys.argv[1]
GENERATIONS = ('A', 'A2', 'B', 'C0', 'C')
VENDORS = ('intel', 'amd')
# What a guest may have; generation A cannot save rings that are not set up.
DEVICES = ('', 'blk', 'net', 'rnd', 'e1000', 'ahci', 'ahci:ports=3', 'xhci', 'xhci:tablet=off', 'atkbdc',
           'blk:msix=off,net,rnd,e1000,ahci,xhci,atkbdc')
NOT_SET_UP = ('blk:rings=none', 'net:rings=half', 'net:rings=none,rnd:rings=none')


class Set:
    """A generated set, what it was meant to be, and what snaptool says."""

    def __init__(self, folder: str, **request: object) -> None:
        self.base = os.path.join(folder, 'vm')
        request.setdefault('memsize', 8 << 20)
        assemble.save(assemble.make(assemble.Request(**request)), self.base)
        with open(self.base + '.expected.json', encoding='ascii') as file:
            self.expected = json.load(file)

    def tool(self, command: str, *options: str) -> tuple[int, dict]:
        run = subprocess.run([SNAPTOOL, command, '--json', *options, self.base], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, check=False, timeout=60)
        return run.returncode, json.loads(run.stdout) if run.stdout else {}


def meant(axis: str, value: object, vendor: str, vmcx_sizes: dict) -> str:
    """The generator's word for a shape, in those of snaptool."""
    if axis == 'vmcx':
        return f'{vendor}-{vmcx_sizes[str(value)]}'
    if axis == 'vm':
        return 'C' if value == 'other' else str(value)
    by_word = {436: 'A', 452: 'B', 'always': 'A', 'if_allocated': 'B', 40: 'A', 41: 'B'}
    if axis in ('pci_prefix', 'ring_rule', 'net_tail'):
        return by_word[value]
    return str(value)


# Registers that are neither in vmx nor in vmcx.
CONTRADICTIONS = {('resumable-13.2', 'A')}
NAMES = {'pci_prefix': 'prefix', 'ring_rule': 'rings', 'net_tail': 'net-tail'}
VMCX = {'intel': {'A': 376, 'B': 600, 'C0': 664, 'B+mtrr': 856, 'C': 920},
        'amd': {'A': 496, 'B': 772, 'C0': 772, 'C': 1028}}

# Where snaptool is stricter than the generator thought, or knows better, and why.
OUTCOMES = {
    ('A', 'overlap'): 'refuse',  # which of the two the bytes belong to is not certain
    ('C', 'overlap'): 'refuse',
    ('A', 'queue-odd'): 'refuse',  # the queue of virtio-net has 1024 entries: nothing after its ring is in place
    ('A', 'name-unknown'): 'read',  # the last device is one that the guest does not have
    ('A', 'device-missing'): 'read',
}
# More than the limits allow, without taking long to make.
ENOUGH = {'meta-huge': ':5000000', 'meta-huge-string': ':5000000', 'meta-deep': ':100000'}
REFUSED = {1, 4, 5}


def findings_of(told: dict) -> list[tuple]:
    """What tells one finding from another, notes left out."""
    return [(one['code'], one['entry'], one['field']) for one in told.get('findings', []) if one['severity'] != 'note']


class Check(unittest.TestCase):
    def outcome(self, one: Set, before: list[tuple]) -> tuple[str, str]:
        status, told = one.tool('check')
        self.assertIn(status, (0, 3, *REFUSED))
        text = json.dumps(told)[:400]
        if status in REFUSED:
            # A refusal says what and where.
            errors = [one for one in told.get('findings', []) if one['severity'] == 'error']
            self.assertTrue(errors or told['error']['file'], text)
            return 'refuse', text
        noted = any(finding['code'] == 'unknown-key' for finding in told['findings'])
        return ('finding' if findings_of(told) != before or noted else 'read'), text

    def test_hostile_sets_are_read_told_about_or_refused(self) -> None:
        counts = {'read': 0, 'finding': 0, 'refuse': 0}
        for generation, devices in (('A', 'net,blk,ahci:inflight=2,xhci'), ('C', 'blk,net,ahci,xhci')):
            with tempfile.TemporaryDirectory() as folder:
                before = findings_of(Set(folder, generation=generation, devices=devices).tool('check')[1])
            self.assertEqual(before, [])
            for name in hostile.VARIANTS:
                with self.subTest(generation=generation, hostile=name), tempfile.TemporaryDirectory() as folder:
                    try:
                        one = Set(folder, generation=generation, devices=devices,
                                  hostile=name + ENOUGH.get(name, ''))
                    except ValueError:  # not for this generation
                        continue
                    wanted = OUTCOMES.get((generation, name), one.expected['verdict']['outcome'])
                    outcome, text = self.outcome(one, before)
                    self.assertEqual(outcome, wanted, text)
                    counts[outcome] += 1
        print(f'{counts} of hostile sets')
        self.assertGreater(sum(counts.values()), 140)
        self.assertTrue(all(counts.values()))

    def test_nothing_is_found_in_what_bhyve_writes(self) -> None:
        for generation in GENERATIONS:
            for vendor in VENDORS:
                with self.subTest(generation=generation, vendor=vendor), tempfile.TemporaryDirectory() as folder:
                    one = Set(folder, generation=generation, vendor=vendor, ncpus=4, memsize=5 << 30,
                              devices='blk,net,rnd,e1000,ahci:ports=2,xhci,atkbdc')
                    status, told = one.tool('check')
                    expected = ['empty-vmx'] if generation == 'B' else []
                    self.assertEqual([finding[0] for finding in findings_of(told)], expected)
                    self.assertEqual(status, 3 if expected else 0)


class Show(unittest.TestCase):
    def test_values_are_those_that_were_made(self) -> None:
        compared = 0
        for generation, vendor in (('A', 'amd'), ('B', 'intel'), ('C', 'intel'), ('C', 'amd')):
            with self.subTest(generation=generation, vendor=vendor), tempfile.TemporaryDirectory() as folder:
                one = Set(folder, generation=generation, vendor=vendor, devices='blk,net,e1000,ahci,xhci,atkbdc')
                status, told = one.tool('show')
                self.assertEqual(status, 0)
                for chunk in told['chunks']:
                    fields = {field['path']: field for field in chunk['fields']}
                    made = next(made for made in one.expected['chunks'] if made['offset'] == int(chunk['offset']) and
                                made['size'] == int(chunk['size']))
                    for path, _, offset, size, value in one.expected['fields'][made['name']]:
                        field = fields.get(path)
                        # Where the two name arrays and structures differently, offsets are compared elsewhere.
                        if field is None or isinstance(value, dict) or isinstance(field['value'], list):
                            continue
                        self.assertEqual((field['offset'], field['size']), (str(offset), str(size)), path)
                        told_value = field['value']
                        if isinstance(value, int) and isinstance(told_value, str):
                            told_value = int(told_value)
                        if isinstance(value, bool):
                            value = int(value)
                        self.assertEqual(told_value, value, (chunk['name'], path))
                        compared += 1
        print(f'{compared} values compared')
        self.assertGreater(compared, 4000)

    def test_one_field_or_what_there_is(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            one = Set(folder, generation='C', devices='blk')
            for what, status in (('vmcx.vcpu[1].rip', 0), ('virtio-blk@pci.0.2.0.queue[0].ring', 0), ('vm', 0),
                                 ('vmcx.rip', 2), ('vmxc', 2), ('virtio-blk.', 0)):
                with self.subTest(what=what):
                    run = subprocess.run([SNAPTOOL, 'show', one.base, what], capture_output=True, check=False)
                    self.assertEqual(run.returncode, status, run.stderr)
            self.assertEqual(one.tool('ls')[1]['chunks'], one.tool('info')[1]['chunks'])


class Classify(unittest.TestCase):
    def check(self, folder: str, **request: object) -> dict:
        one = Set(folder, **request)
        verdict = one.expected['verdict']
        status, told = one.tool('info')
        self.assertEqual(status, 0, told.get('error'))
        self.assertEqual(told['vendor'], verdict['vendor'])
        self.assertEqual(told['generations'], verdict['alike'])
        axes = {axis['axis']: axis for axis in told['axes']}
        for name, value in verdict['axes'].items():
            axis = axes[NAMES.get(name, name)]
            with self.subTest(axis=name, evidence=axis['evidence']):
                if value is None:
                    self.assertIn(axis['certainty'], ('unknown', 'certain') if name == 'cpuset' else ('unknown',))
                    continue
                if axis['certainty'] == 'guessed' and request.get('mixed'):
                    continue  # both shapes read the same, and its neighbours mislead
                self.assertEqual(axis['shape'], meant(name, value, verdict['vendor'], VMCX[verdict['vendor']]))
                self.assertIn(axis['certainty'], ('guessed', 'likely', 'certain'))
        # Every chunk can be read to its last byte.
        for chunk, made in zip(told['chunks'], one.expected['chunks']):
            self.assertEqual((int(chunk['offset']), int(chunk['size'])), (made['offset'], made['size']))
            self.assertEqual(chunk['layout'] is None, made['size'] == 0 or axes['vmx']['shape'] == 'filled' and
                             made['key'] == 'vmx', chunk)
            self.assertEqual(chunk['trailing'], '0', chunk)
        return told

    def test_every_generation_with_every_device(self) -> None:
        count = 0
        for generation in GENERATIONS:
            wanted = DEVICES + (() if generation.startswith('A') else NOT_SET_UP)
            for vendor in VENDORS:
                for number, devices in enumerate(wanted):
                    ncpus = (1, 2, 3, 4, 16)[number % 5]
                    with self.subTest(generation=generation, vendor=vendor, devices=devices, ncpus=ncpus), \
                            tempfile.TemporaryDirectory() as folder:
                        self.check(folder, generation=generation, vendor=vendor, ncpus=ncpus, devices=devices)
                        count += 1
        print(f'{count} sets of one generation')
        self.assertEqual(count, 2 * (5 * len(DEVICES) + 3 * len(NOT_SET_UP)))

    def test_large_ones(self) -> None:
        count = 0
        for generation, ncpus in (('A', 1), ('B', 200), ('C', 1024)):
            with self.subTest(generation=generation), tempfile.TemporaryDirectory() as folder:
                self.check(folder, generation=generation, ncpus=ncpus, devices='fbuf,blk', memsize=5 << 30)
                count += 1
        self.assertEqual(count, 3)

    def test_mixed_forms(self) -> None:
        count = 0
        for mixed in shapes.MIXED:
            for generation in GENERATIONS:
                if (mixed, generation[0]) in CONTRADICTIONS:
                    continue
                for vendor in VENDORS:
                    with self.subTest(mixed=mixed, generation=generation, vendor=vendor), \
                            tempfile.TemporaryDirectory() as folder:
                        try:
                            told = self.check(folder, generation=generation, vendor=vendor, mixed=mixed,
                                              devices='blk,net,ahci,xhci')
                        except ValueError:  # such a form cannot be
                            continue
                        if not told['generations']:
                            self.assertTrue(told['deviating'])
                        count += 1
        print(f'{count} mixed sets')
        self.assertGreater(count, 80)

    def test_the_public_sample_has_its_sizes(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            told = self.check(folder, generation='A', mixed='review', devices='net,blk,atkbdc')
            self.assertEqual([int(chunk['size']) for chunk in told['chunks']][10:], [436, 66180, 8819, 520, 141])
            self.assertEqual(told['nearest'], 'A')
            self.assertEqual(told['deviating'], ['meta', 'names'])

    def test_assumptions(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            one = Set(folder, generation='C0', devices='blk,net')
            status, told = one.tool('info', '--assume', 'generation=C0', '--assume', 'prefix=B')
            self.assertEqual((status, told['generations']), (0, ['C0']))
            self.assertEqual({axis['axis']: axis['certainty'] for axis in told['axes']}['vmcx'], 'assumed')
            # A shape that does not fit is refused with the sizes.
            status, told = one.tool('info', '--assume', 'vmcx=intel-920')
            self.assertEqual(status, 5)
            self.assertIn('1328 bytes', told['error']['message'])
            for wrong in ('vmcx=intel-1', 'moon=full', 'prefix', 'cpuset=7', 'ncpus=x'):
                with self.subTest(assume=wrong):
                    self.assertEqual(one.tool('info', '--assume', wrong)[0], 2)
            self.assertEqual(one.tool('info', '--assume', 'prefix=A', '--assume', 'prefix=B')[0], 2)

    def test_a_wrong_number_of_vcpus_is_guessed_from_sizes(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            one = Set(folder, generation='C', ncpus=3, devices='blk')
            text = pathlib.Path(one.base + '.meta').read_text(encoding='ascii').replace('"ncpus": 3', '"ncpus": 2')
            pathlib.Path(one.base + '.meta').write_text(text, encoding='ascii')
            status, told = one.tool('info')
            self.assertEqual(status, 5)
            self.assertIn('--assume ncpus=3', told['error']['message'])
            status, told = one.tool('info', '--assume', 'ncpus=3')
            self.assertEqual((status, told['generations']), (0, ['C']))


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
