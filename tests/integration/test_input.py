#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Bad input over bus, command line, configuration file and files: a clear error, and
nothing changed."""
import contextlib
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys

import invariants
import tap
from bus import Bus
from harness import MANAGER, SOURCE, Failed, World
from live import edit, live, refused


def snapshot(world):
    """What a refused call must not change."""
    return (world.list(), sorted(os.listdir(world.state / "instances")),
            sorted(os.listdir(world.state / "images")))


def assert_cli(world, code, says, *arguments, text=None):
    done = world.cli(*arguments, check=False, text=text)
    tap.equal(done.returncode, code, f"{arguments}: {done.stderr}")
    tap.check(says in done.stderr, f"{arguments}: no {says!r} in {done.stderr}")
    tap.equal(done.stdout, "", f"{arguments}: stdout")


def names():
    """bad names are InvalidArgument, exit code 2"""
    with World() as world:
        world.start()
        before = snapshot(world)
        for name in ("", "..", "a/b", "a b", "x" * 200, "A", "a..b", "-", "é", "a\n"):
            try:
                world.create(name)
                raise AssertionError(f"{name!r} was accepted")
            except Failed as error:
                tap.equal(error.name, "InvalidArgument", error.message)
            assert_cli(world, 2, "", "create", "--", name)
        assert_cli(world, 2, "", "create", "-x")
        tap.equal(snapshot(world), before, "nothing has changed")


def numbers():
    """bad sizes, counts and ports on the command line are exit code 2"""
    with World() as world:
        world.start()
        before = snapshot(world)
        for option, values in (("--memory", ("0", "-1", "4X", "1e99", "1", "9999999G", "")),
                               ("--storage", ("0", "-1", "4X", "1e99", "1K", "9T")),
                               ("--vcpus", ("0", "4096", "-1", "1.5", "")),
                               ("--port", ("0", "70000", "80", "-5", "x")),
                               ("--block-time", ("-1", "x")), ("--accounts", ("x",)),
                               ("--label", ("x", "=y")), ("--bind", ("localhost", "::1", "")),
                               ("--accelerator", ("hvf",))):
            for value in values:
                assert_cli(world, 2, "", "create", "x", f"{option}={value}")
        for arguments in (("--no-fee",), ("--accounts", "3"), ("--", "--db-dir=/x"),
                          ("--", "--http.port", "1"), ("--", "--chain=x"), ("--", "a b"),
                          ("--", *["x"] * 65), ("--", "x" * 4097)):
            assert_cli(world, 2, "", "create", "x", *arguments)
        tap.equal(snapshot(world), before, "nothing has changed")


def ports():
    """a port that is taken is exit code 4; the next free one is chosen by itself"""
    with World() as world, socket.create_server(("127.0.0.1", world.ports[0])):
        first, second = map(str, world.ports[:2])
        world.start()
        assert_cli(world, 4, first, "create", "x", "--port", first)
        tap.equal(world.list(), [], "list")
        world.create("first")
        tap.equal(world.show("first")["rpc_port"], int(second), "the lowest free port")
        assert_cli(world, 4, second, "create", "x", "--port", second)
        assert_cli(world, 4, "first", "create", "first")


def own_ports():
    """two worlds at once give out ports of their own"""
    with World() as one, World() as two:
        for world in (one, two):
            world.start()
            world.create("x")
            tap.check(world.show("x")["rpc_port"] in world.ports, f"not of {world.ports}")
        tap.check(not set(one.ports) & set(two.ports), f"{one.ports} and {two.ports}")


def config_keys():
    """unknown and ill-typed configuration keys and options are InvalidArgument"""
    with World() as world:
        world.start()
        path = world.create("x")
        before = snapshot(world)
        for config, says in (("{'vcpu': <uint32 1>}", "vcpus"), ("{'vcpus': <1>}", "'u'"),
                             ("{'tees': <true>}", "tee"), ("{'dev': <'yes'>}", "dev"),
                             ("{'katana-args': <'x'>}", "katana-args"),
                             ("{'memory-bytes': <uint64 18446744073709551615>}", "memory-bytes")):
            for method, arguments in (("CreateInstance", ("y", config, "{}")),
                                      ("ValidateConfig", ("y", config))):
                try:
                    world.call(MANAGER, f"Manager.{method}", *arguments)
                    raise AssertionError(f"{config} was accepted")
                except Failed as error:
                    tap.equal(error.name, "InvalidArgument", error.message)
                    tap.check(says in error.message, error.message)
        for method, options in (("Start", "{'nowait': <true>}"), ("Stop", "{'mode': <'x'>}"),
                                ("Stop", "{'timeout-usec': <uint64 1>}"),
                                ("Delete", "{'force': <1>}"), ("OpenLog", "{'boot': <1>}"),
                                ("OpenLog", "{'source': <'x'>}"), ("GetConfiguration", "{'x': <1>}")):
            try:
                world.call(path, f"Instance.{method}", options)
                raise AssertionError(f"{method} {options} was accepted")
            except Failed as error:
                tap.equal(error.name, "InvalidArgument", error.message)
        tap.equal(snapshot(world), before, "nothing has changed")


def listed_properties():
    """ListInstances takes each property once: nobody makes an answer longer than the whole list"""
    with World() as world:
        world.start()
        world.create("x")
        found = world.call(MANAGER, "Manager.ListInstances", "['State', 'Name']", "{}")
        tap.check("'created'" in found and "'x'" in found and "Id" not in found, found)
        for asked, says in ((["State", "Name", "State"], "State"), (["State"] * 4000, "State"),
                            (["Nonsense"], "Nonsense")):
            try:
                world.call(MANAGER, "Manager.ListInstances", str(asked), "{}")
                raise AssertionError(f"{asked[:3]} was accepted")
            except Failed as error:
                tap.equal(error.name, "InvalidArgument", error.message)
                tap.check(says in error.message, error.message)


def missing_qemu():
    """a missing QEMU is told of at start"""
    with World("--qemu", "/nowhere/qemu", fake=False) as world:
        world.start()
        world.create("x")
        assert_cli(world, 1, "/nowhere/qemu", "start", "x")
        tap.equal(world.show("x")["state"], "failed", "state")


def assert_refused_start(world, code, says, *options):
    done = subprocess.run(world.service_command(*options), env=world.env, capture_output=True,
                          text=True, timeout=30, check=False)
    tap.equal(done.returncode, code, done.stderr)
    tap.check(says in done.stderr, f"no {says!r} in {done.stderr}")


def settings():
    """bad settings refuse the start, an unknown key is a warning with the nearest one"""
    with World() as world:
        for key, value in (("port-range", "80-90"), ("accelerator", "hvf"), ("log-size", "1"),
                           ("max-instances", "0"), ("state-dir", "relative"),
                           ("vm-uid-range", "0-5"), ("start-timeout", "-1")):
            assert_refused_start(world, 2, key.split("-")[0], f"--{key}={value}")
            file = world.folder / "bad.conf"
            file.write_text(f"[hypervisor]\n{key}={value}\n")
            assert_refused_start(world, 2, "bad.conf", "--config", str(file))
        assert_refused_start(world, 2, "nowhere.conf", "--config", "/nowhere.conf")
        assert_refused_start(world, 2, "help", "--nonsense")
        assert_refused_start(world, 1, "quote", "--state-dir", str(world.folder / "it's"))
        file = world.folder / "config" / "katana-hypervisor.conf"
        file.write_text("[hypervisor]\nport-rnage=15100-15200\nlog-files=2\n")
        world.start()
        tap.check("port-range" in world.journal(), world.journal())


def b144_settings_without_effect():
    """what looks like a setting and is none, a group or key of another spelling, is warned of"""
    with World() as world:
        file = world.folder / "config" / "katana-hypervisor.conf"
        file.write_text("[Hypervisor]\non-service-stop=stop-all\n"
                        "[hypervisor]\nlog-files[de]=2\nLog-Size=1M\n")
        world.start()
        for said in ("[Hypervisor], whose settings have no effect; did you mean [hypervisor]?",
                     '"log-files[de]"; did you mean "log-files"?',
                     '"Log-Size"; did you mean "log-size"?'):
            tap.check(said in world.journal(), world.journal())
        bare = world.folder / "bare.conf"
        bare.write_text("on-service-stop=stop-all\n")
        assert_refused_start(world, 2, "put the line [hypervisor] above it", "--config", str(bare))
        bare.write_text("\ufeff[hypervisor]\nlog-files=2\n", encoding="utf-8")
        assert_refused_start(world, 2, "byte order mark", "--config", str(bare))


def b146_addresses():
    """an address that this host lacks, or at which nobody can be reached, is called just that"""
    with live() as (world, bus):
        path = bus.create("x")
        port = bus.properties(path)["RpcPort"]
        for name, address, found in (
                ("PortUnavailable", "192.0.2.77", "This host does not have the address 192.0.2.77"),
                ("InvalidArgument", "239.1.2.3", "239.1.2.3 is a multicast address"),
                ("InvalidArgument", "255.255.255.255", "255.255.255.255 is a broadcast address"),
                ("InvalidArgument", "127.255.255.255", "127.255.255.255 is a broadcast address")):
            for more in ({}, {"rpc_port": world.ports[50]}):
                said = refused(name, lambda a=address, m=more: bus.create("y", rpc_address=a, **m))
                tap.check(said.startswith(found), said)
                tap.check("port-range" not in said, said)
            said = refused(name, lambda a=address: bus.configure(path, rpc_address=a))
            tap.check(said.startswith(found), said)
        tap.equal(bus.properties(path)["RpcAddress"], "127.0.0.1", "the address")
        # One that was lost later: other changes go on, and the start names it.
        tap.equal(world.end_service(), 0, "exit code")
        text = invariants.rows(world, "SELECT config FROM instances")[0][0]
        edit(world, "UPDATE instances SET config=?", text.replace("127.0.0.1", "192.0.2.77"))
        world.start()
        bus.configure(path, vcpus=2)
        said = refused("PortUnavailable", lambda: bus.do(path, "Start"))
        tap.check("does not have the address 192.0.2.77" in said, said)
        bus.configure(path, rpc_address="127.0.0.1")
        tap.equal(bus.properties(path)["RpcPort"], port, "the port")


def b146_whose_port():
    """a port that is taken: by which instance, or by another program"""
    with live() as (world, bus):
        taken = bus.properties(bus.create("first"))["RpcPort"]
        path = bus.create("second")
        for action in (lambda: bus.create("third", rpc_port=taken),
                       lambda: bus.configure(path, rpc_port=taken)):
            said = refused("PortUnavailable", action)
            tap.check('belongs to the instance "first"' in said, said)
        with socket.socket() as other:
            other.bind(("127.0.0.1", world.ports[60]))
            other.listen()
            for action in (lambda: bus.create("third", rpc_port=world.ports[60]),
                           lambda: bus.configure(path, rpc_port=world.ports[60])):
                said = refused("PortUnavailable", action)
                tap.check("in use by another program" in said, said)


def b146_missing_image():
    """an image that is not there, or not all of it, is no shim that was killed"""
    with live() as (world, bus):
        path = bus.create("x")
        folder = world.state / "images" / bus.properties(path)["Image"].rsplit("/", 1)[1]
        aside = world.folder / "aside"
        for _ in range(2):
            folder.rename(aside)
            said = refused("ResourceUnavailable", lambda: bus.do(path, "Start"))
            tap.check(f"The folder of the image {folder.name} is not there" in said, said)
            tap.equal(bus.properties(path)["StateReason"], said, "StateReason")
            aside.rename(folder)
            bus.do(path, "Start")
            bus.do(path, "Stop")
        for file in sorted(folder.iterdir()):
            if file.name == "build-info.txt":
                continue
            file.rename(aside)
            said = refused("IntegrityMismatch", lambda: bus.do(path, "Start"))
            tap.check("is incomplete" in said and file.name in said, said)
            aside.rename(file)
        # What the message proposes helps.
        folder.rename(aside)
        bus.configure(path, image="default")
        bus.do(path, "Start")


def b146_sizes():
    """a number without its unit is answered with the unit that was meant"""
    with World() as world:
        world.start()
        world.cli("create", "x")
        for words, said in ((("create", "y", "--memory", "4"), "did you mean 4G?"),
                            (("create", "y", "--memory", "512"), "did you mean 512M?"),
                            (("create", "y", "--storage", "10"), "did you mean 10G?"),
                            (("create", "y", "--storage", "100"), "did you mean 100M?"),
                            (("set", "x", "memory=8"), "did you mean 8G?")):
            assert_cli(world, 2, said, *words)
        assert_cli(world, 2, "it must be from 128 MiB", "create", "y", "--memory", "4M")
        assert_refused_start(world, 2, "did you mean 16M?", "--log-size=16")


# What the earlier implementation made at the same path: rollback journal, no user_version.
EARLIER = """
CREATE TABLE IF NOT EXISTS instances (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, status TEXT NOT NULL,
    config_json TEXT NOT NULL, vm_pid INTEGER, qmp_socket TEXT, serial_log TEXT,
    tee_mode INTEGER NOT NULL DEFAULT 0, expected_measurement TEXT,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS ports (
    port INTEGER PRIMARY KEY, instance_id TEXT NOT NULL, port_type TEXT NOT NULL,
    FOREIGN KEY (instance_id) REFERENCES instances(id) ON DELETE CASCADE);
CREATE TABLE IF NOT EXISTS boot_components (
    instance_id TEXT NOT NULL, component_type TEXT NOT NULL, file_path TEXT NOT NULL,
    sha256_hash TEXT NOT NULL, PRIMARY KEY (instance_id, component_type),
    FOREIGN KEY (instance_id) REFERENCES instances(id) ON DELETE CASCADE);
CREATE INDEX IF NOT EXISTS idx_instances_status ON instances(status);
CREATE INDEX IF NOT EXISTS idx_ports_instance ON ports(instance_id);
"""
EARLIER_CONFIG = {"vcpus": 4, "memory_mb": 4096, "storage_bytes": 10 << 30, "rpc_port": 5050,
                  "metrics_port": None, "tee_mode": False, "vcpu_type": "EPYC-v4",
                  "expected_measurement": None, "kernel_path": "/boot/vmlinuz",
                  "initrd_path": "/boot/initrd.img", "ovmf_path": None, "data_dir": "/data",
                  "chain_id": None, "dev_mode": True, "block_time": None, "accounts": 10,
                  "disable_fee": False, "extra_args": []}


def make_earlier(path):
    """A database of the earlier implementation with one instance that is said to run."""
    with sqlite3.connect(path) as db:
        db.executescript(EARLIER)
        db.execute("PRAGMA foreign_keys=ON")
        db.execute("INSERT INTO instances VALUES(?,?,?,?,?,?,?,?,?,?,?)",
                   ("0b5e", "dev1", '"running"', json.dumps(EARLIER_CONFIG), 4242,
                    "/tmp/dev1.sock", "/tmp/dev1.log", 0, None, "2024-01-01 00:00:00",
                    "2024-01-01 00:00:00"))
        db.execute("INSERT INTO ports VALUES(5050, '0b5e', 'rpc')")
        db.execute("INSERT INTO boot_components VALUES('0b5e', 'kernel', '/boot/vmlinuz', ?)",
                   ("0" * 64,))
    db.close()


def foreign_databases():
    """a database of another program or of the future: refused, byte for byte unchanged"""
    with World() as world:
        world.state.mkdir(parents=True)
        path = world.state / "state.db"
        make_earlier(path)
        before = path.read_bytes()
        for _ in range(2):
            assert_refused_start(world, 1, str(path))
            tap.equal(path.read_bytes(), before, "the foreign database")
            tap.equal([one.name for one in world.state.glob("state.db*")], ["state.db"],
                      "files beside it")
        path.unlink()
        world.start()
        world.service.terminate()
        world.service.wait(10)
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version=77")
        db.close()
        before = path.read_bytes()
        assert_refused_start(world, 1, "77")
        tap.equal(path.read_bytes(), before, "the database of the future")


def damaged_rows():
    """rows of the database with odd bytes hide no other row, and can be deleted"""
    for column, value in (("reason", "CAST(x'ff41' AS TEXT)"), ("name", "CAST(x'ff41' AS TEXT)"),
                          ("error_name", "CAST(x'ff41' AS TEXT)"), ("image", "'../x y'"),
                          ("id", "'../../other'")):
        with World() as world:
            world.start()
            bad = world.create("bad").rsplit("/", 1)[1].replace("_", "-")
            world.create("good")
            world.end_service()
            with contextlib.closing(sqlite3.connect(world.state / "state.db")) as database:
                database.execute(f"UPDATE instances SET {column}={value} WHERE name='bad'")
                database.execute("UPDATE settings SET value='x y' WHERE key='default-image'")
                database.commit()
            world.start()
            Bus(world).jobs()
            names = {one["name"] for one in world.list()}
            tap.check("good" in names, f"{column}: {names}")
            tap.equal(len(names), 1 if column == "id" else 2, f"{column}: instances")
            if column != "id":
                world.cli("delete", "--force", "-y", bad)
                tap.equal([one["name"] for one in world.list()], ["good"], f"{column}: deleted")


def exit_codes():
    """exit codes 2, 3, 4, 6, 7 and the JSON error"""
    with World() as world:
        world.start()
        assert_cli(world, 3, "nope", "show", "nope")
        assert_cli(world, 3, "nope", "stop", "nope")
        assert_cli(world, 3, "nope", "delete", "nope")
        assert_cli(world, 2, "list", "lits")
        assert_cli(world, 2, "", "show")
        assert_cli(world, 2, "", "show", "a", "b")
        assert_cli(world, 2, "", "--session", "--system", "list")
        world.cli("create", "x", "--", "--fake.never-ready")
        assert_cli(world, 6, "log", "start", "x", "--timeout", "1")
        assert_cli(world, 4, "stop it first", "delete", "x")
        identifier = world.show("x")["id"]
        tap.equal(world.show(identifier[:6])["name"], "x", "found by prefix")
        assert_cli(world, 3, "whole name", "delete", "--force", identifier[:6])
        done = world.cli("--json", "show", "nope", check=False)
        error = json.loads(done.stderr)["error"]
        tap.equal(error["name"], "org.katana.Hypervisor.Error.NotFound", "JSON error")
        world.cli("stop", "x", "--force")
    with World() as world:
        assert_cli(world, 7, "", "list")


def options_anywhere():
    """global options go before and after the verb, -- ends options"""
    with World() as world:
        world.start()
        for arguments in (("--json", "list"), ("list", "--json"), ("list", "--json", "-v")):
            tap.equal(json.loads(world.cli(*arguments).stdout), [], str(arguments))
        file = world.folder / "katana.args"
        file.write_text("--from-file\n\n--two\n")
        world.cli("create", "x", "--katana-args-file", str(file), "--label", "a=b=c", "--memory",
                  "512M", "--", "--json", "--verbose")
        shown = json.loads(world.cli("show", "x", "--config", "--json").stdout)
        done = world.cli("create", "x", "--", "--json", check=False)
        tap.check(done.returncode == 4 and not done.stderr.startswith("{"), done.stderr)
        tap.equal(shown["katana_args"], ["--from-file", "--two", "--json", "--verbose"], "args")
        tap.equal(shown["memory_bytes"], 1 << 29, "memory")
        tap.check(not [key for key in shown if not re.fullmatch("[a-z0-9_]+", key)], str(shown))
        tap.equal(world.show("x")["labels"], {"a": "b=c"}, "labels")
        tap.equal(world.cli("--version").stdout.split()[0], "katana-hypervisor", "version")
        tap.check("create" in world.cli("--help").stdout, "help")
        tap.check("--memory" in world.cli("create", "--help").stdout, "help of create")


def secrets():
    """a key among Katana's arguments is in no process list, journal, property or error"""
    secret = "--signer.key=0x5ec2e7"
    with World() as world:
        world.start()
        path = world.create("x", "{'katana-args': <['%s']>}" % secret)
        world.start_instance(path)
        shown = json.dumps(world.list()) + world.journal() + json.dumps(world.show("x"))
        for process in os.listdir("/proc"):
            try:
                shown += open(f"/proc/{process}/cmdline", encoding="latin-1").read()
            except (OSError, NotADirectoryError):
                continue
        tap.check("5ec2e7" not in shown, "the key is to be seen")
        stored = world.instance_folder("x") / "args"
        tap.check("5ec2e7" in stored.read_text(), "Katana gets it")
        tap.equal(stored.stat().st_mode & 0o777, 0o600, "mode of args")


def portable_command():
    """show --qemu-args prints one command with absolute paths and no descriptor"""
    with World() as world:
        world.start()
        world.create("x")
        line = world.cli("show", "x", "--qemu-args").stdout
        tap.equal(len(line.splitlines()), 1, "lines")
        tap.check("/vmlinuz" in line and "fd=" not in line and "restrict=on" in line, line)


def schema():
    """every configuration key that the service knows is an option of create"""
    with World() as world:
        world.start()
        effective = world.call(MANAGER, "Manager.ValidateConfig", "", "{}")
        help_text = world.cli("create", "--help").stdout
        text = (SOURCE / "dbus-interfaces/config-keys.c").read_text()
        for option in __import__("re").findall(r'"([a-z-]+)", (?:"[A-Z=]+"|NULL),\s*"', text):
            tap.check(f"--{option}" in help_text, option)
        tap.check("'vcpus'" in effective, effective)


if __name__ == "__main__":
    sys.exit(tap.run([names, numbers, ports, own_ports, config_keys, listed_properties,
                      missing_qemu, settings, b144_settings_without_effect,
                      b146_addresses, b146_whose_port, b146_missing_image, b146_sizes,
                      foreign_databases, damaged_rows, exit_codes, options_anywhere, secrets, portable_command,
                      schema]))
