#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""released.py [--add] ROOT: holds released files to what they were when they were released.

schema/released.sha256 has one line per file. A file that is listed must exist and have that hash; a frozen
schema, level or golden file that is not listed yet belongs to a release to come and may still change.
--add lists all of those: run it when a release is made.
"""

import hashlib
import pathlib
import sys

PATTERNS = (
    'schema/*/frozen/*.bfbs',
    'schema/container/*/frozen/*.bfbs',
    'schema/levels/level*.json',
    'tests/golden/*/*.vmsnap',
    'compat/golden/**/*.vmsnap',
)
LIST = 'schema/released.sha256'

# What to do instead, by how a released file's path begins.
ADVICE = (
    ('schema/levels/', 'a change of a version needs a new level file'),
    ('schema/', 'a change of a schema needs a new chunk_version, frozen beside the old one by '
                'tests/evolution/freeze.sh, and a new level in schema/levels'),
    ('', 'a change of what is written needs a new golden file beside the old one'),
)


def digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_list(root: pathlib.Path) -> dict[str, str]:
    released = {}
    for number, line in enumerate((root / LIST).read_text(encoding='utf-8').splitlines(), 1):
        if line.startswith('#'):
            continue
        value, separator, name = line.partition('  ')
        if not separator or len(value) != 64 or name in released:
            sys.exit(f'{LIST}:{number}: is no line of sha256sum, or names a file twice')
        released[name] = value
    return released


def find(root: pathlib.Path) -> list[str]:
    return sorted({path.relative_to(root).as_posix() for pattern in PATTERNS for path in root.glob(pattern)})


def count_failures(root: pathlib.Path, released: dict[str, str]) -> int:
    failures = 0
    for name, value in released.items():
        path = root / name
        if path.is_file() and digest(path) == value:
            continue
        failures += 1
        advice = next(text for prefix, text in ADVICE if name.startswith(prefix))
        what = 'has been changed' if path.is_file() else 'is gone'
        print(f'{name}: {what} since it was released; restore it: {advice}, '
              f'and a new line in {LIST} once that is released')
    unlisted = [name for name in find(root) if name not in released]
    for name in unlisted:
        print(f'{name}: not released yet')
    print(f'{len(released)} released files, {failures} failures, {len(unlisted)} not released yet')
    return failures


def check(root: pathlib.Path) -> int:
    released = read_list(root)
    return 1 if count_failures(root, released) or not released else 0


def add(root: pathlib.Path) -> int:
    released = read_list(root)
    if count_failures(root, released):
        return 1
    with (root / LIST).open('a', encoding='utf-8') as stream:
        for name in find(root):
            if name not in released:
                stream.write(f'{digest(root / name)}  {name}\n')
    return 0


def main() -> int:
    words = sys.argv[1:]
    if words[:1] == ['--add'] and len(words) == 2:
        return add(pathlib.Path(words[1]))
    if len(words) == 1 and not words[0].startswith('-'):
        return check(pathlib.Path(words[0]))
    print('usage: released.py [--add] ROOT', file=sys.stderr)
    return 2


if __name__ == '__main__':
    sys.exit(main())
