# SPDX-License-Identifier: BSD-2-Clause
"""A guest goes from an earlier release of snapvmm to this one and back, and an earlier snaptool reads what this one wrote.

Each scenario takes `machine`, this build's programs, and `old`, those of an earlier release (compat/releases.txt).
"""

import json

from vm import require


def require_count_goes_on(vm, counts, more=15):
    """`vm` counts on where `counts` ends, and the guest finds nothing wrong. Returns all counts so far."""
    vm.wait_for_counts(more)
    require(not vm.complaints(), f'the guest complained: {vm.complaints()}')
    together = counts + vm.counts()
    numbers = [count.number for count in together]
    require(numbers == list(range(1, len(numbers) + 1)), f'the count has a gap or a repeat: {numbers}')
    return together


def suspend(vm, counts, snapshot, *options):
    """Suspends `vm` and returns all counts so far and the console's unfinished line."""
    vm.ctl('suspend', snapshot, *options)
    require(vm.wait_for_exit() == 0, f'suspend failed:\n{vm.tail()}')
    require(not vm.complaints(), f'the guest complained: {vm.complaints()}')
    return counts + vm.counts(), vm.line_so_far()


def require_level(machine, snapshot, level):
    found = json.loads(machine.tool('info', '--json', snapshot))['release_level']
    require(found == level, f'{snapshot} is of release level {found}, not {level}')
    machine.tool('check', '--level', 'full', snapshot)


def quit_well(vm):
    vm.ctl('quit')
    require(vm.wait_for_exit() == 0, f'snapvmm did not end well after quit:\n{vm.tail()}')


def there_and_back(machine, old, cpus=1):
    """Suspended by the old release, restored by this one, suspended for the old level, restored by the old release."""
    disk = machine.disk()
    first, second = machine.path('old.vmsnap'), machine.path('for-old.vmsnap')
    with old.run('vmsnap.workload=count', cpus=cpus, disk=disk) as vm:
        vm.wait_for_counts(8)
        counts, line = suspend(vm, [], first)
    require_level(machine, first, old.level)
    with machine.restore(first, line_so_far=line) as vm:
        require_count_goes_on(vm, counts)
        counts, line = suspend(vm, counts, second, '--level', str(old.level))
    require_level(machine, second, old.level)
    old.tool('check', '--level', 'full', second)
    with old.restore(second, line_so_far=line) as vm:
        require_count_goes_on(vm, counts)
        quit_well(vm)


def back_by_migration(machine, old, cpus=1):
    """A machine of this release that keeps to the old level is suspended at this one's; snaptool migrate brings it down."""
    disk = machine.disk()
    here, there = machine.path('here.vmsnap'), machine.path('there.vmsnap')
    with machine.run('vmsnap.workload=count', cpus=cpus, disk=disk, extra=['--level', str(old.level)]) as vm:
        vm.wait_for_counts(8)
        counts, line = suspend(vm, [], here, '--level', str(machine.level))
    require_level(machine, here, machine.level)
    machine.tool('migrate', here, there, '--to-level', str(old.level))
    require_level(machine, there, old.level)
    with old.restore(there, line_so_far=line) as vm:
        require_count_goes_on(vm, counts)
        quit_well(vm)
    # And up again, which the file need not be for this snapvmm, but may.
    again = machine.path('again.vmsnap')
    machine.tool('migrate', there, again, '--to-level', str(machine.level))
    require_level(machine, again, machine.level)


def refused_where_the_guest_would_notice(machine, old):
    """A guest that uses what the old level cannot say is not saved for it, and goes on; the old snaptool still shows it all."""
    disk = machine.disk()
    refused, snapshot = machine.path('refused.vmsnap'), machine.path('guest.vmsnap')
    with machine.run('vmsnap.workload=count', disk=disk) as vm:
        vm.wait_for_counts(8)
        done = vm.try_ctl('suspend', refused, '--level', str(old.level))
        require(done.returncode != 0, 'the guest uses a packed ring, and was saved for a level without one')
        require('pci0/00:03.0' in done.stderr and 'packed' in done.stderr, f'not the reason: {done.stderr}')
        counts = require_count_goes_on(vm, [])
        counts, line = suspend(vm, [], snapshot)
    require_level(machine, snapshot, machine.level)
    machine.tool('migrate', snapshot, refused, '--to-level', str(old.level), expect=5)
    with old.restore(snapshot) as vm:
        status = vm.wait_for_exit()
        require(status not in (0, 4) and not vm.counts(), f'the old release exited with {status}:\n{vm.tail()}')
    devices = json.loads(machine.tool('show', '--json', snapshot, 'manifest'))
    shown = 0
    for device in devices['devices']:
        ours, theirs = (tool('show', '--json', snapshot, device['path']) for tool in (machine.tool, old.tool))
        require(json.loads(ours) == json.loads(theirs), f'the two show {device["path"]} differently')
        shown += 1
    require(shown > 10, f'only {shown} devices were shown')
    with machine.restore(snapshot, line_so_far=line) as vm:
        require_count_goes_on(vm, counts)
        quit_well(vm)


def scenarios(levels):
    """Name to function, for each of the levels that earlier releases stand for."""
    found = {}
    for level in levels:
        def of(function, level=level, **extra):
            return lambda machine: function(machine, machine.of_level(level), **extra)
        found[f'goes on here and back there, from level {level}'] = of(there_and_back)
        found[f'goes on here and back there, from level {level}, on two CPUs'] = of(there_and_back, cpus=2)
        found[f'goes back to level {level} by snaptool migrate'] = of(back_by_migration)
        found[f'is not saved for level {level} where it would notice'] = of(refused_where_the_guest_would_notice)
    return found
