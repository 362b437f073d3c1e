#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""hostile_test.py SNAPTOOL MIB: sets that are damaged, or made to damage their reader, in every command.

Whatever a set holds, the program ends by itself with a documented status, in MIB of memory; a refusal is one line
that says where the fault is; conversion leaves no file behind unless it succeeds, and none beside the one it was told
to write.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterable

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from bhyve import assemble, hostile  # noqa: E402

SNAPTOOL = sys.argv[1]
SETS = {'A': 'net,blk,ahci:inflight=2,xhci', 'C': 'blk,net,ahci,xhci'}
COMMANDS = {
    'info': [], 'ls': [], 'show': [], 'show json': ['--json'], 'check': [], 'explain': ['--for', 'snapvmm'],
    'convert': ['--from', 'bhyve', '--json'], 'dry run': ['--from', 'bhyve', '--dry-run', '--fields'],
}
# 0 done; 1 the system refused; 2 usage, for what a person named; 3 warnings; 4 damaged; 5 unsupported.
DONE, REFUSED = {0, 3}, {1, 4, 5}
# In a file, an entry or chunk, a key or a field of it; or the file is missing or cannot be one of a set at all.
WHERE = re.compile(rb': (offset \d+|chunk |it has \d+ bytes)| is missing, ')
MOST_MEMORY = int(sys.argv[2]) << 20


class Outcome:
    def __init__(self, command: str, base: str, folder: str) -> None:
        name = {'show json': 'show', 'dry run': 'convert'}.get(command, command)
        self.target = os.path.join(folder, 'out', 'converted')
        target = [self.target] if command == 'convert' else []
        with open(os.path.join(folder, 'stdout'), 'wb+') as out, open(os.path.join(folder, 'stderr'), 'wb+') as errors:
            process = subprocess.Popen([SNAPTOOL, name, *COMMANDS[command], base, *target], stdout=out, stderr=errors,
                                       stdin=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            for file in (out, errors):
                file.seek(0)
            self.stdout, self.stderr = out.read(), errors.read()
        self.status = process.returncode
        self.memory = used.ru_maxrss * 1024


class Hostile(unittest.TestCase):
    def setUp(self) -> None:
        self.in_memory = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None

    def faults(self, folder: str, base: str, command: str) -> tuple[list[str], int]:
        before = sorted(os.listdir(folder))
        os.mkdir(os.path.join(folder, 'out'))
        one = Outcome(command, base, folder)
        found = []
        if one.status not in DONE | REFUSED:
            found.append(f'exit status {one.status}: {one.stderr[:300]!r}')
        if one.memory > MOST_MEMORY:
            found.append(f'{one.memory >> 20} MiB of memory')
        if one.stderr and (not one.stderr.startswith(b'snaptool: ') or one.stderr.count(b'\n') != 1):
            found.append(f'not one line: {one.stderr[:300]!r}')
        if any(byte < 32 and byte != 10 or byte == 127 for byte in one.stderr):
            found.append(f'control characters: {one.stderr[:300]!r}')
        # What is wrong is told on standard error; by check among its findings, by explain device by device.
        if one.status in REFUSED and not one.stderr and (command not in ('check', 'explain') or not one.stdout):
            found.append('refused without a word')
        if one.stderr and not any(os.fsencode(base + suffix) in one.stderr for suffix in ('.kern', '.meta', '')):
            found.append(f'names no file: {one.stderr[:300]!r}')
        left = sorted(os.listdir(os.path.join(folder, 'out')))
        if left != (['converted'] if command == 'convert' and one.status in DONE else []):
            found.append(f'status {one.status}, and there is {left}')
        if '--json' in COMMANDS[command] and one.status in DONE:
            json.loads(one.stdout)
        if command == 'convert' and one.status in REFUSED and not WHERE.search(one.stderr):
            found.append(f'does not say where: {one.stderr[:300]!r}')
        if left:
            found += self.comes_back(base, one.target)
            os.unlink(one.target)
        os.rmdir(os.path.join(folder, 'out'))
        if sorted(set(os.listdir(folder)) - {'stdout', 'stderr'}) != sorted(set(before) - {'stdout', 'stderr'}):
            found.append(f'files are there that nobody asked for: {os.listdir(folder)}')
        return [f'{command}: {fault}' for fault in found], one.status

    def comes_back(self, base: str, converted: str) -> list[str]:
        """What was converted is whole, and goes back into the same three files."""
        back = converted + '.back'
        faults = []
        for command, allowed in ((['check', '--level', 'full', converted], {0, 3}),
                                 (['convert', '--to', 'bhyve', converted, back], {0})):
            done = subprocess.run([SNAPTOOL, *command], capture_output=True, check=False)
            if done.returncode not in allowed:
                faults.append(f'{command[0]} of what was converted: {done.returncode}: {done.stderr[:300]!r}')
        for suffix in ('', '.kern', '.meta'):
            if os.path.exists(back + suffix):
                with open(base + suffix, 'rb') as was, open(back + suffix, 'rb') as is_now:
                    if was.read() != is_now.read():
                        faults.append(f'{suffix or "memory"} does not come back as it was')
                os.unlink(back + suffix)
        return faults

    def run_all(self, sets: list[dict[str, object]], commands: Iterable[str]) -> collections.Counter[str]:
        """Each set in each command. Gives how many sets were converted, and how many refused."""
        def work(request: dict[str, object]) -> tuple[dict[str, object], list[str], int]:
            with tempfile.TemporaryDirectory(dir=self.in_memory) as folder:
                base = os.path.join(folder, 'vm')
                patches = request.get('patches', {})
                draft = assemble.make(assemble.Request(**{'memsize': 8 << 20, **{
                    name: value for name, value in request.items() if name != 'patches'}}))  # type: ignore[arg-type]
                for where, value in patches.items():  # type: ignore[attr-defined]
                    chunk, _, path = where.partition('/')
                    draft.chunk(chunk).patch(path, value)
                if patches:
                    draft.kern = b''.join(bytes(chunk.data) for chunk in draft.all_chunks())
                assemble.save(draft, base)
                found, status = [], 0
                for command in commands:
                    faults, last = self.faults(folder, base, command)
                    found += faults
                    status = last if command == 'convert' else status
                return request, found, status

        counts: collections.Counter[str] = collections.Counter()
        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            for request, found, status in pool.map(work, sets):
                counts['converted' if status in DONE else 'refused'] += 1
                with self.subTest(**request):
                    self.assertEqual(found, [])
        return counts

    def test_every_variant_in_every_command(self) -> None:
        sets = []
        for generation, devices in SETS.items():
            for name in hostile.VARIANTS:
                request = {'generation': generation, 'devices': devices, 'hostile': name}
                try:
                    assemble.make(assemble.Request(**{**request, 'memsize': 8 << 20}))  # type: ignore[arg-type]
                except ValueError:  # not for this generation
                    continue
                sets.append(request)
        counts = self.run_all(sets, COMMANDS)
        print(f'{len(sets)} hostile sets in {len(COMMANDS)} commands: {dict(counts)}')
        self.assertGreater(len(sets), 160)
        self.assertGreater(counts['refused'], 90)
        self.assertGreater(counts['converted'], 40)

    def test_every_number_at_its_limits(self) -> None:
        """Each number of a device, and of what the kernel keeps once, that says how many or where: in turn at values
        that no bhyve writes."""
        sets = [{'generation': generation, 'devices': DEVICES, 'patches': {path: value}}
                for generation, paths in NUMBERS.items() for path in paths for value in LIMITS]
        counts = self.run_all(sets, FEWER_COMMANDS)
        print(f'{len(sets)} sets with a number at a limit in {len(FEWER_COMMANDS)} commands: {dict(counts)}')
        self.assertGreater(counts['converted'], 60)
        self.assertGreater(counts['refused'], 5)


DEVICES = 'blk,net,ahci:ports=2,xhci,e1000,atkbdc'
LIMITS = (-1, 0x7fffffff)
FEWER_COMMANDS = ('show json', 'check', 'convert')
EVERYWHERE = (
    'ahci/ports', 'ahci/port[1].port', 'ahci/port[0].ioqsz', 'ahci/port[0].pending', 'ahci/port[1].mult_sectors',
    'xhci/device[1].index', 'xhci/slot[1].map', 'xhci/slot[9].map', 'xhci/slot[1].dev_slotstate',
    'xhci/slot[1].ep[1].ndata', 'xhci/slot[1].ep[3].head', 'xhci/slot[1].ep[1].tail',
    'xhci/slot[1].ep[1].block[0].blen',
    'xhci/slot[1].hci_port', 'xhci/slot[1].hci_address', 'xhci/usb2_port_start', 'xhci/usb3_port_start',
    'xhci/er_enq_idx', 'xhci/er_enq_seg', 'xhci/er_deq_seg', 'xhci/slot[1].tablet.newdata',
    'lpc/uart[0].rxfifo.rindex', 'lpc/uart[1].rxfifo.num', 'lpc/uart[2].rxfifo.size', 'lpc/uart[3].rxfifo.windex',
    'atkbdc/kbd.brd', 'atkbdc/kbd.bcnt', 'atkbdc/kbd.bwr', 'e1000/tx_enabled', 'e1000/irq_asserted',
    'virtio-blk/msi.maxmsgnum', 'virtio-blk/msix.table_bar', 'virtio-blk/msix.pba_size', 'virtio-blk/bar[0].type',
    'virtio-net/bar[1].type', 'virtio-blk/vs_curq', 'virtio-net/vs_flags', 'virtio-net/rx_merge',
    'vatpic/pic[0].icw_num', 'vatpic/pic[0].lowprio', 'vatpic/pic[1].irq_base', 'vatpic/pic[0].acnt[0]',
    'vatpit/ch0.crbyte', 'vatpit/ch1.frbyte', 'vatpit/ch2.mode', 'vioapic/pin[0].acnt', 'vlapic/vcpu[0].isrvec_stk_top',
    'vm/vcpu[0].x2apic_state', 'vm/vcpu[0].exc_vector', 'vm/vcpu[0].exitinfo.exitcode',
)
NUMBERS = {
    'A': ('xhci/ndevices', 'ahci/port[0].busy[0].index', 'ahci/port[0].busy[0].br_iovcnt',
          'ahci/port[0].ioreq[7].slot', 'ahci/port[1].free[1]', 'vlapic/vcpu[0].boot_state',
          'ahci/port[0].blockif.sectsz'),
    'C': EVERYWHERE,
}


if __name__ == '__main__':
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
