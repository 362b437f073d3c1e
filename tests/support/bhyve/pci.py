# SPDX-License-Identifier: BSD-2-Clause
"""What every PCI device's chunk begins with."""

from dataclasses import dataclass, field

from .chunk import Chunk
from .machine import Machine

IO, MEM32 = 1, 2
MSI_OFFSET, MSIX_OFFSET = 0x60, 0x70


@dataclass(frozen=True)
class Model:
    """Of an emulation: vendor and device, class code, BARs as (type, size), what interrupts it has."""

    vendor: int
    device: int
    class_code: int
    bars: dict[int, tuple[int, int]] = field(default_factory=dict)
    msi: int = 0
    msix: int = 0


MODELS = {
    'hostbridge': Model(0x1275, 0x1275, 0x060000),
    'dummy': Model(0x10dd, 0x2234, 0xff0000, {0: (IO, 16)}),
    'lpc': Model(0x8086, 0x7000, 0x060100),
    'virtio-blk': Model(0x1af4, 0x1001, 0x010000, {0: (IO, 128), 1: (MEM32, 8192)}, msix=2),
    'virtio-net': Model(0x1af4, 0x1000, 0x020000, {0: (IO, 32), 1: (MEM32, 8192)}, msix=3),
    'virtio-rnd': Model(0x1af4, 0x1005, 0x100000, {0: (IO, 32), 1: (MEM32, 8192)}, msix=2),
    'e1000': Model(0x8086, 0x100f, 0x020000, {0: (MEM32, 0x20000), 1: (MEM32, 0x10000), 2: (IO, 8)}),
    'ahci': Model(0x8086, 0x2821, 0x010601, {5: (MEM32, 0x2000)}, msi=16),
    'xhci': Model(0x8086, 0x1e31, 0x0c0330, {0: (MEM32, 0x1000)}, msi=1),
    'fbuf': Model(0xfb5d, 0x40fb, 0x030000, {0: (MEM32, 128), 1: (MEM32, 16 << 20)}, msi=1),
}


@dataclass
class Device:
    """A device as asked for. `emulation` is resolved: ahci-hd is an ahci of the name ahci-hd."""

    emulation: str
    name: str
    location: tuple[int, int, int]
    options: dict[str, str]

    @property
    def key(self) -> str:
        return '{}@pci.{}.{}.{}'.format(self.emulation, *self.location) if self.is_pci else self.emulation

    @property
    def is_pci(self) -> bool:
        return self.emulation != 'atkbdc'

    def asks(self, option: str, allowed: tuple[str, ...]) -> str:
        """An option of the device; the first of `allowed` when it is not given."""
        value = self.options.get(option, allowed[0])
        if value not in allowed:
            raise ValueError(f'{self.name}: {option}={value}; must be one of {", ".join(allowed)}')
        return value


def prefix(machine: Machine, device: Device, name: str) -> Chunk:
    """Begins the chunk of a device."""
    chunk = Chunk(name, machine.values, device.key)
    values = machine.values
    model = MODELS[device.emulation]
    table_count = model.msix if device.asks('msix', ('on', 'off')) == 'on' else 0
    messages = model.msi or (1 if model.msix else 0)
    with chunk.within('msi'):
        enabled = int(bool(messages) and not table_count and values.flag(chunk.key_of('enabled')))
        address = 0xfee00000 | values.below(chunk.key_of('addr'), 256) << 12 if messages else 0
        data = values.choice(chunk.key_of('msg_data'), range(0x30, 0xf0)) if messages else 0
        chunk.add('enabled', 'i32', enabled)
        chunk.add('addr', 'u64', address)
        chunk.add('msg_data', 'u64', data)
        chunk.add('maxmsgnum', 'i32', messages)
    with chunk.within('msix'):
        on = bool(table_count)
        masked = values.flag(chunk.key_of('function_mask')) if on else 0
        # Both are bits of Message Control where they stand.
        chunk.add('enabled', 'i32', 0x8000 if on else 0)
        chunk.add('table_bar', 'i32', int(on))
        chunk.add('pba_bar', 'i32', int(on))
        chunk.add('table_offset', 'u32', 0)
        chunk.add('table_count', 'i32', table_count)
        chunk.add('pba_offset', 'u32', 4096 if on else 0)
        chunk.add('pba_size', 'i32', 8 if on else 0)
        chunk.add('function_mask', 'i32', 0x4000 if masked else 0)
        if machine.shape.prefix_a:
            chunk.add('pba_page_offset', 'i32', 0)
    bars = {index: (kind, size, _bar_address(device, index, kind)) for index, (kind, size) in model.bars.items()}
    chunk.raw('config_space', _config_space(chunk, model, bars, (messages, enabled, address, data),
                                            (table_count, masked)))
    for index in range(6 if machine.shape.prefix_a else 7):
        kind, size, address = bars.get(index, (0, 0, 0))
        chunk.add(f'bar[{index}].type', 'i32', kind)
        chunk.add(f'bar[{index}].size', 'u64', size)
        chunk.add(f'bar[{index}].addr', 'u64', address)
    for index in range(table_count):
        with chunk.within(f'msix.table[{index}]'):
            chunk.add('addr', 'u64', 0xfee00000 | values.below(chunk.key_of('addr'), 256) << 12)
            chunk.add('msg_data', 'u32', values.choice(chunk.key_of('msg_data'), range(0x30, 0xf0)))
            chunk.flag('vector_control', 'u32')
    return chunk


def _bar_address(device: Device, index: int, kind: int) -> int:
    bus, slot, function = device.location
    place = (bus * 32 + slot) * 8 + function
    if kind == IO:
        return 0x2000 + place % 256 * 0x80
    return 0xc0000000 + place % 256 * 0x100000 * 2 + index * 0x40000 if index != 1 or device.emulation != 'fbuf' \
        else 0xe0000000


def _config_space(chunk: Chunk, model: Model, bars: dict[int, tuple[int, int, int]], msi: tuple[int, int, int, int],
                  msix: tuple[int, int]) -> bytes:
    """It agrees with the fields beside it; `msi` is how many messages, whether enabled, address, data; `msix` how
    many vectors, whether all are masked."""
    space = bytearray(256)
    messages, enabled, message_address, message_data = msi
    table_count, masked = msix
    key = chunk.key_of('config_space')

    def put(offset: int, size: int, value: int) -> None:
        space[offset:offset + size] = value.to_bytes(size, 'little')

    put(0, 2, model.vendor)
    put(2, 2, model.device)
    put(4, 2, chunk.values.choice(key + '.command', (0x0007, 0x0407, 0x0507)))
    put(8, 1, chunk.values.below(key + '.revision', 4))
    put(9, 3, model.class_code)
    for index, (kind, _, address) in bars.items():
        put(0x10 + 4 * index, 4, address | (1 if kind == IO else 0))
    put(0x2c, 2, model.vendor)
    put(0x2e, 2, model.class_code >> 16)
    put(0x3c, 1, chunk.values.choice(key + '.line', (5, 9, 10, 11)))
    put(0x3d, 1, 1 if bars else 0)
    capabilities = []
    if messages:
        capabilities.append((MSI_OFFSET, 5, 0x80 | (messages.bit_length() - 1) << 1 | enabled))
        put(MSI_OFFSET + 4, 8, message_address)
        put(MSI_OFFSET + 12, 2, message_data)
    if table_count:
        capabilities.append((MSIX_OFFSET, 0x11, 0x8000 | masked << 14 | (table_count - 1)))
        put(MSIX_OFFSET + 4, 4, 1)
        put(MSIX_OFFSET + 8, 4, 4096 | 1)
    if capabilities:
        put(6, 2, 0x10)
        put(0x34, 1, capabilities[0][0])
    for index, (offset, identifier, control) in enumerate(capabilities):
        put(offset, 1, identifier)
        put(offset + 1, 1, capabilities[index + 1][0] if index + 1 < len(capabilities) else 0)
        put(offset + 2, 2, control)
    # What only the device itself could explain.
    space[0xf0:] = chunk.values.data(key + '.own', 16)
    return bytes(space)
