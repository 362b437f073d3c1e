# SPDX-License-Identifier: BSD-2-Clause
"""The metas of the container, section 8: their fields and the rules that concern one meta alone."""

import re
import struct
from dataclasses import dataclass
from typing import Optional

from .errors import Corrupt, Unsupported
from .flatbuffer import I64, U8, U16, U32, U64, Buffer, Table
from .framing import CODEC_NONE, Chunk, is_chunk_type, printable
from .registry import LOSS_KINDS, RUN_KINDS

MAX_CHUNKS = 262144
MAX_LEAVES = 524288
BLOCK = 65536

# Kinds of page runs.
DATA, ZERO, DUPLICATE = 0, 1, 2
# Kinds of what is missing.
DEVICE_LOSS, MEMORY_LOSS, CHUNK_LOSS = LOSS_KINDS

TYPE_NAME = re.compile(rb'[a-z0-9_]{1,63}')
NAME = re.compile(rb'[A-Za-z0-9_.-]{1,63}')
PATH = re.compile(rb'[\x21-\x7E]{1,255}')
ROOT_TABLE = re.compile(rb'[A-Za-z_][A-Za-z0-9_.]{0,254}')

INDEX_ENTRY = struct.Struct('<QQ16s4sIII')
PAGE_RUN = struct.Struct('<QIB3x')


def _pattern(table: Table, value: bytes, what: str, pattern: re.Pattern) -> str:
    if not pattern.fullmatch(value):
        raise table.buffer.corrupt(table.position, f'{what} is "{printable(value[:80])}", which is no {what}')
    return value.decode('ascii')


def _text(table: Table, value: bytes, what: str, limit: int) -> str:
    if len(value) > limit:
        raise table.buffer.corrupt(table.position, f'{what} has {len(value)} bytes, more than {limit}')
    if b'\0' in value:
        raise table.buffer.corrupt(table.position, f'{what} contains NUL')
    try:
        return value.decode('utf-8')
    except UnicodeDecodeError:
        raise table.buffer.corrupt(table.position, f'{what} is not UTF-8') from None


def _optional_text(table: Table, field_id: int, what: str, limit: int) -> Optional[str]:
    value = table.optional_string(field_id, what)
    return None if value is None else _text(table, value, what, limit)


@dataclass(frozen=True)
class SchemaRecord:
    """The meta of a SCHM chunk."""

    schema_id: int
    chunk_type: bytes
    name: str
    version: tuple[int, int]
    root_table: str
    content_hash: bytes

    @staticmethod
    def read(buffer: Buffer) -> 'SchemaRecord':
        """Section 8.1."""
        table = buffer.root()
        chunk_type = table.string(1, 'chunk_type')
        if not is_chunk_type(chunk_type):
            raise buffer.corrupt(table.position, f'chunk_type is "{printable(chunk_type[:80])}", not four letters')
        record = SchemaRecord(
            schema_id=table.scalar(0, U32),
            chunk_type=chunk_type,
            name=_pattern(table, table.string(2, 'name'), 'type name', TYPE_NAME),
            version=(table.scalar(3, U16), table.scalar(4, U16)),
            root_table=_pattern(table, table.string(5, 'root_table'), 'root table name', ROOT_TABLE),
            content_hash=table.bytes(6, 'content_hash', 16),
        )
        if record.version[0] == 0:
            raise buffer.corrupt(table.position, 'the major version is 0')
        return record


@dataclass(frozen=True)
class Slot:
    """A host resource that a device needs."""

    name: str
    kind: int
    hint: Optional[str]
    size: Optional[int]
    read_only: bool

    @staticmethod
    def read(table: Table) -> 'Slot':
        """Section 8.2."""
        return Slot(
            name=_pattern(table, table.string(0, 'slot name'), 'slot name', NAME),
            kind=table.scalar(1, U8),
            hint=_optional_text(table, 2, 'hint', 4096),
            size=table.optional_scalar(3, U64),
            read_only=table.boolean(4),
        )


@dataclass(frozen=True)
class Device:
    """A device of the manifest."""

    instance: int
    path: str
    type: str
    version: tuple[int, int]
    readable_since: tuple[int, int]
    features: tuple[str, ...]
    restore_after: tuple[int, ...]
    slots: tuple[Slot, ...]

    @staticmethod
    def read(table: Table, position: int) -> 'Device':
        """Section 8.2; position is the place in the vector."""
        device = Device(
            instance=table.scalar(0, U32),
            path=_pattern(table, table.string(1, 'path'), 'device path', PATH),
            type=_pattern(table, table.string(2, 'type'), 'type name', TYPE_NAME),
            version=_version(table, 3, 'version'),
            readable_since=_version(table, 4, 'readable_since'),
            features=tuple(_pattern(table, name, 'feature name', NAME) for name in table.strings(5, 'features')),
            restore_after=table.scalars(6, 'restore_after', 'I', False),
            slots=tuple(Slot.read(slot) for slot in table.tables(7, 'slots', False)),
        )
        corrupt = table.buffer.corrupt
        if device.instance != position:
            raise corrupt(table.position, f'device {position} says that it is instance {device.instance}')
        if device.version < device.readable_since:
            raise corrupt(table.position, f'device {device.path} has a version below its readable_since')
        if len(set(device.features)) != len(device.features):
            raise corrupt(table.position, f'device {device.path} has a feature twice')
        if len(set(device.restore_after)) != len(device.restore_after):
            raise corrupt(table.position, f'device {device.path} has an instance twice in restore_after')
        return device


def _version(table: Table, field_id: int, what: str) -> tuple[int, int]:
    version = table.table(field_id, what)
    major, minor = version.scalar(0, U16), version.scalar(1, U16)
    if major == 0:
        raise table.buffer.corrupt(version.position, f'{what} has major 0')
    return major, minor


@dataclass(frozen=True)
class Manifest:
    """The meta of CONF."""

    producer: str
    producer_version: str
    created: int
    release_level: int
    vcpu_count: int
    devices: tuple[Device, ...]
    comment: Optional[str]

    @staticmethod
    def read(buffer: Buffer) -> 'Manifest':
        """Section 8.2, with the rules that concern the manifest alone."""
        table = buffer.root()
        producer = table.table(0, 'producer')
        manifest = Manifest(
            producer=_text(producer, producer.string(0, 'name'), 'producer name', 255),
            producer_version=_text(producer, producer.string(1, 'version'), 'producer version', 255),
            created=table.scalar(1, I64),
            release_level=table.scalar(2, U16),
            vcpu_count=table.scalar(3, U32),
            devices=tuple(Device.read(device, n) for n, device in enumerate(table.tables(4, 'devices', True))),
            comment=_optional_text(table, 5, 'comment', 65536),
        )
        if not manifest.producer:
            raise buffer.corrupt(producer.position, 'the producer has no name')
        if manifest.release_level == 0:
            raise buffer.corrupt(table.position, 'the release level is 0')
        manifest._check_names(buffer)
        manifest._check_edges(buffer)
        return manifest

    def _check_names(self, buffer: Buffer) -> None:
        paths: set[str] = set()
        slots: set[str] = set()
        for device in self.devices:
            if device.path in paths:
                raise buffer.corrupt(0, f'two devices have the path {device.path}')
            paths.add(device.path)
            for slot in device.slots:
                if slot.name in slots:
                    raise buffer.corrupt(0, f'two slots have the name {slot.name}')
                slots.add(slot.name)

    def _check_edges(self, buffer: Buffer) -> None:
        """restore_after names other devices and forms no circle."""
        waiting_for = [len(device.restore_after) for device in self.devices]
        followers: list[list[int]] = [[] for _ in self.devices]
        for device in self.devices:
            for other in device.restore_after:
                if other == device.instance or other >= len(self.devices):
                    raise buffer.corrupt(0, f'device {device.path} is to be restored after {other}')
                followers[other].append(device.instance)
        ready = [instance for instance, count in enumerate(waiting_for) if count == 0]
        restored = 0
        while ready:
            restored += 1
            for follower in followers[ready.pop()]:
                waiting_for[follower] -= 1
                if waiting_for[follower] == 0:
                    ready.append(follower)
        if restored != len(self.devices):
            raise buffer.corrupt(0, 'the restore_after of the devices forms a circle')


@dataclass(frozen=True)
class Segment:
    """A segment of guest memory."""

    id: int
    name: str
    kind: int
    size: int


@dataclass(frozen=True)
class Mapping:
    """Where a piece of a segment is in guest physical address space."""

    segment: int
    segment_offset: int
    guest_address: int
    size: int
    read_only: bool


@dataclass(frozen=True)
class MemoryMap:
    """The meta of MEMM."""

    segments: tuple[Segment, ...]
    mappings: tuple[Mapping, ...]

    @staticmethod
    def read(buffer: Buffer, page_size: int) -> 'MemoryMap':
        """Section 8.3."""
        root = buffer.root()
        segments: list[Segment] = []
        names: set[str] = set()
        for position, table in enumerate(root.tables(0, 'segments', True)):
            segment = Segment(table.scalar(0, U32), _pattern(table, table.string(1, 'name'), 'segment name', NAME),
                              table.scalar(2, U8), table.scalar(3, U64))
            if segment.id != position:
                raise buffer.corrupt(table.position, f'segment {position} says that its id is {segment.id}')
            if segment.name in names:
                raise buffer.corrupt(table.position, f'two segments have the name {segment.name}')
            if segment.size == 0 or segment.size % page_size:
                raise buffer.corrupt(table.position, f'segment {segment.name} has a size of {segment.size} bytes')
            names.add(segment.name)
            segments.append(segment)
        mappings: list[Mapping] = []
        free = 0
        for table in root.tables(1, 'mappings', True):
            mapping = Mapping(table.scalar(0, U32), table.scalar(1, U64), table.scalar(2, U64), table.scalar(3, U64),
                              table.boolean(4))
            what = f'the mapping at guest address {mapping.guest_address:#x}'
            if mapping.segment >= len(segments):
                raise buffer.corrupt(table.position, f'{what} is of segment {mapping.segment}, which does not exist')
            if (mapping.size == 0 or mapping.size % page_size or mapping.segment_offset % page_size
                    or mapping.guest_address % page_size):
                raise buffer.corrupt(table.position, f'{what} is not in whole pages')
            if mapping.segment_offset + mapping.size > segments[mapping.segment].size:
                raise buffer.corrupt(table.position, f'{what} leaves its segment')
            if mapping.guest_address + mapping.size > (1 << 64) - 1:
                raise buffer.corrupt(table.position, f'{what} goes beyond the address space')
            if mapping.guest_address < free:
                raise buffer.corrupt(table.position, f'{what} overlaps the one before or is out of order')
            free = mapping.guest_address + mapping.size
            mappings.append(mapping)
        return MemoryMap(tuple(segments), tuple(mappings))


@dataclass(frozen=True)
class FlatRam:
    """The meta of RAMF."""

    extent_shift: int
    data_bytes: int
    leaves: tuple[int, ...]

    @staticmethod
    def read(buffer: Buffer, chunk: Chunk, page_size: int) -> 'FlatRam':
        """Sections 8.4 and 9.1."""
        table = buffer.root()
        shift = table.scalar(1, U8)
        ram = FlatRam(shift, table.scalar(2, U64), table.scalars(3, 'leaves', 'Q', True))
        if table.scalar(0, U32) != chunk.instance:
            raise buffer.corrupt(table.position, f'segment is {table.scalar(0, U32)}, not the instance of the chunk')
        if not 18 <= shift <= 30:
            raise buffer.corrupt(table.position, f'extent_shift is {shift}, not 18 to 30')
        extents = -(-chunk.body_size >> shift)
        if len(ram.leaves) != extents or extents > MAX_LEAVES:
            raise buffer.corrupt(table.position, f'there are {len(ram.leaves)} leaves for {extents} extents')
        if ram.data_bytes > chunk.body_size or ram.data_bytes % page_size:
            raise buffer.corrupt(table.position, f'data_bytes is {ram.data_bytes}')
        return ram


@dataclass(frozen=True)
class Run:
    """Adjacent pages of one kind."""

    source: int
    size: int
    kind: int


@dataclass(frozen=True)
class Block:
    """A piece of compressed data."""

    data_offset: int
    content_size: int
    body_offset: int
    encoded_size: int


@dataclass(frozen=True)
class ExtentRam:
    """The meta of RAME."""

    extent_shift: int
    first_extent: int
    leaves: tuple[int, ...]
    runs: tuple[Run, ...]
    blocks: tuple[Block, ...]
    block_starts: tuple[int, ...]

    @staticmethod
    def read(buffer: Buffer, chunk: Chunk, segment_size: int, page_size: int) -> 'ExtentRam':
        """The rules of section 8.5 on one chunk."""
        table = buffer.root()
        shift, first = table.scalar(1, U8), table.scalar(2, U32)
        leaves = table.scalars(3, 'leaves', 'Q', True)
        fields = list(table.structs(4, 'runs', PAGE_RUN))
        block_sizes = table.scalars(5, 'block_sizes', 'I', False)
        if table.scalar(0, U32) != chunk.instance:
            raise buffer.corrupt(table.position, f'segment is {table.scalar(0, U32)}, not the instance of the chunk')
        if not 18 <= shift <= 30:
            raise buffer.corrupt(table.position, f'extent_shift is {shift}, not 18 to 30')
        extents = -(-segment_size >> shift)
        if extents > MAX_LEAVES or not leaves or first + len(leaves) > extents:
            raise buffer.corrupt(table.position, f'there are {len(leaves)} leaves from {first} for {extents} extents')
        begin, end = first << shift, min((first + len(leaves)) << shift, segment_size)
        runs = _runs(buffer, table, fields, begin, page_size)
        if begin + sum(run.size for run in runs) != end:
            raise buffer.corrupt(table.position, 'the runs do not cover the batch')
        data = sum(run.size for run in runs if run.kind == DATA)
        blocks: tuple[Block, ...] = ()
        if chunk.codec == CODEC_NONE:
            if block_sizes or data != chunk.body_size:
                raise buffer.corrupt(table.position, f'{data} bytes of data in {len(block_sizes)} blocks are not a '
                                     f'body of {chunk.body_size}')
        else:
            # Runs of a few bytes may claim any amount of data; blocks are there one by one.
            if data > BLOCK * len(block_sizes):
                raise buffer.corrupt(table.position, f'{data} bytes of data do not fit {len(block_sizes)} blocks')
            blocks = _blocks(buffer, table, _contents(runs, begin, shift), block_sizes)
            if sum(block_sizes) != chunk.body_size:
                raise buffer.corrupt(table.position, f'the blocks do not make a body of {chunk.body_size} bytes')
        return ExtentRam(shift, first, leaves, runs, blocks, tuple(block.data_offset for block in blocks))


def _runs(buffer: Buffer, table: Table, fields: list[tuple], at: int, page_size: int) -> tuple[Run, ...]:
    """The runs of a batch that begins at byte `at` of its segment."""
    runs = []
    for number, (source, pages, kind) in enumerate(fields):
        if kind not in RUN_KINDS:
            raise Unsupported(f'{buffer.what}: run {number} is of the unknown kind {kind}')
        size = pages * page_size
        if size == 0:
            raise buffer.corrupt(table.position, f'run {number} has no pages')
        if source if kind != DUPLICATE else source % page_size or source + size > at:
            raise buffer.corrupt(table.position, f'run {number} has the source {source:#x}')
        runs.append(Run(source, size, kind))
        at += size
    return tuple(runs)


def _contents(runs: tuple[Run, ...], at: int, shift: int) -> list[int]:
    """Sizes of the blocks that the data of each extent is cut into."""
    in_extent: dict[int, int] = {}
    for run in runs:
        end = at + run.size
        while run.kind == DATA and at < end:
            stop = min(end, ((at >> shift) + 1) << shift)
            in_extent[at >> shift] = in_extent.get(at >> shift, 0) + stop - at
            at = stop
        at = end
    return [min(BLOCK, data - cut) for data in in_extent.values() for cut in range(0, data, BLOCK)]


def _blocks(buffer: Buffer, table: Table, contents: list[int], encoded: tuple[int, ...]) -> tuple[Block, ...]:
    if len(contents) != len(encoded):
        raise buffer.corrupt(table.position, f'there are {len(encoded)} sizes for {len(contents)} blocks')
    blocks = []
    data_offset = body_offset = 0
    for content_size, encoded_size in zip(contents, encoded):
        if not 1 <= encoded_size <= content_size:
            raise buffer.corrupt(table.position, f'a block of {content_size} bytes has {encoded_size} in the body')
        blocks.append(Block(data_offset, content_size, body_offset, encoded_size))
        data_offset += content_size
        body_offset += encoded_size
    return tuple(blocks)


@dataclass(frozen=True)
class Loss:
    """One thing that a recovered file lacks."""

    kind: int
    reason: str
    path: str
    type: str
    instance: int
    segment: int
    offset: int
    size: int

    def __str__(self) -> str:
        what = {
            DEVICE_LOSS: f'device {self.path} of type {self.type}, instance {self.instance}',
            MEMORY_LOSS: f'{self.size} bytes of segment {self.segment} from {self.offset:#x}',
            CHUNK_LOSS: f'a chunk "{self.type}" {self.instance}' if self.type else 'an unknown number of chunks',
        }
        return f'{what.get(self.kind, f"something of the unknown kind {self.kind}")}: {self.reason}'


def read_losses(buffer: Buffer, segments: tuple[Segment, ...], page_size: int) -> tuple[Loss, ...]:
    """Section 8.9."""
    losses = []
    root = buffer.root()
    for table in root.tables(0, 'losses', True):
        loss = Loss(
            kind=table.scalar(0, U8),
            reason=_text(table, table.string(1, 'reason'), 'reason', 1024),
            path=_text(table, table.optional_string(2, 'path') or b'', 'path', 255),
            type=_text(table, table.optional_string(3, 'type') or b'', 'type', 63),
            instance=table.scalar(4, U32),
            segment=table.scalar(5, U32),
            offset=table.scalar(6, U64),
            size=table.scalar(7, U64),
        )
        if not loss.reason:
            raise buffer.corrupt(table.position, 'something is missing without a reason')
        if loss.path and not PATH.fullmatch(loss.path.encode()):
            raise buffer.corrupt(table.position, 'the path of a missing device is no device path')
        if loss.kind == MEMORY_LOSS:
            what = f'{loss.size} bytes from {loss.offset:#x} are missing of segment {loss.segment}'
            if loss.segment >= len(segments):
                raise buffer.corrupt(table.position, f'{what}, which does not exist')
            if loss.size == 0 or loss.size % page_size or loss.offset % page_size:
                raise buffer.corrupt(table.position, f'{what}: not whole pages')
            if loss.offset + loss.size > segments[loss.segment].size:
                raise buffer.corrupt(table.position, f'{what}: it ends before')
        losses.append(loss)
    if not losses:
        raise buffer.corrupt(root.position, 'nothing is missing')
    return tuple(losses)


@dataclass(frozen=True)
class End:
    """The meta of END."""

    chunk_count: int
    root: bytes

    @staticmethod
    def read(buffer: Buffer) -> 'End':
        """Section 8.7."""
        table = buffer.root()
        return End(table.scalar(0, U32), table.bytes(1, 'root', 16))


@dataclass(frozen=True)
class IndexEntry:
    """An entry of INDX."""

    offset: int
    size: int
    digest: bytes
    type: bytes
    instance: int
    schema_id: int
    flags: int


def read_index(buffer: Buffer) -> list[IndexEntry]:
    """Section 8.8."""
    entries = [IndexEntry(*fields) for fields in buffer.root().structs(0, 'entries', INDEX_ENTRY)]
    if len(entries) > MAX_CHUNKS:
        raise Corrupt(f'{buffer.what}: there are {len(entries)} entries')
    return entries
