# SPDX-License-Identifier: BSD-2-Clause
"""The kinds of refusal, section 1 of the format."""

from typing import Optional


class Refusal(Exception):
    """A file that this reader does not accept. The text begins with the kind."""

    kind = ''
    exit_code = 1

    def __init__(self, sentence: str, offset: Optional[int] = None) -> None:
        self.sentence = sentence
        self.offset = offset
        place = '' if offset is None else f'offset {offset}: '
        super().__init__(f'{self.kind}: {place}{sentence}')


class Truncated(Refusal):
    """The file ends before the format says it may."""

    kind = 'Truncated'
    exit_code = 4


class Corrupt(Refusal):
    """The file contradicts the format or its own hashes."""

    kind = 'Corrupt'
    exit_code = 4


class Unsupported(Refusal):
    """The file is whole but needs something that this reader does not have."""

    kind = 'Unsupported'
    exit_code = 5


class LimitExceeded(Refusal):
    """Reading on would take more than this reader is willing to spend."""

    kind = 'LimitExceeded'
    exit_code = 1
