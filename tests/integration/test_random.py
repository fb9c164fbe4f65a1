#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A thousand random operations on a few instances, some at the same time, with random
SIGKILLs of service, shims and QEMUs, while at times the database is locked by another process,
or the disk is full. After every hundred the world must be at rest and in order: see
lib/invariants.py. KH_SEED repeats a run's choices, KH_OPERATIONS sets how many.
"""
import concurrent.futures
import os
import random
import signal
import sqlite3
import sys
import threading
import time

import disk
import invariants
import tap
from bus import Bus
from harness import Failed, World

SEED = int(os.environ.get("KH_SEED") or int.from_bytes(os.urandom(4), "big"))
OPERATIONS = int(os.environ.get("KH_OPERATIONS") or 1000)
BLOCK = 100
NAMES = [f"n{number}" for number in range(6)]
# What a call may answer in the turmoil. "?" is the bus's own word for a service that died.
EXPECTED = {"Busy", "InvalidState", "Cancelled", "MonitorLost", "NotFound", "AlreadyExists",
            "LaunchFailed", "GuestFailed", "Failed", "TimedOut", "PortUnavailable",
            "ResourceUnavailable"}
LOST = ("NoReply", "ServiceUnknown", "NameHasNoOwner", "UnknownObject", "UnknownMethod",
        "Disconnected")


class Chaos:
    def __init__(self, world, bus):
        self.world, self.bus = world, bus
        self.random = random.Random(SEED)
        self.calls, self.counts = [], {}
        self.log = []
        self.troubles = {}

    # What is done; each by name or path, in a thread.

    def path_of(self, name):
        for path, one in self.bus.list("Name").items():
            if one["Name"] == name:
                return path
        return None

    def act(self, method, name, options):
        path = self.path_of(name)
        if path is not None:
            self.bus.do(path, method, **options)

    def create(self, name, options):
        self.bus.create(name, *options.pop("words", ()), **options)

    def configure(self, name, options):
        path = self.path_of(name)
        if path is not None:
            self.bus.configure(path, **options)

    # What is chosen, all of it here, so that the seed decides it.

    def choose(self):
        dice = self.random
        name = dice.choice(NAMES)
        kind = dice.choices(
            ("create", "Start", "Stop", "Restart", "Reset", "Pause", "Resume", "configure",
             "Delete", "kill", "lock", "fill"), (12, 24, 10, 8, 5, 7, 7, 8, 9, 10, 1, 1))[0]
        options = {}
        if kind in ("lock", "fill"):
            options = {"seconds": dice.uniform(0.1, 3), "free": dice.randrange(20)}
        elif kind == "create":
            fault = dice.choice(("--fake.ignore-stop", "--fake.deaf-monitor", "--fake.refuse"))
            words = [fault] if dice.random() < 0.2 else []
            options = {"words": words, "start_at_boot": dice.random() < 0.2,
                       "storage_bytes": 50 << 20, "restart_policy": dice.choice(("no", "no", "on-failure", "always"))}
        elif kind == "Stop":
            options = dice.choice(({}, {}, {"mode": "kill"}, {"timeout_usec": 1000000}))
        elif kind == "Restart":
            options = dice.choice(({}, {"mode": "kill"}))
        elif kind == "Delete":
            options = {"force": dice.random() < 0.6}
        elif kind == "configure":
            options = dice.choice(({"labels": {"a": "b"}}, {"rpc_port": 0}, {"image": "default"},
                                   {"rpc_port": dice.choice(self.world.ports)},
                                   {"restart_policy": "no"}))
        elif kind == "kill":
            options = {"victim": dice.choice(("qemu", "qemu", "shim", "service")),
                       "choice": dice.random()}
        return kind, name, options, dice.random() < 0.5

    def perform(self, kind, name, options):
        if kind == "create":
            self.create(name, dict(options))
        elif kind == "configure":
            self.configure(name, options)
        else:
            self.act(kind, name, options)

    def observe(self, call, what):
        """A call's answer must be one that is foreseen."""
        try:
            call.result(90)
        except Failed as error:
            self.counts[error.name] = self.counts.get(error.name, 0) + 1
            if error.name == "Failed":
                tap.note(f"{what}: {error.message}")
            tap.check(error.name in EXPECTED or any(word in str(error) for word in LOST),
                      f"{what}: {error}")

    def reap(self, all_of_them):
        for call, what in list(self.calls):
            if all_of_them or call.done():
                self.observe(call, what)
                self.calls.remove((call, what))

    def lock(self, seconds, free):  # pylint: disable=unused-argument
        """Another process has the database."""
        other = sqlite3.connect(self.world.state / "state.db", isolation_level=None, timeout=20)
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        other.close()

    def fill(self, seconds, free):
        if isinstance(self.world, disk.DiskWorld):
            with disk.Filler(self.world.place, free):
                time.sleep(seconds)

    def trouble(self, kind, options):
        """One of a kind at a time, while all else goes on."""
        if kind in self.troubles and self.troubles[kind].is_alive():
            return
        thread = threading.Thread(target=getattr(self, kind), kwargs=options, daemon=True)
        self.troubles[kind] = thread
        thread.start()

    def wait_trouble(self, *kinds):
        for kind in kinds:
            if kind in self.troubles:
                self.troubles[kind].join(60)

    def kill(self, victim, choice):
        if victim == "service":
            self.world.end_service(signal.SIGKILL)
            self.reap(True)
            # It does not begin with a database that it cannot read; systemd would try again.
            self.wait_trouble("lock")
            self.world.start()
            return
        machines = [pid for pid in self.world.processes()
                    if ("fake-qemu " in invariants.command_of(pid)) == (victim == "qemu")]
        if machines:
            pid = sorted(machines)[int(choice * len(machines))]
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def step(self):
        kind, name, options, at_once = self.choose()
        self.log.append(f"{kind} {name} {options}{' &' if at_once else ''}")
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == "kill":
            self.kill(**options)
            return
        if kind in ("lock", "fill"):
            self.trouble(kind, options)
            return
        call = self.bus.begin(self.perform, kind, name, options)
        self.calls.append((call, self.log[-1]))
        if not at_once:
            concurrent.futures.wait([call], 90)
        while len(self.calls) > 8:
            self.reap(False)
            time.sleep(0.005)
        self.reap(False)

    def rest(self):
        """Waits for all calls, ends the waits for restarts, and looks."""
        self.reap(True)
        self.wait_trouble("lock", "fill")
        for path in self.bus.list():
            try:
                self.bus.configure(path, restart_policy="no")
            except Failed as error:
                tap.check(error.name in ("InvalidState", "Busy", "NotFound"), str(error))
        invariants.settle(self.world, self.bus, 60)

    def end(self):
        """Nothing is stuck: each can be brought to an end that leaves nothing."""
        for path, one in self.bus.list("Name", "State").items():
            self.bus.do(path, "Stop", mode="kill")
            self.bus.do(path, "Delete")
            tap.note(f"{one['Name']} was {one['State']} in the end")
        tap.equal(invariants.settle(self.world, self.bus), [], "what is left")


def make_world(*options):
    """On a disk of its own where that can be made, else one that is never full."""
    try:
        return disk.DiskWorld(*options, megabytes=128)
    except tap.Skip as missing:
        tap.note(f"the disk is never full: {missing}")
        return World(*options)


def random_operations():
    """random operations and random SIGKILLs; whatever happens, all tell the same story"""
    tap.note(f"KH_SEED={SEED} KH_OPERATIONS={OPERATIONS}")
    began = time.monotonic()
    with make_world("--stop-timeout", "1", "--start-timeout", "10") as world:
        world.start()
        bus = Bus(world)
        chaos = Chaos(world, bus)
        try:
            for number in range(1, OPERATIONS + 1):
                chaos.step()
                if number % BLOCK == 0:
                    chaos.rest()
                    tap.note(f"{number} operations, {time.monotonic() - began:.0f} s")
            chaos.rest()
            chaos.end()
        except Exception:
            tap.note(f"KH_SEED={SEED}; the last of {len(chaos.log)} operations:")
            tap.note("\n".join(chaos.log[-20:]))
            raise
        tap.note(" ".join(f"{name}={count}" for name, count in sorted(chaos.counts.items())))
        bus.close()


if __name__ == "__main__":
    sys.exit(tap.run([random_operations]))
