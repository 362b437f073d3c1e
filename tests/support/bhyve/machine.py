# SPDX-License-Identifier: BSD-2-Clause
"""The guest whose state the chunks tell: a 64-bit kernel at work, with the registers of its vCPUs."""

from dataclasses import dataclass, field

from .ram import Ram
from .shapes import A_VCPUS, Shape
from .values import Values

GENERAL = 'rdi rsi rdx rcx r8 r9 rax rbx rbp r10 r11 r12 r13 r14 r15'.split()
SEGMENTS = 'ES CS SS DS FS GS TR LDTR'.split()
DEFAULT_PAT = 0x0007_0406_0007_0406
UNUSABLE = 0x10000


@dataclass
class Machine:
    shape: Shape
    vendor: str
    ncpus: int
    values: Values
    ram: Ram
    options: dict[str, str] = field(default_factory=dict)

    @property
    def records(self) -> int:
        return A_VCPUS if self.shape.sixteen else self.ncpus

    def vcpus(self) -> list['Vcpu']:
        return [Vcpu(self, index) for index in range(self.records)]

    def waiting(self, index: int) -> bool:
        """Of four and more vCPUs the last one has not been started by the guest."""
        return self.ncpus >= 4 and index == self.ncpus - 1


class Vcpu:
    """One vCPU; in its reset state if the guest has not started it or does not have it."""

    def __init__(self, machine: Machine, index: int) -> None:
        self.index = index
        self.name = f'vcpu[{index}]'
        self.unused = index >= machine.ncpus
        self.reset = self.unused or machine.waiting(index)
        self.intel = machine.vendor == 'intel'
        self._values = machine.values
        self._ram = machine.ram

    def key(self, name: str) -> str:
        """Not the chunk's: the same register has moved from one chunk to another."""
        return f'cpu[{self.index}].{name}'

    def number(self, name: str, bits: int = 64) -> int:
        return 0 if self.unused else self._values.number(self.key(name), bits)

    def pick(self, name: str, options: tuple[int, ...]) -> int:
        return options[0] if self.unused else self._values.choice(self.key(name), options)

    def below(self, name: str, limit: int) -> int:
        return 0 if self.unused else self._values.below(self.key(name), limit)

    def page(self, name: str, limit: int = 1 << 40) -> int:
        return 0 if self.unused else self._values.page(self.key(name), limit)

    def register(self, name: str) -> int:
        if self.reset:
            return self._at_reset(name)
        return self._at_work(name)

    def segment(self, name: str) -> tuple[int, int, int, int]:
        """Selector, base, limit, access."""
        if self.unused and not self.intel:
            return 0, 0, 0, 0 if name in ('CS', 'TR') else UNUSABLE
        if self.reset:
            access = {'CS': 0x9b, 'TR': 0x8b, 'LDTR': 0x82}.get(name, 0x93)
            return (0xf000, 0xffff0000, 0xffff, access) if name == 'CS' else (0, 0, 0xffff, access)
        if name == 'LDTR':
            return 0, 0, 0, UNUSABLE
        if name == 'TR':
            return 0x48, self._values.canonical(self.key('TR.base')), 0x2067, 0x8b
        if name == 'CS':
            return 0x20, 0, 0xffffffff, 0xa09b
        base = self._values.canonical(self.key(name + '.base')) if name in ('FS', 'GS') else 0
        selector = {'SS': 0x28, 'DS': 0x3b, 'ES': 0x3b, 'FS': 0x13, 'GS': 0x1b}[name]
        return selector, base, 0xffffffff, 0xc093 if name == 'SS' else 0xc0f3

    def table(self, name: str) -> tuple[int, int]:
        """Base and limit of IDTR or GDTR."""
        if self.reset:
            return 0, 0 if self.unused and not self.intel else 0xffff
        return self._values.canonical(self.key(name + '.base')), 0xfff if name == 'IDTR' else 0x67

    def mtrr(self) -> dict[str, int | list[int] | list[tuple[int, int]]]:
        def types(name: str) -> int:
            return int.from_bytes(bytes(self._values.choice(self.key(f'{name}.{byte}'), (0, 1, 4, 5, 6))
                                        for byte in range(8)), 'little')

        variable = [(self.page(f'mtrr.base[{n}]', 1 << 36) | self.pick(f'mtrr.type[{n}]', (0, 1, 4, 5, 6)),
                     (1 << 39) - (1 << 12 + n) | 0x800) for n in range(10)]
        return {'def_type': 0xc00 | self.pick('mtrr.def_type', (0, 6)),
                'fixed4k': [types(f'mtrr.fixed4k[{n}]') for n in range(8)],
                'fixed16k': [types(f'mtrr.fixed16k[{n}]') for n in range(2)], 'fixed64k': types('mtrr.fixed64k'),
                'var': variable}

    def _at_reset(self, name: str) -> int:
        if not self.intel and name == 'efer':
            return 0x1000
        if name == 'pat':
            return DEFAULT_PAT
        if self.unused and not self.intel:
            return 0
        return {'cr0': 0x60000030 if self.intel else 0x60000010, 'cr4': 0x2000 if self.intel else 0, 'rip': 0xfff0,
                'rflags': 2, 'dr6': 0xffff0ff0, 'dr7': 0x400, 'rdx': 0x600}.get(name, 0)

    def _at_work(self, name: str) -> int:
        values, key = self._values, self.key(name)
        if name in GENERAL:
            return values.number(key, 64)
        # Of what the hypervisor adds the guest sees nothing: VMXE in CR4, SVME in EFER.
        if name == 'cr4':
            return values.choice(key, (0x406f0, 0x1406f0, 0x3406f0)) | (0x2000 if self.intel else 0)
        if name == 'efer':
            return 0xd01 if self.intel else 0x1d01
        if name == 'cr0':
            return values.choice(key, (0x80050033, 0x8005003b))
        if name == 'cr3':
            return values.page(key, self._ram.low)
        if name in ('dr6', 'dr7'):
            return values.choice(key, (0xffff0ff0, 0xffff4ff0) if name == 'dr6' else (0x400, 0x401, 0x455))
        if name == 'rsp':
            return values.canonical(key) & ~15
        if name == 'rflags':
            return values.choice(key, (0x2, 0x46, 0x202, 0x246, 0x293))
        if name == 'pat':
            return values.choice(key, (DEFAULT_PAT, 0x0007_0406_0007_0106, 0x0407_0605_0100_0706))
        if name == 'tsc_aux':
            return self.index
        if name == 'star':
            return 0x0033_0020_0000_0000
        if name == 'sfmask':
            return values.choice(key, (0x47700, 0x4700, 0x257fd5))
        if name == 'sysenter_cs':
            return 0x20
        return values.canonical(key)
