#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Single facts of the lifecycle: restart policies, starting and stopping with the service,
reboots, changed configurations, jobs, and calls at the same time. QEMU is the fake one; a
reboot is one by the database's word, after the machines were killed.
"""
import contextlib
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import time

from gi.repository import GLib

import invariants
import tap
from bus import Bus
from harness import NAME, Failed, World, is_alive, status_of, wait_dead
from live import (edit, gone, kill_qemu, live, pid_of, refused, running, service_dies, stays,
                  wait_state)

parent_of = invariants.parent_of


def host_goes_down(world, *pids):
    """The service and these machines end at once; the next service is after a reboot."""
    service_dies(world)
    for pid in pids:
        shim = parent_of(pid)
        os.kill(shim, signal.SIGKILL)
        gone(shim)
        wait_dead(pid)
    edit(world, "UPDATE instances SET boot_id='another', "
                "stopped_in=CASE stopped_in WHEN '' THEN '' ELSE 'another' END")


# Restart policies

def restarts_on_failure():
    """on-failure: a killed machine starts again, one that powers off does not"""
    with live() as (_, bus):
        path = running(bus, restart_policy="on-failure")
        before = pid_of(bus, path)
        kill_qemu(bus, path)
        found = wait_state(bus, path, "failed", 3)
        tap.check("it starts again in 1 s" in found["StateReason"], found["StateReason"])
        found = wait_state(bus, path, "running", 10, RestartCount=1)
        tap.check(found["MainPid"] not in (0, before), "another QEMU")
        quiet = running(bus, "quiet", "--fake.poweroff-after", "300", restart_policy="on-failure")
        wait_state(bus, quiet, "failed", 5)
        stays(bus, quiet, "failed")


def restarts_always():
    """always: also one that powers itself off"""
    with live() as (_, bus):
        path = running(bus, "x", "--fake.poweroff-after", "600", restart_policy="always")
        wait_state(bus, path, "failed", 5)
        wait_state(bus, path, "running", 10, RestartCount=1)


def never_after_a_stop():
    """an operator's stop never restarts, whatever the policy, whatever happens meanwhile"""
    with live("--stop-timeout", "1") as (_, bus):
        path = running(bus, restart_policy="always")
        bus.do(path, "Stop")
        stays(bus, path, "stopped")
        path = bus.create("y", "--fake.katana-exit", "7", "--fake.ignore-stop",
                          restart_policy="always")
        bus.do(path, "Start", no_wait=True)
        wait_state(bus, path, "stopping", 10)
        bus.do(path, "Stop")
        stays(bus, path, "failed")
        path = running(bus, "z", restart_policy="always")
        os.kill(pid_of(bus, path), signal.SIGSTOP)
        call = bus.begin(bus.do, path, "Stop")
        wait_state(bus, path, "stopping", 5)
        kill_qemu(bus, path)
        call.result(10)
        stays(bus, path, "stopped")


def crash_loop():
    """a crash loop ends in "restart limit"; meanwhile a job is kept for a minute"""
    with live() as (_, bus):
        path = bus.create("x", "--fake.crash-after", "200", restart_policy="on-failure")
        with contextlib.suppress(Failed):
            bus.do(path, "Start")
        job = next(iter(bus.jobs()))
        found = tap.eventually(
            lambda: (found := bus.properties(path)) and "restart limit" in found["StateReason"]
            and found, 60, "the limit")
        tap.equal((found["State"], found["RestartCount"]), ("failed", 5), "at the limit")
        tap.check(job in bus.jobs(), "the job is kept")
        bus.do(path, "Start", no_wait=True)
        tap.equal(bus.properties(path)["RestartCount"], 0, "restarts after an operator's start")
        tap.eventually(lambda: job not in bus.jobs(), 70, "the job goes")


def backoff_survives():
    """a restart that is due outlives the service"""
    with live() as (world, bus):
        path = running(bus, restart_policy="on-failure")
        kill_qemu(bus, path)
        wait_state(bus, path, "failed", 3)
        service_dies(world)
        time.sleep(1.5)
        world.start()
        wait_state(bus, path, "running", 10, RestartCount=1)


def stop_ends_the_wait():
    """a stop ends the wait for a restart; so does the policy "no" """
    with live() as (world, bus):
        for number, action in enumerate((lambda: bus.do(path, "Stop"),
                                         lambda: bus.configure(path, restart_policy="no"))):
            path = running(bus, f"x{number}", restart_policy="always")
            kill_qemu(bus, path)
            wait_state(bus, path, "failed", 3)
            action()
            stays(bus, path, ("stopped", "failed")[number])
        service_dies(world)
        world.start()
        stays(bus, path, "failed")


# With the service

def b16_start_at_boot():
    """StartAtBoot: in order, and not what an operator has stopped since the host's boot"""
    with live() as (world, bus):
        first = bus.create("first", start_at_boot=True)
        other = bus.create("other")
        last = bus.create("last", start_at_boot=True)
        tap.equal(world.end_service(), 0, "exit code")
        world.start()
        started = [wait_state(bus, path, "running")["StartedUSec"] for path in (first, last)]
        tap.check(started[0] < started[1], "the older one first")
        tap.equal(bus.state(other), "created", "the other one")
        bus.do(last, "Stop")
        service_dies(world)
        world.start()
        stays(bus, last, "stopped")
        host_goes_down(world, pid_of(bus, first))
        world.start()
        for path in (first, last):
            wait_state(bus, path, "running")
        tap.equal(bus.state(other), "created", "the other one after a reboot")



def b16_stop_all():
    """on-service-stop=stop-all: SIGTERM stops the guests first, gracefully"""
    with live("--on-service-stop", "stop-all") as (world, bus):
        paths = [running(bus, "plain"), running(bus, "boot", start_at_boot=True)]
        pids = [pid_of(bus, path) for path in paths]
        tap.equal(world.end_service(), 0, "exit code")
        tap.check(not any(is_alive(pid) for pid in pids), "QEMUs")
        world.start()
        found = bus.properties(paths[0])
        tap.equal((found["State"], found["StopResult"]), ("stopped", "graceful"), "plain")
        log = pathlib.Path(found["DataDirectory"]) / "serial.log"
        tap.check("Teardown" in log.read_text(), "the guest was told")
        wait_state(bus, paths[1], "running")


def stop_all_starts_nothing():
    """a service that stops all starts neither what waits for its turn nor what is asked for"""
    with live("--on-service-stop", "stop-all", "--stop-timeout", "3") as (world, bus):
        slow = bus.create("slow", "--fake.ignore-stop")
        hangs = bus.create("hangs", "--fake.never-ready", start_at_boot=True)
        waits = bus.create("waits", start_at_boot=True)
        tap.equal(world.end_service(), 0, "exit code")
        world.start()
        wait_state(bus, hangs, "starting")
        bus.do(slow, "Start")
        world.service.send_signal(signal.SIGTERM)
        wait_state(bus, slow, "stopping")
        refused("Busy", lambda: bus.do(waits, "Start"))
        tap.equal(world.service.wait(30), 0, "exit code")
        tap.equal(world.processes(), set(), "shims and QEMUs")


def killed_while_stopping():
    """a machine that is killed from outside while it is to stop was not stopped gracefully"""
    with live("--stop-timeout", "20") as (_, bus):
        path = running(bus, "x", "--fake.ignore-stop")
        call = bus.begin(bus.do, path, "Stop")
        wait_state(bus, path, "stopping")
        kill_qemu(bus, path)
        call.result(10)
        found = bus.properties(path)
        tap.equal((found["State"], found["StopResult"]), ("stopped", "forced"), "the result")
        tap.check("signal 9" in found["StateReason"], found["StateReason"])


def cut_off_start():
    """a start that was cut off is not judged by what the machine before it has left"""
    for words, point in (((), "start:intended"), (("--fake.fatal", "of-old"), "start:files-made")):
        with World() as world:
            world.start()
            bus = Bus(world)
            path = bus.create("x", *words)
            try:
                bus.do(path, "Start")
                os.kill(parent_of(pid_of(bus, path)), signal.SIGTERM)
                wait_state(bus, path, "stopped")
            except Failed:
                pass
            service_dies(world)
            world.start_armed(point)
            try:
                bus.do(path, "Start")
            except Failed:
                pass
            world.service.wait(10)
            world.start()
            found = wait_state(bus, path, "failed")
            tap.check("The service ended" in found["StateReason"], found["StateReason"])
            bus.close()


def disk_while_it_is_made():
    """the size of a disk that is being made, or is there, cannot be changed"""
    with live() as (_, bus):
        path = bus.create("x", "--fake.never-ready")
        bus.call(path, "Instance.Configure", storage(200))
        bus.do(path, "Start", no_wait=True)
        refused("NotSupported", lambda: bus.call(path, "Instance.Configure", storage(300)))
        disk = pathlib.Path(bus.properties(path)["DataDirectory"]) / "data.raw"
        tap.eventually(disk.exists, 10, "the disk")
        tap.equal(disk.stat().st_size, bus.properties(path)["StorageBytes"], "its size")


def storage(mib):
    return GLib.Variant("(a{sv}a{sv})", ({"storage-bytes": GLib.Variant("t", mib << 20)}, {}))


def bounded_jobs():
    """who does not wait gets the job that runs, not one more"""
    with live() as (_, bus):
        path = bus.create("x", "--fake.never-ready")
        jobs = {bus.do(path, "Start", no_wait=True) for _ in range(50)}
        tap.equal(len(jobs), 1, "jobs")


def machines_live_on():
    """by default SIGTERM leaves the machines alone"""
    with live() as (world, bus):
        path = running(bus)
        pid = pid_of(bus, path)
        tap.equal(world.end_service(), 0, "exit code")
        tap.check(is_alive(pid), "QEMU")
        world.start()
        tap.equal(wait_state(bus, path, "running", 5)["MainPid"], pid, "MainPid")


# Crashes and reboots

def b01_reboot():
    """a machine that ran when the host went down is failed, and can be started and deleted"""
    with live() as (world, bus):
        for action in ("Start", "Stop", "Delete"):
            path = running(bus)
            host_goes_down(world, pid_of(bus, path))
            world.start()
            found = wait_state(bus, path, "failed", 5)
            tap.check("host went down while it was running" in found["StateReason"],
                      found["StateReason"])
            tap.equal(found["MainPid"], 0, "MainPid")
            bus.do(path, action)
            if action != "Delete":
                tap.equal(bus.state(path), {"Start": "running", "Stop": "failed"}[action], action)
                bus.do(path, "Delete", force=True)
        invariants.settle(world, bus)


def b01_reboot_in_every_state():
    """a reboot finds a way out of every state that has or may have a machine"""
    with live() as (world, bus):
        for state, after in (("starting", "failed"), ("paused", "failed"), ("stopping", "stopped"),
                             ("deleting", None)):
            path = running(bus)
            host_goes_down(world, pid_of(bus, path))
            edit(world, "UPDATE instances SET state=?", state)
            world.start()
            if after is not None:
                found = wait_state(bus, path, after, 5)
                tap.check(after == "stopped" or f"was {state}" in found["StateReason"],
                          found["StateReason"])
                bus.do(path, "Start")
                bus.do(path, "Delete", force=True)
            tap.eventually(lambda: bus.list() == {}, 5, f"{state}: it is gone")
        invariants.settle(world, bus)


def graceful_shutdown_of_the_host():
    """a shim that was told to stop, as at shutdown, leaves "stopped", not "failed" """
    with live() as (world, bus):
        path = running(bus, restart_policy="always")
        pid = pid_of(bus, path)
        shim = parent_of(pid)
        service_dies(world)
        os.kill(shim, signal.SIGTERM)
        gone(shim)
        edit(world, "UPDATE instances SET boot_id='another'")
        world.start()
        found = wait_state(bus, path, "stopped", 5)
        tap.equal(found["StopResult"], "graceful", "StopResult")
        stays(bus, path, "stopped")


def b05_foreign_pid():
    """a stored pid that belongs to another process by now is never signalled"""
    with live() as (world, bus):
        for state in ("running", "stopping", "deleting", "starting", "paused"):
            path = running(bus)
            pid = pid_of(bus, path)
            shim = parent_of(pid)
            service_dies(world)
            os.kill(shim, signal.SIGKILL)
            gone(shim)
            wait_dead(pid)
            with subprocess.Popen(["sleep", "1000"]) as stranger:
                edit(world, "UPDATE instances SET shim_pid=?, qemu_pid=?, state=?", stranger.pid,
                     stranger.pid, state)
                world.start()
                found = tap.eventually(
                    lambda: (now := list(bus.list("State", "MainPid").values())) == [] or
                    now[0]["State"] in ("failed", "stopped") and now, 10, f"{state}: at rest")
                if found is not True:
                    tap.equal(found[0]["MainPid"], 0, "MainPid")
                    bus.do(path, "Start")
                    bus.do(path, "Stop", mode="kill")
                    bus.do(path, "Delete", force=True)
                tap.equal(stranger.poll(), None, f"{state}: the stranger")
                stranger.kill()


def b03_start_without_pid():
    """a service that died between the intent to start and the pid: adopted, not stuck"""
    with live() as (world, bus):
        path = running(bus)
        pid = pid_of(bus, path)
        service_dies(world)
        edit(world, "UPDATE instances SET state='starting', shim_pid=0, shim_start=0, "
                    "qemu_pid=0, qemu_start=0")
        world.start()
        tap.equal(wait_state(bus, path, "running", 5)["MainPid"], pid, "the same QEMU")
        bus.do(path, "Stop")
        bus.do(path, "Delete")
        invariants.settle(world, bus)


def b06_dead_while_stopping():
    """a machine that dies while it is being stopped is stopped"""
    with live() as (_, bus):
        path = running(bus)
        os.kill(pid_of(bus, path), signal.SIGSTOP)
        call = bus.begin(bus.do, path, "Stop")
        wait_state(bus, path, "stopping", 5)
        kill_qemu(bus, path)
        call.result(10)
        tap.equal(bus.state(path), "stopped", "state")
        bus.do(path, "Start")


def thaw(pid):
    """Lets a machine with --fake.freeze go on, once it has stopped itself."""
    tap.eventually(lambda: status_of(pid)["State"][0] == "T", 5, "Katana's start")
    os.kill(pid, signal.SIGCONT)


def stop_without_its_service():
    """a stop whose service died is finished by the next one, with its true result"""
    with live("--stop-timeout", "5") as (world, bus):
        path = running(bus)
        pid = pid_of(bus, path)
        shim = parent_of(pid)
        os.kill(pid, signal.SIGSTOP)
        bus.begin(bus.do, path, "Stop")
        wait_state(bus, path, "stopping", 5)
        time.sleep(0.2)
        service_dies(world)
        os.kill(pid, signal.SIGCONT)
        gone(shim)
        world.start()
        found = wait_state(bus, path, "stopped", 5)
        tap.equal((found["StopResult"], found["StateReason"]), ("graceful", ""), "the result")


def katana_ends_without_its_service():
    """Katana's end is told by the next service too, when the machine is gone by then"""
    with live("--stop-timeout", "60") as (world, bus):
        paths = [bus.create(f"x{policy}", "--fake.katana-exit", "3", "--fake.ignore-stop",
                            restart_policy=policy) for policy in ("no", "on-failure")]
        for path in paths:
            bus.begin(bus.do, path, "Start")
        pids = [wait_state(bus, path, "stopping", 10)["MainPid"] for path in paths]
        shims = [parent_of(pid) for pid in pids]
        service_dies(world)
        for pid, shim in zip(pids, shims):
            os.kill(pid, signal.SIGKILL)
            gone(shim)
        world.start()
        found = wait_state(bus, paths[0], "failed", 5)
        tap.equal(found["LastError"], (f"{NAME}.Error.GuestFailed", "Katana exited with code 3"),
                  "LastError")
        tap.eventually(lambda: bus.properties(paths[1])["RestartCount"] > 0, 10, "its restart")


def restart_without_its_service():
    """a restart whose service died in the middle is finished by the next one"""
    for point in ("stop:intended", "stop:told", "stop:dead", "stop:noted"):
        with World() as world:
            world.start()
            path = world.create("x")
            world.start_instance(path)
            pid = world.show("x")["main_pid"]
            service_dies(world)
            world.start_armed(point)
            try:
                world.call(path, "Instance.Restart", "{}")
            except Failed:
                pass
            tap.equal(world.service.wait(10), -signal.SIGKILL, "exit code")
            world.start()
            tap.eventually(lambda: world.show("x")["main_pid"] not in (0, pid) and
                           world.show("x")["state"] == "running", 15, f"{point}: another QEMU")
            tap.check(not is_alive(pid), f"{point}: the old one is dead")


def reset_without_its_service():
    """a machine that was reset as its service died is not running before RPC has answered"""
    with live() as (world, bus):
        path = bus.create("x", "--fake.freeze")
        bus.begin(bus.do, path, "Start")
        pid = tap.eventually(lambda: pid_of(bus, path), 5, "QEMU")
        thaw(pid)
        wait_state(bus, path, "running", 5)
        service_dies(world)
        world.start_armed("command:done")
        bus.begin(bus.do, path, "Reset")
        tap.equal(world.service.wait(10), -signal.SIGKILL, "exit code")
        world.start()
        tap.eventually(lambda: status_of(pid)["State"][0] == "T", 5, "Katana's start")
        tap.equal((bus.state(path), pid_of(bus, path)), ("starting", pid), "before RPC answers")
        thaw(pid)
        wait_state(bus, path, "running", 5)


def word_to_monitor(world, bus, path, word):
    """What only another client of the monitor could do, while no service has it."""
    identity = invariants.rows(world, "SELECT id FROM instances")[0][0]
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(10)
        monitor.connect(f"{world.runtime}/katana-hypervisor/{identity}/qmp.sock")
        reader = monitor.makefile("r")
        for command in ("qmp_capabilities", word):
            monitor.sendall(json.dumps({"execute": command, "id": command}).encode() + b"\n")
            while (line := reader.readline()) and f'"id": "{command}"' not in line:
                pass


def b02_true_after_adoption():
    """whether an adopted machine is paused is asked, not believed"""
    with live() as (world, bus):
        path = running(bus)
        pid = pid_of(bus, path)
        for before, word, after in (("running", "stop", "paused"), ("paused", "cont", "running")):
            tap.equal(bus.state(path), before, "before")
            service_dies(world)
            word_to_monitor(world, bus, path, word)
            world.start()
            found = wait_state(bus, path, after, 5)
            tap.equal(found["MainPid"], pid, "the same QEMU")
        bus.do(path, "Stop")
        tap.equal(bus.properties(path)["StopResult"], "graceful", "StopResult")


def b08_ends_are_noticed():
    """QEMU's end is noticed at once and leaves no zombie"""
    with live() as (world, bus):
        path = running(bus)
        pid = pid_of(bus, path)
        shim = parent_of(pid)
        os.kill(pid, signal.SIGKILL)
        found = wait_state(bus, path, "failed", 2)
        tap.check("signal 9" in found["StateReason"], found["StateReason"])
        gone(pid)
        gone(shim)
        tap.equal(world.processes(), set(), "processes")


def b12_delete_needs_an_end():
    """a delete without force is refused while there is a machine, and touches nothing"""
    with live() as (_, bus):
        path = running(bus)
        for prepare in (None, "Pause"):
            if prepare:
                bus.do(path, prepare)
            found = bus.properties(path)
            refused("InvalidState", lambda: bus.do(path, "Delete"))
            tap.check(is_alive(found["MainPid"]), "QEMU")
            tap.check(os.path.exists(f"{found['DataDirectory']}/data.raw"), "data.raw")
        bus.do(path, "Resume")


def b25_corrupt_row():
    """one corrupt row is reported, hides no other, and can be deleted"""
    with live() as (world, bus):
        good = [running(bus, "one"), bus.create("three")]
        bus.create("two")
        tap.equal(world.end_service(), 0, "exit code")
        edit(world, "UPDATE instances SET config='{]' WHERE name='two'")
        world.start()
        found = {one["Name"]: one["State"] for one in bus.list("Name", "State").values()}
        tap.equal((found["one"], found["three"]), ("running", "created"), "the others")
        tap.check("damaged" in world.journal(), "the service says so")
        bus.do(good[1], "Start")
        bus.do(good[0], "Stop")
        two = next(path for path, one in bus.list("Name").items() if one["Name"] == "two")
        tap.check("damaged" in refused("Failed", lambda: bus.do(two, "Start")), "the damage")
        bus.do(two, "Delete")
        bus.create("two")


# Ports and configurations

def b21_port_stolen():
    """a port that was taken between create and start is named; free again, it works"""
    with live() as (_, bus):
        path = bus.create("x")
        port = bus.properties(path)["RpcPort"]
        with socket.create_server(("127.0.0.1", port)):
            tap.check(str(port) in refused("PortUnavailable", lambda: bus.do(path, "Start")),
                      "the port is named")
            tap.equal(bus.state(path), "failed", "state")
        bus.do(path, "Start")


def configure_now():
    """labels, policy, start-at-boot and quota change in a running machine at once"""
    with live() as (world, bus):
        path = running(bus)
        pid = pid_of(bus, path)
        tap.equal(bus.configure(path, labels={"a": "b"}, restart_policy="always",
                                start_at_boot=True, cpu_quota_percent=50), [], "pending")
        found = bus.properties(path)
        tap.equal((found["Labels"], found["RestartPolicy"], found["StartAtBoot"],
                   found["CpuQuotaPercent"], found["PendingChanges"], found["MainPid"]),
                  ({"a": "b"}, "always", True, 50, [], pid), "now")
        service_dies(world)
        world.start()
        tap.equal(bus.properties(path)["Labels"], {"a": "b"}, "after a restart of the service")


def configure_next():
    """memory and port of a running machine change at its next start; both ports are claimed"""
    with live() as (world, bus):
        path = running(bus)
        old, new = bus.properties(path)["RpcPort"], world.ports[50]
        tap.equal(sorted(bus.configure(path, memory_bytes=256 << 20, rpc_port=new)),
                  ["memory-bytes", "rpc-port"], "pending")
        found = bus.properties(path)
        tap.equal((found["RpcPort"], sorted(found["PendingChanges"])),
                  (old, ["memory-bytes", "rpc-port"]), "meanwhile")
        socket.create_connection(("127.0.0.1", old), 5).close()
        for port in (old, new):
            refused("PortUnavailable", lambda p=port: bus.create("y", rpc_port=p))
        service_dies(world)
        world.start()
        tap.equal(sorted(bus.properties(path)["PendingChanges"]), ["memory-bytes", "rpc-port"],
                  "after a restart of the service")
        wait_state(bus, path, "running", 5)
        bus.do(path, "Restart")
        found = bus.properties(path)
        tap.equal((found["RpcPort"], found["MemoryBytes"], found["PendingChanges"]),
                  (new, 256 << 20, []), "after the restart")
        socket.create_connection(("127.0.0.1", new), 5).close()
        bus.create("y", rpc_port=old)
        invariants.settle(world, bus)


def configure_all_or_nothing():
    """of changes with a bad one among them none is made"""
    with live() as (world, bus):
        path = running(bus)
        bus.create("other", rpc_port=world.ports[60])
        before = bus.properties(path), invariants.rows(world, "SELECT * FROM instances")
        refused("PortUnavailable", lambda: bus.configure(path, labels={"a": "b"},
                                                         rpc_port=world.ports[60]))
        refused("InvalidArgument", lambda: bus.configure(path, labels={"a": "b"},
                                                         restart_policy="sometimes"))
        refused("NotSupported", lambda: bus.configure(path, labels={"a": "b"},
                                                      storage_bytes=100 << 30))
        tap.equal((bus.properties(path), invariants.rows(world, "SELECT * FROM instances")),
                  before, "what was to stay")


def configure_image():
    """image=default waits for the next start; no image is left that nobody uses"""
    with live() as (world, bus):
        path = running(bus)
        first = bus.properties(path)["Image"]
        (world.components / "vmlinuz").write_bytes(b"second")
        tap.equal(bus.configure(path, image="default"), ["image"], "pending")
        tap.equal(bus.properties(path)["Image"], first, "meanwhile")
        invariants.settle(world, bus)
        kill_qemu(bus, path)
        wait_state(bus, path, "failed", 5)
        tap.check(bus.properties(path)["Image"] != first, "after its end")
        invariants.settle(world, bus, 3)
        bus.do(path, "Start")
        (world.components / "vmlinuz").write_bytes(b"third")
        bus.configure(path, image="default")
        (world.components / "vmlinuz").write_bytes(b"fourth")
        bus.create("other")
        invariants.settle(world, bus, 3)
        bus.do(path, "Delete", force=True)
        invariants.settle(world, bus, 3)


# Jobs, and calls at the same time

def jobs():
    """a job shows what it does, how far it is, and its result"""
    with live() as (_, bus):
        path = bus.create("x", "--fake.freeze")
        job = bus.do(path, "Start", no_wait=True)
        pid = tap.eventually(lambda: pid_of(bus, path), 10, "QEMU")
        tap.eventually(lambda: status_of(pid)["State"][0] == "T", 10, "it is frozen")
        shown = bus.properties(job, "Job")
        tap.equal((shown["Operation"], shown["Instance"], shown["State"]),
                  ("start", path, "running"), "meanwhile")
        tap.check(0 < shown["Progress"] < 1 and shown["Step"], str(shown))
        os.kill(pid, signal.SIGCONT)
        tap.eventually(lambda: bus.properties(job, "Job")["State"] == "done", 10, "done")
        shown = bus.properties(job, "Job")
        tap.equal((shown["Progress"], shown["Step"], shown["Error"], shown["Result"]),
                  (1.0, "", ("", ""), {"state": "running"}), "at the end")
        refused("InvalidState", lambda: bus.cancel(job))
        stop = bus.do(path, "Stop")
        tap.equal(bus.properties(stop, "Job")["Result"],
                  {"state": "stopped", "stop-result": "graceful"}, "of the stop")
        failing = bus.create("y", "--fake.exit", "3")
        job = bus.do(failing, "Start", no_wait=True)
        tap.eventually(lambda: bus.properties(job, "Job")["State"] == "failed", 10, "failed")
        tap.equal(bus.properties(job, "Job")["Error"][0], f"{NAME}.Error.LaunchFailed", "Error")


def cancelled_start():
    """a cancelled start ends stopped, and its caller is told; a stop cannot be cancelled"""
    with live() as (_, bus):
        path = bus.create("x", "--fake.never-ready")
        call = bus.begin(bus.do, path, "Start")
        job = tap.eventually(lambda: next(iter(bus.jobs()), None), 5, "the job")
        bus.cancel(job)
        refused("Cancelled", call.result)
        tap.equal((bus.state(path), bus.properties(job, "Job")["State"]),
                  ("stopped", "cancelled"), "afterwards")
        path = running(bus, "y")
        pid = pid_of(bus, path)
        os.kill(pid, signal.SIGSTOP)
        job = bus.do(path, "Stop", no_wait=True)
        refused("NotSupported", lambda: bus.cancel(job))
        tap.equal(bus.properties(job, "Job")["State"], "running", "it goes on")
        os.kill(pid, signal.SIGCONT)
        wait_state(bus, path, "stopped", 10)


def stops_join():
    """stops of what is being stopped wait for the same end"""
    with live() as (_, bus):
        path = running(bus)
        pid = pid_of(bus, path)
        os.kill(pid, signal.SIGSTOP)
        calls = [bus.begin(bus.do, path, "Stop") for _ in range(5)]
        wait_state(bus, path, "stopping", 5)
        tap.check(not any(call.done() for call in calls), "they wait")
        os.kill(pid, signal.SIGCONT)
        for call in calls:
            call.result(10)
        tap.equal(bus.state(path), "stopped", "state")


def mixed_calls():
    """twenty calls at once on one instance: in order or refused, and at rest afterwards"""
    with live("--stop-timeout", "2") as (world, bus):
        known = {"Busy", "InvalidState", "Cancelled", "MonitorLost", "NotFound"}
        path = bus.create("x")
        for round_ in range(5):
            words = ["Start", "Stop", "Restart", "Reset", "Pause", "Resume", "Start", "Stop"]
            calls = [bus.begin(bus.do, path, words[(number * (round_ + 3)) % len(words)])
                     for number in range(20)]
            for call in calls:
                try:
                    call.result(60)
                except Failed as error:
                    tap.check(error.name in known, f"{error.name}: {error.message}")
            found = invariants.settle(world, bus)
            tap.equal(len(found), 1, "instances")
            if found[0]["State"] == "paused":
                bus.do(path, "Resume")
            bus.do(path, "Start")
            bus.do(path, "Stop")


def b17_answers_while_stopping():
    """while one takes long to stop, lists are answered at once and others start and stop"""
    with live() as (_, bus):
        slow = running(bus, "slow", "--fake.ignore-stop", "--fake.deaf-monitor")
        others = [bus.create(f"n{number}") for number in range(5)]
        call = bus.begin(bus.do, slow, "Stop")
        wait_state(bus, slow, "stopping", 5)
        moves = [bus.begin(lambda path: [bus.do(path, "Start"), bus.do(path, "Stop")], path)
                 for path in others]
        times = []
        for _ in range(50):
            before = time.monotonic()
            bus.list()
            times.append(time.monotonic() - before)
        tap.note(f"median of 50 lists: {statistics.median(times) * 1000:.1f} ms, "
                 f"longest: {max(times) * 1000:.1f} ms")
        tap.check(statistics.median(times) < 0.05, f"median {statistics.median(times)} s")
        for move in moves:
            move.result(25)
        tap.check(not call.done() and bus.state(slow) == "stopping", "it is still stopping")
        call.result(60)
        found = bus.properties(slow)
        tap.equal((found["State"], found["StopResult"]), ("stopped", "forced"), "in the end")
        tap.check("killed" in found["StateReason"], found["StateReason"])


TESTS = [restarts_on_failure, restarts_always, never_after_a_stop, crash_loop, backoff_survives,
         stop_ends_the_wait, b16_start_at_boot, b16_stop_all, stop_all_starts_nothing, killed_while_stopping,
         cut_off_start, disk_while_it_is_made, bounded_jobs, machines_live_on, b01_reboot,
         b01_reboot_in_every_state, graceful_shutdown_of_the_host, b05_foreign_pid,
         b03_start_without_pid, b06_dead_while_stopping, stop_without_its_service,
         katana_ends_without_its_service,
         restart_without_its_service, reset_without_its_service, b02_true_after_adoption, b08_ends_are_noticed, b12_delete_needs_an_end,
         b25_corrupt_row, b21_port_stolen, configure_now, configure_next,
         configure_all_or_nothing, configure_image, jobs, cancelled_start, stops_join,
         mixed_calls, b17_answers_while_stopping]

if __name__ == "__main__":
    sys.exit(tap.run(TESTS))
