#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A disk that is full, and a database that somebody else has locked: what was answered as
done holds, whatever happens next; what could not be noted was said so, and is noted later
without being asked for.
"""
import contextlib
import sqlite3
import sys

import disk
import invariants
import tap
from bus import Bus
from harness import Failed
from live import kill_qemu, live, running, service_dies, stays, wait_state

# What a call may say that could not be noted.
NOT_NOTED = ("Failed", "ResourceUnavailable", "Busy")
NOT_YET = "does not know it yet"
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


if __name__ == "__main__":
    sys.exit(tap.run([b81_answers_under_a_lock_hold, b83_answers_on_a_full_disk_hold,
                      b81_saved_after_a_lock, b83_saved_after_a_full_disk]))
