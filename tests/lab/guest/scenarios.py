#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a real Linux guest must be able to live through. Runs on the machine it is started on.

Prints one JSON line per scenario: name, outcome (passed or failed), reason, seconds.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from crossing import scenarios as crossings  # noqa: E402
from tiny import goes_on_from_every_golden_file  # noqa: E402
from vm import GuestFailure, Machine, require  # noqa: E402

NS = 1_000_000_000
SLEEP_SECONDS = 6  # between a suspend and its restore, to tell the clock policies apart
LAB = os.path.join(os.path.dirname(os.path.realpath(__file__)), '..')
CHECK_DISK = os.path.join(LAB, 'check_disk')
INDEPENDENT_READER = os.path.join(LAB, '..', 'support', 'vmsnap_reader.py')


def require_unbroken(counts, first):
    """The numbers go up by one from `first`. (That memory is whole the guest checks itself, see require_calm.)"""
    numbers = [count.number for count in counts]
    require(numbers == list(range(first, first + len(numbers))),
            f'the count has a gap or a repeat: expected {len(numbers)} numbers from {first}, got {numbers}')


def require_calm(vm):
    require(not vm.complaints(), f'the guest complained: {vm.complaints()}')


def check_whole(machine, snapshot):
    """Both readers of the format find the file whole."""
    machine.tool('check', '--level', 'full', snapshot)
    done = subprocess.run(['/usr/bin/python3', INDEPENDENT_READER, snapshot], capture_output=True,
                                        text=True, timeout=120, check=False)
    require(done.returncode == 0, f'the independent reader refused {snapshot}: {done.stdout}{done.stderr}')


def boot(machine, cpus=1, kernel=None, memory='256M'):
    with machine.run('vmsnap.workload=boot', cpus=cpus, kernel=kernel, memory=memory) as vm:
        vm.wait_for('GUEST-READY')
        status = vm.wait_for_exit()
        require(status == 0, f'snapvmm exited with {status}:\n{vm.tail()}')


def boot_elf_through_pvh(machine):
    boot(machine, kernel=machine.kernel_elf)


def require_records(image, at_least):
    """The guest's file on the disk holds every record that was counted."""
    done = subprocess.run([CHECK_DISK, '--at-least', str(at_least), image], capture_output=True, text=True,
                          timeout=120, check=False)
    require(done.returncode == 0, f'check_disk: {done.stdout}{done.stderr}')


def suspend_and_restore(machine, cpus=1, memory='256M', clock='freeze'):
    disk = machine.disk()
    snapshot = machine.path('guest.vmsnap')
    with machine.run('vmsnap.workload=count', cpus=cpus, memory=memory, disk=disk) as vm:
        vm.wait_for('GUEST-READY')
        vm.wait_for_counts(12)
        vm.ctl('suspend', snapshot)
        status = vm.wait_for_exit()
        require(status == 0, f'after suspend snapvmm exited with {status}:\n{vm.tail()}')
        require_calm(vm)
        before = vm.counts()
        line = vm.line_so_far()
    require_unbroken(before, 1)
    image = os.stat(snapshot)
    require(image.st_mode & 0o777 == 0o600, f'the snapshot has mode {image.st_mode & 0o777:o}')
    check_whole(machine, snapshot)
    with open(snapshot, 'rb') as file:
        file.seek(-64, os.SEEK_END)
        footer = file.read()
    time.sleep(SLEEP_SECONDS)

    with machine.restore(snapshot, '--clock', clock, line_so_far=line) as vm:
        vm.wait_for_counts(40)
        require_calm(vm)
        after = vm.counts()
        require_unbroken(before + after, 1)
        require_time(before[-1], after, clock)
        vm.ctl('quit')
        require(vm.wait_for_exit() == 0, 'snapvmm did not end well after quit')
    with open(snapshot, 'rb') as file:
        file.seek(-64, os.SEEK_END)
        require(file.read() == footer, 'the snapshot was written to')
    require(os.stat(snapshot).st_mtime_ns == image.st_mtime_ns, 'the snapshot was written to')
    machine.tool('check', '--level', 'full', snapshot)
    require_records(disk, at_least=after[-1].number)


def require_time(last, after, clock):
    """docs/snapvmm.1: freeze hides the time between; advance adds it to the monotonic and the wall clock.

    Compared with the host's clock over the same two lines, so that a busy machine changes nothing. Not the first
    line after the restore: the guest may have read its clocks for that one before it was saved.
    """
    later = after[3]
    gap_mono = later.mono_ns - last.mono_ns
    gap_real = later.real_ns - last.real_ns
    gap_host = round((later.seen_at - last.seen_at) * NS)
    said = f'{gap_mono / NS:.1f} s of {gap_host / NS:.1f} s, {SLEEP_SECONDS} of them asleep'
    require(gap_mono > 0, f'monotonic time went back by {-gap_mono} ns')
    require(abs(gap_mono - gap_real) < NS // 2, f'the clocks drifted apart: {gap_mono} and {gap_real} ns')
    if clock == 'freeze':
        require(gap_host - gap_mono > (SLEEP_SECONDS - 1) * NS, f'a frozen clock moved on by {said}')
    else:
        require(abs(gap_host - gap_mono) < (SLEEP_SECONDS - 1) * NS, f'an advanced clock moved on by {said}')
        wrong = gap_real - gap_host
        require(abs(wrong) < (SLEEP_SECONDS - 1) * NS, f'the wall clock of the guest is off by {wrong / NS:.1f} s')


def checkpoint_and_run_on(machine, cpus=1):
    disk = machine.disk()
    snapshot = machine.path('checkpoint.vmsnap')
    with machine.run('vmsnap.workload=count', cpus=cpus, disk=disk) as vm:
        vm.wait_for('GUEST-READY')
        vm.wait_for_counts(8)
        vm.ctl('pause')
        require(vm.ctl('status')['state'] == 'paused', 'status does not say paused')
        vm.ctl('checkpoint', snapshot)
        require(vm.ctl('status')['state'] == 'paused', 'a checkpoint resumed a paused machine')
        copy = machine.path('copy.img')
        shutil.copyfile(disk, copy)
        time.sleep(1)
        stopped = vm.counts()[-1].number
        line = vm.line_so_far()
        time.sleep(1)
        require(vm.counts()[-1].number == stopped, 'the guest counted while it was paused')
        vm.ctl('resume')
        vm.wait_for_counts(6)
        vm.ctl('checkpoint', machine.path('running.vmsnap'))
        vm.wait_for_counts(20)
        require_calm(vm)
        require_unbroken(vm.counts(), 1)
        undisturbed = {count.number: count.hash for count in vm.counts()}
        vm.ctl('quit')
        vm.wait_for_exit()
    check_whole(machine, snapshot)
    # The disk has moved on since, so the restored guest gets the copy that was made while it was paused.
    with machine.restore(snapshot, '--slot', f'disk0={copy}', line_so_far=line) as vm:
        vm.wait_for_counts(10)
        require_unbroken(vm.counts(), stopped + 1)
        require_calm(vm)
        # The hash is a function of the number and the memory, so both futures of the checkpoint must agree.
        both = [count for count in vm.counts() if count.number in undisturbed]
        require(len(both) >= 5, f'only {len(both)} numbers were counted in both futures')
        require(all(count.hash == undisturbed[count.number] for count in both), 'the two futures hash differently')
        vm.ctl('quit')
        vm.wait_for_exit()
    require_records(copy, at_least=stopped + 10)
    check_whole(machine, machine.path('running.vmsnap'))


def ten_rounds(machine, cpus=1):
    disk = machine.disk()
    counts = []
    snapshot = machine.path('round-0.vmsnap')
    with machine.run('vmsnap.workload=count vmsnap.buffer_mib=8', cpus=cpus, disk=disk) as vm:
        vm.wait_for('GUEST-READY')
        vm.wait_for_counts(4)
        vm.ctl('suspend', snapshot)
        require(vm.wait_for_exit() == 0, 'suspend failed')
        require_calm(vm)
        counts += vm.counts()
        line = vm.line_so_far()
    for number in range(1, 11):
        with machine.restore(snapshot, line_so_far=line) as vm:
            vm.wait_for_counts(4)
            following = machine.path(f'round-{number}.vmsnap')
            vm.ctl('suspend', following)
            require(vm.wait_for_exit() == 0, f'suspend {number} failed:\n{vm.tail()}')
            require_calm(vm)
            counts += vm.counts()
            line = vm.line_so_far()
        os.unlink(snapshot)
        snapshot = following
        require_unbroken(counts, 1)
    check_whole(machine, snapshot)
    require_records(disk, at_least=counts[-1].number)


def finish_after_restore(machine):
    """The guest itself re-reads its file from the disk at the end and powers off."""
    disk = machine.disk()
    snapshot = machine.path('guest.vmsnap')
    with machine.run('vmsnap.workload=count vmsnap.count_max=30', disk=disk) as vm:
        vm.wait_for_counts(10)
        vm.ctl('suspend', snapshot)
        require(vm.wait_for_exit() == 0, 'suspend failed')
    with machine.restore(snapshot) as vm:
        vm.wait_for('disk-ok records=30')
        require(vm.wait_for_exit() == 0, f'the guest did not power off well:\n{vm.tail()}')
        require_calm(vm)


def go_round_packed_rings(machine):
    """The guest's driver uses packed rings, is saved and restored in the middle of them, and reads its disk back."""
    disk = machine.disk()
    rounds = 4
    snapshots = [machine.path(f'round-{number}.vmsnap') for number in range(rounds)]
    places = set()
    line = ''
    for number, snapshot in enumerate(snapshots):
        with (machine.restore(snapshots[number - 1], line_so_far=line) if number else
              machine.run('vmsnap.workload=count vmsnap.count_max=110', disk=disk)) as vm:
            if number == 0:
                bits = vm.wait_for('virtio-features ([01]+)').group(1)
                require(bits[34] == '1', f'the driver did not accept VIRTIO_F_RING_PACKED: {bits}')
            vm.wait_for_counts(24)
            vm.ctl('suspend', snapshot)
            require(vm.wait_for_exit() == 0, f'suspend {number} failed:\n{vm.tail()}')
            require_calm(vm)
            line = vm.line_so_far()
        check_whole(machine, snapshot)
        require('packed-ring' in machine.tool('info', snapshot), 'the manifest does not name the feature packed-ring')
        queue = 'pci0/00:03.0.virtio.queues[0].'
        places.add(tuple(machine.tool('show', snapshot, queue + field).strip()
                         for field in ('next_used', 'next_used_wrap')))
    require(len(places) == rounds, f'the device was always at the same place of the ring: {places}')
    require({wrap for _, wrap in places} == {'true', 'false'}, f'the ring of 256 never went round: {places}')
    with machine.restore(snapshots[-1], line_so_far=line) as vm:
        vm.wait_for('disk-ok records=110')
        require(vm.wait_for_exit() == 0, f'the guest did not power off well:\n{vm.tail()}')
        require_calm(vm)
    require_records(disk, at_least=110)


def refuses_what_is_not_whole(machine):
    """A damaged, cut or foreign file, a missing disk and a disk in use are refused before the guest runs."""
    disk = machine.disk()
    snapshot = machine.path('guest.vmsnap')
    with machine.run('vmsnap.workload=count vmsnap.buffer_mib=4', disk=disk, memory='128M') as vm:
        vm.wait_for_counts(3)
        vm.ctl('checkpoint', snapshot)
        with machine.restore(snapshot) as second:
            status = second.wait_for_exit()
            require(status == 1 and 'disk0' in second.tail(), f'a disk in use was not refused ({status}):\n{second.tail()}')
        refused = vm.try_ctl('checkpoint', '/nonexistent-directory/x')
        require(refused.returncode == 1, f'an impossible checkpoint exited with {refused.returncode}')
        vm.wait_for_counts(3)
        vm.ctl('quit')
        vm.wait_for_exit()

    whole = open(snapshot, 'rb').read()

    def refused_with(data, status, word, *extra):
        path = machine.path('altered.vmsnap')
        with open(path, 'wb') as file:
            file.write(data)
        with machine.restore(path, *extra) as second:
            got = second.wait_for_exit()
            require(got == status, f'exit status {got}, not {status}:\n{second.tail()}')
            require(word in second.tail(), f'no "{word}" in:\n{second.tail()}')
            require(not second.counts(), 'the guest ran')

    flipped = bytearray(whole)
    data_at = next(at for at in range(len(whole) // 2, len(whole)) if whole[at] not in (0, 1))
    flipped[data_at] ^= 1
    refused_with(bytes(flipped), 4, 'offset')
    refused_with(whole[:len(whole) // 2], 4, 'incomplete')
    refused_with(b'not a snapshot' * 100, 4, 'not a vmsnap snapshot')
    refused_with(whole, 1, 'disk0', '--slot', 'disk0=/nonexistent')
    small = machine.disk('small.img', mebibytes=1)
    refused_with(whole, 2, 'disk0', '--slot', f'disk0={small}')
    refused_with(whole, 2, 'disk7', '--slot', f'disk7={small}')


def survives_kills_during_saves(machine):
    """A crash at any moment of a save leaves the old file or the new one, whole, and nothing beside it for long."""
    kills, most = 200, 1.5
    snapshot, _, _ = suspended(machine, memory='128M', counts=2)
    target = machine.path('saved/guest.vmsnap')
    folder = os.path.dirname(target)
    os.mkdir(folder)
    moment = random.Random(1)
    replaced, last = 0, None
    for number in range(kills):
        with machine.restore(snapshot, '--paused', '--verify', 'none') as vm:
            vm.wait_for_control('status')
            ctl = subprocess.Popen([vm.program, 'ctl', vm.control, 'checkpoint', target],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                # A save that is done by then was not hit; the next one is tried sooner.
                ctl.wait(timeout=moment.uniform(0, most))
                most *= 0.9
            except subprocess.TimeoutExpired:
                pass
            vm.kill()
            ctl.wait()
        os.unlink(vm.control)
        # A temporary name is given to complete files only, in the instant before they get their own.
        for name in os.listdir(folder):
            machine.tool('check', '--level', 'full' if number % 20 == 0 else 'meta', os.path.join(folder, name))
        inode = os.stat(target).st_ino if os.path.exists(target) else None
        replaced += inode != last
        last = inode
    require(0 < replaced < kills, f'{replaced} of {kills} saves were done: the kills did not come in the middle')
    with machine.restore(snapshot, '--paused', '--verify', 'none') as vm:
        vm.wait_for_control('checkpoint', target)
    require(os.listdir(folder) == ['guest.vmsnap'], f'something was left behind: {os.listdir(folder)}')


def suspended(machine, words='', cpus=1, memory='256M', counts=5):
    """A snapshot of a guest that counts, the guest's last number and its unfinished line."""
    snapshot = machine.path('guest.vmsnap')
    with machine.run(f'vmsnap.workload=count {words}', cpus=cpus, memory=memory) as vm:
        vm.wait_for_counts(counts)
        vm.ctl('suspend', snapshot)
        require(vm.wait_for_exit() == 0, f'suspend failed:\n{vm.tail()}')
        return snapshot, vm.counts()[-1].number, vm.line_so_far()


def restore_lazily(machine, cpus=1):
    """The guest reads and writes all over its memory while that is still on its way."""
    snapshot, last, line = suspended(machine, 'vmsnap.buffer_mib=128 vmsnap.churn_mib=16', cpus=cpus, memory='384M')
    with machine.restore(snapshot, '--memory', 'lazy', line_so_far=line) as vm:
        status = vm.wait_for_control('status')
        require(status['memory_from'] == 'lazy', f'status does not say that memory is lazy: {status}')
        # The guest looks at all of its buffers every 16 numbers.
        vm.wait_for_counts(36)
        require_unbroken(vm.counts(), last + 1)
        require_calm(vm)
        require(vm.ctl('status')['memory_filled'], 'memory is not filled after a full round of the guest')
        following = machine.path('following.vmsnap')
        vm.ctl('suspend', following)
        require(vm.wait_for_exit() == 0, f'suspend failed:\n{vm.tail()}')
        last, line = vm.counts()[-1].number, vm.line_so_far()
    check_whole(machine, following)
    with machine.restore(following, '--memory', 'eager', line_so_far=line) as vm:
        vm.wait_for_counts(20)
        require_unbroken(vm.counts(), last + 1)
        require_calm(vm)
        require(vm.ctl('status')['memory_from'] == 'eager', 'status does not say that memory is eager')
        vm.ctl('quit')
        require(vm.wait_for_exit() == 0, 'snapvmm did not end well after quit')


def save_while_restoring_lazily(machine):
    """A checkpoint at once after a lazy restore holds all memory, not what happens to be there."""
    snapshot, last, line = suspended(machine, 'vmsnap.buffer_mib=128', memory='384M')
    copies = [machine.path('paused.vmsnap'), machine.path('running.vmsnap')]
    with machine.restore(snapshot, '--memory', 'lazy', '--paused') as vm:
        summary = vm.wait_for_control('checkpoint', copies[0])
        require(int(summary['ram_data_bytes']) > 128 << 20, f'too little memory was saved: {summary}')
        vm.ctl('quit')
        require(vm.wait_for_exit() == 0, 'snapvmm did not end well after quit')
    with machine.restore(snapshot, '--memory', 'lazy', line_so_far=line) as vm:
        vm.wait_for_control('suspend', copies[1])
        require(vm.wait_for_exit() == 0, f'suspend failed:\n{vm.tail()}')
        require_calm(vm)
        moved_on = vm.counts()[-1].number if vm.counts() else last
        moved_line = vm.line_so_far()
    for copy, first, begun in ((copies[0], last + 1, line), (copies[1], moved_on + 1, moved_line)):
        check_whole(machine, copy)
        with machine.restore(copy, line_so_far=begun) as vm:
            vm.wait_for_counts(20)
            require_unbroken(vm.counts(), first)
            require_calm(vm)
            vm.ctl('quit')
            require(vm.wait_for_exit() == 0, 'snapvmm did not end well after quit')


def end_when_lazy_memory_is_damaged(machine):
    """Damage that only shows when its turn comes ends the machine with the place, and nothing hangs."""
    snapshot, _, _ = suspended(machine, 'vmsnap.buffer_mib=64', cpus=2)
    with open(snapshot, 'rb') as file:
        data = bytearray(file.read())
    # In the memory at the front, in the middle and at the end: somebody waits for it, or nobody, when it is found.
    places = [at for at in range(4 << 20, 250 << 20, 4096) if data[at] not in (0, 1)]
    for at in (places[0], places[len(places) // 2], places[-1]):
        damaged = machine.path('damaged.vmsnap')
        data[at] ^= 2
        with open(damaged, 'wb') as file:
            file.write(data)
        data[at] ^= 2
        for extra in ((), ('--paused',)):
            with machine.restore(damaged, '--memory', 'lazy', *extra) as vm:
                status = vm.wait_for_exit()
                require(status == 4, f'exit status {status}, not 4:\n{vm.tail()}')
                require('bytes of guest memory from 0x' in vm.errors(), f'the extent is not named:\n{vm.tail()}')
        with machine.restore(damaged, '--memory', 'lazy', '--verify', 'full') as vm:
            require(vm.wait_for_exit() == 4 and not vm.counts(), f'a full verification missed it:\n{vm.tail()}')


def finished(ctl, status=0):
    """The words of a ctl that was started, which ends with `status`."""
    errors = ctl.stderr.read().decode()
    require(ctl.wait(timeout=120) == status, f'ctl exited with {ctl.returncode}, not {status}: {errors}')
    return errors


def hand_over_through_a_pipe(machine, cpus=1):
    """A guest goes from one snapvmm to the next and the next, through pipes alone."""
    disk = machine.disk()
    vm = machine.run('vmsnap.workload=count', cpus=cpus, disk=disk)
    counts = []
    try:
        for words in ((), ('--compress', 'lz4')):
            vm.wait_for_counts(8)
            ctl = vm.start_ctl('suspend', '-', *words)

            def line_so_far(left=vm):
                left.wait_for_exit()
                return left.line_so_far()

            following = machine.restore('-', line_so_far=line_so_far, stdin=ctl.stdout)
            ctl.stdout.close()
            summary = json.loads(finished(ctl))
            require('file' not in summary and int(summary['file_size']) > 16 << 20, f'an odd summary: {summary}')
            require(vm.wait_for_exit() == 0, f'suspend failed:\n{vm.tail()}')
            require_calm(vm)
            counts += vm.counts()
            vm = following
        vm.wait_for_counts(20)
        require_calm(vm)
        require_unbroken(counts + vm.counts(), 1)
        require(vm.ctl('status')['memory_from'] == 'eager', 'status does not say that memory was read')
        vm.ctl('quit')
        require(vm.wait_for_exit() == 0, 'snapvmm did not end well after quit')
        counts += vm.counts()
    finally:
        vm.__exit__()
    require(not any(name.endswith('.vmsnap') for name in os.listdir(machine.scratch)), 'a file was written')
    require_records(disk, at_least=counts[-1].number)


def stream_that_fails(machine):
    """A stream that nobody reads to its end, or that is no whole snapshot, changes nothing for the guest."""
    with machine.run('vmsnap.workload=count', memory='128M') as vm:
        vm.wait_for_counts(4)
        ctl = vm.start_ctl('suspend', '-')
        beginning = ctl.stdout.read(100_000)
        ctl.stdout.close()
        errors = finished(ctl, status=1)
        require('has gone away' in errors, f'not the reason: {errors}')
        vm.wait_for_counts(4)

        with open('/dev/full', 'wb') as full:
            errors = finished(vm.start_ctl('checkpoint', '-', stdout=full), status=1)
        require('No space left' in errors, f'not the reason: {errors}')
        vm.wait_for_counts(4)

        part = machine.path('part')
        with open(part, 'wb') as file:
            file.write(beginning)
        with open(part, 'rb') as file, machine.restore('-', stdin=file) as second:
            require(second.wait_for_exit() == 4, f'a part of a stream was not refused:\n{second.tail()}')
            require('standard input: offset 100000' in second.errors(), f'not the place:\n{second.tail()}')

        # A file is a stream too, and what is in it is a snapshot like any other.
        whole = machine.path('whole.vmsnap')
        with open(whole, 'wb', opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            finished(vm.start_ctl('checkpoint', '-', '--compress', 'lz4', stdout=file))
        # The independent reader would take minutes to decompress it here.
        machine.tool('check', '--level', 'full', whole)
        vm.ctl('checkpoint', machine.path('extents.vmsnap'), '--encoding', 'extents')
        check_whole(machine, machine.path('extents.vmsnap'))

        # A reader that does not read holds the guest up, but not the end of the machine.
        vm.wait_for_counts(4)
        require_unbroken(vm.counts(), 1)
        require_calm(vm)
        ctl = vm.start_ctl('checkpoint', '-')
        ctl.stdout.read(1)
        vm.process.terminate()
        require(vm.wait_for_exit() == 0, f'snapvmm did not end well:\n{vm.tail()}')
        ctl.stdout.close()
        require('cancelled' in finished(ctl, status=1), 'the checkpoint was not cancelled')


def hand_over_while_the_source_waits(machine):
    """The source keeps its guest, paused, until the target has all of it: a target that fails costs nothing."""
    source = machine.run('vmsnap.workload=count')
    target = None
    try:
        source.wait_for_counts(8)
        source.ctl('pause')

        # This target has not all of what it needs: it ends, and the source's guest goes on.
        ctl = source.start_ctl('checkpoint', '-')
        with machine.restore('-', '--slot', 'disk0=/nonexistent', stdin=ctl.stdout) as wrong:
            ctl.stdout.close()
            finished(ctl)
            require(wrong.wait_for_exit() == 2, f'a target without such a slot did not end:\n{wrong.tail()}')
        require(source.ctl('status')['state'] == 'paused', 'the source does not wait')
        source.ctl('resume')
        source.wait_for_counts(8)

        source.ctl('pause')
        ctl = source.start_ctl('checkpoint', '-', '--compress', 'lz4')

        def line_so_far():
            source.wait_for_exit()
            return source.line_so_far()

        target = machine.restore('-', '--paused', line_so_far=line_so_far, stdin=ctl.stdout)
        ctl.stdout.close()
        finished(ctl)
        require(target.wait_for_control('status')['state'] == 'paused', 'the target does not wait')
        source.ctl('quit')
        require(source.wait_for_exit() == 0, f'the source did not end well:\n{source.tail()}')
        target.ctl('resume')
        target.wait_for_counts(20)
        require_unbroken(source.counts() + target.counts(), 1)
        require_calm(source)
        require_calm(target)
        target.ctl('quit')
        require(target.wait_for_exit() == 0, 'snapvmm did not end well after quit')
    finally:
        source.__exit__()
        if target:
            target.__exit__()


def hand_over_a_disk_through_a_file(machine):
    """With a disk the source has to end first: it waits, paused, until the file has been checked."""
    disk = machine.disk()
    arrived = machine.path('arrived.vmsnap')
    with machine.run('vmsnap.workload=count', disk=disk) as source:
        source.wait_for_counts(8)
        source.ctl('pause')
        ctl = source.start_ctl('checkpoint', '-')
        with machine.restore('-', '--paused', stdin=ctl.stdout) as early:
            ctl.stdout.close()
            finished(ctl)
            require(early.wait_for_exit() == 1 and 'disk0' in early.errors(), f'two have the disk:\n{early.tail()}')
        with open(arrived, 'wb', opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            finished(source.start_ctl('checkpoint', '-', stdout=file))
        machine.tool('check', '--level', 'full', arrived)
        source.ctl('quit')
        require(source.wait_for_exit() == 0, f'the source did not end well:\n{source.tail()}')
        before, line = source.counts(), source.line_so_far()
    with machine.restore(arrived, line_so_far=line) as target:
        target.wait_for_counts(20)
        require_calm(target)
        require_unbroken(before + target.counts(), 1)
        target.ctl('quit')
        require(target.wait_for_exit() == 0, 'snapvmm did not end well after quit')
        last = target.counts()[-1].number
    require_records(disk, at_least=last)


def restore_what_was_recovered(machine):
    """Without its end, and without memory that was zero anyway, a guest goes on, but only if the operator says so."""
    snapshot, last, line = suspended(machine, memory='128M')
    chunks = json.loads(machine.tool('ls', '--json', snapshot))['chunks']
    with open(snapshot, 'rb') as file:
        whole = file.read()

    def rescued(data):
        damaged, rescued_file = machine.path('damaged.vmsnap'), machine.path('rescued.vmsnap')
        with open(damaged, 'wb') as file:
            file.write(data)
        machine.tool('recover', damaged, rescued_file, expect=3)
        machine.tool('check', '--level', 'full', rescued_file, expect=3)
        return rescued_file

    memory = next(chunk for chunk in chunks if chunk['type'] == 'RAMF')
    begin, size, extent = int(memory['body_offset']), int(memory['body_size']), 256 << 10
    zero = next(at for at in range(begin, begin + size, extent) if not whole[at:at + extent].strip(b'\0'))
    end = next(int(chunk['offset']) for chunk in chunks if chunk['type'] == 'END ')
    damaged = bytearray(whole[:end])
    damaged[zero] = 1
    file = rescued(bytes(damaged))
    with machine.restore(file) as vm:
        require(vm.wait_for_exit() == 5, f'what was recovered was not refused:\n{vm.tail()}')
        require('--allow-recovered' in vm.errors() and not vm.counts(), f'the option is not named:\n{vm.tail()}')
    with machine.restore(file, '--allow-recovered', line_so_far=line) as vm:
        vm.wait_for_counts(20)
        require_calm(vm)
        require_unbroken(vm.counts(), last + 1)
        following = machine.path('following.vmsnap')
        vm.ctl('suspend', following)
        require(vm.wait_for_exit() == 0, f'suspend failed:\n{vm.tail()}')
    # What the guest is saved to lacks nothing.
    check_whole(machine, following)

    uart = next(chunk for chunk in chunks if chunk['type'] == 'UART')
    damaged = bytearray(whole)
    damaged[int(uart['offset']) + 64 + int(uart['meta_size']) - 1] ^= 1
    file = rescued(bytes(damaged))
    with machine.restore(file, '--allow-recovered') as vm:
        require(vm.wait_for_exit() == 5, f'a machine without its console was not refused:\n{vm.tail()}')
        require('isa0/uart@3f8' in vm.errors() and not vm.counts(), f'the device is not named:\n{vm.tail()}')


SCENARIOS = {
    'boots on one CPU': lambda m: boot(m, cpus=1),
    'boots on two CPUs': lambda m: boot(m, cpus=2),
    'boots with memory above the hole': lambda m: boot(m, memory='5G'),
    'boots an ELF kernel through PVH': boot_elf_through_pvh,
    'suspends and restores on one CPU': lambda m: suspend_and_restore(m, cpus=1),
    'suspends and restores on two CPUs': lambda m: suspend_and_restore(m, cpus=2),
    'suspends and restores memory above the hole': lambda m: suspend_and_restore(m, cpus=1, memory='3200M'),
    'restores with the clocks advanced': lambda m: suspend_and_restore(m, cpus=1, clock='advance'),
    'restores with the clocks advanced on two CPUs': lambda m: suspend_and_restore(m, cpus=2, clock='advance'),
    'runs on after a checkpoint, which restores too': lambda m: checkpoint_and_run_on(m, cpus=1),
    'runs on after a checkpoint on two CPUs': lambda m: checkpoint_and_run_on(m, cpus=2),
    'lives through ten rounds on one CPU': lambda m: ten_rounds(m, cpus=1),
    'lives through ten rounds on two CPUs': lambda m: ten_rounds(m, cpus=2),
    'reads its disk back after a restore and powers off': finish_after_restore,
    'reads its disk back through packed rings after four restores': go_round_packed_rings,
    'restored lazily while it hashes its memory': lambda m: restore_lazily(m, cpus=1),
    'restored lazily while it hashes its memory on two CPUs': lambda m: restore_lazily(m, cpus=2),
    'saves while it is restored lazily': save_while_restoring_lazily,
    'ends when memory that is restored lazily is damaged': end_when_lazy_memory_is_damaged,
    'goes through a pipe into another snapvmm': lambda m: hand_over_through_a_pipe(m, cpus=1),
    'goes through a pipe into another snapvmm on two CPUs': lambda m: hand_over_through_a_pipe(m, cpus=2),
    'goes on after a stream that fails': stream_that_fails,
    'waits until the other snapvmm has all of it': hand_over_while_the_source_waits,
    'waits until the file with all of it is checked': hand_over_a_disk_through_a_file,
    'goes on after it was recovered from a damaged file': restore_what_was_recovered,
    'goes on from every golden file': goes_on_from_every_golden_file,
    'refuses what is not whole': refuses_what_is_not_whole,
    'keeps the old file or the new one when killed during saves': survives_kills_during_saves,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--programs', help='build directory')
    parser.add_argument('--kernel')
    parser.add_argument('--kernel-elf')
    parser.add_argument('--initrd')
    parser.add_argument('--cpu-profile', default='host')
    parser.add_argument('--log', default='/dev/null', help='file for everything the guests print')
    parser.add_argument('--release', action='append', default=[], metavar='LEVEL=DIRECTORY',
                        help='programs of an earlier release; may be given more than once')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('names', nargs='*')
    arguments = parser.parse_args()
    releases = {int(level): programs for level, programs in (text.split('=', 1) for text in arguments.release)}
    known = {**SCENARIOS, **crossings(releases)}
    if arguments.list:
        print('\n'.join(known))
        return 0
    failed = False
    for name in arguments.names or known:
        begun = time.monotonic()
        reason = ''
        with open(arguments.log, 'a', encoding='utf-8') as log, tempfile.TemporaryDirectory() as scratch:
            log.write(f'=== {name}\n')
            try:
                known[name](Machine(arguments.programs, arguments.kernel, arguments.kernel_elf, arguments.initrd, scratch,
                                    arguments.cpu_profile, log, releases))
            except GuestFailure as error:
                reason = str(error)
            except Exception:  # a fault of the test itself is a failure with its traceback
                reason = traceback.format_exc()
        failed = failed or bool(reason)
        print(json.dumps({'name': name, 'outcome': 'failed' if reason else 'passed', 'reason': reason,
                          'seconds': round(time.monotonic() - begun, 1)}), flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
