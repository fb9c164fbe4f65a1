#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What the bus shows after each operation is true, whoever reads it: by GetAll, and by a cache
that is fed with signals alone.
"""
import json
import os
import re
import shutil
import sqlite3
import sys
import uuid

import journal
import tap
from cache import Cache
from harness import MANAGER, SOURCE, World, as_root
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
        "StartTimeoutUSec": 120 * 10**6, "StopTimeoutUSec": 30 * 10**6,
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
        self.before = self.cache.follow()

    def check(self, what):
        shown = self.bus.properties(MANAGER, "Manager")
        shown = {name: sorted(value) if isinstance(value, list) else value
                 for name, value in shown.items()}
        true = truth(self.world, self.bus)
        if not self.bus.list():
            true["LimitsEnforced"] = shown["LimitsEnforced"]
        tap.equal(shown, true, f"the manager after {what}")
        tap.equal(self.cache.differences(), [], f"a cache after {what}: what it has, what is true")
        tap.equal(self.cache.broken, [], f"signals of constants by {what}")
        changed = self.cache.changed_constants(self.before)
        tap.equal(changed, [], f"constants that {what} has changed")
        self.before = self.cache.follow()
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


GIVEN = {"Dev": True, "ChainId": "SN_X", "BlockTime": 500, "Accounts": 3, "NoFee": True}
NOT_GIVEN = {"Dev": False, "ChainId": "", "BlockTime": 0, "Accounts": 0, "NoFee": False}
NOBODY = 65534


def some(found, wanted):
    return {name: found.get(name) for name in wanted}


def b138_seen_by_all():
    """what was given at create was a secret of administrators, though only arguments are one"""
    as_root()
    with World("--accelerator", "tcg", session=False) as world:
        bus = Bus(world.start())
        words = ("--dev", "--chain-id", "SN_X", "--block-time", "500", "--accounts", "3", "--no-fee")
        world.cli("create", "x", *words, "--", "--fake.secret=5ec2e7")
        world.cli("create", "y")
        shown = {one["Name"]: one for one in bus.list().values()}
        tap.equal(some(shown["x"], GIVEN), GIVEN, "what was given")
        tap.equal(some(shown["y"], NOT_GIVEN), NOT_GIVEN, "what was not")
        told = world.cli("--json", "show", "x", user=NOBODY).stdout
        tap.equal(some(json.loads(told), ("dev", "chain_id", "block_time", "accounts", "no_fee")),
                  {"dev": True, "chain_id": "SN_X", "block_time": 500, "accounts": 3,
                   "no_fee": True}, "what anybody is shown")
        tap.check("5ec2e7" not in told, "the arguments are shown")
        tap.equal(world.cli("show", "x", "--config", "--no-ask-password", check=False,
                            user=NOBODY).returncode, 5, "exit code of show --config")
        path = next(path for path, one in bus.list().items() if one["Name"] == "x")
        bus.do(path, "Start")
        bus.configure(path, **{"chain-id": "SN_Y", "block-time": 9})
        tap.equal(some(bus.properties(path), GIVEN), GIVEN, "what it runs with")
        bus.do(path, "Restart")
        tap.equal(some(bus.properties(path), ("ChainId", "BlockTime")),
                  {"ChainId": "SN_Y", "BlockTime": 9}, "after the restart")
        bus.close()


def b138_code_of_katana():
    """Katana's exit code stood in sentences alone"""
    with live() as (world, bus):
        path = bus.create("x")
        tap.equal(bus.properties(path)["ExitCode"], -1, "before the first start")
        bus.do(path, "Start")
        tap.equal(bus.properties(path)["ExitCode"], -1, "while it runs")
        bus.do(path, "Stop")
        tap.equal(bus.properties(path)["ExitCode"], 0, "after a graceful stop")
        bus.do(path, "Start")
        kill_qemu(bus, path)
        tap.equal(wait_state(bus, path, "failed")["ExitCode"], -1, "after a power cut")
        for words in (("--fake.katana-exit", "42"), ("--fake.katana-fatal", "42")):
            path = bus.create(words[0].strip("-"), *words)
            bus.do(path, "Start", no_wait=True)
            tap.equal(wait_state(bus, path, "failed")["ExitCode"], 42, str(words))
        world.end_service()
        world.start()
        tap.equal(bus.properties(path)["ExitCode"], 42, "after a restart of the service")


def b138_since_when():
    """since when an instance was in its state nobody could see"""
    with live() as (world, bus):
        path, seen = bus.create("x"), []
        for method in ("Start", "Pause", "Resume", "Stop"):
            bus.do(path, method)
            seen.append(bus.properties(path))
        times = [one["StateChangedUSec"] for one in seen]
        tap.equal(times, sorted({*times}), "times of the changes")
        tap.check(times[0] >= seen[0]["StartedUSec"] > seen[0]["CreatedUSec"], str(times))
        bus.configure(path, labels={"a": "b"})
        tap.equal(bus.properties(path)["StateChangedUSec"], times[-1], "after another change")
        world.end_service()
        world.start()
        tap.equal(bus.properties(path)["StateChangedUSec"], times[-1], "after a restart")
        other = bus.properties(bus.create("y"))
        tap.equal(other["StateChangedUSec"], other["CreatedUSec"], "of a new one")


def b138_in_words():
    """show and status named the properties of the bus"""
    with live("--insecure-simulate-tee", "true") as (world, bus):
        parts(world)
        bus.create("x", tee=True)
        for words in (("show", "x"), ("show", "x", "--config"), ("status",)):
            names = json.loads(world.cli("--json", *words).stdout)
            text = world.cli(*words).stdout
            left = [name for name in names if "_" in name and name in text]
            tap.equal(left, [], f"names of the bus in {words}")
        tap.check(re.search(r"^memory +4 GiB$", world.cli("show", "x").stdout, re.M), "memory")
        tap.check(re.search(r"^bind +127.0.0.1$", world.cli("show", "--config", "x").stdout, re.M),
                  "a key as set takes it")


def b139_nearest_word():
    """a wrong key, option or property on the bus was refused without the right one"""
    with live() as (_, bus):
        path = bus.create("x")

        def call(method, types, *values, at=path):
            return lambda: bus.call(at, method, GLib.Variant(types, values))

        def key(name):
            return {name: GLib.Variant("u", 1)}
        cases = [
            (call("Manager.CreateInstance", "(sa{sv}a{sv})", "y", key("memory"), {}, at=MANAGER),
             '"memory-bytes"'),
            (call("Manager.ValidateConfig", "(sa{sv})", "", key("bind"), at=MANAGER),
             '"rpc-address"'),
            (call("Instance.Configure", "(a{sv}a{sv})", key("RpcPort"), {}), '"rpc-port"'),
            (call("Instance.Configure", "(a{sv}a{sv})", key("vcpu"), {}), '"vcpus"'),
            (call("Instance.Start", "(a{sv})", key("no_wait")), '"no-wait"'),
            (call("Instance.Start", "(a{sv})", key("timeout")), '"timeout-usec"'),
            (call("Instance.Pause", "(a{sv})", key("force")), "no options"),
            (call("Instance.OpenLog", "(a{sv})", key("folow")), '"follow"'),
            (call("Manager.ListInstances", "(asa{sv})", ["Stat"], {}, at=MANAGER), '"State"'),
        ]
        for action, hint in cases:
            said = refused("InvalidArgument", action)
            tap.check(hint in said, f"{hint} in: {said}")


def b139_ids():
    """the documentation called an id 16 digits, and names changeable"""
    with live() as (_, bus):
        found = bus.properties(bus.create("x"))
        tap.equal(str(uuid.UUID(found["Id"])), found["Id"], "a UUID as it is documented")


class Journaled(World):
    """Its service writes to a journal of the test's own."""

    def service_command(self, *more, **how):
        return journal.command(self.folder / "journal", super().service_command(*more, **how))

    def about(self, **fields):
        """The entries that have these fields."""
        return [one for one in journal.entries(self.folder / "journal")
                if fields.items() <= one.items()]


def b140_fields_of_lines():
    """the journal's lines had the first 15 characters of the service's name, and nothing said
    who had asked for what they told of"""
    as_root()
    with Journaled("--accelerator", "tcg") as world:
        bus = Bus(world.start())
        path = bus.create("x")
        identity = bus.properties(path)["Id"]
        for method in ("Start", "Pause", "Resume", "Restart", "Stop"):
            bus.do(path, method)
        bus.do(path, "Start")
        kill_qemu(bus, path)
        wait_state(bus, path, "failed")
        bus.do(path, "Delete")

        mine = {"KATANA_INSTANCE": "x", "KATANA_INSTANCE_ID": identity}
        tap.eventually(lambda: world.about(MESSAGE="x: deleted"), 10, "the last line")
        for one in world.about():
            tap.equal(one.get("SYSLOG_IDENTIFIER"), "katana-hypervisord", f"whose {one} is")
        about = world.about(**mine)
        tap.equal(len(about), len([one for one in world.about() if "x: " in one["MESSAGE"]]),
                  "lines about x")
        unasked = [one["MESSAGE"] for one in about if "KATANA_CALLER_UID" not in one]
        tap.equal(unasked, ["x: failed: QEMU was killed by signal 9 (Killed)"], "nobody's doing")
        tap.equal({one.get("KATANA_CALLER_UID") for one in about}, {"0", None}, "callers")
        bus.close()


def b140_denials():
    """a denial's line had no field for who was refused what"""
    as_root()
    with Journaled("--accelerator", "tcg", session=False) as world:
        bus = Bus(world.start())
        path = bus.create("x")
        for method, arguments in (("Instance.Start", ["{}"]), ("Instance.Delete", ["{}"])):
            refused("NotAuthorized", lambda m=method, a=arguments: world.call(
                path, m, *a, user=NOBODY))
        refused("NotAuthorized", lambda: world.create("y", user=NOBODY))
        denied = tap.eventually(lambda: len(world.about(KATANA_CALLER_UID=str(NOBODY))) == 3 and
                                world.about(KATANA_CALLER_UID=str(NOBODY)), 10, "the denials")
        tap.equal([one.get("KATANA_INSTANCE") for one in denied], ["x", "x", "y"], "instances")
        tap.equal([one.get("KATANA_INSTANCE_ID") for one in denied],
                  [bus.properties(path)["Id"]] * 2 + [None], "ids")
        for one in denied:
            tap.check(f"uid {NOBODY} was denied" in one["MESSAGE"], one["MESSAGE"])
        bus.close()


if __name__ == "__main__":
    sys.exit(tap.run([b135_true_after_each_operation, b135_folders, b135_confidential,
                      b138_seen_by_all, b138_code_of_katana, b138_since_when, b138_in_words,
                      b139_nearest_word, b139_ids, b140_fields_of_lines,
                      b140_denials]))
