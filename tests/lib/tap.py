# SPDX-License-Identifier: MIT
"""Runs test functions one after another and prints TAP. Used by the tests of this folder."""

import difflib
import os
import sys
import time
import traceback


# A misuse of GLib ends whatever a test starts, service and command line alike.
os.environ["G_DEBUG"] = "fatal-criticals"


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


def skip(reason):
    raise Skip(reason)


def note(text):
    for line in str(text).splitlines():
        print("# " + line, flush=True)


def run_one(number, test):
    """True unless the test failed."""
    name = (test.__doc__ or test.__name__).strip().splitlines()[0]
    try:
        test()
    except Skip as missing:
        print(f"ok {number} - {name} # SKIP {missing}", flush=True)
    except Exception:  # pylint: disable=broad-except
        note(traceback.format_exc())
        print(f"not ok {number} - {name}", flush=True)
        return False
    else:
        print(f"ok {number} - {name}", flush=True)
    return True


def unknown(name, kind, names):
    """What is said of a name that is none of these."""
    near = difflib.get_close_matches(name, names, 5) or sorted(names)
    return f"there is no {kind} \"{name}\"; there is: {' '.join(near)}"


def chosen(tests):
    """Those that the program's arguments name, or all; exits where one of them names none."""
    names = [test.__name__ for test in tests]
    for word in sys.argv[1:]:
        if word not in names:
            program = os.path.basename(sys.argv[0])
            print("Bail out! " + unknown(word, f"test in {program}", names), flush=True)
            sys.exit(2)
    return [test for test in tests if test.__name__ in sys.argv[1:]] or tests


def run(tests=None):
    """Runs the functions, named by their docstring, and returns the exit code. Without a
    list: every test_* of the main module. The program's arguments choose some by name."""
    if tests is None:
        found = vars(sys.modules["__main__"]).items()
        tests = [one for name, one in found if name.startswith("test_") and callable(one)]
    tests = chosen(tests)
    print(f"1..{len(tests)}", flush=True)
    results = [run_one(number, test) for number, test in enumerate(tests, 1)]
    return 0 if all(results) else 1
