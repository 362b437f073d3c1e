# SPDX-License-Identifier: BSD-2-Clause
"""Which register of which device holds a field of a legacy snapshot once it is converted.

Written from the description of bhyve's format and from the manuals of the devices, not from compat/bhyve: what both
agree on was said twice. A rule is a function of the field's value. It says, by `hold`, what the hardware of the
converted file must have, and gives the value of the field that follows from the hardware alone. Where that is not the
field's value, or where there is no rule, the chunk bhyve_private must have the field as it was.

Numbers are the bits of the field without sign.
"""

from . import chips, devices, pci_functions, processors, storage, usb  # noqa: F401
from .devices import KBD_RAW
from .processors import SAVE_AREA
from .rules import find  # noqa: F401

# What the hardware has and bhyve does not save, where it is not 0: what stands there instead, by type
# of device and path.
NOT_IN_FILE = {
    ('x86_cpu', 'index'): None,  # checked by its place
    ('x86_cpu', 'xsave_area'): None,  # checked by itself
    ('hpet', 'base'): 0xfed00000,
    ('ioapic', 'base'): 0xfec00000,
    ('i8254', 'counters[*].gate'): True,
    ('i8259', '*.icw4_needed'): True,
    ('acpi_pm', 'pm1_control'): 1,  # SCI_EN
    ('virtio_net', 'queue_pairs'): 1,
    ('e1000', 'status'): 0x83,  # full duplex, link up, 1000 Mbit/s
    ('e1000', 'eeprom.phase'): 'Unknown',
    ('framebuffer', 'segment'): 'framebuffer',
    ('framebuffer', 'memory_bar'): 1,
    ('xhci', 'supported_protocols[*].port_count'): 4,
    ('xhci', 'supported_protocols[0].major_revision'): 2,
    ('xhci', 'supported_protocols[1].major_revision'): 3,
    ('ps2_keyboard', 'scan_code_set'): 2,
    ('ps2_keyboard', 'typematic'): 0x2b,
}

# Composite fields, and what they are made of: name, offset and size. Between the parts there is padding.
PARTS = {('vmx', 'save_area'): {name: (offset - 0xa0, size) for name, (offset, size) in SAVE_AREA.items()},
         ('atkbdc', 'kbd_raw'): KBD_RAW}
