"""Runs the tests of this folder, several at once: the client waits more than it works.

    python3 main.py [WORDS]     tests whose names hold the words

Where the server is restarted between their steps, one after the other, and of MILLRACE_PART=I/N only the I-th
of each N.
"""

import concurrent.futures
import os
import pathlib
import sys
import time
import unittest

from support import STEP

AT_ONCE = 1 if STEP else 10


def tests_of(suite):
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from tests_of(part)
        else:
            yield part


def run(test):
    """(what to print, whether it passed)"""
    result, start = unittest.TestResult(), time.monotonic()
    test.run(result)
    problems = "".join(text for _, text in result.errors + result.failures)
    word = "skipped" if result.skipped else "ok" if not problems else "FAILED"
    return f"{word:7} {test.id()} ({time.monotonic() - start:.1f} s)\n{problems}", not problems


def main(words):
    suite = unittest.defaultTestLoader.discover(str(pathlib.Path(__file__).parent), "*_test.py")
    part, parts = map(int, os.environ.get("MILLRACE_PART", "0/1").split("/"))
    matching = [test for test in tests_of(suite) if words in test.id()]
    chosen = matching[part::parts]
    passed = 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for text, good in pool.map(run, chosen):
            print(text, end="", flush=True)
            passed += good
    print(f"{passed} passed, {len(chosen) - passed} failed")
    return 0 if matching and passed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
