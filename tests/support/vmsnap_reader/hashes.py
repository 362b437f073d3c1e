# SPDX-License-Identifier: BSD-2-Clause
"""The hashes of section 3."""

import struct
from typing import Iterable

import xxhash

HASH_OF_NOTHING = 0x2D06800538D394C2


def xxh64(data: bytes, seed: int = 0) -> int:
    """XXH3-64 of data."""
    return xxhash.xxh3_64_intdigest(data, seed)


def xxh128(*parts: bytes) -> bytes:
    """XXH3-128 of the concatenated parts, 16 bytes in canonical order."""
    state = xxhash.xxh3_128()
    for part in parts:
        state.update(part)
    return state.digest()


def xxh64_of(pieces: Iterable[bytes]) -> int:
    """XXH3-64, seed 0, of concatenated pieces that need not be in memory together."""
    state = xxhash.xxh3_64()
    for piece in pieces:
        state.update(piece)
    return state.intdigest()


def seed_of(uuid: bytes) -> int:
    """The seed S of the header and footer hashes."""
    low, high = struct.unpack('<QQ', uuid)
    return low ^ high


def leaf_array_hash(leaves: Iterable[int]) -> int:
    """The body hash of a chunk with the flag LEAVES."""
    return xxh64_of(struct.pack('<Q', leaf) for leaf in leaves)


class ZeroLeaves:
    """Leaves of extents that are all zero, computed once per extent size."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def of_size(self, size: int) -> int:
        """The leaf of size zero bytes."""
        if size not in self._known:
            piece = bytes(min(size, 1 << 20))
            whole, rest = divmod(size, len(piece))
            state = xxhash.xxh3_64()
            for _ in range(whole):
                state.update(piece)
            state.update(piece[:rest])
            self._known[size] = state.intdigest()
        return self._known[size]
