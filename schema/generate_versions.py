#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the C++ lists of every released version of the device chunk types and of the release levels.

The versions are the frozen schemas schema/<type>/frozen/v<major>.<minor>.bfbs, whose bytes are embedded; the
levels are schema/levels/level<N>.json. schema/levels/none.json names the types that belong to no level. A
contradiction between levels, frozen schemas and the current .fbs files fails the build.
"""

import argparse
import json
import pathlib
import re
import struct
import sys
import typing

# No compiled copy of the module in the source tree.
sys.dont_write_bytecode = True
from generate_chunk_types import describe  # noqa: E402

FROZEN = re.compile(r'^v(\d+)\.(\d+)\.bfbs$')
LEVEL = re.compile(r'^level(\d+)\.json$')
NO_LEVEL = 'none.json'
VERSION = re.compile(r'^([1-9]\d*)\.(0|[1-9]\d*)$')
NAME = re.compile(r'^[a-z0-9-]{1,59}$')

Version = tuple[int, int]


def show(version: Version) -> str:
    return f'{version[0]}.{version[1]}'


class Table:
    """A table of a binary schema of ours (reflection.fbs)."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at
        self.vtable = at - struct.unpack_from('<i', data, at)[0]

    def field(self, field_id: int) -> typing.Optional[int]:
        size = struct.unpack_from('<H', self.data, self.vtable)[0]
        if 4 + 2 * field_id >= size:
            return None
        offset = struct.unpack_from('<H', self.data, self.vtable + 4 + 2 * field_id)[0]
        return self.at + offset if offset else None

    def follow(self, at: int) -> int:
        return at + struct.unpack_from('<I', self.data, at)[0]

    def text(self, field_id: int) -> str:
        at = self.field(field_id)
        if at is None:
            return ''
        at = self.follow(at)
        size = struct.unpack_from('<I', self.data, at)[0]
        return self.data[at + 4 : at + 4 + size].decode()

    def table(self, field_id: int) -> 'Table':
        at = self.field(field_id)
        assert at is not None
        return Table(self.data, self.follow(at))

    def tables(self, field_id: int) -> list['Table']:
        at = self.field(field_id)
        if at is None:
            return []
        at = self.follow(at)
        count = struct.unpack_from('<I', self.data, at)[0]
        return [Table(self.data, self.follow(at + 4 + 4 * i)) for i in range(count)]


class Frozen(typing.NamedTuple):
    name: str
    version: Version
    fourcc: str
    root: str
    data: bytes


def load_frozen(path: pathlib.Path, name: str, version: Version) -> Frozen:
    data = path.read_bytes()
    schema = Table(data, struct.unpack_from('<I', data, 0)[0])
    root = schema.table(4)
    attributes = {pair.text(0): pair.text(1) for pair in root.tables(5)}
    if attributes.get('chunk_name') != name or attributes.get('chunk_version') != show(version):
        sys.exit(f'{path}: holds {attributes.get("chunk_name")} {attributes.get("chunk_version")}; '
                 'a frozen schema is named after what it holds')
    return Frozen(name, version, schema.text(2), root.text(0), data)


def load_all_frozen(sources: list[pathlib.Path]) -> list[Frozen]:
    frozen = []
    for source in sources:
        versions = []
        for path in (source.parent / 'frozen').glob('*.bfbs'):
            found = FROZEN.match(path.name)
            if not found:
                sys.exit(f'{path}: is not named v<major>.<minor>.bfbs')
            versions.append(((int(found[1]), int(found[2])), path))
        frozen += [load_frozen(path, source.stem, version) for version, path in sorted(versions)]
    return frozen


class Chunk(typing.NamedTuple):
    version: Version
    features: list[str]


class Level(typing.NamedTuple):
    number: int
    format_features: list[str]
    chunks: dict[str, Chunk]


def names(values: object, where: str) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(v, str) and NAME.match(v) for v in values):
        sys.exit(f'{where}: features are a list of names of the characters a-z, 0-9 and -')
    if len(set(values)) != len(values):
        sys.exit(f'{where}: a feature is listed twice')
    return values


def load_level(path: pathlib.Path) -> Level:
    found = LEVEL.match(path.name)
    if not found:
        sys.exit(f'{path}: is not named level<number>.json')
    content = json.loads(path.read_text(encoding='utf-8'))
    if set(content) != {'level', 'format_features', 'chunks'}:
        sys.exit(f'{path}: has the keys {sorted(content)}; they are level, format_features and chunks')
    if content['level'] != int(found[1]):
        sys.exit(f'{path}: says that it is level {content["level"]}')
    chunks = {}
    for name, chunk in content['chunks'].items():
        version = VERSION.match(str(chunk.get('version')))
        if set(chunk) != {'version', 'features'} or not version:
            sys.exit(f'{path}: {name} needs "version": "major.minor" and "features": [], and nothing else')
        chunks[name] = Chunk((int(version[1]), int(version[2])), names(chunk['features'], f'{path}: {name}'))
    return Level(content['level'], names(content['format_features'], str(path)), chunks)


def load_without_level(path: pathlib.Path) -> list[str]:
    if not path.exists():
        return []
    content = json.loads(path.read_text(encoding='utf-8'))
    if set(content) != {'level', 'chunks'} or content['level'] is not None:
        sys.exit(f'{path}: needs "level": null and "chunks": [], and nothing else')
    chunks = content['chunks']
    if not isinstance(chunks, list) or not all(isinstance(name, str) for name in chunks):
        sys.exit(f'{path}: chunks are a list of names')
    if chunks != sorted(set(chunks)):
        sys.exit(f'{path}: chunks are sorted, each once')
    return chunks


def check_without_level(without: list[str], levels: list[Level], frozen: list[Frozen],
                        sources: list[pathlib.Path]) -> None:
    where = f'schema/levels/{NO_LEVEL}'
    described = {source.stem: describe(source) for source in sources}
    stored = {(f.name, f.version) for f in frozen}
    for name in without:
        for level in levels:
            if name in level.chunks:
                sys.exit(f'{where}: {name} is in level {level.number}; a type that a level has stays in levels')
        if name not in described:
            sys.exit(f'{where}: {name} is not in the list device_types of schema/meson.build')
        version = (int(described[name]['major']), int(described[name]['minor']))
        if (name, version) not in stored:
            sys.exit(f'{where}: there is no frozen schema of {name} {show(version)}; '
                     f'run tests/evolution/freeze.sh {name}')


def check_levels(levels: list[Level], frozen: list[Frozen], sources: list[pathlib.Path],
                 without: list[str]) -> None:
    numbers = [level.number for level in levels]
    if numbers != list(range(1, len(levels) + 1)):
        sys.exit(f'schema/levels holds the levels {numbers}; they are numbered from 1 without gap')
    stored = {(f.name, f.version) for f in frozen}
    previous: typing.Optional[Level] = None
    for level in levels:
        where = f'schema/levels/level{level.number}.json'
        for name, chunk in level.chunks.items():
            if (name, chunk.version) not in stored:
                sys.exit(f'{where}: there is no frozen schema of {name} {show(chunk.version)}; '
                         f'run tests/evolution/freeze.sh {name}, or correct the level')
        for name, chunk in previous.chunks.items() if previous else []:
            if name not in level.chunks:
                sys.exit(f'{where}: {name} is missing, which level {previous.number} has')
            if level.chunks[name].version < chunk.version:
                sys.exit(f'{where}: {name} is older than in level {previous.number}')
        previous = level
    newest = levels[-1]
    where = f'schema/levels/level{newest.number}.json'
    for source in sources:
        current = describe(source)
        if current['name'] in without:
            continue
        if current['name'] not in newest.chunks:
            sys.exit(f'{where}: {current["name"]} is missing, which schema/meson.build lists; a type that '
                     f'snapvmm does not emulate goes to schema/levels/{NO_LEVEL}')
        version = newest.chunks[current['name']].version
        if version != (int(current['major']), int(current['minor'])):
            sys.exit(f'{where}: {current["name"]} is at {show(version)}, but {source.name} describes '
                     f'{current["major"]}.{current["minor"]}; if level {newest.number} is released, '
                     f'add level{newest.number + 1}.json, otherwise correct it')
    unknown = set(newest.chunks) - {source.stem for source in sources}
    if unknown:
        sys.exit(f'{where}: {sorted(unknown)} are not in the list device_types of schema/meson.build')


def symbol(f: Frozen) -> str:
    return 'k' + ''.join(part.capitalize() for part in f.name.split('_')) + f'V{f.version[0]}Minor{f.version[1]}'


def strings(values: list[str]) -> str:
    return '{' + ', '.join(f'"{value}"' for value in values) + '}'


def generate(frozen: list[Frozen], levels: list[Level]) -> str:
    out = ['// SPDX-License-Identifier: BSD-2-Clause', '#include "versions/versions.h"', '']
    out += ['namespace vmsnap::compat {', 'namespace {', '']
    for f in frozen:
        out.append(f'constexpr unsigned char {symbol(f)}[] = {{')
        for at in range(0, len(f.data), 24):
            out.append('    ' + ' '.join(f'{byte},' for byte in f.data[at : at + 24]))
        out += ['};', '']
    out += ['}  // namespace', '', 'std::vector<ChunkType> frozen_device_chunk_types() {', '  return {']
    for f in frozen:
        out.append(f'      {{FourCc("{f.fourcc}"), "{f.name}", {{{f.version[0]}, {f.version[1]}}}, "{f.root}", '
                   f'as_byte_view({symbol(f)}, sizeof {symbol(f)})}},')
    out += ['  };', '}', '', 'std::vector<ReleaseLevel> release_levels() {', '  return {']
    for level in levels:
        out.append(f'      {{{level.number}, {strings(level.format_features)}, {{')
        for name, chunk in sorted(level.chunks.items()):
            out.append(f'          {{"{name}", {{{chunk.version[0]}, {chunk.version[1]}}}, {strings(chunk.features)}}},')
        out.append('      }},')
    out += ['  };', '}', '']
    out += ['std::uint16_t current_level() {', f'  return {levels[-1].number};', '}', '']
    out += ['}  // namespace vmsnap::compat', '']
    return '\n'.join(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--output', required=True, type=pathlib.Path)
    parser.add_argument('--depfile', required=True, type=pathlib.Path)
    parser.add_argument('--levels', required=True, type=pathlib.Path, help='the folder of the level files')
    parser.add_argument('sources', nargs='+', type=pathlib.Path, help='the current .fbs of every device type')
    args = parser.parse_args()

    frozen = load_all_frozen(args.sources)
    none = args.levels / NO_LEVEL
    without = load_without_level(none)
    level_files = sorted(path for path in args.levels.glob('*.json') if path != none)
    levels = sorted((load_level(path) for path in level_files), key=lambda level: level.number)
    if not levels:
        sys.exit(f'{args.levels}: holds no level')
    check_without_level(without, levels, frozen, args.sources)
    check_levels(levels, frozen, args.sources, without)
    args.output.write_text(generate(frozen, levels), encoding='utf-8')

    # The folders too: a file that is added changes the list.
    depends = [args.levels, *args.levels.glob('*.json')]
    for source in args.sources:
        depends += [source.parent / 'frozen', *(source.parent / 'frozen').glob('*.bfbs')]
    args.depfile.write_text(f'{args.output}: ' + ' '.join(str(path) for path in depends) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
