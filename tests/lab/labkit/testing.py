# SPDX-License-Identifier: BSD-2-Clause
"""What the test scripts of the lab share: when they can run, and how they tell ./run test what came of it."""

import functools
import json
import shutil
import sys
import time
import unittest

from labkit import LabError
from labkit.assets import Assets


@functools.cache
def what_is_missing():
    """Why this machine cannot run the lab; empty when it can."""
    if not shutil.which("qemu-system-x86_64"):
        return "there is no qemu-system-x86_64 on this machine"
    try:
        Assets()
    except LabError as error:
        return str(error)
    return ""


class MachineTest(unittest.TestCase):
    """A test that boots something."""

    def setUp(self):
        if reason := what_is_missing():
            self.skipTest(reason)


class JsonLines(unittest.TestResult):
    """Prints each case as it ends; the whole story of one that failed goes to standard error."""

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.emit(test, "passed")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.emit(test, "skipped", reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.emit_failure(test, err, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.emit_failure(test, err, self.errors[-1][1])

    def emit_failure(self, test, err, story):
        print(story, file=sys.stderr, flush=True)
        self.emit(test, "failed", f"{err[0].__name__}: {err[1]}")

    def emit(self, test, outcome, reason=""):
        case = {"name": test.id().removeprefix("__main__."), "outcome": outcome, "reason": reason,
                "seconds": round(time.monotonic() - self.began, 1)}
        print(json.dumps(case), flush=True)


def main():
    """Runs the tests of the script: with the one argument --json all, a JSON line each; else as unittest does."""
    if sys.argv[1:] == ["--json"]:
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]).run(JsonLines())
    else:
        unittest.main()
