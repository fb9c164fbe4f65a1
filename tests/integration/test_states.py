#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every pair of state and operation over the live bus: allowed, joined, nothing to do, or
refused naming the state, with nothing changed. The pairs are those of
tests/unit/test-state-table.c, which walks the table in the code.
"""
import os
import signal
import sys

import invariants
import tap
from bus import Bus
from harness import Failed, World, is_alive

OPERATIONS = ("start", "stop", "kill", "restart", "reset", "pause", "resume", "configure",
              "delete", "force-delete")
# Allowed, Refused, Joined, Nothing; in the order of OPERATIONS.
EXPECTED = {"created": "ANNARRRAAA", "starting": "JAAARRRARA", "running": "NAAAAANARA",
            "paused": "RAAAANAARA", "stopping": "RJARRRRARA", "stopped": "ANNARRRAAA",
            "failed": "ANNARRRAAA", "deleting": "RRRRRRRRJJ"}
# Those that soon become another; what is refused in them may be tried later.
PASSING = ("stopping", "deleting")
METHODS = {"start": ("Start", {}), "stop": ("Stop", {}), "kill": ("Stop", {"mode": "kill"}),
           "restart": ("Restart", {}), "reset": ("Reset", {}), "pause": ("Pause", {}),
           "resume": ("Resume", {}), "delete": ("Delete", {}),
           "force-delete": ("Delete", {"force": True})}
# The state that an operation that is carried out leads to; "gone" after a deletion.
LEADS_TO = {"start": "running", "stop": "stopped", "kill": "stopped", "restart": "running",
            "reset": "running", "pause": "paused", "resume": "running", "delete": "gone",
            "force-delete": "gone"}


class Scene:
    """The instance "x" in a state that lasts until it is let go: passing states by stopping
    the process that would end them."""

    def __init__(self, world, bus, state):
        self.world, self.bus, self.state = world, bus, state
        self.frozen = []
        self.path = self.call = None
        getattr(self, "bring_" + state)()
        tap.eventually(lambda: self.now() == state, 10, f"x is {state}")

    def now(self):
        found = self.bus.list("State").get(self.path)
        return found["State"] if found else "gone"

    def pid(self):
        return self.bus.properties(self.path)["MainPid"]

    def freeze(self, pid):
        os.kill(pid, signal.SIGSTOP)
        self.frozen.append(pid)

    def begin(self, method, **options):
        return self.bus.begin(self.bus.do, self.path, method, **options)

    def bring_created(self, *words):
        self.path = self.bus.create("x", *words)

    def bring_running(self):
        self.bring_created()
        self.bus.do(self.path, "Start")

    def bring_starting(self):
        self.bring_created("--fake.freeze")
        self.call = self.begin("Start")
        self.frozen.append(tap.eventually(self.pid, 10, "QEMU's pid"))

    def bring_paused(self):
        self.bring_running()
        self.bus.do(self.path, "Pause")

    def bring_stopping(self):
        self.bring_running()
        self.freeze(self.pid())
        self.call = self.begin("Stop")

    def bring_stopped(self):
        self.bring_running()
        self.bus.do(self.path, "Stop")

    def bring_failed(self):
        self.bring_running()
        os.kill(self.pid(), signal.SIGKILL)

    def bring_deleting(self):
        """QEMU dies; its shim, which is to end with it, does not come to that."""
        self.bring_running()
        self.freeze(invariants.parent_of(self.pid()))
        self.call = self.begin("Delete", force=True)

    def thaw(self):
        """Also a machine that has taken the place of the frozen one."""
        pids = {one["MainPid"] for one in self.bus.list("MainPid").values()}
        for pid in pids | set(self.frozen):
            try:
                if pid > 0 and is_alive(pid):
                    os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def look(self):
        """All that an operation could change."""
        properties = self.bus.properties(self.path)
        socket = self.world.runtime / "katana-hypervisor" / properties["Id"] / "qmp.sock"
        return {"properties": properties,
                "socket": socket.stat().st_ino if socket.exists() else None,
                "row": invariants.rows(self.world, "SELECT * FROM instances"),
                "ports": invariants.rows(self.world, "SELECT * FROM ports"),
                "uids": invariants.rows(self.world, "SELECT * FROM uids "
                                                    "WHERE instance_id IS NOT NULL")}

    def operate(self, operation):
        if operation == "configure":
            return lambda: self.bus.configure(self.path, labels={"touched": "yes"})
        method, options = METHODS[operation]
        return lambda: self.bus.do(self.path, method, **options)

    def finish(self):
        """Lets it go; the call that brought it here comes to its end."""
        if self.call is not None:
            tap.eventually(lambda: self.thaw() or self.call.done(), 20, "the first call")
        if self.now() != "gone":
            self.bus.do(self.path, "Delete", force=True)


def refused(scene, operation):
    before = scene.look()
    try:
        scene.operate(operation)()
    except Failed as error:
        wanted = "Busy" if scene.state in PASSING else "InvalidState"
        tap.equal(error.name, wanted, error.message)
        tap.check('"x"' in error.message and f" {scene.state};" in error.message, error.message)
    else:
        tap.check(False, "it was not refused")
    tap.equal(scene.look(), before, "what was to stay as it was")


def nothing(scene, operation):
    before = scene.look()
    reply = scene.operate(operation)()
    tap.check(reply in ("/", ()), f"there is a job {reply}")
    tap.equal(scene.look(), before, "what was to stay as it was")


def joined(scene, operation):
    before = scene.look()
    call = scene.bus.begin(scene.operate(operation))
    scene.bus.list()
    tap.equal(scene.look()["row"], before["row"], "the row")
    tap.check(not call.done(), "the second call waits for the first")
    tap.eventually(lambda: scene.thaw() or call.done() and scene.call.done(), 20, "both calls")
    call.result()
    scene.call.result()
    tap.equal(scene.now(), LEADS_TO[operation], "the state afterwards")


def allowed(scene, operation):
    call = scene.bus.begin(scene.operate(operation))
    if operation == "configure":
        tap.equal(call.result(10), [], "pending changes")
        found = scene.bus.properties(scene.path)
        tap.equal((found["State"], found["Labels"]), (scene.state, {"touched": "yes"}), "after")
        return
    by_force = operation in ("kill", "force-delete")
    tap.eventually(lambda: by_force or scene.thaw() or call.done(), 20, "the call's end")
    call.result(20)
    tap.equal(scene.now(), LEADS_TO[operation], "the state afterwards")


CHECKS = {"A": allowed, "R": refused, "J": joined, "N": nothing}


def try_pair(world, bus, state, operation, letter):
    scene = Scene(world, bus, state)
    try:
        CHECKS[letter](scene, operation)
    except Exception as error:
        raise AssertionError(f"{operation} while {state}: {error}") from error
    scene.finish()


def test_of(state):
    def test():
        with World() as world:
            world.start()
            bus = Bus(world)
            for operation, letter in zip(OPERATIONS, EXPECTED[state], strict=True):
                try_pair(world, bus, state, operation, letter)
            tap.equal(invariants.settle(world, bus), [], "what is left")
            bus.close()
    test.__name__ = state
    test.__doc__ = f"each of {len(OPERATIONS)} operations while {state}"
    return test


def b04_second_machine():
    """a start is refused while another machine of the instance is there in any way"""
    for state in ("paused", "stopping"):
        with World() as world:
            world.start()
            bus = Bus(world)
            scene = Scene(world, bus, state)
            machines = world.processes()
            refused(scene, "start")
            tap.equal(world.processes(), machines, "shims and QEMUs")
            scene.finish()
            bus.close()


if __name__ == "__main__":
    sys.exit(tap.run([test_of(state) for state in EXPECTED] + [b04_second_machine]))
