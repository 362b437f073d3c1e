# SPDX-License-Identifier: BSD-2-Clause
"""Reading a FlatBuffer: section 7. Every read is checked to lie inside the buffer."""

import struct
from typing import Iterator, Optional

from .errors import Corrupt, LimitExceeded

U8 = struct.Struct('<B')
U16 = struct.Struct('<H')
U32 = struct.Struct('<I')
I32 = struct.Struct('<i')
I64 = struct.Struct('<q')
U64 = struct.Struct('<Q')

MAX_DEPTH = 32
MAX_TABLES = 200000
# Strings and vectors count as often as they are referred to; section 11.6 asks readers to allow 16 MiB.
MAX_CONTENT = 64 << 20


class Buffer:
    """A copy of a FlatBuffer, where it came from, and what may still be spent on it."""

    def __init__(self, data: bytes, file_offset: int, what: str) -> None:
        self.data = data
        self._file_offset = file_offset
        self.what = what
        self._tables_left = min(MAX_TABLES, 8 * len(data))
        self._content_left = MAX_CONTENT
        self._strings: dict[int, bytes] = {}

    def corrupt(self, position: int, sentence: str) -> Corrupt:
        """An error about a position of this buffer."""
        return Corrupt(f'{self.what}: {sentence}', self._file_offset + position)

    def get(self, form: struct.Struct, position: int) -> int:
        """One scalar."""
        self.check(position, form.size)
        return form.unpack_from(self.data, position)[0]

    def check(self, position: int, size: int) -> None:
        """[position, position + size) lies inside the buffer."""
        if position < 0 or position + size > len(self.data):
            raise self.corrupt(0, f'a read of {size} bytes at {position} leaves the {len(self.data)} of the FlatBuffer')

    def follow(self, position: int) -> int:
        """Where the reference at position leads."""
        distance = self.get(U32, position)
        if distance == 0:
            raise self.corrupt(position, 'a reference is 0')
        return position + distance

    def identifier(self) -> bytes:
        """The file identifier."""
        self.check(4, 4)
        return self.data[4:8]

    def root(self) -> 'Table':
        """The root table."""
        return self.table(self.get(U32, 0), 1)

    def table(self, position: int, depth: int) -> 'Table':
        """The table at position; depth counts the root as 1."""
        if depth > MAX_DEPTH:
            raise self.corrupt(position, f'tables are nested deeper than {MAX_DEPTH}')
        self._tables_left -= 1
        if self._tables_left < 0:
            raise self.corrupt(position, 'more tables are referred to than a meta of this size may have')
        return Table(self, position, depth)

    def spend(self, position: int, size: int) -> None:
        """Counts content that is about to be read."""
        self._content_left -= size
        if self._content_left < 0:
            raise LimitExceeded(f'{self.what}: strings and vectors come to more than {MAX_CONTENT} bytes',
                                self._file_offset + position)

    def string(self, position: int) -> bytes:
        """The string at position, without its NUL."""
        length = self.get(U32, position)
        self.check(position + 4, length + 1)
        self.spend(position, length)
        if position not in self._strings:
            end = position + 4 + length
            if self.data[end] != 0:
                raise self.corrupt(end, 'a string does not end with NUL')
            self._strings[position] = self.data[position + 4:end]
        return self._strings[position]

    def vector(self, position: int, element_size: int) -> tuple[int, int]:
        """Position of the first element, and number of elements, of the vector at position."""
        count = self.get(U32, position)
        self.check(position + 4, count * element_size)
        self.spend(position, count * element_size)
        return position + 4, count


class Table:
    """A table of a Buffer."""

    __slots__ = ('buffer', 'position', '_depth', '_vtable', '_vtable_size')

    def __init__(self, buffer: Buffer, position: int, depth: int) -> None:
        self.buffer = buffer
        self.position = position
        self._depth = depth
        self._vtable = position - buffer.get(I32, position)
        self._vtable_size = buffer.get(U16, self._vtable)
        if self._vtable_size < 4 or self._vtable_size % 2:
            raise buffer.corrupt(self._vtable, f'the size of a vtable is {self._vtable_size}')
        buffer.check(self._vtable, self._vtable_size)

    def field(self, field_id: int) -> Optional[int]:
        """Position of a field in the buffer, or None when it is absent."""
        slot = 4 + 2 * field_id
        if slot + 2 > self._vtable_size:
            return None
        offset = self.buffer.get(U16, self._vtable + slot)
        return self.position + offset if offset else None

    def scalar(self, field_id: int, form: struct.Struct, default: int = 0) -> int:
        """A scalar or its default."""
        position = self.field(field_id)
        return default if position is None else self.buffer.get(form, position)

    def optional_scalar(self, field_id: int, form: struct.Struct) -> Optional[int]:
        """A scalar whose absence is a value."""
        position = self.field(field_id)
        return None if position is None else self.buffer.get(form, position)

    def boolean(self, field_id: int) -> bool:
        """A bool with the default false."""
        return self.scalar(field_id, U8) != 0

    def reference(self, field_id: int, name: str, required: bool) -> Optional[int]:
        """Where a string, vector or table is."""
        position = self.field(field_id)
        if position is not None:
            return self.buffer.follow(position)
        if required:
            raise self.buffer.corrupt(self.position, f'the required field {name} is absent')
        return None

    def string(self, field_id: int, name: str) -> bytes:
        """A required string."""
        position = self.reference(field_id, name, True)
        assert position is not None
        return self.buffer.string(position)

    def optional_string(self, field_id: int, name: str) -> Optional[bytes]:
        """A string, or None when it is absent."""
        position = self.reference(field_id, name, False)
        return None if position is None else self.buffer.string(position)

    def table(self, field_id: int, name: str) -> 'Table':
        """A required table."""
        position = self.reference(field_id, name, True)
        assert position is not None
        return self.buffer.table(position, self._depth + 1)

    def optional_table(self, field_id: int, name: str) -> Optional['Table']:
        """A table, or None when it is absent."""
        position = self.reference(field_id, name, False)
        return None if position is None else self.buffer.table(position, self._depth + 1)

    def tables(self, field_id: int, name: str, required: bool) -> Iterator['Table']:
        """The tables of a vector; none when it is absent and need not be there."""
        for position in self._referred(field_id, name, required):
            yield self.buffer.table(position, self._depth + 1)

    def strings(self, field_id: int, name: str) -> Iterator[bytes]:
        """The strings of a vector; none when it is absent."""
        for position in self._referred(field_id, name, False):
            yield self.buffer.string(position)

    def scalars(self, field_id: int, name: str, letter: str, required: bool) -> tuple[int, ...]:
        """The scalars of a vector; letter is their code in the module struct."""
        position = self.reference(field_id, name, required)
        if position is None:
            return ()
        first, count = self.buffer.vector(position, struct.calcsize('<' + letter))
        return struct.unpack_from(f'<{count}{letter}', self.buffer.data, first)

    def bytes(self, field_id: int, name: str, size: int) -> bytes:
        """A required vector of bytes of a fixed size."""
        position = self.reference(field_id, name, True)
        assert position is not None
        first, count = self.buffer.vector(position, 1)
        if count != size:
            raise self.buffer.corrupt(position, f'{name} has {count} bytes instead of {size}')
        return self.buffer.data[first:first + count]

    def structs(self, field_id: int, name: str, form: struct.Struct) -> Iterator[tuple]:
        """The structs of a required vector, unpacked."""
        position = self.reference(field_id, name, True)
        assert position is not None
        first, count = self.buffer.vector(position, form.size)
        return form.iter_unpack(memoryview(self.buffer.data)[first:first + count * form.size])

    def _referred(self, field_id: int, name: str, required: bool) -> Iterator[int]:
        position = self.reference(field_id, name, required)
        if position is None:
            return
        first, count = self.buffer.vector(position, 4)
        for index in range(count):
            yield self.buffer.follow(first + 4 * index)
