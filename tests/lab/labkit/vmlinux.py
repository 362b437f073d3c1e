# SPDX-License-Identifier: BSD-2-Clause
"""Takes the ELF kernel out of a bzImage, for monitors that boot an ELF file by its PVH entry.

The fields are those of the kernel's Documentation/x86/boot.rst; the payload is in LZ4's legacy frame format.
"""

import ctypes
import struct

from labkit import LabError

SECTOR = 512
LEGACY_MAGIC = 0x184C2102
BLOCK_SIZE = 8 << 20


def extract_vmlinux(image, name):
    """The bytes of the ELF file within `image`, the bytes of a bzImage; `name` is for messages."""
    if len(image) < 0x268 or image[0x202:0x206] != b"HdrS":
        raise LabError(f"{name} is no bzImage: delete it so that it is fetched again.")
    sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (sectors + 1) * SECTOR + offset
    payload = image[start:start + length]
    if len(payload) != length or length < 8 or struct.unpack_from("<I", payload)[0] != LEGACY_MAGIC:
        raise LabError(f"The kernel in {name} is not compressed with LZ4, the only way that the lab knows.")
    # The last word is the size of the result, appended by the kernel's build.
    (size,) = struct.unpack_from("<I", payload, length - 4)
    result = b"".join(_blocks(payload[4:-4], name))
    if len(result) != size or result[:4] != b"\x7fELF":
        raise LabError(f"The kernel in {name} does not unpack to an ELF file: "
                       "delete it so that it is fetched again.")
    return result


def _blocks(data, name):
    try:
        lz4 = ctypes.CDLL("liblz4.so.1")
    except OSError as error:
        raise LabError("The kernel is unpacked with liblz4.so.1, which is not here: "
                       "apt-get install liblz4-1.") from error
    output = ctypes.create_string_buffer(BLOCK_SIZE)
    position = 0
    while position < len(data):
        (size,) = struct.unpack_from("<I", data, position)
        block = data[position + 4:position + 4 + size]
        position += 4 + size
        written = lz4.LZ4_decompress_safe(block, output, len(block), BLOCK_SIZE)
        if written < 0:
            raise LabError(f"The kernel in {name} is damaged: delete it so that it is fetched again.")
        yield ctypes.string_at(output, written)
