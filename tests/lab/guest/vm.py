# SPDX-License-Identifier: BSD-2-Clause
"""Drives one snapvmm process: starts it, reads its console, talks to its control socket."""

import copy
import itertools
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time

COUNT = re.compile(r'^count (\d+) mono_ns=(\d+) real_ns=(\d+) hash=([0-9a-f]+)')
# Words by which the guest's workload or its kernel says that something is wrong with it.
COMPLAINTS = re.compile(r'hash-bad|time-bad|xmm-bad|disk-bad|soft lockup|rcu.*stall|BUG:|Oops|Call Trace|'
                        r'clocksource.*unstable|hung task|I/O error', re.I)


class GuestFailure(Exception):
    """What a scenario found wrong."""


def require(condition, message):
    if not condition:
        raise GuestFailure(message)


class Count:
    """One line of the workload."""

    def __init__(self, match, seen_at):
        self.number = int(match.group(1))
        self.mono_ns = int(match.group(2))
        self.real_ns = int(match.group(3))
        self.hash = match.group(4)
        self.seen_at = seen_at


class Vm:
    """A running snapvmm. `arguments` is everything after the program's name."""

    def __init__(self, program, arguments, control, log, line_so_far='', stdin=subprocess.DEVNULL):
        """`line_so_far`: what the console of the machine that this one continues had printed of its last line, or a
        function that tells once this one prints."""
        self._line_so_far = line_so_far
        self._pending = b''
        self.program = program
        self.control = control
        self.lines = []
        self._changed = threading.Condition()
        self._log = log
        self._log.write(f"$ snapvmm {' '.join(arguments)}\n")
        self._errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([program, *arguments], stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=self._errors)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(timeout=5)

    def _read(self):
        begun = False
        while chunk := self.process.stdout.read1(4096):
            if not begun:
                line = self._line_so_far() if callable(self._line_so_far) else self._line_so_far
                chunk = line.encode() + chunk
                begun = True
            with self._changed:
                *lines, self._pending = (self._pending + chunk).split(b'\n')
                for raw in lines:
                    line = raw.decode('utf-8', 'replace').rstrip('\r')
                    self.lines.append((line, time.monotonic()))
                    self._log.write(line + '\n')
                self._log.flush()
                self._changed.notify_all()
        with self._changed:
            if self._pending:
                self._log.write(self._pending.decode('utf-8', 'replace') + '\n')
            self.lines.append((None, time.monotonic()))
            self._changed.notify_all()

    def line_so_far(self):
        """The console's last, unfinished line: a save may come in the middle of one."""
        if self.process.poll() is not None:
            self._reader.join(timeout=5)
        with self._changed:
            return self._pending.decode('utf-8', 'replace')

    def wait_for(self, pattern, timeout=90, start=0):
        """The first match of `pattern` in the lines from `start` on."""
        regex = re.compile(pattern)
        deadline = time.monotonic() + timeout
        at = start
        with self._changed:
            while True:
                while at < len(self.lines):
                    line, _ = self.lines[at]
                    if line is None:
                        raise GuestFailure(f'snapvmm ended before "{pattern}" appeared; its last lines:\n{self.tail()}')
                    match = regex.search(line)
                    if match:
                        return match
                    at += 1
                left = deadline - time.monotonic()
                if left <= 0:
                    raise GuestFailure(f'no "{pattern}" within {timeout} s; the last lines:\n{self.tail()}')
                self._changed.wait(left)

    def wait_for_counts(self, more, timeout=90):
        """Waits until `more` further count lines have been printed and returns the last."""
        target = len(self.counts()) + more
        deadline = time.monotonic() + timeout
        with self._changed:
            while len(self._counts()) < target:
                left = deadline - time.monotonic()
                if left <= 0 or (self.lines and self.lines[-1][0] is None):
                    raise GuestFailure(f'{len(self._counts())} count lines, {target} awaited; the last lines:\n{self.tail()}')
                self._changed.wait(left)
            return self._counts()[-1]

    def _counts(self):
        return [Count(match, at) for line, at in self.lines if line is not None and (match := COUNT.match(line))]

    def counts(self):
        with self._changed:
            return self._counts()

    def errors(self):
        """What snapvmm itself said on standard error."""
        self._errors.seek(0)
        return self._errors.read().decode('utf-8', 'replace')

    def tail(self, lines=25):
        return self.errors() + '\n'.join('    | ' + line for line, _ in self.lines[-lines:] if line is not None)

    def wait_for_exit(self, timeout=60):
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise GuestFailure(f'snapvmm did not end within {timeout} s; the last lines:\n{self.tail()}') from error
        self._reader.join(timeout=5)
        return status

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join(timeout=5)

    def ctl(self, *words, timeout=60):
        """Runs `snapvmm ctl SOCKET WORDS` and returns the parsed result; a refusal is a GuestFailure."""
        done = self.try_ctl(*words, timeout=timeout)
        require(done.returncode == 0, f'ctl {" ".join(words)} exited with {done.returncode}: {done.stdout}{done.stderr}')
        return json.loads(done.stdout)

    def start_ctl(self, *words, stdout=subprocess.PIPE):
        """`snapvmm ctl SOCKET WORDS`, running, with what it writes in `stdout`."""
        return subprocess.Popen([self.program, 'ctl', self.control, *words], stdin=subprocess.DEVNULL, stdout=stdout,
                                stderr=subprocess.PIPE)

    def try_ctl(self, *words, timeout=60):
        return subprocess.run([self.program, 'ctl', self.control, *words], capture_output=True, text=True,
                              timeout=timeout, check=False)

    def wait_for_control(self, *words, timeout=60):
        """ctl() as soon as there is a control socket."""
        deadline = time.monotonic() + timeout
        while not os.path.exists(self.control):
            require(self.process.poll() is None, f'snapvmm ended before it made its control socket:\n{self.tail()}')
            require(time.monotonic() < deadline, f'no control socket within {timeout} s:\n{self.tail()}')
            time.sleep(0.02)
        return self.ctl(*words, timeout=timeout)

    def complaints(self):
        return [line for line, _ in self.lines if line is not None and COMPLAINTS.search(line)]


class Machine:
    """Where the programs, the kernel and the scratch files are, and how to start a guest with them."""

    def __init__(self, programs, kernel, kernel_elf, initrd, scratch, cpu_profile, log, releases=None):
        """`releases`: the build directories of earlier releases, by level."""
        self._use(programs)
        self._releases = releases or {}
        self._level = None
        self.kernel = kernel
        self.kernel_elf = kernel_elf
        self.initrd = initrd
        self.scratch = scratch
        self.cpu_profile = cpu_profile
        self.log = log
        self._started = itertools.count(1)

    def _use(self, programs):
        self.snapvmm = os.path.join(programs, 'vmm', 'snapvmm')
        self.snaptool = os.path.join(programs, 'snaptool', 'snaptool')

    @property
    def level(self):
        """The release level that these programs are of."""
        if self._level is None:
            self._level = json.loads(self.tool('levels', '--json'))['current']
        return self._level

    def of_level(self, level):
        """The same machine with the programs of an earlier release."""
        older = copy.copy(self)
        older._use(self._releases[level])
        older._level = level
        return older

    def path(self, name):
        return os.path.join(self.scratch, name)

    def disk(self, name='disk.img', mebibytes=64):
        path = self.path(name)
        with open(path, 'wb') as image:
            image.truncate(mebibytes << 20)
        return path

    def _control(self):
        return self.path(f'control-{next(self._started)}')

    def run(self, words, cpus=1, memory='256M', disk=None, kernel=None, extra=()):
        """Boots the kernel; `words` go to its command line."""
        return self.boot(kernel or self.kernel, cpus, memory, [disk] if disk else [], '--initrd', self.initrd,
                         '--cmdline', f'console=ttyS0 quiet panic=-1 reboot=k {words}', *extra)

    def boot(self, kernel, cpus, memory, disks, *extra):
        """Boots any kernel."""
        control = self._control()
        words = ['run', '--kernel', kernel, '--memory', memory, '--cpus', str(cpus), '--cpu-profile', self.cpu_profile,
                 '--control', control]
        for disk in disks:
            words += ['--disk', disk]
        return Vm(self.snapvmm, [*words, *extra], control, self.log)

    def restore(self, snapshot, *extra, line_so_far='', stdin=subprocess.DEVNULL):
        control = self._control()
        return Vm(self.snapvmm, ['restore', snapshot, '--control', control, *extra], control, self.log, line_so_far,
                  stdin)

    def tool(self, *words, expect=0):
        done = subprocess.run([self.snaptool, *words], capture_output=True, text=True, timeout=120, check=False)
        self.log.write(f"$ snaptool {' '.join(words)}\n{done.stdout}{done.stderr}")
        require(done.returncode == expect,
                f'snaptool {" ".join(words)} exited with {done.returncode}, not {expect}: {done.stdout}{done.stderr}')
        return done.stdout
