# SPDX-License-Identifier: BSD-2-Clause
"""Takes the ELF kernel out of a bzImage (Linux/x86 boot protocol, payload_offset and payload_length)."""

import gzip
import lzma
import struct
import subprocess


def extract(bzimage, target):
    with open(bzimage, 'rb') as file:
        image = file.read()
    setup_sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from('<II', image, 0x248)
    begin = (setup_sectors + 1) * 512 + offset
    payload = image[begin:begin + length]
    if payload[:6] == b'\xfd7zXZ\x00':
        kernel = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)
    elif payload[:2] == b'\x1f\x8b':
        kernel = gzip.decompress(payload[:-4])
    elif payload[:4] == b'\x28\xb5\x2f\xfd':
        kernel = subprocess.run(['zstd', '-dc'], input=payload[:-4], stdout=subprocess.PIPE, check=True).stdout
    else:
        raise ValueError(f'{bzimage}: the payload begins with {payload[:6].hex()}, a compression not known here')
    if kernel[:4] != b'\x7fELF':
        raise ValueError(f'{bzimage}: the payload is not an ELF file')
    with open(target, 'wb') as file:
        file.write(kernel)
