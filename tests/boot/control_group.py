# SPDX-License-Identifier: MIT
"""A control group of its own for what a test runs, in each hierarchy that is mounted: those of
cgroup v1, each with its controllers, and the one of v2. Used by container.py."""
import errno
import os
import pathlib
import signal
import uuid

import tap


def own_paths():
    """{hierarchy: this process's place in it}; of v1 named by its controllers, of v2 ""."""
    lines = pathlib.Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    return {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}


def mounted():
    """(hierarchy, mount point, what of it is mounted there) of each."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, after = (part.split() for part in line.split(" - "))
        if after[0] == "cgroup2":
            yield "", before[4], before[3]
        elif after[0] == "cgroup":
            named = [word for word in after[2].split(",") if word not in ("rw", "ro", "none")]
            yield ",".join(named), before[4], before[3]


def own_folders():
    """Those of this process, where they can be seen."""
    paths = own_paths()
    for hierarchy, place, root in mounted():
        names = set(hierarchy.split(","))
        path = next((one for key, one in paths.items() if set(key.split(",")) <= names), "/")
        below = os.path.relpath(path, root)
        yield pathlib.Path(place) / ("" if below.startswith("..") else below)


class ControlGroup:
    """Made empty; a process enters by itself, and its children are born in it."""

    def __init__(self):
        self.folders = []
        # One name in all: systemd-nspawn makes what it finds in one hierarchy in others, too.
        name = f"kh-test-{uuid.uuid4().hex}"
        for parent in own_folders():
            folder = parent / name
            try:
                folder.mkdir()
            except OSError as error:
                if error.errno != errno.EROFS:
                    raise
                continue
            self.folders.append(folder)
            # A new group of cpuset has neither, and takes nobody without.
            for file in ("cpuset.cpus", "cpuset.mems"):
                if (parent / file).exists():
                    (folder / file).write_bytes((parent / file).read_bytes())

    def enter(self):
        for folder in self.folders:
            (folder / "cgroup.procs").write_text("0", encoding="ascii")

    def groups(self):
        """It and those below it, the lowest first."""
        for folder in self.folders:
            for path, _, _ in os.walk(folder, topdown=False):
                yield pathlib.Path(path)

    def processes(self):
        found = set()
        for group in self.groups():
            try:
                found |= set(map(int, (group / "cgroup.procs").read_text("ascii").split()))
            except OSError:
                continue  # it went meanwhile
        return found

    def is_removed(self):
        """Whether nothing of it is left after this attempt."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for group in self.groups():
            try:
                group.rmdir()
            except OSError:
                continue  # what ends in it is not gone yet
        return not any(folder.exists() for folder in self.folders)

    def remove(self):
        """With whatever is still in it."""
        tap.eventually(self.is_removed, 20, "the control group is empty")
