# SPDX-License-Identifier: BSD-2-Clause
"""Opening and checking a file: section 11, in the order of 11.2."""

from . import hashes, memory
from .errors import Corrupt, Truncated, Unsupported
from .flatbuffer import Buffer
from .framing import (CODEC_LZ4, CODEC_MASK, CODEC_NONE, CRITICAL, FOOTER_SIZE, LEAVES, SAFE_TO_COPY, Chunk, printable,
                      read_file_header, read_footer)
from .metas import (End, ExtentRam, FlatRam, IndexEntry, Loss, Manifest, MemoryMap, SchemaRecord, read_index,
                    read_losses)
from .registry import (ARCHITECTURES, CODECS, CONTAINER_MAJOR, CONTAINER_TYPES, DEVICE_TYPES, RECOVERED, SEGMENT_KINDS,
                       SLOT_KINDS)
from .source import Source
from .walk import Walk


class Snapshot:
    """A file that has been checked to the level *full*."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.header = read_file_header(source)
        walk = Walk(source, self.header)
        self.chunks = walk.chunks
        self._only = walk.only
        self._schema_chunks = walk.schemas
        self.notes: list[str] = []
        self.schemas: dict[int, SchemaRecord] = {}
        self.root = self._check_footer(walk.end)
        self._check_end()
        index = self._read_index()
        self._check_flags()
        self._read_schemas()
        self._page_size = 1 << self.header.page_shift
        self.manifest = Manifest.read(self._known_meta(self._only[b'CONF']))
        self.memory = MemoryMap.read(self._known_meta(self._only[b'MEMM']), self._page_size)
        self.losses: tuple[Loss, ...] = ()
        if b'LOST' in self._only:
            self.losses = read_losses(self._known_meta(self._only[b'LOST']), self.memory.segments, self._page_size)
        self._ram_chunks: list[list[Chunk]] = []
        self.segments: list[memory.Segment] = []
        self._device_types = {device.type for device in self.manifest.devices}
        self.device_chunks: dict[int, Chunk] = {}
        self._check_segments()
        self._check_devices()
        self._check_metas()
        self._check_digests(index)
        self._read_segments()
        self.memory_digest = memory.digest(self.segments)
        self._check_bodies()
        self._check_recovered()

    def _check_footer(self, offset: int) -> bytes:
        """Steps 11 and 12; gives the root."""
        rest = self.source.size - offset
        if rest < FOOTER_SIZE:
            raise Truncated(f'the file ends after {rest} of the 64 bytes of its Footer', self.source.size)
        if rest > FOOTER_SIZE:
            raise Corrupt(f'there are {rest - FOOTER_SIZE} bytes too many at the end of the file', offset + FOOTER_SIZE)
        footer = read_footer(self.source, offset, self.header.seed)
        if footer.file_size != self.source.size:
            raise Corrupt(f'the Footer says that the file has {footer.file_size} bytes, it has {self.source.size}',
                          offset + 32)
        if footer.index_offset != self.chunks[-1].offset:
            raise Corrupt(f'the Footer says that INDX is at {footer.index_offset}', offset + 24)
        if footer.chunk_count != len(self.chunks):
            raise Corrupt(f'the Footer counts {footer.chunk_count} chunks, there are {len(self.chunks)}', offset + 40)
        return footer.root

    def meta(self, chunk: Chunk) -> bytes:
        """A copy of a meta, its hash checked; notes the chunk digest."""
        data = self.source.read(chunk.meta_offset, chunk.meta_size)
        if hashes.xxh64(data) != chunk.meta_hash:
            raise Corrupt(f'the meta hash of {chunk} differs', chunk.meta_offset)
        chunk.digest = hashes.xxh128(chunk.header, data)
        return data

    def _known_meta(self, chunk: Chunk) -> Buffer:
        """The meta of a chunk of a known type, its identifier checked."""
        buffer = Buffer(self.meta(chunk), chunk.meta_offset, str(chunk))
        if buffer.identifier() != chunk.type:
            raise buffer.corrupt(4, f'the file identifier is "{printable(buffer.identifier())}"')
        return buffer

    def _check_end(self) -> None:
        """Step 13, END."""
        chunk = self._only[b'END ']
        end = End.read(self._known_meta(chunk))
        if end.chunk_count != chunk.sequence:
            raise Corrupt(f'END counts {end.chunk_count} chunks before it, there are {chunk.sequence}',
                          chunk.meta_offset)
        if end.root != self.root:
            raise Corrupt('the root in END and the one in the Footer differ', chunk.meta_offset)

    def _read_index(self) -> list[IndexEntry]:
        """Step 13, INDX. Its digests are compared later, when all metas have been read."""
        chunk = self._only[b'INDX']
        entries = read_index(self._known_meta(chunk))
        listed = self.chunks[:-1]
        if len(entries) != len(listed):
            raise Corrupt(f'INDX has {len(entries)} entries, there are {len(listed)} chunks before it',
                          chunk.meta_offset)
        for entry, other in zip(entries, listed):
            if (entry.offset, entry.size, entry.type, entry.instance, entry.schema_id, entry.flags) != (
                    other.offset, other.end - other.offset, other.type, other.instance, other.schema_id, other.flags):
                raise Corrupt(f'the entry of INDX for {other} differs from the chunk', chunk.meta_offset)
        return entries

    def _check_flags(self) -> None:
        """Step 14."""
        for chunk in self.chunks:
            unknown = chunk.flags & ~(CRITICAL | SAFE_TO_COPY | LEAVES | CODEC_MASK)
            if unknown:
                raise Unsupported(f'{chunk} has the unknown flags {unknown:#x}', chunk.offset + 8)
            if chunk.codec != CODEC_NONE and (chunk.codec, chunk.type) != (CODEC_LZ4, b'RAME'):
                name = CODECS.get(chunk.codec, 'unregistered')
                raise Unsupported(f'the body of {chunk} has codec {chunk.codec} ({name})', chunk.offset + 8)

    def _read_schemas(self) -> None:
        """Step 15, SCHM: section 8.1."""
        for schema_id, chunk in self._schema_chunks.items():
            record = SchemaRecord.read(self._known_meta(chunk))
            if record.schema_id != schema_id:
                raise Corrupt(f'{chunk} says that it defines schema {record.schema_id}', chunk.meta_offset)
            body = self.source.read(chunk.body_offset, chunk.body_size)
            if hashes.xxh64(body) != chunk.body_hash:
                raise Corrupt(f'the body hash of {chunk} differs', chunk.body_offset)
            if hashes.xxh128(body) != record.content_hash:
                raise Corrupt(f'the content hash of {chunk} differs', chunk.body_offset)
            self.schemas[schema_id] = record
        of_schemas = sum(record.chunk_type == b'SCHM' for record in self.schemas.values())
        if of_schemas != 1:
            raise Corrupt(f'{of_schemas} schemas describe the SCHM chunks, not one', self.header.size)
        for chunk in self.chunks:
            if chunk.type != b'SCHM' and self.schemas[chunk.schema_id].chunk_type != chunk.type:
                described = printable(self.schemas[chunk.schema_id].chunk_type)
                raise Corrupt(f'{chunk} has schema {chunk.schema_id}, which describes "{described}"', chunk.offset + 16)
        for schema_id, record in self.schemas.items():
            if record.chunk_type in CONTAINER_TYPES and record.version[0] != CONTAINER_MAJOR:
                raise Unsupported(f'"{printable(record.chunk_type)}" has version {record.version[0]}.'
                                  f'{record.version[1]}, this reader knows {CONTAINER_MAJOR}.x',
                                  self._schema_chunks[schema_id].offset)

    def _check_segments(self) -> None:
        """Step 15, RAMF and RAME: every segment has one RAMF chunk of its size, or RAME chunks."""
        self._ram_chunks = [[] for _ in self.memory.segments]
        for chunk in self.chunks:
            if chunk.type not in (b'RAMF', b'RAME'):
                continue
            if chunk.instance >= len(self.memory.segments):
                raise Corrupt(f'{chunk} is of a segment that MEMM does not list', chunk.offset + 20)
            others = self._ram_chunks[chunk.instance]
            if others and b'RAMF' in (chunk.type, others[0].type):
                raise Corrupt(f'{chunk} is of the same segment as {others[0]}', chunk.offset + 20)
            size = self.memory.segments[chunk.instance].size
            if chunk.type == b'RAMF' and chunk.body_size != size:
                raise Corrupt(f'the body of {chunk} has {chunk.body_size} bytes, its segment {size}',
                              chunk.offset + 32)
            others.append(chunk)
        for segment in self.memory.segments:
            if not self._ram_chunks[segment.id]:
                raise Corrupt(f'segment {segment.id} ({segment.name}) has no RAMF or RAME chunk',
                              self._only[b'MEMM'].meta_offset)

    def is_device_chunk(self, chunk: Chunk) -> bool:
        """Section 8.5: the manifest decides."""
        return chunk.type not in CONTAINER_TYPES and self.schemas[chunk.schema_id].name in self._device_types

    def _check_devices(self) -> None:
        """Step 15, device chunks: section 8.5."""
        devices = self.manifest.devices
        for chunk in self.chunks:
            if not self.is_device_chunk(chunk):
                continue
            schema = self.schemas[chunk.schema_id]
            if chunk.instance >= len(devices) or devices[chunk.instance].type != schema.name:
                raise Corrupt(f'{chunk} is of no {schema.name} in the manifest', chunk.offset + 20)
            device = devices[chunk.instance]
            if chunk.instance in self.device_chunks:
                raise Corrupt(f'{chunk} is the second chunk of {device.path}', chunk.offset + 20)
            if schema.version != device.version:
                raise Corrupt(f'the schema of {chunk} has another version than {device.path} in the manifest',
                              chunk.offset + 16)
            if chunk.body_size:
                raise Corrupt(f'{chunk} has a body', chunk.offset + 32)
            if not chunk.critical:
                raise Corrupt(f'{chunk} is not CRITICAL', chunk.offset + 8)
            self.device_chunks[chunk.instance] = chunk
        for device in devices:
            if device.instance not in self.device_chunks:
                raise Corrupt(f'device {device.instance} ({device.path}) has no chunk', self._only[b'CONF'].meta_offset)

    def _check_metas(self) -> None:
        """Step 16 at *meta*: the metas that have not been read yet."""
        for chunk in self.chunks:
            if chunk.type in (b'RAMF', b'RAME') or self.is_device_chunk(chunk):
                self._known_meta(chunk)
            elif chunk.digest is None:
                self.meta(chunk)

    def _read_segments(self) -> None:
        """Step 16 at *meta*: the metas of RAMF and RAME, and the leaves against the body hashes."""
        for segment, chunks in zip(self.memory.segments, self._ram_chunks):
            batches = []
            for chunk in chunks:
                buffer = self._known_meta(chunk)
                if chunk.type == b'RAMF':
                    flat = FlatRam.read(buffer, chunk, self._page_size)
                    self._check_leaf_array(chunk, flat.leaves)
                    self.segments.append(memory.FlatSegment(self.source, chunk, flat))
                else:
                    batch = ExtentRam.read(buffer, chunk, segment.size, self._page_size)
                    self._check_leaf_array(chunk, batch.leaves)
                    batches.append((chunk, batch))
            if batches:
                self.segments.append(memory.ExtentSegment(self.source, segment.size, batches))

    def _check_leaf_array(self, chunk: Chunk, leaves: tuple[int, ...]) -> None:
        if chunk.leaves and hashes.leaf_array_hash(leaves) != chunk.body_hash:
            raise Corrupt(f'the leaves of {chunk} do not give its body hash', chunk.meta_offset)

    def _check_digests(self, index: list[IndexEntry]) -> None:
        """Step 16 at *meta*: the root, and the digests in INDX."""
        digests = (chunk.digest for chunk in self.chunks[:-2])
        if hashes.xxh128(self.header.uuid, *(digest for digest in digests if digest is not None)) != self.root:
            raise Corrupt('the root is not that of the chunks', self._only[b'END '].meta_offset)
        for entry, chunk in zip(index, self.chunks):
            if entry.digest != chunk.digest:
                raise Corrupt(f'the digest of {chunk} in INDX differs', self._only[b'INDX'].meta_offset)

    def _check_bodies(self) -> None:
        """Step 16 at *full*: bodies, gaps and pads."""
        for chunk in self.chunks:
            for start, end in ((chunk.meta_end, chunk.body_offset), (chunk.body_end, chunk.end)):
                found = self.source.first_non_zero(start, end)
                if found is not None:
                    raise Corrupt(f'the padding of {chunk} is not zero', found)
            if chunk.type in (b'RAMF', b'RAME'):
                continue
            if chunk.leaves:
                self.notes.append(f'{chunk}: its body has leaves of an unknown kind and was not verified')
            elif chunk.body_size and hashes.xxh64_of(
                    self.source.pieces(chunk.body_offset, chunk.body_size)) != chunk.body_hash:
                raise Corrupt(f'the body hash of {chunk} differs', chunk.body_offset)
        zero_leaves = hashes.ZeroLeaves()
        for segment, record in zip(self.segments, self.memory.segments):
            memory.check_leaves(segment, record.name, zero_leaves)

    def _check_recovered(self) -> None:
        """Step 17, what every reader refuses of section 8.9."""
        if self.header.has_incompatible(RECOVERED) and not self.losses:
            raise Unsupported('the file was recovered from a damaged one and does not say what it lacks', 16)

    def check_restorable(self) -> None:
        """Step 17: what only a restoring reader refuses. It stands for one that knows docs/registry.md, no more, and
        whose operator does not insist."""
        if self.losses:
            raise Unsupported(f'the file was recovered from a damaged one and lacks {self.losses[0]}')
        if self.header.arch not in ARCHITECTURES:
            raise Unsupported(f'the architecture {self.header.arch} is unknown', 52)
        for chunk in self.chunks:
            if chunk.critical and chunk.type not in CONTAINER_TYPES and not self.is_device_chunk(chunk):
                raise Unsupported(f'{chunk} is critical and of an unknown type', chunk.offset)
        for segment in self.memory.segments:
            if segment.kind not in SEGMENT_KINDS:
                raise Unsupported(f'segment {segment.id} ({segment.name}) is of the unknown kind {segment.kind}')
        for device in self.manifest.devices:
            what = f'device {device.instance} ({device.path}) of type {device.type}'
            if device.type not in DEVICE_TYPES:
                raise Unsupported(f'{what}: the type is unknown')
            known = DEVICE_TYPES[device.type]
            if self.device_chunks[device.instance].type != known.chunk:
                raise Unsupported(f'{what}: its chunk has another type than this reader knows')
            # A reader of today knows all majors there have been, since steps convert between them.
            if not any(device.version[0] == newest[0] and device.readable_since <= newest for newest in known.versions):
                raise Unsupported(f'{what}: version {device.version[0]}.{device.version[1]}, readable since '
                                  f'{device.readable_since[0]}.{device.readable_since[1]}, this reader knows '
                                  + ' and '.join(f'{major}.{minor}' for major, minor in known.versions))
            for feature in device.features:
                if feature not in known.features:
                    raise Unsupported(f'{what}: the feature {feature} is unknown')
            for slot in device.slots:
                if slot.kind not in SLOT_KINDS:
                    raise Unsupported(f'{what}: slot {slot.name} is of the unknown kind {slot.kind}')
