#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Holds the worked example of docs/format.md against its files, as the independent reader sees it."""

import pathlib
import re
import sys
import unittest

# The package lies in the source tree, which a test run leaves as it was.
sys.dont_write_bytecode = True

from vmsnap_reader.framing import printable  # noqa: E402
from vmsnap_reader.snapshot import Snapshot  # noqa: E402
from vmsnap_reader.source import Source  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = re.compile(r'`xxd -g 1 -s 0x([0-9a-f]+) -l (\d+) (tests/golden/good/\S+)`')
LISTED = re.compile(r' {4}([0-9a-f]{6})  ([0-9a-f]{2}(?: [0-9a-f]{2})*)(?:  .*)?')
ROW = re.compile(r'\| \d+ \| 0x[0-9a-f]+ \|.*')


class WorkedExample(unittest.TestCase):
    def setUp(self) -> None:
        text = (ROOT / 'docs/format.md').read_text()
        self.lines = text.split('\n## Worked example\n')[1].split('\n## ')[0].splitlines()
        self.path = ROOT / 'tests/golden/good/small.vmsnap'

    def test_the_listed_bytes_are_those_that_the_commands_print(self) -> None:
        listed = 0
        data, start, end = b'', 0, 0
        for line in self.lines:
            if command := COMMAND.fullmatch(line):
                data = (ROOT / command[3]).read_bytes()
                start, end = int(command[1], 16), int(command[1], 16) + int(command[2])
            elif match := LISTED.fullmatch(line):
                offset, expected = int(match[1], 16), bytes.fromhex(match[2])
                self.assertEqual(expected, data[offset:offset + len(expected)], line)
                self.assertTrue(start <= offset and offset + len(expected) <= end, line)
                listed += 1
        self.assertGreater(listed, 100)

    def test_the_listed_chunks_are_those_that_a_walk_finds(self) -> None:
        with Source(str(self.path)) as source:
            chunks = Snapshot(source).chunks
        found = [f'| {chunk.sequence} | {chunk.offset:#x} | `{printable(chunk.type)}` | {chunk.schema_id} | '
                 f'{chunk.instance} | {chunk.meta_size} | {chunk.gap} | {chunk.body_size} | '
                 f'{chunk.end - chunk.offset:#x} | {chunk.digest.hex()} |' for chunk in chunks]
        self.assertEqual([line for line in self.lines if ROW.fullmatch(line)], found)


if __name__ == '__main__':
    unittest.main()
