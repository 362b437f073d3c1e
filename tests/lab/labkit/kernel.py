# SPDX-License-Identifier: BSD-2-Clause
"""Debian's stock cloud kernel, fetched by apt and unpacked into the cache, without installing it."""

import glob
import os
import re
import shutil
import subprocess

from labkit import LabError
from labkit.cache import publish_directory, scratch_directory

META_PACKAGE = "linux-image-cloud-amd64"


class Kernel:
    """An unpacked kernel package in the cache."""

    def __init__(self, directory):
        self.directory = directory
        self.version = os.path.basename(directory)
        self.image = os.path.join(directory, "vmlinuz")

    def modules_in_order(self, names):
        """The module files of `names` with everything they depend on, ready to insmod in this order."""
        ordered = []
        for name in names:
            self._collect(name, ordered)
        return ordered

    def _collect(self, name, ordered):
        path = os.path.join(self.directory, "modules", name + ".ko")
        if path in ordered:
            return
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise LabError(f"The kernel {self.version} has no module {name} ({path}: {error.strerror}): "
                           f"delete {self.directory} so that it is fetched again.") from error
        # The .modinfo section names what a module needs; the package has no modules.dep.
        found = re.search(rb"\0depends=([^\0]*)\0", data)
        for dependency in (found.group(1).decode().split(",") if found else []):
            if dependency:
                self._collect(dependency, ordered)
        ordered.append(path)


def get_kernel(cache, refresh=False):
    """The newest cached kernel, or a fetched one when there is none or `refresh` is set."""
    cached = sorted(glob.glob(os.path.join(cache, "kernel", "*", "vmlinuz")), key=os.path.getmtime)
    if cached and not refresh:
        return Kernel(os.path.dirname(cached[-1]))
    return _fetch(cache)


def _fetch(cache):
    package = _resolve()
    base = os.path.join(cache, "kernel")
    with scratch_directory(base) as scratch:
        command = ["apt-get", "download", "-q", package]
        if os.geteuid() == 0:
            # Without this root gets a warning, since _apt cannot write into our directory.
            command[1:1] = ["-o", "APT::Sandbox::User=root"]
        done = subprocess.run(command, cwd=scratch, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        packages = glob.glob(os.path.join(scratch, "*.deb"))
        if done.returncode != 0 or len(packages) != 1:
            reason = _last_line(done.stderr) or f"apt-get exited with status {done.returncode}"
            raise LabError(f"The kernel package {package} cannot be downloaded ({reason}): "
                           "check the network and the apt sources, or run apt-get update.")
        tree = os.path.join(scratch, "tree")
        done = subprocess.run(["dpkg-deb", "-x", packages[0], tree], capture_output=True, text=True)
        if done.returncode != 0:
            raise LabError(f"The kernel package {package} cannot be unpacked ({_last_line(done.stderr)}): "
                           "check the free space of the cache directory.")
        result = os.path.join(scratch, "result")
        _select(tree, result, package)
        target = os.path.join(base, package.removeprefix("linux-image-"))
        publish_directory(result, target)
    return Kernel(target)


def _resolve():
    try:
        done = subprocess.run(["apt-cache", "depends", META_PACKAGE], capture_output=True, text=True)
    except OSError as error:
        raise LabError("The lab's kernel comes from a Debian package, but apt-cache is not here: "
                       "run the lab on a Debian system.") from error
    found = re.search(r"^\s*Depends:\s*(linux-image-\S+)", done.stdout, re.MULTILINE)
    if not found:
        raise LabError(f"apt knows no package {META_PACKAGE}: run apt-get update first, then try again.")
    return found.group(1)


def _select(tree, result, package):
    """Keeps the image, the configuration and the modules in one flat folder."""
    images = glob.glob(os.path.join(tree, "boot", "vmlinuz-*"))
    if len(images) != 1:
        raise LabError(f"The kernel package {package} holds {len(images)} kernel images instead of one: "
                       "this release's packaging is not known to the lab.")
    os.makedirs(os.path.join(result, "modules"))
    shutil.move(images[0], os.path.join(result, "vmlinuz"))
    for config in glob.glob(os.path.join(tree, "boot", "config-*")):
        shutil.move(config, os.path.join(result, "config"))
    for module in glob.glob(os.path.join(tree, "**", "*.ko"), recursive=True):
        # Module files are named with '-' or '_', "depends=" always has '_'.
        name = os.path.basename(module).replace("-", "_")
        shutil.move(module, os.path.join(result, "modules", name))


def _last_line(text):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
