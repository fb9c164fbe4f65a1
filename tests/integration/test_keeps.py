#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Nothing decided is lost, and nothing foreign is touched: what a service does where its
database, its folders, its clock or its descriptors are not as it has left them.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import sys
import time

import invariants
import tap
from harness import is_alive
from live import (edit, kill_qemu, live, pid_of, running, service_dies, wait_state)

DAY_USEC = 24 * 3600 * 1000000


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
                bus.do(path, "Delete")
                world.end_service()
                world.start()


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


TESTS = [b90_restart_after_a_clock_change, b90_end_after_a_clock_change,
         b91_stop_without_sockets, b91_kill_is_the_last_step, b92_hangup_is_a_regular_end, b92_idle_signals, b92_nohup]

if __name__ == "__main__":
    sys.exit(tap.run(TESTS))
