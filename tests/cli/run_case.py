#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs one shell script against the real programs and compares what it prints.

run_case.py CASE.sh DIRECTORY...: the script runs in a fresh directory that holds a copy of sample.vmsnap, with
the DIRECTORYs in front of PATH. Its standard output must equal CASE.stdout and its standard error CASE.stderr
(nothing, when there is no such file). Exit statuses are part of the output: the script prints them.

With ACCEPT_CLI=1 in the environment, the files are rewritten instead and the test counts as skipped.

sample.vmsnap is a file that was written once (build/main/tests/cli/write_sample makes one from the code as it is now).
"""

import difflib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
MESON_SKIPPED = 77


def compare(name: str, expected: str, actual: str) -> bool:
    if expected == actual:
        return True
    sys.stdout.writelines(
        difflib.unified_diff(expected.splitlines(True), actual.splitlines(True), f'expected {name}', f'actual {name}'))
    print()
    return False


def accept(file: pathlib.Path, actual: str, needed: bool) -> None:
    if actual or needed:
        file.write_text(actual, encoding='utf-8')
    else:
        file.unlink(missing_ok=True)


def main() -> int:
    script = pathlib.Path(sys.argv[1]).resolve()
    programs = [str(pathlib.Path(directory).resolve()) for directory in sys.argv[2:]]
    with tempfile.TemporaryDirectory(prefix='vmsnap-cli-') as scratch:
        sample = pathlib.Path(scratch) / 'sample.vmsnap'
        shutil.copyfile(HERE / 'sample.vmsnap', sample)
        sample.chmod(0o600)
        result = subprocess.run(
            ['/bin/sh', '-u', str(script)],
            cwd=scratch,
            env={**os.environ, 'PATH': ':'.join(programs + [os.environ['PATH']]), 'LC_ALL': 'C', 'TZ': 'Pacific/Chatham',
                 'SUPPORT': str(HERE.parent / 'support')},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )
    stdout = result.stdout.decode('utf-8', 'backslashreplace')
    stderr = result.stderr.decode('utf-8', 'backslashreplace')
    expected_out = script.with_suffix('.stdout')
    expected_err = script.with_suffix('.stderr')
    if os.environ.get('ACCEPT_CLI') == '1':
        accept(expected_out, stdout, needed=True)
        accept(expected_err, stderr, needed=False)
        print(f'{script.stem}: accepted what was printed')
        return MESON_SKIPPED
    same = compare('stdout', expected_out.read_text(encoding='utf-8'), stdout)
    same &= compare('stderr', expected_err.read_text(encoding='utf-8') if expected_err.exists() else '', stderr)
    if result.returncode != 0:
        print(f'the script ended with {result.returncode}')
    return 0 if same and result.returncode == 0 else 1


if __name__ == '__main__':
    sys.exit(main())
