# SPDX-License-Identifier: BSD-2-Clause
"""What every PCI function has, and the virtio devices."""

from converted import Converted, Mismatch

from .rules import flags, rule, same

PREFIXED = ('virtio-blk', 'virtio-net', 'virtio-rnd', 'e1000', 'ahci', 'xhci', 'fbuf', 'lpc', 'hostbridge')
VIRTIO = ('virtio-blk', 'virtio-net', 'virtio-rnd')

# What every PCI function begins with. Offsets are those of the PCI specification.

KINDS = {1: 'Io', 2: 'Memory32', 3: 'Memory64', 5: 'Rom'}
EVERY_PCI = ' '.join(PREFIXED)


def pci(c: Converted) -> str:
    return 'function.' if c.kind == 'hostbridge' else 'pci.'


def capability(config: bytes, identifier: int) -> int | None:
    """Where a capability begins."""
    at, left = config[0x34] & ~3, 48
    while config[6] & 0x10 and at and left:
        if config[at] == identifier:
            return at
        at, left = config[at + 1] & ~3, left - 1
    return None


def word(config: bytes, offset: int, size: int = 4) -> int:
    return int.from_bytes(config[offset:offset + size], 'little')


@rule(EVERY_PCI, 'config_space')
def _(c: Converted, value: bytes) -> bytes:
    c.hold(c.place, pci(c) + 'config_space', value)
    if not c.legacy(c.name, 'msix.table_count'):
        c.hold(c.place, pci(c) + 'msix', None)
    if not any(kind in KINDS for kind in bar_kinds(c)):
        c.hold(c.place, pci(c) + 'bars', [])
    return value


def bar_kinds(c: Converted) -> list[int]:
    return [c.legacy(c.name, f'bar[{n}].type') for n in range(7) if c.value(c.name, f'bar[{n}].type') is not None]


@rule(EVERY_PCI, 'bar[#].type')
def _(c: Converted, value: int, number: int) -> int:
    kinds = bar_kinds(c)
    listed = c.hardware(c.place, pci(c) + 'bars')
    assert isinstance(listed, list)
    if sum(bar['index'] == number for bar in listed) != (value in KINDS):
        raise Mismatch(f'{c.place} lists {listed}')
    if value in KINDS:
        place = sum(kind in KINDS for kind in kinds[:number])
        c.hold(c.place, f'{pci(c)}bars[{place}].index', number)
        c.hold(c.place, f'{pci(c)}bars[{place}].kind', KINDS[value])
        return value
    return 4 if number and kinds[number - 1] == 3 else 0


@rule(EVERY_PCI, 'bar[#].size')
def _(c: Converted, value: int, number: int) -> int:
    kinds = bar_kinds(c)
    if kinds[number] not in KINDS:
        return 0
    place = sum(kind in KINDS for kind in kinds[:number])
    c.hold(c.place, f'{pci(c)}bars[{place}].size', value)
    return value


@rule(EVERY_PCI, 'bar[#].addr')
def _(c: Converted, value: int, number: int) -> int:
    config = c.octets(c.place, pci(c) + 'config_space')
    kind = bar_kinds(c)[number]
    low = word(config, 0x10 + 4 * number)
    return {1: low & ~3, 2: low & ~15, 3: low & ~15 | word(config, 0x14 + 4 * number) << 32 if number < 5 else 0,
            5: word(config, 0x30) & ~0x7ff}.get(kind, 0)


@rule(EVERY_PCI, 'msi.enabled msi.addr msi.msg_data msi.maxmsgnum')
def _(c: Converted, value: int) -> int:
    config = c.octets(c.place, pci(c) + 'config_space')
    at = capability(config, 5)
    if at is None or not config[at + 2] & 1:
        return 0
    wide = config[at + 2] >> 7 & 1
    return {'enabled': 1, 'addr': word(config, at + 4), 'msg_data': word(config, at + (12 if wide else 8), 2),
            'maxmsgnum': 1 << (config[at + 2] >> 4 & 7)}[c.path[4:]]


@rule(EVERY_PCI, ' '.join('msix.' + name for name in (
    'enabled table_bar pba_bar table_offset pba_offset pba_size function_mask table_count').split()))
def _(c: Converted, value: int) -> int:
    config = c.octets(c.place, pci(c) + 'config_space')
    at = capability(config, 0x11)
    table = c.hardware(c.place, pci(c) + 'msix')
    count = len(table['table']) if isinstance(table, dict) else 0
    name = c.path[5:]
    if name == 'table_count':
        return count
    if name == 'pba_size':
        return 8 * -(-count // 64)
    if at is None:
        return 0
    control = word(config, at + 2, 2)
    table_at, pending_at = word(config, at + 4), word(config, at + 8)
    return {'enabled': control & 0x8000, 'function_mask': control & 0x4000, 'table_bar': table_at & 7,
            'pba_bar': pending_at & 7, 'table_offset': table_at & ~7, 'pba_offset': pending_at & ~7}[name]


@rule(EVERY_PCI, 'msix.pba_page_offset')
def _(c: Converted, value: int) -> int:
    return 0


for _path, _place in (('addr', 'address'), ('msg_data', 'data'), ('vector_control', 'vector_control')):
    @rule(EVERY_PCI, f'msix.table[#].{_path}')
    def _(c: Converted, value: int, number: int, place: str = _place) -> int:
        c.hold(c.place, f'{pci(c)}msix.table[{number}].{place}', value)
        return value

# virtio. Bits of features are those of the specification.

EVENT_IDX = 1 << 29
EVERY_VIRTIO = ' '.join(VIRTIO)
same(EVERY_VIRTIO, '', '''
    vs_negotiated_caps virtio.driver_features
    vc_hv_caps virtio.device_features
    vs_curq virtio.queue_select
    vs_status virtio.device_status
    vs_msix_cfg_idx virtio.config_msix_vector
    queue[#].vq_num virtio.queues[#].index
    queue[#].vq_last_avail virtio.queues[#].next_available
    queue[#].vq_next_used virtio.queues[#].next_used
    queue[#].vq_msix_idx virtio.queues[#].msix_vector
    queue[#].vq_pfn virtio.queues[#].legacy_pfn
    queue[#].desc_ring virtio.queues[#].descriptor_table
    queue[#].avail_ring virtio.queues[#].available_ring
    queue[#].used_ring virtio.queues[#].used_ring
''')


@rule(EVERY_VIRTIO, 'vs_isr')
def _(c: Converted, value: int) -> int:
    c.hold(c.place, 'virtio.isr_status', value)
    # The interrupt pin of a device follows from its ISR status unless it sends messages.
    c.hold(c.place, 'pci.intx_asserted', bool(value and not c.legacy(c.name, 'msix.enabled')))
    return value


@rule(EVERY_VIRTIO, 'vs_flags')
def _(c: Converted, value: int) -> int:
    has_vectors = c.hardware(c.place, 'pci.msix') is not None
    return int(has_vectors) | (2 if c.number(c.place, 'virtio.driver_features') & EVENT_IDX else 0)


@rule(EVERY_VIRTIO, 'vc_nvq')
def _(c: Converted, value: int) -> int:
    queues = c.hardware(c.place, 'virtio.queues')
    assert isinstance(queues, list)
    return len(queues)


@rule(EVERY_VIRTIO, 'vc_cfgsize')
def _(c: Converted, value: int) -> int:
    return {'virtio-blk': 60, 'virtio-net': 12, 'virtio-rnd': 0}[c.kind]


@rule(EVERY_VIRTIO, 'queue[#].vq_qsize')
def _(c: Converted, value: int, number: int) -> int:
    c.hold(c.place, f'virtio.queues[{number}].size', value)
    c.hold(c.place, f'virtio.queues[{number}].max_size', value)
    return value


@rule(EVERY_VIRTIO, 'queue[#].vq_flags')
def _(c: Converted, value: int, number: int) -> int:
    c.hold(c.place, f'virtio.queues[{number}].enabled', bool(value & 1))
    return value & 1


@rule(EVERY_VIRTIO, 'queue[#].vq_save_used')
def _(c: Converted, value: int, number: int) -> int | None:
    used = bool(c.number(c.place, 'virtio.driver_features') & EVENT_IDX)
    c.hold(c.place, f'virtio.queues[{number}].signalled_used', value if used else None)
    return value if used else None


@rule(EVERY_VIRTIO, 'queue[#].ring')
def _(c: Converted, value: bytes, number: int) -> bytes | None:
    return c.guest_memory(c.legacy(c.name, f'queue[{number}].desc_ring'), len(value))


same('virtio-blk', '', '''
    cfg.capacity config.capacity
    cfg.size_max config.size_max
    cfg.seg_max config.seg_max
    cfg.blk_size config.blk_size
    cfg.physical_block_exp config.physical_block_exp
    cfg.alignment_offset config.alignment_offset
    cfg.min_io_size config.min_io_size
    cfg.opt_io_size config.opt_io_size
    cfg.num_queues config.num_queues
''')
flags('virtio-blk', '', 'cfg.writeback config.writeback')


@rule('virtio-blk', 'cfg.cylinders cfg.heads cfg.sectors cfg.unused0')
def _(c: Converted, value: int) -> int:
    return 0


@rule('virtio-blk', 'cfg.unused1')
def _(c: Converted, value: bytes) -> bytes:
    return bytes(3)


@rule('virtio-blk', 'ident')
def _(c: Converted, value: bytes) -> bytes:
    serial = value.partition(b'\0')[0][:20]
    c.hold(c.place, 'serial', ''.join(chr(one) if one < 0x80 else '?' for one in serial))
    return bytes(one if one < 0x80 else ord('?') for one in serial).ljust(21, b'\0')


same('virtio-net', '', '''
    cfg.mac config.mac
    cfg.status config.status
    cfg.max_virtqueue_pairs config.max_virtqueue_pairs
    cfg.mtu config.mtu
''')


@rule('virtio-net', 'vsc_features features_negotiated rx_merge vhdrlen')
def _(c: Converted, value: int) -> int:
    features = c.number(c.place, 'virtio.driver_features')
    merges = features >> 15 & 1
    return {'vsc_features': features, 'features_negotiated': int(c.legacy(c.name, 'vsc_features') != 0),
            'rx_merge': merges, 'vhdrlen': 12 if merges else 10}[c.path]
