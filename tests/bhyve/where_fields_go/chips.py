# SPDX-License-Identifier: BSD-2-Clause
"""The chips of the platform: HPET, I/O APIC, 8259, 8254, ACPI timer and clock."""

from converted import Converted

from .rules import flags, rule, same, signed

# vhpet. HPET specification: General Capabilities has the period in femtoseconds in its upper half; 32-bit counter.

HPET = 'system0/hpet@fed00000'


@rule('vhpet', 'freq_sbt')
def _(c: Converted, value: int) -> int:
    period = 10**15 * value >> 32
    c.hold(HPET, 'capabilities', period << 32 | 0x80860701)
    return round(period * 2**32 / 10**15)


same('vhpet', HPET, '''
    config configuration
    isr interrupt_status
    countbase main_counter
    timer[#].cap_config timers[#].configuration
    timer[#].msireg timers[#].fsb_route
    timer[#].compval timers[#].comparator
    timer[#].comprate timers[#].period
''')


# vioapic. Remote IRR of the hardware is that a level-triggered pin (bit 15) is asserted.

IOAPIC = 'system0/ioapic@fec00000'
same('vioapic', IOAPIC, '''
    ioregsel ioregsel
    pin[#].reg redirection_table[#]
''')


@rule('vioapic', 'pin[#].acnt')
def _(c: Converted, value: int, pin: int) -> int:
    level = c.legacy('vioapic', f'pin[{pin}].reg') >> 15 & 1
    asserted = bool(level and signed(value, 32) > 0)
    c.hold_bit(IOAPIC, 'irr', pin, asserted)
    return int(asserted)


# vatpic: two 8259A.

PIC = 'isa0/i8259@20'
CHIPS = ('primary', 'secondary')
for _index, _chip in enumerate(CHIPS):
    same('vatpic', PIC, f'''
        pic[{_index}].request {_chip}.irr
        pic[{_index}].service {_chip}.isr
        pic[{_index}].mask {_chip}.imr
        pic[{_index}].irq_base {_chip}.vector_base
    ''')
    flags('vatpic', PIC, f'''
        pic[{_index}].aeoi {_chip}.auto_eoi
        pic[{_index}].poll {_chip}.poll
        pic[{_index}].rotate {_chip}.rotate_on_auto_eoi
        pic[{_index}].sfn {_chip}.special_fully_nested
        pic[{_index}].smm {_chip}.special_mask
    ''')


@rule('vatpic', 'pic[#].ready')
def _(c: Converted, value: int, chip: int) -> int:
    step = 0 if value else c.legacy('vatpic', f'pic[{chip}].icw_num')
    c.hold(PIC, CHIPS[chip] + '.initialisation_step', step)
    return int(step == 0)


@rule('vatpic', 'pic[#].icw_num')
def _(c: Converted, value: int, chip: int) -> int:
    return c.number(PIC, CHIPS[chip] + '.initialisation_step')


@rule('vatpic', 'pic[#].rd_cmd_reg')
def _(c: Converted, value: int, chip: int) -> int:
    c.hold(PIC, CHIPS[chip] + '.read_isr', value != 0)
    return int(value != 0)


@rule('vatpic', 'pic[#].acnt[#]')
def _(c: Converted, value: int, chip: int, pin: int) -> int:
    asserted = signed(value, 32) > 0
    c.hold_bit(PIC, CHIPS[chip] + '.input_level', pin, asserted)
    return int(asserted)


@rule('vatpic', 'pic[#].lowprio')
def _(c: Converted, value: int, chip: int) -> int:
    c.hold(PIC, CHIPS[chip] + '.highest_priority_pin', (value + 1) % 8)
    return value % 8


@rule('vatpic', 'elc')
def _(c: Converted, value: bytes) -> bytes:
    for chip, name in enumerate(CHIPS):
        c.hold(PIC, name + '.elcr', value[chip])
    return value


# vatpit: an 8254.

PIT = 'isa0/i8254@40'


def counter(number: int) -> str:
    return f'counters[{number}].'


@rule('vatpit', 'freq_bt.sec')
def _(c: Converted, value: int) -> int:
    return 0


@rule('vatpit', 'freq_bt.frac')
def _(c: Converted, value: int) -> int:
    return (1 << 63) // 1193182 * 2


@rule('vatpit', 'ch#.mode')
def _(c: Converted, value: int, number: int) -> int:
    """The control word's mode and BCD bits as they stand; modes 6 and 7 are 2 and 3."""
    mode = value >> 1 & 7
    mode = mode - 4 if mode > 5 else mode
    c.hold(PIT, counter(number) + 'mode', mode)
    c.hold(PIT, counter(number) + 'bcd', bool(value & 1))
    return mode << 1 | value & 1


@rule('vatpit', 'ch#.initial')
def _(c: Converted, value: int, number: int) -> int:
    """The counter counts 65536 when the guest writes 0, which bhyve stores as FFFFh; cr still has the 0."""
    low, high = c.legacy_bytes('vatpit', f'ch{number}.cr')
    half = c.legacy('vatpit', f'ch{number}.crbyte') != 0
    full = value == 0 or value == 0xffff and high == 0 and (half or low == 0)
    c.hold(PIT, counter(number) + 'count', 65536 if full else value)
    # Whoever has written to the counter has done it in two bytes: bhyve refuses every other control word.
    c.hold(PIT, counter(number) + 'access',
           'LowThenHigh' if value or half or c.legacy('vatpit', f'ch{number}.mode') else 'None')
    return 0xffff if full else value


@rule('vatpit', 'ch#.cr')
def _(c: Converted, value: bytes, number: int) -> bytes:
    half = c.legacy('vatpit', f'ch{number}.crbyte') != 0
    c.hold(PIT, counter(number) + 'write_low_byte', value[0] if half else 0)
    count = c.number(PIT, counter(number) + 'count')
    return bytes([value[0] if half else count & 0xff, count >> 8 & 0xff])


@rule('vatpit', 'ch#.crbyte')
def _(c: Converted, value: int, number: int) -> int:
    c.hold(PIT, counter(number) + 'write_high_next', value != 0)
    return int(value != 0)


@rule('vatpit', 'ch#.ol')
def _(c: Converted, value: bytes, number: int) -> bytes:
    c.hold(PIT, counter(number) + 'latched_count', value[0] << 8 | value[1])
    c.hold(PIT, counter(number) + 'count_latched', False)
    return value


flags('vatpit', PIT, '''
    ch#.slatched counters[#].status_latched
    ch#.frbyte counters[#].read_high_next
''')
same('vatpit', PIT, 'ch#.status counters[#].latched_status')

# vpmtmr, vrtc.

same('vpmtmr', 'isa0/acpi_pm@400', 'baseval pm_timer')
RTC = 'isa0/rtc@70'
same('vrtc', RTC, '''
    addr index
    sec time_registers.seconds
    min time_registers.minutes
    hour time_registers.hours
    day_of_week time_registers.day_of_week
    day_of_month time_registers.day_of_month
    month time_registers.month
    year time_registers.year
    alarm_sec alarm_registers.seconds
    alarm_min alarm_registers.minutes
    alarm_hour alarm_registers.hours
    reg_b register_b
''')


@rule('vrtc', 'base_rtctime')
def _(c: Converted, value: int) -> int:
    c.hold(RTC, 'time', signed(value, 64))
    return value


@rule('vrtc', 'reg_a')
def _(c: Converted, value: int) -> int:
    c.hold(RTC, 'register_a', value & 0x7f)
    return value & 0x7f


@rule('vrtc', 'reg_c')
def _(c: Converted, value: int) -> int:
    """IRQF is set while one of PF, AF and UF is, and register B enables it."""
    c.hold(RTC, 'register_c', value & 0x70)
    return value & 0x70 | (0x80 if value & c.legacy('vrtc', 'reg_b') & 0x70 else 0)


@rule('vrtc', 'reg_d')
def _(c: Converted, value: int) -> int:
    c.hold(RTC, 'register_d', value & 0x80)
    return value & 0x80


for _path, _start, _size in (('nvram', 0, 36), ('nvram2', 37, 77)):
    @rule('vrtc', _path)
    def _(c: Converted, value: bytes, start: int = _start, size: int = _size) -> bytes:
        c.hold_bytes(RTC, 'nvram', start, value)
        assert len(value) == size
        return value


@rule('vrtc', 'century')
def _(c: Converted, value: int) -> int:
    c.hold_bytes(RTC, 'nvram', 36, bytes([value]))
    return value
