# SPDX-License-Identifier: MIT
"""A world of many stopped instances, whose rows and folders are made directly: through the bus
it would take minutes. Used by test_many.py and by the figures of tests/bench.
"""
import contextlib
import os
import sqlite3
import time
import uuid

import tap
from bus import Bus, GLib
from harness import LOCKS, PORTS, Failed, World
from invariants import port_of

# Of the rows; nothing listens there. Above every world's own.
FIRST_PORT = 33000
# So many for each slice of ports that a world may have: two at once take different ones.
UIDS = range(3000000000, 3002000000, 20000)


def uid_range(world):
    first = UIDS[(world.ports[0] - PORTS[0]) // PORTS.step]
    return range(first, first + UIDS.step)


def make_folder(world, identity, uid):
    """With its user's claim, which the first start after a boot would make."""
    folder = world.state / "instances" / identity
    folder.mkdir(mode=0o700)
    if uid is not None:
        os.chown(folder, uid, uid)
        (LOCKS / str(uid)).write_text(str(world.state), encoding="utf-8")


def add_row(database, first, number, uid):
    """Another one like the first; its id."""
    row = dict(first, id=str(uuid.uuid4()), name=f"n{number}",
               created_usec=first["created_usec"] + number)
    row["config"] = row["config"].replace(f"<uint16 {port_of(row['config'])}>",
                                          f"<uint16 {FIRST_PORT + number}>")
    database.execute(f"INSERT INTO instances({','.join(row)}) VALUES({','.join('?' * len(row))})",
                     list(row.values()))
    database.execute("INSERT INTO ports VALUES(?,'rpc',?)", (FIRST_PORT + number, row["id"]))
    if uid is not None:
        database.execute("INSERT INTO uids VALUES(?,0,?)", (uid, row["id"]))
    return row["id"]


def multiply(world, count):
    """Makes the one instance of a world without a service so many, all of them stopped."""
    database = sqlite3.connect(world.state / "state.db")
    database.row_factory = sqlite3.Row
    # What a test that was killed has left behind is somebody's, too.
    uids = (uid for uid in uid_range(world) if not (LOCKS / str(uid)).exists())
    with database:
        database.execute("UPDATE instances SET state='stopped'")
        first = dict(database.execute("SELECT * FROM instances").fetchone())
        for number in range(1, count):
            uid = next(uids) if os.geteuid() == 0 else None
            make_folder(world, add_row(database, first, number, uid), uid)
    database.close()


@contextlib.contextmanager
def many(count, *options, session=True, config="{}"):
    """A world whose service has ended, with so many instances n0, n1... of this configuration"""
    with World(*options, session=session) as world:
        uids = uid_range(world)
        world.options += ["--vm-uid-range", f"{uids[0]}-{uids[-1]}"]
        world.start()
        world.create("n0", config)
        world.end_service()
        multiply(world, count)
        yield world
        if world.service.poll() is None:
            world.end_service(seconds=60)
        world.drop_uid_locks()


def lists_all(world, count):
    """Whether the service answers, with so many."""
    tap.check(world.service.poll() is None, "the service ended:\n" + world.journal())
    try:
        bus = Bus(world)
    except GLib.Error:
        return False
    try:
        return len(bus.list("State")) == count
    except Failed:
        return False
    finally:
        bus.close()


def start(world, count):
    """Starts the service; the seconds until it lists so many instances."""
    since = time.monotonic()
    world.start(wait=False)
    tap.eventually(lambda: lists_all(world, count), 300, f"{count} instances")
    return time.monotonic() - since


def lose_bus(world, count):
    """Ends the bus and starts another one at its address; the seconds until the service lists so
    many instances there. It waits for one of them itself."""
    world.bus.terminate()
    world.bus.wait(10)
    (world.folder / "bus").unlink(missing_ok=True)
    since = time.monotonic()
    world.start_bus()
    tap.eventually(lambda: lists_all(world, count), 300, f"{count} instances")
    return time.monotonic() - since


def processor_seconds(pid):
    """That its threads have used. The kernel counts in nanoseconds."""
    threads = [f"/proc/{pid}/task/{thread}/schedstat" for thread in os.listdir(f"/proc/{pid}/task")]
    return sum(int(open(name, encoding="ascii").read().split()[0]) for name in threads) / 1e9
