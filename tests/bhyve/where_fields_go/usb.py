# SPDX-License-Identifier: BSD-2-Clause
"""The xHCI controller."""

from converted import Converted

from .rules import ALL_ONES, flags, rule, same, signed

# xhci. Registers by the names of the xHCI specification.

same('xhci', '', '\n'.join(f'{name} {name}' for name in (
    'hcsparams1 hcsparams2 hcsparams3 hccparams1 dboff rtsoff hccparams2 usbcmd usbsts dnctrl crcr dcbaap config '
    'mfindex').split()))
same('xhci', '', '''
    caplength caplength_hciversion
    pgsz pagesize
    iman interrupters[0].iman
    imod interrupters[0].imod
    erstsz interrupters[0].erstsz
    erstba interrupters[0].erstba
    erdp interrupters[0].erdp
    er_enq_idx interrupters[0].enqueue_index
    er_enq_seg interrupters[0].enqueue_segment
    er_events_cnt interrupters[0].pending_events
    usb2_port_start supported_protocols[0].first_port
    usb3_port_start supported_protocols[1].first_port
''')
flags('xhci', '', 'event_pcs interrupters[0].producer_cycle_state')


@rule('xhci', 'regsend')
def _(c: Converted, value: int) -> int:
    """MSI is off, so the pin follows from IMAN, and USBCMD.INTE."""
    iman, command = c.legacy(c.name, 'iman'), c.legacy(c.name, 'usbcmd')
    c.hold(c.place, 'pci.intx_asserted', bool(iman & 3 == 3 and command & 4 and not c.legacy(c.name, 'msi.enabled')))
    return c.number(c.place, 'rtsoff') + 0x40


@rule('xhci', 'rsvd')
def _(c: Converted, value: int) -> int:
    return 0


@rule('xhci', 'cr_p dcbaa_p erstba_p')
def _(c: Converted, value: int) -> int:
    at = {'cr_p': c.number(c.place, 'crcr') & ~15, 'dcbaa_p': c.number(c.place, 'dcbaap') & ~63,
          'erstba_p': c.number(c.place, 'interrupters[0].erstba') & ~63}[c.path]
    return at or ALL_ONES


@rule('xhci', 'erst_p')
def _(c: Converted, value: int) -> int:
    """The first entry of the event ring segment table, which is in RAM."""
    table = c.number(c.place, 'interrupters[0].erstba') & ~63
    entry = c.guest_memory(table, 8) if table else None
    return (int.from_bytes(entry, 'little') & ~63 if entry else 0) or ALL_ONES


@rule('xhci', 'er_deq_seg')
def _(c: Converted, value: int) -> int:
    return c.number(c.place, 'interrupters[0].erdp') & 7


@rule('xhci', 'device[#].index')
def _(c: Converted, value: int, number: int) -> int:
    c.hold(c.place, 'devices[0].port', value)
    return value


@rule('xhci', 'device[#].name')
def _(c: Converted, value: bytes, number: int) -> bytes:
    name = value.partition(b'\0')[0]
    c.hold(c.place, 'devices[0].kind', name.decode('ascii'))
    return name.ljust(128, b'\0')


@rule('xhci', 'port[#].portsc port[#].portpmsc port[#].portli port[#].porthlpmc')
def _(c: Converted, value: int, number: int) -> int:
    c.hold(c.place, 'ports[0].number', number)
    c.hold(c.place, 'ports[0].' + c.path.rpartition('.')[2], value)
    return value


SLOT_STATES = ('Disabled', 'Enabled', 'Default', 'Addressed', 'Configured')


def slot_state(c: Converted, slot: int) -> str:
    value = c.legacy(c.name, f'slot[{slot}].dev_slotstate')
    return SLOT_STATES[value] if value < len(SLOT_STATES) else 'Disabled'


@rule('xhci', 'slot[#].map')
def _(c: Converted, value: int, slot: int) -> int | None:
    if c.value(c.name, f'slot[{slot}].dev_slotstate') is None or slot_state(c, slot) == 'Disabled':
        return None
    c.hold(c.place, 'slots[0].id', slot)
    c.hold(c.place, 'slots[0].port', value)
    return value


@rule('xhci', 'slot[#].dev_ctx')
def _(c: Converted, value: int, slot: int) -> int | None:
    if slot_state(c, slot) == 'Disabled':
        c.hold(c.place, 'slots', [])
        return None
    c.hold(c.place, 'slots[0].device_context', 0 if value == ALL_ONES else value)
    if value == ALL_ONES:
        c.hold(c.place, 'slots[0].endpoints', [])
    return value


@rule('xhci', 'slot[#].dev_slotstate')
def _(c: Converted, value: int, slot: int) -> int | None:
    if slot_state(c, slot) == 'Disabled':
        return None
    c.hold(c.place, 'slots[0].state', slot_state(c, slot))
    return value


def endpoint(c: Converted, slot: int, number: int) -> str | None:
    """Where an endpoint is: those with a transfer are, in their order."""
    def there(dci: int) -> bool:
        return bool(c.value(c.name, f'slot[{slot}].ep[{dci}].xfer'))

    if not there(number) or slot_state(c, slot) == 'Disabled':
        return None
    return f'slots[0].endpoints[{sum(there(dci) for dci in range(1, number))}].'


@rule('xhci', 'slot[#].ep[#].xfer')
def _(c: Converted, value: int, slot: int, number: int) -> int | None:
    place = endpoint(c, slot, number)
    if place:
        c.hold(c.place, place + 'dci', number)
        if not c.legacy(c.name, f'slot[{slot}].ep[{number}].ureq'):
            c.hold(c.place, place + 'setup_packet', None)
        if not c.legacy(c.name, f'slot[{slot}].ep[{number}].ndata'):
            c.hold(c.place, place + 'transfers', [])
    elif slot_state(c, slot) == 'Disabled':
        return None
    return int(value != 0)


BLOCK = {'buf': 'buffer', 'blen': 'length', 'bdone': 'transferred', 'ccs': 'cycle', 'streamid': 'stream_id',
         'trbnext': 'next_trb'}


@rule('xhci', ' '.join(f'slot[#].ep[#].block[#].{name}' for name in BLOCK))
def _(c: Converted, value: int, slot: int, number: int, block: int) -> int | None:
    """The blocks in use are ndata, from head on; in the hardware, and hence on the way back, the first is number 0."""
    place = endpoint(c, slot, number)
    if place is None:
        return None
    path = f'slot[{slot}].ep[{number}].'
    head, count = c.legacy(c.name, path + 'head'), c.legacy(c.name, path + 'ndata')
    turn = (block - head) % 8
    name = c.path.rpartition('.')[2]
    if turn < count:
        expected: object = value
        if name == 'buf':
            expected = 0 if value == ALL_ONES else value
        elif name == 'blen':
            expected = (value + c.legacy(c.name, f'{path}block[{block}].bdone')) & 0xffffffff
        elif name == 'ccs':
            expected = value != 0
        c.hold(c.place, f'{place}transfers[{turn}].{BLOCK[name]}', expected)
    if block >= count:
        return None
    back = c.number(c.place, f'{place}transfers[{block}].{BLOCK[name]}')
    if name == 'blen':
        return (back - c.number(c.place, f'{place}transfers[{block}].transferred')) & 0xffffffff
    return ALL_ONES if name == 'buf' and back == 0 else back


@rule('xhci', 'slot[#].ep[#].ureq')
def _(c: Converted, value: int, slot: int, number: int) -> int | None:
    place = endpoint(c, slot, number)
    return int(c.hardware(c.place, place + 'setup_packet') is not None) if place else None


@rule('xhci', 'slot[#].ep[#].request')
def _(c: Converted, value: bytes, slot: int, number: int) -> bytes | None:
    place = endpoint(c, slot, number)
    if place is None:
        return None
    c.hold(c.place, place + 'setup_packet', value)
    return value


@rule('xhci', ' '.join(f'slot[#].tablet.report.{name}' for name in 'buttons x y z'.split()))
def _(c: Converted, value: int, slot: int) -> int:
    name = c.path.rpartition('.')[2]
    expected = value if name == 'buttons' else signed(value, 8 if name == 'z' else 16)
    name = 'wheel' if name == 'z' else name
    c.hold(c.place, f'devices[0].pointer.current.{name}', expected)
    if c.legacy(c.name, f'slot[{slot}].tablet.newdata'):
        c.hold(c.place, f'devices[0].pointer.waiting[0].{name}', expected)
    return value


@rule('xhci', 'slot[#].tablet.newdata')
def _(c: Converted, value: int, slot: int) -> int:
    if not value:
        c.hold(c.place, 'devices[0].pointer.waiting', [])
    waiting = c.hardware(c.place, 'devices[0].pointer.waiting')
    assert isinstance(waiting, list)
    return len(waiting)


same('xhci', '', '''
    slot[1].tablet.idle devices[0].pointer.idle
    slot[1].tablet.protocol devices[0].pointer.protocol
    slot[1].hci_address devices[0].address
''')


@rule('xhci', 'slot[#].tablet.feature')
def _(c: Converted, value: int, slot: int) -> int:
    c.hold(c.place, 'devices[0].remote_wakeup', bool(value & 1))
    return value & 1


@rule('xhci', 'slot[#].hci_port')
def _(c: Converted, value: int, slot: int) -> int:
    return c.number(c.place, 'devices[0].port')


@rule('xhci', 'ndevices')
def _(c: Converted, value: int) -> int:
    devices = c.hardware(c.place, 'devices')
    assert isinstance(devices, list)
    return len(devices)
