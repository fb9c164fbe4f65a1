#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A test is run alone by its name, and a name that is none is an error that says what is near."""
import subprocess
import sys

import tap
from harness import BUILD, SOURCE


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def runs_of(*words):
    """Exit code, what meson is asked for, what is said: of tests/run with these words."""
    return run(sys.executable, SOURCE / "tests/lib/named.py", BUILD, *words)


def test_named():
    """what is named is run, and of what has cases behind it no others"""
    code, said, _ = runs_of("sizes", "systemd-bus", "/systemd-bus/release", "/systemd-bus/clash",
                            "names", "lifecycle", "killed_qemu")
    tap.equal((code, said.splitlines()),
              (0, ["sizes\tnames",
                   "systemd-bus\t--suite\tunit\t"
                   "--test-args=-p /systemd-bus/release -p /systemd-bus/clash",
                   "lifecycle\t--suite\tintegration\t--test-args=killed_qemu"]), "runs")
    tap.equal(runs_of("doctor", "test_checks")[1],
              "doctor\t--suite\tintegration\t--test-args=test_checks\n", "of two of a name")


def test_wrong_names():
    """a test or a case that is not there is named, with those near it, and nothing is run"""
    for words, near in ((("lifecyle",), "lifecycle"), (("nothing-at-all",), "lifecycle"),
                        (("systemd-bus", "/systemd-bus/relese"), "/systemd-bus/release"),
                        (("sizes", "/systemd-bus/release"), "/sizes/"),
                        (("sizes", "killed_qemu"), "no case"), (("guest", "lifecicle"), "no case")):
        code, said, why = runs_of(*words)
        tap.equal((code, said), (1, ""), f"{words}")
        tap.check(near in why and words[-1] in why, why)


def test_programs():
    """a program of Python's runs the tests that it is given, or none"""
    program = BUILD / "named.py"
    program.write_text("import sys\nimport tap\ndef test_one():\n    pass\n"
                       "def test_two():\n    pass\nsys.exit(tap.run())\n", encoding="ascii")
    try:
        tap.equal(run(sys.executable, program)[:2],
                  (0, "1..2\nok 1 - test_one\nok 2 - test_two\n"), "all")
        tap.equal(run(sys.executable, program, "test_two")[:2],
                  (0, "1..1\nok 1 - test_two\n"), "one")
        code, said, _ = run(sys.executable, program, "test_two", "test_on")
        tap.equal(code, 2, "exit code")
        tap.check(said.startswith("Bail out! ") and "test_one" in said and "ok " not in said, said)
    finally:
        program.unlink()


if __name__ == "__main__":
    sys.exit(tap.run())
