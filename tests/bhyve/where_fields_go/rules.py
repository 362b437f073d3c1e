# SPDX-License-Identifier: BSD-2-Clause
"""How a rule is written, and found."""

import re
from collections.abc import Callable

from converted import Converted

Rule = Callable[..., object]
RULES: dict[str, list[tuple[re.Pattern[str], Rule]]] = {}

ALL_ONES = (1 << 64) - 1


def rule(chunks: str, paths: str) -> Callable[[Rule], Rule]:
    """The rule of fields of the chunks. In a path, # stands for an index, which the rule is given."""
    def add(function: Rule) -> Rule:
        for chunk in chunks.split():
            for path in paths.split():
                RULES.setdefault(chunk, []).append((_pattern(path), function))
        return function
    return add


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.escape(path).replace(r'\#', r'(\d+)'))


def find(chunk: str, path: str) -> tuple[Rule, list[int]] | None:
    for pattern, function in RULES.get(chunk, []):
        match = pattern.fullmatch(path)
        if match:
            return function, [int(number) for number in match.groups()]
    return None


def same(chunks: str, device: str, pairs: str) -> None:
    """Fields that one field of the device holds as they are: 'path place', one pair per line. A # of the path is a
    # of the place."""
    for line in filter(None, (one.strip() for one in pairs.splitlines())):
        path, place = line.split()

        def carry(c: Converted, value: object, *indices: int, place: str = place, device: str = device) -> object:
            c.hold(*_target(c, device, place, indices), value)
            return value
        rule(chunks, path)(carry)


def flags(chunks: str, device: str, pairs: str) -> None:
    """Like `same`, of fields of which 0 is false, and everything else true."""
    for line in filter(None, (one.strip() for one in pairs.splitlines())):
        path, place = line.split()

        def carry(c: Converted, value: int, *indices: int, place: str = place, device: str = device) -> object:
            c.hold(*_target(c, device, place, indices), value != 0)
            return int(value != 0)
        rule(chunks, path)(carry)


def _target(c: Converted, device: str, place: str, indices: tuple[int, ...]) -> tuple[str, str]:
    """The first indices belong to the device, the last to the place; without a device, it is that of the chunk."""
    return (_filled(device, indices[:device.count('#')]) if device else c.place,
            _filled(place, indices[-place.count('#'):]))


def _filled(text: str, indices: tuple[int, ...]) -> str:
    for index in indices:
        text = text.replace('#', str(index), 1)
    return text


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value
