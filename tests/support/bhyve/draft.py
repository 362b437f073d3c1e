# SPDX-License-Identifier: BSD-2-Clause
"""A set that is being made, and can still be spoilt."""

import itertools
from dataclasses import dataclass, field

from .chunk import Chunk
from .machine import Machine
from .meta import Meta
from .pci import Device


@dataclass
class Draft:
    """A file that is None does not exist."""

    machine: Machine
    vmname: str | bytes
    memflags: int
    kernel: list[Chunk]
    devices: list[tuple[Device, Chunk]]
    lost: list[str]
    verdict: dict[str, object] = field(default_factory=dict)
    meta: Meta = field(default_factory=lambda: Meta({}))
    kern: bytes | None = None
    meta_text: bytes | None = None
    ram_size: int | None = None

    def __post_init__(self) -> None:
        self.ram_size = self.machine.ram.size

    def all_chunks(self) -> list[Chunk]:
        return [*self.kernel, *(chunk for _, chunk in self.devices)]

    def offsets(self) -> list[int]:
        return [0, *itertools.accumulate(len(chunk.data) for chunk in self.all_chunks())][:-1]

    def chunk(self, name: str) -> Chunk:
        """The kernel's chunk of that name, or that of the first device so emulated."""
        for chunk in self.kernel:
            if chunk.name == name:
                return chunk
        for device, chunk in self.devices:
            if device.emulation == name and chunk.data:
                return chunk
        raise ValueError(f'this needs a chunk {name}, and the set has none')

    def virtio(self) -> Chunk:
        """The first virtio device's chunk."""
        for device, chunk in self.devices:
            if device.emulation.startswith('virtio-') and chunk.data:
                return chunk
        raise ValueError('this needs a virtio device, and the set has none')
