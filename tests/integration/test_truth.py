#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What the bus shows after each operation is true, whoever reads it: by GetAll, and by a cache
that is fed with signals alone.
"""
import os
import re
import shutil
import sqlite3
import sys

import tap
from cache import Cache
from harness import MANAGER, SOURCE, World
from bus import Bus
from live import kill_qemu, live, refused, wait_state
from test_tee import SIMULATE, parts

from gi.repository import GLib

KEPT = {"data.raw"}


def default_image(world):
    database = sqlite3.connect(f"file:{world.state}/state.db?mode=ro", uri=True, timeout=10)
    row = database.execute("SELECT value FROM settings WHERE key='default-image'").fetchone()
    database.close()
    return f"/org/katana/Hypervisor/images/{row[0]}" if row else "/"


def truth(world, bus):
    """Every property of the manager, from the list of instances, the database and the disk."""
    shown = bus.list("Id", "State", "LimitsEnforced").values()
    ids = {one["Id"] for one in shown}
    folder = world.state / "instances"
    there = {path.name: set(os.listdir(path)) for path in folder.iterdir()}
    strangers = [str(folder / name) for name in there if name not in ids]
    kept = [path for path in strangers if there[os.path.basename(path)] == KEPT]
    return {
        "Version": world.cli("--version").stdout.split()[-1],
        "Features": sorted(bus.properties(MANAGER, "Manager")["Features"]),
        "Accelerator": "tcg", "Launcher": "direct", "StateDirectory": str(world.state),
        "LimitsEnforced": all(one["LimitsEnforced"] for one in shown) and bool(ids),
        "DefaultImage": default_image(world), "InstanceCount": len(ids),
        "RunningCount": sum(one["State"] == "running" for one in shown),
        "MissingFolders": sorted(str(folder / name) for name in ids - {*there}),
        "KeptFolders": sorted(kept), "UnknownFolders": sorted({*strangers} - {*kept}),
        "UnknownMachines": [],
    }


class Watched:
    """The operations of a bus, after each of which all that is shown must be true."""

    def __init__(self, world, bus):
        self.world, self.bus, self.cache = world, bus, Cache(bus)
        self.done = set()

    def check(self, what):
        shown = self.bus.properties(MANAGER, "Manager")
        shown = {name: sorted(value) if isinstance(value, list) else value
                 for name, value in shown.items()}
        true = truth(self.world, self.bus)
        if not self.bus.list():
            true["LimitsEnforced"] = shown["LimitsEnforced"]
        tap.equal(shown, true, f"the manager after {what}")
        tap.equal(self.cache.differences(), [], f"a cache after {what}: what it has, what is true")
        self.done.add(what)

    def do(self, path, method, **options):
        self.bus.do(path, method, **options)
        self.check(method)

    def create(self, name, **config):
        path = self.bus.create(name, **config)
        self.check("CreateInstance")
        return path

    def configure(self, path, **changes):
        self.bus.configure(path, **changes)
        self.check("Configure")

    def check_host(self):
        self.bus.call(MANAGER, "Manager.CheckHost", GLib.Variant("(a{sv})", ({},)))
        self.check("CheckHost")


def methods_of(interface):
    text = (SOURCE / f"dbus-interfaces/org.katana.Hypervisor.{interface}.xml").read_text()
    return set(re.findall(r'<method name="(\w+)"', text))


def b135_true_after_each_operation():
    """the count of instances, its signal too, was that of before the last create"""
    with live("--accelerator", "tcg") as (world, bus):
        seen = Watched(world, bus)
        seen.check("the start")
        path, third = seen.create("x"), seen.create("z")
        refused("AlreadyExists", lambda: bus.create("x"))
        seen.check("a refused create")
        for method in ("Start", "Pause", "Resume", "Reset", "Restart"):
            seen.do(path, method)
        (world.components / "vmlinuz").write_bytes(b"another")
        other = seen.create("y", start_at_boot=True)
        seen.configure(path, image="default")
        seen.configure(path, labels={"a": "b"})
        seen.do(other, "Start", no_wait=True)
        wait_state(bus, other, "running")
        seen.check("a start that nobody waited for")
        kill_qemu(bus, other)
        wait_state(bus, other, "failed")
        seen.check("a machine's death")
        seen.do(path, "Stop")
        seen.do(path, "Delete", keep_data=True)
        seen.do(other, "Delete")
        seen.do(third, "Delete")
        missed = methods_of("Instance") - seen.done - {"GetConfiguration", "OpenLog"}
        tap.equal(missed, set(), "operations of an instance that were left out")


def b135_folders():
    """what was deleted without a folder was missed for ever; a refusal that looked for unknown
    folders told nobody what it had found"""
    with live("--accelerator", "tcg") as (world, bus):
        seen = Watched(world, bus)
        path, other = seen.create("x"), seen.create("y")
        shutil.rmtree(bus.properties(path)["DataDirectory"])
        seen.check_host()
        seen.do(path, "Delete")
        stranger = world.state / "instances" / "00000000-0000-4000-8000-000000000000"
        stranger.mkdir()
        (stranger / "serial.log").touch()
        seen.check_host()
        shutil.rmtree(stranger)
        bus.call(MANAGER, "Manager.ValidateConfig", GLib.Variant("(sa{sv})", ("", {})))
        seen.check("a look at the folders")
        seen.do(other, "Delete")


def b135_confidential():
    """the same of a confidential instance, whose object has an interface more"""
    with World(SIMULATE) as world:
        parts(world)
        bus = Bus(world.start("--accelerator", "tcg"))
        seen = Watched(world, bus)
        path = seen.create("x", tee=True)
        seen.do(path, "Start")
        seen.configure(path, vcpus=2)
        seen.do(path, "Restart")
        seen.do(path, "Stop")
        seen.do(path, "Delete")
        bus.close()


if __name__ == "__main__":
    sys.exit(tap.run([b135_true_after_each_operation, b135_folders, b135_confidential]))
