# SPDX-License-Identifier: BSD-2-Clause
"""One boot of L1: QEMU, the file servers, and the stream that carries the command's output.

The output arrives on a virtio-serial port of its own, so kernel messages (on the serial console, kept in a
file) never mix with it. L1 brackets the output with two lines that begin with a random token.
"""

import ctypes
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from labkit import LabError

BOOT_LIMIT_SECONDS = 60
VIRTIOFSD_PLACES = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")
PR_SET_PDEATHSIG = 1
L1_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSED_PREFIXES = ("VMSNAP_", "GTEST_", "BENCHMARK_")
PASSED_NAMES = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")


class Settings:
    """What one run of L1 needs to know. `modules`: files of kernel modules, in the order to load them."""

    def __init__(self, assets, command, directory, timeout, smp, memory_mib, read_only, read_write, modules):
        self.assets = assets
        self.command = command
        self.directory = directory
        self.timeout = timeout
        self.smp = smp
        self.memory_mib = memory_mib
        self.read_only = read_only
        self.read_write = read_write
        self.modules = modules


class Outcome:
    """How a run of L1 ended. `status` is None unless the command finished."""

    def __init__(self, started_after, status, timed_out, diagnosis):
        self.started_after = started_after
        self.status = status
        self.timed_out = timed_out
        self.diagnosis = diagnosis


class Machine:
    """A single boot of L1. Use as a context manager: leaving it ends every process it started."""

    def __init__(self, settings):
        self._settings = settings
        self._children = []
        self._job = None
        self._token = os.urandom(16).hex()

    def __enter__(self):
        # In /tmp whatever TMPDIR says: the path of a UNIX socket is limited to 107 bytes.
        self._job = tempfile.mkdtemp(prefix="vmsnap-lab-", dir="/tmp")
        return self

    def __exit__(self, *unused):
        for child in reversed(self._children):
            if child.poll() is None:
                child.kill()
            child.wait()
        shutil.rmtree(self._job, ignore_errors=True)

    def run(self, write):
        """Boots, runs the command, and hands its output to write(bytes) as it comes."""
        begin = time.monotonic()
        self._write_job()
        shares = [("host", "/", True)]
        if self._settings.read_write:
            shares.append(("rw", self._settings.read_write, False))
        for tag, path, read_only in shares:
            self._serve(tag, path, read_only)
        pipe = self._start_qemu([tag for tag, _, _ in shares])
        stream = OutputStream(self._token.encode(), write)
        deadline = begin + BOOT_LIMIT_SECONDS
        started_after = None
        with os.fdopen(pipe, "rb", buffering=0) as source:
            while stream.status is None:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([source], [], [], left)[0]:
                    return Outcome(started_after, None, True, self._diagnosis())
                data = source.read(65536)
                if not data:
                    break
                stream.feed(data)
                if stream.started and started_after is None:
                    started_after = time.monotonic() - begin
                    deadline = time.monotonic() + self._settings.timeout
        stream.finish()
        return Outcome(started_after, stream.status, False, self._diagnosis())

    def _write_job(self):
        settings = self._settings
        quote = _shell_quote
        environment = {name: value for name, value in os.environ.items()
                       if name.isidentifier() and (name.startswith(PASSED_PREFIXES) or name in PASSED_NAMES)}
        environment.update(PATH=L1_PATH, HOME="/tmp", IN_LAB="1", VMSNAP_CACHE=settings.assets.cache)
        lines = [f"export {name}={quote(value)}" for name, value in sorted(environment.items())]
        lines.append(f"cd {quote(settings.directory)} || exit 126")
        lines.append("exec " + " ".join(quote(word) for word in settings.command))
        self._write("command", "\n".join(lines) + "\n")
        self._write("binds", "".join(path + "\n" for path in settings.read_only))
        self._write("modules", "".join(f"/host{os.path.realpath(path)}\n" for path in settings.modules))
        self._write("token", self._token + "\n")

    def _write(self, name, text):
        with open(os.path.join(self._job, name), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)

    def _read(self, name):
        try:
            with open(os.path.join(self._job, name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def _serve(self, tag, path, read_only):
        """Starts the file server of one share; its socket listens before QEMU looks for it."""
        server = next((place for place in VIRTIOFSD_PLACES if os.path.exists(place)), None)
        if server is None:
            raise LabError("The lab shares files with virtiofsd, which is not in "
                           f"{' nor '.join(VIRTIOFSD_PLACES)}: apt-get install qemu-system-common.")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.path.join(self._job, tag + ".socket"))
        listener.listen(1)
        cache = "always" if read_only else "auto"
        # Its own default for open files may be above a container's hard limit; _spawn has set ours.
        command = [server, f"--fd={listener.fileno()}", "--rlimit-nofile=0",
                   "-o", f"source={path},sandbox=chroot,cache={cache},xattr,log_level=err"]
        if read_only and _can_unshare():
            # L1 mounts the share read-only already; this makes the server unable to write as well.
            script = 'mount -o remount,bind,ro / 2>/dev/null; exec "$@"'
            command = [*_unshare(), "sh", "-c", script, "sh", *command]
        elif os.geteuid() != 0:
            command = [*_unshare(), *command]
        self._spawn(command, f"virtiofsd-{tag}.log", [listener.fileno()])
        listener.close()

    def _start_qemu(self, tags):
        settings = self._settings
        reading, writing = os.pipe()
        command = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-M", "pc", "-cpu", "max,+svm,+npt",
            "-accel", "tcg,thread=multi", "-smp", str(settings.smp), "-m", str(settings.memory_mib),
            "-object", f"memory-backend-memfd,id=ram,size={settings.memory_mib}M,share=on",
            "-machine", "memory-backend=ram",
            "-nic", "none", "-display", "none", "-monitor", "none", "-no-reboot",
            "-chardev", f"file,id=console,path={self._job}/console.log", "-serial", "chardev:console",
            "-add-fd", f"fd={writing},set=1", "-chardev", "file,id=output,path=/dev/fdset/1,append=on",
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=output,nr=1",
            "-kernel", settings.assets.kernel_image, "-initrd", settings.assets.l1_initrd,
        ]
        for tag in tags:
            command += ["-chardev", f"socket,id={tag},path={self._job}/{tag}.socket",
                        "-device", f"vhost-user-fs-pci,queue-size=1024,chardev={tag},tag={tag}"]
        # tsc=reliable: without it L1 falls back to hpet and KVM's clock loses its master clock.
        append = ("console=ttyS0 quiet panic=-1 tsc=reliable mitigations=off no_timer_check "
                  f"softlockup_panic=1 random.trust_cpu=on lab.job={self._job}")
        if settings.read_write:
            append += f" lab.rw={settings.read_write}"
        command += ["-append", append]
        try:
            self._spawn(command, "qemu.log", [writing])
        except FileNotFoundError as error:
            raise LabError("The lab runs in QEMU, but there is no qemu-system-x86_64 on PATH: "
                           "apt-get install qemu-system-x86.") from error
        finally:
            os.close(writing)
        return reading

    def _spawn(self, command, log, descriptors):
        libc = ctypes.CDLL(None)

        def prepare():
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

        with open(os.path.join(self._job, log), "wb") as file:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                     pass_fds=descriptors, preexec_fn=prepare)
        self._children.append(child)

    def _diagnosis(self):
        """The last words of everybody, for a report of a run that went wrong."""
        parts = []
        for name in sorted(os.listdir(self._job)):
            if name.endswith(".log"):
                lines = [line.rstrip() for line in self._read(name).splitlines() if line.strip()]
                if lines:
                    parts.append(f"--- {name}, last lines:\n" + "\n".join(lines[-20:]))
        return "\n".join(parts)


class OutputStream:
    """Cuts the command's output out of the port's stream: what lies between the two token lines."""

    def __init__(self, token, write):
        self._start = token + b" started\n"
        self._end = token + b" exit "
        self._write = write
        self._held = b""
        self.started = False
        self.status = None

    def feed(self, data):
        if self.status is not None:
            return
        self._held += data
        if not self.started:
            head, found, rest = self._held.partition(self._start)
            if not found:
                return
            self.started = True
            self._held = rest
        head, found, rest = self._held.partition(self._end)
        if found:
            if b"\n" in rest:
                self._emit(head)
                self.status = int(rest.split(b"\n")[0])
                self._held = b""
            return
        # The token may lie across two reads: keep as much as could be the beginning of it.
        keep = next((size for size in range(min(len(self._end) - 1, len(self._held)), 0, -1)
                     if self._held.endswith(self._end[:size])), 0)
        self._emit(self._held[:len(self._held) - keep])
        self._held = self._held[len(self._held) - keep:]

    def finish(self):
        """The stream has ended: what was held back is ordinary output."""
        if self.started and self.status is None:
            self._emit(self._held.partition(self._end)[0])
        self._held = b""

    def _emit(self, data):
        if data:
            self._write(data)


def _unshare():
    return ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]


def _can_unshare():
    return subprocess.run([*_unshare(), "true"], stderr=subprocess.DEVNULL).returncode == 0


def _shell_quote(text):
    return "'" + text.replace("'", "'\\''") + "'"
