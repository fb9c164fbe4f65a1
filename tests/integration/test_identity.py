#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A machine is followed by the service whose it is, wherever its folders have gone, and by no
other: not by one on a copy of its state folder, which has the same rows and knows the same pids.
"""
import contextlib
import os
import shutil
import subprocess
import sys

import tap
from bus import Bus
from harness import LOCKS, World, is_alive
from live import edit, live, pid_of, refused, running, service_dies, wait_state

NOBODY = 65534
FORGET_PIDS = "UPDATE instances SET shim_pid=0, shim_start=0, qemu_pid=0, qemu_start=0"


def users():
    """Services that are root, where this is, and one that is not."""
    return (None, NOBODY) if os.geteuid() == 0 else (None,)


def copy_state(source, target):
    """As a snapshot or a backup is put back: all but the locks that a service holds."""
    subprocess.run(["cp", "-a", str(source.state), str(target.state)], check=True, timeout=60)


def sockets_of(world):
    return sorted(path.name for path in (world.runtime / "katana-hypervisor").glob("*/*.sock"))


def check_untouched(world, bus, path, pid):
    """It runs as before, has its sockets, and does what it is told."""
    tap.check(is_alive(pid), "QEMU lives")
    tap.equal(sockets_of(world), ["console.sock", "control.sock", "qmp.sock"], "the sockets")
    tap.equal((bus.state(path), pid_of(bus, path)), ("running", pid), "the original")
    bus.do(path, "Pause")
    bus.do(path, "Resume")


def check_left_alone(two, path):
    """The service on the copy says why it has none, and clears only its own away."""
    bus = Bus(two)
    shown = bus.properties(path)
    tap.equal((shown["State"], shown["MainPid"]), ("failed", 0), "the instance of the copy")
    tap.check("it is left alone" in shown["StateReason"], shown["StateReason"])
    bus.do(path, "Delete")
    tap.equal(bus.list(), {}, "what is left of the copy")
    bus.close()


def try_copy(user, forget):
    with live(user=user) as (one, bus), World(user=user) as two:
        path = running(bus)
        pid = pid_of(bus, path)
        copy_state(one, two)
        if forget:
            edit(two, FORGET_PIDS)
            if user is not None:
                subprocess.run(["chown", "-R", f"{user}:{user}", str(two.state)], check=True)
        two.start()
        check_left_alone(two, path)
        check_untouched(one, bus, path, pid)
        two.end_service()
        check_untouched(one, bus, path, pid)
        service_dies(one)
        one.start()
        wait_state(bus, path, "running")
        tap.equal(pid_of(bus, path), pid, "the service whose it is follows it again")
        bus.do(path, "Stop")
        tap.equal(bus.properties(path)["StopResult"], "graceful", "stop")


def b80_copy_in_the_place_of_the_original():
    """nor a service on a copy that lies where the original did, whose machine's disk is elsewhere"""
    with live() as (world, bus):
        path = running(bus)
        pid = pid_of(bus, path)
        service_dies(world)
        moved = world.folder / "moved"
        world.state.rename(moved)
        subprocess.run(["cp", "-a", str(moved), str(world.state)], check=True)
        world.start()
        # What has just begun, and holds no folder, may come to hold it.
        shown = wait_state(bus, path, "failed")
        tap.equal(shown["MainPid"], 0, "the instance of the copy")
        tap.check("it is left alone" in shown["StateReason"], shown["StateReason"])
        if os.geteuid() == 0:
            # Its uid is the machine's, too, and not given to others.
            refused("Busy", lambda: bus.do(path, "Delete"))
        tap.check(is_alive(pid), "the machine")
        world.end_service()
        shutil.rmtree(world.state)
        moved.rename(world.state)
        world.start()
        wait_state(bus, path, "running")
        tap.equal(pid_of(bus, path), pid, "in its own folder it is followed again")


def b80_copy_of_a_state_folder():
    """a service on a copy adopts, signals and clears away nothing of the original's"""
    for user in users():
        try_copy(user, forget=False)


def b80_copy_without_pids():
    """nor where it has to look for machines, because the pids were not noted"""
    for user in users():
        try_copy(user, forget=True)


def drop_claims(state):
    """Those of uids for a folder that has another name now, which nobody else takes away."""
    for claim in LOCKS.glob("[0-9]*"):
        # Others' come and go meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if claim.read_text(errors="replace") == str(state):
                claim.unlink()


def b80_moved_state_folder():
    """machines are followed again when the state folder has another name"""
    for user in users():
        with live(user=user) as (world, bus):
            path = running(bus)
            pid = pid_of(bus, path)
            service_dies(world)
            moved = world.folder / "moved"
            (world.folder / "data").rename(moved)
            world.env["XDG_DATA_HOME"] = str(moved)
            world.state = moved / "hypervisor"
            world.start()
            wait_state(bus, path, "running")
            tap.equal(pid_of(bus, path), pid, "QEMU's pid")
            bus.do(path, "Stop")
            tap.equal(bus.properties(path)["StopResult"], "graceful", "stop")
            drop_claims(world.folder / "data" / "hypervisor")


def follow_without_sockets(user, forget):
    with live(user=user) as (world, bus):
        path = running(bus)
        pid = pid_of(bus, path)
        service_dies(world)
        shutil.rmtree(world.runtime / "katana-hypervisor")
        if forget:
            edit(world, FORGET_PIDS)
            if user is not None:
                subprocess.run(["chown", "-R", f"{user}:{user}", str(world.state)], check=True)
        world.start()
        wait_state(bus, path, "running")
        tap.equal(pid_of(bus, path), pid, "QEMU's pid")
        bus.do(path, "Stop")
        tap.equal(bus.properties(path)["StopResult"], "graceful", "stop")


def b80_runtime_folder_gone():
    """machines are followed again when their sockets are gone"""
    for user in users():
        follow_without_sockets(user, forget=False)


def b80_runtime_folder_gone_without_pids():
    """also by what their shims were called with, where the pids were not noted"""
    for user in users():
        follow_without_sockets(user, forget=True)


TESTS = [b80_copy_in_the_place_of_the_original, b80_copy_of_a_state_folder, b80_copy_without_pids, b80_moved_state_folder,
         b80_runtime_folder_gone, b80_runtime_folder_gone_without_pids]

if __name__ == "__main__":
    sys.exit(tap.run(TESTS))
