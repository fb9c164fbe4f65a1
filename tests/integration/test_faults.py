#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Faults of the earlier implementation that must not come back, one test each, named after
its number in tests/faults.md. Those that are facts of the lifecycle stand in test_facts.py and
test_states.py; the last test here checks that the table and the tests agree.
"""
import os
import pathlib
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time

import invariants
import tap
from harness import SOURCE, Failed, World, command_of, is_alive, status_of
from live import edit, kill_qemu, live, pid_of, refused, running, service_dies, wait_state
from test_facts import word_to_monitor

TABLE = SOURCE / "tests/faults.md"
NUMBERS = [*range(1, 20), *range(20, 29), *range(30, 42), *range(80, 98), 99,
           *range(120, 151), *range(154, 156), *range(160, 166), *range(170, 172)]


def b02_refused_command():
    """a command that QEMU's monitor does not do changes no state of a living machine"""
    with live() as (_, bus):
        path = running(bus, "x", "--fake.deaf-monitor")
        pid = pid_of(bus, path)
        refused("MonitorLost", lambda: bus.do(path, "Pause"))
        tap.equal((bus.state(path), pid_of(bus, path)), ("running", pid), "afterwards")
        refused("InvalidState", lambda: bus.do(path, "Delete"))
        tap.check(is_alive(pid), "QEMU lives")


def b07_orphan_after_launch():
    """a service that died between launch and note finds the machine, and starts no other"""
    with World() as world:
        world.start_armed("start:launched")
        path = world.create("x")
        try:
            world.start_instance(path)
        except Failed:
            pass
        tap.equal(world.service.wait(10), -signal.SIGKILL, "exit code")
        machines = world.processes()
        world.start()
        shown = world.wait_state("x", "running", 10)
        tap.check(shown["main_pid"] in machines, "the same QEMU")
        tap.equal(world.processes(), machines, "shims and QEMUs")


def b09_stop_is_graceful():
    """a stop is told to the guest first, and what it came to is told"""
    with live("--stop-timeout", "1") as (_, bus):
        for words, result in (((), "graceful"), (("--fake.ignore-stop",), "forced")):
            path = running(bus, "x", *words)
            log = pathlib.Path(bus.properties(path)["DataDirectory"]) / "serial.log"
            bus.do(path, "Stop")
            tap.equal(bus.properties(path)["StopResult"], result, "StopResult")
            tap.equal("Teardown" in log.read_text(), result == "graceful", "the guest was told")
            bus.do(path, "Delete")


def b10_running_means_ready():
    """what does not answer is not running, and a start that ran out of time is no success"""
    with live() as (_, bus):
        path = bus.create("x", "--fake.never-ready")
        refused("TimedOut", lambda: bus.do(path, "Start", timeout_usec=1000000))
        found = bus.properties(path)
        tap.equal((found["State"], found["ReadyUSec"]), ("starting", 0), "afterwards")


def b11_running_without_pid():
    """a row that says running and knows no pid: the machine is looked for, not given up"""
    with live() as (world, bus):
        path = running(bus)
        pid = pid_of(bus, path)
        service_dies(world)
        edit(world, "UPDATE instances SET shim_pid=0, shim_start=0, qemu_pid=0, qemu_start=0")
        world.start()
        tap.equal(wait_state(bus, path, "running", 5)["MainPid"], pid, "the same QEMU")
        bus.do(path, "Stop")
        tap.check(not is_alive(pid), "it was stopped")


def b13_delete_waits_for_the_end():
    """when a forced delete answers, QEMU is dead and nothing is left"""
    with live() as (world, bus):
        path = running(bus, "x", "--fake.ignore-stop", "--fake.ignore-term")
        found = bus.properties(path)
        bus.do(path, "Delete", force=True)
        tap.check(not is_alive(found["MainPid"]), "QEMU is dead")
        tap.check(not os.path.exists(found["DataDirectory"]), "its folder is gone")
        tap.equal(invariants.settle(world, bus, 3), [], "what is left")


def b14_ends_inside_the_guest():
    """Katana's exit in a living guest, and a guest that boots anew after a panic, are seen"""
    with live() as (world, bus):
        path = bus.create("x", "--fake.katana-exit", "42")
        try:
            bus.do(path, "Start")
        except Failed:
            pass
        found = wait_state(bus, path, "failed", 15)
        tap.check("code 42" in found["StateReason"], found["StateReason"])
        bus.do(path, "Delete")
        path = running(bus)
        pid = pid_of(bus, path)
        tap.check("-no-reboot" in command_of(pid), "QEMU's arguments")
        word_to_monitor(world, bus, path, "system_reset")
        wait_state(bus, path, "failed", 5)
        tap.check(not is_alive(pid), "QEMU has ended")


def b15_list_is_true():
    """the list of a dead machine says so within two seconds"""
    with live() as (_, bus):
        path = running(bus)
        kill_qemu(bus, path)
        tap.eventually(lambda: bus.list("State", "MainPid")[path] ==
                       {"State": "failed", "MainPid": 0}, 2, "the list")


def b18_monitor_is_taken():
    """another client of the monitor, or none that is answered, hangs no call"""
    with live() as (world, bus):
        path = running(bus)
        identity = bus.properties(path)["Id"]
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(f"{world.runtime}/katana-hypervisor/{identity}/qmp.sock")
            for method in ("Pause", "Resume"):
                bus.do(path, method, timeout=10)
        path = running(bus, "deaf", "--fake.deaf-monitor")
        began = time.monotonic()
        refused("MonitorLost", lambda: bus.do(path, "Pause"))
        tap.check(time.monotonic() - began < 20, "the answer came in time")
        bus.list()


def b19_stop_timeout():
    """the caller says how long a stop may take"""
    with live("--stop-timeout", "600") as (_, bus):
        path = running(bus, "x", "--fake.ignore-stop", "--fake.deaf-monitor")
        began = time.monotonic()
        bus.do(path, "Stop", timeout_usec=1000000)
        tap.check(time.monotonic() - began < 30, "it took its time")
        tap.equal(bus.properties(path)["StopResult"], "forced", "StopResult")


def b20_creates_at_once():
    """creates at the same time: one of a name, no port twice, no half instance"""
    with live() as (world, bus):
        calls = [bus.begin(bus.create, f"n{number % 15}") for number in range(30)]
        failed = []
        for call in calls:
            try:
                call.result(60)
            except Failed as error:
                failed.append(error.name)
        tap.equal(failed, ["AlreadyExists"] * 15, "refusals")
        port = world.ports[70]
        calls = [bus.begin(bus.create, f"p{number}", rpc_port=port) for number in range(10)]
        done = [call for call in calls if call.exception(60) is None]
        tap.equal(len(done), 1, "creates with the same port")
        tap.equal(len(invariants.settle(world, bus)), 16, "instances")


def b22_bad_ports():
    """ports below 1024 and those of other instances are refused; 0 is the lowest free one"""
    with live() as (world, bus):
        for port in (1, 80, 1023):
            refused("InvalidArgument", lambda p=port: bus.create("x", rpc_port=p))
        first = bus.properties(bus.create("x", rpc_port=0))["RpcPort"]
        tap.check(first in world.ports, f"port {first}")
        refused("PortUnavailable", lambda: bus.create("y", rpc_port=first))
        tap.equal(len(invariants.settle(world, bus)), 1, "instances")


def b23_failing_create():
    """a create that fails leaves no row, folder, port, uid or image"""
    with live() as (world, bus):
        for part, text in (("initrd.img", None), ("vmlinuz", b"")):
            path = world.components / part
            before = path.read_bytes()
            path.unlink()
            if text is not None:
                path.write_bytes(text)
            try:
                bus.create("x")
                tap.check(False, "it was created")
            except Failed:
                pass
            tap.equal(invariants.settle(world, bus, 3), [], "what is left")
            path.write_bytes(before)
        bus.create("x")


def b24_database():
    """the database has a version and a log; a lock of somebody else fails calls, not the service"""
    with live() as (world, bus):
        tap.check(invariants.rows(world, "PRAGMA user_version")[0][0] > 0, "user_version")
        tap.equal(invariants.rows(world, "PRAGMA journal_mode"), [("wal",)], "journal_mode")
        other = sqlite3.connect(world.state / "state.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        refused("Busy", lambda: bus.create("x"))
        tap.equal(bus.list(), {}, "list")
        other.execute("ROLLBACK")
        other.close()
        bus.create("x")
        invariants.settle(world, bus)


def b26_stable_order():
    """instances of the same time keep their order over restarts"""
    with live() as (world, bus):
        names = ["c", "a", "d", "b"]
        paths = {bus.create(name): name for name in names}
        by_path = [paths[path] for path in sorted(paths)]
        tap.equal(world.end_service(), 0, "exit code")
        edit(world, "UPDATE instances SET created_usec=1700000000000000")
        for _ in range(2):
            world.start()
            rows = invariants.rows(world, "SELECT name FROM instances "
                                          "ORDER BY created_usec, rowid")
            tap.equal([name for name, in rows], names, "rows")
            # Of one time the list goes by object path.
            tap.equal([one["name"] for one in world.list()], by_path, "list")
            service_dies(world)
        world.start()


def b27_two_services():
    """a second service on the same state or name ends, and the first goes on"""
    with live() as (world, bus):
        path = running(bus)
        other = [f"--{name}={world.folder / name}" for name in ("state-dir", "runtime-dir")]
        for more in ((), other[:1], other):
            second = subprocess.run(world.service_command(*more), env=world.env, text=True,
                                    capture_output=True, timeout=30, check=False)
            tap.equal(second.returncode, 1, "exit code of the second")
        tap.check(f"belongs to process {world.service.pid};" in second.stderr, second.stderr)
        tap.equal(bus.state(path), "running", "the first one's instance")
        bus.do(path, "Stop")


def listening(port):
    """The addresses on which something listens on the port."""
    found = set()
    for line in open("/proc/net/tcp", encoding="ascii").readlines()[1:]:
        address, number = line.split()[1].split(":")
        if line.split()[3] == "0A" and int(number, 16) == port:
            found.add(socket.inet_ntoa(bytes.fromhex(address)[::-1]))
    return found


def b30_loopback_only():
    """RPC listens on 127.0.0.1 and nowhere else"""
    with live() as (_, bus):
        path = running(bus)
        tap.equal(listening(bus.properties(path)["RpcPort"]), {"127.0.0.1"}, "addresses")


def b31_modes():
    """nobody else can read state, logs, sockets or Katana's arguments"""
    with live() as (world, bus):
        path = running(bus)
        found = bus.properties(path)
        folder = pathlib.Path(found["DataDirectory"])
        runtime = world.runtime / "katana-hypervisor" / found["Id"]
        for closed in (folder, runtime):
            tap.equal(stat.S_IMODE(closed.stat().st_mode), 0o700, str(closed))
        for file in [world.state / "state.db", *folder.iterdir()]:
            tap.equal(stat.S_IMODE(file.stat().st_mode) & 0o077, 0, str(file))


def b32_least_rights():
    """QEMU has a uid of its own, no capability, no new privileges, no defaults, its sandbox"""
    with live() as (_, bus):
        pids = [pid_of(bus, running(bus, name)) for name in ("x", "y")]
        uids = {status_of(pid)["Uid"][0] for pid in pids}
        if os.geteuid() == 0:
            tap.equal((len(uids), "0" in uids), (2, False), f"uids {uids}")
        for pid in pids:
            status = status_of(pid)
            tap.equal((int(status["CapEff"][0], 16), status["NoNewPrivs"]), (0, ["1"]), "rights")
            for word in ("-nodefaults", "-no-user-config", "-sandbox on"):
                tap.check(word in command_of(pid), f"{word} in {command_of(pid)}")


def b33_closed_network():
    """the guest's network is restricted"""
    with live() as (_, bus):
        pid = pid_of(bus, running(bus))
        tap.check("restrict=on" in command_of(pid), command_of(pid))


def b34_strangers_are_refused():
    """on the system bus another user is refused what changes anything"""
    if os.geteuid() != 0:
        raise tap.Skip("not root")
    with World(session=False) as world:
        world.start()
        path = world.create("x")
        stranger = 65534
        for method, arguments in (("Start", ["{}"]), ("Stop", ["{}"]), ("Delete", ["{}"]),
                                  ("GetConfiguration", ["{}"]), ("OpenLog", ["{}"]),
                                  ("Configure", ["{'labels': <{'a': 'b'}>}", "{}"])):
            refused("NotAuthorized", lambda m=method, a=arguments: world.call(
                path, f"Instance.{m}", *a, user=stranger))
        refused("NotAuthorized", lambda: world.create("y", user=stranger))
        tap.equal([one["state"] for one in world.list()], ["created"], "instances")


def b35_absolute_components():
    """boot components of the working folder are not used, nor a relative path"""
    with World() as world:
        done = subprocess.run(world.service_command("--boot-components", "components"),
                              env=world.env, cwd=world.folder, capture_output=True, text=True,
                              timeout=30, check=False)
        tap.check(done.returncode != 0 and "absolute" in done.stderr, done.stderr)


def b36_modified_component():
    """a boot component that was changed after the create is refused at start"""
    with live() as (_, bus):
        path = bus.create("x")
        kernel = pathlib.Path(next(one[1] for one in bus.properties(path)["BootComponents"]
                                   if one[0] == "vmlinuz"))
        before = kernel.read_bytes()
        kernel.chmod(0o644)
        kernel.write_bytes(b"x" + before[1:])
        refused("IntegrityMismatch", lambda: bus.do(path, "Start"))
        kernel.write_bytes(before)
        bus.do(path, "Start")


def b37_nothing_in_tmp():
    """a machine's life leaves no file under a predictable name in /tmp"""
    def files():
        return {name for name in os.listdir("/tmp") if "katana" in name}
    with live() as (_, bus):
        before = files()
        path = running(bus)
        meanwhile = files()
        bus.do(path, "Stop")
        tap.equal(meanwhile | files(), before, "files in /tmp")


def b40_odd_paths():
    """a long state folder with comma and blank works, its sockets too"""
    with World() as world:
        world.state = world.folder / ("a, b=c " + "x" * 150)
        world.start("--state-dir", str(world.state))
        path = world.create("x")
        world.start_instance(path)
        world.call(path, "Instance.Pause", "{}")
        world.stop_instance(path)
        tap.equal(world.show("x")["stop_result"], "graceful", "the control channel was reached")


def b41_secrets_stay_inside():
    """Katana's arguments are in no process list, journal or property; stdout stays empty"""
    secret = "0x5ec2e75ec2e7"
    with World() as world:
        output = world.folder / "stdout"
        with open(output, "wb") as file, open(world.folder / "service.log", "wb") as log:
            world.service = world.spawn(world.service_command("--verbose"), stdout=file,
                                        stderr=log)
        tap.eventually(world.is_served, 20, "the service")
        path = world.create("x", f"{{'katana-args': <['--signer.key={secret}']>}}")
        world.start_instance(path)
        seen = world.journal() + str(world.list()) + str(world.show("x"))
        for pid in world.processes():
            seen += command_of(pid)
        tap.check(secret not in seen, "the key is to be seen")
        tap.equal(output.read_bytes(), b"", "stdout")


def table_rows():
    """{number: text} of tests/faults.md."""
    rows = re.findall(r"^\| B-(\d+) \|(.*)$", TABLE.read_text(encoding="utf-8"), re.M)
    return {int(number): text for number, text in rows}


def table_and_tests_agree():
    """every fault has tests that exist and bear its number, or a reason why it comes later"""
    rows = table_rows()
    tap.equal(sorted(rows), NUMBERS, "faults in the table")
    for number, text in rows.items():
        named = re.findall(r"`(test_\w+)\.(\w+)`", text)
        if not named:
            tap.check("later: " in text, f"B-{number:02} has neither test nor reason")
            continue
        folder = "boot" if "in tests/boot:" in text else "integration"
        tap.check(folder == "boot" or any(name.startswith(f"b{number:02}_") for _, name in named),
                  f"no test is named after B-{number:02}")
        for file, name in named:
            source = (SOURCE / "tests" / folder / f"{file}.py").read_text(encoding="utf-8")
            tap.equal(len(re.findall(rf"^def {name}\(", source, re.M)), 1, f"{file}.{name}")
            tap.check(len(re.findall(rf"\b{name}\b", source)) > 1 or file == "test_faults" or
                      name.startswith("test_"),
                      f"{file}.{name} is not run")


def main():
    mine = [test for name, test in globals().items() if re.match(r"b\d\d_", name) and
            test.__module__ == "__main__"]
    return tap.run([*mine, table_and_tests_agree])


if __name__ == "__main__":
    sys.exit(main())
