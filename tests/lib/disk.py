# SPDX-License-Identifier: MIT
"""Small ext4 images, mounted by loop devices, for tests of what a disk does: it is full, or the
power goes. Used by test_power.py and test_full_disk.py; root only.
"""
import errno
import os
import pathlib
import subprocess
import time

import tap
from harness import World, as_root

# Of the file system, and of SQLite's pages.
BLOCK = 4096


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=120, check=False)
    tap.check(done.returncode == 0, f"{command}: {done.stderr}")
    return done.stdout


def make(image, megabytes):
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    # Nothing is initialised later, behind the test's back.
    run("mkfs.ext4", "-q", "-b", BLOCK, "-E", "lazy_itable_init=0,lazy_journal_init=0", "-m", "0",
        image)


def mount(image, place):
    """By a loop device that goes with the mount. Raises Skip."""
    place.mkdir(exist_ok=True)
    try:
        run("mount", "-o", "loop", image, place)
    except AssertionError as error:
        raise tap.Skip(f"no image can be mounted here: {error}") from None


def unmount(place):
    """Whoever has it open keeps it until the end."""
    subprocess.run(["umount", "-l", str(place)], stderr=subprocess.DEVNULL, timeout=60, check=False)


def device_of(place):
    """The loop device below it."""
    return pathlib.Path(run("findmnt", "-n", "-o", "SOURCE", place).strip())


def writes(device):
    """(those that are done, those under way) of the device, see Documentation/block/stat.rst."""
    words = (pathlib.Path("/sys/block") / device.name / "stat").read_text("ascii").split()
    return int(words[4]), int(words[8])


def snapshot(image, device, target):
    """What has come to the disk at one moment. The kernel may write meanwhile; then again."""
    for _ in range(50):
        before = writes(device)
        run("cp", "--sparse=always", image, target)
        if before[1] == 0 and writes(device) == before:
            return
        time.sleep(0.005)
    raise AssertionError("the disk never was quiet for the time of a copy")


class DiskWorld(World):
    """A world whose state lies on an image of its own."""

    def __init__(self, *options, megabytes=64, **more):
        as_root()
        super().__init__(*options, **more)
        self.place = self.folder / "data"
        self.image = self.folder / "disk.img"
        try:
            make(self.image, megabytes)
            mount(self.image, self.place)
        except BaseException:
            self.abandon()
            raise

    def abandon(self):
        # What is below the mount goes with the image, what is in it would be removed one by one.
        self.kill_all()
        unmount(self.place)
        super().abandon()

    def close(self):
        super().close()
        # Until now the folder could not go.
        self.abandon()


class Filler:
    """A file that leaves so many blocks of a file system; `with` removes it."""

    def __init__(self, place, free=0):
        self.path, self.free = pathlib.Path(place) / "filler", free

    def __enter__(self):
        size = 0
        with open(self.path, "wb") as file:
            step = 16 << 20
            while step >= BLOCK:
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    step //= 2
            os.ftruncate(file.fileno(), max(size - self.free * BLOCK, 0))
            os.fsync(file.fileno())
        return self

    def __exit__(self, *_):
        self.path.unlink(missing_ok=True)
