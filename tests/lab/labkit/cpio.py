# SPDX-License-Identifier: BSD-2-Clause
"""Writes "newc" cpio archives, the format of an initramfs, without tools and without root.

The layout is that of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import os
import stat


class Archive:
    """Collects directories, files and symbolic links; bytes() gives a reproducible archive."""

    def __init__(self):
        self._parts = []
        self._inode = 0
        self._directories = set()

    def directory(self, name, mode=0o755):
        """Adds a directory and, before it, the parents that are still missing."""
        name = name.strip("/")
        if not name or name in self._directories:
            return
        self.directory(os.path.dirname(name))
        self._directories.add(name)
        self._entry(name, stat.S_IFDIR | mode, b"")

    def file(self, name, data, mode=0o644):
        name = name.strip("/")
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFREG | mode, data)

    def symlink(self, name, target):
        name = name.strip("/")
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def bytes(self):
        return b"".join(self._parts) + self._encode("TRAILER!!!", 0, b"", 0)

    def _entry(self, name, mode, data):
        self._inode += 1
        self._parts.append(self._encode(name, mode, data, self._inode))

    @staticmethod
    def _encode(name, mode, data, inode):
        raw = name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        # inode, mode, uid, gid, links, mtime, size, device (4 numbers), name size, check
        fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
        return _padded(head) + _padded(data)


def _padded(data):
    return data + b"\0" * (-len(data) % 4)
