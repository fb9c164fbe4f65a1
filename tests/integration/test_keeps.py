#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Nothing decided is lost, and nothing foreign is touched: what a service does where its
database, its folders, its clock or its descriptors are not as it has left them.
"""
import os
import signal
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
         b92_hangup_is_a_regular_end, b92_idle_signals, b92_nohup]

if __name__ == "__main__":
    sys.exit(tap.run(TESTS))
