# SPDX-License-Identifier: BSD-2-Clause
"""The virtio devices."""

from .chunk import Chunk
from .machine import Machine
from .pci import Device, prefix

NO_VECTOR = 0xffff
QUEUES = {'virtio-blk': (1, 128), 'virtio-net': (2, 1024), 'virtio-rnd': (1, 64)}
CONFIG_SIZE = {'virtio-blk': 60, 'virtio-net': 12, 'virtio-rnd': 0}
# blk: SEG_MAX, BLK_SIZE, FLUSH, TOPOLOGY, DISCARD, INDIRECT; net: MTU, MAC, MRG_RXBUF, STATUS, NOTIFY, INDIRECT.
CAPABILITIES = {'virtio-blk': 0x10002644, 'virtio-net': 0x11018028, 'virtio-rnd': 0}


def ring_size(entries: int) -> int:
    return _whole(16 * entries + 2 * (3 + entries)) + _whole(6 + 8 * entries)


def virtio(machine: Machine, device: Device, name: str) -> Chunk:
    """The whole chunk of a virtio device."""
    chunk = prefix(machine, device, name)
    values = machine.values
    count, entries = QUEUES[device.emulation]
    rings = device.asks('rings', ('all', 'half', 'none'))
    ready = {'all': count, 'half': (count + 1) // 2, 'none': 0}[rings]
    if machine.shape.ring_always and ready < count:
        raise ValueError(f'{device.name}: bhyve of generation A fails to save a device whose rings are not set up')
    messages = bool(chunk.field('msix.table_count').value)
    offered = CAPABILITIES[device.emulation]
    negotiated = offered & (values.number(chunk.key_of('vs_negotiated_caps'), 32) | 0x10000000) if ready else 0
    chunk.add('vs_flags', 'i32', int(messages))
    chunk.add('vs_negotiated_caps', 'u32', negotiated)
    chunk.below('vs_curq', 'i32', count)
    chunk.add('vs_status', 'u8', 7 if ready else values.choice(chunk.key_of('vs_status'), (0, 1, 3)))
    chunk.below('vs_isr', 'u8', 2)
    chunk.add('vs_msix_cfg_idx', 'u16', 0 if messages and ready else NO_VECTOR)
    chunk.add('vc_nvq', 'i32', count, compare=True)
    chunk.add('vc_cfgsize', 'u64', CONFIG_SIZE[device.emulation], compare=True)
    chunk.add('vc_hv_caps', 'u64', offered, compare=True)
    for index in range(count):
        with chunk.within(f'queue[{index}]'):
            # With enough RAM the last queue lies above 4 GiB.
            _queue(machine, chunk, index, entries, index < ready, messages, index == count - 1)
    if device.emulation == 'virtio-blk':
        _blk(chunk)
    elif device.emulation == 'virtio-net':
        _net(machine, chunk, negotiated, bool(ready))
    return chunk


def _whole(size: int) -> int:
    return (size + 4095) // 4096 * 4096


def _queue(machine: Machine, chunk: Chunk, index: int, entries: int, ready: bool, messages: bool, high: bool) -> None:
    values = machine.values
    used = values.number(chunk.key_of('vq_next_used'), 16) if ready else 0
    # What a guest has offered and the device not yet taken shows in the ring, not here.
    chunk.add('vq_qsize', 'u16', entries, compare=True)
    chunk.add('vq_num', 'u16', index, compare=True)
    chunk.add('vq_flags', 'u16', int(ready))
    chunk.add('vq_last_avail', 'u16', used)
    chunk.add('vq_next_used', 'u16', used)
    chunk.add('vq_save_used', 'u16', used)
    chunk.add('vq_msix_idx', 'u16', index + 1 if messages and ready else NO_VECTOR)
    if not ready:
        chunk.add('vq_pfn', 'u32', 0)
        return
    size = ring_size(entries)
    address = machine.ram.take(size, high)
    available = address + 16 * entries
    consumed = address + _whole(16 * entries + 2 * (3 + entries))
    chunk.add('vq_pfn', 'u32', address >> 12)
    chunk.add('desc_ring', 'gaddr', address)
    chunk.add('avail_ring', 'gaddr', available)
    chunk.add('used_ring', 'gaddr', consumed)
    waiting = values.below(chunk.key_of('ring.waiting'), 4)
    ring = _ring(machine, chunk, entries, used, waiting)
    machine.ram.write(address, ring)
    chunk.raw('ring', ring)


def _ring(machine: Machine, chunk: Chunk, entries: int, used: int, waiting: int) -> bytes:
    """A queue at work: all descriptors name a page each, `waiting` of them wait for the device."""
    values, key = machine.values, chunk.key_of('ring')
    ring = bytearray(ring_size(entries))
    buffers = values.data(key + '.buffers', entries * 4)
    pages = machine.ram.low >> 12
    for index in range(entries):
        number = int.from_bytes(buffers[index * 4:index * 4 + 4], 'little')
        flags = number >> 28 & 2 | (1 if index % 3 == 0 and index + 1 < entries else 0)
        descriptor = ((number % pages << 12).to_bytes(8, 'little') + (64 + number % 1024).to_bytes(4, 'little')
                      + flags.to_bytes(2, 'little') + ((index + 1) % entries).to_bytes(2, 'little'))
        ring[index * 16:index * 16 + 16] = descriptor
    available = 16 * entries
    consumed = _whole(available + 2 * (3 + entries))
    order = [(index * 7 + 3) % entries for index in range(entries)]
    ring[available + 2:available + 4] = ((used + waiting) % 65536).to_bytes(2, 'little')
    ring[consumed + 2:consumed + 4] = used.to_bytes(2, 'little')
    for index, head in enumerate(order):
        ring[available + 4 + 2 * index:available + 6 + 2 * index] = head.to_bytes(2, 'little')
        place = consumed + 4 + 8 * index
        ring[place:place + 8] = head.to_bytes(4, 'little') + (64 + head).to_bytes(4, 'little')
    return bytes(ring)


def _blk(chunk: Chunk) -> None:
    values = chunk.values
    with chunk.within('cfg'):
        chunk.add('capacity', 'u64', values.number(chunk.key_of('capacity'), 40))
        chunk.add('size_max', 'u32')
        chunk.add('seg_max', 'u32', 126)
        chunk.add('cylinders', 'u16')
        chunk.many('heads sectors', 'u8')
        chunk.add('blk_size', 'u32', values.choice(chunk.key_of('blk_size'), (512, 4096)))
        chunk.below('physical_block_exp', 'u8', 4)
        chunk.below('alignment_offset', 'u8', 8)
        chunk.add('min_io_size', 'u16')
        chunk.add('opt_io_size', 'u32')
        chunk.below('writeback', 'u8', 2)
        chunk.add('unused0', 'u8', 0)
        chunk.add('num_queues', 'u16', 1)
        for path in ('max_discard_sectors', 'max_discard_seg', 'discard_sector_alignment', 'max_write_zeroes_sectors',
                     'max_write_zeroes_seg'):
            chunk.add(path, 'u32')
        chunk.below('write_zeroes_may_unmap', 'u8', 2)
        chunk.raw('unused1', bytes(3))
    serial = values.data(chunk.key_of('ident'), 6).hex().upper()
    chunk.raw('ident', f'BHYVE-{serial}'.encode().ljust(21, b'\0'))


def _net(machine: Machine, chunk: Chunk, negotiated: int, ready: bool) -> None:
    values = machine.values
    chunk.add('vsc_features', 'u64', negotiated)
    if machine.shape.features_negotiated:
        chunk.add('features_negotiated', 'bool', int(ready))
    with chunk.within('cfg'):
        chunk.raw('mac', bytes.fromhex('589cfc') + values.data(chunk.key_of('mac'), 3))
        chunk.below('status', 'u16', 2)
        chunk.add('max_virtqueue_pairs', 'u16', 1)
        chunk.add('mtu', 'u16', values.choice(chunk.key_of('mtu'), (1500, 1280, 9000)))
    merge = 1 if not ready or negotiated & 0x8000 else 0
    header = 12 if merge else 10
    chunk.add('rx_merge', 'i32', merge)
    chunk.add('vhdrlen', 'u64', header)
    chunk.add('be_vhdrlen', 'u64', values.choice(chunk.key_of('be_vhdrlen'), (0, header)))
