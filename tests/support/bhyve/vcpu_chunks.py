# SPDX-License-Identifier: BSD-2-Clause
"""The chunks vm, vmx, vmcx and vlapic: what exists once per vCPU."""

from .chunk import Chunk
from .machine import GENERAL, SEGMENTS, Machine, Vcpu

INTEL_MSRS = {'LSTAR': 'lstar', 'CSTAR': 'cstar', 'STAR': 'star', 'SF_MASK': 'sfmask', 'KGSBASE': 'kernelgsbase',
              'PAT': 'pat', 'TSC_AUX': 'tsc_aux'}
INTEL_GENERAL = [*GENERAL, 'cr2', 'dr0', 'dr1', 'dr2', 'dr3', 'dr6']
AMD_GENERAL = 'rbp rbx rcx rdx rdi rsi r8 r9 r10 r11 r12 r13 r14 r15 dr0 dr1 dr2 dr3'.split()
# Where the save area of a VMCB has what, from the AMD manual; the chunk holds its bytes from 0xa0 to 0xbff.
SAVE_AREA = {'efer': 0xd0, 'cr4': 0x148, 'cr3': 0x150, 'cr0': 0x158, 'dr7': 0x160, 'dr6': 0x168, 'rflags': 0x170,
             'rip': 0x178, 'rsp': 0x1d8, 'rax': 0x1f8, 'star': 0x200, 'lstar': 0x208, 'cstar': 0x210, 'sfmask': 0x218,
             'kernelgsbase': 0x220, 'sysenter_cs': 0x228, 'sysenter_esp': 0x230, 'sysenter_eip': 0x238, 'cr2': 0x240,
             'pat': 0x268}
SAVE_AREA_START, SAVE_AREA_END = 0xa0, 0xc00
BRANCHES = ('dbgctl', 'br_from', 'br_to', 'int_from', 'int_to')
INTERCEPTS = {'cr_intercept': 32, 'dr_intercept': 32, 'exc_intercept': 32, 'inst1_intercept': 32,
              'inst2_intercept': 32}
AVIC = ('avic_bar', 'avic_page', 'avic_lt', 'avic_pt')


def vm(machine: Machine) -> Chunk:
    chunk = Chunk('vm', machine.values)
    for cpu in machine.vcpus():
        with chunk.within(cpu.name, cpu.unused):
            chunk.add('x2apic_state', 'i32', x2apic(cpu))
            chunk.add('exitintinfo', 'u64', event(cpu))
            chunk.add('exc_vector', 'i32', cpu.below('exc_vector', 32))
            chunk.add('exc_errcode_valid', 'i32', cpu.below('exc_errcode_valid', 2))
            chunk.add('exc_errcode', 'u32', cpu.number('exc_errcode', 16))
            chunk.add('guest_xcr0', 'u64', 1 if cpu.reset else 7)
            with chunk.within('exitinfo'):
                chunk.add('exitcode', 'i32', cpu.below('exitcode', 24))
                chunk.add('inst_length', 'i32', cpu.below('inst_length', 16))
                chunk.add('rip', 'u64', cpu.register('rip'))
                chunk.raw('union', bytes(120) if cpu.reset else machine.values.data(cpu.key('exitinfo'), 120))
            chunk.add('nextrip', 'u64', cpu.register('nextrip'))
            chunk.add('tsc', 'u64', 0 if cpu.unused else cpu.number('tsc', 56))
    if machine.shape.cpuset:
        waiting = sum(1 << index for index in range(machine.ncpus) if machine.waiting(index))
        chunk.raw('startup_cpus', waiting.to_bytes(machine.shape.cpuset, 'little'))
    return chunk


def vmx(machine: Machine) -> Chunk | None:
    if machine.shape.vmx == 'none':
        return None
    chunk = Chunk('vmx', machine.values)
    if machine.shape.vmx == 'filled':
        chunk.raw('filler', bytes(8), meaningless=True)
    elif machine.shape.vmx == 'data':
        if machine.vendor == 'amd':
            chunk.add('nptp', 'u64', machine.values.page('host/nptp', 1 << 40), meaningless=True)
        for cpu in machine.vcpus():
            with chunk.within(cpu.name, cpu.unused):
                (_intel_registers if cpu.intel else _amd_vmx)(chunk, cpu)
    return chunk


def vmcx(machine: Machine) -> Chunk:
    chunk = Chunk('vmcx', machine.values)
    for cpu in machine.vcpus():
        with chunk.within(cpu.name, cpu.unused):
            if cpu.intel:
                _intel(chunk, machine, cpu)
            elif machine.shape.own_registers:
                _amd(chunk, machine, cpu)
            else:
                _amd_a(chunk, machine, cpu)
    return chunk


def vlapic(machine: Machine) -> Chunk:
    chunk = Chunk('vlapic', machine.values)
    for cpu in machine.vcpus():
        divisor, code = machine.values.choice(cpu.key('lapic.divisor'), ((2, 0), (1, 0xb), (4, 1), (16, 3), (128, 0xa)))
        if cpu.reset:
            divisor, code = 2, 0
        page = bytearray(4096)

        def put(offset: int, value: int) -> None:
            page[offset:offset + 4] = value.to_bytes(4, 'little')  # noqa: B023

        served = 0 if cpu.reset else cpu.pick('lapic.served', (0, 0x30, 0x41, 0xef))
        lvt = _local_vectors(cpu)
        initial = 0 if cpu.reset else cpu.number('lapic.icr_timer', 31)
        wide = x2apic(cpu) == 1
        put(0x20, cpu.index if wide else cpu.index % 256 << 24)
        put(0x30, 0x00060014)
        priority = 0 if cpu.reset else cpu.below('lapic.tpr', 3) << 4
        put(0x80, priority)
        put(0xa0, max(priority, served & 0xf0))
        if wide:
            put(0xd0, (cpu.index >> 4) << 16 | 1 << (cpu.index & 15))
        elif not cpu.reset:
            put(0xd0, 1 << (24 + cpu.index % 8))
        put(0xe0, 0xffffffff)
        put(0xf0, 0xff if cpu.reset else 0x1ff)
        if served:
            put(0x100 + served // 32 * 16, 1 << served % 32)
            put(0x200 + 3 * 16, cpu.number('lapic.irr', 32))
            put(0x180 + 2 * 16, cpu.number('lapic.tmr', 32))
            put(0x280, cpu.pick('lapic.esr', (0, 0x20, 0x40, 0x80)))
            put(0x300, 0x40fc)
            put(0x310, cpu.below('lapic.icr_high', 16) << 24)
        for name, offset in (('CMCI', 0x2f0), ('TIMER', 0x320), ('THERMAL', 0x330), ('PMC', 0x340), ('LINT0', 0x350),
                             ('LINT1', 0x360), ('ERROR', 0x370)):
            put(offset, lvt[name])
        put(0x380, initial)
        put(0x3e0, code)
        with chunk.within(cpu.name, cpu.unused):
            chunk.raw('apic_page', bytes(page))
            chunk.add('esr_pending', 'u32', 0 if cpu.reset else cpu.pick('lapic.esr_pending', (0, 0x20, 0x60, 0xa0)))
            # The bus of the timer runs at 2^27 Hz; binary time has fractions of 2^64.
            chunk.add('timer_freq_bt.sec', 'i64', 0)
            chunk.add('timer_freq_bt.frac', 'u64', (1 << 64) // ((1 << 27) // divisor))
            chunk.raw('isrvec_stk', bytes([0, served]).ljust(17, b'\0'))
            chunk.add('isrvec_stk_top', 'i32', 1 if served else 0)
            if machine.shape.boot_state:
                chunk.add('boot_state', 'i32', 0 if cpu.unused else 1 if cpu.reset else 2)
            for index, name in enumerate(('LINT0', 'LINT1', 'TIMER', 'ERROR', 'PMC', 'THERMAL', 'CMCI')):
                chunk.add(f'lvt_last[{index}]', 'u32', lvt[name])
            chunk.add('ccr', 'u32', cpu.below('lapic.ccr', initial) if initial else 0)
    return chunk


def x2apic(cpu: Vcpu) -> int:
    # Beyond 255 there are no other identifiers.
    return 1 if cpu.index > 254 else 0 if cpu.reset else cpu.pick('x2apic_state', (0, 1))


def event(cpu: Vcpu) -> int:
    """Nothing, or an interrupt that the exit cut short."""
    return 0 if cpu.reset else cpu.pick('exitintinfo', (0, 0x80000030, 0x800000ef, 0x80000b0e))


def _local_vectors(cpu: Vcpu) -> dict[str, int]:
    masked = 0x10000
    names = {'TIMER': 0x200ef, 'LINT0': 0x700, 'LINT1': 0x400, 'ERROR': 0xf0, 'PMC': 0x400, 'THERMAL': 0xfa,
             'CMCI': 0xf2}
    return {name: masked if cpu.reset else cpu.pick('lapic.' + name, (masked, value, value | masked))
            for name, value in names.items()}


def _numbers(chunk: Chunk, cpu: Vcpu, paths: list[str] | tuple[str, ...]) -> None:
    for path in paths:
        chunk.add(path, 'u64', cpu.register(path))


def _segments(chunk: Chunk, cpu: Vcpu) -> None:
    for name in SEGMENTS:
        selector, base, limit, access = cpu.segment(name)
        chunk.add(name + '.selector', 'u64', selector)
        chunk.add(name + '.base', 'u64', base)
        chunk.add(name + '.limit', 'u32', limit)
        chunk.add(name + '.access', 'u32', access)


def _tables(chunk: Chunk, machine: Machine, cpu: Vcpu) -> None:
    for name in ('IDTR', 'GDTR'):
        base, limit = cpu.table(name)
        chunk.add(name + '.base', 'u64', base)
        chunk.add(name + '.limit', 'u32', limit)
        # On Intel whatever lay on the kernel's stack.
        garbage = machine.values.number(cpu.key(name + '.access'), 32) if cpu.intel else 0
        chunk.add(name + '.access', 'u32', garbage, meaningless=cpu.intel)


def _intel_registers(chunk: Chunk, cpu: Vcpu) -> None:
    _intel_msrs(chunk, cpu)
    _numbers(chunk, cpu, INTEL_GENERAL)


def _intel_msrs(chunk: Chunk, cpu: Vcpu) -> None:
    for path, name in INTEL_MSRS.items():
        chunk.add('msr.' + path, 'u64', cpu.register(name))


def _intel(chunk: Chunk, machine: Machine, cpu: Vcpu) -> None:
    _numbers(chunk, cpu, 'cr0 cr3 cr4 dr7 rsp rip rflags'.split())
    _segments(chunk, cpu)
    chunk.add('efer', 'u64', cpu.register('efer'))
    _tables(chunk, machine, cpu)
    for index in range(4):
        chunk.add(f'pdpte{index}', 'u64', cpu.page(f'pdpte{index}') | 1 if not cpu.reset else 0)
    for name in ('CS', 'ESP', 'EIP'):
        chunk.add('IA32_SYSENTER_' + name, 'u64', cpu.register('sysenter_' + name.lower()))
    chunk.add('interruptibility', 'u64', 0 if cpu.reset else cpu.below('interruptibility', 3))
    chunk.add('activity', 'u64', 3 if cpu.reset else cpu.below('activity', 2))
    chunk.add('entry_ctls', 'u64', 0x91ff if cpu.reset else 0x93ff)
    chunk.add('exit_ctls', 'u64', 0x3f6fff)
    if not machine.shape.own_registers:
        return
    _intel_msrs(chunk, cpu)
    if machine.shape.pir:
        with chunk.within('pir_desc'):
            for index in range(4):
                # Vectors below 32 are not the guest's to send.
                chunk.add(f'pir[{index}]', 'u64', cpu.number(f'pir[{index}]') & (~0xffffffff if index == 0 else -1))
            chunk.add('pending', 'u64', cpu.below('pir.pending', 2))
            for index in range(3):
                chunk.add(f'unused[{index}]', 'u64', 0)
    if machine.shape.mtrr:
        _mtrr(chunk, cpu)
    _numbers(chunk, cpu, INTEL_GENERAL)


def _mtrr(chunk: Chunk, cpu: Vcpu) -> None:
    with chunk.within('mtrr'):
        for path, value in cpu.mtrr().items():
            for index, part in enumerate(value if isinstance(value, list) else [value]):
                name = f'{path}[{index}]' if isinstance(value, list) else path
                if isinstance(part, tuple):
                    chunk.add(name + '.base', 'u64', part[0])
                    chunk.add(name + '.mask', 'u64', part[1])
                else:
                    chunk.add(name, 'u64', part)


def _amd_vmx(chunk: Chunk, cpu: Vcpu) -> None:
    priority = cpu.below('v_tpr', 16)
    chunk.add('v_tpr', 'u8', priority)
    chunk.add('v_tpr_again', 'u64', priority)
    chunk.add('asid', 'u32', cpu.below('asid', 0x8000))
    chunk.add('np_enable', 'u64', 1)
    chunk.add('intr_shadow', 'u64', cpu.below('intr_shadow', 2))
    chunk.add('tlb_ctrl', 'u8', cpu.pick('tlb_ctrl', (0, 1, 3, 7)))
    area = bytearray(SAVE_AREA_END)
    for name, offset in SAVE_AREA.items():
        area[offset:offset + 8] = cpu.register(name).to_bytes(8, 'little')
    for index, name in enumerate(BRANCHES):
        area[0x270 + 8 * index:0x278 + 8 * index] = cpu.number(name).to_bytes(8, 'little')
    chunk.raw('save_area', bytes(area[SAVE_AREA_START:]))
    _numbers(chunk, cpu, AMD_GENERAL)
    for name in ('dr0', 'dr1', 'dr2', 'dr3', 'dr6', 'dr7', 'debugctl'):
        chunk.add('host_' + name, 'u64', cpu.number('host_' + name), meaningless=True)
    _amd_host(chunk, cpu)


def _amd_host(chunk: Chunk, cpu: Vcpu) -> None:
    chunk.add('nextrip', 'u64', cpu.register('nextrip'))
    chunk.add('lastcpu', 'i32', cpu.below('lastcpu', 64))
    chunk.add('dirty', 'u32', cpu.number('dirty', 10))
    chunk.add('eptgen', 'u64', cpu.number('eptgen', 32))
    chunk.add('asid.gen', 'u64', cpu.number('asid.gen', 32))
    chunk.add('asid.num', 'u32', cpu.below('asid', 0x8000))


def _amd_a(chunk: Chunk, machine: Machine, cpu: Vcpu) -> None:
    _numbers(chunk, cpu, 'cr0 cr2 cr3 cr4 dr7 rax rsp rip rflags'.split())
    _segments(chunk, cpu)
    chunk.add('efer', 'u64', cpu.register('efer'))
    _tables(chunk, machine, cpu)
    _numbers(chunk, cpu, ('sysenter_cs', 'sysenter_esp', 'sysenter_eip'))
    chunk.add('npt_base', 'u64', machine.values.page('host/nptp', 1 << 40), meaningless=True)
    for path, bits in INTERCEPTS.items():
        chunk.add(path, 'u64', cpu.number(path, bits))
    chunk.add('tlb_ctrl', 'u64', cpu.pick('tlb_ctrl', (0, 1, 3, 7)))
    _amd_exit(chunk, cpu)
    chunk.add('virq', 'u64', _virq(cpu))
    chunk.add('guest_pat', 'u64', cpu.register('pat'))
    for path in AVIC:
        chunk.add(path, 'u64', cpu.page(path))
    for path in ('io_perm', 'msr_perm'):
        chunk.add(path, 'u64', machine.values.page('host/' + path, 1 << 40), meaningless=True)
    chunk.add('asid', 'u64', cpu.below('asid', 0x8000))
    chunk.add('exit_reason', 'u64', cpu.pick('exit_reason', (0x60, 0x61, 0x78, 0x7b, 0x400)))
    chunk.add('intr_shadow', 'u64', cpu.below('intr_shadow', 2))


def _amd_exit(chunk: Chunk, cpu: Vcpu) -> None:
    chunk.add('exitinfo1', 'u64', cpu.number('exitinfo1'))
    chunk.add('exitinfo2', 'u64', cpu.number('exitinfo2'))
    chunk.add('exitintinfo', 'u64', event(cpu))


def _virq(cpu: Vcpu) -> int:
    """The priority the guest asked for, and the bit by which the hypervisor keeps its own."""
    return 1 << 24 | cpu.below('v_tpr', 16)


def _amd(chunk: Chunk, machine: Machine, cpu: Vcpu) -> None:
    _numbers(chunk, cpu, 'cr0 cr2 cr3 cr4 dr6 dr7 rax rsp rip rflags'.split())
    _segments(chunk, cpu)
    chunk.add('efer', 'u64', cpu.register('efer'))
    _tables(chunk, machine, cpu)
    chunk.add('intr_shadow', 'u64', cpu.below('intr_shadow', 2))
    for path, bits in INTERCEPTS.items():
        chunk.add(path, 'u64', cpu.number(path, bits))
    chunk.add('pause_filthresh', 'u64', cpu.number('pause_filthresh', 16))
    chunk.add('pause_filcnt', 'u64', cpu.number('pause_filcnt', 16))
    chunk.add('asid', 'u64', cpu.below('asid', 0x8000))
    chunk.add('tlb_ctrl', 'u64', cpu.pick('tlb_ctrl', (0, 1, 3, 7)))
    chunk.add('virq', 'u64', _virq(cpu))
    chunk.add('exit_reason', 'u64', cpu.pick('exit_reason', (0x60, 0x61, 0x78, 0x7b, 0x400)))
    _amd_exit(chunk, cpu)
    chunk.add('np_enable', 'u64', 1)
    for path in AVIC:
        chunk.add(path, 'u64', cpu.page(path))
    chunk.add('cpl', 'u64', 0)
    _numbers(chunk, cpu, 'star lstar cstar sfmask kernelgsbase sysenter_cs sysenter_esp sysenter_eip'.split())
    chunk.add('guest_pat', 'u64', cpu.register('pat'))
    for path in BRANCHES:
        chunk.add(path, 'u64', cpu.number(path))
    _numbers(chunk, cpu, AMD_GENERAL)
    _amd_host(chunk, cpu)
    if machine.shape.mtrr:
        _mtrr(chunk, cpu)
