# SPDX-License-Identifier: MIT
"""Which runs of meson are the tests that tests/run was given by name, with the cases of each that
are to be run alone. Called by tests/run with the build folder and those words; prints a run a
line, its words with tabs between them, or says which name is wrong and which are near it.
"""
import json
import pathlib
import shlex
import subprocess
import sys

import tap


def refuse(*names):
    sys.exit("tests/run: " + tap.unknown(*names))


def takes(test, case):
    """Whether the case may be one of this program's: of C's "/group/case", of Python's a function.
    What meson itself gives arguments to takes none, GLib's programs aside."""
    if case.startswith("/"):
        return pathlib.Path(test["cmd"][0]).name.startswith("test-")
    return test["cmd"][-1].endswith(".py") and len(test["cmd"]) == 2


def check_case(test, case):
    """GLib runs nothing, and says nothing, where a case is not there; tap.py says so itself."""
    if not case.startswith("/"):
        return
    listed = subprocess.run([*test["cmd"], "-l"], capture_output=True, text=True, timeout=60,
                            check=True).stdout.split("\n")
    cases = [line for line in listed if line.startswith("/")]
    if not any(f"{one}/".startswith(f"{case}/") for one in cases):
        refuse(case, f"case of {test['name']}", cases)


def run_of(tests, name, cases):
    """The words for meson."""
    for test in tests:
        if test["name"] == name and all(takes(test, case) for case in cases):
            for case in cases:
                check_case(test, case)
            words = [word for case in cases for word in (["-p"] * case.startswith("/") + [case])]
            return [name, "--suite", test["suite"][0].split(":")[-1],
                    "--test-args=" + shlex.join(words)]
    sys.exit(f"tests/run: {name} has no case \"{cases[0]}\" that can be run alone")


def main(build, *words):
    info = pathlib.Path(build) / "meson-info/intro-tests.json"
    tests = json.loads(info.read_text(encoding="utf-8"))
    names = {test["name"] for test in tests}
    chosen = []
    for word in words:
        if word in names:
            chosen.append((word, []))
        elif chosen:
            chosen[-1][1].append(word)
        else:
            refuse(word, "test", names)
    whole = [name for name, cases in chosen if not cases]
    for run in [whole] * bool(whole) + [run_of(tests, *one) for one in chosen if one[1]]:
        print("\t".join(run))


if __name__ == "__main__":
    main(*sys.argv[1:])
