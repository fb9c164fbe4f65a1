#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What one client of the bus can do to the service, and so to everybody else's calls."""
import sys

import tap
from bus import Bus
from harness import World, status_of


def memory(world):
    """What the service has in memory, in KiB."""
    return int(status_of(world.service.pid)["VmRSS"][0])


def reading_leaves_nothing():
    """what anybody may read, however often, leaves nothing in the service's memory"""
    with World() as world:
        bus = Bus(world.start())
        for number in range(10):
            path = bus.create(f"x{number}")
        readers = {"a list": bus.list, "a list of states": lambda: bus.list("State"),
                   "properties": lambda: bus.properties(path), "all objects": bus.jobs}
        for what, read in readers.items():
            for _ in range(20):
                read()
            before = memory(world)
            for _ in range(200):
                read()
            tap.check(memory(world) - before < 4096,
                      f"{what}: {before} KiB have become {memory(world)}")
        bus.close()


if __name__ == "__main__":
    sys.exit(tap.run([reading_leaves_nothing]))
