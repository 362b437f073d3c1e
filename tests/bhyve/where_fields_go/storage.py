# SPDX-License-Identifier: BSD-2-Clause
"""The AHCI controller."""

from converted import Converted

from .rules import flags, rule, same
from .pci_functions import word

# ahci. Registers by the names of the AHCI specification.

same('ahci', '', '\n'.join(f'{name} {name}' for name in 'cap ghc is pi vs ccc_ctl em_loc em_ctl cap2 bohc'.split()))
same('ahci', '', 'ccc_pts ccc_ports')
flags('ahci', '', 'lintr pci.intx_asserted')
FIRST_REQUESTS = 135


@rule('ahci', 'ports')
def _(c: Converted, value: int) -> int:
    if not any(c.legacy(c.name, f'port[{n}].bctx') for n in range(32)):
        c.hold(c.place, 'ports', [])
    return (c.number(c.place, 'cap') & 0x1f) + 1


def drive(c: Converted, number: int) -> str:
    """Only ports with a drive are there."""
    return f'ports[{sum(c.legacy(c.name, f"port[{n}].bctx") != 0 for n in range(number))}].'


@rule('ahci', 'port[#].bctx')
def _(c: Converted, value: int, number: int) -> int:
    if value:
        c.hold(c.place, drive(c, number) + 'number', number)
    return int(value != 0)


@rule('ahci', 'port[#].port')
def _(c: Converted, value: int, number: int) -> int:
    return number if c.legacy(c.name, f'port[{number}].bctx') else 0


for _path, _place in [*((name, name) for name in (
        'clb clbu fb fbu ie cmd tfd sig ssts sctl serr sact ci sntf fbs').split()),
        ('ata_ident', 'drive.identify'), ('mult_sectors', 'drive.multiple_sectors'),
        ('xfermode', 'drive.transfer_mode'), ('err_cfis', 'drive.ncq_error_log'), ('sense_key', 'drive.sense_key'),
        ('asc', 'drive.asc')]:
    @rule('ahci', f'port[#].{_path}')
    def _(c: Converted, value: object, number: int, place: str = _place) -> object:
        c.hold(c.place, drive(c, number) + place, value)
        return value

for _path, _place in (('atapi', 'drive.packet_device'), ('reset', 'drive.software_reset'),
                      ('waitforclear', 'error_wait_for_clear')):
    @rule('ahci', f'port[#].{_path}')
    def _(c: Converted, value: int, number: int, place: str = _place) -> int:
        c.hold(c.place, drive(c, number) + place, value != 0)
        return int(value != 0)


@rule('ahci', 'port[#].cmd_lst port[#].rfis')
def _(c: Converted, value: int, number: int) -> int:
    name = 'clb' if c.path.endswith('cmd_lst') else 'fb'
    return c.number(c.place, drive(c, number) + name + 'u') << 32 | c.number(c.place, drive(c, number) + name)


@rule('ahci', 'port[#].ccs')
def _(c: Converted, value: int, number: int) -> int:
    return c.number(c.place, drive(c, number) + 'cmd') >> 8 & 0x1f


@rule('ahci', 'port[#].pending port[#].unused0')
def _(c: Converted, value: int, number: int) -> int:
    return 0


@rule('ahci', 'port[#].ioqsz')
def _(c: Converted, value: int, number: int) -> int:
    return FIRST_REQUESTS


# The requests of generation A begin anew: none is under way, all are free, in order.

@rule('ahci', ' '.join(f'port[#].ioreq[#].{name}' for name in 'cfis len done slot more readop'.split()))
def _(c: Converted, value: int, number: int, request: int) -> int:
    return 0


@rule('ahci', 'port[#].free[#]')
def _(c: Converted, value: int, number: int, place: int) -> int:
    return place if place < FIRST_REQUESTS else 0xffffffff


@rule('ahci', 'port[#].busy[#].index')
def _(c: Converted, value: int, number: int, place: int) -> int:
    return 0xffffffff


def identified(config: bytes) -> tuple[int, int, int]:
    """ATA: the size, the logical and the physical sector that an IDENTIFY block tells. Sectors of more than 1 MiB, or
    of less than 512 bytes, no disk has."""
    words = [word(config, 2 * n, 2) for n in range(256)]
    valid = words[106] >> 14 == 1
    sector = 2 * (words[117] | words[118] << 16) if valid and words[106] & 0x1000 else 512
    sector = sector if 512 <= sector <= 1 << 20 else 512
    physical = sector << (words[106] & 15) if valid and words[106] & 0x2000 else sector
    physical = physical if physical <= 1 << 20 else sector
    wide = words[83] >> 14 == 1 and words[83] & 0x400
    sectors = sum(words[100 + n] << 16 * n for n in range(4)) if wide else words[60] | words[61] << 16
    return sectors * sector, sector, physical


@rule('ahci', ' '.join(f'port[#].blockif.{name}' for name in (
    'magic ischr isgeom candelete rdonly psectoff closing').split()))
def _(c: Converted, value: int, number: int) -> int:
    packet = c.hardware(c.place, drive(c, number) + 'drive.packet_device')
    return {'magic': 0xb109b109, 'rdonly': int(bool(packet))}.get(c.path.rpartition('.')[2], 0)


@rule('ahci', ' '.join(f'port[#].blockif.{name}' for name in 'size sectsz psectsz'.split()))
def _(c: Converted, value: int, number: int) -> int | None:
    """Of a disk the IDENTIFY block tells them; the generator's blocks are noise there, so it seldom does."""
    if c.hardware(c.place, drive(c, number) + 'drive.packet_device'):
        return None
    size, sector, physical = identified(c.octets(c.place, drive(c, number) + 'drive.identify'))
    return {'size': size, 'sectsz': sector, 'psectsz': physical}[c.path.rpartition('.')[2]]
