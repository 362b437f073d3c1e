#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the independent reader, on files that vmsnap_reader_test_writer.py makes by docs/format.md."""

import contextlib
import io
import json
import os
import pathlib
import re
import resource
import struct
import subprocess
import sys
import tempfile
import unittest
from dataclasses import replace
from typing import Optional

# The package lies in the source tree, which a test run leaves as it was.
sys.dont_write_bytecode = True

from vmsnap_reader import cli, flatbuffer, hashes, metas  # noqa: E402
from vmsnap_reader.errors import Corrupt, LimitExceeded, Refusal, Truncated, Unsupported  # noqa: E402
from vmsnap_reader.registry import CONTAINER_TYPES, DEVICE_TYPES  # noqa: E402
from vmsnap_reader.snapshot import Snapshot  # noqa: E402
from vmsnap_reader.source import Source  # noqa: E402
import vmsnap_reader_test_writer as w  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = pathlib.Path(__file__).with_name('vmsnap_reader.py')
UART_META = w.flatbuffer(b'UART', {})
UNKNOWN_SCHEMA = w.Schema(8, b'xNEW', b'novelty', b'x.Novelty')
UNKNOWN_CHUNK = {'chunk_type': b'xNEW', 'schema_id': 8, 'meta': w.flatbuffer(b'xNEW', {}), 'instance': 4}


def with_unknown_chunk(**changes: object) -> w.Small:
    """A small snapshot with a chunk of an unknown type."""
    return w.Small(schemas=w.Small().schemas + (UNKNOWN_SCHEMA,), extra_chunks=({**UNKNOWN_CHUNK, **changes},))


class ReaderTest(unittest.TestCase):
    """Has one file that is rewritten for each question."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, 'x.vmsnap')

    def write(self, data: bytes) -> None:
        with open(self.path, 'wb') as file:
            file.write(data)

    def refusal(self, restore: bool = False) -> Optional[Refusal]:
        """What the reader has against the file."""
        try:
            with Source(self.path) as source:
                snapshot = Snapshot(source)
                if restore:
                    snapshot.check_restorable()
        except Refusal as refusal:
            return refusal
        return None

    def assert_whole(self, data: bytes, restore: bool = False) -> None:
        self.write(data)
        refusal = self.refusal(restore)
        self.assertIsNone(refusal, refusal)

    def assert_refused(self, kind: type, data: bytes, text: str = '', restore: bool = False) -> None:
        self.write(data)
        refusal = self.refusal(restore)
        self.assertIs(type(refusal), kind, refusal)
        self.assertIn(text, str(refusal))

    def run_cli(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        out, err = io.TextIOWrapper(io.BytesIO(), 'utf-8'), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main(arguments)
        out.seek(0)
        return status, out.read(), err.getvalue()


class Sound(ReaderTest):
    def test_accepts_a_small_snapshot_also_for_restoring(self) -> None:
        self.assert_whole(w.Small().build(), restore=True)

    def test_reads_what_was_written(self) -> None:
        self.write(w.Small().build())
        with Source(self.path) as source:
            snapshot = Snapshot(source)
        self.assertEqual(w.UUID, snapshot.header.uuid)
        self.assertEqual(['isa0/uart@3f8', 'isa0/uart@2f8'], [d.path for d in snapshot.manifest.devices])
        self.assertEqual((metas.Slot('console0', 2, None, 7, False),), snapshot.manifest.devices[0].slots)
        self.assertEqual((0,), snapshot.manifest.devices[1].restore_after)
        self.assertEqual((metas.Segment(0, 'ram-low', 0, 4096),), snapshot.memory.segments)
        self.assertEqual((metas.Mapping(0, 0, 0, 4096, False),), snapshot.memory.mappings)

    def test_accepts_what_a_newer_minor_version_adds(self) -> None:
        self.assert_whole(w.Small(header={'minor': 7}).build(), restore=True)
        self.assert_whole(w.Small(header={'features': ((1, 63, b'tested'),)}).build(), restore=True)
        self.assert_whole(w.Small(manifest={**w.Small().manifest, 9: ('I', 5)}).build(), restore=True)

    def test_accepts_chunks_of_unknown_types(self) -> None:
        body = {'body': [b'whatever'], 'alignment': 4096}
        self.assert_whole(with_unknown_chunk(**body).build())
        self.assert_whole(with_unknown_chunk(flags=0, **body).build(), restore=True)

    def test_looks_at_nothing_but_the_hash_of_the_meta_of_an_unknown_type(self) -> None:
        for meta in (b'', b'\xff' * 3, b'\xff' * 12):
            self.assert_whole(with_unknown_chunk(flags=0, meta=meta).build(), restore=True)

    def test_accepts_chunks_of_the_container_that_are_safe_to_copy(self) -> None:
        flags = {kind: {'flags': w.CRITICAL | w.SAFE_TO_COPY} for kind in CONTAINER_TYPES}
        flags[b'RAMF']['flags'] |= w.LEAVES
        del flags[b'RAME']
        self.assert_whole(w.Small(changes=flags).build(), restore=True)

    def test_reads_any_bool_but_0_as_true(self) -> None:
        for value in (0, 1, 2, 255):
            slots = [{0: b'disk0', 4: ('B', value)}]
            self.write(w.Small().with_devices(w.device(0, b'a', slots=slots), w.device(1, b'b')).build())
            with Source(self.path) as source:
                self.assertIs(value != 0, Snapshot(source).manifest.devices[0].slots[0].read_only)

    def test_says_that_leaves_of_an_unknown_type_were_not_verified(self) -> None:
        self.write(with_unknown_chunk(flags=w.LEAVES, body=[b'whatever'], body_hash=1).build())
        with Source(self.path) as source:
            self.assertIn('not verified', Snapshot(source).notes[0])

    def test_accepts_a_machine_without_anything(self) -> None:
        writer = w.SnapshotWriter(w.file_header(), w.UUID)
        for schema in w.CONTAINER_SCHEMAS:
            schema.write(writer)
        writer.chunk(b'CONF', 2, w.flatbuffer(b'CONF', {**w.Small().manifest, 4: []}))
        writer.chunk(b'MEMM', 3, w.flatbuffer(b'MEMM', {0: [], 1: []}))
        writer.finish(5, 6)
        self.assert_whole(b''.join(piece for piece in writer.pieces if isinstance(piece, bytes)), restore=True)


class Damage(ReaderTest):
    def test_every_flipped_byte_is_corrupt(self) -> None:
        data = w.Small().build()
        self.write(data)
        with open(self.path, 'r+b', buffering=0) as file:
            for offset, byte in enumerate(data):
                os.pwrite(file.fileno(), bytes([byte ^ (1 << offset % 8)]), offset)
                refusal = self.refusal()
                self.assertIs(type(refusal), Corrupt, f'byte {offset}: {refusal}')
                os.pwrite(file.fileno(), bytes([byte]), offset)
        self.assertIsNone(self.refusal())

    def test_every_truncation_is_truncated(self) -> None:
        size = len(w.Small().build())
        self.write(w.Small().build())
        lengths = {at + delta for at in range(0, size + 1, 64) for delta in (-1, 0, 1)} | set(range(140))
        for length in sorted((length for length in lengths if 0 <= length < size), reverse=True):
            os.truncate(self.path, length)
            refusal = self.refusal()
            self.assertIs(type(refusal), Truncated, f'{length} bytes: {refusal}')

    def test_appended_bytes_are_corrupt(self) -> None:
        for count in (1, 63, 64, 65, 4096):
            self.assert_refused(Corrupt, w.Small().build() + bytes(count), 'too many')

    def test_a_transfer_in_text_mode_is_named(self) -> None:
        data = w.Small().build()
        for damaged in (data.replace(b'\r\n', b'\n'), data.replace(b'\n', b'\r\n'), data.replace(b'\n', b'\r'),
                        bytes(byte & 0x7F for byte in data), data.decode('latin-1').encode('utf-8')):
            self.assert_refused(Corrupt, damaged, 'text mode')

    def test_something_else_is_corrupt(self) -> None:
        for data in (b'x', b'\x7fELF', bytes(4096)):
            self.assert_refused(Corrupt, data, 'magic')

    def test_a_chunk_of_another_snapshot_is_corrupt(self) -> None:
        data, other = w.Small().build(), w.Small(header={'uuid': bytes(range(16))}).build()
        place = data.rindex(b'UART', 0, data.index(b'END ', 4096)) - 8
        place -= place % 64
        self.assert_refused(Corrupt, data[:place] + other[place:place + 64] + data[place + 64:], 'hash')

    def test_damage_goes_before_lack_of_support(self) -> None:
        codec = w.Small(device_chunks=({'instance': 0, 'flags': 0x101}, {'instance': 1})).build()
        self.assert_refused(Corrupt, codec[:-1] + bytes([codec[-1] ^ 1]), 'Footer')
        self.assert_refused(Unsupported, codec, 'codec 1')


class Rules(ReaderTest):
    """Files with all hashes right that break a rule."""

    def assert_all_corrupt(self, cases: dict[str, w.Small]) -> None:
        for name, small in cases.items():
            with self.subTest(name):
                self.assert_refused(Corrupt, small.build())

    def test_of_the_file_header(self) -> None:
        self.assert_all_corrupt({
            'mask without record': w.Small(header={'masks': (0, 1)}),
            'record without mask': w.Small(header={'masks': (0, 0), 'features': ((1, 3, b'x'),)}),
            'out of order': w.Small(header={'features': ((1, 4, b'x'), (1, 3, b'y'))}),
            'twice': w.Small(header={'features': ((1, 3, b'x'), (1, 3, b'x'))}),
            'kind': w.Small(header={'masks': (0, 0), 'features': ((2, 3, b'x'),)}),
            'name': w.Small(header={'features': ((1, 3, b'Big'),)}),
            'no name': w.Small(header={'features': ((1, 3, b''),)}),
            'after the name': w.Small(header={'features': ((1, 3, b'x\0y'),)}),
            'in a record': w.Small(header={'features': ((1, 3, b'x'),), 'record_zero': 1}),
            'in a record of an unknown feature': w.Small(header={'features': ((0, 3, b'x'),), 'record_zero': 256}),
            'body_align_shift': w.Small(header={'body_align_shift': 31}),
            'not zero': w.Small(header={'zero': b'\1'.ljust(62, b'\0')}),
        })

    def test_of_the_manifest(self) -> None:
        small = w.Small()
        first, second = w.device(0, b'a'), w.device(1, b'b')
        slots = {'slots': [{0: b'disk0'}]}
        self.assert_all_corrupt({
            'same path': small.with_devices(first, w.device(1, b'a')),
            'blank in path': small.with_devices(w.device(0, b'a b'), second),
            'no path': small.with_devices(w.device(0, None), second),
            'wrong instance': small.with_devices(first, w.device(2, b'b')),
            'type name': small.with_devices(w.device(0, b'a', type=b'Uart'), second),
            'below readable_since': small.with_devices(w.device(0, b'a', readable_since=w.version(1, 1)), second),
            'other version than the schema': small.with_devices(w.device(0, b'a', version=w.version(1, 1)), second),
            'major 0': small.with_devices(w.device(0, b'a', version=w.version(0, 9)), second),
            'readable since 0': small.with_devices(w.device(0, b'a', readable_since=w.version(0, 9)), second),
            'release level 0': replace(small, manifest={**small.manifest, 2: ('H', 0)}),
            'same slot': small.with_devices(w.device(0, b'a', **slots), w.device(1, b'b', **slots)),
            'feature twice': small.with_devices(w.device(0, b'a', features=[b'x', b'x']), second),
            'after itself': small.with_devices(w.device(0, b'a', restore_after=w.Scalars('I', (0,))), second),
            'after nothing': small.with_devices(w.device(0, b'a', restore_after=w.Scalars('I', (2,))), second),
            'circle': small.with_devices(w.device(0, b'a', restore_after=w.Scalars('I', (1,))),
                                         w.device(1, b'b', restore_after=w.Scalars('I', (0,)))),
            'hint with NUL': small.with_devices(w.device(0, b'a', slots=[{0: b'disk0', 2: b'x\0'}]), second),
            'long hint': small.with_devices(w.device(0, b'a', slots=[{0: b'disk0', 2: b'x' * 4097}]), second),
            'nameless producer': replace(small, manifest={**small.manifest, 0: {0: b'', 1: b''}}),
            'no producer': replace(small, manifest={k: v for k, v in small.manifest.items() if k}),
            'comment': replace(small, manifest={**small.manifest, 5: b'\xff'}),
            'device without chunk': small.with_devices(first, second, w.device(2, b'c')),
        })

    def test_of_the_memory_map(self) -> None:
        small, low = w.Small(), w.segment(0, b'low', 4096)
        self.assert_all_corrupt({
            'segment without chunk': small.with_memory([low, w.segment(1, b'high', 4096)], []),
            'no segment': small.with_memory([], []),
            'same name': small.with_memory([low, w.segment(1, b'low', 4096)], []),
            'size': small.with_memory([w.segment(0, b'low', 8192)], []),
            'part of a page': small.with_memory([w.segment(0, b'low', 4095)], []),
            'unknown segment': small.with_memory([low], [w.mapping(1, 0, 0, 4096)]),
            'beyond the segment': small.with_memory([low], [w.mapping(0, 4096, 0, 4096)]),
            'not aligned': small.with_memory([low], [w.mapping(0, 0, 2048, 4096)]),
            'empty': small.with_memory([low], [w.mapping(0, 0, 0, 0)]),
            'overlap': small.with_memory([low], [w.mapping(0, 0, 4096, 4096)] * 2),
            'falling': small.with_memory([low], [w.mapping(0, 0, 4096, 4096), w.mapping(0, 0, 0, 4096)]),
            'at the very end': small.with_memory([low], [w.mapping(0, 0, (1 << 64) - 4096, 4096)]),
        })

    def test_of_memory(self) -> None:
        self.assert_all_corrupt({
            'leaf': w.Small(leaves=(1,)),
            'too many leaves': w.Small(leaves=(1, 2)),
            'extent_shift': w.Small(ram_meta={1: ('B', 17)}),
            'segment': w.Small(ram_meta={0: ('I', 1)}),
            'data_bytes': w.Small(ram_meta={2: ('Q', 8192)}),
            'no leaves': w.Small(leaves=()),
        })

    def test_of_schemas(self) -> None:
        schemas = w.CONTAINER_SCHEMAS
        uart = w.UART_SCHEMA
        self.assert_all_corrupt({
            'other type': w.Small(schemas=schemas + (replace(uart, chunk_type=b'UARU'),)),
            'version 0': w.Small(schemas=schemas + (replace(uart, major=0),)),
            'root table': w.Small(schemas=schemas + (replace(uart, root_table=b'1x'),)),
            'chunk type': w.Small(schemas=schemas + (replace(uart, chunk_type=b'UARTS'),)),
            'same id': w.Small(schemas=schemas + (uart, uart)),
            'none of SCHM': w.Small(schemas=schemas[1:] + (uart,)),
            'two of SCHM': w.Small(schemas=schemas + (uart, replace(schemas[0], id=8))),
            'foreign beside an unknown major': w.Small(
                schemas=schemas + (replace(uart, chunk_type=b'UARU'), replace(schemas[3], id=8, major=2))),
            'none of the device': w.Small(schemas=schemas),
            'big': w.Small(schemas=schemas + (replace(uart, body=bytes((1 << 20) + 1)),)),
        })

    def test_of_the_chunks_of_the_container(self) -> None:
        for kind in set(CONTAINER_TYPES) - {b'RAME', b'LOST'}:
            flags = w.LEAVES if kind == b'RAMF' else 0
            with self.subTest(kind):
                self.assert_refused(Corrupt, w.Small(changes={kind: {'flags': flags}}).build(), 'not CRITICAL')
        for kind in (b'CONF', b'MEMM', b'END ', b'INDX'):
            with self.subTest(kind):
                self.assert_refused(Corrupt, w.Small(changes={kind: {'instance': 1}}).build(), 'not instance 0')

    def test_of_device_chunks(self) -> None:
        one = {'instance': 1}
        self.assert_all_corrupt({
            'twice': w.Small(device_chunks=({'instance': 0}, one, one)),
            'missing': w.Small(device_chunks=(one,)),
            'unknown instance': w.Small(device_chunks=({'instance': 0}, one, {'instance': 2})),
            'body': w.Small(device_chunks=({'instance': 0, 'body': [b'x']}, one)),
            'not critical': w.Small(device_chunks=({'instance': 0, 'flags': 0}, one)),
            'identifier': w.Small(device_chunks=({'instance': 0, 'meta': w.flatbuffer(b'UARU', {})}, one)),
            'sequence': w.Small(device_chunks=({'instance': 0, 'sequence': 3}, one)),
            'no schema': w.Small(device_chunks=({'instance': 0, 'schema_id': 9}, one)),
            'no schema id': w.Small(device_chunks=({'instance': 0, 'schema_id': 0}, one)),
            'wrong schema': w.Small(device_chunks=({'instance': 0, 'schema_id': 2}, one)),
            'type': w.Small(device_chunks=({'instance': 0, 'chunk_type': b'UA"T'}, one)),
        })

    def test_of_order(self) -> None:
        small = w.Small()
        conf = {'chunk_type': b'CONF', 'schema_id': 2, 'meta': w.flatbuffer(b'CONF', small.manifest)}
        end = {'chunk_type': b'END ', 'schema_id': 5, 'meta': w.flatbuffer(b'END ', {})}
        index = {'chunk_type': b'INDX', 'schema_id': 6, 'meta': w.flatbuffer(b'INDX', {})}
        self.assert_all_corrupt({
            'two CONF': replace(small, extra_chunks=(conf,)),
            'two END': replace(small, extra_chunks=(end,)),
            'INDX without END': replace(small, extra_chunks=(index,)),
            'after END': replace(small, extra_chunks=(end, {**UNKNOWN_CHUNK, 'schema_id': 7})),
        })

    def test_of_the_sums(self) -> None:
        """Sizes that no file can have, in a header with the right hash."""
        header = w.file_header()
        for body_size in ((1 << 64) - 1, 1 << 63, (1 << 63) - 64):
            chunk = struct.pack('<4s4sIIIIIIQQQ', b'CHNK', b'SCHM', 1, 0, 0, 1, 0, 0, body_size, 0, 0)
            chunk += struct.pack('<Q', hashes.xxh64(struct.pack('<Q', 128) + chunk, hashes.seed_of(w.UUID)))
            self.assert_refused(Corrupt, header + chunk)


class Unready(ReaderTest):
    """Files that are whole but need more than version 1.0."""

    def test_features_are_named(self) -> None:
        self.assert_refused(Unsupported, w.Small(header={'features': ((0, 2, b'diff'),)}).build(), '"diff"')
        self.assert_refused(Unsupported, w.Small(header={'features': ((0, 63, b'own-thing'),)}).build(), '"own-thing"')

    def test_the_file_header(self) -> None:
        self.assert_refused(Unsupported, w.Small(header={'major': 2}).build(), '2.0')
        self.assert_refused(Unsupported, w.Small(header={'digest_algorithm': 2}).build(), 'digest')
        self.assert_refused(Unsupported, w.Small(header={'page_shift': 14}).build(), 'page_shift')

    def test_a_container_chunk_of_another_major_version(self) -> None:
        schemas = tuple(replace(schema, major=2) if schema.chunk_type == b'RAMF' else schema
                        for schema in w.Small().schemas)
        self.assert_refused(Unsupported, w.Small(schemas=schemas).build(), '"RAMF" has version 2.0')
        unused = w.Small(schemas=w.Small().schemas + (w.Schema(8, b'RAMF', b'flat_ram', b'x.FlatRam', major=2),))
        self.assert_refused(Unsupported, unused.build(), '"RAMF" has version 2.0')

    def test_an_unknown_flag(self) -> None:
        small = w.Small(device_chunks=({'instance': 0, 'flags': 0x10001}, {'instance': 1}))
        self.assert_refused(Unsupported, small.build(), 'flags')

    def assert_only_restoring_refuses(self, small: w.Small, text: str) -> None:
        self.assert_whole(small.build())
        self.assert_refused(Unsupported, small.build(), text, restore=True)

    def test_what_only_restoring_readers_refuse(self) -> None:
        small, second = w.Small(), w.device(1, b'b')
        self.assert_only_restoring_refuses(w.Small(header={'arch': 9}), 'architecture 9')
        self.assert_only_restoring_refuses(with_unknown_chunk(), 'xNEW')
        self.assert_only_restoring_refuses(small.with_memory([w.segment(0, b'low', 4096, kind=9)], []), 'kind 9')
        self.assert_only_restoring_refuses(
            small.with_devices(w.device(0, b'a', slots=[{0: b'disk0', 1: ('B', 99)}]), second), 'kind 99')
        self.assert_only_restoring_refuses(small.with_devices(w.device(0, b'a', features=[b'turbo']), second), 'turbo')
        strange = replace(w.UART_SCHEMA, name=b'strange')
        self.assert_only_restoring_refuses(
            replace(small, schemas=w.CONTAINER_SCHEMAS + (strange,)).with_devices(
                w.device(0, b'a', type=b'strange'), w.device(1, b'b', type=b'strange')), 'strange')

    def test_versions_of_devices(self) -> None:
        newer = w.version(1, 4)
        small = w.Small(schemas=w.CONTAINER_SCHEMAS + (replace(w.UART_SCHEMA, minor=4),))
        compatible = [w.device(n, path, version=newer) for n, path in enumerate((b'a', b'b'))]
        self.assert_whole(small.with_devices(*compatible).build(), restore=True)
        raised = [w.device(n, path, version=newer, readable_since=newer) for n, path in enumerate((b'a', b'b'))]
        self.assert_only_restoring_refuses(small.with_devices(*raised), 'readable since 1.4')
        later = w.Small(schemas=w.CONTAINER_SCHEMAS + (replace(w.UART_SCHEMA, major=2),))
        majors = [w.device(n, path, version=w.version(2, 0), readable_since=w.version(2, 0))
                  for n, path in enumerate((b'a', b'b'))]
        self.assert_only_restoring_refuses(later.with_devices(*majors), 'version 2.0')

    def test_features_of_devices(self) -> None:
        devices = w.device(0, b'a', features=[b'transmit-fifo']), w.device(1, b'b')
        self.assert_whole(w.Small().with_devices(*devices).build(), restore=True)

    def test_every_guest_of_every_level_may_be_restored(self) -> None:
        files = sorted((ROOT / 'compat' / 'golden').glob('*.vmsnap'))
        self.assertGreaterEqual(len(files), 9)
        for path in files:
            with self.subTest(path.name), Source(str(path)) as source:
                Snapshot(source).check_restorable()

    def test_the_device_types_are_those_of_the_registry(self) -> None:
        text = (ROOT / 'docs' / 'registry.md').read_text(encoding='utf-8')
        rows = re.findall(r'^\| `(.{4})` \| (\w+) \| schema/\2 \| yes \| (\d+)\.(\d+) \|', text, re.MULTILINE)
        self.assertEqual({name: (chunk.encode(), (int(major), int(minor))) for chunk, name, major, minor in rows},
                         {name: (known.chunk, known.versions[-1]) for name, known in DEVICE_TYPES.items()})
        for name, known in DEVICE_TYPES.items():
            self.assertEqual(known.features, tuple(re.findall(rf'^\| {name} \| `([\w-]+)` \|', text, re.MULTILINE)))


class Pieces(unittest.TestCase):
    """What the text gives as examples."""

    def test_the_numbers_of_section_3(self) -> None:
        self.assertEqual(hashes.HASH_OF_NOTHING, hashes.xxh64(b''))
        self.assertEqual('99aa06d3014798d86001c324468d497f', hashes.xxh128().hex())
        self.assertEqual(0x9378BD1BCD9952B7, hashes.xxh64(b'vmsnap'))
        self.assertEqual('923bb09fc90bc2239e17dbe34d19dea4', hashes.xxh128(b'vm', b'snap').hex())
        self.assertEqual(0x93D76FE148C689BA, hashes.ZeroLeaves().of_size(4096))
        self.assertEqual(0x2D64C035E85FB928, hashes.ZeroLeaves().of_size(262144))
        self.assertEqual(hashes.xxh64(bytes((3 << 20) + 5)), hashes.ZeroLeaves().of_size((3 << 20) + 5))
        self.assertEqual(0x07EE86C281446BEF, hashes.leaf_array_hash((1, 2)))
        uuid = bytes.fromhex('000102030405460788090a0b0c0d0e0f')
        self.assertEqual(0x0848080808080888, hashes.seed_of(uuid))
        self.assertEqual(0x745DBBE40B5CCD15, hashes.xxh64(b'vmsnap', hashes.seed_of(uuid)))
        self.assertEqual('b5d09530fc425381341762c8fbd5de81', hashes.xxh128(uuid, bytes(range(16))).hex())

    def test_the_example_of_section_7(self) -> None:
        meta = bytes.fromhex('10000000454e442008000c000400080008000000' '0c0000000400000010000000') + bytes(range(16))
        self.assertEqual(metas.End(12, bytes(range(16))), metas.End.read(flatbuffer.Buffer(meta, 0, 'END')))

    def test_tables_and_strings_that_are_not_whole(self) -> None:
        end = w.flatbuffer(b'END ', {0: ('I', 12), 1: w.Scalars('B', tuple(range(16)))})
        (root,) = struct.unpack_from('<I', end)
        vtable = root - struct.unpack_from('<i', end, root)[0]
        for position, value in ((vtable, 0), (vtable, 2), (vtable, 7), (vtable, 0xFFFE), (vtable + 6, 0xFFF8)):
            damaged = bytearray(end)
            struct.pack_into('<H', damaged, position, value)
            with self.assertRaises(Corrupt):
                metas.End.read(flatbuffer.Buffer(bytes(damaged), 0, 'END'))
        memory = w.flatbuffer(b'MEMM', w.Small().memory)
        with self.assertRaisesRegex(Corrupt, 'NUL'):
            metas.MemoryMap.read(flatbuffer.Buffer(memory.replace(b'ram-low\0', b'ram-lowx'), 0, 'MEMM'), 4096)

    def test_no_cut_or_flipped_flatbuffer_does_more_than_be_refused(self) -> None:
        meta = w.flatbuffer(b'CONF', w.Small().manifest)
        damaged = [meta[:length] for length in range(len(meta))]
        damaged += [meta[:n] + bytes([meta[n] ^ bit]) + meta[n + 1:] for n in range(len(meta)) for bit in (1, 128, 255)]
        refused = 0
        for data in damaged:
            try:
                metas.Manifest.read(flatbuffer.Buffer(data, 0, 'CONF'))
            except (Corrupt, LimitExceeded):
                refused += 1
        self.assertGreater(refused, len(meta))


class Sparse(ReaderTest):
    def test_three_gigabytes_of_hole_cost_little_time_and_memory(self) -> None:
        size = 3 << 30
        extents = size >> 18
        page = b'page' + bytes((1 << 18) - 4)
        leaves = (hashes.xxh64(page), *[hashes.ZeroLeaves().of_size(1 << 18)] * (extents - 1))
        small = w.Small(ram=(page, size - len(page)), leaves=leaves).with_memory([w.segment(0, b'ram', size)], [])
        with open(self.path, 'wb') as file:
            for piece in small.pieces():
                if isinstance(piece, int):
                    file.seek(piece, os.SEEK_CUR)
                else:
                    file.write(piece)
        self.assertLess(os.stat(self.path).st_blocks * 512, 64 << 20, 'this file system has no holes')
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([SCRIPT, '--quiet', self.path], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertLess(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 10)
        self.assertLess(after.ru_maxrss, 256 << 10)

    def test_a_byte_in_the_middle_of_a_hole_is_found(self) -> None:
        size = 8 << 20
        small = w.Small(ram=(size,), leaves=(hashes.ZeroLeaves().of_size(1 << 18),) * 32)
        small = small.with_memory([w.segment(0, b'ram', size)], [])
        self.write(small.build())
        start = small.build().index(bytes(size))
        with open(self.path, 'r+b') as file:
            file.seek(start + (5 << 20))
            file.write(b'\1')
        self.assertIn('extent', str(self.refusal()))


class CommandLine(ReaderTest):
    def test_exit_status_and_kind_of_message(self) -> None:
        data = w.Small().build()
        cases = ((data, 0, ''), (data[:-1], 4, 'Truncated: offset '), (data + b'x', 4, 'Corrupt: offset '),
                 (w.Small(header={'major': 2}).build(), 5, 'Unsupported: '))
        for content, status, message in cases:
            self.write(content)
            result = subprocess.run([SCRIPT, '--quiet', self.path], capture_output=True, text=True, check=False)
            self.assertEqual((status, '', message), (result.returncode, result.stdout, result.stderr[:len(message)]))

    def test_files_that_cannot_be_read_are_another_matter(self) -> None:
        for path in (self.path, os.path.dirname(self.path), '/dev/null'):
            status, _, message = self.run_cli(path)
            self.assertEqual((1, 'Io:'), (status, message[:3]))

    def test_wrong_usage(self) -> None:
        self.write(w.Small().build())
        for arguments in ((), ('--nonsense', self.path)):
            with self.assertRaises(SystemExit) as stopped, contextlib.redirect_stderr(io.StringIO()):
                cli.main(arguments)
            self.assertEqual(2, stopped.exception.code)
        self.assertEqual(2, self.run_cli('--show', 'isa0/uart@9', self.path)[0])

    def test_text(self) -> None:
        self.write(w.Small().build())
        status, out, _ = self.run_cli(self.path)
        self.assertEqual(0, status)
        for part in ('6fa459ea-ee8a-4ca4-894e-db77e160355e', 'isa0/uart@2f8 uart16550 1.0, after 0', 'ram-low', 'INDX',
                     'slot console0 CharacterBackend, 7 bytes'):
            self.assertIn(part, out)

    def test_control_characters_do_not_reach_the_terminal(self) -> None:
        self.write(w.Small(manifest={**w.Small().manifest, 5: b'\x1b[2J'}).build())
        self.assertNotIn('\x1b', self.run_cli(self.path)[1])

    def test_json(self) -> None:
        self.write(w.Small().build())
        document = json.loads(self.run_cli('--json', self.path)[1])
        self.assertEqual('isa0/uart@3f8', document['devices'][0]['path'])
        self.assertEqual(4096, document['segments'][0]['size'])
        leaf = hashes.xxh64(w.Small().ram[0])
        self.assertEqual(hashes.xxh128(struct.pack('<QQQ', 4096, 18, leaf)).hex(), document['memory_digest'])
        os.truncate(self.path, 5)
        status, out, _ = self.run_cli('--json', self.path)
        self.assertEqual((4, 'Truncated'), (status, json.loads(out)['error']['kind']))


if __name__ == '__main__':
    unittest.main()
