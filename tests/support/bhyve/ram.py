# SPDX-License-Identifier: BSD-2-Clause
"""The RAM of the guest: a sparse file, of which few pages are written."""

import hashlib
import os

from .values import Values

PAGE = 4096
LOW_LIMIT = 3 << 30
HIGH_BASE = 4 << 30
# Rings and the like lie from here upward; below is what a guest's loader would use.
FIRST = 1 << 20


class Ram:
    def __init__(self, size: int, values: Values) -> None:
        if size % PAGE or size < 4 << 20:
            raise ValueError(f'{size} bytes of RAM: must be whole pages, and 4 MiB at least')
        self.size = size
        self.low = min(size, LOW_LIMIT)
        self.high = size - self.low
        self._next = {False: FIRST, True: HIGH_BASE + PAGE}
        self._written: dict[int, bytes] = {}
        ends = [0, self.low - PAGE] + ([HIGH_BASE, HIGH_BASE + self.high - PAGE] if self.high else [])
        for address in ends:
            self.write(address, values.data(f'ram/page[{address:#x}]', PAGE))

    def take(self, size: int, high: bool = False) -> int:
        """The guest-physical address of pages that nothing else has; above 4 GiB if asked for and there is room."""
        size = -(-size // PAGE) * PAGE
        if high and self._next[True] + size > HIGH_BASE + self.high - PAGE:
            high = False
        address = self._next[high]
        if not high and address + size > self.low - PAGE:
            raise ValueError(f'{self.size} bytes of RAM are too few for these devices')
        self._next[high] += size
        return address

    def page(self, key: str, high: bool = False) -> int:
        """A page of its own with contents of its own."""
        address = self.take(PAGE, high)
        self.write(address, hashlib.shake_256(key.encode()).digest(PAGE))
        return address

    def write(self, address: int, data: bytes) -> None:
        self._written[address] = data

    def offset(self, address: int) -> int:
        """Where in the file a guest-physical address lies."""
        return address if address < LOW_LIMIT else address - HIGH_BASE + self.low

    def save(self, path: str) -> None:
        with open(path, 'wb') as file:
            for address, data in sorted(self._written.items()):
                os.pwrite(file.fileno(), data, self.offset(address))
            os.ftruncate(file.fileno(), self.size)

    def told(self) -> dict[str, object]:
        return {'size': self.size, 'lowmem': self.low, 'highmem': self.high, 'written': [
            {'gpa': address, 'file_offset': self.offset(address), 'size': len(data),
             'sha256': hashlib.sha256(data).hexdigest()} for address, data in sorted(self._written.items())]}
