# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's chunks that exist once: vhpet, vioapic, vatpit, vatpic, vpmtmr, vrtc."""

import datetime

from .chunk import Chunk
from .machine import Machine
from .values import to_bcd

IDLE_PIN = 0x0001_0000_0001_0000


def vhpet(machine: Machine) -> Chunk:
    chunk, values = Chunk('vhpet', machine.values), machine.values
    chunk.add('freq_sbt', 'i64', 256)  # 2^24 Hz in 32.32 seconds
    chunk.below('config', 'u64', 4)
    chunk.below('isr', 'u64', 256)
    chunk.add('countbase', 'u32')
    for index in range(8):
        with chunk.within(f'timer[{index}]'):
            key = chunk.key_of('cap_config')
            # Routes to pins 24 to 31; periodic and message interrupts are possible, on or off is the guest's choice.
            config = values.choice(key, (0, 0x4, 0xc, 0x4004, 0x400c)) | values.choice(key + '.pin', range(24, 32)) << 9
            chunk.add('cap_config', 'u64', 0xff << 56 | 0x8010 | config)
            chunk.add('msireg', 'u64', 0xfee00000 << 32 | values.choice(chunk.key_of('msireg'), range(0x30, 0xf0)))
            chunk.add('compval', 'u32')
            chunk.add('comprate', 'u32')
            chunk.add('callout_sbt', 'i64', values.number(chunk.key_of('callout_sbt'), 52), meaningless=True)
    return chunk


def vioapic(machine: Machine) -> Chunk:
    chunk, values = Chunk('vioapic', machine.values), machine.values
    chunk.below('ioregsel', 'u32', 0x50)
    for index in range(32):
        with chunk.within(f'pin[{index}]'):
            key = chunk.key_of('reg')
            used = values.choice(key + '.used', (False, True, True))
            entry = (0x30 + index * 5 | values.choice(key, (0, 0x2000, 0xa000, 0x10000, 0xb000))
                     | values.below(key + '.destination', min(machine.ncpus, 255)) << 56)
            chunk.add('reg', 'u64', entry if used else IDLE_PIN)
            chunk.flag('acnt')
    return chunk


def vatpit(machine: Machine) -> Chunk:
    chunk, values = Chunk('vatpit', machine.values), machine.values
    chunk.add('freq_bt.sec', 'i64', 0)
    chunk.add('freq_bt.frac', 'u64', (1 << 64) // 1193182)
    for index in range(3):
        with chunk.within(f'ch{index}'):
            chunk.below('mode', 'i32', 6)
            chunk.add('initial', 'u16')
            chunk.add('now_bt.sec', 'i64', values.number(chunk.key_of('now_bt.sec'), 31))
            chunk.add('now_bt.frac', 'u64')
            chunk.hashed('cr', 2)
            chunk.hashed('ol', 2)
            chunk.add('slatched', 'bool')
            chunk.add('status', 'u8', values.choice(chunk.key_of('status'), (0, 0x40, 0x80, 0xc0)))
            chunk.below('crbyte', 'i32', 3)
            chunk.below('frbyte', 'i32', 2)
            chunk.add('callout_bt.sec', 'i64', values.number(chunk.key_of('callout_bt.sec'), 31))
            chunk.add('callout_bt.frac', 'u64')
    return chunk


def vatpic(machine: Machine) -> Chunk:
    chunk, values = Chunk('vatpic', machine.values), machine.values
    for index in range(2):
        with chunk.within(f'pic[{index}]'):
            chunk.add('ready', 'bool', 1)
            chunk.add('icw_num', 'i32', 0)
            chunk.below('rd_cmd_reg', 'i32', 2)
            for path in ('aeoi', 'poll', 'rotate', 'sfn'):
                chunk.add(path, 'bool')
            chunk.add('irq_base', 'i32', values.choice(chunk.key_of('irq_base'), range(0x20, 0xf8, 8)))
            chunk.many('request service mask', 'u8')
            chunk.below('smm', 'u8', 2)
            for pin in range(8):
                chunk.flag(f'acnt[{pin}]')
            chunk.below('lowprio', 'i32', 8)
            chunk.add('intr_raised', 'bool')
    # Pins 0 to 2, 8 and 13 are always edge triggered.
    elc = values.data(chunk.key_of('elc'), 2)
    chunk.raw('elc', bytes([elc[0] & 0xf8, elc[1] & 0xde]))
    return chunk


def vpmtmr(machine: Machine) -> Chunk:
    chunk = Chunk('vpmtmr', machine.values)
    chunk.add('baseval', 'u32')
    return chunk


def vrtc(machine: Machine) -> Chunk:
    chunk, values = Chunk('vrtc', machine.values), machine.values
    chunk.below('addr', 'u32', 128)
    base = 1_600_000_000 + values.number(chunk.key_of('base_rtctime'), 27)
    time = datetime.datetime.fromtimestamp(base, datetime.timezone.utc)
    chunk.add('base_rtctime', 'i64', base)
    for path, now, limit in (('sec', time.second, 60), ('min', time.minute, 60), ('hour', time.hour, 24)):
        chunk.add(path, 'u8', to_bcd(now))
        chunk.add('alarm_' + path, 'u8', values.bcd(chunk.key_of('alarm_' + path), limit))
    chunk.add('day_of_week', 'u8', time.isoweekday() % 7 + 1)
    chunk.add('day_of_month', 'u8', to_bcd(time.day))
    chunk.add('month', 'u8', to_bcd(time.month))
    chunk.add('year', 'u8', to_bcd(time.year % 100))
    chunk.add('reg_a', 'u8', 0x20 | values.choice(chunk.key_of('reg_a'), range(3, 16)))
    # 24 hours, BCD; the interrupts are the guest's choice.
    chunk.add('reg_b', 'u8', 2 | values.choice(chunk.key_of('reg_b'), (0, 0x10, 0x20, 0x40)))
    chunk.add('reg_c', 'u8', values.choice(chunk.key_of('reg_c'), (0, 0x10, 0x20, 0x40)))
    chunk.add('reg_d', 'u8', 0x80)
    chunk.hashed('nvram', 36)
    chunk.add('century', 'u8', to_bcd(time.year // 100))
    chunk.hashed('nvram2', 77)
    return chunk
