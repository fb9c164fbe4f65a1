#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""data/quickstart from its first line to its last, in a copy of the tree whose folder has a name
that shells, build systems and option parsers trip over, and in a locale without UTF-8; and after
it README's installation, into a folder, and its removal."""
import functools
import os
import pathlib
import pty
import re
import shutil
import subprocess
import sys
import tempfile

import tap
from harness import SOURCE

NAME = "a blank and ö"


def copy_tree(target):
    """What belongs to the project, without build folders."""
    def left_out(folder, names):
        return [name for name in names if name in (".git", "__pycache__") or
                os.path.exists(os.path.join(folder, name, "meson-private"))]
    shutil.copytree(SOURCE, target, ignore=left_out)


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def readme_line(words):
    """A command of README's, which begins with the words."""
    text = (SOURCE / "README.md").read_text(encoding="utf-8")
    return re.search(rf"(?m)(?:^|`)({re.escape(words)}[^`\n]*)", text)[1]


class Run:
    """One run for all tests: what it came to, and what there was afterwards."""

    def __init__(self, folder):
        self.folder = folder
        # Root's machines run as other users.
        folder.chmod(0o711)
        copy_tree(folder / NAME)
        self.link = folder / f"link to {NAME}"
        self.link.symlink_to(NAME)
        (folder / "tmp").mkdir(mode=0o711)
        env = {name: value for name, value in os.environ.items()
               if not name.startswith(("LC_", "LANG", "BUILD_DIR"))}
        self.env = dict(env, LC_ALL="C", TMPDIR=str(folder / "tmp"))
        self.done = self.bash(str(self.link / "data/quickstart"))
        self.left = os.listdir(folder / "tmp")
        self.install()
        self.built = files(folder / NAME / "build")

    def bash(self, *words):
        return subprocess.run(["bash", *words], capture_output=True, text=True, timeout=600,
                              env=self.env, cwd=self.link, stdin=subprocess.DEVNULL,
                              errors="surrogateescape", check=False)

    def install(self):
        root = self.folder / "root"
        sudo = f"sudo() {{ \"$@\"; }}; export DESTDIR='{root}'; "
        self.installing = self.bash("-c", sudo + readme_line("meson setup build && ninja"))
        self.installed = files(root)
        self.removing = self.bash("-c", sudo + readme_line("sudo ninja -C build uninstall"))
        self.remaining = files(root)


@functools.cache
def quickstart():
    with tempfile.TemporaryDirectory(prefix="kh-quickstart-") as folder:
        return Run(pathlib.Path(folder))


def b142_folder_of_any_name():
    """bytes that a locale lacks were refused as a path: quickstart ends well below ö and a link"""
    done = quickstart().done
    tap.equal(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
    for words in ('{"health":true}', '"result":"0x4b4154414e41"', "== Done"):
        tap.check(words in done.stdout, f"{words} in {done.stdout[-3000:]}")
    tap.check("CRITICAL" not in done.stderr, done.stderr[-3000:])
    tap.equal(quickstart().left, [], "files that it left")


def b141_quickstart_builds_no_tests():
    """work that nobody asked for: quickstart and an installation compile what runs, and no test"""
    run = quickstart()
    tap.check("service/katana-hypervisord" in run.built, run.done.stderr[-3000:])
    tap.equal([name for name in run.built if name.startswith("tests/") and
               name.endswith((".o", ".a"))], [], "compiled for tests")


def b137_installed_and_removed():
    """a way in without a way out: README's lines install what is needed, and take it away"""
    run = quickstart()
    for done in (run.installing, run.removing):
        tap.equal(done.returncode, 0, done.stdout[-2000:] + done.stderr[-2000:])
    tap.check({"usr/bin/katana-hypervisor", "usr/libexec/katana-hypervisord",
               "usr/libexec/katana-hypervisor-shim",
               "usr/share/katana-hypervisor/katana-hypervisor.conf"} <= run.installed,
              run.installed)
    tap.equal(run.remaining, set(), "files after the removal")


def sudo_asks_a_person():
    """where somebody can be asked for sudo's password that happens, and nowhere else"""
    with tempfile.TemporaryDirectory(prefix="kh-sudo-") as folder:
        folder = pathlib.Path(folder)
        record = f"printf '%s\\n' \"$*\" >>{folder}/asked"
        for name, text in (("id", "echo 1000"), ("sudo", record)):
            (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
            (folder / name).chmod(0o755)
        main, side = pty.openpty()
        for stderr in (side, subprocess.PIPE):
            # As apt is run.
            script = '. "$0"/data/packages.sh; as_root apt update >&2 </dev/null'
            done = subprocess.run(["bash", "-c", script, str(SOURCE)], stderr=stderr, timeout=20,
                                  env=dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}"),
                                  check=False)
            tap.equal(done.returncode, 0, str(done))
        os.close(side)
        os.close(main)
        tap.equal((folder / "asked").read_text(encoding="utf-8"), "apt update\n-n apt update\n",
                  "what sudo was called with")


if __name__ == "__main__":
    sys.exit(tap.run([b142_folder_of_any_name, b141_quickstart_builds_no_tests,
                      b137_installed_and_removed, sudo_asks_a_person]))
