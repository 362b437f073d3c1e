# SPDX-License-Identifier: BSD-2-Clause
"""The AHCI controller."""

from .chunk import Chunk
from .machine import Machine
from .pci import Device, prefix
from .values import Values

MAX_PORTS = 32
REQUESTS = 135
BLOCKIF_MAGIC = 0xb109b109


def ahci(machine: Machine, device: Device, name: str) -> Chunk:
    """Options: `ports` drives are attached, every second one an optical drive (the first is, under the name ahci-cd);
    `inflight` requests per drive are under way, which only generation A can save."""
    chunk = prefix(machine, device, name)
    attached = int(device.options.get('ports', '1'))
    inflight = int(device.options.get('inflight', '1' if machine.shape.request_lists else '0'))
    if not 0 <= attached <= MAX_PORTS or not 0 <= inflight <= 32:
        raise ValueError(f'{device.name}: ports and inflight must be from 0 to 32')
    if inflight and not machine.shape.request_lists:
        raise ValueError(f'{device.name}: only generation A saves with requests in flight')
    ports = max(machine.shape.ahci_ports if attached else 6, attached)
    chunk.add('ports', 'i32', ports)
    chunk.add('cap', 'u32', 0xc0341f00 & ~0x1f | (ports - 1))
    chunk.add('ghc', 'u32', 0x80000002)
    chunk.add('is', 'u32', machine.values.number(chunk.key_of('is'), 32) & ((1 << attached) - 1))
    chunk.add('pi', 'u32', (1 << attached) - 1)
    chunk.add('vs', 'u32', 0x10300)
    chunk.many('ccc_ctl ccc_pts em_loc em_ctl', 'u32')
    chunk.below('cap2', 'u32', 8)
    chunk.below('bohc', 'u32', 32)
    chunk.flag('lintr', 'u32')
    for index in range(MAX_PORTS):
        with chunk.within(f'port[{index}]'):
            if index < attached:
                _port(machine, chunk, index, bool(index % 2) != (device.name == 'ahci-cd'), inflight)
            else:
                chunk.add('bctx', 'host_pointer', 0)
                chunk.add('port', 'i32', 0)
    return chunk


def _port(machine: Machine, chunk: Chunk, index: int, optical: bool, inflight: int) -> None:
    values = machine.values
    commands, received = machine.ram.page(chunk.key_of('cmd_lst')), machine.ram.page(chunk.key_of('rfis'))
    busy = (1 << inflight) - 1
    chunk.add('bctx', 'host_pointer', 0x8_0000_0000 | values.number(chunk.key_of('bctx'), 30) << 4 | 8,
              meaningless=True)
    chunk.add('port', 'i32', index)
    chunk.add('cmd_lst', 'gaddr', commands)
    chunk.add('rfis', 'gaddr', received)
    chunk.raw('ata_ident', _identity(values, chunk.key_of('ata_ident'), optical))
    chunk.add('atapi', 'i32', int(optical))
    chunk.flag('reset')
    chunk.flag('waitforclear')
    chunk.add('mult_sectors', 'i32', values.choice(chunk.key_of('mult_sectors'), (1, 8, 16, 128)))
    chunk.add('xfermode', 'u8', values.choice(chunk.key_of('xfermode'), (0x42, 0x45, 0x46)))
    chunk.hashed('err_cfis', 20)
    chunk.below('sense_key', 'u8', 16)
    chunk.add('asc', 'u8')
    chunk.below('ccs', 'u32', 32)
    chunk.add('pending', 'u32', busy)
    chunk.add('clb', 'u32', commands & 0xffffffff)
    chunk.add('clbu', 'u32', commands >> 32)
    chunk.add('fb', 'u32', received & 0xffffffff)
    chunk.add('fbu', 'u32', received >> 32)
    chunk.add('ie', 'u32')
    # Started, receiving, and both running.
    chunk.add('cmd', 'u32', 0xc017 | (0x01000000 if optical else 0))
    chunk.add('unused0', 'u32', 0)
    chunk.add('tfd', 'u32', values.choice(chunk.key_of('tfd'), (0x50, 0x7f, 0x150, 0x451)))
    chunk.add('sig', 'u32', 0xeb140101 if optical else 0x00000101)
    chunk.add('ssts', 'u32', 0x133)
    chunk.add('sctl', 'u32', values.choice(chunk.key_of('sctl'), (0, 0x300, 0x310)))
    chunk.add('serr', 'u32')
    chunk.add('sact', 'u32', busy & values.number(chunk.key_of('sact'), 32))
    chunk.add('ci', 'u32', busy)
    chunk.add('sntf', 'u32', values.number(chunk.key_of('sntf'), 16))
    chunk.add('fbs', 'u32')
    chunk.add('ioqsz', 'i32', REQUESTS)
    if machine.shape.request_lists:
        _requests(machine, chunk, optical, inflight)


def _requests(machine: Machine, chunk: Chunk, optical: bool, inflight: int) -> None:
    values = machine.values
    page = machine.ram.page(chunk.key_of('cfis'))
    taken = [(7 + 31 * number) % REQUESTS for number in range(inflight)]
    for index in range(REQUESTS):
        with chunk.within(f'ioreq[{index}]'):
            used = index in taken
            chunk.add('cfis', 'gaddr', page + 0x80 * (index % 32))
            chunk.add('len', 'u32', values.number(chunk.key_of('len'), 17) * 512)
            chunk.add('done', 'u32', values.number(chunk.key_of('done'), 7) * 512)
            chunk.add('slot', 'i32', taken.index(index) if used else index % 32)
            chunk.flag('more')
            chunk.flag('readop')
    free = [index for index in range(REQUESTS) if index not in taken]
    for place, index in enumerate([*free, -1]):
        chunk.add(f'free[{place}]', 'i32', index)
    for place, index in enumerate(taken):
        with chunk.within(f'busy[{place}]'):
            chunk.add('index', 'i32', index)
            count = chunk.add('br_iovcnt', 'i32', values.choice(chunk.key_of('br_iovcnt'), (2, 1, 3)))
            chunk.add('br_offset', 'i64', values.number(chunk.key_of('br_offset'), 30) * 512)
            chunk.add('br_resid', 'i64', values.number(chunk.key_of('br_resid'), 7) * 512)
            for part in range(count):
                chunk.add(f'iov[{part}].iov_len', 'u64', 512 * values.choice(chunk.key_of(f'iov[{part}]'), range(1, 9)))
                chunk.add(f'iov[{part}].iov_base', 'gaddr', machine.ram.page(chunk.key_of(f'iov[{part}]')))
    chunk.add(f'busy[{inflight}].index', 'i32', -1)
    with chunk.within('blockif'):
        chunk.add('magic', 'u32', BLOCKIF_MAGIC)
        chunk.flag('ischr')
        chunk.flag('isgeom')
        chunk.flag('candelete')
        chunk.add('rdonly', 'i32', int(optical))
        chunk.add('size', 'i64', values.number(chunk.key_of('size'), 30) * 4096)
        chunk.add('sectsz', 'i32', 2048 if optical else 512)
        chunk.add('psectsz', 'i32', 4096)
        chunk.add('psectoff', 'i32', values.choice(chunk.key_of('psectoff'), (0, 512, 1024)))
        chunk.add('closing', 'i32', 0)


def _identity(values: Values, key: str, optical: bool) -> bytes:
    """An IDENTIFY block: its first word, serial number and model as a disk would say, the rest as it comes."""
    block = bytearray(values.data(key, 512))
    block[0:2] = (0x85c0 if optical else 0x0040).to_bytes(2, 'little')
    serial = values.data(key + '.serial', 6).hex().upper()
    model = 'BHYVE SATA DVD ROM' if optical else 'BHYVE SATA DISK'
    for start, size, text in ((20, 20, f'BHYVE-{serial}'), (54, 40, model)):
        swapped = text.ljust(size).encode()
        block[start:start + size] = bytes(swapped[index ^ 1] for index in range(size))
    return bytes(block)
