# SPDX-License-Identifier: MIT
"""A small TAP producer: runs every function of the main module named test_*, in the order
of the file. Used by the integration tests."""
import sys
import traceback


class Skip(Exception):
    """The test cannot run here; the text names what is missing."""


def skip(reason):
    raise Skip(reason)


def note(text):
    for line in str(text).splitlines():
        print(f"# {line}", flush=True)


def run_one(number, name, function):
    """True unless the test failed."""
    try:
        function()
    except Skip as reason:
        print(f"ok {number} - {name} # SKIP {reason}", flush=True)
    except Exception:
        note(traceback.format_exc())
        print(f"not ok {number} - {name}", flush=True)
        return False
    else:
        print(f"ok {number} - {name}", flush=True)
    return True


def run(only=()):
    """Runs the tests, those named in `only` where it is not empty, and exits."""
    found = vars(sys.modules["__main__"]).items()
    tests = [(name, f) for name, f in found if name.startswith("test_") and callable(f)]
    tests = [(name, f) for name, f in tests if not only or name in only]
    print(f"1..{len(tests)}", flush=True)
    failed = [name for number, (name, f) in enumerate(tests, 1) if not run_one(number, name, f)]
    sys.exit(1 if failed else 0)
