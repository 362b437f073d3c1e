#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the scenarios in the lab, and natively too where a probe guest runs natively.

Prints one JSON line per case (see scenarios.py); a case that cannot run is printed as skipped, with the reason.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
LAB = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(LAB))

from labkit import LabError  # noqa: E402
from labkit.assets import Assets  # noqa: E402
from labkit.releases import MissingCommit, releases  # noqa: E402

SCENARIOS = LAB / 'guest' / 'scenarios.py'
# Time for one scenario in the lab; a busy machine is several times slower than an idle one.
LIMIT_SECONDS = 420


def names(built):
    return subprocess.run([sys.executable, str(SCENARIOS), *built, '--list'], capture_output=True, text=True,
                          check=True).stdout.splitlines()


def build_releases():
    """The words that tell scenarios.py of the programs of earlier releases, and why there are fewer than there should be."""
    words, failures = [], []
    for release in releases():
        try:
            words += ['--release', f'{release.level}={release.programs()}']
        except LabError as error:
            failures.append({'name': f'every guest that crosses from or to level {release.level}',
                             'outcome': 'skipped' if isinstance(error, MissingCommit) else 'failed', 'reason': str(error)})
    return words, failures


def emit(where, case):
    case['name'] = f"{where}: {case['name']}"
    print(json.dumps(case), flush=True)


def skip_all(where, chosen, reason):
    for name in chosen:
        emit(where, {'name': name, 'outcome': 'skipped', 'reason': reason})


def run_one(prefix, assets, programs, built, profile, name, log):
    """Runs one scenario behind `prefix` (the lab, or nothing) and returns its case."""
    command = [*prefix, '/usr/bin/python3', str(SCENARIOS), '--programs', programs, '--kernel', assets.kernel_image,
               '--kernel-elf', assets.kernel_elf, '--initrd', assets.guest_initrd, '--cpu-profile', profile, '--log', log, *built, name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS * 2, check=False)
    except subprocess.TimeoutExpired:
        return {'name': name, 'outcome': 'failed', 'reason': f'no end within {LIMIT_SECONDS * 2} s'}, ''
    for line in done.stdout.splitlines():
        if line.startswith('{"name"'):
            return json.loads(line), done.stderr
    return {'name': name, 'outcome': 'failed',
            'reason': f'no result (exit status {done.returncode}): {done.stdout[-2000:]}{done.stderr[-2000:]}'}, done.stderr


def run_in_lab(assets, programs, built, chosen, logs):
    def one(name):
        folder = logs / name.replace(' ', '-').replace(',', '')
        folder.mkdir(parents=True, exist_ok=True)
        # L1 has no XSAVE to pass on (its emulator does not intercept XSETBV): the baseline profile hides it.
        prefix = [str(LAB / 'lab'), '--timeout', str(LIMIT_SECONDS), '--share-rw', str(folder), '--share-ro', programs,
                  '--']
        return run_one(prefix, assets, programs, built, 'baseline', name, str(folder / 'console.log'))

    retries = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for case, noise in pool.map(one, chosen):
            retries += noise.count('retrying')
            emit('lab', case)
    print(f'the lab was started again {retries} times because it died before its command began', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--only', choices=['lab', 'native'])
    parser.add_argument('names', nargs='*')
    arguments = parser.parse_args()
    built, failures = build_releases()
    chosen = arguments.names or names(built)
    programs = os.environ.get('VMSNAP_BUILD', str(LAB.parents[1] / 'build' / 'main'))
    try:
        assets = Assets()
        probe = subprocess.run([assets.kvm_probe], capture_output=True, text=True, timeout=60, check=False)
    except LabError as error:
        for where in ('lab', 'native'):
            skip_all(where, chosen, str(error))
        return 0
    for case in failures:
        emit('lab', case)
    logs = pathlib.Path(programs) / 'guest-logs'
    shutil.rmtree(logs, ignore_errors=True)

    if arguments.only != 'native':
        if shutil.which('qemu-system-x86_64'):
            run_in_lab(assets, programs, built, chosen, logs)
        else:
            skip_all('lab', chosen, 'there is no qemu-system-x86_64 on this machine')
    if arguments.only != 'lab':
        if probe.returncode == 0:
            with tempfile.TemporaryDirectory() as scratch:
                for name in chosen:
                    emit('native', run_one([], assets, programs, built, 'host', name, os.path.join(scratch, 'log'))[0])
        else:
            skip_all('native', chosen, f'a probe guest does not run natively: {probe.stdout.strip()}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
