# SPDX-License-Identifier: BSD-2-Clause
"""The xHCI controller and its tablet."""

from .chunk import NULL, Chunk
from .machine import Machine
from .pci import Device, prefix

PORTS, SLOTS, ENDPOINTS, BLOCKS = 8, 64, 31, 8
# An empty slot equals an empty device, and the last empty device is the eighth.
EMPTY_SLOT = 8


def xhci(machine: Machine, device: Device, name: str) -> Chunk:
    """Options: `tablet` on or off; `context` off for a tablet that the guest has not addressed yet."""
    chunk = prefix(machine, device, name)
    tablet = device.asks('tablet', ('on', 'off')) == 'on'
    context = device.asks('context', ('on', 'off')) == 'on'
    _registers(machine, chunk)
    if tablet:
        with chunk.within('device[1]'):
            chunk.add('index', 'i32', 1)
            chunk.raw('name', b'tablet'.ljust(128, b'\0'))
        with chunk.within('port[1]'):
            chunk.add('portsc', 'u32', 0x1203)
            chunk.add('portpmsc', 'u32')
            chunk.below('portli', 'u32', 256)
            chunk.add('porthlpmc', 'u32')
    for slot in range(1, SLOTS + 1):
        with chunk.within(f'slot[{slot}]'):
            here = tablet and slot == 1
            chunk.add('map', 'i32', 1 if here else EMPTY_SLOT)
            if here:
                _slot(machine, chunk, context)
    if machine.shape.ndevices:
        chunk.add('ndevices', 'i32', int(tablet))
    chunk.add('usb2_port_start', 'i32', 5)
    chunk.add('usb3_port_start', 'i32', 1)
    return chunk


def _registers(machine: Machine, chunk: Chunk) -> None:
    values, ram = machine.values, machine.ram
    for path, value in (('caplength', 0x01000020), ('hcsparams1', 0x08000140), ('hcsparams2', 0xf8000005),
                        ('hcsparams3', 0), ('hccparams1', 0x00040001), ('dboff', 0x4a0), ('rtsoff', 0xcc0),
                        ('hccparams2', 0), ('regsend', 0xd00)):
        chunk.add(path, 'u32', value)
    command, contexts = ram.page(chunk.key_of('cr_p')), ram.page(chunk.key_of('dcbaa_p'))
    chunk.add('usbcmd', 'u32', 5)
    chunk.add('usbsts', 'u32', values.choice(chunk.key_of('usbsts'), (0, 0x8, 0x18)))
    chunk.add('pgsz', 'u32', 1)
    chunk.below('dnctrl', 'u32', 1 << 16)
    chunk.add('crcr', 'u64', command | 1)
    chunk.add('dcbaap', 'u64', contexts)
    chunk.add('config', 'u32', SLOTS)
    chunk.add('cr_p', 'gaddr_or_null', command)
    chunk.add('dcbaa_p', 'gaddr_or_null', contexts)
    chunk.below('mfindex', 'u32', 0x4000)
    table, events = ram.page(chunk.key_of('erstba_p')), ram.page(chunk.key_of('erst_p'))
    chunk.below('iman', 'u32', 4)
    chunk.add('imod', 'u32')
    chunk.add('erstsz', 'u32', 1)
    chunk.add('rsvd', 'u32', 0)
    enqueued = values.below(chunk.key_of('er_enq_idx'), 256)
    chunk.add('erstba', 'u64', table)
    chunk.add('erdp', 'u64', events + 16 * values.below(chunk.key_of('erdp'), 256) | 8)
    chunk.add('erstba_p', 'gaddr_or_null', table)
    chunk.add('erst_p', 'gaddr_or_null', events)
    chunk.add('er_deq_seg', 'i32', 0)
    chunk.add('er_enq_idx', 'i32', enqueued)
    chunk.add('er_enq_seg', 'i32', 0)
    chunk.below('er_events_cnt', 'u32', 256)
    chunk.flag('event_pcs', 'u32')


def _slot(machine: Machine, chunk: Chunk, context: bool) -> None:
    chunk.add('dev_ctx', 'gaddr_or_null', machine.ram.page(chunk.key_of('dev_ctx'), high=True) if context else NULL)
    for endpoint in range(1, ENDPOINTS + 1):
        # The control endpoint, and the one that reports.
        if context:
            with chunk.within(f'ep[{endpoint}]'):
                _endpoint(machine, chunk, endpoint, endpoint in (1, 3))
    chunk.below('dev_slotstate', 'i32', 4)
    with chunk.within('tablet'):
        chunk.below('report.buttons', 'u8', 8)
        chunk.many('report.x report.y', 'i16')
        chunk.add('report.z', 'i8')
        chunk.flag('newdata')
        chunk.add('idle', 'u8')
        chunk.below('protocol', 'u8', 2)
        chunk.below('feature', 'u8', 2)
        chunk.flag('polling')
        chunk.add('prev_evt.sec', 'i64', machine.values.number(chunk.key_of('prev_evt.sec'), 31))
        chunk.add('prev_evt.usec', 'i64', machine.values.below(chunk.key_of('prev_evt.usec'), 1000000))
    chunk.below('hci_address', 'i32', 128)
    chunk.add('hci_port', 'i32', 1)


def _endpoint(machine: Machine, chunk: Chunk, endpoint: int, active: bool) -> None:
    values = machine.values

    def pointer(path: str, there: bool) -> None:
        value = 0x8_0000_0000 | values.number(chunk.key_of(path), 30) << 4 | 8 if there else 0
        chunk.add(path, 'host_pointer', value, meaningless=there)

    pointer('xfer', active)
    if not active:
        return
    for block in range(BLOCKS):
        with chunk.within(f'block[{block}]'):
            queued = block < 3
            chunk.add('buf', 'gaddr_or_null', machine.ram.page(chunk.key_of('buf')) if queued else NULL)
            chunk.below('blen', 'i32', 4096)
            chunk.below('bdone', 'i32', 4096)
            chunk.flag('processed', 'u32')
            pointer('hci_data', queued)
            chunk.flag('ccs')
            chunk.add('streamid', 'u32')
            chunk.add('trbnext', 'u64', values.page(chunk.key_of('trbnext'), machine.ram.low) | 0x10)
    pointer('ureq', endpoint == 1)
    if endpoint == 1:
        chunk.raw('request', values.data(chunk.key_of('request'), 8))
    chunk.below('ndata', 'i32', BLOCKS)
    chunk.below('head', 'i32', BLOCKS)
    chunk.below('tail', 'i32', BLOCKS)
