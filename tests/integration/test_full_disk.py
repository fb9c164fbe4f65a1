#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A disk that is full or read-only, and a database that somebody else has locked. Deleting frees
space and must work; what was answered as done holds, whatever happens next; what could not be
noted was said so, and is noted later without being asked for.

KH_LONG: every fill level of the last hundred pages instead of some.
"""
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys

import disk
import invariants
import tap
from bus import Bus
from harness import Failed, as_root, is_alive
from live import edit, kill_qemu, live, refused, running, service_dies, stays, wait_state

LEVELS = range(101) if os.environ.get("KH_LONG") else (0, 1, 2, 3, 5, 8, 13, 34, 100)
# What a call may say that could not be noted.
NOT_NOTED = ("Failed", "ResourceUnavailable", "Busy")
NOT_YET = "could not be told yet"
SMALL = 50 << 20


@contextlib.contextmanager
def small_disk(*options):
    with disk.DiskWorld("--stop-timeout", "10", *options) as world:
        world.start()
        bus = Bus(world)
        yield world, bus
        bus.close()


@contextlib.contextmanager
def locked(world):
    """Another process has the database."""
    other = sqlite3.connect(world.state / "state.db", isolation_level=None, timeout=20)
    try:
        other.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        other.close()


def full(world):
    return disk.Filler(world.place)


def answered(action):
    """Whether it was answered as done; else that it could not be noted."""
    try:
        action()
    except Failed as error:
        tap.note(f"{error.name}: {error.message}")
        tap.check(error.name in NOT_NOTED, f"{error.name}: {error.message}")
        return False
    return True


# Deleting on a full disk

def check_gone(world, path):
    identity = path.rpartition("/")[2].replace("_", "-")
    tap.check(not (world.state / "instances" / identity).exists(), "its folder is gone")
    for table, key in (("instances", "id"), ("ports", "instance_id"), ("uids", "instance_id")):
        found = invariants.rows(world, f"SELECT {key} FROM {table}")
        tap.check((identity,) not in found, f"{identity} in {table}")


def work_on_full_disk(world, bus, free, how):
    path = running(bus, "runs", storage_bytes=SMALL)
    other = bus.create("other", storage_bytes=SMALL)
    tap.equal(world.end_service(how), -how if how == signal.SIGKILL else 0, "exit code")
    with disk.Filler(world.place, free):
        world.start()
        tap.equal({one["Name"]: one["State"] for one in bus.list("Name", "State").values()},
                  {"runs": "running", "other": "created"}, "list")
        pid = bus.properties(path)["MainPid"]
        bus.do(path, "Stop")
        tap.equal((bus.state(path), is_alive(pid)), ("stopped", False), "after the stop")
        for one in (path, other):
            bus.do(one, "Delete")
            check_gone(world, one)
        service_dies(world)
        world.start()
        tap.equal(bus.list(), {}, "what came back")
    tap.equal(invariants.settle(world, bus), [], "what is left")


def delete_at_every_level(how):
    with small_disk() as (world, bus):
        wrong = []
        for free in LEVELS:
            try:
                work_on_full_disk(world, bus, free, how)
            except (AssertionError, Failed) as error:
                wrong.append(f"{free} blocks free: {str(error).splitlines()[-1]}")
                if world.service.poll() is not None:
                    world.start()
                for path in bus.list():
                    bus.do(path, "Delete", force=True)
                invariants.settle(world, bus)
        tap.equal(wrong, [], "levels at which it did not work")


def b83_delete_after_a_crash():
    """on a disk of every fill level a service that was killed starts, lists, stops and deletes"""
    delete_at_every_level(signal.SIGKILL)


def b83_delete_after_a_regular_end():
    """the same after a regular end, when there is no log of the database to write over"""
    delete_at_every_level(signal.SIGTERM)


# What was answered, and what could not be noted

def stop(bus):
    path = running(bus, restart_policy="always", storage_bytes=SMALL)
    return lambda: bus.do(path, "Stop"), lambda: stays(bus, path, "stopped")


def kill(bus):
    path = running(bus, restart_policy="always", storage_bytes=SMALL)
    return lambda: bus.do(path, "Stop", mode="kill"), lambda: stays(bus, path, "stopped")


def delete(bus):
    path = running(bus, storage_bytes=SMALL)
    bus.do(path, "Stop")
    return lambda: bus.do(path, "Delete"), lambda: tap.check(path not in bus.list(), "it is gone")


def delete_by_force(bus):
    path = running(bus, storage_bytes=SMALL)
    return (lambda: bus.do(path, "Delete", force=True),
            lambda: tap.check(path not in bus.list(), "it is gone"))


def configure(bus):
    path = bus.create("x", labels={"a": "before"}, storage_bytes=SMALL)
    return (lambda: bus.configure(path, labels={"a": "after"}),
            lambda: tap.equal(bus.properties(path)["Labels"], {"a": "after"}, "Labels"))


def create(bus):
    return (lambda: bus.create("x", storage_bytes=SMALL),
            lambda: tap.equal([one["Name"] for one in bus.list("Name").values()], ["x"], "list"))


def start(bus):
    path = bus.create("x", storage_bytes=SMALL)
    return lambda: bus.do(path, "Start"), lambda: tap.equal(bus.state(path), "running", "state")


def holds(world, bus, trouble, way):
    """What is answered while there is trouble holds when the service is killed in it."""
    action, check = way(bus)
    with trouble(world):
        done = answered(action)
        service_dies(world)
    world.start()
    if done:
        check()
    for path in bus.list():
        bus.configure(path, restart_policy="no")
    invariants.settle(world, bus)
    for path in bus.list():
        bus.do(path, "Delete", force=True)
    tap.equal(invariants.settle(world, bus), [], "what is left")


WAYS = (stop, kill, delete, delete_by_force, configure, create, start)


def b81_answers_under_a_lock_hold():
    """what is answered while the database is locked holds after SIGKILL, or was said not to"""
    with live("--stop-timeout", "10") as (world, bus):
        for way in WAYS:
            tap.note(way.__name__)
            holds(world, bus, locked, way)


def b83_answers_on_a_full_disk_hold():
    """the same while the disk is full"""
    with small_disk() as (world, bus):
        for way in WAYS:
            tap.note(way.__name__)
            holds(world, bus, full, way)


def is_saved(world, path, state):
    identity = path.rpartition("/")[2].replace("_", "-")
    return invariants.rows(world, f"SELECT state FROM instances WHERE id='{identity}'") == [
        (state,)]


def saved_later(world, bus, trouble, way, state):
    """It is shown meanwhile, and written as soon as that works, without any further call."""
    path = running(bus, storage_bytes=SMALL)
    with trouble(world):
        way(bus, path)
        reason = wait_state(bus, path, state)["StateReason"]
        noted = is_saved(world, path, state)
        tap.check(noted or NOT_YET in reason, f"StateReason: {reason}")
    tap.eventually(lambda: is_saved(world, path, state), 30, f"{path} is saved as {state}")
    reason = bus.properties(path)["StateReason"]
    tap.check(NOT_YET not in reason, f"StateReason afterwards: {reason}")
    service_dies(world)
    world.start()
    stays(bus, path, state)
    bus.do(path, "Delete")


def try_stop(bus, path):
    answered(lambda: bus.do(path, "Stop"))


def b81_saved_after_a_lock():
    """a stop, and an end, that a locked database did not take is shown so, and saved later"""
    with live("--stop-timeout", "10") as (world, bus):
        saved_later(world, bus, locked, try_stop, "stopped")
        saved_later(world, bus, locked, kill_qemu, "failed")


def b83_saved_after_a_full_disk():
    """the same of a full disk"""
    with small_disk() as (world, bus):
        saved_later(world, bus, full, try_stop, "stopped")
        saved_later(world, bus, full, kill_qemu, "failed")



# A file system that is read-only

class ReadOnly:
    """The state's, for who opens it from now on: a mount over its folder. Machines that live go
    on writing below it, as to a file system that the kernel has made read-only for its errors."""

    def __init__(self, world, place=None):
        as_root()
        self.place = place or world.folder / "data"

    def remount(self, how):
        disk.run("mount", "-o", f"remount,bind,{how}", self.place)

    def __enter__(self):
        disk.run("mount", "--bind", self.place, self.place)
        self.remount("ro")
        return self

    def __exit__(self, *_):
        disk.unmount(self.place)


def check_refused(world, bus, path):
    """What needs the disk is refused by its name, and nothing is altered."""
    before = {one: bus.properties(one) for one in bus.list()}
    for action in (lambda: bus.create("other"), lambda: bus.do(path, "Start"),
                   lambda: bus.do(path, "Restart"), lambda: bus.do(path, "Delete"),
                   lambda: bus.do(path, "Delete", force=True, keep_data=True),
                   lambda: bus.configure(path, labels={"a": "b"})):
        said = refused("Failed", action)
        tap.check(str(world.state) in said and "read-only" in said, said)
    tap.equal({one: bus.properties(one) for one in bus.list()}, before, "after the refusals")


def check_stops(bus, path, **how):
    pid = bus.properties(path)["MainPid"]
    tap.check(pid > 0, "it is followed")
    said = refused("Failed", lambda: bus.do(path, "Stop", **how))
    tap.check("could not be told yet" in said, said)
    found = bus.properties(path)
    tap.equal((found["State"], is_alive(pid)), ("stopped", False), f"after the stop {how}")
    tap.check(NOT_YET in found["StateReason"] and "read-only" in found["StateReason"],
              found["StateReason"])


def check_told(world, before):
    told = [line for line in world.journal()[before:].splitlines() if "WARNING" in line and
            "read-only" in line]
    tap.equal(len(told), 1, f"warnings: {told}")
    tap.check(str(world.state) in told[0], told[0])
    checks = json.loads(world.cli("--json", "doctor", check=False).stdout)["checks"]
    found = [one for one in checks if one["check"] == "state" and one["status"] == "fail"]
    tap.check(len(found) == 1 and str(world.state) in found[0]["found"], found)


def works_read_only(how, session):
    with live(session=session) as (world, bus):
        stops, killed = running(bus, "stops"), running(bus, "killed")
        rests = bus.create("rests")
        pids = [bus.properties(path)["MainPid"] for path in (stops, killed)]
        world.end_service(how)
        before = len(world.journal())
        with ReadOnly(world) as medium:
            world.start()
            wait_state(bus, stops, "running")
            tap.equal([bus.properties(path)["MainPid"] for path in (stops, killed)], pids, "pids")
            tap.equal(bus.state(rests), "created", "the one that rests")
            check_told(world, before)
            check_refused(world, bus, rests)
            bus.do(stops, "Pause")
            bus.do(stops, "Resume")
            check_stops(bus, stops)
            check_stops(bus, killed, mode="kill")
            medium.remount("rw")
            for path in (stops, killed):
                tap.eventually(lambda p=path: is_saved(world, p, "stopped"), 90, "it is saved")
            bus.do(stops, "Start")
            bus.do(bus.create("later"), "Delete")
            service_dies(world)
        world.start()
        wait_state(bus, stops, "running")
        for path in bus.list():
            bus.do(path, "Delete", force=True)
        tap.equal(invariants.settle(world, bus), [], "what is left")


def b126_looked_at_and_stopped():
    """on a read-only file system the service says so, shows, stops, and saves that once it can"""
    for how in (signal.SIGKILL, signal.SIGTERM):
        for session in (True, False):
            works_read_only(how, session)


def b126_log_of_the_database():
    """what only the database's log holds is shown from a read-only file system, index or not"""
    with live() as (world, bus):
        path = bus.create("x", labels={"a": "before"})
        tap.equal(world.end_service(), 0, "exit code")
        world.start()
        bus.configure(path, labels={"a": "after"})
        service_dies(world)
        tap.check((world.state / "state.db-wal").stat().st_size > 0, "there is a log")
        for removed in ("state.db-none", "state.db-shm"):
            (world.state / removed).unlink(missing_ok=True)
            with ReadOnly(world):
                world.start()
                tap.equal(bus.properties(path)["Labels"], {"a": "after"}, f"without {removed}")
                service_dies(world)
        world.start()
        tap.equal(bus.properties(path)["Labels"], {"a": "after"}, "afterwards")


def fail_disk(world):
    """As an error of the disk does: the kernel lets nobody write any more."""
    device = disk.device_of(world.place).name
    disk.run("mount", "-o", "remount,errors=remount-ro", world.place)
    try:
        with open(f"/sys/fs/ext4/{device}/trigger_fs_error", "w", encoding="ascii") as file:
            file.write("a test of katana-hypervisor")
    except OSError as error:
        raise tap.Skip(f"no error of a file system can be caused here: {error}") from None


def b126_errors_of_the_disk():
    """a file system that the kernel makes read-only under the service, and one that it finds so"""
    with small_disk("--start-timeout", "20") as (world, bus):
        first, second = (running(bus, name, storage_bytes=SMALL) for name in ("first", "second"))
        rests = bus.create("rests", storage_bytes=SMALL)
        fail_disk(world)
        check_refused(world, bus, rests)
        check_stops(bus, first)
        said = bus.properties(first)["StateReason"]
        tap.check("How QEMU ended is not known" in said, said)
        service_dies(world)
        before = len(world.journal())
        world.start()
        pid = wait_state(bus, second, "running")["MainPid"]
        tap.check(is_alive(pid), "it is followed")
        check_told(world, before)
        check_refused(world, bus, rests)
        check_stops(bus, second)
        service_dies(world)


def b126_instances_only():
    """where only the instances' folder is read-only, it is named, and a stop is saved at once"""
    with live() as (world, bus):
        path = running(bus)
        tap.equal(world.end_service(), 0, "exit code")
        place = world.state / "instances"
        with ReadOnly(world, place):
            world.start()
            wait_state(bus, path, "running")
            bus.do(path, "Stop")
            tap.check(is_saved(world, path, "stopped"), "it is saved")
            for action in (lambda: bus.do(path, "Start"), lambda: bus.do(path, "Delete")):
                said = refused("Failed", action)
                tap.check(f"{place} " in said and "read-only" in said, said)
            tap.equal(world.end_service(), 0, "exit code")
        world.start()
        bus.do(path, "Start")


def b126_refused_by_name():
    """what cannot be read from a read-only file system as it is ends the service, which names it"""
    def ends(world, text):
        before = len(world.journal())
        with ReadOnly(world):
            world.start(wait=False)
            tap.equal(world.service.wait(20), 1, "exit code")
        said = world.journal()[before:]
        tap.check(str(world.state) in said and text in said, said)
    with live() as (world, bus):
        path = bus.create("x")
        tap.equal(world.end_service(), 0, "exit code")
        edit(world, "PRAGMA user_version=6")
        ends(world, "schema version 6")
        edit(world, "PRAGMA user_version=7")
        with ReadOnly(world):
            world.start()
            second = subprocess.run(world.service_command(), env=world.env, capture_output=True,
                                    text=True, timeout=30, check=False)
            tap.check(second.returncode == 1 and "Another" in second.stderr, second.stderr)
            tap.equal(bus.state(path), "created", "the first one's instance")
            tap.equal(world.end_service(), 0, "exit code")
        (world.state / "state.db").rename(world.state / "away")
        ends(world, "state.db")
        (world.state / "away").rename(world.state / "state.db")
        world.start()


if __name__ == "__main__":
    sys.exit(tap.run([b83_delete_after_a_crash, b83_delete_after_a_regular_end,
                      b81_answers_under_a_lock_hold, b83_answers_on_a_full_disk_hold,
                      b81_saved_after_a_lock, b83_saved_after_a_full_disk,
                      b126_looked_at_and_stopped, b126_log_of_the_database, b126_errors_of_the_disk,
                      b126_instances_only,
                      b126_refused_by_name]))
