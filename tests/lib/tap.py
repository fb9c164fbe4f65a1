# SPDX-License-Identifier: MIT
"""Runs test functions one after another and prints TAP. Used by the tests of this folder."""

import sys
import time
import traceback


class Skip(Exception):
    """Says what is missing on this machine."""


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def equal(found, wanted, what):
    check(found == wanted, f"{what}: found {found!r}, wanted {wanted!r}")


def eventually(probe, seconds, what):
    """The first true value that probe returns; fails when none comes within the seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = probe()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


def run(tests):
    """tests: functions, named by their docstring; the program's arguments choose some by
    function name. Returns the exit code."""
    chosen = [test for test in tests if test.__name__ in sys.argv[1:]]
    tests = chosen or tests
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, test in enumerate(tests, 1):
        name = test.__doc__.strip().splitlines()[0]
        try:
            test()
            print(f"ok {number} - {name}", flush=True)
        except Skip as missing:
            print(f"ok {number} - {name} # SKIP {missing}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            print(f"not ok {number} - {name}", flush=True)
    sys.stdout.flush()
    return 1 if failed else 0
