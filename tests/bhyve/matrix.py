# SPDX-License-Identifier: BSD-2-Clause
"""Which legacy snapshots are made and compared."""

from bhyve import assemble, shapes

GENERATIONS = ('A', 'A2', 'B', 'C0', 'C')
VENDORS = ('intel', 'amd')
EVERYTHING = 'blk,net,rnd,e1000,ahci:ports=2,xhci,atkbdc'


def sets() -> list[dict[str, object]]:
    """Generations, vendors, numbers of vCPUs and devices; then other values, where the corners are."""
    found: list[dict[str, object]] = []
    for generation in GENERATIONS:
        for vendor in VENDORS:
            for ncpus in (1, 2, 4):
                for devices in ('', 'blk,net,rnd,atkbdc', EVERYTHING):
                    found.append({'generation': generation, 'vendor': vendor, 'ncpus': ncpus, 'devices': devices})
            for seed in ('1', '2', 'zeros', 'ones', 'top'):
                found.append({'generation': generation, 'vendor': vendor, 'seed': seed, 'devices': EVERYTHING})
    return found


# Devices in other states. Generation A cannot save rings that are not set up.
STATES = ('blk:msix=off,net:msix=off,rnd:msix=off', 'e1000:rings=none', 'ahci:ports=32', 'ahci:ports=0', 'ahci-cd',
          'ahci-hd:ports=3', 'xhci:tablet=off', 'xhci:context=off', 'fbuf', 'net:at=0.3.1,blk:at=0.9.0')
NOT_SET_UP = ('blk:rings=none,rnd:rings=none', 'net:rings=half', 'net:rings=none', 'dummy')
ONLY_A = ('ahci:inflight=0', 'ahci:ports=2:inflight=32')


def other_devices() -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for generation in ('A', 'B', 'C'):
        for devices in STATES + (ONLY_A if generation == 'A' else NOT_SET_UP):
            if devices == 'dummy' and generation == 'B':
                continue  # its table of devices has none
            for seed in ('0', '3'):
                found.append({'generation': generation, 'devices': devices, 'ncpus': 1, 'seed': seed})
    return found


# Registers that are neither in vmx nor in vmcx.
CONTRADICTIONS = {('resumable-13.2', 'A')}


def mixed_forms() -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for mixed in shapes.MIXED:
        for generation in GENERATIONS:
            for vendor in VENDORS:
                request = {'generation': generation, 'vendor': vendor, 'mixed': mixed, 'devices': EVERYTHING}
                try:
                    assemble.make(assemble.Request(**request))  # type: ignore[arg-type]
                except ValueError:  # such a form cannot be
                    continue
                if (mixed, generation[0]) not in CONTRADICTIONS:
                    found.append(request)
    return found


def large_ones() -> list[dict[str, object]]:
    """Many vCPUs, of which those from 255 on have x2APIC identifiers, and RAM above 4 GiB."""
    return [{'generation': 'A', 'ncpus': 16, 'vendor': 'amd'}, {'generation': 'B', 'ncpus': 40},
            {'generation': 'C', 'ncpus': 260, 'vendor': 'intel'},
            {'generation': 'A', 'devices': EVERYTHING, 'memsize': 5 << 30},
            {'generation': 'C', 'devices': EVERYTHING, 'memsize': 5 << 30}]


# Values that the generator does not think of, by vendor and chunk.
RARE = {
    'PAE paging': ('intel', {'vmcx/vcpu[0].efer': 0x800, 'vmcx/vcpu[0].cr4': 0x20a0}),
    'shut down': ('intel', {'vmcx/vcpu[1].activity': 2}),
    'halted for ever': ('intel', {'vmcx/vcpu[1].activity': 3}),
    'an activity that does not exist': ('intel', {'vmcx/vcpu[1].activity': 9}),
    'all that blocks': ('intel', {'vmcx/vcpu[0].interruptibility': 0x1f}),
    'a selector of 64 bits': ('intel', {'vmcx/vcpu[0].DS.selector': 0x1_0000_0038, 'vmcx/vcpu[0].IDTR.limit': 0x10fff}),
    'an NMI cut short': ('intel', {'vm/vcpu[0].exitintinfo': 0x80000202}),
    'a software interrupt cut short': ('amd', {'vm/vcpu[0].exitintinfo': 0x80000480}),
    'an exception with its code cut short': ('amd', {'vm/vcpu[0].exitintinfo': 0x1234_80000b0d}),
    'a breakpoint cut short': ('intel', {'vm/vcpu[0].exitintinfo': 0x80000603}),
    'a privileged software exception cut short': ('intel', {'vm/vcpu[0].exitintinfo': 0x80000501}),
    'an event that does not exist': ('intel', {'vm/vcpu[0].exitintinfo': 0x80000341}),
    'another event that does not exist': ('intel', {'vm/vcpu[1].exitintinfo': 0x80000710}),
    'a bit beside no event': ('intel', {'vm/vcpu[0].exitintinfo': 0x30}),
    'an x2apic_state that does not exist': ('intel', {'vm/vcpu[0].x2apic_state': 7}),
    'several interrupts served': ('intel', {'vlapic/vcpu[0].isrvec_stk_top': 3}),
    'a timer of another bus': ('amd', {'vlapic/vcpu[0].timer_freq_bt.frac': 0x10_0000_0000}),
    'a timer that stands still': ('amd', {
        'vlapic/vcpu[0].timer_freq_bt.frac': 0, 'vlapic/vcpu[1].timer_freq_bt.sec': 2}),
    'an HPET of 10 MHz': ('intel', {'vhpet/freq_sbt': 429}),
    'chips in the middle of their initialisation': ('intel', {
        'vatpic/pic[0].ready': 0, 'vatpic/pic[0].icw_num': 3, 'vatpic/pic[1].ready': 0, 'vatpic/pic[1].rd_cmd_reg': 2}),
    'wires held more than once': ('intel', {
        'vatpic/pic[0].acnt[3]': 3, 'vioapic/pin[4].acnt': 2, 'vioapic/pin[5].acnt': -1}),
    'counters in the modes 6 and 7': ('intel', {
        'vatpit/ch0.mode': 0xc, 'vatpit/ch1.mode': 0xe, 'vatpit/ch2.mode': 0xb}),
    'a counter that was never loaded': ('intel', {
        'vatpit/ch1.mode': 0, 'vatpit/ch1.initial': 0, 'vatpit/ch1.crbyte': 0}),
    'a counter of 65536': ('intel', {'vatpit/ch0.initial': 0xffff}),
    'a clock that wants to interrupt': ('intel', {'vrtc/reg_b': 0x72, 'vrtc/reg_c': 0xf0, 'vrtc/reg_a': 0xa6}),
    'flags of virtio': ('intel', {'virtio-blk/vs_flags': 9, 'virtio-blk/queue[0].vq_flags': 3,
                                  'virtio-net/queue[0].vq_flags': 3}),
    'indices by event': ('intel', {
        'virtio-blk/vs_negotiated_caps': 0x30000244, 'virtio-blk/queue[0].vq_save_used': 77}),
    'two messages of MSI': ('intel', {'ahci/msi.maxmsgnum': 2, 'ahci/msi.enabled': 1}),
    'a flag that is 2': ('intel', {'e1000/irq_asserted': 2, 'ahci/lintr': 4, 'ahci/port[0].reset': 9,
                                   'e1000/uni[3].eu_valid': 5, 'xhci/event_pcs': 3}),
    'no offload': ('intel', {
        f'e1000/txctx.{name}': 0 for name in 'ip_config tcp_config cmd_and_length tcp_seg'.split()}),
    'offload without segmentation': ('intel', {'e1000/txctx.cmd_and_length': 0x20100000}),
    'an e1000 that loops': ('intel', {'e1000/RCTL': 0xc2, 'e1000/TCTL': 2, 'e1000/rx_loopback': 1}),
    'an e1000 that is silent': ('intel', {'e1000/RCTL': 0, 'e1000/TCTL': 0}),
    'a slot without a state': ('intel', {'xhci/slot[1].dev_slotstate': 0}),
    'a slot with a state that does not exist': ('intel', {'xhci/slot[1].dev_slotstate': 11}),
    'a slot that is at work': ('intel', {'xhci/slot[1].dev_slotstate': 4, 'xhci/slot[1].ep[1].head': 0,
                                         'xhci/slot[1].ep[3].ndata': 0}),
    'xHCI without rings': ('intel', {'xhci/crcr': 0, 'xhci/dcbaap': 0, 'xhci/erstba': 0, 'xhci/iman': 3}),
    'a command that waits for its byte': ('intel', {'atkbdc/curcmd': 0xd4, 'atkbdc/ctrlbyte': 0}),
    'a full keyboard': ('intel', {'atkbdc/kbd.bcnt': 15, 'atkbdc/kbd.brd': 0, 'atkbdc/ctrlbyte': 0x80fa}),
    'an empty keyboard': ('intel', {'atkbdc/kbd.bcnt': 0, 'atkbdc/kbd.brd': 0, 'atkbdc/kbd.bwr': 0,
                                    'atkbdc/ctrlbyte': 0}),
    'an AHCI command under way in a later generation': ('amd', {
        'ahci/port[0].pending': 3, 'ahci/port[0].unused0': 1, 'ahci/port[1].ioqsz': 64,
        'ahci/port[1].cmd': 0x0d00c017}),
}
