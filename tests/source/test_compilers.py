#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The tree with another compiler than the one it is built with, and its programs and tests under
AddressSanitizer and UndefinedBehaviorSanitizer.

A sanitizer's word ends the program that it is of, and is in a file of REPORTS; leaks are looked
for where a process ends by itself, which those of the unit tests do.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import pathlib

import sanitized
import tap
from harness import BUILD, SOURCE

MESON = os.environ.get("MESON") or shutil.which("meson")
SUITES = ("lifecycle", "hostile")


def run(command, seconds, **variables):
    return subprocess.run([str(word) for word in command], env=dict(os.environ, **variables),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=seconds, check=False)


def test_clang():
    """clang builds everything, and warns of nothing"""
    if shutil.which("clang") is None:
        raise tap.Skip("no clang")
    folder = BUILD / "clang"
    if not (folder / "build.ninja").exists():
        done = run([MESON, "setup", folder, SOURCE, "-Dwerror=true"], 120, CC="clang")
        tap.check(done.returncode == 0, done.stdout[-4000:])
    done = run(["ninja", "-C", folder], 1200)
    tap.check(done.returncode == 0, done.stdout[-8000:])


def results(folder):
    """What meson's last run has to say of each test."""
    log = folder / "meson-logs/testlog.json"
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def check_tests(leaks, *chosen):
    """Runs tests of the sanitized tree: each passes, and no sanitizer says a word."""
    folder = sanitized.build(everything=True)
    with tempfile.TemporaryDirectory(prefix="kh-reports-") as reports:
        found = pathlib.Path(reports)
        found.chmod(0o1777)
        done = run([MESON, "test", "-C", folder, "--no-rebuild", "-t", "4", "--num-processes", "1",
                    *chosen], 1500, **sanitized.environment(found, leaks))
        said = [path.read_text(errors="replace") for path in sorted(found.iterdir())]
    bad = [one["name"] + ":\n" + (one.get("stdout", "") + one.get("stderr", ""))[-3000:]
           for one in results(folder) if one["result"] not in ("OK", "SKIP")]
    tap.note(f"{len(results(folder))} programs")
    tap.check(not said, "a sanitizer says:\n" + "\n".join(said)[:20000])
    tap.check(done.returncode == 0 and not bad, "\n".join(bad) or done.stdout[-4000:])


def test_unit():
    """the unit tests pass under the sanitizers, and nothing leaks"""
    check_tests(True, "--suite", "unit", "--suite", "thorough")


def test_integration():
    """machines live, and hostile ones do what they can, under the sanitizers"""
    check_tests(False, *SUITES)


if __name__ == "__main__":
    if sanitized.is_sanitized(BUILD):
        print("1..0 # SKIP this is the sanitized build")
        sys.exit(0)
    sys.exit(tap.run([test_clang, test_unit, test_integration]))
