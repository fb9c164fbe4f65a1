# SPDX-License-Identifier: MIT
"""The programs of an earlier tree, built once from its commit. Used by test_upgrade.py."""
import fcntl
import os
import shutil
import subprocess

import tap
from harness import BUILD, SOURCE

# The last commit of what is in use elsewhere. After a release it is that of the release: machines
# that were started by it must be followed by what comes next.
COMMIT = "8a1e02b"
TARGETS = ("service/katana-hypervisord", "service/launch/katana-hypervisor-shim",
           "cli/katana-hypervisor")


def has_commit():
    """Whether the sources come with their history, as a tarball or a shallow clone does not."""
    return shutil.which("git") is not None and subprocess.run(
        ["git", "-C", str(SOURCE), "cat-file", "-e", COMMIT + "^{commit}"], timeout=60,
        check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def make(folder):
    source, build = folder / "source", folder / "build"
    source.mkdir(parents=True)
    tree = subprocess.run(["git", "-C", str(SOURCE), "archive", COMMIT], check=True, timeout=60,
                          stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "-x", "-C", str(source)], input=tree, check=True, timeout=60)
    for command in ([os.environ.get("MESON", "meson"), "setup", str(build), str(source)],
                    ["ninja", "-C", str(build), *TARGETS]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        tap.check(done.returncode == 0, f"{command}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def build():
    """The folder of its build. Raises Skip."""
    if not has_commit():
        raise tap.Skip(f"the earlier tree, commit {COMMIT}, is not in a repository here")
    target = BUILD / "tree-before" / COMMIT
    target.parent.mkdir(exist_ok=True)
    with open(target.parent / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            work = target.parent / "new"
            shutil.rmtree(work, ignore_errors=True)
            make(work)
            work.rename(target)
    return target / "build"
