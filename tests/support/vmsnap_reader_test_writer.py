# SPDX-License-Identifier: BSD-2-Clause
"""A small writer of vmsnap files for vmsnap_reader_test.py, by docs/format.md.

It shares nothing with the reader but the text, and writes what it is told, sound or not. RAM may have holes.
"""

import struct
from dataclasses import dataclass, field, replace
from typing import Any, Optional, Union

import xxhash

UUID = bytes.fromhex('6fa459eaee8a4ca4894edb77e160355e')
CRITICAL = 1
SAFE_TO_COPY = 2
LEAVES = 4


# What a FlatBuffer is made of. A scalar is (letter of the module struct, value); a string is bytes.

@dataclass(frozen=True)
class Scalars:
    """A vector of scalars, or of structs that are given as packed bytes."""

    letter: str
    values: tuple


@dataclass(frozen=True)
class Structs:
    """A vector of structs, each as its bytes."""

    items: tuple


@dataclass(frozen=True)
class Inline:
    """A struct in a table, as its bytes, aligned to 8."""

    data: bytes


# A table is a dict from field id to scalar, string, table, list (vector of strings or tables), Scalars or Structs.
Item = Any


class _Builder:
    """Lays things out in the order in which they are referred to, so that references lead forward."""

    def __init__(self, identifier: bytes) -> None:
        self.out = bytearray(4) + identifier

    def _align(self, alignment: int, ahead: int = 0) -> None:
        """Pads so that the position `ahead` bytes from here is aligned."""
        self.out += bytes(-(len(self.out) + ahead) % alignment)

    def add(self, item: Item) -> int:
        """Appends a thing; gives its position."""
        if isinstance(item, bytes):
            self._align(4)
            position = len(self.out)
            self.out += struct.pack('<I', len(item)) + item + b'\0'
            return position
        if isinstance(item, Scalars):
            self._align(4)
            self._align(struct.calcsize('<' + item.letter), 4)
            position = len(self.out)
            self.out += struct.pack(f'<I{len(item.values)}{item.letter}', len(item.values), *item.values)
            return position
        if isinstance(item, Structs):
            self._align(8, 4)
            position = len(self.out)
            self.out += struct.pack('<I', len(item.items)) + b''.join(item.items)
            return position
        if isinstance(item, list):
            self._align(4)
            position = len(self.out)
            self.out += struct.pack('<I', len(item)) + bytes(4 * len(item))
            for index, element in enumerate(item):
                self._refer(position + 4 + 4 * index, self.add(element))
            return position
        return self._add_table(item)

    def _add_table(self, fields: dict[int, Item]) -> int:
        table = bytearray(4)
        offsets = [0] * (max(fields, default=-1) + 1)
        later = []
        for field_id, value in fields.items():
            if isinstance(value, tuple):
                data = struct.pack('<' + value[0], value[1])
                alignment = len(data)
            elif isinstance(value, Inline):
                data, alignment = value.data, 8
            else:
                data, alignment = bytes(4), 4
                later.append((field_id, value))
            table += bytes(-len(table) % alignment)
            offsets[field_id] = len(table)
            table += data
        self._align(2)
        vtable = len(self.out)
        self.out += struct.pack(f'<HH{len(offsets)}H', 4 + 2 * len(offsets), len(table), *offsets)
        self._align(8)
        position = len(self.out)
        struct.pack_into('<i', table, 0, position - vtable)
        self.out += table
        for field_id, value in later:
            self._refer(position + offsets[field_id], self.add(value))
        return position

    def _refer(self, place: int, target: int) -> None:
        struct.pack_into('<I', self.out, place, target - place)


def flatbuffer(identifier: bytes, root: dict[int, Item]) -> bytes:
    """A FlatBuffer."""
    builder = _Builder(identifier)
    struct.pack_into('<I', builder.out, 0, builder.add(root))
    return bytes(builder.out)


# A body is a list of pieces: bytes, or the length of a hole.
Piece = Union[bytes, int]


def piece_size(piece: Piece) -> int:
    """Length of a piece."""
    return piece if isinstance(piece, int) else len(piece)


class SnapshotWriter:
    """Writes chunk after chunk; changes are other flags or instances for all chunks of a type."""

    def __init__(self, header: bytes, uuid: bytes, changes: Optional[dict[bytes, dict[str, int]]] = None) -> None:
        self.pieces: list[Piece] = [header]
        self.size = len(header)
        self._uuid = uuid
        self._changes = changes or {}
        self._seed = struct.unpack('<Q', uuid[:8])[0] ^ struct.unpack('<Q', uuid[8:])[0]
        self._entries: list[bytes] = []
        self._digests: list[bytes] = []

    def _put(self, *pieces: Piece) -> None:
        self.pieces += pieces
        self.size += sum(map(piece_size, pieces))

    def chunk(self, chunk_type: bytes, schema_id: int, meta: bytes, *, instance: int = 0, flags: int = CRITICAL,
              body: Optional[list[Piece]] = None, body_hash: Optional[int] = None, alignment: int = 64,
              sequence: Optional[int] = None) -> None:
        """A chunk. body_hash is needed with the flag LEAVES."""
        changes = self._changes.get(chunk_type, {})
        flags, instance = changes.get('flags', flags), changes.get('instance', instance)
        body = body or []
        body_size = sum(map(piece_size, body))
        if body_hash is None:
            body_hash = xxhash.xxh3_64_intdigest(b''.join(p if isinstance(p, bytes) else bytes(p) for p in body))
        gap = -(self.size + 64 + len(meta)) % alignment if body_size else 0
        count = len(self._digests) if sequence is None else sequence
        header = struct.pack('<4s4sIIIIIIQQQ', b'CHNK', chunk_type, flags, count, schema_id, instance, len(meta), gap,
                             body_size, xxhash.xxh3_64_intdigest(meta), body_hash)
        header += struct.pack('<Q', xxhash.xxh3_64_intdigest(struct.pack('<Q', self.size) + header, self._seed))
        digest = xxhash.xxh3_128_digest(header + meta)
        offset = self.size
        self._put(header, meta, bytes(gap), *body)
        self._put(bytes(-self.size % 64))
        self._digests.append(digest)
        self._entries.append(struct.pack('<QQ16s4sIII', offset, self.size - offset, digest, chunk_type, instance,
                                         schema_id, flags))

    def finish(self, end_schema: int, index_schema: int) -> None:
        """END, INDX and Footer."""
        root = xxhash.xxh3_128_digest(self._uuid + b''.join(self._digests))
        self.chunk(b'END ', end_schema, flatbuffer(b'END ', {0: ('I', len(self._digests)),
                                                             1: Scalars('B', tuple(root))}))
        index_offset = self.size
        self.chunk(b'INDX', index_schema, flatbuffer(b'INDX', {0: Structs(tuple(self._entries))}))
        footer = bytes.fromhex('8F564D450D0A1A0A') + struct.pack('<16sQQIIQ', root, index_offset, self.size + 64,
                                                                 len(self._digests), 0, 0)
        self._put(footer + struct.pack('<Q', xxhash.xxh3_64_intdigest(footer, self._seed)))


def file_header(*, uuid: bytes = UUID, major: int = 1, minor: int = 0, features: tuple = (), page_shift: int = 12,
                body_align_shift: int = 12, digest_algorithm: int = 1, arch: int = 1,
                masks: Optional[tuple[int, int]] = None, zero: bytes = bytes(62), record_zero: int = 0) -> bytes:
    """A FileHeader; features are (kind, bit, name)."""
    if masks is None:
        masks = (sum(1 << bit for kind, bit, _ in features if kind == 0),
                 sum(1 << bit for kind, bit, _ in features if kind == 1))
    start = bytes.fromhex('8F564D530D0A1A0A') + struct.pack(
        '<HHIQQ16sBBBBIH62s', major, minor, 128 + 64 * len(features), *masks, uuid, page_shift, body_align_shift,
        digest_algorithm, 0, arch, len(features), zero)
    records = b''.join(struct.pack('<BBH60s', kind, bit, record_zero, name) for kind, bit, name in features)
    return start + struct.pack('<Q', xxhash.xxh3_64_intdigest(start + records)) + records


@dataclass(frozen=True)
class Schema:
    """A SCHM chunk to be written."""

    id: int
    chunk_type: bytes
    name: bytes
    root_table: bytes
    major: int = 1
    minor: int = 0
    body: bytes = b'not read unless something is shown'

    def write(self, writer: SnapshotWriter) -> None:
        """Writes the chunk."""
        digest = xxhash.xxh3_128_digest(self.body)
        writer.chunk(b'SCHM', 0, flatbuffer(b'SCHM', {
            0: ('I', self.id), 1: self.chunk_type, 2: self.name, 3: ('H', self.major), 4: ('H', self.minor),
            5: self.root_table, 6: Scalars('B', tuple(digest))}), instance=self.id, body=[self.body])


CONTAINER_SCHEMAS = (
    Schema(1, b'SCHM', b'schema', b'vmsnap.schema.Schema'),
    Schema(2, b'CONF', b'manifest', b'vmsnap.schema.Manifest'),
    Schema(3, b'MEMM', b'memory_map', b'vmsnap.schema.MemoryMap'),
    Schema(4, b'RAMF', b'flat_ram', b'vmsnap.schema.FlatRam'),
    Schema(5, b'END ', b'end', b'vmsnap.schema.End'),
    Schema(6, b'INDX', b'index', b'vmsnap.schema.Index'),
)
UART_SCHEMA = Schema(7, b'UART', b'uart16550', b'vmsnap.schema.Uart16550')
EXTENTS_SCHEMA = Schema(9, b'RAME', b'extent_ram', b'vmsnap.schema.ExtentRam')
EXTENTS_FEATURES = ((0, 0, b'ram-extents'), (0, 1, b'lz4'))
LOST_SCHEMA = Schema(10, b'LOST', b'lost', b'vmsnap.schema.Lost')
RECOVERED_FEATURE = (0, 3, b'recovered')


def version(major: int, minor: int) -> dict[int, Item]:
    """A ChunkVersion."""
    return {0: ('H', major), 1: ('H', minor)}


def device(instance: int, path: bytes, **changes: Item) -> dict[int, Item]:
    """A Device of type uart16550; changes are by name of the field."""
    fields = {'instance': ('I', instance), 'path': path, 'type': b'uart16550', 'version': version(1, 0),
              'readable_since': version(1, 0), **changes}
    names = ('instance', 'path', 'type', 'version', 'readable_since', 'features', 'restore_after', 'slots')
    return {names.index(name): value for name, value in fields.items() if value is not None}


def segment(number: int, name: bytes, size: int, kind: int = 0) -> dict[int, Item]:
    """A MemorySegment."""
    return {0: ('I', number), 1: name, 2: ('B', kind), 3: ('Q', size)}


def mapping(number: int, offset: int, address: int, size: int) -> dict[int, Item]:
    """A MemoryMapping."""
    return {0: ('I', number), 1: ('Q', offset), 2: ('Q', address), 3: ('Q', size)}


DATA, ZERO, DUPLICATE, PARENT = 0, 1, 2, 3
LZ4 = 1 << 8


def run(kind: int, pages: int, source: int = 0) -> bytes:
    """A PageRun."""
    return struct.pack('<QIB3x', source, pages, kind)


def extents(first: int, leaves: tuple[int, ...], runs: tuple[bytes, ...], body: bytes = b'', *, number: int = 0,
            shift: int = 18, block_sizes: Optional[tuple[int, ...]] = None, codec: int = 0,
            changes: Optional[dict[int, Item]] = None, **chunk: Any) -> dict[str, Any]:
    """A RAME chunk for Small.memory_chunks. changes are to fields of the meta, `chunk` to the chunk."""
    meta = {0: ('I', number), 1: ('B', shift), 2: ('I', first), 3: Scalars('Q', leaves), 4: Structs(runs)}
    if block_sizes is not None:
        meta[5] = Scalars('I', block_sizes)
    meta.update(changes or {})
    body_hash = xxhash.xxh3_64_intdigest(struct.pack(f'<{len(leaves)}Q', *leaves) if body else b'')
    flags = CRITICAL | codec | (LEAVES if body else 0)
    return {'chunk_type': b'RAME', 'schema_id': EXTENTS_SCHEMA.id, 'instance': number, 'flags': flags,
            'meta': flatbuffer(b'RAME', {key: value for key, value in meta.items() if value is not None}),
            'body': [body] if body else [], 'body_hash': body_hash, 'alignment': 64 if codec else 4096, **chunk}


def loss(kind: int, **changes: Item) -> dict[int, Item]:
    """A Loss; changes are by name of the field, None leaves it out."""
    names = ('kind', 'reason', 'path', 'type', 'instance', 'segment', 'offset', 'size')
    fields = {'kind': ('B', kind), 'reason': b'it is not there', **changes}
    return {names.index(name): value for name, value in fields.items() if value is not None}


def lost(*losses: dict[int, Item], **chunk: Any) -> dict[str, Any]:
    """A LOST chunk for Small.extra_chunks."""
    return {'chunk_type': b'LOST', 'schema_id': LOST_SCHEMA.id, 'meta': flatbuffer(b'LOST', {0: list(losses)}), **chunk}


@dataclass(frozen=True)
class Small:
    """A snapshot of two UARTs and one page of memory; replace() what a test is about."""

    header: dict[str, Any] = field(default_factory=dict)
    schemas: tuple[Schema, ...] = CONTAINER_SCHEMAS + (UART_SCHEMA,)
    manifest: dict[int, Item] = field(default_factory=lambda: {
        0: {0: b'vmsnap_reader_test', 1: b'1'}, 1: ('q', 1700000000000000000), 2: ('H', 1), 3: ('I', 1),
        4: [device(0, b'isa0/uart@3f8', slots=[{0: b'console0', 1: ('B', 2), 3: ('Q', 7)}]),
            device(1, b'isa0/uart@2f8', restore_after=Scalars('I', (0,)))]})
    memory: dict[int, Item] = field(default_factory=lambda: {
        0: [segment(0, b'ram-low', 4096)], 1: [mapping(0, 0, 0, 4096)]})
    ram: tuple[Piece, ...] = (b'page' + bytes(4092),)
    ram_meta: dict[int, Item] = field(default_factory=dict)
    leaves: Optional[tuple[int, ...]] = None
    memory_chunks: Optional[tuple[dict[str, Any], ...]] = None
    state: dict[int, Item] = field(default_factory=lambda: {0: ('B', 3)})
    device_chunks: tuple[dict[str, Any], ...] = ({'instance': 0}, {'instance': 1})
    extra_chunks: tuple[dict[str, Any], ...] = ()
    changes: dict[bytes, dict[str, int]] = field(default_factory=dict)

    def pieces(self) -> list[Piece]:
        """The file."""
        header = file_header(**self.header)
        writer = SnapshotWriter(header, header[32:48], self.changes)
        for schema in self.schemas:
            schema.write(writer)
        writer.chunk(b'CONF', 2, flatbuffer(b'CONF', self.manifest))
        writer.chunk(b'MEMM', 3, flatbuffer(b'MEMM', self.memory))
        if self.memory_chunks is None:
            self._write_flat(writer)
        for chunk in self.memory_chunks or ():
            writer.chunk(**chunk)
        for chunk in self.device_chunks:
            writer.chunk(**{'chunk_type': b'UART', 'schema_id': 7, 'meta': flatbuffer(b'UART', self.state), **chunk})
        for chunk in self.extra_chunks:
            writer.chunk(**chunk)
        writer.finish(5, 6)
        return writer.pieces

    def _write_flat(self, writer: SnapshotWriter) -> None:
        leaves = self.leaves
        if leaves is None:
            leaves = tuple(xxhash.xxh3_64_intdigest(piece) for piece in self.ram if isinstance(piece, bytes))
        ram = {0: ('I', 0), 1: ('B', 18), 2: ('Q', 4096), 3: Scalars('Q', leaves), **self.ram_meta}
        writer.chunk(b'RAMF', 4, flatbuffer(b'RAMF', ram), flags=CRITICAL | LEAVES, body=list(self.ram),
                     body_hash=xxhash.xxh3_64_intdigest(struct.pack(f'<{len(leaves)}Q', *leaves)), alignment=4096)

    def build(self) -> bytes:
        """The file, without holes."""
        return b''.join(piece if isinstance(piece, bytes) else bytes(piece) for piece in self.pieces())

    def with_devices(self, *devices: dict[int, Item]) -> 'Small':
        """The same with other devices in the manifest."""
        return replace(self, manifest={**self.manifest, 4: list(devices)})

    def with_memory(self, segments: list, mappings: list) -> 'Small':
        """The same with another memory map."""
        return replace(self, memory={0: segments, 1: mappings})
