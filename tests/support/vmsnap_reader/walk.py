# SPDX-License-Identifier: BSD-2-Clause
"""The walk over the chunk headers: sections 6 and 11.3. No meta and no body is read."""

from typing import Optional

from .errors import Corrupt, Truncated
from .framing import (CODEC_LZ4, CODEC_NONE, MAX_FILE, MAX_GAP, MAX_META, MAX_SCHEMA_BODY, Chunk, FileHeader,
                      is_chunk_type, printable, read_chunk_header)
from .hashes import HASH_OF_NOTHING
from .metas import MAX_CHUNKS
from .registry import CONTAINER_TYPES, LZ4, RAM_EXTENTS, RECOVERED
from .source import Source

MAX_SCHEMAS = 1024

PAGE = 4096
ONCE = (b'CONF', b'MEMM', b'LOST', b'END ', b'INDX')


def _alignment(chunk: Chunk, header: FileHeader) -> int:
    """Of the body of a chunk: section 5."""
    if chunk.type == b'RAMF':
        return 1 << header.body_align_shift
    return PAGE if chunk.type == b'RAME' and chunk.codec == CODEC_NONE else 64


class Walk:
    """All chunks of a file, in file order; the last is INDX."""

    def __init__(self, source: Source, header: FileHeader) -> None:
        self.chunks: list[Chunk] = []
        self.schemas: dict[int, Chunk] = {}
        self.only: dict[bytes, Chunk] = {}
        self._last_but_schemas: Optional[bytes] = None
        offset = header.size
        while not self.chunks or self.chunks[-1].type != b'INDX':
            chunk = read_chunk_header(source, offset, header.seed)
            self._check_fields(chunk)
            self._check_order(chunk)
            self._check_sizes(chunk, header)
            self._check_features(chunk, header)
            if chunk.end > source.size:
                raise Truncated(f'the file ends within {chunk}, which goes to {chunk.end}', source.size)
            self._add(chunk)
            offset = chunk.end

    @property
    def end(self) -> int:
        """File offset of the first byte after INDX."""
        return self.chunks[-1].end

    def _check_fields(self, chunk: Chunk) -> None:
        """Step 3 of section 11.3."""
        if not is_chunk_type(chunk.type):
            raise Corrupt(f'the type of a chunk is "{printable(chunk.type)}"', chunk.offset + 4)
        if chunk.meta_size > MAX_META:
            raise Corrupt(f'{chunk} has a meta of {chunk.meta_size} bytes', chunk.offset + 24)
        if (chunk.schema_id == 0) != (chunk.type == b'SCHM'):
            raise Corrupt(f'{chunk} has the schema id {chunk.schema_id}', chunk.offset + 16)
        if chunk.body_size == 0 and (chunk.gap or chunk.leaves or chunk.body_hash != HASH_OF_NOTHING):
            raise Corrupt(f'{chunk} has no body, but a gap, leaves or the hash of one', chunk.offset + 28)
        if chunk.gap >= MAX_GAP:
            raise Corrupt(f'{chunk} has a gap of {chunk.gap} bytes', chunk.offset + 28)

    def _check_order(self, chunk: Chunk) -> None:
        """Step 4 of section 11.3, the rules of section 6."""
        number = len(self.chunks)
        if chunk.sequence != number:
            raise Corrupt(f'{chunk} stands where number {number} should be', chunk.offset + 12)
        if number >= MAX_CHUNKS:
            raise Corrupt(f'there are more than {MAX_CHUNKS} chunks', chunk.offset)
        before = self._last_but_schemas
        if b'END ' in self.only and chunk.type != b'INDX':
            raise Corrupt(f'{chunk} follows END', chunk.offset)
        if chunk.type == b'INDX' and (number == 0 or self.chunks[-1].type != b'END '):
            raise Corrupt(f'{chunk} does not follow END', chunk.offset)
        if before == b'LOST' and chunk.type != b'END ':
            raise Corrupt(f'{chunk} follows LOST', chunk.offset)
        if chunk.type == b'SCHM':
            self._check_schema(chunk)
            return
        if chunk.type in self.only:
            raise Corrupt(f'{chunk} is the second of its type', chunk.offset)
        required = {None: b'CONF', b'CONF': b'MEMM'}.get(before)
        if required is not None and chunk.type != required:
            raise Corrupt(f'{chunk} stands where {required.decode()} should be', chunk.offset)
        if chunk.schema_id not in self.schemas:
            raise Corrupt(f'{chunk} has the schema id {chunk.schema_id}, which no SCHM chunk before it defines',
                          chunk.offset + 16)

    def _check_schema(self, chunk: Chunk) -> None:
        if chunk.instance == 0 or chunk.instance in self.schemas:
            raise Corrupt(f'{chunk} defines a schema id that is 0 or taken', chunk.offset + 20)
        if len(self.schemas) >= MAX_SCHEMAS:
            raise Corrupt(f'there are more than {MAX_SCHEMAS} SCHM chunks', chunk.offset)

    def _check_sizes(self, chunk: Chunk, header: FileHeader) -> None:
        """Step 5 of section 11.3 but for features."""
        if chunk.end > MAX_FILE:
            raise Corrupt(f'{chunk} would end at {chunk.end}, where no file can reach', chunk.offset + 32)
        if not chunk.critical and chunk.type in CONTAINER_TYPES:
            raise Corrupt(f'{chunk} is not CRITICAL', chunk.offset + 8)
        if chunk.instance and chunk.type in ONCE:
            raise Corrupt(f'{chunk} is not instance 0', chunk.offset + 20)
        alignment = _alignment(chunk, header)
        if chunk.body_size and chunk.body_offset % alignment:
            raise Corrupt(f'the body of {chunk} is at {chunk.body_offset}, not at a multiple of {alignment}',
                          chunk.offset + 28)
        if chunk.type in (b'SCHM', b'RAMF', b'RAME') and chunk.gap >= alignment:
            raise Corrupt(f'{chunk} has a gap of {chunk.gap} bytes', chunk.offset + 28)
        if chunk.type in (b'SCHM', b'RAMF') and chunk.body_size == 0:
            raise Corrupt(f'{chunk} has no body', chunk.offset + 32)
        if chunk.type in ONCE and chunk.body_size:
            raise Corrupt(f'{chunk} has a body', chunk.offset + 32)
        needs_leaves = chunk.type in (b'RAMF', b'RAME') and chunk.body_size > 0
        if chunk.leaves != needs_leaves and chunk.type in CONTAINER_TYPES:
            raise Corrupt(f'the flag LEAVES of {chunk} is wrong', chunk.offset + 8)
        if chunk.type == b'SCHM' and chunk.body_size > MAX_SCHEMA_BODY:
            raise Corrupt(f'the body of {chunk} has {chunk.body_size} bytes', chunk.offset + 32)

    def _check_features(self, chunk: Chunk, header: FileHeader) -> None:
        """Step 5 of section 11.3: what the FileHeader has to announce."""
        if chunk.type == b'LOST' and not header.has_incompatible(RECOVERED):
            raise Corrupt(f'the FileHeader does not announce the feature of {chunk}', chunk.offset + 4)
        if chunk.type != b'RAME':
            return
        if not header.has_incompatible(RAM_EXTENTS):
            raise Corrupt(f'the FileHeader does not announce the feature of {chunk}', chunk.offset + 4)
        if chunk.codec == CODEC_LZ4 and not header.has_incompatible(LZ4):
            raise Corrupt(f'the FileHeader does not announce the codec of {chunk}', chunk.offset + 8)

    def _add(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)
        if chunk.type == b'SCHM':
            self.schemas[chunk.instance] = chunk
            return
        self._last_but_schemas = chunk.type
        if chunk.type in ONCE:
            self.only[chunk.type] = chunk
