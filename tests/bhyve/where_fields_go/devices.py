# SPDX-License-Identifier: BSD-2-Clause
"""LPC bridge with its serial ports, frame buffer, e1000, keyboard controller."""

from converted import Converted

from .rules import ALL_ONES, flags, rule, same, signed

# lpc: up to four 16550.

PORTS = ('3f8', '2f8', '3e8', '2e8')


@rule('lpc', ' '.join(f'uart[#].{name}' for name in 'ier lcr mcr msr fcr scr dll dlh'.split()))
def _(c: Converted, value: int, number: int) -> int:
    name = c.path.rpartition('.')[2]
    c.hold(f'isa0/uart@{PORTS[number]}', 'dlm' if name == 'dlh' else name, value)
    if name == 'ier':
        c.hold(f'isa0/uart@{PORTS[number]}', 'thre_interrupt_pending', bool(value & 2))
    return value


def fifo(c: Converted, number: int) -> bytes:
    path = f'uart[{number}].rxfifo.'
    first, count = c.legacy(c.name, path + 'rindex'), c.legacy(c.name, path + 'num')
    held = c.legacy_bytes(c.name, path + 'buf')
    return bytes(held[(first + n) % 16] for n in range(count))


@rule('lpc', 'uart[#].lsr')
def _(c: Converted, value: int, number: int) -> int:
    """The transmitter is always empty, and DR says whether something was received."""
    formed = value & ~0x61 | 0x60 | int(bool(fifo(c, number)))
    c.hold(f'isa0/uart@{PORTS[number]}', 'lsr', formed)
    return formed


@rule('lpc', 'uart[#].rxfifo.num')
def _(c: Converted, value: int, number: int) -> int:
    c.hold(f'isa0/uart@{PORTS[number]}', 'receive_fifo', fifo(c, number))
    return value


@rule('lpc', 'uart[#].rxfifo.rindex')
def _(c: Converted, value: int, number: int) -> int:
    return 0


@rule('lpc', 'uart[#].rxfifo.size')
def _(c: Converted, value: int, number: int) -> int:
    return 16 if c.legacy(c.name, f'uart[{number}].fcr') & 1 else 1


@rule('lpc', 'uart[#].rxfifo.windex')
def _(c: Converted, value: int, number: int) -> int:
    size = 16 if c.legacy(c.name, f'uart[{number}].fcr') & 1 else 1
    return c.legacy(c.name, f'uart[{number}].rxfifo.num') % size


@rule('lpc', 'uart[#].rxfifo.buf')
def _(c: Converted, value: bytes, number: int) -> bytes:
    return fifo(c, number).ljust(16, b'\0')


# fbuf. The pixels are a segment of memory.

@rule('fbuf', 'framebuffer')
def _(c: Converted, value: bytes) -> bytes:
    return c.segment('framebuffer')


# e1000. Registers by the names of Intel's manual.

same('e1000', '', '\n'.join(f'{name} {name.lower()}' for name in (
    'CTRL FCAL FCAH FCT VET FCTTV LEDCTL PBA ICR ITR IMS TXCW TCTL TIPG AIT TDBAL TDBAH TDLEN TDH TDT TIDV TXDCTL TADV '
    'RCTL FCRTL FCRTH RDBAL RDBAH RDLEN RDH RDT RDTR RXDCTL RADV RSRPD RXCSUM').split()))
same('e1000', '', '''
    io_addr ioaddr
    mdi_control mdic
    eeprom_control eecd
    fmcast[#] mta[#]
    fvlan[#] vfta[#]
    eeprom_data[#] eeprom.words[#]
    nvm_opaddr eeprom.command
    nvm_data eeprom.data
    nvm_bits eeprom.bits_left
    missed_pkt_count statistics.mpc
    good_pkt_rx statistics.gprc
    bcast_pkt_rx statistics.bprc
    mcast_pkt_rx statistics.mprc
    good_pkt_tx statistics.gptc
    bcast_pkt_tx statistics.bptc
    mcast_pkt_tx statistics.mptc
    oversize_rx statistics.roc
    tso_tx statistics.tsctc
    good_octets_rx statistics.gorc
    good_octets_tx statistics.gotc
''')
same('e1000', '', '\n'.join(f'pkt_{way}_by_size[{n}] statistics.p{way[0]}c{largest}' for way in ('rx', 'tx')
                            for n, largest in enumerate((64, 127, 255, 511, 1023, 1522))))
flags('e1000', '', 'irq_asserted pci.intx_asserted')


@rule('e1000', 'mac')
def _(c: Converted, value: bytes) -> bytes:
    return b''.join(c.number(c.place, f'eeprom.words[{n}]').to_bytes(2, 'little') for n in range(3))


@rule('e1000', 'nvm_bits_again')
def _(c: Converted, value: int) -> int:
    return c.number(c.place, 'eeprom.bits_left')


@rule('e1000', 'missed_octets')
def _(c: Converted, value: int) -> int:
    """All that was received, and what was missed; the totals of packets likewise."""
    count = {name: c.legacy(c.name, name) for name in (
        'good_octets_rx', 'good_octets_tx', 'good_pkt_rx', 'good_pkt_tx', 'missed_pkt_count')}
    c.hold(c.place, 'statistics.tor', (count['good_octets_rx'] + value) & ALL_ONES)
    c.hold(c.place, 'statistics.tot', count['good_octets_tx'])
    c.hold(c.place, 'statistics.tpr', (count['good_pkt_rx'] + count['missed_pkt_count']) & 0xffffffff)
    c.hold(c.place, 'statistics.tpt', count['good_pkt_tx'])
    return value


# A receive address: AV is bit 31 of RAH, the address select bits 17 and 16.

@rule('e1000', 'uni[#].eu_valid uni[#].eu_addrsel')
def _(c: Converted, value: int, number: int) -> int:
    shift, bits = (63, 1) if c.path.endswith('valid') else (48, 2)
    actual = c.number(c.place, f'ra[{number}]') >> shift & (1 << bits) - 1
    c.hold_field(c.place, f'ra[{number}]', shift, bits, value if bits == 2 else int(value != 0))
    return actual


@rule('e1000', 'uni[#].eu_eth')
def _(c: Converted, value: bytes, number: int) -> bytes:
    c.hold_field(c.place, f'ra[{number}]', 0, 48, int.from_bytes(value, 'little'))
    return value


CONTEXT = {'ip_config': 'ip_checksum', 'tcp_config': 'tcp_checksum', 'cmd_and_length': 'length_and_command',
           'tcp_seg': 'segmentation'}


@rule('e1000', ' '.join('txctx.' + name for name in CONTEXT))
def _(c: Converted, value: int) -> int:
    """A context descriptor with TSE (bit 26) is one for segmentation."""
    used = [c.legacy(c.name, 'txctx.' + name) for name in CONTEXT]
    segments = c.legacy(c.name, 'txctx.cmd_and_length') >> 26 & 1
    here, there = ('segmentation', 'offload') if segments else ('offload', 'segmentation')
    c.hold(c.place, there + '_context', None)
    if not any(used):
        c.hold(c.place, here + '_context', None)
        return 0
    c.hold(c.place, f'{here}_context.{CONTEXT[c.path[6:]]}', value)
    return value


@rule('e1000', 'tx_enabled rx_enabled rx_loopback')
def _(c: Converted, value: int) -> int:
    sends, receives = c.number(c.place, 'tctl') & 2, c.number(c.place, 'rctl') & 2
    loops = receives and c.number(c.place, 'rctl') & 0xc0
    return int(bool({'tx_enabled': sends, 'rx_enabled': receives, 'rx_loopback': loops}[c.path]))


@rule('e1000', 'tdba rdba txdesc rxdesc')
def _(c: Converted, value: int) -> int:
    way = c.path[0]
    if not c.number(c.place, f'{way}ctl') & 2:
        return ALL_ONES if c.path.endswith('desc') else 0
    return c.number(c.place, f'{way}dbah') << 32 | c.number(c.place, f'{way}dbal')



# atkbdc: an 8042 with a keyboard and a mouse.

I8042, KEYBOARD, MOUSE = 'isa0/i8042@60', 'isa0/i8042@60/keyboard', 'isa0/i8042@60/mouse'
WITH_A_BYTE = (0x60, 0xd1, 0xd2, 0xd3, 0xd4)
same('atkbdc', I8042, '''
    status status
    outport output_port
''')
same('atkbdc', MOUSE, '''
    ps2mouse.status status
    ps2mouse.resolution resolution
    ps2mouse.sampling_rate sampling_rate
    ps2mouse.curcmd pending_command
''')
flags('atkbdc', KEYBOARD, 'ps2kbd.enabled scanning_enabled')
same('atkbdc', KEYBOARD, 'ps2kbd.curcmd pending_command')


@rule('atkbdc', 'ps2mouse.delta_x ps2mouse.delta_y')
def _(c: Converted, value: int) -> int:
    c.hold(MOUSE, c.path.rpartition('.')[2], signed(value, 32))
    return value


@rule('atkbdc', 'ram')
def _(c: Converted, value: bytes) -> bytes:
    c.hold(I8042, 'command_byte', value[0])
    return value[:1] + bytes(31)


@rule('atkbdc', 'curcmd')
def _(c: Converted, value: int) -> int:
    known = value in WITH_A_BYTE
    c.hold(I8042, 'pending_command', value if known else 0)
    return value if known else 0


def keys(c: Converted) -> bytes:
    held, first = c.legacy_bytes('atkbdc', 'kbd.buffer'), c.legacy('atkbdc', 'kbd.brd')
    return bytes(held[(first + n) % 15] for n in range(c.legacy('atkbdc', 'kbd.bcnt')))


@rule('atkbdc', 'ctrlbyte')
def _(c: Converted, value: int) -> int | None:
    """A reply of the controller goes before what the keyboard has sent."""
    reply = bytes([value & 0xff]) if value & 0x8000 else b''
    expected = reply + keys(c)
    c.hold(I8042, 'output_buffer', expected)
    return None if reply else 0


def waiting_keys(c: Converted) -> bytes:
    """What an output buffer without a reply of the controller would mean; 16 bytes can only begin with one."""
    return c.octets(I8042, 'output_buffer')[-15:]


@rule('atkbdc', 'kbd.buffer')
def _(c: Converted, value: bytes) -> bytes:
    return waiting_keys(c).ljust(15, b'\0')


@rule('atkbdc', 'kbd.brd')
def _(c: Converted, value: int) -> int:
    return 0


@rule('atkbdc', 'kbd.bwr')
def _(c: Converted, value: int) -> int:
    return len(waiting_keys(c)) % 15


@rule('atkbdc', 'kbd.bcnt')
def _(c: Converted, value: int) -> int:
    return len(waiting_keys(c))


@rule('atkbdc', 'kbd.irq aux.irq')
def _(c: Converted, value: int) -> int:
    return 1 if c.path.startswith('kbd') else 12


@rule('atkbdc', 'ps2mouse.ctrlenable')
def _(c: Converted, value: int) -> int:
    return int(not c.number(I8042, 'command_byte') & 0x20)


# The keyboard's structure once more, as the compiler laid it out.
KBD_RAW = {'irq_active': (0, 1), 'irq': (4, 4), 'buffer': (8, 15), 'brd': (24, 4), 'bwr': (28, 4), 'bcnt': (32, 4)}


@rule('atkbdc', ' '.join('kbd_raw.' + name for name in KBD_RAW))
def _(c: Converted, value: object) -> object:
    return c.value('atkbdc', 'kbd.' + c.path.rpartition('.')[2])
