#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Holds the generator of legacy bhyve sets against the sizes that the description of the format gives."""

import contextlib
import hashlib
import io
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

# The package lies in the source tree, which a test run leaves as it was.
sys.dont_write_bytecode = True

from bhyve import hostile, make_set  # noqa: E402
from bhyve.assemble import Request, expected, make, save  # noqa: E402
from bhyve.chunk import FORMATS, Chunk  # noqa: E402
from bhyve.draft import Draft  # noqa: E402
from bhyve.shapes import GENERATIONS, MIXED, VENDORS  # noqa: E402
from bhyve.virtio import ring_size  # noqa: E402

EVERYTHING = 'net,blk,rnd,e1000,ahci:ports=3,xhci,fbuf,atkbdc'
BUT_FBUF = EVERYTHING.replace('fbuf,', '')
REVIEW = 'lpc:at=0.1.0,net:at=0.4.0,blk:at=0.5.0,hostbridge:at=0.31.0,atkbdc'
SCRIPT = pathlib.Path(make_set.__file__)


def span(chunk: Chunk, first: str, last: str) -> int:
    """The bytes from one field to another, both included."""
    end = chunk.field(last)
    return end.offset + end.size - chunk.field(first).offset


def size(generation: str, device: str, emulation: str) -> int:
    return len(make(Request(generation, devices=device)).chunk(emulation).data)


def kernel_total(draft: Draft) -> int:
    return sum(len(chunk.data) for chunk in draft.kernel)


class Sizes(unittest.TestCase):
    def test_kernel_totals_are_those_of_the_table(self) -> None:
        totals = {('B', 'intel'): (6091, 11044, 20950), ('B', 'amd'): (6263, 11388, 21638),
                  ('C', 'intel'): (6507, 11780, 22326), ('C', 'amd'): (6615, 11996, 22758),
                  ('A', 'intel'): (80418,) * 3, ('A', 'amd'): (129610,) * 3,
                  ('A2', 'intel'): (80418,) * 3, ('A2', 'amd'): (129610,) * 3,
                  ('C0', 'intel'): tuple(1106 + 128 + n * (184 + 4169 + 664) for n in (1, 2, 4)),
                  ('C0', 'amd'): tuple(1106 + 128 + n * (184 + 4169 + 772) for n in (1, 2, 4))}
        for (generation, vendor), expected_totals in totals.items():
            for ncpus, total in zip((1, 2, 4), expected_totals):
                with self.subTest(generation=generation, vendor=vendor, ncpus=ncpus):
                    self.assertEqual(total, kernel_total(make(Request(generation, vendor, ncpus))))

    def test_the_public_sample_has_its_numbers(self) -> None:
        draft = make(Request('A', ncpus=2, devices=REVIEW, mixed='review'))
        self.assertEqual(80418, kernel_total(draft))
        self.assertEqual([('lpc-pci-0-1-0', 520, 80418), ('virtio-net-pci-0-4-0', 66180, 80938),
                          ('virtio-blk-pci-0-5-0', 8819, 147118), ('hostbridge-pci-0-31-0', 436, 155937),
                          ('atkbdc', 141, 156373)],
                         [(entry['device'], entry['size'], entry['file_offset']) for entry in draft.meta.devices])
        self.assertEqual(156373 + 141, len(draft.kern or b''))
        self.assertEqual('mixed', draft.verdict['generation'])

    def test_devices_have_the_sizes_of_the_table(self) -> None:
        rows = {('', 'hostbridge'): (None, 452), ('', 'lpc'): (604, 620), ('blk', 'virtio-blk'): (8819, 8835),
                ('blk:rings=none', 'virtio-blk'): (None, 619), ('net', 'virtio-net'): (66180, 66197),
                ('net:rings=none', 'virtio-net'): (None, 613), ('rnd', 'virtio-rnd'): (8738, 8754),
                ('rnd:rings=none', 'virtio-rnd'): (None, 538), ('e1000', 'e1000'): (2174, 2190),
                ('ahci', 'ahci'): (None, 1531), ('fbuf', 'fbuf'): (16777652, 16777668),
                ('atkbdc', 'atkbdc'): (141, 141)}
        for (device, emulation), (a, later) in rows.items():
            with self.subTest(device=device or emulation):
                if a is not None:
                    self.assertEqual(a, size('A', device, emulation))
                self.assertEqual(later, size('C', device, emulation))
                self.assertEqual(later, size('C0', device, emulation))
                if emulation != 'hostbridge':
                    self.assertEqual(later, size('B', device, emulation))

    def test_devices_not_in_the_table_have_the_sizes_of_their_parts(self) -> None:
        self.assertEqual(452 + 36 + 2 * 42 + 2 * 32768 + 41, size('C', 'net:msix=off', 'virtio-net'))
        self.assertEqual(452 + 48 + 36 + 42 + 32768 + 18 + 41, size('C', 'net:rings=half', 'virtio-net'))
        self.assertEqual(452 + 52 + 32 * 12 + 643 * 3, size('C', 'ahci:ports=3', 'ahci'))
        self.assertEqual(452 + 52 + 32 * 12, size('B', 'ahci:ports=0', 'ahci'))
        self.assertEqual(452 + 160 + 64 * 4 + 8, size('C', 'xhci:tablet=off', 'xhci'))
        self.assertEqual(436 + 160 + 64 * 4 + 4 + 8, size('A', 'xhci:tablet=off', 'xhci'))
        tablet = 132 + 16 + 8 + 4 + 33 + 8
        self.assertEqual(452 + 160 + 64 * 4 + 8 + tablet, size('C', 'xhci:context=off', 'xhci'))
        endpoints = 31 * 8 + 2 * (8 * 44 + 8 + 12) + 8
        self.assertEqual(452 + 160 + 64 * 4 + 8 + tablet + endpoints, size('C', 'xhci', 'xhci'))
        self.assertEqual(452, size('C', 'dummy', 'dummy'))

    def test_requests_of_ahci_have_their_place_in_generation_a(self) -> None:
        for inflight in (0, 1, 5):
            chunk = make(Request('A', devices=f'ahci:inflight={inflight}')).chunk('ahci')
            vectors = sum(int(str(one.value)) for one in chunk.fields if one.path.endswith('.br_iovcnt'))
            lists = 135 * 28 + 4 * (135 - inflight + 1) + (4 + 20) * inflight + 16 * vectors + 4 + 44
            self.assertEqual(436 + 52 + 32 * 12 + 643 + lists, len(chunk.data))

    def test_ring_memory_has_the_sizes_of_the_table(self) -> None:
        self.assertEqual([8192, 8192, 12288, 20480, 32768], [ring_size(q) for q in (64, 128, 256, 512, 1024)])

    def test_parts_have_the_totals_of_the_appendix(self) -> None:
        old, new = (make(Request(generation, devices=BUT_FBUF)) for generation in ('A', 'C'))
        for draft, prefix, last_bar, tail in ((old, 436, 5, 40), (new, 452, 6, 41)):
            self.assertEqual(prefix, span(draft.chunk('lpc'), 'msi.enabled', f'bar[{last_bar}].addr'))
            self.assertEqual(prefix, draft.chunk('lpc').field('uart[0].data').offset)
            self.assertEqual(60 if draft is old else 56, draft.chunk('e1000').field('config_space').offset)
            self.assertEqual(40, draft.chunk('e1000').field('msix.table_count').offset)
            net = draft.chunk('virtio-net')
            self.assertEqual(36, span(net, 'vs_flags', 'vc_hv_caps'))
            self.assertEqual(42, span(net, 'queue[0].vq_qsize', 'queue[0].used_ring'))
            self.assertEqual(tail, span(net, 'vsc_features', 'be_vhdrlen'))
            self.assertEqual(81, span(draft.chunk('virtio-blk'), 'cfg.capacity', 'ident'))
            self.assertEqual(42, span(draft.chunk('lpc'), 'uart[1].data', 'uart[1].rxfifo.buf'))
            self.assertEqual(1738, span(draft.chunk('e1000'), 'mac', 'eeprom_data[63]'))
            self.assertEqual(52, span(draft.chunk('ahci'), 'ports', 'lintr'))
            self.assertEqual(655, span(draft.chunk('ahci'), 'port[1].bctx', 'port[1].ioqsz'))
            self.assertEqual(12, span(draft.chunk('ahci'), 'port[9].bctx', 'port[9].port'))
            self.assertEqual(160, span(draft.chunk('xhci'), 'caplength', 'event_pcs'))
            self.assertEqual(44, span(draft.chunk('xhci'), 'slot[1].ep[3].block[0].buf',
                                      'slot[1].ep[3].block[0].trbnext'))
            self.assertEqual(33, span(draft.chunk('xhci'), 'slot[1].tablet.report.buttons',
                                      'slot[1].tablet.prev_evt.usec'))
            for name, total in (('atkbdc', 141), ('vhpet', 284), ('vioapic', 388), ('vatpit', 172), ('vatpic', 118),
                                ('vpmtmr', 4), ('vrtc', 140)):
                self.assertEqual(total, len(draft.chunk(name).data), name)
            self.assertEqual(58, span(draft.chunk('vatpic'), 'pic[0].ready', 'pic[0].intr_raised'))
            self.assertEqual(184, span(draft.chunk('vm'), 'vcpu[1].x2apic_state', 'vcpu[1].tsc'))
            self.assertEqual(136, span(draft.chunk('vm'), 'vcpu[1].exitinfo.exitcode', 'vcpu[1].exitinfo.union'))
        self.assertEqual(44, span(old.chunk('ahci'), 'port[0].blockif.magic', 'port[0].blockif.closing'))
        self.assertEqual(28, span(old.chunk('ahci'), 'port[0].ioreq[3].cfis', 'port[0].ioreq[3].readop'))

    def test_records_per_vcpu_have_their_sizes(self) -> None:
        for generation, intel, amd in (('A', 376, 496), ('B', 600, 772), ('C0', 664, 772), ('C', 920, 1028)):
            records = 16 if generation == 'A' else 3
            for vendor, record in (('intel', intel), ('amd', amd)):
                draft = make(Request(generation, vendor, 3))
                self.assertEqual(record * records, len(draft.chunk('vmcx').data))
                self.assertEqual((4173 if generation == 'A' else 4169) * records, len(draft.chunk('vlapic').data))
        self.assertEqual(856, len(make(Request('C', ncpus=1, mixed='mtrr-without-pir')).chunk('vmcx').data))
        self.assertEqual(2944, len(make(Request('A')).chunk('vm').data))
        self.assertEqual(3584, len(make(Request('A')).chunk('vmx').data))
        self.assertEqual(50856, len(make(Request('A', 'amd')).chunk('vmx').data))
        self.assertEqual(0, len(make(Request('B')).chunk('vmx').data))
        mtrr = make(Request('C', 'amd')).chunk('vmcx')
        self.assertEqual(256, span(mtrr, 'vcpu[1].mtrr.def_type', 'vcpu[1].mtrr.var[9].mask'))


class Contents(unittest.TestCase):
    def test_fields_lie_back_to_back_and_say_what_the_bytes_say(self) -> None:
        for generation in GENERATIONS:
            for vendor in VENDORS:
                for seed in ('0', 'zeros', 'ones', 'top'):
                    draft = make(Request(generation, vendor, 5, BUT_FBUF, seed=seed))
                    for chunk in draft.all_chunks():
                        with self.subTest(generation=generation, vendor=vendor, seed=seed, chunk=chunk.name):
                            self._tile(chunk)

    def _tile(self, chunk: Chunk) -> None:
        end = 0
        for one in chunk.fields:
            self.assertEqual(end, one.offset, one.path)
            end += one.size
            data = bytes(chunk.data[one.offset:end])
            self.assertEqual(one.value, data if one.type == 'bytes' else struct.unpack(FORMATS[one.type], data)[0])
        self.assertEqual(len(chunk.data), end)
        paths = [one.path for one in chunk.fields]
        self.assertEqual(len(paths), len(set(paths)))
        self.assertLessEqual(set(chunk.compare_only) | set(chunk.meaningless), set(paths))

    def test_a_field_has_the_same_value_in_all_generations(self) -> None:
        old, new = make(Request('A', devices='blk')), make(Request('C', devices='blk'))
        for name in ('virtio-blk', 'vrtc', 'vhpet', 'vioapic'):
            later = {one.path: one.value for one in new.chunk(name).fields}
            for one in old.chunk(name).fields:
                if one.path in later and not one.path.endswith('ring') and 'pfn' not in one.path:
                    self.assertEqual(one.value, later[one.path], f'{name} {one.path}')
        moved = old.chunk('vmx').field('vcpu[1].r13').value
        self.assertEqual(moved, new.chunk('vmcx').field('vcpu[1].r13').value)
        self.assertEqual(moved, make(Request('C0', 'amd')).chunk('vmcx').field('vcpu[1].r13').value)

    def test_general_registers_are_all_different_and_follow_from_the_seed(self) -> None:
        def registers(seed: str) -> list[int | bytes]:
            chunk = make(Request('C', ncpus=16, seed=seed)).chunk('vmcx')
            return [one.value for one in chunk.fields if one.path.rpartition('.')[2] in ('rax', 'rbx', 'r8', 'r9')][:60]
        first = registers('0')
        self.assertEqual(60, len(set(first)))
        self.assertEqual(first, registers('0'))
        self.assertFalse(set(first) & set(registers('1')))
        self.assertEqual({(1 << 64) - 1}, set(registers('ones')))

    def test_the_hypervisor_shows_in_cr4_or_efer(self) -> None:
        intel, amd = make(Request('C')).chunk('vmcx'), make(Request('C', 'amd')).chunk('vmcx')
        for chunk, cr4, efer in ((intel, 0x2000, 0), (amd, 0, 0x1000)):
            self.assertEqual(cr4, int(str(chunk.field('vcpu[0].cr4').value)) & 0x2000)
            self.assertEqual(0xd01 | efer, chunk.field('vcpu[0].efer').value)
        self.assertIn('vcpu[0].IDTR.access', intel.meaningless)
        self.assertEqual(0, amd.field('vcpu[0].IDTR.access').value)

    def test_records_of_vcpus_that_do_not_exist_are_meaningless_but_not_zero(self) -> None:
        draft = make(Request('A', ncpus=2))
        self.assertEqual({f'vcpu[{n}]' for n in range(2, 16)},
                         {path.partition('.')[0] for path in draft.chunk('vm').meaningless})
        self.assertEqual(1, draft.chunk('vm').field('vcpu[9].guest_xcr0').value)

    def test_the_last_of_four_vcpus_waits_to_be_started(self) -> None:
        chunk = make(Request('B', ncpus=4)).chunk('vm')
        self.assertEqual(bytes([8]).ljust(32, b'\0'), chunk.field('startup_cpus').value)
        self.assertEqual(1, make(Request('A', ncpus=4)).chunk('vlapic').field('vcpu[3].boot_state').value)

    def test_rings_of_virtio_lie_in_ram_with_the_same_bytes(self) -> None:
        draft = make(Request('C', devices='net', memsize=5 << 30))
        chunk, ram = draft.chunk('virtio-net'), expected(draft)['ram']
        assert isinstance(ram, dict)
        for queue, high in ((0, False), (1, True)):
            ring, base = chunk.field(f'queue[{queue}].ring').value, chunk.field(f'queue[{queue}].desc_ring').value
            assert isinstance(ring, bytes) and isinstance(base, int)
            self.assertEqual(high, base >= 4 << 30)
            self.assertEqual(base >> 12, chunk.field(f'queue[{queue}].vq_pfn').value)
            self.assertIn({'gpa': base, 'file_offset': base - (1 << 30) * high, 'size': len(ring),
                           'sha256': hashlib.sha256(ring).hexdigest()}, ram['written'])

    def test_an_ahci_request_is_either_free_or_busy(self) -> None:
        chunk = make(Request('A', devices='ahci:ports=3:inflight=4')).chunk('ahci')
        for port in range(3):
            free = [one.value for one in chunk.fields if one.path.startswith(f'port[{port}].free[')]
            busy = [one.value for one in chunk.fields if one.path.startswith(f'port[{port}].busy[')
                    and one.path.endswith('.index')]
            self.assertEqual((-1, -1), (free.pop(), busy.pop()))
            self.assertEqual(list(range(135)), sorted([*map(int, free), *map(int, busy)]))


class Devices(unittest.TestCase):
    def test_tables_save_the_first_of_a_kind(self) -> None:
        draft = make(Request('B', devices='blk,blk,ahci-hd,rnd'))
        names = [entry['snapshot_req'] for entry in draft.meta.devices]
        self.assertEqual('atkbdc virtio-net virtio-blk virtio-rnd lpc fbuf xhci e1000 ahci ahci-hd ahci-cd'.split(),
                         names)
        used = [entry['snapshot_req'] for entry in draft.meta.devices if entry['size']]
        self.assertEqual(['virtio-blk', 'virtio-rnd', 'lpc', 'ahci'], used)
        self.assertEqual(['hostbridge@pci.0.0.0', 'virtio-blk@pci.0.3.0'], draft.lost)

    def test_generation_a_goes_by_the_name_that_was_given(self) -> None:
        draft = make(Request('A', devices='ahci-hd,ahci-cd'))
        used = [entry['snapshot_req'] for entry in draft.meta.devices if entry['size']]
        self.assertEqual(['lpc', 'ahci-hd', 'ahci-cd'], used)

    def test_all_functions_are_saved_by_their_place(self) -> None:
        draft = make(Request('C', devices='atkbdc,net:at=1.0.3,blk,blk,amd_hostbridge:at=0.1.0'))
        self.assertEqual(['hostbridge@pci.0.1.0', 'virtio-blk@pci.0.2.0', 'virtio-blk@pci.0.3.0', 'lpc@pci.0.31.0',
                          'virtio-net@pci.1.0.3', 'atkbdc'], [entry['device'] for entry in draft.meta.devices])

    def test_what_no_bhyve_could_save_is_refused(self) -> None:
        for request in (Request('A', devices='blk:rings=none'), Request('C', devices='ahci:inflight=1'),
                        Request('A', ncpus=17), Request('C', devices='blk:at=0.2.0,blk:at=0.2.0'),
                        Request('C', devices='nvme'), Request('C', devices='blk:rings=some'), Request('D'),
                        Request('C', hostile='nothing'), Request('C', axes={'colour': '1'}), Request('C', mixed='x')):
            with self.subTest(request=request), self.assertRaises(ValueError):
                make(request)


class Verdicts(unittest.TestCase):
    def test_generations_that_are_alike_are_told(self) -> None:
        for generation, alike in (('A', ['A', 'A2']), ('A2', ['A', 'A2']), ('B', ['B']), ('C0', ['C0']), ('C', ['C'])):
            for vendor in VENDORS:
                verdict = make(Request(generation, vendor, devices='net')).verdict
                self.assertEqual((generation, alike, vendor, 'read'), (
                    verdict['generation'], verdict['alike'], verdict['vendor'], verdict['outcome']))

    def test_axes_tell_nothing_where_there_is_nothing(self) -> None:
        axes = make(Request('C', devices='net')).verdict['axes']
        self.assertEqual({'meta': 'kern_structs', 'names': 'at', 'vm': 'C', 'cpuset': 128, 'vmx': 'none', 'vmcx': 'C',
                          'vlapic': 'B', 'pci_prefix': 452, 'ring_rule': 'if_allocated', 'uarts': 4, 'net_tail': 41,
                          'ahci': None, 'xhci': None}, axes)

    def test_mixed_forms_are_mixed(self) -> None:
        for mixed in MIXED:
            generation = {'review': 'A', 'meta-of-c': 'A', 'before-2020': 'A', 'resumable-13.2': 'B'}.get(mixed, 'C')
            verdict = make(Request(generation, devices='net', mixed=mixed)).verdict
            plain = mixed in ('two-uarts', 'resumable-13.2', 'before-2020')
            self.assertEqual(generation if plain else 'mixed', verdict['generation'], mixed)


class Meta(unittest.TestCase):
    def test_the_text_is_that_of_libxo(self) -> None:
        text = (make(Request('A', devices='rnd')).meta_text or b'').decode()
        self.assertTrue(text.startswith(
            '{\n  "basic metadata": {\n    "ncpus": 2,\n    "vmname": "vm0",\n    "memsize": 67108864,\n'
            '    "memflags": 0\n  },\n  "structs": [\n    {\n      "debug_name": "vhpet",\n      "snapshot_req": 5,\n'
            '      "size": 284,\n      "file_offset": 0\n    },\n    {\n      "debug_name": "vm",\n'), text)
        self.assertTrue(text.endswith(
            '    {\n      "snapshot_req": "ahci-cd",\n      "size": 0,\n      "file_offset": 89760\n    }\n  ]\n}\n'),
            text)

    def test_entries_add_up_in_every_generation(self) -> None:
        for generation in GENERATIONS:
            draft = make(Request(generation, devices=BUT_FBUF))
            meta = json.loads(draft.meta_text or b'')
            kernel = meta['structs' if generation[0] in 'AB' else 'kern_structs']
            self.assertEqual(10 if generation[0] in 'AB' else 9, len(kernel))
            end = 0
            for entry in [*kernel, *meta['devices']]:
                self.assertEqual(end, entry['file_offset'])
                end += entry['size']
            self.assertEqual(len(draft.kern or b''), end)

    def test_only_four_characters_are_escaped(self) -> None:
        text = make(Request('C', vmname=b'a"\\\n\r\t\x1b\xff')).meta_text or b''
        self.assertIn(b'"vmname": "a\\"\\\\\\n\\r\t\x1b\xff",\n', text)


class Hostile(unittest.TestCase):
    SMALLER = {'meta-huge': ':100000', 'meta-huge-string': ':100000', 'meta-deep': ':1000'}

    def test_every_variant_spoils_a_set(self) -> None:
        requests = [Request(generation, devices='ahci,blk,net,xhci,atkbdc') for generation in ('A', 'B', 'C')]
        good = [self._files(make(request)) for request in requests]
        for name, variant in hostile.VARIANTS.items():
            with self.subTest(variant=name):
                changed = []
                for request, before in zip(requests, good):
                    request.hostile = name + self.SMALLER.get(name, '')
                    with contextlib.suppress(ValueError):
                        draft = make(request)
                        self.assertEqual(variant.outcome, draft.verdict['outcome'])
                        changed.append(self._files(draft) != before)
                self.assertTrue(changed, 'fits no generation')
                # Generation B writes an empty vmx by itself.
                self.assertEqual(name != 'empty-vmx', all(changed))

    @staticmethod
    def _files(draft: Draft) -> tuple[bytes | None, bytes | None, int | None]:
        return draft.kern, draft.meta_text, draft.ram_size

    def test_arguments_say_where(self) -> None:
        self.assertEqual(77, len(make(Request('C', hostile='kern-truncated:77')).kern or b''))
        draft = make(Request('C', hostile='empty-chunk:vatpic'))
        self.assertEqual([0], [entry['size'] for entry in draft.meta.kernel if entry['device'] == 'vatpic'])
        draft = make(Request('C', hostile='kernel-missing:vm'))
        self.assertNotIn('vm', [entry['device'] for entry in draft.meta.kernel])


class Command(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.base = pathlib.Path(folder.name) / 'set'

    def test_makes_four_files_and_leaves_ram_sparse(self) -> None:
        subprocess.run([sys.executable, str(SCRIPT), str(self.base), '--generation', 'C0', '--vendor', 'amd', '--ncpus',
                        '3', '--devices', 'blk,net,fbuf', '--ram', '5G'], check=True)
        told = json.loads(self.base.with_suffix('.expected.json').read_text())
        kern = self.base.with_suffix('.kern').read_bytes()
        status = os.stat(self.base)
        self.assertEqual(5 << 30, status.st_size)
        self.assertLess(status.st_blocks * 512, 4 << 20)
        with open(self.base, 'rb') as ram:
            for region in told['ram']['written']:
                data = os.pread(ram.fileno(), region['size'], region['file_offset'])
                self.assertEqual(region['sha256'], hashlib.sha256(data).hexdigest())
        for chunk in told['chunks']:
            for path, kind, offset, length, value in told['fields'][chunk['name']]:
                data = kern[chunk['offset'] + offset:chunk['offset'] + offset + length]
                if kind != 'bytes':
                    self.assertEqual(value, struct.unpack(FORMATS[kind], data)[0], path)
                elif isinstance(value, dict):
                    self.assertEqual(value['sha256'], hashlib.sha256(data).hexdigest(), path)
                else:
                    self.assertEqual(value, data.hex(), path)
        meta = json.loads(self.base.with_suffix('.meta').read_text())
        self.assertEqual(5 << 30, meta['basic metadata']['memsize'])

    def test_files_that_a_variant_takes_away_are_not_made(self) -> None:
        for name, suffix in (('ram-missing', ''), ('kern-missing', '.kern'), ('meta-missing', '.meta')):
            base = str(self.base) + name
            save(make(Request('C', hostile=name)), base)
            self.assertEqual({'', '.kern', '.meta', '.expected.json'} - {suffix},
                             {one for one in ('', '.kern', '.meta', '.expected.json') if os.path.exists(base + one)})

    def test_lists_what_there_is_and_says_what_there_is_not(self) -> None:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            self.assertEqual(0, make_set.main(['--list']))
        for name in [*hostile.VARIANTS, *MIXED, 'virtio-blk', 'C0']:
            self.assertIn(name, output.getvalue())
        complaint = io.StringIO()
        with contextlib.redirect_stderr(complaint):
            self.assertEqual(2, make_set.main([str(self.base), '--devices', 'floppy']))
        self.assertIn('no device floppy', complaint.getvalue())
        self.assertFalse(self.base.exists())


if __name__ == '__main__':
    unittest.main()
