# SPDX-License-Identifier: MIT
"""A real polkitd with this project's actions and rules, and users to ask about.

The files are bound over the machine's own in a mount namespace of the caller, who makes it
with enter(), or whose tests main() runs in one. Used by test_install.py, test_polkit.py and
test_bus_fuzz.py.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import namespace
import tap

POLKITD = "/usr/lib/polkit-1/polkitd"
# member is in the group katana, other and operator are not.
USERS = {"root": 0, "member": 64001, "other": 64002, "operator": 64004}


def enter(*command):
    """The command, to be run in a mount namespace of its own. Raises Skip."""
    tap.check(os.geteuid() == 0 or tap.skip("not root"), "")
    if not os.path.exists(POLKITD):
        tap.skip("polkitd is not installed")
    return [*namespace.enter("/etc", "/usr/share/polkit-1"), *command]


def bind(source, target):
    subprocess.run(["mount", "--bind", str(source), str(target)], check=True, timeout=20)


def bind_file(work, name, text):
    copy = work / name
    copy.write_text(text, encoding="utf-8")
    copy.chmod(0o644)
    bind(copy, f"/etc/{name}")


def mount_files(policy, work):
    """Gives polkitd the folder's actions/ and rules.d/ and the users, in this namespace only."""
    empty = work / "empty"
    empty.mkdir(mode=0o755)
    for name in ("actions", "rules.d"):
        bind(policy / name, f"/usr/share/polkit-1/{name}")
    if os.path.isdir("/etc/polkit-1/rules.d"):
        bind(empty, "/etc/polkit-1/rules.d")
    passwd = pathlib.Path("/etc/passwd").read_text(encoding="utf-8")
    group = re.sub(r"(?m)^katana:.*\n", "", pathlib.Path("/etc/group").read_text("utf-8"))
    for name in ("member", "other", "operator"):
        passwd += f"{name}:x:{USERS[name]}:{USERS[name]}::/:/bin/sh\n"
        group += f"{name}:x:{USERS[name]}:\n"
    bind_file(work, "passwd", passwd)
    bind_file(work, "group", group + "katana:x:64003:member\n")


def copy_policy(source, work):
    """The source tree's polkit files in the folders that polkitd knows; returns their folder."""
    policy = work / "polkit-1"
    for name, pattern in (("actions", "*.policy"), ("rules.d", "*.rules")):
        (policy / name).mkdir(parents=True)
        for file in (source / "polkit").glob(pattern):
            shutil.copy(file, policy / name)
    return policy


def run_inside(source, tests, rules):
    """The tests, in the mount namespace."""
    with tempfile.TemporaryDirectory(prefix="kh-polkit-") as work:
        work = pathlib.Path(work)
        work.chmod(0o755)
        policy = copy_policy(source, work)
        for name, text in rules.items():
            (policy / "rules.d" / name).write_text(text)
        mount_files(policy, work)
        return tap.run(tests)


def main(source, tests, seconds, rules=None):
    """Runs the tests of the calling program in a mount namespace, where polkitd has the source
    tree's actions and rules, and these ({file name: text}); returns the exit code."""
    if os.environ.get("KH_POLKIT_INSIDE"):
        return run_inside(source, tests, rules or {})
    try:
        command = enter("/usr/bin/python3", *sys.argv)
    except tap.Skip as missing:
        print(f"1..0 # SKIP {missing}")
        return 0
    return subprocess.run(command, env=dict(os.environ, KH_POLKIT_INSIDE="1"), timeout=seconds,
                          check=False).returncode
