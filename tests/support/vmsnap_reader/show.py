# SPDX-License-Identifier: BSD-2-Clause
"""Values of a meta by its embedded schema: section 14."""

from dataclasses import dataclass
from typing import Any, Iterator, Union

from . import schema as s
from .errors import LimitExceeded
from .flatbuffer import U8, Buffer, Table
from .framing import printable

MAX_DEPTH = 64
MAX_VALUES = 1 << 20


@dataclass(frozen=True)
class Number:
    """A scalar as it is to be shown."""

    value: Union[int, float, bool]
    text: str


# What a field holds: None, a Number, a str, bytes (an image or [ubyte]), a list, or a dict by field name.
Value = Any


class Decoder:
    """Turns a FlatBuffer into a tree of values, with bounded depth and work."""

    def __init__(self, schema: s.Schema, buffer: Buffer) -> None:
        self._schema = schema
        self._buffer = buffer
        self._left = MAX_VALUES

    def decode(self, root_table: str) -> dict[str, Value]:
        """The root table."""
        item = self._schema.object_named(root_table)
        if item.is_struct:
            raise self._buffer.corrupt(0, f'the root table {root_table} is a struct')
        return self._table(item, self._buffer.root(), 0)

    def _enter(self, depth: int) -> None:
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            raise LimitExceeded(f'{self._buffer.what}: there is more to show than {MAX_VALUES} values or '
                                f'{MAX_DEPTH} levels')

    def _table(self, item: s.Object, table: Table, depth: int) -> dict[str, Value]:
        self._enter(depth)
        values = {}
        for entry in item.fields:
            base = entry.type.base
            if base in s.SCALARS:
                values[entry.name] = self._table_scalar(entry, table)
                continue
            position = table.field(entry.id)
            if position is None:
                values[entry.name] = None
            elif base == s.OBJECT and self._schema.objects[entry.type.index].is_struct:
                values[entry.name] = self._struct(self._schema.objects[entry.type.index], position, depth + 1)
            elif base == s.UNION:
                values[entry.name] = self._union(entry, table, position, depth)
            else:
                values[entry.name] = self._referred(entry, self._buffer.follow(position), depth)
        return values

    def _referred(self, entry: s.Field, position: int, depth: int) -> Value:
        if entry.type.base == s.STRING:
            return self._string(position)
        if entry.type.base == s.OBJECT:
            return self._table(self._schema.objects[entry.type.index], Table(self._buffer, position, 1), depth + 1)
        return self._vector(entry, position, depth + 1)

    def _union(self, entry: s.Field, table: Table, position: int, depth: int) -> Value:
        """A union has its type in the field before it."""
        member = table.scalar(entry.id - 1, U8)
        index = self._schema.enums[entry.type.index].objects.get(member)
        if index is None:
            return f'member {member}, which the schema does not describe'
        item = self._schema.objects[index]
        if item.is_struct:
            return self._struct(item, self._buffer.follow(position), depth + 1)
        return self._table(item, Table(self._buffer, self._buffer.follow(position), 1), depth + 1)

    def _vector(self, entry: s.Field, position: int, depth: int) -> Value:
        self._enter(depth)
        kind = entry.type
        if kind.element in s.SCALARS:
            return self._scalars(entry, *self._buffer.vector(position, s.SCALARS[kind.element].size))
        if kind.element == s.OBJECT and self._schema.objects[kind.index].is_struct:
            item = self._schema.objects[kind.index]
            first, count = self._buffer.vector(position, item.size)
            return [self._struct(item, first + n * item.size, depth + 1) for n in range(count)]
        first, count = self._buffer.vector(position, 4)
        places = [self._buffer.follow(first + 4 * n) for n in range(count)]
        if kind.element == s.STRING:
            return [self._string(place) for place in places]
        item = self._schema.objects[kind.index]
        return [self._table(item, Table(self._buffer, place, 1), depth + 1) for place in places]

    def _struct(self, item: s.Object, position: int, depth: int) -> dict[str, Value]:
        self._enter(depth)
        values: dict[str, Value] = {}
        for entry in item.fields:
            at = position + entry.offset
            kind = entry.type
            if kind.base in s.SCALARS:
                values[entry.name] = self._number(entry, kind.base, self._buffer.get(s.SCALARS[kind.base], at))
            elif kind.base == s.OBJECT:
                values[entry.name] = self._struct(self._schema.objects[kind.index], at, depth + 1)
            elif kind.element == s.OBJECT:
                inner = self._schema.objects[kind.index]
                values[entry.name] = [self._struct(inner, at + n * inner.size, depth + 1)
                                      for n in range(kind.fixed_length)]
            else:
                values[entry.name] = self._scalars(entry, at, kind.fixed_length)
        return values

    def _scalars(self, entry: s.Field, first: int, count: int) -> Value:
        form = s.SCALARS[entry.type.element]
        self._buffer.check(first, count * form.size)
        self._buffer.spend(first, count * form.size)
        if entry.type.element == s.UBYTE and self._schema.enum_of(entry.type) is None:
            return self._buffer.data[first:first + count]
        self._left -= count
        self._enter(0)
        return [self._number(entry, entry.type.element, form.unpack_from(self._buffer.data, first + n * form.size)[0])
                for n in range(count)]

    def _string(self, position: int) -> str:
        self._enter(0)
        return self._buffer.string(position).decode('utf-8', 'backslashreplace')

    def _table_scalar(self, entry: s.Field, table: Table) -> Value:
        self._enter(0)
        base = entry.type.base
        value = table.optional_scalar(entry.id, s.SCALARS[base])
        if value is None:
            if entry.optional:
                return None
            value = entry.default_real if base in (s.FLOAT, s.DOUBLE) else entry.default_integer
            if base == s.ULONG:
                value &= (1 << 64) - 1
        return self._number(entry, base, value)

    def _number(self, entry: s.Field, base: int, value: Union[int, float]) -> Number:
        if base == s.BOOL:
            return Number(bool(value) if value in (0, 1) else value, {0: 'false', 1: 'true'}.get(value, str(value)))
        text = str(value)
        enum = self._schema.enum_of(entry.type)
        if enum is not None:
            name = enum.names.get(int(value))
            text = f'{name} ({value})' if name else text
        elif base not in (s.FLOAT, s.DOUBLE) and ('hex' in entry.attributes or 'gpa' in entry.attributes):
            width = 2 * s.SCALARS[base].size
            text = f'0x{int(value) & ((1 << 4 * width) - 1):0{width}x}'
        unit = entry.attributes.get('unit')
        return Number(value, f'{text} {unit}' if unit else text)


def plain(value: Value) -> Any:
    """A value as JSON can hold it; bytes become hexadecimal."""
    if isinstance(value, Number):
        return value.value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def lines(name: str, value: Value, indent: str) -> Iterator[str]:
    """A value as text, one line per scalar."""
    head = f'{indent}{name}:'
    deeper = indent + '  '
    if value is None:
        yield f'{head} absent'
    elif isinstance(value, Number):
        yield f'{head} {value.text}'
    elif isinstance(value, str):
        yield f'{head} "{printable(value.encode())}"'
    elif isinstance(value, bytes):
        yield f'{head} {len(value)} bytes'
        for at in range(0, len(value), 16):
            yield f'{deeper}{at:08x}  {value[at:at + 16].hex(" ")}'
    elif isinstance(value, dict):
        yield head
        for inner, item in value.items():
            yield from lines(inner, item, deeper)
    elif all(isinstance(item, Number) for item in value):
        yield f'{head} [{", ".join(item.text for item in value)}]'
    else:
        yield head
        for number, item in enumerate(value):
            yield from lines(f'[{number}]', item, deeper)
