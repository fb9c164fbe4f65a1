# SPDX-License-Identifier: MIT
"""What must be true of a service at rest, whatever has happened to it: bus, database, files,
processes, ports and uids tell the same story. Used by test_crash.py and test_random.py.
"""
import os
import re
import sqlite3
import time

import tap
from harness import command_of, is_alive, status_of

ALIVE = ("running", "paused")
AT_REST = ("created", "running", "paused", "stopped", "failed")


def parent_of(pid):
    try:
        return int(status_of(pid)["PPid"][0])
    except OSError:
        return 0


def rows(world, sql):
    """From the database as it is, without the service."""
    database = sqlite3.connect(f"file:{world.state}/state.db?mode=ro", uri=True, timeout=10)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


def listeners():
    """Every TCP port that something listens on."""
    found = set()
    for line in open("/proc/net/tcp", encoding="ascii").readlines()[1:]:
        words = line.split()
        if words[3] == "0A":
            found.add(int(words[1].split(":")[1], 16))
    return found


def port_of(text):
    return int(re.search(r"'rpc-port': <uint16 (\d+)>", text)[1])


def check_database(world, shown):
    tap.equal(rows(world, "PRAGMA integrity_check"), [("ok",)], "integrity_check")
    tap.equal(rows(world, "PRAGMA foreign_key_check"), [], "foreign_key_check")
    found = rows(world, "SELECT id, state, config, pending FROM instances")
    tap.equal(sorted((row[0], row[1]) for row in found),
              sorted((one["Id"], one["State"]) for one in shown), "rows and the bus")
    wanted = {(port_of(text), row[0]) for row in found for text in row[2:] if text}
    tap.equal(set(rows(world, "SELECT port, instance_id FROM ports")), wanted, "ports")


def check_uids(world, shown):
    used = rows(world, "SELECT uid, instance_id FROM uids WHERE instance_id IS NOT NULL")
    if os.geteuid() != 0 or world.user is not None:
        tap.equal(used, [], "uids of a service that is not root")
        return
    tap.equal(sorted(row[1] for row in used), sorted(one["Id"] for one in shown), "uids")
    tap.equal(world.uid_locks(), {row[0] for row in used}, "lock files of uids")


def check_files(world, shown):
    ids = {one["Id"] for one in shown}
    tap.equal(set(os.listdir(world.state / "instances")), ids, "folders of instances")
    default = {row[0] for row in rows(world, "SELECT value FROM settings "
                                             "WHERE key='default-image'")}
    used = {row[0] for row in rows(world, "SELECT image FROM instances")}
    for text, in rows(world, "SELECT pending FROM instances WHERE pending<>''"):
        used.add(re.search(r"'image': <'(\w+)'>", text)[1])
    images = set(os.listdir(world.state / "images"))
    tap.check(used <= images, f"images that are used and are not there: {used - images}")
    known = {row[0] for row in rows(world, "SELECT id FROM images")}
    tap.check(used <= known <= used | default, f"rows of images: {known}, of {used}, {default}")
    # The files of one that has gone are removed after it.
    tap.eventually(lambda: set(os.listdir(world.state / "images")) <= used | default, 5,
                   f"no images that nobody uses: {images - used - default}")
    runtime = world.runtime / "katana-hypervisor"
    left = {name for name in os.listdir(runtime) if re.fullmatch(r"[0-9a-f-]{16,}", name)}
    tap.check(left <= ids, f"runtime folders that belong to nobody: {left - ids}")
    for one in shown:
        sockets = {path.name for path in (runtime / one["Id"]).glob("*") if path.is_socket()}
        tap.check(one["State"] in ALIVE or not sockets or one["Id"] not in left,
                  f"{one['Name']} is {one['State']} and has {sockets}")


def check_processes(world, shown):
    known = set()
    for one in shown:
        pid = one["MainPid"]
        tap.equal(pid > 0, one["State"] in ALIVE, f"MainPid {pid} while {one['State']}")
        if pid > 0:
            tap.check(is_alive(pid), f"{one['Name']} is {one['State']} and {pid} is dead")
            known |= {pid, parent_of(pid)}
    found = world.processes()
    tap.equal({pid: command_of(pid)[:150] for pid in found - known}, {},
              "processes that no row knows")
    tap.equal(known - found, set(), "shims and QEMUs that are not of this world")
    open_ports, busy = listeners(), {one["RpcPort"] for one in shown if one["State"] in ALIVE}
    ports = {one["RpcPort"] for one in shown}
    tap.equal(ports & open_ports, busy & open_ports, "ports that listen for nobody")


def check(world, bus):
    """All of it, now. Returns what the bus shows of each instance."""
    shown = list(bus.list("Id", "Name", "State", "MainPid", "RpcPort").values())
    passing = [one for one in shown if one["State"] not in AT_REST]
    tap.equal(passing, [], "instances that are not at rest")
    check_database(world, shown)
    check_uids(world, shown)
    check_files(world, shown)
    check_processes(world, shown)
    return shown


def settle(world, bus, seconds=30):
    """The same as soon as it is true; fails with what is not."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return check(world, bus)
        except (AssertionError, OSError, sqlite3.OperationalError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
