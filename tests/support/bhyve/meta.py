# SPDX-License-Identifier: BSD-2-Clause
"""The text of the .meta file, as libxo writes it."""

from dataclasses import dataclass, field

REQUESTS = {'vmx': 0, 'vioapic': 1, 'vm': 2, 'vlapic': 3, 'vhpet': 5, 'vmcx': 6, 'vatpic': 7, 'vatpit': 8, 'vpmtmr': 9,
            'vrtc': 10}


class Literal(str):
    """Text that stands in the file as it is, where a number would."""


# A name is bytes where it is not text.
Value = int | str | bytes | Literal
Entry = dict[str, Value]


@dataclass
class Meta:
    basic: Entry
    kernel: list[Entry] = field(default_factory=list)
    devices: list[Entry] = field(default_factory=list)
    kernel_key: str = 'kern_structs'
    devices_key: str = 'devices'

    def text(self) -> bytes:
        arrays = b',\n'.join(_array(key, entries) for key, entries in (
            (self.kernel_key, self.kernel), (self.devices_key, self.devices)))
        return b'{\n' + _object('  "basic metadata": ', self.basic, '  ') + b',\n' + arrays + b'\n}\n'


def entry(shape: str, name: str, size: int, offset: int, kernel: bool) -> Entry:
    if shape == 'kern_structs':
        return {'device': name, 'size': size, 'file_offset': offset}
    if kernel:
        return {'debug_name': name, 'snapshot_req': REQUESTS[name], 'size': size, 'file_offset': offset}
    return {'snapshot_req': name, 'size': size, 'file_offset': offset}


def quoted(text: str | bytes) -> bytes:
    """Only these four are escaped; tabs, other control characters and what is not UTF-8 go through."""
    data = text if isinstance(text, bytes) else text.encode()
    for plain, escaped in ((b'\\', b'\\\\'), (b'"', b'\\"'), (b'\n', b'\\n'), (b'\r', b'\\r')):
        data = data.replace(plain, escaped)
    return b'"' + data + b'"'


def _array(key: str, entries: list[Entry]) -> bytes:
    body = b',\n'.join(_object('    ', one, '    ') for one in entries)
    return f'  "{key}": [\n'.encode() + body + (b'\n' if entries else b'') + b'  ]'


def _object(start: str, pairs: Entry, indent: str) -> bytes:
    lines = [f'{indent}  '.encode() + quoted(key) + b': ' + _value(value) for key, value in pairs.items()]
    return start.encode() + b'{\n' + b',\n'.join(lines) + f'\n{indent}}}'.encode()


def _value(value: Value) -> bytes:
    if isinstance(value, (Literal, int)):
        return str(value).encode()
    return quoted(value)
