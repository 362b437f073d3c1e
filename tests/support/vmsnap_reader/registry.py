# SPDX-License-Identifier: BSD-2-Clause
"""Numbers and names of docs/registry.md that a restoring reader compares with."""

from typing import NamedTuple

CONTAINER_TYPES = (b'SCHM', b'CONF', b'MEMM', b'RAMF', b'RAME', b'LOST', b'END ', b'INDX')
CONTAINER_MAJOR = 1

# Incompatible features that this reader has.
RAM_EXTENTS = 0
LZ4 = 1
RECOVERED = 3
INCOMPATIBLE_FEATURES = (RAM_EXTENTS, LZ4, RECOVERED)


class DeviceType(NamedTuple):
    """What the registry says of a type of device."""

    chunk: bytes
    versions: tuple[tuple[int, int], ...] = ((1, 0),)  # the newest minor of each major, oldest first
    features: tuple[str, ...] = ()


DEVICE_TYPES = {
    'i8042': DeviceType(b'8042'),
    'i8254': DeviceType(b'8254', ((1, 0), (2, 0))),
    'i8259': DeviceType(b'8259'),
    'acpi_pm': DeviceType(b'ACPM', ((1, 1),), ('gpe0',)),
    'ahci': DeviceType(b'AHCI'),
    'bhyve_private': DeviceType(b'BHYV'),
    'cpu_profile': DeviceType(b'CPUP'),
    'e1000': DeviceType(b'E1K '),
    'framebuffer': DeviceType(b'FBUF'),
    'hpet': DeviceType(b'HPET'),
    'ioapic': DeviceType(b'IOAP'),
    'kvm_clock': DeviceType(b'KVMC'),
    'lapic': DeviceType(b'LAPC'),
    'lpc_bridge': DeviceType(b'LPCB'),
    'pci_host': DeviceType(b'PCIH'),
    'ps2_keyboard': DeviceType(b'PS2K'),
    'ps2_mouse': DeviceType(b'PS2M'),
    'mc146818': DeviceType(b'RTC ', ((1, 0), (2, 0))),
    'uart16550': DeviceType(b'UART', ((1, 1),), ('transmit-fifo',)),
    'virtio_blk': DeviceType(b'VBLK', ((1, 1),), ('packed-ring',)),
    'x86_cpu': DeviceType(b'VCPU', ((1, 0), (2, 0))),
    'virtio_net': DeviceType(b'VNET'),
    'virtio_rng': DeviceType(b'VRNG'),
    'xhci': DeviceType(b'XHCI'),
}

ARCHITECTURES = {1: 'x86-64'}
CODECS = {0: 'none', 1: 'lz4'}
SLOT_KINDS = {
    0: 'Unknown',
    1: 'BlockBackend',
    2: 'CharacterBackend',
    3: 'NetworkBackend',
    4: 'FirmwareImage',
}
SEGMENT_KINDS = {0: 'SystemMemory', 1: 'DeviceMemory'}
LOSS_KINDS = {0: 'Device', 1: 'Memory', 2: 'Chunk'}
RUN_KINDS = {0: 'Data', 1: 'Zero', 2: 'Duplicate'}


def name_of(table: dict[int, str], value: int) -> str:
    """The registered name of a number, or the number."""
    return table.get(value, str(value))
