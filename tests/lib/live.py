# SPDX-License-Identifier: MIT
"""Words for a world whose service lives and dies, shared by the tests of what holds over that:
test_facts.py, test_keeps.py.
"""
import contextlib
import os
import signal
import sqlite3
import time

import tap
from bus import Bus
from harness import Failed, World


@contextlib.contextmanager
def live(*options, **more):
    """A world with its service and a connection to it."""
    with World(*options, **more) as world:
        world.start()
        bus = Bus(world)
        yield world, bus
        bus.close()


def running(bus, name="x", *words, **config):
    path = bus.create(name, *words, **config)
    bus.do(path, "Start")
    return path


def refused(name, action):
    try:
        action()
    except Failed as error:
        tap.equal(error.name, name, error.message)
        return error.message
    raise AssertionError(f"was not refused with {name}")


def pid_of(bus, path):
    return bus.properties(path)["MainPid"]


def wait_state(bus, path, state, seconds=15, **wanted):
    """What the instance shows once it is in the state, and its properties are as wanted."""
    def look():
        found = bus.properties(path)
        same = all(found[key] == value for key, value in wanted.items())
        return found if found["State"] == state and same else None
    return tap.eventually(look, seconds, f"{state} {wanted}")


def stays(bus, path, state, seconds=1.7):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        tap.equal(bus.state(path), state, "the state that was to stay")
        time.sleep(0.1)


def kill_qemu(bus, path):
    os.kill(pid_of(bus, path), signal.SIGKILL)


def service_dies(world):
    tap.equal(world.end_service(signal.SIGKILL), -signal.SIGKILL, "exit code")


def edit(world, sql, *values):
    """Changes the database while no service has it."""
    database = sqlite3.connect(world.state / "state.db", timeout=10)
    with database:
        database.execute(sql, values)
    database.close()


def gone(pid):
    tap.eventually(lambda: not os.path.exists(f"/proc/{pid}"), 10, f"process {pid} is gone")
