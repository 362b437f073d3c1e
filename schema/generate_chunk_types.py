#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the C++ function that lists chunk types with their embedded schemas.

Name, version, root table and four-letter type are read from the .fbs files, where they are attributes of the
root table, so that they are stated once.
"""

import argparse
import pathlib
import re
import sys

ROOT = re.compile(r'^root_type\s+(\w+);', re.M)
IDENTIFIER = re.compile(r'^file_identifier\s+"(.{4})";', re.M)
NAMESPACE = re.compile(r'^namespace\s+([\w.]+);', re.M)


def describe(path: pathlib.Path) -> dict:
    text = path.read_text(encoding='utf-8')

    def one(pattern, what):
        found = re.findall(pattern, text)
        if len(found) != 1:
            sys.exit(f'{path}: needs exactly one {what}, has {len(found)}')
        return found[0]

    root = one(ROOT, 'root_type')
    name, major, minor = one(
        re.compile(rf'^table {root} \(chunk_name: "(\w+)", chunk_version: "(\d+)\.(\d+)"\)', re.M),
        f'table {root} with the attributes chunk_name and chunk_version',
    )
    return {
        'stem': path.stem,
        'root': root,
        'namespace': one(NAMESPACE, 'namespace'),
        'fourcc': one(IDENTIFIER, 'file_identifier'),
        'name': name,
        'major': major,
        'minor': minor,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--function', required=True)
    parser.add_argument('--output', required=True, type=pathlib.Path)
    parser.add_argument('inputs', nargs='+', type=pathlib.Path)
    args = parser.parse_args()

    types = [describe(path) for path in args.inputs]
    for key in ('fourcc', 'name'):
        values = [t[key] for t in types]
        for value in set(values):
            if values.count(value) > 1:
                sys.exit(f'two chunk types have the {key} "{value}"')

    out = ['// SPDX-License-Identifier: BSD-2-Clause', '#include "format/chunk_type.h"', '']
    out += [f'#include "{t["stem"]}_bfbs_generated.h"' for t in types]
    out += ['', 'namespace vmsnap {', '', f'std::vector<ChunkType> {args.function}() {{', '  return {']
    for t in types:
        blob = '::' + t['namespace'].replace('.', '::') + f'::{t["root"]}BinarySchema'
        out.append(
            f'      {{FourCc("{t["fourcc"]}"), "{t["name"]}", {{{t["major"]}, {t["minor"]}}}, '
            f'"{t["namespace"]}.{t["root"]}", as_byte_view({blob}::data(), {blob}::size())}},'
        )
    out += ['  };', '}', '', '}  // namespace vmsnap', '']
    args.output.write_text('\n'.join(out), encoding='utf-8')


if __name__ == '__main__':
    main()
