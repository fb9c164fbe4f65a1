# SPDX-License-Identifier: MIT
"""The service under a flood: one user attacks, another asks, and what it costs is measured.

Used by test_floods.py and tests/bench/run.
"""
import json
import os
import pathlib
import subprocess
import tempfile
import time

from harness import status_of

LIB = pathlib.Path(__file__).parent
# Users that the bus knows, and that have no right.
HOSTILE, PATIENT = "nobody", "daemon"
# What was tried when the service was attacked first: kind, connections.
ATTACKS = [("objects", 2), ("large", 20), ("descriptors", 100)]


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def memory(world, key="VmRSS"):
    """In KiB."""
    return int(status_of(world.service.pid)[key][0])


def descriptors(world):
    return len(os.listdir(f"/proc/{world.service.pid}/fd"))


def run(world, user, program, *words, stdout=subprocess.PIPE):
    command = ["/usr/bin/python3", str(LIB / program), world.env["DBUS_SYSTEM_BUS_ADDRESS"], *words]
    return subprocess.Popen(command, stdout=stdout, text=True, env=dict(world.env),
                            user=user, group="nogroup", extra_groups=[])


class Flood:
    """An attack that is under way, and what it costs."""

    def __init__(self, world, kind, connections, seconds, *window):
        self.world, self.kind, self.seconds = world, kind, seconds
        self.before, self.peak, self.descriptors = memory(world), 0, 0
        self.attacker = run(world, HOSTILE, "flood.py", kind, str(connections), str(seconds),
                            *window)
        assert self.attacker.stdout.readline() == "flooding\n"

    def measure(self, method="FindInstance"):
        """Seconds that another waits: {"bus": ..., "service": ..., "errors": ...}."""
        # What it says of a minute is more than a pipe holds.
        with tempfile.TemporaryFile() as said:
            client = run(self.world, PATIENT, "pulse.py", str(max(self.seconds - 2, 1)), method,
                         stdout=said)
            while client.poll() is None:
                self.look()
                time.sleep(0.05)
            said.seek(0)
            return json.load(said)

    def look(self):
        self.peak = max(self.peak, memory(self.world))
        self.descriptors = max(self.descriptors, descriptors(self.world))

    def end(self):
        """Calls of the attacker that were answered, and how many with an error."""
        said, _ = self.attacker.communicate(timeout=self.seconds + 60)
        return tuple(int(word) for word in said.split())


def describe(waits):
    """The figures of a measurement in milliseconds."""
    return {name: {"count": len(waits[name]),
                   **{f"p{share}": round(1000 * percentile(waits[name], share / 100), 1)
                      for share in (50, 99)},
                   "max": round(1000 * max(waits[name]), 1)} for name in ("bus", "service")}
