# SPDX-License-Identifier: BSD-2-Clause
"""Numbers and names of docs/registry.md that a restoring reader compares with."""

CONTAINER_TYPES = (b'SCHM', b'CONF', b'MEMM', b'RAMF', b'RAME', b'LOST', b'END ', b'INDX')
CONTAINER_MAJOR = 1

# Incompatible features that this reader has.
RAM_EXTENTS = 0
LZ4 = 1
RECOVERED = 3
INCOMPATIBLE_FEATURES = (RAM_EXTENTS, LZ4, RECOVERED)

# Name of a device type -> its chunk type and version. No feature names are registered.
DEVICE_TYPES: dict[str, tuple[bytes, tuple[int, int]]] = {
    'i8042': (b'8042', (1, 0)),
    'i8254': (b'8254', (1, 0)),
    'i8259': (b'8259', (1, 0)),
    'acpi_pm': (b'ACPM', (1, 0)),
    'cpu_profile': (b'CPUP', (1, 0)),
    'ioapic': (b'IOAP', (1, 0)),
    'kvm_clock': (b'KVMC', (1, 0)),
    'lapic': (b'LAPC', (1, 0)),
    'pci_host': (b'PCIH', (1, 0)),
    'mc146818': (b'RTC ', (1, 0)),
    'uart16550': (b'UART', (1, 0)),
    'virtio_blk': (b'VBLK', (1, 0)),
    'x86_cpu': (b'VCPU', (1, 0)),
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
