#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""fields_test.py SNAPTOOL: every field of a legacy snapshot is in the file that it is converted to.

For each set of a matrix, each field of the generator's expectations is looked for: where the table where_fields_go.py
has it, or unchanged in the chunk bhyve_private. The other way round, each value of the hardware must come from a field,
be 0, or be what the table says of values that bhyve does not save.
"""

import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import matrix  # noqa: E402
import where_fields_go as table  # noqa: E402
from bhyve import assemble  # noqa: E402
from converted import Chunk, Converted, Field, Mismatch  # noqa: E402

SNAPTOOL = sys.argv[1]


class Private:
    """An entry of the chunk bhyve_private."""

    def __init__(self, told: dict) -> None:
        self.told = told
        self.items = {item['path']: item for item in told['items']}
        self.used: set[str] = set()

    def find(self, path: str, offset: int, size: int) -> bytes | None:
        """The bytes of a field, which may be an element of an array that is kept as a whole, or in a chunk that is."""
        whole = self.items.get('chunk')
        if whole is not None:
            self.used.add('chunk')
            return bytes.fromhex(whole['bytes'])[offset:offset + size]
        item = self.items.get(path)
        if item is not None:
            self.used.add(path)
            return _item_bytes(item, size)
        element = re.fullmatch(r'(.*)\[(\d+)\]', path)
        whole = self.items.get(element[1]) if element else None
        if element is None or whole is None or whole['bytes'] is None:
            return None
        self.used.add(element[1])
        start = int(element[2]) * size
        return bytes.fromhex(whole['bytes'])[start:start + size]


def _others(value: int | bytes) -> list[int | bytes]:
    """Values that differ in a bit: of bytes, in the first, the last and one between."""
    if isinstance(value, int):
        return [value ^ 1]
    return [value[:at] + bytes([value[at] ^ 1]) + value[at + 1:] for at in sorted({0, len(value) // 3, len(value) - 1})]


def _item_bytes(item: dict, size: int) -> bytes:
    if item['bytes'] is not None:
        return bytes.fromhex(item['bytes'])
    return int(item['value'], 0).to_bytes(size, 'little')


class Comparison:
    """One set, converted and compared."""

    def __init__(self, folder: str, patches: dict[str, int] | None = None, **request: object) -> None:
        self.base = os.path.join(folder, 'vm')
        self.request = {**request, **(patches or {})}
        self.faults: list[str] = []
        self.counts: collections.Counter[str] = collections.Counter()
        draft = assemble.make(assemble.Request(**{'memsize': 8 << 20, **request}))
        if patches:
            for where, value in patches.items():
                chunk, _, path = where.partition('/')
                draft.chunk(chunk).patch(path, value)
            draft.kern = b''.join(bytes(chunk.data) for chunk in draft.all_chunks())
        assemble.save(draft, self.base)

    def run(self) -> None:
        c = self._convert()
        if c is not None:
            try:
                self._compare(c)
            finally:
                c.close()

    def run_with_each_field_changed(self) -> list[str]:
        """Gives the fields of which another value would not be noticed."""
        c = self._convert()
        if c is None:
            return []
        try:
            return self._change_each(c)
        finally:
            c.close()

    def run_with_each_other_value_changed(self) -> list[str]:
        """Gives the values of hardware that are from no field and could be anything without being noticed."""
        c = self._convert()
        if c is None:
            return []
        unnoticed = []
        try:
            self._compare(c)
            faults = list(self.faults)
            for device, path, value in c.leaves():
                self.faults.clear()
                is_text = isinstance(value, str) and not value.startswith('0x')
                c.replace(device, path, '5a' if is_text else 12345)
                self._the_rest(c)
                c.replace(device, path, value)
                self.counts['changed'] += 1
                if not self.faults:
                    unnoticed.append(f'{device} {path}')
            self.faults[:] = faults
        finally:
            c.close()
        return unnoticed

    def _convert(self) -> Converted | None:
        snapshot = self.base + '.vmsnap'
        done = subprocess.run([SNAPTOOL, 'convert', '--from', 'bhyve', self.base, snapshot], capture_output=True,
                              text=True, check=False, timeout=120)
        if done.returncode != 0:
            self.faults.append(f'convert: exit {done.returncode}: {done.stderr}')
            return None
        shown = subprocess.run([SNAPTOOL, 'show', '--json', snapshot], capture_output=True, check=True, timeout=120)
        return Converted(self.base, snapshot, json.loads(shown.stdout))

    def _change_each(self, c: Converted) -> list[str]:
        unnoticed = []
        places = c.places()
        for chunk, told in zip(c.chunks, c.states['bhyve0']['chunks']):  # type: ignore[index]
            kept = Private(told)
            c.name, c.kind, c.place = chunk.name, chunk.kind, places.get(chunk.name, '')
            for field in chunk.fields.values():
                right = field.value
                for field.value in _others(right):
                    self.faults.clear()
                    self._field(c, chunk, field, kept)
                    self.counts['changed'] += 1
                    if not self.faults:
                        unnoticed.append(f'{chunk.name}.{field.path}')
                field.value = right
        self.faults.clear()
        return unnoticed

    def _compare(self, c: Converted) -> None:
        private = [Private(told) for told in c.states['bhyve0']['chunks']]  # type: ignore[index]
        places = c.places()
        if len(private) != len(c.chunks):
            self.faults.append(f'bhyve_private has {len(private)} entries, the set {len(c.chunks)}')
            return
        for chunk, kept in zip(c.chunks, private):
            told = kept.told
            names = {told['name'], told['debug_name'], told['chunk']}
            place = int(told['size']), int(told['file_offset'], 0)
            if place != (chunk.size, chunk.offset) or chunk.name not in names:
                self.faults.append(f'{chunk.name}: its entry is of {names}')
                continue
            c.name, c.kind, c.place = chunk.name, chunk.kind, places.get(chunk.name, '')
            for field in chunk.fields.values():
                self._field(c, chunk, field, kept)
            for path in kept.items.keys() - kept.used:
                if not path.endswith('.before'):
                    self.faults.append(f'{chunk.name}.{path}: no such field was in the set')
        self._memory(c)
        self._the_rest(c)
        self.counts['held'] += c.held

    def _field(self, c: Converted, chunk: Chunk, field: Field, kept: Private) -> None:
        parts = table.PARTS.get((chunk.kind, field.path.rpartition('.')[2]))
        if parts is None or not isinstance(field.value, bytes):
            self._whole(c, chunk, field, kept)
            return
        between = bytearray(field.value)
        for name, (offset, size) in parts.items():
            data = field.value[offset:offset + size]
            between[offset:offset + size] = bytes(size)
            value = data if size not in (1, 2, 4, 8) else int.from_bytes(data, 'little')
            self._whole(c, chunk, Field(f'{field.path}.{name}', field.offset + offset, size, value), kept)
        self._padding(chunk, field, bytes(between), set().union(*(
            range(offset, offset + size) for offset, size in parts.values())), kept)

    def _padding(self, chunk: Chunk, field: Field, between: bytes, parts: set[int], kept: Private) -> None:
        """What lies between the parts of a field: kept by the offset in the VMCB, or 0."""
        missing = set(range(field.size)) - parts
        for path in kept.items:
            start = re.fullmatch(re.escape(field.path) + r'\.reserved_([0-9a-f]+)', path)
            if start:
                data = kept.find(path, 0, 0) or b''
                offset = int(start[1], 16) - 0xa0
                if data != between[offset:offset + len(data)]:
                    self.faults.append(f'{chunk.name}.{path}: is kept as other bytes')
                missing -= set(range(offset, offset + len(data)))
        if any(between[offset] for offset in missing):
            self.faults.append(f'{chunk.name}.{field.path}: bytes between its parts are nowhere')

    def _whole(self, c: Converted, chunk: Chunk, field: Field, kept: Private) -> None:
        """One field. Counts as one of: mapped, derived, kept."""
        where = f'{chunk.name}.{field.path}'
        self.counts['fields'] += 1
        kept_bits = kept.find(field.path, field.offset, field.size)
        if kept_bits is not None and kept_bits != field.bits():
            self.faults.append(f'{where}: {field.bits().hex()} is kept as {kept_bits.hex()}')
        found = table.find(chunk.kind, field.path)
        cpu = re.match(r'vcpu\[(\d+)\]', field.path)
        if cpu and int(cpu[1]) >= c.ncpus:
            found = None
        if found is None:
            self.counts['kept'] += 1
            if kept_bits is None:
                self.faults.append(f'{where}: is nowhere')
            return
        function, indices = found
        c.path = field.path
        held = c.held
        try:
            back = function(c, field.value, *indices)
        except (Mismatch, AssertionError) as fault:
            self.faults.append(f'{where} = {field.bits().hex()[:80]}: {fault}')
            return
        self.counts['mapped' if c.held > held else 'derived'] += 1
        if back != field.value and kept_bits is None:
            self.faults.append(f'{where} = {field.bits().hex()[:80]}: cannot be had from the hardware (which says '
                               f'{str(back)[:80]}), and is not kept')

    def _memory(self, c: Converted) -> None:
        """The guest's memory is that of the set: what was written, and nothing else."""
        written = []
        for region in c.ram['written']:
            data = c.guest_memory(region['gpa'], region['size']) or b''
            self.counts['memory'] += region['size']
            written.append((region['gpa'], region['gpa'] + region['size']))
            if hashlib.sha256(data).hexdigest() != region['sha256']:
                self.faults.append(f'memory at {region["gpa"]:#x} is not that of the set')
        for start, size in ((0, c.ram['lowmem']), (4 << 30, c.ram['highmem'])):
            at = start
            for begin, end in sorted(written + [(start + size, start + size)]):
                if not start <= begin <= start + size:
                    continue
                if begin > at and not c.is_hole(at, begin - at) and any(c.guest_memory(at, begin - at) or b'\1'):
                    self.faults.append(f'memory from {at:#x} to {begin:#x} is not 0')
                at = end

    def _the_rest(self, c: Converted) -> None:
        """What hardware has that no field of the set holds."""
        bridge = any(chunk.kind == 'hostbridge' for chunk in c.chunks)
        for device, path, value in c.leaves():
            self.counts['not in the file'] += 1
            kind = c.types[device]
            general = re.sub(r'\[\d+\]', '[*]', path)
            said = [table.NOT_IN_FILE[kind, one] for one in (path, general, re.sub(r'^\w+', '*', path))
                    if (kind, one) in table.NOT_IN_FILE]
            if kind == 'x86_cpu' and path == 'index':
                good = device == f'cpu{value}'
            elif kind == 'x86_cpu' and path == 'xsave_area':
                # The initial state of the processor: FCW 37Fh, MXCSR 1F80h, all else 0.
                initial = bytes.fromhex(str(value))
                good = initial == (b'\x7f\x03' + bytes(22) + b'\x80\x1f').ljust(len(initial), b'\0')
            elif kind == 'pci_host' and path.endswith('config_space') and not bridge:
                good = str(value).startswith('75127512')
            elif said:
                good = str(value) == str(said[0]) or isinstance(value, str) and value.startswith('0x') and (
                    int(value, 16) == said[0])
            else:
                good = value in (0, None, False, '', [], '0', '0x0') or isinstance(value, str) and not value.strip('0')
            if not good:
                self.faults.append(f'{device} {path} is {str(value)[:60]}, which is from no field and not said')


class Fields(unittest.TestCase):
    def setUp(self) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self.folder = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None

    def compare(self, requests: list[dict[str, object]]) -> None:
        def work(request: dict[str, object]) -> Comparison:
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                one = Comparison(folder, **request)  # type: ignore[arg-type]
                one.run()
                return one

        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            for one in pool.map(work, requests):
                self.counts.update(one.counts)
                with self.subTest(**one.request):
                    self.assertEqual(one.faults[:40], [], f'{len(one.faults)} faults')
        print(f'{self.id().rpartition(".")[2]}: {len(requests)} sets, {self.counts["fields"]} fields: '
              f'{self.counts["mapped"]} mapped ({self.counts["held"]} values of hardware compared), '
              f'{self.counts["derived"]} derived, {self.counts["kept"]} kept; '
              f'{self.counts["not in the file"]} values of hardware from no field')

    def test_every_field_of_every_generation_is_somewhere(self) -> None:
        self.compare(matrix.sets())
        self.assertGreater(self.counts['fields'], 300_000)
        self.assertGreater(self.counts['held'], 120_000)
        self.assertGreater(self.counts['derived'], 100_000)
        self.assertGreater(self.counts['memory'], 10 << 20)

    def test_every_field_of_devices_in_other_states_is_somewhere(self) -> None:
        self.compare(matrix.other_devices())
        self.assertGreater(self.counts['held'], 30_000)

    def test_every_field_of_mixed_forms_is_somewhere(self) -> None:
        self.compare(matrix.mixed_forms())
        self.assertGreater(self.counts['held'], 50_000)

    def test_every_field_of_large_guests_is_somewhere(self) -> None:
        self.compare(matrix.large_ones())
        self.assertGreater(self.counts['held'], 30_000)

    def test_values_that_are_rare_are_somewhere(self) -> None:
        requests = []
        for name, (vendor, patches) in matrix.RARE.items():
            requests.append({'generation': 'C', 'vendor': vendor, 'devices': matrix.EVERYTHING, 'patches': patches})
        self.compare(requests)
        self.assertGreater(self.counts['held'], 50_000)

    def test_any_other_value_would_be_noticed(self) -> None:
        """Each field in turn is expected with another value, which must be a fault: nothing is compared in vain."""
        for generation, vendor in (('A', 'amd'), ('B', 'intel'), ('C', 'intel')):
            with self.subTest(generation=generation, vendor=vendor), \
                    tempfile.TemporaryDirectory(dir=self.folder) as folder:
                one = Comparison(folder, generation=generation, vendor=vendor, devices=matrix.EVERYTHING)
                wrong = one.run_with_each_field_changed()
                self.assertEqual(one.faults, [])
                self.assertEqual(wrong[:40], [])
                self.assertGreater(one.counts['changed'], 1500)
                print(f'{one.counts["changed"]} changed fields noticed')

    def test_any_value_of_hardware_from_nowhere_would_be_noticed(self) -> None:
        for generation, vendor in (('A', 'amd'), ('C', 'intel')):
            with self.subTest(generation=generation, vendor=vendor), \
                    tempfile.TemporaryDirectory(dir=self.folder) as folder:
                one = Comparison(folder, generation=generation, vendor=vendor, devices=matrix.EVERYTHING)
                unnoticed = one.run_with_each_other_value_changed()
                self.assertEqual(one.faults, [])
                self.assertEqual(unnoticed, [])
                self.assertGreater(one.counts['changed'], 150)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
