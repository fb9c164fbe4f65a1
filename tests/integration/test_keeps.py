#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Nothing decided is lost, and nothing foreign is touched: what a service does where its
database, its folders, its clock or its descriptors are not as it has left them.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

from gi.repository import GLib

import invariants
import tap
from harness import LOCKS, Failed, World, is_alive, status_of
from live import (edit, kill_qemu, live, pid_of, refused, running, service_dies, wait_state)

UNPRIVILEGED = 65534
DAY_USEC = 24 * 3600 * 1000000


def status(world):
    return json.loads(world.cli("--json", "status").stdout)


def findings(world, check="state"):
    """What doctor says of the service's own."""
    report = json.loads(world.cli("--json", "doctor", check=False).stdout)
    return [one for one in report["checks"] if one["check"] == check]


def move_database(world, source, target):
    """state.db with its log; both folders are on one file system."""
    target.mkdir(exist_ok=True)
    for path in source.glob("state.db*"):
        path.rename(target / path.name)


# What is missing

def missing_folder(world, bus, path, hidden):
    """The instance of a folder that is not there is there, cannot be started, and comes back
    with its folder."""
    identity = bus.properties(path)["Id"]
    world.end_service()
    hidden.rename(world.folder / "hidden")
    world.start()
    found = bus.properties(path)
    tap.equal((found["State"], found["Id"]), ("stopped", identity), "the instance")
    message = refused("ResourceUnavailable", lambda: bus.do(path, "Start"))
    tap.check(identity in message and "is not there" in message, message)
    tap.equal(bus.state(path), "failed", "afterwards")
    folder = str(world.state / "instances" / identity)
    tap.equal(status(world)["missing_folders"], [folder], "status")
    tap.check(any(folder in one["found"] for one in findings(world)), str(findings(world)))
    tap.check(folder in world.journal(), "the journal names it")
    world.end_service()
    if hidden.exists():
        hidden.rmdir()
    (world.folder / "hidden").rename(hidden)
    world.start()
    bus.do(path, "Start")


def b82_folder_is_not_there():
    """a folder, or all of them, that cannot be seen is named; nothing is taken back or made anew"""
    for whole in (False, True):
        with live() as (world, bus):
            path = running(bus, katana_args=["--dev.seed", "7"])
            bus.do(path, "Stop")
            new = bus.create("new")
            hidden = world.state / "instances"
            if not whole:
                hidden = hidden / bus.properties(path)["Id"]
            port = bus.properties(new)["RpcPort"]
            if whole:
                # One that was never started is no less an instance.
                bus.do(new, "Delete")
            missing_folder(world, bus, path, hidden)
            if not whole:
                tap.equal(bus.properties(new)["RpcPort"], port, "the other one")
            tap.check("7" in bus.call(path, "Instance.GetConfiguration",
                                      GLib.Variant("(a{sv})", ({},)))["katana-args"], "arguments")


def b82_created_and_not_there():
    """an instance that was never started is not taken for a half-made one"""
    with live() as (world, bus):
        path = bus.create("x")
        before = bus.properties(path)
        world.end_service()
        (world.state / "instances").rename(world.folder / "hidden")
        world.start()
        found = bus.properties(path)
        tap.equal([found[key] for key in ("Id", "RpcPort", "State")],
                  [before[key] for key in ("Id", "RpcPort", "State")], "it")
        tap.equal(invariants.rows(world, "SELECT count(*) FROM ports"), [(1,)], "its port")


def b82_disk_is_not_there():
    """a data disk that has gone is not made anew: its machine is not started, and it is named"""
    with live() as (world, bus):
        path = running(bus)
        bus.do(path, "Stop")
        disk = pathlib.Path(bus.properties(path)["DataDirectory"]) / "data.raw"
        disk.rename(world.folder / "data.raw")
        message = refused("ResourceUnavailable", lambda: bus.do(path, "Start"))
        tap.check(str(disk) in message, message)
        tap.check(not disk.exists(), "no new disk")
        (world.folder / "data.raw").rename(disk)
        bus.do(path, "Start")


def b82_marks_of_deletion():
    """a folder that is marked as deleted goes, with its row where it has one; no other does"""
    with live() as (world, bus):
        half, whole = running(bus, "half"), running(bus, "whole")
        ids = {name: bus.properties(path)["Id"]
               for name, path in (("half", half), ("whole", whole))}
        for path in (half, whole):
            bus.do(path, "Stop")
        instances = world.state / "instances"
        rowless = instances / "11111111-2222-4333-8444-555555555555.deleted"
        # Any name may be an id of another.
        named = bus.create(rowless.stem)
        world.end_service()
        (instances / ids["half"]).rename(instances / (ids["half"] + ".deleted"))
        rowless.mkdir()
        (rowless / "data.raw").write_bytes(b"x")
        (instances / (ids["whole"] + ".deleted")).mkdir()
        world.start()
        tap.eventually(lambda: not rowless.exists(), 10, "the folder without a row is gone")
        tap.eventually(lambda: set(bus.list()) == {whole, named}, 10, "what is left")
        tap.check(not (instances / (ids["half"] + ".deleted")).exists(), "its folder")
        bus.do(whole, "Start")
        (instances / (ids["whole"] + ".deleted")).rmdir()


# A database that was lost

def b89_lost_database():
    """a lost database costs nothing: what lives goes on, is named, and is followed again"""
    with live() as (world, bus):
        path = running(bus)
        stopped = running(bus, "y")
        bus.do(stopped, "Stop")
        pid, ids = pid_of(bus, path), [bus.properties(one)["Id"] for one in (path, stopped)]
        claims = claims_of(world)
        service_dies(world)
        move_database(world, world.state, world.folder / "aside")
        world.start()
        tap.equal(bus.list(), {}, "instances")
        tap.check(is_alive(pid), "the machine")
        sockets = world.runtime / "katana-hypervisor" / ids[0]
        tap.check((sockets / "control.sock").is_socket(), "its sockets")
        tap.equal(claims_of(world), claims, "claims of uids")
        folders = [str(world.state / "instances" / one) for one in ids]
        shown = status(world)
        tap.equal(sorted(shown["unknown_folders"]), sorted(folders), "status")
        tap.equal(shown["unknown_machines"], [str(sockets)], "status")
        said = world.journal() + str(findings(world))
        tap.check(all(said.count(one) >= 2 for one in [*folders, str(sockets)]), said)
        message = refused("InvalidState", lambda: bus.create("z"))
        tap.check("--adopt-empty-state" in message, message)
        world.end_service()
        move_database(world, world.folder / "aside", world.state)
        world.start()
        found = wait_state(bus, path, "running")
        tap.equal(found["MainPid"], pid, "followed again")
        tap.equal(status(world)["unknown_folders"], [], "status")
        bus.do(path, "Stop")
        tap.equal(bus.properties(path)["StopResult"], "graceful", "its stop")
        bus.do(stopped, "Start")


def claims_of(world):
    """Of uids, by this world's service. Those of other worlds come and go."""
    found = set()
    for lock in LOCKS.iterdir() if os.geteuid() == 0 else ():
        with contextlib.suppress(FileNotFoundError):
            if lock.read_text() == str(world.state):
                found.add(lock.name)
    return found


def b89_adopted_state():
    """who says that it is to be lived with can begin anew; what was there is still left alone"""
    with live() as (world, bus):
        path = running(bus)
        pid = pid_of(bus, path)
        folder = pathlib.Path(bus.properties(path)["DataDirectory"])
        service_dies(world)
        for file in world.state.glob("state.db*"):
            file.unlink()
        world.start()
        refused("InvalidState", lambda: bus.create("z"))
        command = world.service_command("--adopt-empty-state")
        tap.check(subprocess.run(command, env=world.env, timeout=30, capture_output=True,
                                 check=False).returncode == 1, "beside a service that runs")
        world.end_service()
        said = subprocess.run(command, env=world.env, timeout=30, check=True, text=True,
                              stdout=subprocess.PIPE).stdout
        tap.check("folders: 1, running machines: 1" in said, said)
        world.start()
        new = running(bus, "z")
        tap.check(is_alive(pid) and folder.is_dir(), "what was there")
        tap.equal(status(world)["unknown_folders"], [str(folder)], "status")
        if os.geteuid() == 0:
            uids = {status_of(one)["Uid"][1] for one in (pid, pid_of(bus, new))}
            tap.equal(len(uids), 2, "users")
        os.kill(invariants.parent_of(pid), signal.SIGKILL)
        tap.eventually(lambda: not is_alive(pid), 10, "its end")
        # For what this world's end looks at: the folder is nobody's.
        shutil.rmtree(folder)


def b89_images_stay():
    """an image that an unknown instance may need is kept"""
    with live() as (world, bus):
        bus.create("x")
        images = set(os.listdir(world.state / "images"))
        service_dies(world)
        move_database(world, world.state, world.folder / "aside")
        world.start()
        tap.equal(set(os.listdir(world.state / "images")), images, "images")
        world.end_service()
        move_database(world, world.folder / "aside", world.state)
        world.start()
        tap.equal(len(bus.list()), 1, "instances")


def b89_kept_data_is_no_stranger():
    """what delete --keep-data has left is listed apart, and refuses nothing"""
    with live() as (world, bus):
        path = running(bus)
        folder = bus.properties(path)["DataDirectory"]
        bus.do(path, "Stop")
        bus.do(path, "Delete", keep_data=True)
        for again in (False, True):
            if again:
                world.end_service()
                world.start()
            shown = status(world)
            tap.equal((shown["kept_folders"], shown["unknown_folders"]), ([folder], []), "status")
        bus.do(bus.create("y"), "Delete")
        shutil.rmtree(folder)


def b120_half_deleted_is_not_missing():
    """a folder that a deletion has removed before it was cut off is missed by nobody"""
    with World() as world:
        world.start_armed("delete:files-removed")
        path = world.create("x")
        try:
            world.call(path, "Instance.Delete", "{}")
        except Failed:
            pass
        world.service.wait(20)
        world.start()
        tap.eventually(lambda: world.list() == [], 10, "it is deleted")
        tap.check("is not there" not in world.journal(), world.journal())


# A database that is damaged

def b84_damaged_database():
    """a database with overwritten pages is not served from; the error names it and the way out"""
    with live() as (world, bus):
        path = running(bus, restart_policy="always")
        pid = pid_of(bus, path)
        world.end_service()
        world.start()
        copy = tap.eventually(lambda: next(world.state.glob("state.db.copy"), None), 10, "a copy")
        world.end_service()
        database = world.state / "state.db"
        with open(database, "r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (os.path.getsize(database) - 4096))
        world.start(wait=False)
        tap.equal(world.service.wait(20), 1, "exit code")
        said = world.journal().splitlines()[-1]
        tap.check(str(database) in said and "damaged" in said and str(copy) in said, said)
        tap.check(is_alive(pid), "the machine")
        for file in world.state.glob("state.db-*"):
            file.unlink()
        copy.rename(database)
        world.start()
        tap.equal(wait_state(bus, path, "running")["MainPid"], pid, "its machine")


def b85_daily_copy():
    """the first copy is made at start, as closed as the database; within a day there is no other"""
    with live() as (world, bus):
        bus.create("x")
        copies = {}
        for again in (False, True):
            world.end_service()
            world.start()
            tap.eventually(lambda: (world.state / "state.db.copy").exists(), 10, "a copy")
            tap.eventually(lambda: not list(world.state.glob("*.new")), 10, "it is whole")
            found = (world.state / "state.db.copy").stat()
            tap.equal(found.st_mode & 0o777, 0o600, "mode")
            copies[again] = found.st_ino
        tap.equal(copies[True], copies[False], "the second start's copy")


# Descriptors

def start_with_few(world, number):
    """The service, with so many descriptors and no more."""
    with open(world.folder / "service.log", "ab") as log:
        world.service = world.spawn(["prlimit", f"--nofile={number}:{number}",
                                     *world.service_command()], stderr=log)
    tap.eventually(world.is_served, 20, "the service:\n" + world.journal())


def b95_unknown_is_not_dead():
    """machines that could not be looked at are not called dead, and are looked at again"""
    with live() as (world, bus):
        paths = [running(bus, f"n{number}") for number in range(20)]
        pids = {path: pid_of(bus, path) for path in paths}
        service_dies(world)
        start_with_few(world, 64)
        shown = {path: bus.properties(path) for path in paths}
        tap.equal({one["State"] for one in shown.values()}, {"running"}, "states")
        unseen = [path for path in paths if "not known yet whether" in shown[path]["StateReason"]]
        tap.check(0 < len(unseen) < 20, f"{len(unseen)} could not be looked at")
        refused("ResourceUnavailable", lambda: bus.do(unseen[0], "Start"))
        refused("ResourceUnavailable", lambda: bus.do(unseen[0], "Pause"))
        # What has been followed is stopped, and what has not been found is, by the reserve.
        for path in (paths[0], unseen[0]):
            bus.do(path, "Stop")
            tap.equal(bus.properties(path)["StopResult"], "graceful", "its stop")
        bus.do(unseen[1], "Delete", force=True)
        for path in (paths[0], *unseen[:2]):
            tap.check(not is_alive(pids[path]), "a machine that was stopped or deleted")
        service_dies(world)
        world.start()
        for path in unseen[2:]:
            found = wait_state(bus, path, "running", 20, StateReason="")
            tap.equal(found["MainPid"], pids[path], "the same machine")


def b95_start_that_waits_to_know():
    """a start that waits to know whether a machine lives is cancelled, and no machine with it"""
    with live() as (world, bus):
        paths = [running(bus, f"n{number}", start_at_boot=True) for number in range(20)]
        pids = {path: pid_of(bus, path) for path in paths}
        service_dies(world)
        start_with_few(world, 64)
        shown = {path: bus.properties(path) for path in paths}
        path = next(path for path in paths if "not known yet" in shown[path]["StateReason"])
        job = shown[path]["Job"]
        tap.equal(bus.properties(job, "Job")["Operation"], "start", "what waits")
        bus.cancel(job)
        tap.equal(bus.properties(job, "Job")["State"], "cancelled", "the job")
        found = bus.properties(path)
        tap.equal((found["State"], found["Job"]), ("running", "/"), "the instance")
        service_dies(world)
        world.start()
        wait_state(bus, path, "running", 20, MainPid=pids[path])


def b95_false_word_of_an_earlier_service():
    """a machine that the database takes for dead is found by who holds its folder"""
    for user in (None, UNPRIVILEGED) if os.geteuid() == 0 else (None,):
        for state in ("failed", "stopped", "created"):
            with live(user=user) as (world, bus):
                path = running(bus)
                pid = pid_of(bus, path)
                service_dies(world)
                edit(world, "UPDATE instances SET state=?, shim_pid=0, qemu_pid=0", state)
                world.start()
                tap.equal(wait_state(bus, path, "running")["MainPid"], pid, "its machine")
                bus.do(path, "Stop")
                tap.equal(bus.properties(path)["StopResult"], "graceful", "its stop")


def b95_rows_of_another_time():
    """rows of another boot, or with a restart that is due, cost no machine that lives"""
    for change in ("boot_id='another'", "boot_id='another', state='stopped'",
                   "state='failed', restart_usec=1", "state='failed', boot_id='another'"):
        with live() as (world, bus):
            path = running(bus, restart_policy="always")
            pid = pid_of(bus, path)
            service_dies(world)
            edit(world, f"UPDATE instances SET {change}")
            for _ in range(2):
                world.start()
                tap.equal(wait_state(bus, path, "running")["MainPid"], pid, change)
                service_dies(world)
            world.start()
            bus.do(path, "Stop")
            tap.equal(bus.properties(path)["StopResult"], "graceful", "its stop")


def b95_nothing_is_freed_under_a_living_one():
    """what an earlier service took for dead is ended before its folder, row and uid go"""
    for by_user in (True, False):
        if by_user and os.geteuid() != 0:
            continue
        with live(user=None if by_user else UNPRIVILEGED) as (world, bus):
            path = running(bus)
            pid = pid_of(bus, path)
            service_dies(world)
            edit(world, "UPDATE instances SET state='failed', shim_pid=0, qemu_pid=0")
            # It is asked to delete before it has looked at anything.
            world.start()
            bus.do(path, "Delete", force=True)
            tap.check(not is_alive(pid), "its machine")


def b95_foreign_process():
    """a process of the machine's user that is no machine keeps its folder, row and uid"""
    if os.geteuid() != 0:
        raise tap.Skip("not root: all machines have one user")
    with live() as (world, bus):
        path = running(bus)
        uid = int(status_of(pid_of(bus, path))["Uid"][1])
        bus.do(path, "Stop")
        other = subprocess.Popen(["sleep", "60"], user=uid, group=uid, extra_groups=[])
        try:
            message = refused("Busy", lambda: bus.do(path, "Delete"))
        finally:
            other.kill()
            other.wait()
        tap.check(str(uid) in message, message)
        tap.check(pathlib.Path(bus.properties(path)["DataDirectory"]).is_dir(), "its folder")
        bus.do(path, "Delete")


def b97_out_of_descriptors():
    """a service without descriptors to spare goes on: it refuses what takes some, and stops"""
    with live() as (world, bus):
        paths = [running(bus, f"n{number}") for number in range(3)]
        idle = bus.create("idle")
        service_dies(world)
        start_with_few(world, 64)
        streams, message, refusals = [], None, 0
        # One alone may be of a descriptor that is still on its way to the bus.
        while refusals < 3 and len(streams) < 40:
            try:
                streams.append(bus.open_log(paths[0], follow=True))
                refusals = 0
            except Failed as error:
                message, refusals = error, refusals + 1
                time.sleep(0.1)
        tap.check(message is not None and message.name == "ResourceUnavailable", str(message))
        tap.check("LimitNOFILE" in message.message, message.message)
        refused("ResourceUnavailable", lambda: bus.do(idle, "Start"))
        bus.do(paths[1], "Stop")
        tap.equal(bus.properties(paths[1])["StopResult"], "graceful", "a stop")
        bus.do(paths[1], "Delete")
        found = findings(world, "descriptors")
        tap.check("64" in found[0]["found"], str(found))
        for stream in streams:
            os.close(stream)
        tap.eventually(lambda: bus.do(idle, "Start") is not None, 20, "a start afterwards")


# Clocks

def b90_restart_after_a_clock_change():
    """a restart that is due does not wait for a day when the clock has gone back by one"""
    with live() as (world, bus):
        path = running(bus, restart_policy="always")
        kill_qemu(bus, path)
        wait_state(bus, path, "failed")
        service_dies(world)
        edit(world, "UPDATE instances SET restart_usec=?", time.time_ns() // 1000 + DAY_USEC)
        world.start()
        wait_state(bus, path, "running", 20)


def b90_end_after_a_clock_change():
    """how a machine has ended is read, whatever the clock says of when it was started"""
    with live() as (world, bus):
        path = running(bus)
        pid = pid_of(bus, path)
        shim = invariants.parent_of(pid)
        service_dies(world)
        # As a service that dies before it has noted the processes leaves it.
        edit(world, "UPDATE instances SET state='starting', shim_pid=0, qemu_pid=0, "
                    "started_usec=started_usec+?", DAY_USEC)
        os.kill(pid, signal.SIGKILL)
        tap.eventually(lambda: not is_alive(shim), 10, "the shim's end")
        world.start()
        found = wait_state(bus, path, "failed")
        tap.check("killed by signal 9" in found["StateReason"], found["StateReason"])


# Sockets

def remove_sockets(world, bus, path):
    """Removes the runtime folder when the service's control channel was just cut: it holds
    one client, the last that came."""
    folder = world.runtime / "katana-hypervisor"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
        client.settimeout(1)
        client.connect(str(folder / bus.properties(path)["Id"] / "control.sock"))
        shutil.rmtree(folder)
        # By the time that a guest answers somebody else, the service has been dropped.
        client.sendall(b"status\n")
        with contextlib.suppress(TimeoutError):
            client.recv(100)


def b91_stop_without_sockets():
    """a stop is graceful where the sockets have gone, now or before this service began"""
    with live() as (world, bus):
        for restarted in (False, True):
            for paused in (False, True):
                path = running(bus)
                if paused:
                    bus.do(path, "Pause")
                if restarted:
                    service_dies(world)
                    shutil.rmtree(world.runtime / "katana-hypervisor")
                    world.start()
                    wait_state(bus, path, "paused" if paused else "running")
                else:
                    remove_sockets(world, bus, path)
                bus.do(path, "Stop")
                found = bus.properties(path)
                log = pathlib.Path(found["DataDirectory"]) / "serial.log"
                tap.check("Teardown" in log.read_text(), "the guest was told")
                tap.equal((found["State"], found["StopResult"]), ("stopped", "graceful"), "it")
                # The folder is made again for the next one.
                bus.do(path, "Start")
                bus.do(path, "Delete", force=True)


def b91_kill_is_the_last_step():
    """a guest that does not stop is killed in the end, sockets or not"""
    with live("--stop-timeout", "1") as (world, bus):
        path = running(bus, "x", "--fake.ignore-stop")
        service_dies(world)
        shutil.rmtree(world.runtime / "katana-hypervisor")
        world.start()
        bus.do(path, "Stop")
        found = bus.properties(path)
        tap.equal((found["State"], found["StopResult"]), ("stopped", "forced"), "it")


# Signals

def b92_hangup_is_a_regular_end():
    """SIGHUP ends the service as SIGTERM does: with stop-all, machines first"""
    with live("--on-service-stop", "stop-all") as (world, bus):
        path = running(bus)
        pid = pid_of(bus, path)
        tap.equal(world.end_service(signal.SIGHUP, 60), 0, "exit code")
        tap.check(not is_alive(pid), "QEMU")
        world.start()
        tap.equal(bus.properties(path)["StopResult"], "graceful", "the stop")


def b92_idle_signals():
    """SIGUSR1 and SIGUSR2 do not end the service, nor do its machines inherit that"""
    with live() as (world, bus):
        path = running(bus)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            world.service.send_signal(number)
            tap.equal(bus.state(path), "running", f"after signal {number}")
        shim = invariants.parent_of(pid_of(bus, path))
        ignored = int(open(f"/proc/{shim}/status", encoding="ascii").read()
                      .split("SigIgn:")[1].split()[0], 16)
        bits = sum(1 << number - 1 for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2))
        tap.equal(ignored & bits, 0, "what the shim ignores")


def b92_nohup():
    """a service that was told to ignore SIGHUP does"""
    with live() as (world, bus):
        world.end_service()
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        world.start()
        signal.signal(signal.SIGHUP, before)
        world.service.send_signal(signal.SIGHUP)
        tap.equal(bus.list(), {}, "it answers")
        tap.equal(world.service.poll(), None, "it lives")


TESTS = [b82_marks_of_deletion, b82_folder_is_not_there, b82_created_and_not_there,
         b82_disk_is_not_there, b84_damaged_database, b85_daily_copy, b89_lost_database,
         b89_adopted_state, b89_images_stay, b89_kept_data_is_no_stranger,
         b120_half_deleted_is_not_missing, b95_unknown_is_not_dead, b95_start_that_waits_to_know,
         b95_false_word_of_an_earlier_service, b95_rows_of_another_time,
         b95_nothing_is_freed_under_a_living_one, b95_foreign_process, b97_out_of_descriptors,
         b90_restart_after_a_clock_change, b90_end_after_a_clock_change, b91_stop_without_sockets,
         b91_kill_is_the_last_step, b92_hangup_is_a_regular_end, b92_idle_signals, b92_nohup]

if __name__ == "__main__":
    sys.exit(tap.run(TESTS))
