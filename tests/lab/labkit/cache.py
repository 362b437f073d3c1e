# SPDX-License-Identifier: BSD-2-Clause
"""The cache directory: everything in it appears by rename, whole, and may be deleted at any time."""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile

from labkit import LabError

LAB_DIRECTORY = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
REPOSITORY = os.path.dirname(os.path.dirname(LAB_DIRECTORY))


def cache_directory():
    path = os.path.abspath(os.environ.get("VMSNAP_CACHE") or os.path.join(REPOSITORY, "build", "cache"))
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise LabError(f"The cache directory {path} cannot be made ({error.strerror}): "
                       "set VMSNAP_CACHE to a directory that can be written.") from error
    return path


@contextlib.contextmanager
def locked(cache):
    """One builder at a time, so that two labs do not fetch the same package twice."""
    try:
        file = open(os.path.join(cache, ".lock"), "w", encoding="ascii")
    except OSError as error:
        # Within L1 the cache is read-only: what is there is complete, and nobody can build.
        if error.errno != errno.EROFS:
            raise LabError(f"The cache directory {cache} cannot be written ({error.strerror}): "
                           "set VMSNAP_CACHE to one that can.") from error
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def scratch_directory(base):
    os.makedirs(base, exist_ok=True)
    path = tempfile.mkdtemp(prefix=".partial-", dir=base)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def publish_directory(source, target):
    """Renames `source` to `target`; an equal `target` that is already there is kept."""
    os.chmod(source, 0o755)
    try:
        os.rename(source, target)
    except OSError:
        if not os.path.isdir(target):
            raise


def publish_file(data, target, mode=0o644):
    """Writes `data` beside `target`, then renames it there."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    handle, path = tempfile.mkstemp(prefix=".partial-", dir=os.path.dirname(target))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(path, mode)
        os.rename(path, target)
    except BaseException:
        os.unlink(path)
        raise


def key_of(*parts):
    """A short name for the content of `parts` (bytes or str), for files whose inputs may change."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else part.encode()
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.hexdigest()[:16]
