# SPDX-License-Identifier: BSD-2-Clause
"""FileHeader, chunk header and Footer: sections 4, 5 and 10."""

import struct
from dataclasses import dataclass
from typing import Optional

from . import hashes
from .registry import INCOMPATIBLE_FEATURES
from .errors import Corrupt, Truncated, Unsupported
from .source import Source

MAGIC = bytes.fromhex('8F564D530D0A1A0A')
FOOTER_MAGIC = bytes.fromhex('8F564D450D0A1A0A')
SYNC = b'CHNK'

FILE_HEADER_SIZE = 128
FEATURE_RECORD_SIZE = 64
MAX_FILE_HEADER_SIZE = 8320
CHUNK_HEADER_SIZE = 64
FOOTER_SIZE = 64

INCOMPATIBLE = 0
COMPATIBLE = 1

CRITICAL = 1 << 0
SAFE_TO_COPY = 1 << 1
LEAVES = 1 << 2
CODEC_MASK = 0xFF00

CODEC_NONE = 0
CODEC_LZ4 = 1

MAX_META = 16 << 20
MAX_GAP = 1 << 30
MAX_SCHEMA_BODY = 1 << 20
MAX_FILE = (1 << 63) - 1


def printable(data: bytes) -> str:
    """Bytes of a file as text that is harmless on a terminal."""
    return ''.join(chr(byte) if 0x20 <= byte <= 0x7E else f'\\x{byte:02x}' for byte in data)


def is_chunk_type(data: bytes) -> bool:
    """Four letters that section 5 permits."""
    return len(data) == 4 and all(0x20 <= byte <= 0x7E and byte not in b'"\'\\' for byte in data)


def round_up(value: int, alignment: int) -> int:
    """The next multiple of alignment, a power of two."""
    return (value + alignment - 1) & ~(alignment - 1)


@dataclass(frozen=True)
class Feature:
    """One feature record."""

    kind: int
    bit: int
    name: str


@dataclass(frozen=True)
class FileHeader:
    """The FileHeader, checked."""

    major: int
    minor: int
    size: int
    incompatible: int
    compatible: int
    uuid: bytes
    page_shift: int
    body_align_shift: int
    arch: int
    features: tuple[Feature, ...]

    def has_incompatible(self, bit: int) -> bool:
        """An incompatible feature is in use."""
        return bool(self.incompatible >> bit & 1)

    @property
    def seed(self) -> int:
        """The seed of header and footer hashes."""
        return hashes.seed_of(self.uuid)


def text_mode_damage(start: bytes) -> Optional[str]:
    """How a text-mode transfer made this of the magic, if that is what happened."""
    damages = (
        (MAGIC.replace(b'\r\n', b'\n'), 'CR LF became LF'),
        (MAGIC.replace(b'\n', b'\r\n'), 'LF became CR LF'),
        (MAGIC.replace(b'\r\n', b'\n').replace(b'\n', b'\r\n'), 'LF became CR LF'),
        (MAGIC.replace(b'\n', b'\r'), 'LF became CR'),
        (bytes(byte & 0x7F for byte in MAGIC), 'bit 7 was cleared'),
        (b'\xC2' + MAGIC, 'the first byte was written as UTF-8'),
    )
    for damaged, how in damages:
        seen = damaged[:8]
        if len(start) == 8 and start[:len(seen)] == seen:
            return how
    return None


def read_file_header(source: Source) -> FileHeader:
    """Steps 1 to 9 of section 11.2."""
    start = source.read(0, min(source.size, len(MAGIC)))
    if start != MAGIC[:len(start)]:
        how = text_mode_damage(start)
        hint = f': a transfer in text mode has damaged it ({how}), copy it again in binary mode' if how else ''
        raise Corrupt(f'the file does not begin with the magic of a vmsnap file{hint}', 0)
    if source.size < FILE_HEADER_SIZE:
        raise Truncated(f'the file ends after {source.size} bytes, within its header', source.size)

    fixed = source.read(0, FILE_HEADER_SIZE)
    (major, minor, size, incompatible, compatible, uuid, page_shift, body_align_shift, digest_algorithm, zero_51, arch,
     feature_count) = struct.unpack_from('<HHIQQ16sBBBBIH', fixed, 8)
    (header_hash,) = struct.unpack_from('<Q', fixed, 120)
    counted_size = FILE_HEADER_SIZE + FEATURE_RECORD_SIZE * feature_count
    if size % 64 or not FILE_HEADER_SIZE <= size <= MAX_FILE_HEADER_SIZE:
        raise Corrupt(f'header_size is {size}, which no FileHeader has', 12)
    if source.size < size:
        if size == counted_size:
            raise Truncated(f'the file ends after {source.size} bytes, within its header of {size}', source.size)
        raise Corrupt(f'header_size is {size} but there are {feature_count} feature records', 12)
    records = source.read(FILE_HEADER_SIZE, size - FILE_HEADER_SIZE)
    if hashes.xxh64(fixed[:120] + records) != header_hash:
        raise Corrupt('the hash of the FileHeader differs', 120)
    if major != 1:
        raise Unsupported(f'the file has format version {major}.{minor}, this reader knows 1.x', 8)
    if size != counted_size:
        raise Corrupt(f'header_size is {size} but there are {feature_count} feature records', 12)
    features = _read_features(records)
    _check_masks(features, incompatible, compatible)
    for feature in features:
        if feature.kind == INCOMPATIBLE and feature.bit not in INCOMPATIBLE_FEATURES:
            raise Unsupported(f'the file uses the incompatible feature "{feature.name}" (bit {feature.bit}), '
                              'which this reader does not know', 16)
    if digest_algorithm != 1:
        raise Unsupported(f'the file uses digest algorithm {digest_algorithm}, this reader knows 1', 50)
    if page_shift != 12:
        raise Unsupported(f'page_shift is {page_shift}, this reader knows 12', 48)
    if zero_51:
        raise Corrupt('a byte of the FileHeader that must be zero is not', 51)
    _check_zero(fixed[58:120], 58)
    if not 12 <= body_align_shift <= 30:
        raise Corrupt(f'body_align_shift is {body_align_shift}, not 12 to 30', 49)
    return FileHeader(major, minor, size, incompatible, compatible, uuid, page_shift, body_align_shift, arch, features)


def _check_zero(data: bytes, offset: int) -> None:
    rest = data.lstrip(b'\0')
    if rest:
        raise Corrupt('a byte of the FileHeader that must be zero is not', offset + len(data) - len(rest))


def _read_features(records: bytes) -> tuple[Feature, ...]:
    """The feature records, each well-formed, in order and none twice."""
    features = []
    for at in range(0, len(records), FEATURE_RECORD_SIZE):
        offset = FILE_HEADER_SIZE + at
        kind, bit = records[at], records[at + 1]
        name, _, rest = records[at + 4:at + FEATURE_RECORD_SIZE].partition(b'\0')
        if kind not in (INCOMPATIBLE, COMPATIBLE) or bit > 63:
            raise Corrupt(f'a feature record names kind {kind}, bit {bit}', offset)
        _check_zero(records[at + 2:at + 4], offset + 2)
        if not 1 <= len(name) <= 59 or name.strip(b'abcdefghijklmnopqrstuvwxyz0123456789-') or rest.strip(b'\0'):
            raise Corrupt(f'the name in a feature record, "{printable(name)}", is not one', offset + 4)
        if features and (features[-1].kind, features[-1].bit) >= (kind, bit):
            raise Corrupt('the feature records are not in order', offset)
        features.append(Feature(kind, bit, name.decode('ascii')))
    return tuple(features)


def _check_masks(features: tuple[Feature, ...], incompatible: int, compatible: int) -> None:
    masks = [0, 0]
    for feature in features:
        masks[feature.kind] |= 1 << feature.bit
    if masks != [incompatible, compatible]:
        raise Corrupt('the feature masks and the feature records differ', 16)


class Chunk:
    """A chunk header that has been verified, and where its parts are."""

    __slots__ = ('offset', 'header', 'type', 'flags', 'sequence', 'schema_id', 'instance', 'meta_size', 'gap',
                 'body_size', 'meta_hash', 'body_hash', 'digest')

    def __init__(self, offset: int, header: bytes) -> None:
        self.offset = offset
        self.header = header
        (self.type, self.flags, self.sequence, self.schema_id, self.instance, self.meta_size, self.gap, self.body_size,
         self.meta_hash, self.body_hash) = struct.unpack_from('<4sIIIIIIQQQ', header, 4)
        self.digest: Optional[bytes] = None

    @property
    def meta_offset(self) -> int:
        """File offset of the meta."""
        return self.offset + CHUNK_HEADER_SIZE

    @property
    def meta_end(self) -> int:
        """File offset of the first byte after the meta."""
        return self.meta_offset + self.meta_size

    @property
    def body_offset(self) -> int:
        """File offset of the body."""
        return self.meta_end + self.gap

    @property
    def body_end(self) -> int:
        """File offset of the first byte after the body."""
        return self.body_offset + self.body_size

    @property
    def end(self) -> int:
        """File offset of the next chunk, or of the Footer."""
        return round_up(self.body_end, 64)

    @property
    def critical(self) -> bool:
        """The flag CRITICAL."""
        return bool(self.flags & CRITICAL)

    @property
    def leaves(self) -> bool:
        """The flag LEAVES."""
        return bool(self.flags & LEAVES)

    @property
    def codec(self) -> int:
        """How the body is encoded; 0 = not at all."""
        return (self.flags & CODEC_MASK) >> 8

    def __str__(self) -> str:
        return f'chunk {self.sequence} ("{printable(self.type)}" {self.instance})'


def read_chunk_header(source: Source, offset: int, seed: int) -> Chunk:
    """Steps 1 and 2 of section 11.3."""
    if source.size - offset < CHUNK_HEADER_SIZE:
        raise Truncated('the file ends where a chunk header should be', offset)
    header = source.read(offset, CHUNK_HEADER_SIZE)
    (header_hash,) = struct.unpack_from('<Q', header, 56)
    if header[:4] != SYNC:
        raise Corrupt('there is no chunk header where one should be: the sync word differs', offset)
    if hashes.xxh64(struct.pack('<Q', offset) + header[:56], seed) != header_hash:
        raise Corrupt('the hash of a chunk header differs', offset + 56)
    return Chunk(offset, header)


@dataclass(frozen=True)
class Footer:
    """The Footer, its magic, hash and zero fields checked."""

    offset: int
    root: bytes
    index_offset: int
    file_size: int
    chunk_count: int


def read_footer(source: Source, offset: int, seed: int) -> Footer:
    """The first half of step 12 of section 11.2. The caller knows that 64 bytes are there."""
    data = source.read(offset, FOOTER_SIZE)
    (magic, root, index_offset, file_size, chunk_count, zero_44, zero_48,
     footer_hash) = struct.unpack('<8s16sQQIIQQ', data)
    if magic != FOOTER_MAGIC:
        raise Corrupt('the file does not end with a Footer: its magic differs', offset)
    if hashes.xxh64(data[:56], seed) != footer_hash:
        raise Corrupt('the hash of the Footer differs', offset + 56)
    if zero_44 or zero_48:
        raise Corrupt('a byte of the Footer that must be zero is not', offset + 44)
    return Footer(offset, root, index_offset, file_size, chunk_count)
