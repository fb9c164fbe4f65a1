#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Where state and sockets lie: below symbolic links, moved, and shared by two services."""
import contextlib
import os
import pathlib
import subprocess
import sys

import invariants
import tap
from bus import Bus
from harness import MANAGER, World
from live import live, refused, running, service_dies, wait_state


@contextlib.contextmanager
def placed(place, session=True):
    """A served world, whose links are laid by the function: it returns options."""
    with World(session=session) as world:
        world.options += place(world)
        world.start()
        bus = Bus(world)
        yield world, bus
        bus.close()


def whole_life(world, bus):
    """Of an instance; the service dies once meanwhile. Nothing is left of it anywhere."""
    path = running(bus)
    found = bus.properties(path)
    tap.equal(found["DataDirectory"], str(world.state / "instances" / found["Id"]), "its folder")
    bus.do(path, "Pause")
    bus.do(path, "Resume")
    invariants.settle(world, bus)
    bus.do(path, "Stop")
    tap.equal(bus.properties(path)["StopResult"], "graceful", "the stop")
    bus.do(path, "Start")
    bus.do(path, "Delete", force=True)
    tap.equal(invariants.settle(world, bus), [], "what is left")


def link(path, target):
    target.mkdir(parents=True, exist_ok=True)
    target.chmod(0o711)
    path.symlink_to(target)


def below_a_link(world):
    """A home below a linked /home, or a moved /var."""
    link(world.folder / "home", world.folder / "moved")
    world.state = world.folder / "moved" / "me" / "state"
    return ["--state-dir", str(world.folder / "home" / "me" / "state")]


def is_a_link(world):
    """A moved /var/lib/katana-hypervisor."""
    world.state = world.folder / "moved"
    link(world.folder / "state", world.state)
    return ["--state-dir", str(world.folder / "state")]


def b86_state_below_links():
    """state below a symbolic link, or behind one, serves an instance's whole life"""
    for session in (True, False) if os.geteuid() == 0 else (True,):
        for place in (below_a_link, is_a_link):
            with placed(place, session) as (world, bus):
                whole_life(world, bus)
                tap.equal(bus.properties(MANAGER, "Manager")["StateDirectory"], str(world.state),
                          "StateDirectory")


def b86_data_home_below_a_link():
    """a session whose data and runtime folders lie below links is followed over a restart"""
    def place(world):
        link(world.folder / "home", world.folder / "people")
        link(world.folder / "run-link", world.runtime)
        world.env.update(XDG_DATA_HOME=str(world.folder / "home" / "me"),
                         XDG_RUNTIME_DIR=str(world.folder / "run-link"))
        world.state = world.folder / "people" / "me" / "hypervisor"
        return []
    with placed(place) as (world, bus):
        whole_life(world, bus)
        path = running(bus)
        pid = bus.properties(path)["MainPid"]
        service_dies(world)
        world.start()
        tap.equal(wait_state(bus, path, "running")["MainPid"], pid, "the same QEMU")
        bus.do(path, "Stop")
        tap.equal(bus.properties(path)["StopResult"], "graceful", "the stop")


def b86_parts_on_other_disks():
    """instances and images may be links to other places, a link to nothing is named"""
    def place(world):
        world.state.mkdir(parents=True)
        for name in ("instances", "images"):
            link(world.state / name, world.folder / "disk" / name)
        return ["--state-dir", str(world.state)]
    with placed(place) as (world, bus):
        path = running(bus)
        found = bus.properties(path)
        folder = world.folder / "disk" / "instances" / found["Id"]
        tap.equal(found["DataDirectory"], str(folder), "its folder")
        bus.do(path, "Stop")
        tap.equal(bus.properties(path)["StopResult"], "graceful", "the stop")
        tap.check((folder / "data.raw").exists(), "the disk lies there")
        bus.do(path, "Delete")
        tap.equal(os.listdir(world.folder / "disk" / "instances"), [], "what is left")
        tap.equal(world.end_service(), 0, "exit code")
        (world.folder / "disk").rename(world.folder / "away")
        world.start(wait=False)
        tap.equal(world.service.wait(20), 1, "exit code without the disk")
        tap.check(f"{world.state}/instances is a symbolic link to" in world.journal(),
                  world.journal())
        tap.check(not (world.folder / "disk").exists(), "something was made in its place")
        (world.folder / "away").rename(world.folder / "disk")
        world.start()


def refused_start(world, path):
    """The service ends because of a link in the place of that file, and says so."""
    place = pathlib.Path(path)
    place.rename(place.with_name("elsewhere"))
    place.symlink_to("elsewhere")
    before = len(world.journal())
    world.start(wait=False)
    tap.equal(world.service.wait(20), 1, "exit code")
    said = world.journal()[before:]
    tap.check(f"{path} cannot be opened" in said and "symbolic link" in said, said)
    place.with_name("elsewhere").rename(place)


def b86_links_that_are_refused():
    """a link in the place of a file, or of an instance's folder, is named with its path"""
    with placed(lambda world: []) as (world, bus):
        path = bus.create("x")
        folder = pathlib.Path(bus.properties(path)["DataDirectory"])
        moved = world.folder / "moved"
        folder.rename(moved)
        folder.symlink_to(moved)
        for method in ("Start", "Delete"):
            said = refused("Failed", lambda m=method: bus.do(path, m))
            tap.check(str(folder) in said and "symbolic link" in said, said)
        tap.check(moved.exists(), "what it leads to")
        tap.equal(world.end_service(), 0, "exit code")
        folder.unlink()
        moved.rename(folder)
        for name in ("state.db", "lock"):
            refused_start(world, world.state / name)
        world.start()


def b86_moved_state():
    """a state folder that was moved is served from where it lies, its uids are its own"""
    with placed(lambda world: ["--state-dir", str(world.state)]) as (world, bus):
        one, two = running(bus, "one"), bus.create("two")
        pid = bus.properties(one)["MainPid"]
        tap.equal(world.end_service(), 0, "exit code")
        world.state = world.state.rename(world.folder / "moved")
        world.options += ["--state-dir", str(world.state)]
        world.start()
        tap.equal(wait_state(bus, one, "running")["MainPid"], pid, "the same QEMU")
        bus.do(two, "Start")
        invariants.settle(world, bus)
        for path in (one, two):
            bus.do(path, "Stop")
            tap.equal(bus.properties(path)["StopResult"], "graceful", "the stop")
        bus.do(one, "Start")
        invariants.settle(world, bus)


def b87_shared_runtime_folder():
    """a service with another state and the same folder of sockets is refused, and touches none"""
    with live() as (world, bus):
        path = running(bus)
        sockets = world.runtime / "katana-hypervisor" / bus.properties(path)["Id"]
        before = sorted(os.listdir(sockets))
        second = subprocess.run(world.service_command("--state-dir", str(world.folder / "other")),
                                env=world.env, capture_output=True, text=True, timeout=30,
                                check=False)
        tap.equal(second.returncode, 1, "exit code of the second")
        tap.check(f"uses the folder {sockets.parent}; stop it" in second.stderr, second.stderr)
        tap.equal(sorted(os.listdir(sockets)), before, "the first one's sockets")
        service_dies(world)
        world.start()
        wait_state(bus, path, "running")
        bus.do(path, "Pause")
        bus.do(path, "Resume")
        bus.do(path, "Stop")
        tap.equal(bus.properties(path)["StopResult"], "graceful", "the stop")


def b87_runtime_in_the_state_folder():
    """without XDG_RUNTIME_DIR the sockets are in the state folder, which serves as well"""
    def place(world):
        del world.env["XDG_RUNTIME_DIR"]
        world.runtime = world.state / "run"
        return []
    with placed(place) as (world, bus):
        path = running(bus)
        bus.do(path, "Stop")
        tap.equal(bus.properties(path)["StopResult"], "graceful", "the stop")
        tap.check((world.state / "run" / "lock").exists(), "its lock")


TESTS = [b86_state_below_links, b86_data_home_below_a_link, b86_parts_on_other_disks,
         b86_links_that_are_refused, b86_moved_state, b87_shared_runtime_folder,
         b87_runtime_in_the_state_folder]

if __name__ == "__main__":
    sys.exit(tap.run(TESTS))
