#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the independent reader on memory as extents, docs/format.md sections 8.5 and 9.2."""

import json
import os
import struct
import sys
import unittest
from typing import Any

# The package lies in the source tree, which a test run leaves as it was.
sys.dont_write_bytecode = True

from vmsnap_reader import hashes, lz4  # noqa: E402
from vmsnap_reader.errors import Corrupt, Truncated, Unsupported  # noqa: E402
from vmsnap_reader.snapshot import Snapshot  # noqa: E402
from vmsnap_reader.source import Source  # noqa: E402
import vmsnap_reader_test as base  # noqa: E402
import vmsnap_reader_test_writer as w  # noqa: E402
from vmsnap_reader_test_writer import DATA, DUPLICATE, LZ4, PARENT, ZERO, extents, run  # noqa: E402

PAGE = 4096
EXTENT = 1 << 18
A, B, C = (bytes([letter]) * PAGE for letter in b'ABC')
# 70 pages: one whole extent of 64 and a short one of 6.
MEMORY = A + bytes(PAGE) + B + bytes(61 * PAGE) + A + B + bytes(2 * PAGE) + C + bytes(PAGE)
LEAVES = tuple(hashes.xxh64(MEMORY[at:at + EXTENT]) for at in range(0, len(MEMORY), EXTENT))
FIRST_RUNS = (run(DATA, 1), run(ZERO, 1), run(DATA, 1), run(ZERO, 61))
SECOND_RUNS = (run(DUPLICATE, 1, 0), run(DUPLICATE, 1, 2 * PAGE), run(ZERO, 2), run(DATA, 1), run(ZERO, 1))


def first(**changes: Any) -> dict[str, Any]:
    """The chunk of the first extent."""
    return extents(0, LEAVES[:1], **{'runs': FIRST_RUNS, 'body': A + B, **changes})


def second(**changes: Any) -> dict[str, Any]:
    """The chunk of the second extent."""
    return extents(1, LEAVES[1:], **{'runs': SECOND_RUNS, 'body': C, **changes})


def small(*chunks: dict[str, Any], size: int = len(MEMORY), features: tuple = w.EXTENTS_FEATURES) -> w.Small:
    """A snapshot whose only segment has these chunks."""
    return w.Small(header={'features': features}, schemas=w.Small().schemas + (w.EXTENTS_SCHEMA,),
                   memory_chunks=chunks).with_memory([w.segment(0, b'ram', size)], [])


def whole(runs: tuple[bytes, ...], body: bytes, memory: bytes, **changes: Any) -> w.Small:
    """A snapshot whose only segment is one chunk."""
    leaves = tuple(hashes.xxh64(memory[at:at + EXTENT]) for at in range(0, len(memory), EXTENT))
    return small(extents(0, leaves, runs, body, **changes), size=len(memory))


def more(count: int) -> tuple[int, bytes]:
    """A count in LZ4: the 4 bits of the token, and the bytes after them."""
    if count < 15:
        return count, b''
    return 15, b'\xff' * ((count - 15) // 255) + bytes([(count - 15) % 255])


def sequence(literals: bytes, offset: int, count: int) -> bytes:
    """A sequence of an LZ4 block: literals, and a match of count bytes."""
    (high, literal_bytes), (low, match_bytes) = more(len(literals)), more(count - 4)
    return bytes([high << 4 | low]) + literal_bytes + literals + struct.pack('<H', offset) + match_bytes


def last(literals: bytes) -> bytes:
    """The end of an LZ4 block."""
    high, literal_bytes = more(len(literals))
    return bytes([high << 4]) + literal_bytes + literals


def packed(content: bytes) -> bytes:
    """An LZ4 block of whole pages, each of one byte over and over."""
    block = b''
    for at in range(0, len(content), PAGE):
        end = at + PAGE == len(content)
        block += sequence(content[at:at + 1], 1, PAGE - 1 - (5 if end else 0))
    return block + last(content[-5:])


class ExtentsTest(base.ReaderTest):
    def digest(self, data: bytes) -> bytes:
        """The memory digest of a sound file."""
        self.write(data)
        with Source(self.path) as source:
            return Snapshot(source).memory_digest


class Sound(ExtentsTest):
    def test_the_memory_digest_is_the_same_in_every_encoding(self) -> None:
        expected = hashes.xxh128(struct.pack('<QQQQ', len(MEMORY), 18, *LEAVES))
        flat = w.Small(ram=(MEMORY,), leaves=LEAVES).with_memory([w.segment(0, b'ram', len(MEMORY))], [])
        crossing = FIRST_RUNS[:3] + (run(ZERO, 60), run(ZERO, 1)) + SECOND_RUNS
        block = packed(A + B)
        for encoded in (flat, small(first(), second()), small(extents(0, LEAVES, crossing, A + B + C)),
                        small(extents(0, LEAVES, crossing, block + C, codec=LZ4, block_sizes=(len(block), PAGE))),
                        small(first(body=block, codec=LZ4, block_sizes=(len(block),)), second()),
                        small(first(block_sizes=()), second(changes={9: ('I', 1)}))):
            self.assertEqual(expected, self.digest(encoded.build()))

    def test_the_digest_of_no_memory_is_that_of_nothing(self) -> None:
        none = w.Small(memory_chunks=()).with_memory([], [])
        self.assertEqual(hashes.xxh128(), self.digest(none.build()))

    def test_the_digest_covers_all_segments_and_is_printed(self) -> None:
        flat = {'chunk_type': b'RAMF', 'schema_id': 4, 'instance': 1, 'flags': w.CRITICAL | w.LEAVES, 'body': [C],
                'meta': w.flatbuffer(b'RAMF', {0: ('I', 1), 1: ('B', 18), 3: w.Scalars('Q', (hashes.xxh64(C),))}),
                'body_hash': hashes.leaf_array_hash((hashes.xxh64(C),)), 'alignment': 4096}
        both = small(first(), flat, second()).with_memory(
            [w.segment(0, b'ram', len(MEMORY)), w.segment(1, b'rom', PAGE)], [])
        self.write(both.build())
        expected = hashes.xxh128(struct.pack('<QQQQ', len(MEMORY), 18, *LEAVES),
                                 struct.pack('<QQQ', PAGE, 18, hashes.xxh64(C))).hex()
        self.assertEqual(expected, json.loads(self.run_cli('--json', self.path)[1])['memory_digest'])
        self.assertIn(f'memory digest {expected}', self.run_cli(self.path)[1])

    def test_a_batch_without_data_has_no_body(self) -> None:
        zero = bytes(EXTENT + PAGE)
        self.assert_whole(whole((run(ZERO, 65),), b'', zero).build(), restore=True)
        self.assert_whole(whole((run(ZERO, 65),), b'', zero, codec=LZ4).build())

    def test_data_may_be_zero(self) -> None:
        self.assert_whole(whole((run(DATA, 2),), A + bytes(PAGE), A + bytes(PAGE)).build())

    def test_a_duplicate_may_repeat_the_data_of_several_runs_and_chunks(self) -> None:
        memory = A * 64 + B * 64 + A * 2 + B * 2
        leaves = tuple(hashes.xxh64(memory[at:at + EXTENT]) for at in range(0, len(memory), EXTENT))
        chunks = (extents(0, leaves[:1], (run(DATA, 63), run(DATA, 1)), A * 64),
                  extents(1, leaves[1:], (run(DATA, 1), run(DATA, 63), run(DUPLICATE, 4, 62 * PAGE)), B * 64))
        self.assert_whole(small(*chunks, size=len(memory)).build())

    def test_the_blocks_are_those_of_each_extent_by_itself(self) -> None:
        """17 pages of data at the end of an extent and 17 in the next: blocks of 16, 1, 16 and 1 pages."""
        memory = bytes(47 * PAGE) + A * 34
        blocks = (packed(A * 16), packed(A), packed(A * 16), packed(A))
        sizes = tuple(map(len, blocks))
        file = whole((run(ZERO, 47), run(DATA, 34)), b''.join(blocks), memory, codec=LZ4, block_sizes=sizes)
        self.assert_whole(file.build())
        blocks = (packed(A * 16), packed(A * 16), packed(A * 2))
        file = whole((run(ZERO, 47), run(DATA, 34)), b''.join(blocks), memory, codec=LZ4,
                     block_sizes=tuple(map(len, blocks)))
        self.assert_refused(Corrupt, file.build(), 'sizes for 4 blocks')

    def test_larger_extents_are_accepted(self) -> None:
        leaf = (hashes.xxh64(MEMORY),)
        self.assert_whole(small(extents(0, leaf, FIRST_RUNS + SECOND_RUNS, A + B + C, shift=19)).build())

    def test_a_terabyte_of_zero_costs_little(self) -> None:
        size, shift = 1 << 40, 21
        leaves = (hashes.ZeroLeaves().of_size(1 << shift),) * (size >> shift)
        self.assert_whole(small(extents(0, leaves, (run(ZERO, size // PAGE),), shift=shift), size=size).build())


class Damage(ExtentsTest):
    def test_every_flipped_byte_is_corrupt(self) -> None:
        data = small(first(), second()).build()
        self.write(data)
        skipped = range(data.index(b'RAME', data.index(b'MEMM')) // 64 * 64)
        with open(self.path, 'r+b', buffering=0) as file:
            for offset in range(len(skipped), len(data)):
                # Of long stretches of one value, every 61st byte.
                if offset % 61 and data[offset - 4:offset + 4] == data[offset:offset + 1] * 8:
                    continue
                os.pwrite(file.fileno(), bytes([data[offset] ^ (1 << offset % 8)]), offset)
                refusal = self.refusal()
                self.assertIs(type(refusal), Corrupt, f'byte {offset}: {refusal}')
                os.pwrite(file.fileno(), data[offset:offset + 1], offset)
        self.assertIsNone(self.refusal())

    def test_a_cut_file_is_truncated(self) -> None:
        data = small(first(), second()).build()
        for length in range(len(data) - 1, 128, -4096):
            self.assert_refused(Truncated, data[:length])

    def test_a_wrong_leaf_of_repeated_or_zero_pages_is_found(self) -> None:
        for leaf, runs, body in ((hashes.xxh64(A), (run(ZERO, 1),), b''),
                                 (hashes.xxh64(A + B), (run(DATA, 1), run(DUPLICATE, 1, 0)), A)):
            size = sum(struct.unpack('<QIB3x', piece)[1] for piece in runs) * PAGE
            self.assert_refused(Corrupt, small(extents(0, (leaf,), runs, body), size=size).build(), 'leaf')


class Rules(ExtentsTest):
    """Files with all hashes right that break a rule."""

    def assert_all_corrupt(self, cases: dict[str, tuple[w.Small, str]]) -> None:
        for name, (file, text) in cases.items():
            with self.subTest(name):
                self.assert_refused(Corrupt, file.build(), text)

    def test_of_the_chunk(self) -> None:
        self.assert_all_corrupt({
            'feature': (small(first(), second(), features=()), 'feature'),
            'other feature': (small(first(), second(), features=w.EXTENTS_FEATURES[1:]), 'feature'),
            'codec': (small(first(body=packed(A + B), codec=LZ4, block_sizes=(len(packed(A + B)),)), second(),
                            features=w.EXTENTS_FEATURES[:1]), 'codec'),
            'codec without body': (small(extents(0, LEAVES, (run(ZERO, 70),), codec=LZ4),
                                         features=w.EXTENTS_FEATURES[:1]), 'codec'),
            'not critical': (small(first(flags=w.LEAVES), second()), 'CRITICAL'),
            'no leaves': (small(first(flags=w.CRITICAL), second()), 'LEAVES'),
            'leaves of no body': (small(extents(0, LEAVES, (run(ZERO, 70),), flags=w.CRITICAL | w.LEAVES)), 'leaves'),
            'alignment': (small(first(alignment=64), second()), 'multiple of 4096'),
            'gap': (small(first(alignment=1 << 20), second()), 'gap'),
            'gap of blocks': (small(first(body=packed(A + B), codec=LZ4, block_sizes=(len(packed(A + B)),),
                                          alignment=4096), second()), 'gap'),
            'identifier': (small(first(meta=w.flatbuffer(b'RAMF', {})), second()), 'identifier'),
            'segment in the meta': (small(first(changes={0: ('I', 1)}), second()), 'instance'),
            'unknown segment': (small(first(number=1), second()), 'does not list'),
            'body hash': (small(first(body_hash=1), second()), 'body hash'),
        })

    def test_of_the_extents(self) -> None:
        self.assert_all_corrupt({
            'shift 17': (small(first(shift=17), second(shift=17)), 'extent_shift'),
            'shift 31': (small(extents(0, LEAVES[:1], FIRST_RUNS, A + B, shift=31)), 'extent_shift'),
            'no leaves': (small(extents(0, (), FIRST_RUNS, A + B)), 'leaves'),
            'leaves absent': (small(first(changes={3: None})), 'leaves is absent'),
            'runs absent': (small(first(changes={4: None})), 'runs is absent'),
            'too many leaves': (small(first(), extents(1, LEAVES, SECOND_RUNS, C)), 'leaves'),
            'beyond the segment': (small(first(), extents((1 << 32) - 1, LEAVES[1:], SECOND_RUNS, C)), 'leaves'),
            'too many extents': (small(extents(0, LEAVES[:1], FIRST_RUNS, A + B), size=(1 << 37) + PAGE), 'leaves'),
            'twice': (small(first(), second(), second()), 'begins at'),
            'first missing': (small(second(runs=(run(DATA, 6),), body=C * 6)), 'begins at'),
            'last missing': (small(first()), 'end'),
            'falling': (small(extents(1, LEAVES[1:], (run(DATA, 6),), C * 6), first()), 'begins at'),
            'other shift': (small(first(), second(shift=19)), 'leaves'),
            'other shift that would fit': (
                small(first(), extents(1, (0,), (run(ZERO, 2),), shift=19), size=EXTENT * 2 + 2 * PAGE),
                'extent_shift'),
        })

    def test_of_segments(self) -> None:
        flat = {'chunk_type': b'RAMF', 'schema_id': 4, 'flags': w.CRITICAL | w.LEAVES, 'body': [MEMORY],
                'meta': w.flatbuffer(b'RAMF', {1: ('B', 18), 3: w.Scalars('Q', LEAVES)}),
                'body_hash': hashes.leaf_array_hash(LEAVES), 'alignment': 4096}
        self.assert_whole(small(flat).build())
        self.assert_all_corrupt({
            'both': (small(first(), second(), flat), 'same segment'),
            'both, flat first': (small(flat, first(), second()), 'same segment'),
            'none': (small(), 'no RAMF or RAME'),
        })

    def test_of_runs(self) -> None:
        self.assert_all_corrupt({
            'no pages': (small(first(runs=FIRST_RUNS + (run(ZERO, 0),)), second()), 'no pages'),
            'too few': (small(first(runs=FIRST_RUNS[:3]), second()), 'cover'),
            'too many': (small(first(runs=FIRST_RUNS + (run(ZERO, 1),)), second()), 'cover'),
            'none': (small(first(runs=()), second()), 'cover'),
            'huge': (small(first(runs=FIRST_RUNS + (run(ZERO, (1 << 32) - 1),)), second()), 'cover'),
            'source of data': (small(first(runs=(run(DATA, 1, PAGE),) + FIRST_RUNS[1:]), second()), 'source'),
            'source of zero': (small(first(runs=FIRST_RUNS[:3] + (run(ZERO, 61, PAGE),)), second()), 'source'),
            'part of a page': (small(first(), second(runs=(run(DUPLICATE, 1, 1),) + SECOND_RUNS[1:])), 'source'),
            'of itself': (small(first(), second(runs=(run(DUPLICATE, 1, EXTENT),) + SECOND_RUNS[1:])), 'source'),
            'of what is to come': (small(first(runs=(run(DUPLICATE, 1, 2 * PAGE),) + FIRST_RUNS[1:], body=B),
                                         second()), 'source'),
            'over itself': (small(first(), second(runs=(run(DATA, 1), run(DUPLICATE, 4, EXTENT - 2 * PAGE),
                                                        run(ZERO, 1)))), 'source'),
            'wrapping': (small(first(), second(runs=(run(DUPLICATE, 1, (1 << 64) - PAGE),) + SECOND_RUNS[1:])),
                         'source'),
            'of zero': (small(first(), second(runs=(run(DUPLICATE, 1, PAGE),) + SECOND_RUNS[1:])), 'not all data'),
            'of data and zero': (small(first(), second(runs=(run(DUPLICATE, 2, 0),) + SECOND_RUNS[2:])),
                                 'not all data'),
            'of a duplicate': (small(first(), second(runs=SECOND_RUNS[:2] + (run(DUPLICATE, 2, EXTENT),)
                                                     + SECOND_RUNS[3:])), 'not all data'),
        })

    def test_of_bodies(self) -> None:
        block = packed(A + B)
        sized = {'codec': LZ4, 'body': block, 'block_sizes': (len(block),)}
        self.assert_whole(small(first(**sized), second()).build())
        self.assert_all_corrupt({
            'short': (small(first(body=A), second()), 'body of'),
            'long': (small(first(body=A + B + C), second()), 'body of'),
            'none': (small(first(body=b''), second()), 'body of'),
            'blocks of a plain body': (small(first(block_sizes=(2 * PAGE,)), second()), 'blocks'),
            'no sizes': (small(first(**{**sized, 'block_sizes': None}), second()), 'blocks'),
            'too many sizes': (small(first(**{**sized, 'block_sizes': (len(block) - 1, 1)}), second()), 'sizes for'),
            'too few for a claim': (small(first(**{**sized, 'runs': (run(DATA, 64),)}), second()), 'do not fit'),
            'empty block': (small(first(runs=FIRST_RUNS[:2] + (run(DATA, 16), run(ZERO, 46)), codec=LZ4, body=block,
                                        block_sizes=(len(block), 0)), second()), 'in the body'),
            'large block': (small(first(codec=LZ4, body=A + B + C, block_sizes=(3 * PAGE,)), second()), 'in the body'),
            'sum': (small(first(**{**sized, 'body': block + b'x'}), second()), 'body of'),
            'other content': (small(first(**{**sized, 'body': packed(A + C), 'block_sizes': (len(packed(A + C)),)}),
                                    second()), 'leaf'),
        })

    def test_of_codecs_of_other_chunks(self) -> None:
        for codec in (1, 2):
            file = w.Small(header={'features': w.EXTENTS_FEATURES},
                           device_chunks=({'instance': 0, 'flags': 1 | codec << 8}, {'instance': 1}))
            self.assert_refused(Unsupported, file.build(), f'codec {codec}')
        flat = w.Small(header={'features': w.EXTENTS_FEATURES}, changes={b'RAMF': {'flags': 0x105}})
        self.assert_refused(Unsupported, flat.build(), 'codec 1')
        self.assert_refused(Unsupported, small(first(codec=2 << 8), second()).build(), 'codec 2')

    def test_of_kinds(self) -> None:
        for kind in (PARENT, 4, 255):
            file = small(first(runs=FIRST_RUNS[:3] + (run(kind, 61),)), second()).build()
            self.assert_refused(Unsupported, file, f'kind {kind}')
            self.assert_refused(Corrupt, file[:-1] + bytes([file[-1] ^ 1]))


class Blocks(ExtentsTest):
    """LZ4 blocks, good and bad."""

    def assert_bad(self, block: bytes, size: int, text: str) -> None:
        with self.assertRaisesRegex(lz4.BadBlock, text):
            lz4.decode(block, size)

    def test_literals_and_matches(self) -> None:
        self.assertEqual(b'hello', lz4.decode(last(b'hello'), 5))
        self.assertEqual(b'abcabcabcaXYZ12', lz4.decode(sequence(b'abc', 3, 7) + last(b'XYZ12'), 15))
        for count in (4, 14 + 4, 15 + 4, 15 + 4 + 254, 15 + 4 + 255, 15 + 4 + 510, 60000):
            literals = bytes(n % 251 for n in range(count))
            content = literals + literals[:count] + b'12345'
            self.assertEqual(content, lz4.decode(sequence(literals, count, count) + last(b'12345'), len(content)))
        self.assertEqual(A * 16, lz4.decode(packed(A * 16), 1 << 16))

    def test_a_block_of_a_page_by_the_text_of_the_format(self) -> None:
        block = bytes.fromhex('1f 41 0100' + 'ff' * 15 + 'f6' + '50 4141414141')
        self.assertEqual(A, lz4.decode(block, PAGE))

    def test_what_is_not_a_block(self) -> None:
        block, size = packed(A), PAGE
        self.assert_bad(b'', 1, 'ends too early')
        self.assert_bad(block, size - 1, 'more than')
        self.assert_bad(block, size + 1, 'instead of')
        self.assert_bad(block + b'\0', size, 'ends too early|more|instead')
        self.assert_bad(sequence(b'a', 0, 4) + last(b'12345'), 10, 'before the content')
        self.assert_bad(sequence(b'a', 2, 4) + last(b'12345'), 10, 'before the content')
        self.assert_bad(sequence(b'', 1, 4) + last(b'12345'), 9, 'before the content')
        self.assert_bad(b'\x50abcd', 5, 'leave')
        self.assert_bad(b'\xf0' + b'\xff' * 100, 65536, 'ends too early')
        for length in range(len(block)):
            self.assert_bad(block[:length], size, '')

    def test_a_block_cannot_yield_more_than_its_content(self) -> None:
        bomb = sequence(b'a', 1, 1 << 24) + last(b'12345')
        self.assert_bad(bomb, 65536, 'more than')


if __name__ == '__main__':
    unittest.main()
