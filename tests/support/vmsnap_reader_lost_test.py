#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the independent reader on recovered files, docs/format.md section 8.9."""

import json
import sys
import unittest
from dataclasses import replace
from typing import Any

# The package lies in the source tree, which a test run leaves as it was.
sys.dont_write_bytecode = True

from vmsnap_reader import metas  # noqa: E402
from vmsnap_reader.errors import Corrupt, Unsupported  # noqa: E402
from vmsnap_reader.snapshot import Snapshot  # noqa: E402
from vmsnap_reader.source import Source  # noqa: E402
import vmsnap_reader_test as base  # noqa: E402
import vmsnap_reader_test_writer as w  # noqa: E402
from vmsnap_reader_test_writer import loss, lost  # noqa: E402

DEVICE, MEMORY, CHUNK = 0, 1, 2
UART = loss(DEVICE, path=b'isa0/uart@3e8', type=b'uart16550', instance=('I', 2))
PAGE = loss(MEMORY, size=('Q', 4096))


def recovered(*chunks: dict[str, Any], features: tuple = (w.RECOVERED_FEATURE,)) -> w.Small:
    """A small snapshot with LOST or other chunks before END."""
    return w.Small(header={'features': features}, schemas=w.Small().schemas + (w.LOST_SCHEMA,), extra_chunks=chunks)


class Sound(base.ReaderTest):
    def test_reads_what_is_missing(self) -> None:
        self.write(recovered(lost(UART, PAGE, loss(CHUNK), loss(CHUNK, type=b'xNEW', instance=('I', 7)))).build())
        with Source(self.path) as source:
            losses = Snapshot(source).losses
        why = 'it is not there'
        self.assertEqual((metas.Loss(DEVICE, why, 'isa0/uart@3e8', 'uart16550', 2, 0, 0, 0),
                          metas.Loss(MEMORY, why, '', '', 0, 0, 0, 4096), metas.Loss(CHUNK, why, '', '', 0, 0, 0, 0),
                          metas.Loss(CHUNK, why, '', 'xNEW', 7, 0, 0, 0)), losses)

    def test_prints_each_loss(self) -> None:
        self.write(recovered(lost(UART, PAGE, loss(CHUNK), loss(9))).build())
        text = self.run_cli(self.path)[1]
        for line in ('lost: device isa0/uart@3e8 of type uart16550, instance 2: it is not there',
                     'lost: 4096 bytes of segment 0 from 0x0: it is not there',
                     'lost: an unknown number of chunks: it is not there',
                     'lost: something of the unknown kind 9: it is not there'):
            self.assertIn(line + '\n', text)
        printed = json.loads(self.run_cli('--json', self.path)[1])['losses']
        self.assertEqual([0, 1, 2, 9], [loss['kind'] for loss in printed])
        self.assertEqual('isa0/uart@3e8', printed[0]['path'])

    def test_a_restoring_reader_refuses_it(self) -> None:
        data = recovered(lost(UART)).build()
        self.assert_whole(data)
        self.assert_refused(Unsupported, data, 'isa0/uart@3e8', restore=True)

    def test_memory_may_be_missing_to_the_end_of_its_segment_and_texts_may_be_as_long_as_they_may(self) -> None:
        long = loss(CHUNK, reason=b'r' * 1024, path=b'p' * 255, type=b't' * 63)
        empty = loss(DEVICE, path=b'', type=b'')
        self.assert_whole(recovered(lost(long, empty, PAGE)).build())

    def test_the_fields_of_memory_mean_nothing_to_other_kinds(self) -> None:
        odd = {'segment': ('I', 7), 'offset': ('Q', 1), 'size': ('Q', 0)}
        self.assert_whole(recovered(lost(*(loss(kind, **odd) for kind in (DEVICE, CHUNK, 3, 255)))).build())


class Rules(base.ReaderTest):
    def test_the_list_and_the_bit_come_together(self) -> None:
        self.assert_refused(Corrupt, recovered(lost(UART), features=()).build(), 'does not announce')
        self.assert_refused(Unsupported, recovered().build(), 'does not say what it lacks')

    def test_damage_is_found_before_a_missing_list(self) -> None:
        data = bytearray(recovered().build())
        place = data.index(b'page' + bytes(100))
        data[place] ^= 1
        self.assert_refused(Corrupt, bytes(data), 'differs from its leaf')

    def test_nothing_but_end_follows(self) -> None:
        late_schema = {'chunk_type': b'SCHM', 'schema_id': 0, 'instance': 8, 'meta': b'', 'body': [b'x']}
        unknown = {**base.UNKNOWN_CHUNK, 'flags': 0}
        for chunk in (lost(UART), unknown, late_schema):
            small = recovered(lost(UART), chunk)
            if chunk is unknown:
                small = replace(small, schemas=small.schemas + (base.UNKNOWN_SCHEMA,))
            self.assert_refused(Corrupt, small.build(), 'follows LOST')

    def test_of_the_chunk(self) -> None:
        self.assert_refused(Corrupt, recovered(lost(UART, instance=1)).build(), 'not instance 0')
        self.assert_refused(Corrupt, recovered(lost(UART, flags=w.SAFE_TO_COPY)).build(), 'not CRITICAL')
        self.assert_refused(Corrupt, recovered(lost(UART, body=[b'x'])).build(), 'has a body')
        self.assert_refused(Corrupt, recovered(lost(UART, schema_id=99)).build(), 'no SCHM chunk before it')
        foreign = w.flatbuffer(b'END ', {0: [UART]})
        self.assert_refused(Corrupt, recovered(lost(UART, meta=foreign)).build(), 'identifier')
        later = replace(recovered(lost(UART)), schemas=w.Small().schemas + (replace(w.LOST_SCHEMA, major=2),))
        self.assert_refused(Unsupported, later.build(), '2.0')

    def test_of_what_is_missing(self) -> None:
        size, offset = ('Q', 4096), ('Q', 4096)
        cases = {
            'nothing is missing': (),
            'the required field reason': (loss(CHUNK, reason=None),),
            'without a reason': (UART, loss(CHUNK, reason=b'')),
            'more than 1024': (loss(CHUNK, reason=b'r' * 1025),),
            'not UTF-8': (loss(CHUNK, reason=b'\xff'),),
            'NUL': (loss(CHUNK, reason=b'a\0b'),),
            'no device path': (loss(DEVICE, path=b'a b'),),
            'more than 255': (loss(DEVICE, path=b'p' * 256),),
            'more than 63': (loss(CHUNK, type=b't' * 64),),
            'which does not exist': (loss(MEMORY, segment=('I', 1), size=size),),
            'whole pages': (loss(MEMORY),),
            'not whole pages': (loss(MEMORY, offset=('Q', 100), size=size),),
            ': not whole pages': (loss(MEMORY, size=('Q', 100)),),
            'it ends before': (loss(MEMORY, offset=offset, size=size),),
            'bytes from 0xfffffffffffff000': (loss(MEMORY, offset=('Q', (1 << 64) - 4096), size=('Q', 8192)),),
        }
        for text, losses in cases.items():
            with self.subTest(text):
                self.assert_refused(Corrupt, recovered(lost(*losses)).build(), text)
        self.assert_refused(Corrupt, recovered(lost(meta=w.flatbuffer(b'LOST', {}))).build(), 'required field losses')


if __name__ == '__main__':
    unittest.main()
