# SPDX-License-Identifier: BSD-2-Clause
"""Everything the lab boots, built into the cache on first use: a kernel, two initramfs, two programs.

Names are keyed by their inputs, so an edited source makes a new file and a second call finds the first one.
"""

import os
import shutil
import subprocess

from labkit import LabError
from labkit.cache import LAB_DIRECTORY, cache_directory, key_of, locked, publish_file, scratch_directory
from labkit.cpio import Archive
from labkit.kernel import get_kernel
from labkit.vmlinux import extract_vmlinux

# Groups of modules; each becomes a list in the initramfs that is loaded as one.
L1_MODULES = {"drivers": ["virtio_pci", "virtio_console", "virtiofs"], "kvm": ["irqbypass", "kvm", "kvm_amd"]}
GUEST_MODULES = {"drivers": ["virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng"]}
L1_APPLETS = ["sh", "mount", "mkdir", "insmod", "ip", "poweroff", "chroot", "setsid", "cat", "ln", "touch",
              "usleep", "grep"]
GUEST_APPLETS = ["sh", "mount", "mkdir", "insmod", "mke2fs", "ls", "cat", "ps", "dmesg", "poweroff", "reboot"]


class Assets:
    """Paths of the built things. Each property builds what is missing."""

    def __init__(self, refresh_kernel=False):
        self.cache = cache_directory()
        with locked(self.cache):
            self.kernel = get_kernel(self.cache, refresh_kernel)

    def build_all(self):
        """Builds everything now: a caller within L1 could not, since the cache is read-only there."""
        return [self.kernel_image, self.kernel_elf, self.l1_initrd, self.guest_initrd, self.guest_workload,
                self.kvm_probe, self.tiny_guest]

    @property
    def kernel_image(self):
        return self.kernel.image

    @property
    def kernel_elf(self):
        target = os.path.join(self.cache, "lab", f"vmlinux-{self.kernel.version}")
        if not os.path.exists(target):
            publish_file(extract_vmlinux(_read(self.kernel_image), self.kernel_image), target)
        return target

    @property
    def l1_initrd(self):
        return self._initramfs("l1", "l1_init.sh", L1_MODULES, L1_APPLETS, {})

    @property
    def guest_initrd(self):
        return self._initramfs("guest", "guest_init.sh", GUEST_MODULES, GUEST_APPLETS,
                               {"guest_workload": self.guest_workload})

    @property
    def guest_workload(self):
        folder = os.path.join(LAB_DIRECTORY, "workload")
        return self._program("guest_workload", _sources(folder))

    @property
    def kvm_probe(self):
        return self._program("kvm_probe", [os.path.join(LAB_DIRECTORY, "kvm_probe.c")])

    @property
    def workload_selftest(self):
        source = os.path.join(LAB_DIRECTORY, "workload_selftest.c")
        return self._program("workload_selftest", [source], _sources(os.path.join(LAB_DIRECTORY, "workload")))

    @property
    def tiny_guest(self):
        """An ELF kernel for PVH of a few kilobytes, which checks every device of the machine (tiny_guest/)."""
        folder = os.path.join(LAB_DIRECTORY, "tiny_guest")
        script = os.path.join(folder, "tiny_guest.lds")
        # No SSE and no C library: it runs on the bare machine. The emulated processor has no endbr either.
        flags = ["-m32", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-pic", "-no-pie",
                 "-static", "-nostdlib", "-mgeneral-regs-only", "-fno-stack-protector", "-fcf-protection=none",
                 "-fno-tree-loop-distribute-patterns", "-fno-asynchronous-unwind-tables", "-Wl,--build-id=none",
                 "-Wl,-z,noexecstack", "-Wl,--no-warn-rwx-segments", f"-Wl,-T,{script}"]
        return self._compiled("tiny_guest", flags, _sources(folder), [script])

    def _initramfs(self, name, script, modules, applets, programs):
        archive = Archive()
        for folder in ("proc", "sys", "dev", "tmp", "run", "mnt", "bin", "modules"):
            archive.directory(folder)
        archive.file("init", _read(os.path.join(LAB_DIRECTORY, script)), 0o755)
        archive.file("bin/busybox", _busybox(), 0o755)
        for applet in applets:
            archive.symlink(f"bin/{applet}", "busybox")
        for program, path in programs.items():
            archive.file(f"bin/{program}", _read(path), 0o755)
        for group, names in modules.items():
            ordered = self.kernel.modules_in_order(names)
            for path in ordered:
                archive.file(f"modules/{os.path.basename(path)}", _read(path))
            order = "".join(f"/modules/{os.path.basename(path)}\n" for path in ordered)
            archive.file(f"modules/{group}", order.encode())
        data = archive.bytes()
        target = os.path.join(self.cache, "lab", f"{name}-{self.kernel.version}-{key_of(data)}.cpio")
        if not os.path.exists(target):
            publish_file(data, target)
        return target

    def _program(self, name, sources, included=()):
        flags = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-static", "-pthread"]
        return self._compiled(name, flags, sources, included)

    def _compiled(self, name, flags, sources, included):
        key = key_of(" ".join(os.path.basename(flag) for flag in flags), *map(_read, [*sources, *included]))
        target = os.path.join(self.cache, "lab", f"{name}-{key}")
        if os.path.exists(target):
            return target
        with scratch_directory(os.path.join(self.cache, "lab")) as scratch:
            binary = os.path.join(scratch, name)
            inputs = [source for source in sources if source.endswith((".c", ".S"))]
            try:
                done = subprocess.run(["gcc", *flags, "-o", binary, *inputs], capture_output=True, text=True)
            except OSError as error:
                raise LabError("The lab's guest programs are compiled with gcc, which is not here: "
                               "apt-get install gcc libc6-dev.") from error
            if done.returncode != 0:
                raise LabError(f"{name} cannot be compiled; gcc says:\n{done.stderr.strip()}")
            os.rename(binary, target)
        return target


def _sources(folder):
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith((".c", ".h", ".S"))]


def _busybox():
    path = shutil.which("busybox")
    data = _read(path) if path else b""
    # A dynamic executable names its interpreter, which an initramfs of ours does not have.
    if not data or b"/ld-linux" in data[:4096]:
        found = f"{path} is dynamic" if path else "there is none on PATH"
        raise LabError(f"The lab needs a statically linked busybox, and {found}: "
                       "apt-get install busybox-static.")
    return data


def _read(path):
    with open(path, "rb") as file:
        return file.read()
