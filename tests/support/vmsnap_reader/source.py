# SPDX-License-Identifier: BSD-2-Clause
"""Bytes of a file. Holes are found with SEEK_DATA and not read."""

import errno
import os
import stat
from typing import Iterator, Optional

PIECE = 1 << 20


class Source:
    """A regular file open for reading."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, 'not a regular file', path)
        self.size = status.st_size

    def __enter__(self) -> 'Source':
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def read(self, offset: int, size: int) -> bytes:
        """Exactly size bytes at offset. The caller has compared both with self.size."""
        data = os.pread(self._fd, size, offset)
        while len(data) < size:
            more = os.pread(self._fd, size - len(data), offset + len(data))
            if not more:
                raise OSError(errno.EIO, 'the file became shorter while it was read')
            data += more
        return data

    def pieces(self, offset: int, size: int) -> Iterator[bytes]:
        """The bytes [offset, offset + size), a piece at a time."""
        end = offset + size
        while offset < end:
            step = min(PIECE, end - offset)
            yield self.read(offset, step)
            offset += step

    def next_data(self, offset: int, end: int) -> Optional[int]:
        """First offset in [offset, end) that is not known to lie in a hole, or None."""
        if offset >= end:
            return None
        try:
            found = os.lseek(self._fd, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return None
            return offset
        return found if found < end else None

    def first_non_zero(self, offset: int, end: int) -> Optional[int]:
        """Offset of the first byte in [offset, end) that is not zero, or None."""
        at = self.next_data(offset, end)
        while at is not None:
            piece = self.read(at, min(PIECE, end - at))
            rest = piece.lstrip(b'\0')
            if rest:
                return at + len(piece) - len(rest)
            at = self.next_data(at + len(piece), end)
        return None
