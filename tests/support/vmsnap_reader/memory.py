# SPDX-License-Identifier: BSD-2-Clause
"""Segments of guest memory, section 9: what they hold, whatever their encoding."""

import bisect
import struct
from dataclasses import dataclass
from typing import Iterator, Optional, Sequence, Union

from . import hashes, lz4
from .errors import Corrupt
from .framing import CODEC_NONE, Chunk
from .metas import DATA, DUPLICATE, ZERO, ExtentRam, FlatRam
from .source import PIECE, Source


class FlatSegment:
    """Section 9.1."""

    def __init__(self, source: Source, chunk: Chunk, meta: FlatRam) -> None:
        self._source = source
        self._chunk = chunk
        self.size = chunk.body_size
        self.extent_shift = meta.extent_shift
        self.leaves = meta.leaves
        self._data_from: Optional[int] = chunk.body_offset

    def is_hole(self, begin: int, end: int) -> bool:
        """The file has no bytes for [begin, end). Asked from the front to the back."""
        start = self._chunk.body_offset + begin
        if self._data_from is not None and self._data_from <= start:
            self._data_from = self._source.next_data(start, self._chunk.body_end)
        return self._data_from is None or self._data_from >= self._chunk.body_offset + end

    def pieces(self, begin: int, end: int) -> Iterator[bytes]:
        """The bytes [begin, end) of the segment."""
        return self._source.pieces(self._chunk.body_offset + begin, end - begin)

    def place(self, at: int) -> tuple[Chunk, int]:
        """The chunk that holds a byte of the segment, and a file offset in it to name in an error."""
        return self._chunk, self._chunk.body_offset + at


@dataclass(frozen=True)
class Stretch:
    """A run of a segment, and where its data is."""

    begin: int
    end: int
    kind: int
    source: int
    chunk: Chunk
    meta: ExtentRam
    data_offset: int
    data_before: int


class ExtentSegment:
    """Section 9.2."""

    def __init__(self, source: Source, size: int, batches: Sequence[tuple[Chunk, ExtentRam]]) -> None:
        """Checks the rules of section 8.5 on all chunks of a segment."""
        self._source = source
        self.size = size
        self.extent_shift = batches[0][1].extent_shift
        self.leaves: tuple[int, ...] = ()
        self._stretches: list[Stretch] = []
        self._block: tuple[int, bytes] = (-1, b'')
        leaves: list[int] = []
        data_before = 0
        for chunk, meta in batches:
            if meta.extent_shift != self.extent_shift:
                raise Corrupt(f'{chunk} has another extent_shift than the first of its segment', chunk.meta_offset)
            if meta.first_extent != len(leaves):
                raise Corrupt(f'{chunk} begins at extent {meta.first_extent}, not at {len(leaves)}', chunk.meta_offset)
            leaves += meta.leaves
            at, data_offset = meta.first_extent << meta.extent_shift, 0
            for run in meta.runs:
                self._stretches.append(Stretch(at, at + run.size, run.kind, run.source, chunk, meta, data_offset,
                                               data_before))
                at += run.size
                if run.kind == DATA:
                    data_offset += run.size
                    data_before += run.size
        if len(leaves) != -(-size >> self.extent_shift):
            raise Corrupt(f'the last chunk of the segment, {batches[-1][0]}, does not reach its end',
                          batches[-1][0].meta_offset)
        self.leaves = tuple(leaves)
        self._begins = [stretch.begin for stretch in self._stretches]
        for stretch in self._stretches:
            length = stretch.end - stretch.begin
            if stretch.kind == DUPLICATE and (
                    self._data_before(stretch.source + length) - self._data_before(stretch.source) != length):
                raise Corrupt(f'{stretch.chunk} repeats pages from {stretch.source:#x} that are not all data',
                              stretch.chunk.meta_offset)

    def _at(self, offset: int) -> int:
        return bisect.bisect_right(self._begins, offset) - 1

    def _data_before(self, offset: int) -> int:
        """How many bytes of [0, offset) are in Data runs."""
        stretch = self._stretches[self._at(offset)]
        return stretch.data_before + (offset - stretch.begin if stretch.kind == DATA else 0)

    def is_hole(self, begin: int, end: int) -> bool:
        """One Zero run stands for [begin, end)."""
        stretch = self._stretches[self._at(begin)]
        return stretch.kind == ZERO and stretch.end >= end

    def pieces(self, begin: int, end: int) -> Iterator[bytes]:
        """The bytes [begin, end) of the segment. Raises Corrupt for blocks that are not sound."""
        while begin < end:
            stretch = self._stretches[self._at(begin)]
            stop = min(end, stretch.end, begin + PIECE)
            inside = begin - stretch.begin
            if stretch.kind == DATA:
                yield from self._data(stretch, stretch.data_offset + inside, stop - begin)
            elif stretch.kind == DUPLICATE:
                yield from self.pieces(stretch.source + inside, stretch.source + inside + stop - begin)
            else:
                yield bytes(stop - begin)
            begin = stop

    def _data(self, stretch: Stretch, offset: int, size: int) -> Iterator[bytes]:
        chunk, meta = stretch.chunk, stretch.meta
        if chunk.codec == CODEC_NONE:
            yield from self._source.pieces(chunk.body_offset + offset, size)
            return
        while size:
            number = bisect.bisect_right(meta.block_starts, offset) - 1
            block = meta.blocks[number]
            place = chunk.body_offset + block.body_offset
            if self._block[0] != place:
                self._block = (place, self._decode(chunk, place, block.encoded_size, block.content_size))
            skipped = offset - block.data_offset
            piece = self._block[1][skipped:skipped + size]
            yield piece
            offset += len(piece)
            size -= len(piece)

    def _decode(self, chunk: Chunk, place: int, encoded_size: int, content_size: int) -> bytes:
        encoded = self._source.read(place, encoded_size)
        if encoded_size == content_size:
            return encoded
        try:
            return lz4.decode(encoded, content_size)
        except lz4.BadBlock as problem:
            raise Corrupt(f'a block of {chunk} does not decompress: {problem}', place) from None

    def place(self, at: int) -> tuple[Chunk, int]:
        """The chunk that holds a byte of the segment, and a file offset in it to name in an error."""
        chunk = self._stretches[self._at(at)].chunk
        return chunk, chunk.body_offset


Segment = Union[FlatSegment, ExtentSegment]


def check_leaves(segment: Segment, name: str, zero_leaves: hashes.ZeroLeaves) -> None:
    """Every extent gives its leaf."""
    extent = 1 << segment.extent_shift
    for number, leaf in enumerate(segment.leaves):
        begin = number * extent
        end = min(begin + extent, segment.size)
        if segment.is_hole(begin, end):
            actual = zero_leaves.of_size(end - begin)
        else:
            actual = hashes.xxh64_of(segment.pieces(begin, end))
        if actual != leaf:
            chunk, offset = segment.place(begin)
            raise Corrupt(f'extent {number} of segment {name}, in {chunk}, differs from its leaf', offset)


def digest(segments: Sequence[Segment]) -> bytes:
    """The memory digest, section 9.3."""
    return hashes.xxh128(*(struct.pack(f'<QQ{len(segment.leaves)}Q', segment.size, segment.extent_shift,
                                       *segment.leaves) for segment in segments))
