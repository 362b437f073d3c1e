# SPDX-License-Identifier: BSD-2-Clause
"""What tells the generations apart: one independent choice per axis, so that mixed forms can be made."""

from dataclasses import dataclass

GENERATIONS = ('A', 'A2', 'B', 'C0', 'C')
VENDORS = ('intel', 'amd')
A_VCPUS = 16


@dataclass(frozen=True)
class Shape:
    generation: str
    meta: str = 'kern_structs'       # or 'structs'
    names: str = 'at'                # devices: 'at' virtio-net@pci.0.4.0, 'dash' virtio-net-pci-0-4-0, 'plain'
    devices: str = 'all'             # 'table': eleven fixed entries, the first device of each kind
    devices_key: str = 'devices'     # 'pci_devices' before 2020
    vmx: str = 'none'                # 'data', 'empty' (size 0), 'filled' (eight zero bytes), 'none' (no entry)
    sixteen: bool = False            # always 16 records per vCPU
    cpuset: int = 128                # bytes of startup_cpus
    own_registers: bool = True       # vmcx has MSRs and general registers, and no host addresses
    pir: bool = True                 # Intel: posted-interrupt descriptor
    mtrr: bool = True
    boot_state: bool = False         # vlapic
    prefix_a: bool = False           # PCI: pba_page_offset, six BARs
    ring_always: bool = False        # virtio: also where the guest set up none
    uarts: int = 4
    features_negotiated: bool = True  # virtio-net
    ahci_ports: int = 32             # of a controller with a drive
    request_lists: bool = False      # ahci
    ndevices: bool = False           # xhci

    def axes(self, vendor: str, kinds: set[str]) -> dict[str, object]:
        """What a classifier should say of each axis; None where the set holds nothing to judge by."""
        virtio = bool(kinds & {'virtio-blk', 'virtio-net', 'virtio-rnd'})
        pci = bool(kinds - {'atkbdc'})
        vmcx = 'A' if not self.own_registers else 'B'
        if self.own_registers and (self.mtrr or self.pir and vendor == 'intel'):
            vmcx = 'C' if self.mtrr and (self.pir or vendor == 'amd') else 'C0' if self.pir else 'B+mtrr'
        return {
            'meta': self.meta,
            'names': self.names,
            'vm': 'A' if self.sixteen else {32: 'B', 128: 'C'}.get(self.cpuset, 'other'),
            'cpuset': self.cpuset or None,
            'vmx': self.vmx,
            'vmcx': vmcx,
            'vlapic': 'A' if self.boot_state else 'B',
            'pci_prefix': (436 if self.prefix_a else 452) if pci else None,
            'ring_rule': ('always' if self.ring_always else 'if_allocated') if virtio else None,
            'uarts': self.uarts if 'lpc' in kinds else None,
            'net_tail': (41 if self.features_negotiated else 40) if 'virtio-net' in kinds else None,
            'ahci': ('A' if self.request_lists else 'B') if 'ahci' in kinds else None,
            'xhci': ('A' if self.ndevices else 'B') if 'xhci' in kinds else None,
        }


def _table(generation: str, **axes: object) -> Shape:
    return Shape(generation, meta='structs', names='plain', devices='table', pir=False, mtrr=False, ahci_ports=6,
                 **axes)  # type: ignore[arg-type]


def _a(generation: str) -> Shape:
    return _table(generation, vmx='data', sixteen=True, cpuset=0, own_registers=False, boot_state=True, prefix_a=True,
                  ring_always=True, features_negotiated=False, request_lists=True, ndevices=True)


SHAPES = {
    'A': _a('A'),
    'A2': _a('A2'),
    'B': _table('B', vmx='empty', cpuset=32),
    'C0': Shape('C0', mtrr=False),
    'C': Shape('C'),
}

# Generations by their parts, as trees between releases had them. `review` is the public sample, made by generation A.
MIXED = {
    'review': {'meta': 'kern_structs', 'names': 'dash', 'devices': 'all', 'uarts': '2'},
    'meta-of-c': {'meta': 'kern_structs', 'names': 'at', 'devices': 'all'},
    'before-2020': {'devices_key': 'pci_devices'},
    'two-uarts': {'uarts': '2'},
    'mtrr-without-pir': {'pir': 'no', 'mtrr': 'yes'},
    'small-cpuset': {'cpuset': '32'},
    'net-tail-of-a': {'features_negotiated': 'no'},
    'prefix-of-a': {'prefix_a': 'yes'},
    'resumable-13.2': {'vmx': 'filled'},
}
