#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""An upgrade under living machines: those that the service and the shim of an earlier tree have
started are followed, read, paused, stopped and deleted by this tree's. And the way back, with
the copy of the database that the newer service has made.
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import before
import invariants
import rpc
import tap
from bus import Bus
from harness import BUILD, Failed, World, components, is_alive
from live import edit, pid_of, refused, running, wait_state

OLD = "state.db.before-*"


@contextlib.contextmanager
def earlier(*options, **more):
    """A world with the earlier service and a connection to its bus."""
    with World(*options, build=before.build(), **more) as world:
        world.start()
        bus = Bus(world)
        yield world, bus
        bus.close()


def upgrade(world, how=signal.SIGTERM):
    tap.equal(world.end_service(how), -how if how == signal.SIGKILL else 0, "exit code")
    world.install(BUILD)
    world.start()


def facts(bus, *names):
    return bus.list("Name", "State", "MainPid", "RpcPort", "StartedUSec", *names)


def lines(world, name, count):
    return world.cli("logs", "-n", str(count), name).stdout.splitlines()


def check_log(world, bus, path, name):
    """What is there is read, and what comes is followed."""
    tap.check(any("fake QEMU" in line for line in lines(world, name, 5)), "logs -n")
    with open(world.folder / "followed", "wb") as output:
        reader = world.spawn([str(world.tools / "katana-hypervisor"), "logs", "-f", name],
                             user=None, stdout=output)
    followed = world.folder / "followed"
    tap.eventually(lambda: b"fake QEMU" in followed.read_bytes(), 10, "logs -f, what was there")
    bus.do(path, "Reset")
    tap.eventually(lambda: b"Reset" in followed.read_bytes(), 10, "logs -f, what has come")
    reader.terminate()
    reader.wait(10)


def has_this_shim(world, bus, path):
    """Whether its shim is the file that is installed now."""
    shim = invariants.parent_of(pid_of(bus, path))
    return os.path.samefile(f"/proc/{shim}/exe", world.tools / "katana-hypervisor-shim")


def check_stop_and_start(world, bus, path):
    """It is told to stop, and when it runs again it does so below this tree's shim."""
    tap.check(not has_this_shim(world, bus, path), "its shim is the earlier one")
    pid = pid_of(bus, path)
    bus.do(path, "Stop")
    tap.equal(bus.properties(path)["StopResult"], "graceful", "StopResult")
    tap.check(not is_alive(pid), "QEMU has ended")
    bus.do(path, "Start")
    tap.check(has_this_shim(world, bus, path), "its shim is this tree's")


def delete_all(world, bus):
    for path in bus.list():
        bus.do(path, "Delete", force=True)
    tap.equal(invariants.settle(world, bus), [], "what is left")


def follow(how):
    with earlier() as (world, bus):
        path, paused = running(bus, "x"), running(bus, "paused")
        bus.do(paused, "Pause")
        ended = running(bus, "ended", labels={"a": "b"})
        bus.do(ended, "Stop")
        bus.create("new")
        shown = facts(bus, "Labels", "StopResult")
        upgrade(world, how)
        invariants.settle(world, bus)
        tap.equal(facts(bus, "Labels", "StopResult"), shown, "what is shown after the upgrade")
        check_log(world, bus, path, "x")
        for one in (paused, path):
            if one == path:
                bus.do(one, "Pause")
            bus.do(one, "Resume")
            tap.equal(bus.state(one), "running", "after resume")
            check_stop_and_start(world, bus, one)
        bus.do(ended, "Start")
        invariants.settle(world, bus)
        delete_all(world, bus)


def machines_are_followed():
    """machines of the earlier service are followed, read, paused, stopped, started and deleted"""
    follow(signal.SIGTERM)


def machines_of_a_killed_service_are_followed():
    """the same when the earlier service has been killed"""
    follow(signal.SIGKILL)


def machines_of_an_earlier_shim_are_deleted():
    """a running and a paused machine of the earlier shim are deleted by force, and nothing stays"""
    with earlier() as (world, bus):
        paths = [running(bus, "x"), running(bus, "paused"), running(bus, "dies")]
        bus.do(paths[1], "Pause")
        pids = [pid_of(bus, path) for path in paths]
        upgrade(world)
        os.kill(pids[2], signal.SIGKILL)
        wait_state(bus, paths[2], "failed")
        delete_all(world, bus)
        tap.equal([pid for pid in pids if is_alive(pid)], [], "QEMUs that live")


def machine_that_ended_meanwhile():
    """what the earlier shim has noted of an end that no service saw is understood"""
    with earlier() as (world, bus):
        path = running(bus)
        pid = pid_of(bus, path)
        shim = invariants.parent_of(pid)
        world.end_service()
        os.kill(pid, signal.SIGKILL)
        tap.eventually(lambda: not is_alive(shim), 10, "the shim's end")
        world.install(BUILD)
        world.start()
        found = wait_state(bus, path, "failed")
        tap.check("killed by signal 9" in found["StateReason"], found["StateReason"])
        bus.do(path, "Start")
        delete_all(world, bus)


def real_guest_is_followed():
    """a real guest of the earlier service goes on, answers, is paused, stopped and started"""
    with earlier(fake=False, components=components()) as (world, bus):
        path = running(bus, "x", memory_bytes=512 << 20, vcpus=1, storage_bytes=100 << 20,
                       dev=True)
        found = bus.properties(path)
        port = found["RpcPort"]
        rpc.call(port, "dev_generateBlock")
        upgrade(world)
        tap.equal(bus.properties(path)["MainPid"], found["MainPid"], "the same QEMU")
        tap.equal(rpc.call(port, "starknet_blockNumber"), 1, "its chain")
        bus.do(path, "Pause")
        tap.check(not rpc.healthy(port), "a paused guest answers nothing")
        bus.do(path, "Resume")
        tap.check(rpc.healthy(port), "it answers again")
        check_stop_and_start(world, bus, path)
        tap.equal(rpc.call(port, "starknet_blockNumber"), 1, "its chain on the disk")
        tap.check(lines(world, "x", 3), "logs -n")
        delete_all(world, bus)


def schema_of(build):
    """The version of the database that the build's service writes."""
    with World(build=build) as world:
        world.start()
        return invariants.rows(world, "PRAGMA user_version")[0][0]


def refuses(world):
    """Starts the earlier service in vain; what it says."""
    done = subprocess.run(world.service_command(), env=world.env, capture_output=True, text=True,
                          timeout=30, check=False)
    tap.equal(done.returncode, 1, f"exit code of the earlier service ({done.stderr})")
    return done.stderr


def put_back(world):
    """The copy takes the place of the database, as README says."""
    copy, = world.state.glob(OLD)
    tap.equal(copy.stat().st_mode & 0o777, 0o600, "mode of the copy")
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (world.state / name).unlink(missing_ok=True)
    shutil.copy2(copy, world.state / "state.db")


def the_way_back():
    """the earlier service refuses the newer database by name, and goes on with its own"""
    if schema_of(before.build()) == schema_of(BUILD):
        raise tap.Skip("the database is that of the earlier tree")
    with earlier() as (world, bus):
        path, paused = running(bus, "x"), running(bus, "paused")
        bus.do(paused, "Pause")
        shown = facts(bus)
        upgrade(world)
        tap.equal(facts(bus), shown, "after the upgrade")
        world.end_service()
        world.install(before.build())
        said = refuses(world)
        tap.check(re.search(r"schema version \d", said), said)
        put_back(world)
        world.start()
        tap.equal(facts(bus), shown, "after the way back")
        bus.do(paused, "Resume")
        bus.do(path, "Stop")
        tap.equal(bus.properties(path)["StopResult"], "graceful", "StopResult")
        upgrade(world)
        tap.equal((bus.state(path), bus.state(paused)), ("stopped", "running"), "once more")
        delete_all(world, bus)


def row_without_a_folder():
    """an instance of the earlier service whose folder is not to be seen stays, and says so"""
    with earlier() as (world, bus):
        path = bus.create("x", labels={"a": "b"})
        folder = pathlib.Path(bus.properties(path)["DataDirectory"])
        world.end_service()
        away = world.folder / "away"
        shutil.copytree(folder, away)
        shutil.rmtree(folder)
        world.install(BUILD)
        world.start()
        tap.equal([one["Labels"] for one in bus.list("Labels").values()], [{"a": "b"}], "the row")
        try:
            bus.do(path, "Start")
            tap.check(False, "it was started")
        except Failed as error:
            tap.check(str(folder) in error.message, error.message)
        bus.do(path, "Delete")
        tap.equal(invariants.settle(world, bus), [], "what is left")


def image_that_is_not_there():
    """an instance of the earlier service stays without its image, which its start names"""
    with earlier() as (world, bus):
        path = bus.create("x")
        image = world.state / "images" / bus.properties(path)["Image"].rsplit("/", 1)[1]
        world.end_service()
        away = world.folder / "away"
        shutil.move(image, away)
        world.install(BUILD)
        world.start()
        said = refused("ResourceUnavailable", lambda: bus.do(path, "Start"))
        tap.check(image.name in said, said)
        world.end_service()
        shutil.move(away, image)
        world.start()
        bus.do(path, "Start")
        delete_all(world, bus)


def folder_without_a_row():
    """a folder of the earlier service that no row knows is named, and not touched"""
    with earlier() as (world, bus):
        bus.create("known")
        lost = pathlib.Path(bus.properties(bus.create("lost"))["DataDirectory"])
        owner = lost.stat().st_uid
        world.end_service()
        edit(world, "DELETE FROM ports WHERE instance_id=?", lost.name)
        edit(world, "UPDATE uids SET instance_id=NULL WHERE instance_id=?", lost.name)
        edit(world, "DELETE FROM instances WHERE id=?", lost.name)
        world.install(BUILD)
        world.start()
        tap.check(lost.name in world.journal(), "the journal names the folder")
        tap.equal([one["Name"] for one in bus.list("Name").values()], ["known"], "instances")
        tap.check(lost.is_dir(), "the folder")
        tap.equal(lost.stat().st_uid, owner, "its owner")


if __name__ == "__main__":
    sys.exit(tap.run([machines_are_followed, machines_of_a_killed_service_are_followed,
                      machines_of_an_earlier_shim_are_deleted, machine_that_ended_meanwhile,
                      real_guest_is_followed, the_way_back, row_without_a_folder,
                      image_that_is_not_there, folder_without_a_row]))
