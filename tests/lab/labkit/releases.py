# SPDX-License-Identifier: BSD-2-Clause
"""Programs of earlier releases: the commits that compat/releases.txt names, built into the cache on first use."""

import os
import subprocess
import tarfile

from labkit import LabError
from labkit.cache import REPOSITORY, cache_directory, locked, publish_directory, scratch_directory

LIST = os.path.join(REPOSITORY, "compat", "releases.txt")
TARGETS = ["vmm/snapvmm", "snaptool/snaptool"]


class MissingCommit(LabError):
    """The repository does not reach back to a release."""


class Release:
    """One release level and the commit that was its last."""

    def __init__(self, level, commit):
        self.level = level
        self.commit = commit

    def programs(self):
        """The build directory with snapvmm and snaptool of that commit, built if need be."""
        cache = cache_directory()
        target = os.path.join(cache, "releases", self.commit)
        with locked(cache):
            if not os.path.isdir(target):
                self._build(target)
        return os.path.join(target, "build")

    def _build(self, target):
        with scratch_directory(os.path.dirname(target)) as scratch:
            archive = os.path.join(scratch, "source.tar")
            self._run(["git", "-C", REPOSITORY, "archive", "-o", archive, self.commit],
                      "the repository here has no such commit; a clone with its whole history is needed", MissingCommit)
            source = os.path.join(scratch, "source")
            with tarfile.open(archive) as files:
                files.extractall(source)
            os.unlink(archive)
            build = os.path.join(scratch, "build")
            # As `./run build` does, so that what the compiler cache has from there serves here too.
            self._run(["meson", "setup", build, source, "-Doptimization=2", "-Ddebug=false"], "meson cannot set it up")
            self._run(["ninja", "-C", build, "--quiet", *TARGETS], "it cannot be built")
            publish_directory(scratch, target)

    def _run(self, command, failure, error=LabError):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as why:
            raise error(f"Release level {self.level} cannot be built: {command[0]} is not here ({why.strerror}).") from why
        if done.returncode != 0:
            words = (done.stdout + done.stderr).strip()[-2000:]
            raise error(f"Release level {self.level} (commit {self.commit}): {failure}; {command[0]} says:\n{words}")


def releases():
    """Every release that compat/releases.txt names, oldest first."""
    found = []
    with open(LIST, encoding="ascii") as lines:
        for line in lines:
            words = line.split("#")[0].split()
            if not words:
                continue
            if len(words) != 2 or not words[0].isdigit():
                raise LabError(f"{LIST}: \"{line.strip()}\" is not a level and a commit.")
            found.append(Release(int(words[0]), words[1]))
    return found
