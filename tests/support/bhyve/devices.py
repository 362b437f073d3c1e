# SPDX-License-Identifier: BSD-2-Clause
"""hostbridge, dummy, lpc with its UARTs, fbuf, e1000 and atkbdc."""

import struct

from .chunk import NULL, Chunk
from .machine import Machine
from .pci import Device, prefix

FRAMEBUFFER = 16 << 20


def bare(machine: Machine, device: Device, name: str) -> Chunk:
    """hostbridge and dummy have nothing of their own."""
    return prefix(machine, device, name)


def lpc(machine: Machine, device: Device, name: str) -> Chunk:
    chunk = prefix(machine, device, name)
    for index in range(machine.shape.uarts):
        with chunk.within(f'uart[{index}]'):
            for path, mask in (('data', 0xff), ('ier', 0x0f), ('lcr', 0x7f), ('mcr', 0x1f), ('lsr', 0x61),
                               ('msr', 0xff), ('fcr', 0xc1), ('scr', 0xff), ('dll', 0xff), ('dlh', 0xff)):
                chunk.add(path, 'u8', machine.values.number(chunk.key_of(path), 8) & mask)
            with chunk.within('rxfifo'):
                held = machine.values.below(chunk.key_of('num'), 17)
                first = machine.values.below(chunk.key_of('rindex'), 16)
                chunk.add('rindex', 'i32', first)
                chunk.add('windex', 'i32', (first + held) % 16)
                chunk.add('num', 'i32', held)
                chunk.add('size', 'i32', 16)
                chunk.hashed('buf', 16)
    return chunk


def fbuf(machine: Machine, device: Device, name: str) -> Chunk:
    chunk = prefix(machine, device, name)
    chunk.hashed('framebuffer', FRAMEBUFFER)
    return chunk


def e1000(machine: Machine, device: Device, name: str) -> Chunk:
    """Its rings lie in RAM, or with `rings=none` nowhere yet."""
    chunk = prefix(machine, device, name)
    values = machine.values
    ready = device.asks('rings', ('all', 'none')) == 'all'
    mac = bytes.fromhex('589cfc') + values.data(chunk.key_of('mac'), 3)
    chunk.raw('mac', mac)
    chunk.many('CTRL FCAL FCAH FCT VET FCTTV LEDCTL PBA', 'u32')
    chunk.flag('irq_asserted')
    chunk.many('ICR ITR ICS IMS IMC', 'u32')
    chunk.many('txctx.ip_config txctx.tcp_config txctx.cmd_and_length txctx.tcp_seg', 'u32')
    chunk.add('tx_enabled', 'i32', int(ready))
    chunk.add('tx_active', 'i32', 0)
    chunk.many('TXCW TCTL TIPG', 'u32')
    chunk.add('AIT', 'u16')
    _ring(machine, chunk, 'T', ready, ('TDH', 'TDHr', 'TDT'))
    chunk.many('TIDV TXDCTL TADV', 'u32')
    chunk.add('txdesc', 'gaddr_or_null', _base(chunk, 'tdba', ready))
    for index in range(16):
        with chunk.within(f'uni[{index}]'):
            chunk.flag('eu_valid')
            chunk.below('eu_addrsel', 'i32', 4)
            chunk.hashed('eu_eth', 6)
    chunk.array('fmcast', 'u32', 128)
    chunk.array('fvlan', 'u32', 128)
    chunk.add('rx_enabled', 'i32', int(ready))
    chunk.add('rx_active', 'i32', 0)
    chunk.flag('rx_loopback')
    chunk.many('RCTL FCRTL FCRTH', 'u32')
    _ring(machine, chunk, 'R', ready, ('RDH', 'RDT'))
    chunk.many('RDTR RXDCTL RADV RSRPD RXCSUM', 'u32')
    chunk.add('rxdesc', 'gaddr_or_null', _base(chunk, 'rdba', ready))
    chunk.many('io_addr mdi_control eeprom_control', 'u32')
    chunk.many('nvm_data nvm_opaddr', 'u16')
    chunk.add('missed_pkt_count', 'u32')
    chunk.array('pkt_rx_by_size', 'u32', 6)
    chunk.array('pkt_tx_by_size', 'u32', 6)
    chunk.many('good_pkt_rx bcast_pkt_rx mcast_pkt_rx good_pkt_tx bcast_pkt_tx mcast_pkt_tx oversize_rx tso_tx', 'u32')
    chunk.many('good_octets_rx good_octets_tx missed_octets', 'u64')
    bits = chunk.below('nvm_bits', 'u64', 32)
    chunk.add('nvm_bits_again', 'u64', bits)
    words = list(struct.unpack('<3H', mac)) + [
        values.number(chunk.key_of(f'eeprom_data[{index}]'), 16) for index in range(3, 63)]
    for index, word in enumerate([*words, (0xbaba - sum(words)) % 65536]):
        chunk.add(f'eeprom_data[{index}]', 'u16', word)
    return chunk


def _ring(machine: Machine, chunk: Chunk, letter: str, ready: bool, positions: tuple[str, ...]) -> None:
    """Base, length and positions of the e1000's ring of descriptors, `letter` being T or R."""
    entries = machine.values.choice(chunk.key_of(letter + 'DLEN'), (256, 8, 64)) if ready else 0
    base = machine.ram.take(entries * 16, high=letter == 'R') if ready else 0
    chunk.add(letter.lower() + 'dba', 'u64', base)
    chunk.add(letter + 'DBAL', 'u32', base & 0xffffffff)
    chunk.add(letter + 'DBAH', 'u32', base >> 32)
    chunk.add(letter + 'DLEN', 'u32', entries * 16)
    for path in positions:
        chunk.add(path, 'u16', machine.values.below(chunk.key_of(path), entries) if entries else 0)


def _base(chunk: Chunk, path: str, ready: bool) -> int:
    base = chunk.field(path).value
    return int(base) if ready and not isinstance(base, bytes) else NULL


def atkbdc(machine: Machine, device: Device, name: str) -> Chunk:
    chunk = Chunk(name, machine.values, device.key)
    values = machine.values
    chunk.many('status outport', 'u8')
    chunk.hashed('ram', 32)
    chunk.below('curcmd', 'u32', 256)
    chunk.add('ctrlbyte', 'u32', values.choice(chunk.key_of('ctrlbyte'), (0, 0x8045, 0x8061)))
    active = values.flag(chunk.key_of('kbd.irq_active'))
    buffer = values.data(chunk.key_of('kbd.buffer'), 15)
    first, count = values.below(chunk.key_of('kbd.brd'), 15), values.below(chunk.key_of('kbd.bcnt'), 15)
    last = (first + count) % 15
    chunk.raw('kbd_raw', struct.pack('<?3xi15sxiii', active, 1, buffer, first, last, count))
    with chunk.within('kbd'):
        chunk.add('irq_active', 'bool', active)
        chunk.add('irq', 'i32', 1)
        chunk.raw('buffer', buffer)
        chunk.add('brd', 'i32', first)
        chunk.add('bwr', 'i32', last)
        chunk.add('bcnt', 'i32', count)
    chunk.add('aux.irq_active', 'bool')
    chunk.add('aux.irq', 'i32', 12)
    chunk.add('ps2kbd.enabled', 'bool')
    chunk.add('ps2kbd.curcmd', 'u8', values.choice(chunk.key_of('ps2kbd.curcmd'), (0, 0xed, 0xf3)))
    with chunk.within('ps2mouse'):
        chunk.add('status', 'u8', values.number(chunk.key_of('status'), 8) & 0x77)
        chunk.below('resolution', 'u8', 4)
        chunk.add('sampling_rate', 'u8', values.choice(chunk.key_of('sampling_rate'), (10, 40, 60, 100, 200)))
        chunk.flag('ctrlenable')
        chunk.add('curcmd', 'u8', values.choice(chunk.key_of('curcmd'), (0, 0xe8, 0xf3)))
        chunk.many('cur_x cur_y delta_x delta_y', 'i32')
    return chunk
