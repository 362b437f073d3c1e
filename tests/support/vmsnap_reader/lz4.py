# SPDX-License-Identifier: BSD-2-Clause
"""Blocks of the LZ4 Block Format, as section 9.2 describes them. Every read is checked."""


class BadBlock(ValueError):
    """A block that does not yield its content."""


def decode(block: bytes, size: int) -> bytes:
    """The content of a block, exactly size bytes. Raises BadBlock. Never makes more than size bytes."""
    out = bytearray()
    at = 0
    while True:
        token = _byte(block, at)
        count, at = _count(block, at + 1, token >> 4)
        if count > len(block) - at:
            raise BadBlock('the literals leave the block')
        if count > size - len(out):
            raise BadBlock('the literals yield more than the content')
        out += block[at:at + count]
        at += count
        if at == len(block):
            break
        offset = _byte(block, at) | _byte(block, at + 1) << 8
        count, at = _count(block, at + 2, token & 15)
        count += 4
        if not 1 <= offset <= len(out):
            raise BadBlock('a match is from before the content')
        if count > size - len(out):
            raise BadBlock('a match yields more than the content')
        repeated = bytes(out[-offset:])
        out += (repeated * (count // offset + 1))[:count]
    if len(out) != size:
        raise BadBlock(f'there are {len(out)} bytes instead of {size}')
    return bytes(out)


def _byte(block: bytes, at: int) -> int:
    if at >= len(block):
        raise BadBlock('the block ends too early')
    return block[at]


def _count(block: bytes, at: int, count: int) -> tuple[int, int]:
    """A count that begins with 4 bits of a token, and the position after its further bytes."""
    if count == 15:
        more = 255
        while more == 255:
            more = _byte(block, at)
            count += more
            at += 1
    return count, at
