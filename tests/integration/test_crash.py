#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The service is killed at every step of its operations, started again, and must have left
nothing behind: see lib/invariants.py. The points are found in the sources, so that a new one
is tested or fails the test for want of a scenario.

Each point is tried in every way that its operation has; a service that does not come to the
point in one of them must come to it in another.
"""
import os
import re
import signal
import sys

import invariants
import tap
from bus import Bus
from harness import SOURCE, Failed, World, components, is_alive

KILLED = -signal.SIGKILL
REAL_POINTS = ("start:launched", "start:noted", "start:running", "stop:told", "stop:dead",
               "delete:intended")


def points():
    found = []
    for path in sorted((SOURCE / "service").rglob("*.c")):
        found += re.findall(r'kh_crash_point\("([^"]+)"\)', path.read_text(encoding="utf-8"))
    return sorted(set(found))


class Stage:
    """A world with a machine that runs through all crashes, and the instance "x"."""

    def __init__(self, real=False):
        self.real = real
        self.world = World("--stop-timeout", "1" if not real else "20", fake=not real,
                           components=components() if real else None)
        self.world.start()
        self.bus = Bus(self.world)
        self.path = None
        self.bystander = None
        if not real:
            self.bystander = self.bus.create("bystander")
            self.bus.do(self.bystander, "Start")
            self.pid = self.bus.properties(self.bystander)["MainPid"]

    def create(self, *words):
        config = {}
        if self.real:
            config = {"memory_bytes": 512 << 20, "vcpus": 1, "storage_bytes": 100 << 20,
                      "dev": True}
        self.path = self.bus.create("x", *words, **config)

    def start(self):
        self.bus.do(self.path, "Start")

    def new_components(self):
        """A rebuild, so that the next import copies something."""
        kernel = self.world.components / "vmlinuz"
        kernel.write_bytes(kernel.read_bytes() + b"x")

    def crash(self, point, action):
        """Whether the service has died at the point while it did the action."""
        tap.equal(self.world.end_service(), 0, "exit code of the service before")
        self.world.start_armed(point)
        call = self.bus.begin(action)
        try:
            call.result(60)
        except Failed:
            pass
        try:
            code = self.world.service.wait(1.5)
        except Exception:  # pylint: disable=broad-except
            return False
        tap.equal(code, KILLED, "exit code of the service that was to crash")
        return True

    def recover(self):
        """The service is back, everything is at rest and in order, the bystander runs on."""
        if self.world.service.poll() is None:
            self.world.end_service(signal.SIGKILL)
        self.world.start()
        shown = invariants.settle(self.world, self.bus, 60 if self.real else 20)
        if self.bystander:
            found = [(one["MainPid"], one["State"]) for one in shown if one["Name"] == "bystander"]
            tap.equal(found, [(self.pid, "running")], "the bystander")

    def live_on(self):
        """Nothing is stuck: what there is can be started, stopped and deleted."""
        for path, one in self.bus.list("Name", "State").items():
            if path == self.bystander:
                continue
            if one["State"] == "paused":
                self.bus.do(path, "Resume")
            self.bus.do(path, "Start")
            tap.equal(self.bus.state(path), "running", f"{one} after start")
            self.bus.do(path, "Stop")
            tap.equal(self.bus.state(path), "stopped", f"{one} after stop")
            self.bus.do(path, "Delete")
        left = [one["Name"] for one in invariants.settle(self.world, self.bus)]
        tap.equal(left, ["bystander"] if self.bystander else [], "what is left")

    def close(self):
        self.bus.close()
        self.world.close()


# One function per way: it brings "x" where it must be, and returns the action.

def creating(stage):
    stage.new_components()
    return stage.create


def creating_same_image(stage):
    return lambda: stage.bus.create("x", rpc_port=0)


def starting_first(stage):
    stage.create()
    return stage.start


def starting_again(stage):
    stage.create()
    stage.start()
    stage.bus.do(stage.path, "Stop")
    return stage.start


def starting_after_unseen_end(stage):
    """Its last machine has died while no service was there to see it."""
    stage.create()
    stage.start()
    pid = stage.bus.properties(stage.path)["MainPid"]
    shim = invariants.parent_of(pid)
    stage.world.end_service(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    tap.eventually(lambda: not os.path.exists(f"/proc/{shim}"), 10, "the shim is gone")
    stage.world.start()
    tap.eventually(lambda: stage.bus.state(stage.path) == "failed", 10, "x has failed")
    return stage.start


def restarting(stage):
    stage.create()
    stage.start()
    return lambda: stage.bus.do(stage.path, "Restart")


def stopping(stage, *words, **options):
    stage.create(*words)
    stage.start()
    return lambda: stage.bus.do(stage.path, "Stop", **options)


def stopping_by_kill(stage):
    return stopping(stage, mode="kill")


def stopping_the_stubborn(stage):
    return stopping(stage, "--fake.ignore-stop", timeout_usec=1000000)


def stopping_paused(stage):
    action = stopping(stage)
    stage.bus.do(stage.path, "Pause")
    return action


def dying(stage):
    stage.create()
    stage.start()
    return lambda: os.kill(stage.bus.properties(stage.path)["MainPid"], signal.SIGKILL)


def commanding(stage, *methods):
    stage.create()
    stage.start()
    for method in methods[:-1]:
        stage.bus.do(stage.path, method)
    return lambda: stage.bus.do(stage.path, methods[-1])


def pausing(stage):
    return commanding(stage, "Pause")


def resuming(stage):
    return commanding(stage, "Pause", "Resume")


def resetting(stage):
    return commanding(stage, "Reset")


def resetting_paused(stage):
    return commanding(stage, "Pause", "Reset")


def deleting_stopped(stage):
    stage.create()
    stage.start()
    stage.bus.do(stage.path, "Stop")
    return lambda: stage.bus.do(stage.path, "Delete")


def deleting_never_started(stage):
    stage.create()
    return lambda: stage.bus.do(stage.path, "Delete")


def deleting_by_force(stage):
    stage.create()
    stage.start()
    return lambda: stage.bus.do(stage.path, "Delete", force=True)


def setting(stage, start):
    stage.create()
    if start:
        stage.start()
    stage.new_components()
    return lambda: stage.bus.configure(stage.path, rpc_port=0, image="default",
                                       labels={"a": "b"}, memory_bytes=256 << 20)


def setting_stopped(stage):
    return setting(stage, False)


def setting_running(stage):
    return setting(stage, True)


def setting_then_stopping(stage):
    setting(stage, True)()
    return lambda: stage.bus.do(stage.path, "Stop")


def dropping_by_a_change(stage):
    """Nobody but x has its image, which is no default any more."""
    stage.new_components()
    return setting_stopped(stage)


def dropping_by_a_deletion(stage):
    stage.new_components()
    stage.create()
    stage.new_components()
    stage.bus.create("y")
    return lambda: stage.bus.do(stage.path, "Delete")


STARTS = (starting_first, starting_again, starting_after_unseen_end)
STOPS = (stopping, stopping_by_kill, stopping_the_stubborn, stopping_paused, restarting, dying)
DELETES = (deleting_stopped, deleting_never_started, deleting_by_force)
SETS = (setting_stopped, setting_running, setting_then_stopping)
WAYS = {"create": (creating, creating_same_image),
        "import": (creating, setting_stopped),
        "image": (dropping_by_a_change, dropping_by_a_deletion),
        "folder": (creating, starting_first),
        "store": (creating, setting_stopped, setting_running, deleting_stopped),
        "start": STARTS, "stop": STOPS, "delete": DELETES, "set": SETS,
        "command": (pausing, resuming, resetting, resetting_paused)}


class Runner:
    """One stage for many points; a new one after a failure."""

    def __init__(self, real=False):
        self.real, self.stage = real, None

    def try_way(self, point, way):
        """Whether the service came to the point in this way."""
        if self.stage is None:
            self.stage = Stage(self.real)
        stage, self.stage = self.stage, None
        try:
            reached = stage.crash(point, way(stage))
            stage.recover()
            stage.live_on()
        except Exception:
            tap.note(f"{point}, {way.__name__}; the service said:")
            tap.note("\n".join(stage.world.journal().splitlines()[-25:]))
            stage.world.abandon()
            raise
        self.stage = stage
        return reached

    def test(self, point):
        ways = WAYS.get(point.split(":")[0], ())
        reached = [way.__name__ for way in ways if self.try_way(point, way)]
        tap.check(reached, f"no scenario comes to {point}")

    def close(self):
        if self.stage is not None:
            self.stage.close()


def test_of(runner, point, kind):
    def test():
        if runner.real and point.startswith("start"):
            tap.check(runner.try_way(point, starting_first), f"{point} was not reached")
        elif runner.real:
            way = stopping if point.startswith("stop") else deleting_by_force
            tap.check(runner.try_way(point, way), f"{point} was not reached")
        else:
            runner.test(point)
    test.__doc__ = f"killed at {point}, {kind}"
    test.__name__ = f"{kind.split()[-1]}-{point}"
    return test


def every_operation_has_points():
    """create, start, stop, delete and set have crash points"""
    found = {point.split(":")[0] for point in points()}
    tap.check({"create", "start", "stop", "delete", "set"} <= found, str(found))


def main():
    fake, real = Runner(), Runner(real=True)
    tests = [every_operation_has_points]
    tests += [test_of(fake, point, "fake QEMU") for point in points()]
    tests += [test_of(real, point, "real guest") for point in REAL_POINTS]
    code = tap.run(tests)
    fake.close()
    real.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
