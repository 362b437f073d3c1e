#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of --show: states are shown by the schema in the file, also when both are hostile."""

import contextlib
import io
import json
import os
import struct
import sys
import tempfile
import unittest
from dataclasses import replace
from typing import Any, Optional

# The package lies in the source tree, which a test run leaves as it was.
sys.dont_write_bytecode = True

from vmsnap_reader import cli, show, schema as s  # noqa: E402
from vmsnap_reader.errors import Corrupt, LimitExceeded  # noqa: E402
from vmsnap_reader.flatbuffer import Buffer  # noqa: E402
import vmsnap_reader_test_writer as w  # noqa: E402


def kind(base: int, element: int = 0, index: int = -1, fixed_length: int = 0) -> dict[int, Any]:
    """A Type of reflection.fbs."""
    return {0: ('B', base), 1: ('B', element), 2: ('i', index), 3: ('H', fixed_length)}


def field(field_id: int, name: bytes, of: dict[int, Any], *, offset: Optional[int] = None, default: int = 0,
          optional: bool = False, attributes: tuple[tuple[bytes, bytes], ...] = ()) -> dict[int, Any]:
    """A Field; offset is given in structs."""
    return {0: name, 1: of, 2: ('H', field_id), 3: ('H', 4 + 2 * field_id if offset is None else offset),
            4: ('q', default), 9: [{0: key, 1: value} for key, value in attributes], 11: ('B', int(optional))}


def thing(name: bytes, *fields: dict[int, Any], struct_size: int = 0) -> dict[int, Any]:
    """An Object."""
    return {0: name, 1: sorted(fields, key=lambda one: one[0]), 2: ('B', int(struct_size > 0)), 4: ('i', struct_size)}


def enum(name: bytes, *values: tuple) -> dict[int, Any]:
    """An Enum; values are (number, name) or (number, name, object of the union)."""
    return {0: name, 1: [{0: value[1], 1: ('q', value[0]), **({3: kind(s.OBJECT, 0, value[2])} if value[2:] else {})}
                         for value in values], 3: kind(s.UBYTE)}


ROOT, INNER, PAIR = range(3)
MODE, CHOICE = range(2)

OBJECTS = [
    thing(b'x.Root',
          field(0, b'hexed', kind(s.USHORT), attributes=((b'hex', b'0'),)),
          field(1, b'late', kind(s.ULONG), attributes=((b'unit', b'ns'),), default=-1),
          field(2, b'mode', kind(s.UBYTE, 0, MODE), default=1),
          field(3, b'maybe', kind(s.UINT), optional=True),
          field(4, b'on', kind(s.BOOL)),
          field(5, b'name', kind(s.STRING)),
          field(6, b'picture', kind(s.VECTOR, s.UBYTE), attributes=((b'image', b'0'),)),
          field(7, b'numbers', kind(s.VECTOR, s.SHORT)),
          field(8, b'inner', kind(s.OBJECT, 0, INNER)),
          field(9, b'inners', kind(s.VECTOR, s.OBJECT, INNER)),
          field(10, b'pair', kind(s.OBJECT, 0, PAIR)),
          field(11, b'pairs', kind(s.VECTOR, s.OBJECT, PAIR)),
          field(12, b'choice_type', kind(s.UNION_TYPE, 0, CHOICE)),
          field(13, b'choice', kind(s.UNION, 0, CHOICE)),
          field(14, b'words', kind(s.VECTOR, s.STRING)),
          field(15, b'never', kind(s.STRING))),
    thing(b'x.Inner', field(0, b'depth', kind(s.INT), default=-7)),
    thing(b'x.Pair', field(0, b'first', kind(s.UINT), offset=0),
          field(1, b'rest', kind(s.ARRAY, s.USHORT, -1, 2), offset=4), struct_size=8),
]
ENUMS = [enum(b'x.Mode', (0, b'Off'), (1, b'On')), enum(b'x.Choice', (0, b'NONE'), (1, b'Inner', INNER))]

STATE = {
    0: ('H', 0xBEEF), 3: ('I', 0), 4: ('B', 1), 5: 'Jäger\x1b'.encode(), 6: w.Scalars('B', tuple(range(20))),
    7: w.Scalars('h', (-1, 2)), 8: {0: ('i', 5)}, 9: [{}, {0: ('i', 6)}], 10: w.Inline(struct.pack('<IHH', 1, 2, 3)),
    11: w.Structs((struct.pack('<IHH', 4, 5, 6), struct.pack('<IHH', 7, 8, 9))), 12: ('B', 1), 13: {0: ('i', 8)},
    14: [b'a', b'b'],
}

TEXT = '''\
hexed: 0xbeef
late: 18446744073709551615 ns
mode: On (1)
maybe: 0
on: true
name: "J\\xc3\\xa4ger\\x1b"
picture: 20 bytes
  00000000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f
  00000010  10 11 12 13
numbers: [-1, 2]
inner:
  depth: 5
inners:
  [0]:
    depth: -7
  [1]:
    depth: 6
pair:
  first: 1
  rest: [2, 3]
pairs:
  [0]:
    first: 4
    rest: [5, 6]
  [1]:
    first: 7
    rest: [8, 9]
choice_type: Inner (1)
choice:
  depth: 8
words:
  [0]: "a"
  [1]: "b"
never: absent
'''


def schema_body(objects: list, enums: list) -> bytes:
    """A binary schema."""
    return w.flatbuffer(b'BFBS', {0: objects, 1: enums, 2: b'UART', 4: objects[0]})


class Show(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, 'x.vmsnap')

    def show(self, body: bytes, state: dict[int, Any], *options: str, root: bytes = b'x.Root') -> tuple[int, str, str]:
        """Exit status, standard output, standard error of a showing of a file with this schema and state."""
        uart = replace(w.UART_SCHEMA, root_table=root, body=body)
        with open(self.path, 'wb') as file:
            file.write(w.Small(schemas=w.CONTAINER_SCHEMAS + (uart,), state=state).build())
        out, err = io.TextIOWrapper(io.BytesIO(), 'utf-8'), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main([*options, '--show', 'isa0/uart@3f8', self.path])
        out.seek(0)
        return status, out.read(), err.getvalue()

    def test_every_kind_of_field_is_shown(self) -> None:
        self.assertEqual((0, TEXT, ''), self.show(schema_body(OBJECTS, ENUMS), STATE))

    def test_json_has_plain_values(self) -> None:
        state = json.loads(self.show(schema_body(OBJECTS, ENUMS), STATE, '--json')[1])['state']
        self.assertEqual(0xBEEF, state['hexed'])
        self.assertEqual(bytes(range(20)).hex(), state['picture'])
        self.assertEqual([{'depth': -7}, {'depth': 6}], state['inners'])
        self.assertEqual({'first': 1, 'rest': [2, 3]}, state['pair'])
        self.assertIs(True, state['on'])
        self.assertIsNone(state['never'])

    def test_an_empty_state_has_defaults_and_absent_fields(self) -> None:
        status, out, _ = self.show(schema_body(OBJECTS, ENUMS), {})
        self.assertEqual(0, status)
        self.assertIn('mode: On (1)\nmaybe: absent\non: false\nname: absent\n', out)

    def test_the_instance_number_names_the_device_too(self) -> None:
        self.show(schema_body(OBJECTS, ENUMS), STATE)
        with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
            self.assertEqual(0, cli.main(['--show', '1', self.path]))

    def test_unknown_enum_values_and_union_members_are_numbers(self) -> None:
        out = self.show(schema_body(OBJECTS, ENUMS), {2: ('B', 77), 12: ('B', 9), 13: {}})[1]
        self.assertIn('mode: 77\n', out)
        self.assertIn('choice: "member 9, which the schema does not describe"', out)

    def assert_not_shown(self, status: int, kind_of_error: str, body: bytes, state: dict, **root: bytes) -> None:
        answer = self.show(body, state, **root)
        self.assertEqual((status, '', kind_of_error), (answer[0], answer[1], answer[2].split(':')[0]), answer)

    def test_nonsense_in_place_of_a_schema_is_refused(self) -> None:
        self.assert_not_shown(4, 'Corrupt', b'nonsense', STATE)
        self.assert_not_shown(4, 'Corrupt', schema_body(OBJECTS, ENUMS), STATE, root=b'x.Absent')
        self.assert_not_shown(4, 'Corrupt', schema_body(OBJECTS, ENUMS), STATE, root=b'x.Pair')

    def test_indexes_and_types_out_of_range_are_refused(self) -> None:
        for of in (kind(s.OBJECT, 0, 9), kind(s.OBJECT), kind(s.UBYTE, 0, 9), kind(s.VECTOR, s.OBJECT, 9), kind(99),
                   kind(s.UNION, 0, -1), kind(s.VECTOR, s.VECTOR), kind(s.ARRAY, s.UINT, -1, 4), kind(s.NONE)):
            body = schema_body([thing(b'x.Root', field(1, b'x', of))], [])
            self.assert_not_shown(4, 'Corrupt', body, STATE)

    def test_a_struct_within_itself_comes_to_an_end(self) -> None:
        knot = thing(b'x.Knot', field(0, b'a', kind(s.OBJECT, 0, 1), offset=0),
                     field(1, b'b', kind(s.OBJECT, 0, 1), offset=0), struct_size=4)
        body = schema_body([thing(b'x.Root', field(0, b'knot', kind(s.OBJECT, 0, 1))), knot], [])
        self.assert_not_shown(1, 'LimitExceeded', body, {0: ('I', 1)})

    def test_a_state_that_its_schema_does_not_fit_is_refused(self) -> None:
        body = schema_body([thing(b'x.Root', field(0, b'name', kind(s.STRING)))], [])
        self.assert_not_shown(4, 'Corrupt', body, {0: ('I', 1 << 30)})
        self.assert_not_shown(4, 'Corrupt', body, {0: ('I', 0)})

    def test_cut_and_flipped_schemas_do_no_more_than_be_refused(self) -> None:
        body = schema_body(OBJECTS, ENUMS)
        meta = w.flatbuffer(b'UART', STATE)
        damaged = [body[:length] for length in range(len(body))]
        damaged += [body[:n] + bytes([body[n] ^ (1 << n % 8)]) + body[n + 1:] for n in range(len(body))]
        refused = 0
        for data in damaged:
            try:
                show.Decoder(s.Schema(data, 0, 'schema'), Buffer(meta, 0, 'state')).decode('x.Root')
            except (Corrupt, LimitExceeded):
                refused += 1
        self.assertGreater(refused, len(body) // 2)


if __name__ == '__main__':
    unittest.main()
