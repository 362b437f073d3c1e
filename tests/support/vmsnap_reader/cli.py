# SPDX-License-Identifier: BSD-2-Clause
"""The command line."""

import argparse
import json
import sys
from typing import Sequence

from . import report, show
from .errors import Refusal
from .snapshot import Snapshot
from .source import Source

EXIT_WHOLE = 0
EXIT_IO = 1
EXIT_USAGE = 2

EPILOG = '''Exit status: 0 whole; 1 the system refused something, or a limit was reached; 2 wrong usage, or --show
names no device; 4 Corrupt or Truncated; 5 Unsupported. With several files, that of the first that is not 0.'''


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='vmsnap_reader', epilog=EPILOG,
                                     description='Verifies every byte of vmsnap files and says what is in them.')
    parser.add_argument('files', metavar='FILE', nargs='+')
    parser.add_argument('--quiet', action='store_true', help='print errors only')
    parser.add_argument('--json', action='store_true', help='print one JSON object per file, on one line each')
    parser.add_argument('--restore', action='store_true', help='refuse also what only a restoring reader refuses')
    parser.add_argument('--show', metavar='INSTANCE_OR_PATH', help='print every field of the state of one device')
    return parser.parse_args(arguments)


def _read(path: str, options: argparse.Namespace) -> int:
    """Checks and prints one file; gives the exit status."""
    with Source(path) as source:
        snapshot = Snapshot(source)
        if options.restore:
            snapshot.check_restorable()
        state = None
        if options.show is not None:
            try:
                device = report.find_device(snapshot, options.show)
            except KeyError:
                print(f'Usage: the file has no device {options.show!r} ({path})', file=sys.stderr)
                return EXIT_USAGE
            state = report.device_state(snapshot, device)
        if options.quiet:
            return EXIT_WHOLE
        if options.json:
            document = report.as_json(path, snapshot)
            if state is not None:
                document['state'] = show.plain(state)
            print(json.dumps(document))
        elif state is not None:
            for name, value in state.items():
                sys.stdout.writelines(line + '\n' for line in show.lines(name, value, ''))
        else:
            sys.stdout.writelines(line + '\n' for line in report.text(path, snapshot))
    return EXIT_WHOLE


def main(arguments: Sequence[str]) -> int:
    """Runs the program; gives its exit status."""
    options = _arguments(arguments)
    sys.stdout.reconfigure(errors='backslashreplace')
    first = EXIT_WHOLE
    for path in options.files:
        try:
            status = _read(path, options)
        except Refusal as refusal:
            print(f'{refusal} ({path})', file=sys.stderr)
            if options.json:
                print(json.dumps(report.refusal_json(path, refusal)))
            status = refusal.exit_code
        except OSError as error:
            print(f'Io: {error.strerror or error} ({path})', file=sys.stderr)
            status = EXIT_IO
        first = first or status
    return first
