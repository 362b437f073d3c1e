#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Holds snaptool migrate and convert to their word that they share guest memory where the file system can do that.

Makes such a file system in a file, writes snapshots with little and with much memory there, and migrates them, or
converts them from bhyve and back. Needs root and loop devices. Arguments: the build directory, btrfs or xfs, and flat,
extents or bhyve.
"""

import contextlib
import fcntl
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile

MEBIBYTES = (64, 512)
MEBIBYTES_OF_BHYVE = (32, 128)
# What a migration may add to the file system, and what it may read and write: bytes, and bytes more for each mebibyte
# of memory. Extents are in chunks of about a mebibyte, and the header of each is written anew.
MOST_ADDED = {"flat": (1 << 20, 0), "extents": (1 << 20, 8 << 10)}
MOST_MOVED = {"flat": (2 << 20, 0), "extents": (2 << 20, 24 << 10)}
# What a conversion may add, and what it may move beside reading each byte of memory once.
MOST_ADDED_BY_CONVERSION = 2 << 20
MOST_MOVED_BY_CONVERSION = 4 << 20
# What a file of flat memory may take up beyond memory: holes must be holes to the file system too.
MOST_BESIDES = 128 << 10
# A set of bhyve: the end of low memory in its file; where the rings of its devices begin, which it has in two places;
# and what is written at once.
LOW_MEMORY = 3 << 30
RINGS = 1 << 20
EXTENT = 256 << 10
MAKE_SET = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "support", "bhyve", "make_set.py")
MAKE = {"btrfs": ["mkfs.btrfs", "-q"], "xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"]}

# FS_IOC_FIEMAP, struct fiemap and struct fiemap_extent of <linux/fiemap.h>.
FIEMAP = 0xC020660B
FIEMAP_SYNC = 1
HEAD = struct.Struct("=QQIIII")
RECORD = struct.Struct("=QQQ16xI12x")
EXTENTS_AT_ONCE = 256
LAST, NOWHERE_YET, UNWRITTEN, SHARED = 0x1, 0x6, 0x800, 0x2000


def require(condition, message):
    if not condition:
        sys.exit(f"sharing_scenario: {message}")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"{' '.join(command)} exited with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def mounted(file_system, folder):
    """A new, empty file system in a file of `folder`."""
    image, point = os.path.join(folder, "image"), os.path.join(folder, "mounted")
    with open(image, "wb") as file:
        file.truncate(2 << 30)
    run(*MAKE[file_system], image)
    os.mkdir(point)
    run("mount", "-t", file_system, "-o", "loop", image, point)
    try:
        yield point
    finally:
        run("umount", point)


def extents_of(path, begin, end):
    """(offset, place on the disk, size, whether shared) of all that is stored of a range; what adjoins is one."""
    found = []
    with open(path, "rb") as file:
        at = begin
        while at < end:
            request = bytearray(HEAD.pack(at, end - at, FIEMAP_SYNC, 0, EXTENTS_AT_ONCE, 0))
            request += bytes(RECORD.size * EXTENTS_AT_ONCE)
            fcntl.ioctl(file, FIEMAP, request)
            count = HEAD.unpack_from(request)[3]
            at = end if count == 0 else at
            for index in range(count):
                logical, place, size, flags = RECORD.unpack_from(request, HEAD.size + RECORD.size * index)
                first, at = max(logical, begin), logical + size
                if not flags & UNWRITTEN and first < end:
                    require(not flags & NOWHERE_YET, f"{path} is not on the disk at offset {first}: flags {flags:#x}")
                    add_extent(found, first, place + first - logical, min(at, end) - first, bool(flags & SHARED))
                at = end if flags & LAST else at
    return found


def add_extent(found, offset, place, size, shared):
    if found and (offset, place, shared) == (found[-1][0] + found[-1][2], found[-1][1] + found[-1][2], found[-1][3]):
        size += found[-1][2]
        offset, place = found.pop()[:2]
    found.append((offset, place, size, shared))


def memory_of(snaptool, path):
    """The bodies of the chunks with guest memory, in order: for each, what is stored, by offset in the body."""
    chunks = json.loads(run(snaptool, "ls", "--json", path))["chunks"]
    bodies = []
    for chunk in chunks:
        if chunk["type"] in ("RAMF", "RAME"):
            begin = int(chunk["body_offset"])
            stored = extents_of(path, begin, begin + int(chunk["body_size"]))
            bodies.append([(offset - begin, place, size, shared) for offset, place, size, shared in stored])
    return bodies


def stored_size(bodies):
    return sum(size for stored in bodies for _, _, size, _ in stored)


def used(folder):
    os.sync()
    state = os.statvfs(folder)
    return (state.f_blocks - state.f_bfree) * state.f_frsize


def moved():
    """Bytes that programs started from here have had read from a disk, or have made ready to be written to one."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_inblock + usage.ru_oublock) * 512


def forget(path):
    """What is read of the file from here on comes from the disk."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measured(folder, source, *command):
    """Runs a command that reads `source`; gives by how many bytes the file system has grown, and how many moved."""
    before = used(folder)
    forget(source)
    begin = moved()
    run(*command)
    return used(folder) - before, moved() - begin


def digest(snaptool, path, level):
    return json.loads(run(snaptool, "check", "--json", "--level", level, path))["memory_digest"]


def migrate(programs, folder, encoding, mebibytes):
    snaptool = os.path.join(programs, "snaptool", "snaptool")
    source, target = (os.path.join(folder, f"{name}-{mebibytes}.vmsnap") for name in ("source", "target"))
    run(os.path.join(programs, "tests", "lab", "sharing", "write_large_snapshot"), source, str(mebibytes), encoding)

    added, moved_bytes = measured(folder, source, snaptool, "migrate", source, target, "--to-level", "1")
    print(f"{mebibytes} MiB {encoding}: {added} bytes added, {moved_bytes} moved", flush=True)
    for name, value, most in (("added", added, MOST_ADDED), ("moved", moved_bytes, MOST_MOVED)):
        base, more = most[encoding]
        require(value <= base + more * mebibytes, f"with {mebibytes} MiB of memory, {value} bytes were {name}")

    before, after = memory_of(snaptool, source), memory_of(snaptool, target)
    require(before == after, f"memory is not at the same places on the disk: {before}, {after}")
    require(all(shared for stored in after for *_, shared in stored), f"not all is shared: {after}")
    size = stored_size(after)
    # One page of the large segment is zero. In flat memory it is a hole, and so is most of another segment.
    require(mebibytes << 20 <= size + 4096 and size <= (mebibytes << 20) + (1 << 20), f"{size} bytes are stored")
    for path in (source, target) if encoding == "flat" else ():
        besides = os.stat(path).st_blocks * 512 - size
        require(besides <= MOST_BESIDES, f"{path} takes up {besides} bytes beside memory")
    require(digest(snaptool, target, "full") == digest(snaptool, source, "meta"), "the memory digest has changed")
    return source


def make_set(base, mebibytes):
    """A set with high memory, too. Its rings are not in memory what the devices say: a conversion changes memory."""
    run(sys.executable, MAKE_SET, base, "--generation", "B", "--devices", "blk,net", "--ram", "3200M")
    with open(base, "r+b") as file:
        for begin, size in ((0, mebibytes), (LOW_MEMORY + (64 << 20), mebibytes // 4)):
            file.seek(begin)
            for _ in range(size):
                file.write(os.urandom(1 << 20))
    return (mebibytes + mebibytes // 4) << 20


def without_rings(stored):
    """What is stored elsewhere; cut at their begin and end."""
    found = []
    for offset, place, size, shared in stored:
        for begin, end in ((0, RINGS), (RINGS + EXTENT, 1 << 62)):
            first, last = max(offset, begin), min(offset + size, end)
            if first < last:
                add_extent(found, first, place + first - offset, last - first, shared)
    return found


def require_sharing(one, other):
    """Both hold the same memory, at the same places but for the rings."""
    require(without_rings(one) == without_rings(other), f"memory is not at the same places: {one}, {other}")
    require(all(shared for *_, shared in without_rings(one)), f"not all is shared: {one}")
    places = [dict((offset, place) for offset, place, *_ in cut_out_rings(stored)) for stored in (one, other)]
    require(all(places) and places[0] != places[1], f"the rings, which are changed, are at the same place: {places}")


def cut_out_rings(stored):
    return [(max(offset, RINGS), place + max(0, RINGS - offset), shared) for offset, place, size, shared in stored
            if offset < RINGS + EXTENT and offset + size > RINGS]


def convert(programs, folder, mebibytes):
    snaptool = os.path.join(programs, "snaptool", "snaptool")
    base, snapshot, back = (os.path.join(folder, f"{name}-{mebibytes}") for name in ("base", "snapshot", "back"))
    memory = make_set(base, mebibytes)
    os.sync()
    for source, target, direction in ((base, snapshot, "--from"), (snapshot, back, "--to")):
        added, moved_bytes = measured(folder, source, snaptool, "convert", direction, "bhyve", source, target)
        print(f"{memory >> 20} MiB {direction} bhyve: {added} bytes added, {moved_bytes} moved", flush=True)
        require(added <= MOST_ADDED_BY_CONVERSION, f"{added} bytes were added")
        require(moved_bytes <= memory + MOST_MOVED_BY_CONVERSION, f"{moved_bytes} bytes were moved")

    size = os.stat(base).st_size
    low, high = memory_of(snaptool, snapshot)
    in_snapshot = low + [(LOW_MEMORY + offset, *rest) for offset, *rest in high]
    stored = {path: extents_of(path, 0, size) for path in (base, back)}
    require_sharing(stored[base], in_snapshot)
    require_sharing(stored[back], in_snapshot)
    size = stored_size([in_snapshot])
    require(memory <= size <= memory + (1 << 20), f"{size} bytes are stored")
    for suffix in ("", ".kern", ".meta"):
        run("cmp", base + suffix, back + suffix)
    require(digest(snaptool, snapshot, "full") == digest(snaptool, snapshot, "meta"), "the memory digest is wrong")
    for suffix in ("", ".kern", ".meta"):
        os.unlink(back + suffix)
    os.unlink(snapshot)
    return base


def main():
    programs, file_system, what = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch, mounted(file_system, scratch) as folder:
        if what == "bhyve":
            sources = [convert(programs, folder, mebibytes) for mebibytes in MEBIBYTES_OF_BHYVE]
        else:
            sources = [migrate(programs, folder, what, mebibytes) for mebibytes in MEBIBYTES]
        # These are measures that can fail: an ordinary copy exceeds both.
        copy = os.path.join(folder, "copy")
        added, moved_bytes = measured(folder, sources[0], "cp", "--reflink=never", sources[0], copy)
        stored = extents_of(sources[0], 0, 1 << 40)
        require(added > stored_size([stored]) // 2, f"a copy that shares nothing added no more than {added} bytes")
        require(moved_bytes > stored_size([stored]) * 3 // 2,
                f"a copy that shares nothing moved no more than {moved_bytes} bytes")
        require(extents_of(copy, 0, 1 << 40) != stored, "a copy is at the same places")


if __name__ == "__main__":
    main()
