# SPDX-License-Identifier: BSD-2-Clause
"""The rule that gives every field its value.

A field's key is the name of its device or chunk, a slash and its path. Its value is the BLAKE2b digest of
"<seed>/<key>", cut to the width of the field and read as a little-endian number. So the same field has the same
value in every generation, and two fields practically never share one.

Where a field means something (a bool, an address in RAM, a register with fixed bits), the same digest chooses among
what is plausible. The seeds `zeros`, `ones` and `top` give corner values instead: all bits 0, all bits 1, only the
highest bit; a choice is then the first or the last one.
"""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar('T')
CORNERS = ('zeros', 'ones', 'top')


class Values:
    def __init__(self, seed: str) -> None:
        self.seed = seed
        self._corner = seed if seed in CORNERS else ''

    def data(self, key: str, size: int) -> bytes:
        """`size` bytes."""
        if self._corner:
            return {'zeros': b'\x00', 'ones': b'\xff', 'top': b'\x80'}[self._corner] * size
        name = f'{self.seed}/{key}'.encode()
        if size <= 64:
            return hashlib.blake2b(name, digest_size=64).digest()[:size]
        return hashlib.shake_256(name).digest(size)

    def number(self, key: str, bits: int) -> int:
        if self._corner:
            return {'zeros': 0, 'ones': (1 << bits) - 1, 'top': 1 << (bits - 1)}[self._corner]
        return int.from_bytes(self.data(key, 8), 'little') & ((1 << bits) - 1)

    def choice(self, key: str, options: Sequence[T]) -> T:
        if self._corner:
            return options[0 if self._corner == 'zeros' else -1]
        return options[self.number(key, 64) % len(options)]

    def flag(self, key: str) -> int:
        return self.choice(key, (0, 1))

    def below(self, key: str, limit: int) -> int:
        return self.choice(key, range(limit))

    def canonical(self, key: str) -> int:
        """An address in the upper half, where kernels live."""
        return 0xffff_8000_0000_0000 | self.number(key, 47)

    def page(self, key: str, limit: int) -> int:
        """The address of a page below `limit`."""
        return self.below(key, limit >> 12) << 12

    def bcd(self, key: str, limit: int) -> int:
        return to_bcd(self.below(key, limit))


def to_bcd(number: int) -> int:
    return number // 10 << 4 | number % 10
