#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the independent reader over tests/golden: every good file is whole, every bad one Corrupt or Truncated as
tests/golden/expectations.tsv says, every unsupported one Unsupported. A folder without files is a failure."""

import contextlib
import io
import pathlib
import sys

# The package lies in the source tree, which a test run leaves as it was.
sys.dont_write_bytecode = True

from vmsnap_reader.cli import main  # noqa: E402

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / 'golden'
KIND = {'ok': '', 'truncated': 'Truncated:', 'corrupt': 'Corrupt:', 'unsupported': 'Unsupported:'}
STATUS = {'good': 0, 'bad': 4, 'unsupported': 5}


def expectations() -> dict[str, tuple[str, bool]]:
    """By file, as the authors of the files noted it: the verdict, and whether something is missing."""
    rows = (line.split('\t') for line in (GOLDEN / 'expectations.tsv').read_text().splitlines() if line)
    return {row[0]: (row[1], row[1] == 'ok' and 'lost' in row[2].split()) for row in rows}


def judge(folder: str, path: pathlib.Path, verdict: str, recovered: bool) -> str:
    """What is wrong with the reader's answer; empty when nothing is."""
    # Of a good file only its wholeness is expected, not that this reader has a model of its devices.
    options = [] if folder == 'good' else ['--restore']
    message = io.StringIO()
    with contextlib.redirect_stderr(message):
        status = main(['--quiet', *options, str(path)])
    said = message.getvalue().strip()
    if status != STATUS[folder]:
        return f'exit status {status} instead of {STATUS[folder]}: {said or "no message"}'
    if not said.startswith(KIND[verdict]):
        return f'expected {verdict}, said: {said}'
    if folder == 'good' and said:
        return f'said: {said}'
    if recovered:
        with contextlib.redirect_stderr(message):
            status = main(['--quiet', '--restore', str(path)])
        if status != STATUS['unsupported'] or 'recovered from a damaged one' not in message.getvalue():
            return f'to be restored it should be refused as recovered, said: {message.getvalue().strip()}'
    return ''


def run() -> int:
    """Reads all; gives the exit status."""
    verdicts = expectations()
    failures = []
    for folder in STATUS:
        paths = sorted((GOLDEN / folder).glob('*.vmsnap'))
        if not paths:
            failures.append(f'{folder}: no files')
        for path in paths:
            name = f'{folder}/{path.name}'
            problem = judge(folder, path, *verdicts[name]) if name in verdicts else 'not in expectations.tsv'
            if problem:
                failures.append(f'{name}: {problem}')
        print(f'{folder}: {len(paths)} files')
    for name in verdicts:
        if not (GOLDEN / name).is_file():
            failures.append(f'{name}: in expectations.tsv, but there is no such file')
    for failure in failures:
        print(f'FAILED {failure}')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(run())
