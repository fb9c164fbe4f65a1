#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""CheckHost and the verb doctor: what they answer, that they hold up nobody, and how the
command line takes what a service says."""
import contextlib
import json
import pathlib
import sys
import time

import tap
from bus import Bus
from harness import MANAGER, NAME, Failed, World
from played import played

from gi.repository import GLib

CHECKS = {"architecture", "processor", "microcode", "kvm", "qemu", "qemu-user-network",
          "boot-components", "e2fsprogs", "build-tools", "launcher", "limits", "disk", "ports",
          "state", "descriptors", "memory", "memory-lock", "huge-pages", "clock", "snp-cbit",
          "snp-kvm", "snp-kernel", "snp-sev-es", "snp-device", "snp-firmware-state", "snp-asids",
          "snp-boot-firmware", "snp-qemu", "plain-instances", "snp-instances"}
# What a plain instance needs; confidential ones need all.
PLAIN = {check for check in CHECKS if not check.startswith("snp-")}
XML = f"""<node><interface name="{NAME}.Manager"><method name="CheckHost">
<arg name="options" type="a{{sv}}" direction="in"/>
<arg name="checks" type="a(ssss)" direction="out"/></method></interface></node>"""
OPTIONS = GLib.Variant("(a{sv})", ({},))


def ask(bus):
    return bus.call(MANAGER, "Manager.CheckHost", OPTIONS)


def by_name(rows):
    return {row[0]: row[1:] for row in rows}


@contextlib.contextmanager
def playing(world, rows):
    """The bus name is somebody's who answers these rows; None: a text instead."""
    xml = XML if rows is not None else XML.replace("a(ssss)", "s")

    def answer(_connection, _sender, _path, _interface, _method, _arguments, invocation):
        reply = ("(a(ssss))", (rows,)) if rows is not None else ("(s)", ("none",))
        invocation.return_value(GLib.Variant(*reply))

    with played(world, NAME, MANAGER, xml, answer):
        yield


def test_checks():
    """every check is there once, and what fails has a remedy"""
    with World() as world:
        world.start()
        bus = Bus(world)
        rows = ask(bus)
        tap.equal(sorted(row[0] for row in rows), sorted(CHECKS), "checks")
        for check, status, found, remedy in rows:
            tap.check(status in ("ok", "warn", "fail"), f"{check}: {status}")
            tap.check(found, f"{check} says nothing")
            tap.equal(remedy == "", status == "ok", f"{check} has a remedy: {remedy}")
        found = by_name(rows)
        tap.equal([found[name][0] for name in ("qemu", "qemu-user-network", "snp-qemu")],
                  ["ok"] * 3, "the fake QEMU")
        tap.equal(found["boot-components"][0], "warn", str(found["boot-components"]))
        tap.check(f"ports {world.ports[0]} to {world.ports[-1]}" in found["ports"][1],
                  found["ports"][1])
        bus.close()


def test_instance_ports():
    """a port of an instance is not left, whether it runs or not"""
    with World() as world:
        world.start()
        bus = Bus(world)
        before = int(by_name(ask(bus))["ports"][1].split()[0])
        bus.create("x")
        tap.equal(int(by_name(ask(bus))["ports"][1].split()[0]), before - 1, "ports left")
        bus.close()


def test_options():
    """an unknown option is refused"""
    with World() as world:
        world.start()
        try:
            world.call(MANAGER, "Manager.CheckHost", "{'x': <1>}")
        except Failed as error:
            tap.equal(error.name, "InvalidArgument", error.message)
        else:
            raise AssertionError("was accepted")


def test_command_line():
    """the table and the document say what the service says"""
    with World() as world:
        world.start()
        done = world.cli("--json", "doctor", "--tee", check=False)
        document = json.loads(done.stdout)
        words = [one["status"] for one in document["checks"]]
        tap.equal({one["check"] for one in document["checks"]}, CHECKS, "checks")
        tap.equal(document["status"], max(words, key=["ok", "warn", "fail"].index), "status")
        tap.equal(done.returncode, int("fail" in words), "exit code")
        table = world.cli("doctor", "--tee", check=False)
        tap.equal(table.returncode, done.returncode, "exit code of the table")
        names = {line.split()[0] for line in table.stdout.splitlines() if line[0] != " "}
        tap.equal(names, CHECKS, "the table")
        for one in document["checks"]:
            tap.check(one["remedy"] in table.stdout, f"the remedy of {one['check']}")
        tap.equal(world.cli("doctor", "x", check=False).returncode, 2, "an argument too many")


def b131_plain_instances():
    """doctor judges plain instances, and says of confidential ones only whether they run here"""
    with World("--accelerator", "tcg") as world:
        world.start()
        done = world.cli("--json", "doctor", check=False)
        document = json.loads(done.stdout)
        found = {one["check"]: one for one in document["checks"]}
        tap.equal((done.returncode, document["status"]), (0, "warn"), "exit code, status")
        tap.check(found["plain-instances"]["found"].startswith("slow, machines are emulated: "),
                  str(found["plain-instances"]))
        tap.equal(found["snp-instances"]["status"], "fail", str(found["snp-instances"]))
        tap.equal(world.cli("doctor", "--tee", check=False).returncode, 1, "exit code with --tee")
        lines = [line for line in world.cli("doctor").stdout.splitlines() if line[0] != " "]
        tap.equal({line.split()[0] for line in lines}, PLAIN | {"snp-instances"}, "the table")
        tap.check("slow" in lines[-2] and " no: " in lines[-1], "\n".join(lines[-2:]))


def b131_last_line_of_qemu():
    """what QEMU has said last stands in the finding, and the verdict says what fails"""
    with World(fake=False) as world:
        qemu = world.tools / "broken-qemu"
        qemu.write_text("#!/bin/sh\necho first >&2\necho cannot allocate memory for JIT >&2\n"
                        "exit 1\n")
        qemu.chmod(0o755)
        world.options += ["--qemu", str(qemu)]
        world.start()
        done = world.cli("--json", "doctor", check=False)
        found = {one["check"]: one["found"] for one in json.loads(done.stdout)["checks"]}
        tap.equal(done.returncode, 1, "exit code")
        for check in ("qemu", "plain-instances", "snp-instances"):
            if check != "snp-instances":
                tap.check("code 1: cannot allocate memory for JIT" in found[check], found[check])
            tap.check("first" not in found[check], found[check])


def test_without_service():
    """where no service is to be had the command line checks the host itself, and says so"""
    with World() as world:
        done = world.cli("--json", "doctor", check=False)
        document = json.loads(done.stdout)
        tap.equal((done.returncode, document["status"]), (1, "fail"), "exit code and status")
        found = {one["check"]: one for one in document["checks"]}
        wanted = (CHECKS | {"service"}) - {"launcher", "limits", "state", "descriptors"}
        tap.equal(set(found), wanted, "checks")
        tap.check("katana-hypervisord --session" in found["service"]["remedy"], str(found["service"]))
        tap.equal(document["checks"][0]["check"], "service", "the first")
        flags = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
        tap.check({"vmx", "svm"} & set(flags) or found["kvm"]["status"] == "warn",
                  "as the service would find it: " + str(found["kvm"]))
        table = world.cli("doctor", check=False)
        tap.equal((table.returncode, table.stderr), (1, ""), "the table")


def test_exit_codes():
    """0 unless a check fails, or has a status that nobody knows"""
    for status, code in (("ok", 0), ("warn", 0), ("fail", 1), ("fine", 1)):
        with World() as world, playing(world, [("a", "ok", "b", ""), ("c", status, "d", "e")]):
            for arguments in (("doctor",), ("--json", "doctor")):
                done = world.cli(*arguments, check=False)
                tap.equal((done.returncode, done.stderr), (code, ""), f"{status} {arguments}")


def test_hostile_service():
    """escape sequences and line feeds of a service do not reach the terminal"""
    row = ("\x1b[2Ja\nb", "ok\x07", "\x9b31mfound\rx", "rm\x1b]0;x\x07")
    with World() as world, playing(world, [row]):
        done = world.cli("doctor", check=False)
        tap.equal(done.returncode, 1, "exit code")
        tap.check(not set("\x1b\x07\r\x9b") & set(done.stdout), repr(done.stdout))
        tap.equal(done.stdout.count("\n"), 2, repr(done.stdout))
        done = world.cli("--json", "doctor", check=False)
        tap.check(not set("\x1b\x07\r\x9b") & set(done.stdout), repr(done.stdout))
        tap.equal(json.loads(done.stdout)["checks"][0]["check"], "\ufffd[2Ja\ufffdb", "as JSON")


def test_answer_of_another_type():
    """an answer that is no list of checks is an error, and an empty one no success"""
    with World() as world, playing(world, []):
        tap.equal(world.cli("doctor", check=False).returncode, 1, "no check at all")
    with World() as world, playing(world, None):
        done = world.cli("doctor", check=False)
        tap.check(done.returncode == 1 and "unexpected type" in done.stderr, done.stderr)


def test_slow_qemu():
    """a QEMU that does not answer holds up nobody, and is told of"""
    with World(fake=False) as world:
        qemu = world.tools / "slow-qemu"
        qemu.write_text("#!/bin/sh\nexec sleep 300\n")
        qemu.chmod(0o755)
        world.options += ["--qemu", str(qemu)]
        world.start()
        bus = Bus(world)
        begun = time.monotonic()
        rows = [bus.begin(ask, bus) for _ in range(3)]
        asked = 0
        while not all(one.done() for one in rows):
            bus.call(MANAGER, "Manager.ListInstances", GLib.Variant("(asa{sv})", ([], {})), 5)
            asked += 1
            time.sleep(0.1)
        took = time.monotonic() - begun
        tap.note(f"{asked} calls were answered in {took:.1f} s")
        tap.check(asked >= 10, f"only {asked} calls were answered meanwhile")
        for one in rows:
            status, found, remedy = by_name(one.result())["qemu"]
            tap.equal(status, "fail", found)
            tap.check("no answer in time" in found and remedy, found)
        bus.close()


if __name__ == "__main__":
    sys.exit(tap.run([test_checks, test_instance_ports, test_options, test_command_line,
                      b131_plain_instances, b131_last_line_of_qemu, test_without_service,
                      test_exit_codes, test_hostile_service, test_answer_of_another_type,
                      test_slow_qemu]))
