# SPDX-License-Identifier: BSD-2-Clause
"""A chunk under construction: bytes, and beside them what each field was meant to say."""

import contextlib
import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from .values import Values

FORMATS = {'u8': '<B', 'u16': '<H', 'u32': '<I', 'u64': '<Q', 'i8': '<b', 'i16': '<h', 'i32': '<i', 'i64': '<q',
           'bool': '<B', 'gaddr': '<Q', 'gaddr_or_null': '<Q', 'host_pointer': '<Q'}
NULL = 0xffff_ffff_ffff_ffff
# Longer byte strings are told by their digest, or the file of expectations would be larger than the set.
LONGEST_HEX = 4096


@dataclass
class Field:
    path: str
    type: str
    offset: int
    size: int
    value: int | bytes

    def told(self) -> list[object]:
        value: object = self.value
        if isinstance(self.value, bytes):
            value = self.value.hex()
            if self.size > LONGEST_HEX:
                value = {'sha256': hashlib.sha256(self.value).hexdigest()}
        return [self.path, self.type, self.offset, self.size, value]


class Chunk:
    """`name` is what the meta file says; `key` goes into the values and is the same in all generations."""

    def __init__(self, name: str, values: Values, key: str = '') -> None:
        self.name = name
        self.values = values
        self.key = key or name
        self.data = bytearray()
        self.fields: list[Field] = []
        self.compare_only: list[str] = []
        self.meaningless: list[str] = []
        self._prefix = ''
        self._ignored = False

    @contextlib.contextmanager
    def within(self, name: str, meaningless: bool = False) -> Iterator[None]:
        """The fields added meanwhile are parts of `name`, and like it without meaning."""
        outer = self._prefix, self._ignored
        self._prefix += name + '.'
        self._ignored |= meaningless
        yield
        self._prefix, self._ignored = outer

    def key_of(self, path: str) -> str:
        return f'{self.key}/{self._prefix}{path}'

    def add(self, path: str, kind: str, value: int | None = None, *, compare: bool = False,
            meaningless: bool = False) -> int:
        """Appends a number; without a value, the one of the rule. Gives the value."""
        size = struct.calcsize(FORMATS[kind])
        if value is None:
            value = self.values.flag(self.key_of(path)) if kind == 'bool' else self.values.number(
                self.key_of(path), size * 8)
            if kind[0] == 'i' and value >> (size * 8 - 1):
                value -= 1 << (size * 8)
        self._append(path, kind, struct.pack(FORMATS[kind], value), value, compare, meaningless)
        return value

    def raw(self, path: str, data: bytes, *, meaningless: bool = False) -> None:
        self._append(path, 'bytes', data, data, False, meaningless)

    def hashed(self, path: str, size: int) -> bytes:
        """Appends bytes of the rule."""
        data = self.values.data(self.key_of(path), size)
        self.raw(path, data)
        return data

    def flag(self, path: str, kind: str = 'i32') -> int:
        return self.add(path, kind, self.values.flag(self.key_of(path)))

    def below(self, path: str, kind: str, limit: int) -> int:
        return self.add(path, kind, self.values.below(self.key_of(path), limit))

    def many(self, paths: str, kind: str) -> None:
        """Numbers of the rule, by names between spaces."""
        for path in paths.split():
            self.add(path, kind)

    def array(self, path: str, kind: str, count: int) -> None:
        for index in range(count):
            self.add(f'{path}[{index}]', kind)

    def field(self, path: str) -> Field:
        return next(field for field in self.fields if field.path == path)

    def patch(self, path: str, value: int) -> None:
        """Overwrites a field, which then no longer follows from the others."""
        field = self.field(path)
        data = value.to_bytes(field.size, 'little', signed=value < 0)
        self.data[field.offset:field.offset + field.size] = data
        field.value = value

    def _append(self, path: str, kind: str, data: bytes, value: int | bytes, compare: bool, meaningless: bool) -> None:
        full = self._prefix + path
        self.fields.append(Field(full, kind, len(self.data), len(data), value))
        self.data += data
        if compare:
            self.compare_only.append(full)
        if meaningless or self._ignored:
            self.meaningless.append(full)
