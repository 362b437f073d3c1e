# SPDX-License-Identifier: BSD-2-Clause
"""Reading an embedded schema: section 14. A schema is as hostile as the rest of the file."""

import struct
from dataclasses import dataclass, field
from typing import Optional

from .flatbuffer import I32, I64, U8, U16, Buffer, Table
from .framing import printable

NONE, UNION_TYPE, BOOL, BYTE, UBYTE, SHORT, USHORT, INT, UINT, LONG, ULONG, FLOAT, DOUBLE = range(13)
STRING, VECTOR, OBJECT, UNION, ARRAY = range(13, 18)

SCALARS: dict[int, struct.Struct] = {
    UNION_TYPE: struct.Struct('<B'),
    BOOL: struct.Struct('<B'),
    BYTE: struct.Struct('<b'),
    UBYTE: struct.Struct('<B'),
    SHORT: struct.Struct('<h'),
    USHORT: struct.Struct('<H'),
    INT: struct.Struct('<i'),
    UINT: struct.Struct('<I'),
    LONG: struct.Struct('<q'),
    ULONG: struct.Struct('<Q'),
    FLOAT: struct.Struct('<f'),
    DOUBLE: struct.Struct('<d'),
}

REAL = struct.Struct('<d')


@dataclass(frozen=True)
class Type:
    """The type of a field."""

    base: int
    element: int
    index: int
    fixed_length: int


@dataclass(frozen=True)
class Field:
    """A field of a table or struct."""

    name: str
    type: Type
    id: int
    offset: int
    default_integer: int
    default_real: float
    optional: bool
    attributes: dict[str, str]


@dataclass(frozen=True)
class Object:
    """A table or struct; fields in order of id."""

    name: str
    fields: tuple[Field, ...]
    is_struct: bool
    size: int


@dataclass(frozen=True)
class Enum:
    """An enum or union."""

    name: str
    names: dict[int, str] = field(default_factory=dict)
    objects: dict[int, int] = field(default_factory=dict)


class Schema:
    """A binary schema. Every index in it is known to be in range."""

    def __init__(self, data: bytes, file_offset: int, what: str) -> None:
        buffer = Buffer(data, file_offset, what)
        self._buffer = buffer
        if buffer.identifier() != b'BFBS':
            raise buffer.corrupt(4, 'the file identifier of a schema is not BFBS')
        root = buffer.root()
        self.objects = tuple(_read_object(table) for table in root.tables(0, 'objects', True))
        self.enums = tuple(_read_enum(table) for table in root.tables(1, 'enums', True))
        for item in self.objects:
            for entry in item.fields:
                self._check_type(item, entry)
        for enum in self.enums:
            for index in enum.objects.values():
                if not 0 <= index < len(self.objects):
                    raise buffer.corrupt(0, f'the union {enum.name} refers to object {index}')

    def object_named(self, name: str) -> Object:
        """The object with a fully qualified name."""
        for item in self.objects:
            if item.name == name:
                return item
        raise self._buffer.corrupt(0, f'the schema has no table {name}')

    def enum_of(self, kind: Type) -> Optional[Enum]:
        """The enum of a field, or of the elements of its vector or array."""
        base = kind.element if kind.base in (VECTOR, ARRAY) else kind.base
        if base == OBJECT or kind.index < 0:
            return None
        return self.enums[kind.index]

    def _check_type(self, item: Object, entry: Field) -> None:
        kind = entry.type
        what = f'{item.name}.{entry.name}'
        base = kind.element if kind.base in (VECTOR, ARRAY) else kind.base
        known = base in SCALARS or base == OBJECT or base == STRING and not item.is_struct
        known = known or base == UNION and kind.base == UNION and entry.id > 0
        if not known or (kind.base == ARRAY) > item.is_struct or kind.base in (VECTOR, UNION) and item.is_struct:
            raise self._buffer.corrupt(0, f'{what} has the type {kind.base} of {kind.element}')
        if base == OBJECT:
            if not 0 <= kind.index < len(self.objects):
                raise self._buffer.corrupt(0, f'{what} refers to object {kind.index}')
            if item.is_struct and not self.objects[kind.index].is_struct:
                raise self._buffer.corrupt(0, f'the struct {item.name} holds a table')
        elif kind.index >= len(self.enums) or base == UNION and kind.index < 0:
            raise self._buffer.corrupt(0, f'{what} refers to enum {kind.index}')


def _name(table: Table) -> str:
    return printable(table.string(0, 'name'))


def _read_type(table: Table) -> Type:
    return Type(table.scalar(0, U8), table.scalar(1, U8), table.scalar(2, I32, -1), table.scalar(3, U16))


def _read_field(table: Table) -> Field:
    default_real = table.optional_scalar(5, REAL)
    attributes = {}
    for pair in table.tables(9, 'attributes', False):
        attributes[printable(pair.string(0, 'key'))] = printable(pair.optional_string(1, 'value') or b'')
    return Field(
        name=_name(table),
        type=_read_type(table.table(1, 'type')),
        id=table.scalar(2, U16),
        offset=table.scalar(3, U16),
        default_integer=table.scalar(4, I64),
        default_real=0.0 if default_real is None else default_real,
        optional=table.boolean(11),
        attributes=attributes,
    )


def _read_object(table: Table) -> Object:
    fields = [_read_field(entry) for entry in table.tables(1, 'fields', True)]
    fields.sort(key=lambda entry: entry.id)
    size = table.scalar(4, I32)
    is_struct = table.boolean(2)
    if is_struct and size <= 0:
        raise table.buffer.corrupt(table.position, f'a struct has {size} bytes')
    return Object(_name(table), tuple(fields), is_struct, size)


def _read_enum(table: Table) -> Enum:
    enum = Enum(_name(table))
    for value in table.tables(1, 'values', True):
        number = value.scalar(1, I64)
        enum.names[number] = _name(value)
        union_type = value.optional_table(3, 'union_type')
        if union_type is not None:
            kind = _read_type(union_type)
            if kind.base == OBJECT:
                enum.objects[number] = kind.index
    return enum
