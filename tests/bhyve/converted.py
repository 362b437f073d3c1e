# SPDX-License-Identifier: BSD-2-Clause
"""A legacy snapshot that was converted: what the generator put into it, and what `snaptool show` says became of it."""

import hashlib
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from vmsnap_reader.snapshot import Snapshot  # noqa: E402
from vmsnap_reader.source import Source  # noqa: E402

class Mismatch(AssertionError):
    """The hardware has not what the table says."""


class Field:
    def __init__(self, path: str, offset: int, size: int, value: int | bytes) -> None:
        self.path, self.offset, self.size, self.value = path, offset, size, value

    def bits(self) -> bytes:
        return self.value if isinstance(self.value, bytes) else self.value.to_bytes(self.size, 'little')


class Chunk:
    def __init__(self, told: dict, fields: list[Field]) -> None:
        self.name, self.size, self.offset, self.kernel = told['name'], told['size'], told['offset'], told['kernel']
        self.kind = told['key'].partition('@')[0]
        self.at = told['key'].partition('@pci.')[2]
        self.names_its_place = '@pci.' in self.name or '-pci-' in self.name
        self.fields = {field.path: field for field in fields}


class Converted:
    """`name`, `kind`, `place` and `path` are those of the field that is looked at."""

    def __init__(self, base: str, snapshot: str, shown: dict) -> None:
        with open(base + '.expected.json', encoding='ascii') as file:
            expected = json.load(file)
        kern = pathlib.Path(base + '.kern').read_bytes()
        self.vendor = expected['verdict']['vendor']
        self.ncpus = expected['ncpus']
        self.ram = expected['ram']
        self.chunks = [Chunk(told, [_field(kern, told['offset'], *field) for field in
                                    expected['fields'].get(told['name'], [])]) for told in expected['chunks']]
        self._by_name = {chunk.name: chunk for chunk in self.chunks}
        self.states = {device['path']: device['state'] for device in shown['devices']}
        self.types = {device['path']: device['type'] for device in shown['devices']}
        self.memory = shown['memory']
        self._source = Source(snapshot)
        self._source.__enter__()
        self._snapshot = Snapshot(self._source)
        self.reached: set[tuple[str, str]] = set()
        self.held = 0
        self.name = self.kind = self.place = self.path = ''

    def close(self) -> None:
        self._source.__exit__(None, None, None)

    # What was in the files.

    def value(self, chunk: str, path: str) -> int | bytes | None:
        """A field as it was; None where the set has no such field."""
        one = self._by_name.get(chunk)
        field = one.fields.get(path) if one else None
        return field.value if field else None

    def legacy(self, chunk: str, path: str) -> int:
        value = self.value(chunk, path)
        if value is None:
            return 0
        assert isinstance(value, int), (chunk, path)
        return value

    def legacy_bytes(self, chunk: str, path: str) -> bytes:
        value = self.value(chunk, path)
        assert isinstance(value, bytes), (chunk, path)
        return value

    def page(self, cpu: int) -> bytes:
        return self.legacy_bytes('vlapic', f'vcpu[{cpu}].apic_page')

    # What is in the converted file.

    def hardware(self, device: str, place: str) -> object:
        """A field of a device as `show` tells it, of whatever type."""
        if device not in self.states:
            raise Mismatch(f'there is no device {device}')
        value: object = self.states[device]
        for part in re.findall(r'[^.\[\]]+', place):
            try:
                value = value[int(part)] if isinstance(value, list) else value[part]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                raise Mismatch(f'{device} has no {place}') from None
        return value

    def replace(self, device: str, place: str, value: object) -> None:
        """Makes `show` have told something else."""
        outer, _, last = re.sub(r'\[(\d+)\]', r'.\1', place).rpartition('.')
        inside = self.hardware(device, outer)
        if isinstance(inside, list):
            inside[int(last)] = value
        else:
            inside[last] = value  # type: ignore[index]

    def number(self, device: str, place: str) -> int:
        return _number(self.hardware(device, place))

    def octets(self, device: str, place: str) -> bytes:
        value = self.hardware(device, place)
        assert isinstance(value, str)
        return bytes.fromhex(value)

    def hold(self, device: str, place: str, expected: object) -> None:
        """The device must have this there."""
        self._reach(device, place)
        actual = self.hardware(device, place)
        if not _agree(actual, expected):
            told = expected.hex() if isinstance(expected, bytes) else (
                f'{expected:#x}' if isinstance(expected, int) else expected)
            raise Mismatch(f'{device} {place} is {str(actual)[:200]}, not {str(told)[:200]}')

    def hold_bit(self, device: str, place: str, bit: int, expected: bool) -> None:
        self.hold_field(device, place, bit, 1, int(expected))

    def hold_field(self, device: str, place: str, shift: int, bits: int, expected: int) -> None:
        """Some bits of a register."""
        self._reach(device, place)
        actual = self.number(device, place) >> shift & (1 << bits) - 1
        if actual != expected:
            raise Mismatch(f'{device} {place} has {actual:#x} from bit {shift} on, not {expected:#x}')

    def hold_bytes(self, device: str, place: str, start: int, expected: bytes) -> None:
        """Some bytes of an array."""
        self._reach(device, place)
        actual = self.octets(device, place)[start:start + len(expected)]
        if actual != expected:
            raise Mismatch(f'{device} {place} has {actual.hex()} from {start} on, not {expected.hex()}')

    def _reach(self, device: str, place: str) -> None:
        self.held += 1
        self.reached.add((device, place))

    def segment(self, name: str) -> bytes:
        """All bytes of a segment of memory, read without the library."""
        for number, segment in enumerate(self.memory['segments']):
            if segment['name'] == name:
                return b''.join(self._snapshot.segments[number].pieces(0, int(segment['size'])))
        raise Mismatch(f'there is no segment {name}')

    def guest_memory(self, address: int, size: int) -> bytes | None:
        """What the guest has there; None where it has no memory."""
        for mapping in self.memory['mappings']:
            start, length = _number(mapping['guest_address']), int(mapping['size'])
            if start <= address and address + size <= start + length:
                begin = address - start + _number(mapping['segment_offset'])
                return b''.join(self._snapshot.segments[mapping['segment']].pieces(begin, begin + size))
        return None

    def is_hole(self, address: int, size: int) -> bool:
        """The file has nothing for this memory, which hence is 0."""
        for mapping in self.memory['mappings']:
            start, length = _number(mapping['guest_address']), int(mapping['size'])
            if start <= address and address + size <= start + length:
                begin = address - start + _number(mapping['segment_offset'])
                return self._snapshot.segments[mapping['segment']].is_hole(begin, begin + size)
        return False

    def places(self) -> dict[str, str]:
        """Where the PCI functions are. A name without a place gets the first free slot, in the order of the chunks."""
        found, slot = {}, 1
        for chunk in self.chunks:
            if not chunk.at or not chunk.size:
                continue
            if chunk.names_its_place:
                bus, device, function = (int(number) for number in chunk.at.split('.'))
                found[chunk.name] = f'pci0/{bus:02x}:{device:02x}.{function}'
            else:
                found[chunk.name] = f'pci0/00:{slot:02x}.0'
                slot += 1
        return found

    def leaves(self) -> list[tuple[str, str, object]]:
        """Every value of every device, but for what is bhyve's own."""
        found: list[tuple[str, str, object]] = []

        def walk(device: str, path: str, value: object) -> None:
            if (device, path) in self.reached:
                return
            if isinstance(value, dict):
                for name, part in value.items():
                    walk(device, f'{path}.{name}' if path else name, part)
            elif isinstance(value, list):
                for index, part in enumerate(value):
                    walk(device, f'{path}[{index}]', part)
            else:
                found.append((device, path, value))

        for device, state in self.states.items():
            if self.types[device] != 'bhyve_private':
                walk(device, '', state)
        return found


def _field(kern: bytes, start: int, path: str, kind: str, offset: int, size: int, value: object) -> Field:
    if isinstance(value, dict):
        data = kern[start + offset:start + offset + size]
        assert hashlib.sha256(data).hexdigest() == value['sha256'], path
        return Field(path, offset, size, data)
    if kind == 'bytes':
        return Field(path, offset, size, bytes.fromhex(str(value)))
    return Field(path, offset, size, int(value) & (1 << 8 * size) - 1)  # type: ignore[call-overload]


def _number(value: object) -> int:
    if isinstance(value, str):
        return int(value, 0)
    assert isinstance(value, int), value
    return value


def _agree(actual: object, expected: object) -> bool:
    """`show` tells numbers as numbers or as text, and bytes in hexadecimal."""
    if isinstance(expected, bytes):
        return actual == expected.hex()
    if isinstance(expected, bool) or expected is None or isinstance(expected, str):
        return type(actual) is type(expected) and actual == expected
    if isinstance(expected, dict):
        return isinstance(actual, dict) and actual.keys() == expected.keys() and all(
            _agree(actual[name], part) for name, part in expected.items())
    if isinstance(expected, list):
        return isinstance(actual, list) and len(actual) == len(expected) and all(map(_agree, actual, expected))
    return isinstance(actual, (int, str)) and not isinstance(actual, bool) and _number(actual) == expected
