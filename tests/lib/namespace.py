# SPDX-License-Identifier: MIT
"""A mount namespace for tests that mount over the machine's own files.

Used by polkit.py and test_shim.py. Where / is no mount point (a plain chroot) nothing can be
said of all mounts at once; there this program binds each place to itself and makes that
private, runs the command and takes the binds away again.
"""
import subprocess
import sys

import tap


def works(words):
    return subprocess.run([*words, "true"], stderr=subprocess.DEVNULL, timeout=60,
                          check=False).returncode == 0


def enter(*places):
    """The words before a command that may mount at and below the places, unseen by others.
    Raises Skip."""
    private = ["unshare", "-m", "--propagation", "private"]
    if works(private):
        return private
    each = ["unshare", "-m", "--propagation", "unchanged", sys.executable, __file__,
            *map(str, places), "--"]
    if works(each):
        return each
    raise tap.Skip("no mount namespace can be made here")


def run(places, command):
    bound = []
    try:
        for place in places:
            subprocess.run(["mount", "--rbind", place, place], check=True, timeout=20)
            bound.append(place)
            subprocess.run(["mount", "--make-rprivate", place], check=True, timeout=20)
        return subprocess.run(command, check=False).returncode
    finally:
        # Where the mount below is shared, others have seen the bind.
        for place in reversed(bound):
            subprocess.run(["umount", "-R", "-l", place], check=False, timeout=20)


if __name__ == "__main__":
    end = sys.argv.index("--")
    sys.exit(run(sys.argv[1:end], sys.argv[end + 1:]))
