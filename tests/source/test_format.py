#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every C file is as .clang-format says."""
import re
import shutil
import subprocess
import sys

import tap
from harness import SOURCE

# Others format some things in another way.
VERSION = "14"


def c_files():
    """Those of the sources, and none that a build has made."""
    folders = [SOURCE / name for name in ("service", "cli", "dbus-interfaces", "tests",
                                          "boot-components")]
    return sorted(path for folder in folders for path in folder.rglob("*.[ch]"))


def formatter():
    program = shutil.which(f"clang-format-{VERSION}") or shutil.which("clang-format")
    if program is None:
        raise tap.Skip("no clang-format")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60,
                          check=True).stdout
    if f"version {VERSION}." not in said:
        raise tap.Skip(f"clang-format {VERSION} is wanted, this is {said.strip()}")
    return program


def test_formatted():
    """each C file is as clang-format leaves it"""
    files = c_files()
    tap.check(len(files) > 300, f"only {len(files)} files were found")
    done = subprocess.run([formatter(), "--dry-run", "-Werror", *files], capture_output=True,
                          text=True, timeout=300, check=False)
    places = re.findall(r"^(\S+:\d+):\d+: error", done.stderr, re.M)
    tap.check(done.returncode == 0, "run clang-format -i: " + " ".join(places) + done.stderr[-500:])


if __name__ == "__main__":
    sys.exit(tap.run())
