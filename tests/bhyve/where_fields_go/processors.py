# SPDX-License-Identifier: BSD-2-Clause
"""The processors and their local APICs."""

from converted import Converted

from .rules import find, rule, same

# vm. IA32_APIC_BASE: bit 8 is the boot processor, 10 x2APIC, 11 enabled.


@rule('vm', 'vcpu[#].x2apic_state')
def _(c: Converted, value: int, cpu: int) -> int:
    c.hold(f'cpu{cpu}/lapic', 'apic_base', 0xfee00800 | (0x400 if value == 1 else 0) | (0x100 if cpu == 0 else 0))
    return int(value == 1)


@rule('vm', 'vcpu[#].exitintinfo')
def _(c: Converted, value: int, cpu: int) -> int:
    """The event that the exit cut short, as both vendors' manuals encode it."""
    kind, vector, valid = value >> 8 & 7, value & 0xff, value >> 31 & 1
    interrupt = exception = None
    back = 0
    if valid and kind in (0, 4):
        interrupt = {'vector': vector, 'software': kind == 4}
        back = 1 << 31 | kind << 8 | vector
    elif valid and kind in (3, 5, 6) and vector < 32:
        has_code = value >> 11 & 1
        exception = {'vector': vector, 'injected': True, 'error_code': value >> 32 if has_code else None,
                     'payload': None}
        back = 1 << 31 | 3 << 8 | vector | (has_code << 11 | (value >> 32) << 32 if has_code else 0)
    elif valid and kind == 2:
        back = 1 << 31 | 2 << 8 | 2
    c.hold(f'cpu{cpu}', 'events.interrupt', interrupt)
    c.hold(f'cpu{cpu}', 'events.exception', exception)
    c.hold(f'cpu{cpu}', 'events.nmi_injected', bool(valid and kind == 2))
    return back


same('vm', 'cpu#', '''
    vcpu[#].guest_xcr0 xcr0
    vcpu[#].nextrip rip
    vcpu[#].tsc tsc
''')


def waits(c: Converted, cpu: int) -> bool:
    """The processor waits for SIPI: startup_cpus says so, in generation A boot_state."""
    startup = c.value('vm', 'startup_cpus')
    if isinstance(startup, bytes) and startup[cpu // 8] >> cpu % 8 & 1:
        return True
    boot_state = c.value('vlapic', f'vcpu[{cpu}].boot_state')
    return boot_state in (0, 1)


@rule('vm', 'startup_cpus')
def _(c: Converted, value: bytes) -> bytes:
    back = bytearray(len(value))
    for cpu in range(c.ncpus):
        if value[cpu // 8] >> cpu % 8 & 1:
            c.hold(f'cpu{cpu}', 'run_state', 'WaitForSipi')
        elif c.vendor == 'amd':
            c.hold(f'cpu{cpu}', 'run_state', 'Running')
        if c.hardware(f'cpu{cpu}', 'run_state') == 'WaitForSipi':
            back[cpu // 8] |= 1 << cpu % 8
    return bytes(back)


# vmcx, and vmx of generation A.

same('vmcx vmx', 'cpu#', '\n'.join(f'vcpu[#].{name} {name}' for name in (
    'cr0 cr2 cr3 dr0 dr1 dr2 dr3 dr6 dr7 rsp rflags rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 '
    'r15').split()))
same('vmcx', 'cpu#', '\n'.join(f'vcpu[#].{name}.{item} {name.lower()}.{place}' for name in (
    'ES CS SS DS FS GS TR LDTR').split() for item, place in (
        ('base', 'base'), ('limit', 'limit'), ('access', 'access_rights'))))
same('vmcx', 'cpu#', '''
    vcpu[#].IDTR.base idtr.base
    vcpu[#].GDTR.base gdtr.base
    vcpu[#].IA32_SYSENTER_CS sysenter.cs
    vcpu[#].IA32_SYSENTER_ESP sysenter.esp
    vcpu[#].IA32_SYSENTER_EIP sysenter.eip
    vcpu[#].sysenter_cs sysenter.cs
    vcpu[#].sysenter_esp sysenter.esp
    vcpu[#].sysenter_eip sysenter.eip
    vcpu[#].star syscall.star
    vcpu[#].lstar syscall.lstar
    vcpu[#].cstar syscall.cstar
    vcpu[#].sfmask syscall.sfmask
    vcpu[#].kernelgsbase syscall.kernel_gs_base
    vcpu[#].guest_pat memory_types.pat
    vcpu[#].dbgctl debug.debugctl
''')
same('vmcx vmx', 'cpu#', '''
    vcpu[#].msr.STAR syscall.star
    vcpu[#].msr.LSTAR syscall.lstar
    vcpu[#].msr.CSTAR syscall.cstar
    vcpu[#].msr.SF_MASK syscall.sfmask
    vcpu[#].msr.KGSBASE syscall.kernel_gs_base
    vcpu[#].msr.PAT memory_types.pat
    vcpu[#].msr.TSC_AUX time_stamp.tsc_aux
''')
same('vmcx', 'cpu#', '''
    vcpu[#].mtrr.def_type memory_types.mtrr_def_type
    vcpu[#].mtrr.fixed64k memory_types.mtrr_fix64k_00000
    vcpu[#].mtrr.fixed16k[0] memory_types.mtrr_fix16k_80000
    vcpu[#].mtrr.fixed16k[1] memory_types.mtrr_fix16k_a0000
''')
same('vmcx', 'cpu#', '\n'.join(
    f'vcpu[#].mtrr.fixed4k[{n}] memory_types.mtrr_fix4k_{0xc0000 + 0x8000 * n:x}' for n in range(8)))


@rule('vmcx', 'vcpu[#].mtrr.var[#].base vcpu[#].mtrr.var[#].mask')
def _(c: Converted, value: int, cpu: int, number: int) -> int:
    name = c.path.rpartition('.')[2]
    place = f'memory_types.variable_mtrrs[{number}]'
    c.hold(f'cpu{cpu}', place + '.number', number)
    c.hold(f'cpu{cpu}', f'{place}.{name}', value)
    return value


# CR4.VMXE and EFER.SVME are the hypervisor's own.

@rule('vmcx', 'vcpu[#].cr4')
def _(c: Converted, value: int, cpu: int) -> int:
    own = 0x2000 if c.vendor == 'intel' else 0
    c.hold(f'cpu{cpu}', 'cr4', value & ~own)
    return value | own


@rule('vmcx', 'vcpu[#].efer')
def _(c: Converted, value: int, cpu: int) -> int:
    own = 0x1000 if c.vendor == 'amd' else 0
    c.hold(f'cpu{cpu}', 'efer', value & ~own)
    return value | own


@rule('vmcx', 'vcpu[#].rip')
def _(c: Converted, value: int, cpu: int) -> int:
    """Where the CPU goes on is nextrip of vm."""
    return c.number(f'cpu{cpu}', 'rip')


@rule('vmcx', ' '.join(f'vcpu[#].{name}.selector' for name in 'ES CS SS DS FS GS TR LDTR'.split()))
def _(c: Converted, value: int, cpu: int) -> int:
    c.hold(f'cpu{cpu}', c.path.split('.')[1].lower() + '.selector', value & 0xffff)
    return value & 0xffff


@rule('vmcx', 'vcpu[#].IDTR.limit vcpu[#].GDTR.limit')
def _(c: Converted, value: int, cpu: int) -> int:
    c.hold(f'cpu{cpu}', c.path.split('.')[1].lower() + '.limit', value & 0xffff)
    return value & 0xffff


@rule('vmcx', 'vcpu[#].IDTR.access vcpu[#].GDTR.access')
def _(c: Converted, value: int, cpu: int) -> int | None:
    return 0 if c.vendor == 'amd' else None


@rule('vmcx', 'vcpu[#].pdpte#')
def _(c: Converted, value: int, cpu: int, number: int) -> int | None:
    """Registers of a processor with PAE paging: CR0.PG, CR4.PAE, not EFER.LMA."""
    def of(name: str) -> int:
        return c.legacy('vmcx', f'vcpu[{cpu}].{name}')

    if of('cr0') >> 31 & 1 and of('cr4') >> 5 & 1 and not of('efer') >> 10 & 1:
        c.hold(f'cpu{cpu}', f'pdpte[{number}]', value)
        return value
    c.hold(f'cpu{cpu}', 'pdpte', None)
    return None


@rule('vmcx', 'vcpu[#].interruptibility')
def _(c: Converted, value: int, cpu: int) -> int:
    for bit, place in ((0, 'blocked_by_sti'), (1, 'blocked_by_mov_ss'), (3, 'nmi_blocked')):
        c.hold(f'cpu{cpu}', 'events.' + place, bool(value >> bit & 1))
    return value & 0b1011


@rule('vmcx vmx', 'vcpu[#].intr_shadow')
def _(c: Converted, value: int, cpu: int) -> int:
    c.hold(f'cpu{cpu}', 'events.blocked_by_sti', bool(value & 1))
    return value & 1


@rule('vmcx', 'vcpu[#].activity')
def _(c: Converted, value: int, cpu: int) -> int:
    waiting = waits(c, cpu)
    state = 'WaitForSipi' if waiting else {1: 'Halted', 3: 'WaitForSipi'}.get(value, 'Running')
    c.hold(f'cpu{cpu}', 'run_state', state)
    c.hold(f'cpu{cpu}', 'events.triple_fault_pending', value == 2)
    return {'Halted': 1, 'WaitForSipi': 0, 'Running': 2 if value == 2 else 0}[state]


@rule('vmcx', 'vcpu[#].br_from vcpu[#].br_to vcpu[#].int_from vcpu[#].int_to')
def _(c: Converted, value: int, cpu: int) -> int:
    """The MSRs LastBranchFromIP, LastBranchToIP, LastIntFromIP and LastIntToIP."""
    number = ('br_from', 'br_to', 'int_from', 'int_to').index(c.path.rpartition('.')[2])
    c.hold(f'cpu{cpu}', f'other_msrs[{number}].index', 0x1db + number)
    c.hold(f'cpu{cpu}', f'other_msrs[{number}].value', value)
    return value


@rule('vmcx', 'vcpu[#].cpl')
def _(c: Converted, value: int, cpu: int) -> int:
    return c.number(f'cpu{cpu}', 'ss.access_rights') >> 5 & 3


# The save area of a VMCB, from offset A0h on; AMD manual, volume 2, table B-2.
SAVE_AREA = {'cpl': (0xcb, 1), 'efer': (0xd0, 8), 'cr4': (0x148, 8), 'cr3': (0x150, 8), 'cr0': (0x158, 8),
             'dr7': (0x160, 8), 'dr6': (0x168, 8), 'rflags': (0x170, 8), 'rip': (0x178, 8), 'rsp': (0x1d8, 8),
             'rax': (0x1f8, 8), 'star': (0x200, 8), 'lstar': (0x208, 8), 'cstar': (0x210, 8), 'sfmask': (0x218, 8),
             'kernelgsbase': (0x220, 8), 'sysenter_cs': (0x228, 8), 'sysenter_esp': (0x230, 8),
             'sysenter_eip': (0x238, 8), 'cr2': (0x240, 8), 'g_pat': (0x268, 8), 'dbgctl': (0x270, 8),
             'br_from': (0x278, 8), 'br_to': (0x280, 8), 'int_from': (0x288, 8), 'int_to': (0x290, 8)}
same('vmx', 'cpu#', '\n'.join(f'vcpu[#].save_area.{name} {name}' for name in
                              'cr0 cr2 cr3 cr4 dr6 dr7 rflags rsp rax'.split()))
same('vmx', 'cpu#', '''
    vcpu[#].save_area.star syscall.star
    vcpu[#].save_area.lstar syscall.lstar
    vcpu[#].save_area.cstar syscall.cstar
    vcpu[#].save_area.sfmask syscall.sfmask
    vcpu[#].save_area.kernelgsbase syscall.kernel_gs_base
    vcpu[#].save_area.sysenter_cs sysenter.cs
    vcpu[#].save_area.sysenter_esp sysenter.esp
    vcpu[#].save_area.sysenter_eip sysenter.eip
    vcpu[#].save_area.g_pat memory_types.pat
    vcpu[#].save_area.dbgctl debug.debugctl
''')
for _chunks, _paths in (('vmcx', 'efer'), ('vmcx', 'rip'), ('vmcx', 'cpl'),
                        ('vmcx', 'br_from'), ('vmcx', 'br_to'), ('vmcx', 'int_from'), ('vmcx', 'int_to')):
    _rule = find(_chunks, f'vcpu[0].{_paths}')
    assert _rule
    rule('vmx', f'vcpu[#].save_area.{_paths}')(_rule[0])

# vlapic. Offsets of the APIC page are those of the architecture.

LVT = {0x2f0: 'lvt_cmci', 0x320: 'lvt_timer', 0x330: 'lvt_thermal', 0x340: 'lvt_performance', 0x350: 'lvt_lint0',
       0x360: 'lvt_lint1', 0x370: 'lvt_error'}
DIVISORS = {0: 2, 1: 4, 2: 8, 3: 16, 8: 32, 9: 64, 10: 128, 11: 1}


def posted(c: Converted, cpu: int) -> int:
    """Vectors that wait in the posted-interrupt descriptor, 256 bits."""
    return sum((c.legacy('vmcx', f'vcpu[{cpu}].pir_desc.pir[{n}]') if c.value('vmcx', f'vcpu[{cpu}].pir_desc.pir[{n}]')
                is not None else 0) << 64 * n for n in range(4))


@rule('vlapic', 'vcpu[#].apic_page')
def _(c: Converted, value: bytes, cpu: int) -> bytes:
    device = f'cpu{cpu}/lapic'
    back = bytearray(4096)

    def at(offset: int) -> int:
        return int.from_bytes(value[offset:offset + 4], 'little')

    def put(offset: int, number: int) -> None:
        back[offset:offset + 4] = number.to_bytes(4, 'little')

    wide = c.legacy('vm', f'vcpu[{cpu}].x2apic_state') == 1
    c.hold(device, 'apic_id', at(0x20) if wide else at(0x20) >> 24)
    put(0x20, at(0x20) if wide else at(0x20) >> 24 << 24)
    for offset, name in {0x30: 'version', 0x80: 'tpr', 0xd0: 'ldr', 0xf0: 'svr', 0x280: 'esr', 0x3e0: 'timer_divide',
                         0x380: 'timer_initial_count', **LVT}.items():
        c.hold(device, name, at(offset))
        put(offset, at(offset))
    # x2APIC has no DFR; its logical IDs are always in clusters.
    c.hold(device, 'dfr', 0xffffffff if wide else at(0xe0))
    put(0xe0, 0 if wide else at(0xe0))
    waiting = posted(c, cpu)
    for name, start in (('isr', 0x100), ('tmr', 0x180), ('irr', 0x200)):
        for word in range(8):
            number = at(start + 16 * word) | (waiting >> 32 * word & 0xffffffff if name == 'irr' else 0)
            c.hold(device, f'{name}[{word}]', number)
            put(start + 16 * word, number)
    c.hold(device, 'icr', at(0x310) << 32 | at(0x300))
    put(0x300, at(0x300))
    put(0x310, at(0x310))
    served = [vector for vector in range(256) if at(0x100 + vector // 32 * 16) >> vector % 32 & 1]
    highest = served[-1] if served else 0
    put(0xa0, at(0x80) if at(0x80) >> 4 >= highest >> 4 else highest & 0xf0)
    return bytes(back)


@rule('vlapic', 'vcpu[#].timer_freq_bt.frac')
def _(c: Converted, value: int, cpu: int) -> int:
    """Time of one count, behind the divider; the bus of the timer has 2^27 Hz."""
    divisor = DIVISORS[int.from_bytes(c.page(cpu)[0x3e0:0x3e4], 'little') & 0xb]
    frequency = round(2**64 / value) * divisor if value else 1 << 27
    c.hold(f'cpu{cpu}/lapic', 'timer_frequency', frequency)
    return (1 << 63) // (frequency // divisor) * 2


@rule('vlapic', 'vcpu[#].timer_freq_bt.sec')
def _(c: Converted, value: int, cpu: int) -> int:
    return 0


def served_by(c: Converted, cpu: int) -> list[int]:
    return [32 * word + bit for word in range(8) for bit in range(32)
            if c.number(f'cpu{cpu}/lapic', f'isr[{word}]') >> bit & 1]


@rule('vlapic', 'vcpu[#].isrvec_stk')
def _(c: Converted, value: bytes, cpu: int) -> bytes:
    return bytes([0, *served_by(c, cpu)]).ljust(len(value), b'\0')


@rule('vlapic', 'vcpu[#].isrvec_stk_top')
def _(c: Converted, value: int, cpu: int) -> int:
    return len(served_by(c, cpu))


@rule('vlapic', 'vcpu[#].boot_state')
def _(c: Converted, value: int, cpu: int) -> int:
    if value in (0, 1):
        c.hold(f'cpu{cpu}', 'run_state', 'WaitForSipi')
    elif c.vendor == 'amd':
        c.hold(f'cpu{cpu}', 'run_state', 'Running')
    return 1 if c.hardware(f'cpu{cpu}', 'run_state') == 'WaitForSipi' else 2


@rule('vlapic', 'vcpu[#].lvt_last[#]')
def _(c: Converted, value: int, cpu: int, number: int) -> int:
    order = ('lint0', 'lint1', 'timer', 'error', 'performance', 'thermal', 'cmci')
    return c.number(f'cpu{cpu}/lapic', 'lvt_' + order[number])


same('vlapic', 'cpu#/lapic', '''
    vcpu[#].esr_pending esr_pending
    vcpu[#].ccr timer_current_count
''')
