# SPDX-License-Identifier: BSD-2-Clause
"""From what is asked for to three files, and a fourth that tells what is in them."""

import dataclasses
import json
import typing
from dataclasses import dataclass, field

from . import ahci, devices, hostile, kernel_chunks, vcpu_chunks, virtio, xhci
from .chunk import Chunk
from .draft import Draft
from .machine import Machine
from .meta import Entry, Meta, entry
from .pci import Device
from .ram import Ram
from .shapes import GENERATIONS, MIXED, SHAPES, VENDORS, Shape
from .values import Values

MAKERS = {'hostbridge': devices.bare, 'dummy': devices.bare, 'lpc': devices.lpc, 'virtio-blk': virtio.virtio,
          'virtio-net': virtio.virtio, 'virtio-rnd': virtio.virtio, 'e1000': devices.e1000, 'ahci': ahci.ahci,
          'xhci': xhci.xhci, 'fbuf': devices.fbuf, 'atkbdc': devices.atkbdc}
SHORT = {'blk': 'virtio-blk', 'net': 'virtio-net', 'rnd': 'virtio-rnd', 'amd_hostbridge': 'hostbridge'}
ALIASES = {'ahci-hd': 'ahci', 'ahci-cd': 'ahci'}
OPTIONS = {'at', 'rings', 'msix', 'ports', 'inflight', 'tablet', 'context'}
# What A and B save: the first device of each of these names.
TABLE = ('atkbdc', 'virtio-net', 'virtio-blk', 'virtio-rnd', 'lpc', 'fbuf', 'xhci', 'e1000', 'ahci', 'ahci-hd',
         'ahci-cd')
MOST_VCPUS = {'A': 16, 'A2': 16, 'B': 256, 'C0': 1024, 'C': 1024}


@dataclass
class Request:
    """What a set shall be."""

    generation: str
    vendor: str = 'intel'
    ncpus: int = 2
    devices: str = ''
    memsize: int = 64 << 20
    memflags: int = 0
    seed: str = '0'
    vmname: str | bytes = 'vm0'
    axes: dict[str, str] = field(default_factory=dict)
    mixed: str = ''
    hostile: str = ''

    def shape(self) -> Shape:
        """That of the generation, with some axes from another one."""
        if self.generation not in GENERATIONS or self.vendor not in VENDORS:
            raise ValueError(f'generation {self.generation}, vendor {self.vendor}: generations are '
                             f'{", ".join(GENERATIONS)}, vendors {", ".join(VENDORS)}')
        if not 1 <= self.ncpus <= MOST_VCPUS[self.generation]:
            raise ValueError(f'{self.ncpus} vCPUs: generation {self.generation} has 1 to {MOST_VCPUS[self.generation]}')
        kinds = typing.get_type_hints(Shape)
        changes: dict[str, object] = {}
        if self.mixed and self.mixed not in MIXED:
            raise ValueError(f'no mixed form {self.mixed}: there are {", ".join(MIXED)}')
        for name, text in {**(MIXED[self.mixed] if self.mixed else {}), **self.axes}.items():
            if name not in kinds or name == 'generation':
                raise ValueError(f'no axis {name}: there are {", ".join(sorted(set(kinds) - {"generation"}))}')
            changes[name] = text if kinds[name] is str else text in ('1', 'yes') if kinds[name] is bool else int(text)
        return dataclasses.replace(SHAPES[self.generation], **changes)  # type: ignore[arg-type]


def parse_devices(text: str) -> list[Device]:
    """The devices of a list such as `blk,net:rings=half:msix=off,ahci:ports=3:at=0.7.0`, by location. A host bridge
    at 0.0.0 and an LPC bridge at 0.31.0 are always there; the others follow each other from slot 2 on."""
    found: list[Device] = []
    slot = 2
    for part in filter(None, text.split(',')):
        name, *pairs = part.split(':')
        name = SHORT.get(name, name)
        emulation = ALIASES.get(name, name)
        options = dict(pair.partition('=')[::2] for pair in pairs)
        if emulation not in MAKERS or set(options) - OPTIONS:
            raise ValueError(f'no device {part}: there are {", ".join(sorted([*MAKERS, *ALIASES]))}, with options '
                             f'{", ".join(sorted(OPTIONS))}')
        default = {'hostbridge': '0.0.0', 'lpc': '0.31.0'}.get(emulation, f'0.{slot}.0')
        slot += emulation not in ('hostbridge', 'lpc', 'atkbdc') and 'at' not in options
        bus, place, function = (int(number) for number in options.get('at', default).split('.'))
        found.append(Device(emulation, name, (bus, place, function), options))
    for emulation, location in (('hostbridge', (0, 0, 0)), ('lpc', (0, 31, 0))):
        if all(device.emulation != emulation for device in found):
            found.append(Device(emulation, emulation, location, {}))
    # The keyboard controller is on no bus, and comes last.
    return sorted(found, key=lambda device: (not device.is_pci, device.location))


def make(request: Request) -> Draft:
    """The set, in memory but for its RAM."""
    shape = request.shape()
    values = Values(request.seed)
    machine = Machine(shape, request.vendor, request.ncpus, values, Ram(request.memsize, values))
    wanted = parse_devices(request.devices)
    kernel = [chunk for chunk in (
        kernel_chunks.vhpet(machine), vcpu_chunks.vm(machine), vcpu_chunks.vmx(machine), kernel_chunks.vioapic(machine),
        vcpu_chunks.vlapic(machine), vcpu_chunks.vmcx(machine), kernel_chunks.vatpit(machine),
        kernel_chunks.vatpic(machine), kernel_chunks.vpmtmr(machine), kernel_chunks.vrtc(machine)) if chunk]
    chunks, lost = (_table if shape.devices == 'table' else _all)(machine, wanted)
    draft = Draft(machine, request.vmname, request.memflags, kernel, chunks, lost)
    draft.verdict = _verdict(request, shape, {device.emulation for device, chunk in chunks if chunk.data})
    hostile.apply(request.hostile, 'chunks', draft)
    draft.meta = _meta(draft)
    draft.kern = b''.join(bytes(chunk.data) for chunk in draft.all_chunks())
    hostile.apply(request.hostile, 'meta', draft)
    draft.meta_text = draft.meta.text()
    hostile.apply(request.hostile, 'files', draft)
    return draft


def save(draft: Draft, base: str) -> None:
    """Writes BASE, BASE.kern, BASE.meta as far as the set has them, and BASE.expected.json."""
    if draft.ram_size is not None:
        draft.machine.ram.save(base)
        with open(base, 'r+b') as file:
            file.truncate(draft.ram_size)
    for suffix, data in (('.kern', draft.kern), ('.meta', draft.meta_text)):
        if data is not None:
            with open(base + suffix, 'wb') as file:
                file.write(data)
    with open(base + '.expected.json', 'w', encoding='ascii') as file:
        json.dump(expected(draft), file, separators=(',', ':'))
        file.write('\n')


def expected(draft: Draft) -> dict[str, object]:
    """What README.md describes."""
    machine = draft.machine
    chunks = draft.all_chunks()
    offsets = draft.offsets()
    return {
        'seed': machine.values.seed,
        'vmname': (draft.vmname if isinstance(draft.vmname, bytes) else draft.vmname.encode()).hex(),
        'ncpus': machine.ncpus,
        'memflags': draft.memflags,
        'verdict': draft.verdict,
        'not_saved': draft.lost,
        'ram': machine.ram.told(),
        'chunks': [{'name': chunk.name, 'key': chunk.key, 'kernel': chunk in draft.kernel, 'offset': offset,
                    'size': len(chunk.data)} for chunk, offset in zip(chunks, offsets)],
        'fields': {chunk.name: [one.told() for one in chunk.fields] for chunk in chunks if chunk.data},
        'compare_only': {chunk.name: chunk.compare_only for chunk in chunks if chunk.compare_only},
        'meaningless': {chunk.name: chunk.meaningless for chunk in chunks if chunk.meaningless},
    }


def _verdict(request: Request, shape: Shape, kinds: set[str]) -> dict[str, object]:
    """What a classifier should say. Some generations cannot be told apart, by anything or by these devices."""
    def telling(one: Shape) -> dict[str, object]:
        # UARTs have two and four of their own accord; a filled vmx is a repaired empty one.
        return {**one.axes(request.vendor, kinds), 'uarts': 0, 'vmx': one.vmx.replace('filled', 'empty')}

    alike = [name for name, one in SHAPES.items() if telling(one) == telling(shape)]
    return {'outcome': 'read', 'why': '', 'generation': request.generation if alike else 'mixed', 'alike': alike,
            'vendor': request.vendor, 'axes': shape.axes(request.vendor, kinds)}


def _all(machine: Machine, wanted: list[Device]) -> tuple[list[tuple[Device, Chunk]], list[str]]:
    """Every function, by its place."""
    chunks = []
    for device in wanted:
        name = device.emulation
        if device.is_pci and machine.shape.names != 'plain':
            form = '{}@pci.{}.{}.{}' if machine.shape.names == 'at' else '{}-pci-{}-{}-{}'
            name = form.format(device.emulation, *device.location)
        chunks.append((device, MAKERS[device.emulation](machine, device, name)))
    if len({chunk.name for _, chunk in chunks}) < len(chunks):
        raise ValueError('two devices have the same name')
    return chunks, []


def _table(machine: Machine, wanted: list[Device]) -> tuple[list[tuple[Device, Chunk]], list[str]]:
    """Eleven entries; what is not there has no bytes, what is there a second time is lost."""
    by_given_name = machine.shape.generation in ('A', 'A2')
    left = list(wanted)
    chunks = []
    for name in TABLE:
        device = next((one for one in left if (one.name if by_given_name else one.emulation) == name), None)
        if device is None:
            nothing = Device(ALIASES.get(name, name), name, (0, 0, 0), {})
            chunks.append((nothing, Chunk(name, machine.values)))
        else:
            left.remove(device)
            chunks.append((device, MAKERS[device.emulation](machine, device, name)))
    return chunks, [device.key for device in left]


def _meta(draft: Draft) -> Meta:
    machine, shape = draft.machine, draft.machine.shape
    basic: Entry = {'ncpus': machine.ncpus, 'vmname': draft.vmname, 'memsize': machine.ram.size,
                    'memflags': draft.memflags}
    meta = Meta(basic, kernel_key=shape.meta, devices_key=shape.devices_key)
    for chunk, offset in zip(draft.all_chunks(), draft.offsets()):
        kernel = chunk in draft.kernel
        (meta.kernel if kernel else meta.devices).append(
            entry(shape.meta, chunk.name, len(chunk.data), offset, kernel))
    return meta
