#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs every test and ends with one line: N passed, N failed, N skipped.

Five groups: the meson tests of the plain build, the same tests under ASan and UBSan, the tests of the lab, those of
file systems in the lab, and the guest tests. The cases of the first two are counted from the JUnit files that meson
writes, those of the others from the JSON lines that tests/lab/lab_test, tests/lab/sharing/sharing_test and
tests/lab/guest/run_guest_tests.py print. Every failed case is named, every skipped one too, with its reason.
"""

import json
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / 'build'


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []

    def add(self, name, outcome, reason=''):
        if outcome == 'passed':
            self.passed += 1
        elif outcome == 'skipped':
            self.skipped.append((name, reason))
        else:
            self.failed.append((name, reason))


def outcome_of(case):
    for tag in ('failure', 'error'):
        node = case.find(tag)
        if node is not None:
            return 'failed', (node.get('message') or node.text or '').strip().split('\n')[0]
    node = case.find('skipped')
    if node is not None:
        return 'skipped', (node.get('message') or node.text or 'no reason given').strip().split('\n')[-1]
    return 'passed', ''


def run_meson_tests(tally, label, directory, environment):
    print(f'== {label}', flush=True)
    junit = directory / 'meson-logs' / 'testlog.junit.xml'
    junit.unlink(missing_ok=True)
    result = subprocess.run(
        ['meson', 'test', '-C', str(directory), '--no-rebuild', '--print-errorlogs', '--num-processes', '2',
         '--timeout-multiplier', '8'],
        env={**os.environ, **environment}, check=False)
    failed_before = len(tally.failed)
    passed_before = tally.passed
    if junit.exists():
        for case in ElementTree.parse(junit).getroot().iter('testcase'):
            name = f"{label}: {case.get('classname')}.{case.get('name')}"
            tally.add(name, *outcome_of(case))
    if tally.passed == passed_before and len(tally.failed) == failed_before:
        tally.add(f'{label}: meson test', 'failed', 'no test case ran')
    elif result.returncode != 0 and len(tally.failed) == failed_before:
        tally.add(f'{label}: meson test', 'failed', f'meson test exited with {result.returncode}')


def run_lab_tests(tally, label, script, *arguments):
    """Runs a script of tests/lab that prints a JSON line for each case."""
    print(f'== {label}', flush=True)
    process = subprocess.Popen([sys.executable, str(ROOT / 'tests' / 'lab' / script), *arguments],
                               stdout=subprocess.PIPE, text=True)
    count = 0
    for line in process.stdout:
        if line.startswith('{'):
            case = json.loads(line)
            tally.add(f"{label}: {case['name']}", case['outcome'], case.get('reason', ''))
            count += 1
            print(f"{case['outcome']}: {case['name']} ({case.get('seconds', 0):.0f} s) {case.get('reason', '')}",
                  flush=True)
        else:
            print(line, end='', flush=True)
    if process.wait() != 0 or count == 0:
        tally.add(f'{label}: {script}', 'failed', f'it exited with {process.returncode} after {count} cases')


def main():
    tally = Tally()
    run_meson_tests(tally, 'plain', BUILD / 'main', {})
    run_meson_tests(tally, 'sanitizers', BUILD / 'sanitizers', {
        'ASAN_OPTIONS': 'detect_stack_use_after_return=1:allocator_may_return_null=1',
        'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1',
    })
    run_lab_tests(tally, 'lab', 'lab_test', '--json')
    run_lab_tests(tally, 'file systems', 'sharing/sharing_test', '--json')
    run_lab_tests(tally, 'guests', 'guest/run_guest_tests.py')

    for name, reason in tally.skipped:
        print(f'SKIPPED {name}: {reason}')
    for name, reason in tally.failed:
        print(f'FAILED {name}: {reason}')
    print(f'{tally.passed} passed, {len(tally.failed)} failed, {len(tally.skipped)} skipped')
    return 1 if tally.failed else 0


if __name__ == '__main__':
    sys.exit(main())
