#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What the command line says while, and instead of waiting for a service that the bus is to
start: with a stand-in for systemd on the bus, and one for its journal.
"""
import json
import os
import signal
import subprocess
import sys
import time

import systemd_standin
import tap
from bus import Bus
from harness import MANAGER, NAME, SOURCE, World, now
from test_cli import Running, add_ssh, assert_cli

from gi.repository import Gio, GLib

WORDS = "katana-hypervisord: /etc/x.conf: accelerator must be auto, kvm or tcg"
# The bus itself gives up after 25 s.
SOON = 15
LEAVING = f"""<node><interface name="{NAME}.Manager"><method name="FindInstance">
<arg type="s" direction="in"/><arg type="o" direction="out"/></method></interface>
<interface name="{NAME}.Instance"><method name="OpenLog"><arg type="a{{sv}}" direction="in"/>
<arg type="h" direction="out"/></method><property name="State" type="s" access="read"/>
</interface></node>"""


class Activated(World):
    """A bus that starts the service by a unit of the stand-in's, and a journal of one line."""
    bus_words = ("--systemd-activation",)

    def __init__(self, story, session=False, line=WORDS, start=False):
        self.story, self.line = story, line
        super().__init__(session=session)
        journal = self.tools / "journalctl"
        journal.write_text("#!/bin/sh\n" f"printf '%s ' \"$@\" >{self.folder}/asked\n"
                           + (f"echo '{line}'\n" if line else "exit 1\n"))
        journal.chmod(0o755)
        self.env["PATH"] = f"{self.tools}:{os.environ['PATH']}"
        variable = "DBUS_SESSION_BUS_ADDRESS" if session else "DBUS_SYSTEM_BUS_ADDRESS"
        command = self.service_command() if start else []
        self.systemd = self.spawn([sys.executable, systemd_standin.__file__, self.env[variable],
                                   story, str(self.folder), *command], user=None)
        tap.eventually((self.folder / "starts").exists, 20, "the stand-in")

    def bus_rules(self):
        folder = self.folder / "services"
        folder.mkdir()
        (folder / f"{NAME}.service").write_text(
            f"[D-BUS Service]\nName={NAME}\nExec=/bin/false\nUser=root\n"
            "SystemdService=katana-hypervisord.service\n")
        return f"""<servicedir>{folder}</servicedir><policy user="root">
<allow own="{systemd_standin.SYSTEMD}"/></policy><policy context="default">
<allow send_destination="{systemd_standin.SYSTEMD}"/>
<allow send_interface="{systemd_standin.SYSTEMD}.Activator"/></policy>"""

    def starts(self):
        return len((self.folder / "starts").read_text().splitlines())


def fails(world, says, *arguments):
    """Exit code 7, and soon; more than once it is not tried."""
    begun, before = now(), world.starts()
    assert_cli(world, 7, says, *arguments)
    tap.check(now() - begun < SOON, f"{arguments}: it took {now() - begun:.1f} s")
    tap.check(world.starts() <= before + 1, "starts that were asked for")


def b134_broken_settings():
    """a service that does not start kept each command waiting for 25 s, and its reason to itself"""
    for session in (False, True):
        with Activated("broken", session) as world:
            for words in (("list",), ("create", "x"), ("wait", "x", "--for", "running")):
                fails(world, WORDS, *words)
            fails(world, "exit status 2", "status")
            asked = (world.folder / "asked").read_text()
            tap.check("_SYSTEMD_INVOCATION_ID=" + "02" * 16 in asked, asked)
            tap.equal("--user" in asked, session, "whose journal it is")
            done = world.cli("--json", "list", check=False)
            found = json.loads(done.stderr)["error"]
            tap.check(found["name"].endswith(".ServiceUnavailable") and WORDS in found["message"],
                      done.stderr)
            done = world.cli("doctor", "--json", check=False)
            tap.check(WORDS in json.loads(done.stdout)["checks"][0]["found"], done.stdout)
            add_ssh(world)
            fails(world, WORDS, "-H", "there", "list")


def b134_closed_journal():
    """where the journal may not be read, the command that shows it is said"""
    for session, command in ((False, "journalctl -u katana-hypervisord"),
                             (True, "journalctl --user -u katana-hypervisord")):
        with Activated("broken", session, line="") as world:
            fails(world, command, "list")


def b134_other_failures():
    """a unit that is masked was exit code 1; one that is refused or ends again and again hung"""
    for story, says in (("masked", "is masked; systemctl unmask"), ("limit", "start-limit-hit"),
                        ("restarts", "exit status 1"), ("refused", WORDS),
                        ("unnamed", "systemctl unmask")):
        with Activated(story) as world:
            fails(world, says, "list")


def b134_old_failure():
    """what failed before and starts now is waited for"""
    with Activated("late", session=True, start=True) as world:
        tap.equal(world.cli("--json", "list").stdout.strip(), "[]", "list")
        subprocess.run(["gdbus", "call", "--session", "--dest", NAME, "--object-path", "/",
                        "--method", "org.freedesktop.DBus.Peer.Ping"], env=world.env, timeout=20,
                       check=True, stdout=subprocess.DEVNULL)


def b134_mended_at_once():
    """for 25 s after a start that failed each other was said to have failed for its reason"""
    with Activated("mended", session=True, start=True) as world:
        fails(world, WORDS, "list")
        tap.equal(world.cli("--json", "list").stdout.strip(), "[]", "list")
        tap.equal(world.starts(), 2, "starts")


def b134_no_activate():
    """--no-activate starts nothing, and says so at once"""
    with Activated("silent", session=True) as world:
        fails(world, "--no-activate", "list", "--no-activate")
        fails(world, "start katana-hypervisord", "--no-activate", "show", "x")
        add_ssh(world)
        fails(world, "--no-activate", "-H", "there", "--no-activate", "list")
        tap.equal(world.starts(), 0, "starts")
        world.start()
        tap.equal(world.cli("list", "--no-activate").returncode, 0, "exit code with a service")
        world.end_service()
        fails(world, "--no-activate", "list", "--no-activate")


class Leaving:
    """As much of a service as a follower of a log needs; it goes while it is asked for a state."""

    def __init__(self, world):
        self.bus, self.reads = Bus(world).connection, 0
        node = Gio.DBusNodeInfo.new_for_xml(LEAVING)
        for path, interface in zip((MANAGER, "/x"), node.interfaces):
            self.bus.register_object(path, interface, self.on_call, self.on_get, None)
        self.own("RequestName", "(su)", NAME, 0)

    def own(self, method, types, *values):
        self.bus.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", method,
                           GLib.Variant(types, values), None, Gio.DBusCallFlags.NONE, -1, None)

    def on_call(self, _bus, _sender, _path, _interface, method, _arguments, invocation):
        if method == "FindInstance":
            invocation.return_value(GLib.Variant("(o)", ("/x",)))
            return
        reader, writer = os.pipe()
        os.write(writer, b"a line\n")
        os.close(writer)
        fds = Gio.UnixFDList.new()
        fds.append(reader)
        os.close(reader)
        invocation.return_value_with_unix_fd_list(GLib.Variant("(h)", (0,)), fds)

    def on_get(self, _bus, _sender, _path, _interface, _name):
        self.reads += 1
        if self.reads == 2:
            self.own("ReleaseName", "(s)", NAME)
        return GLib.Variant("s", "running")


def b143_follower_starts_nothing():
    """a follower whose service went while it was asked had the bus start it again"""
    with Activated("silent", session=True) as world:
        service = Leaving(world)
        follower = Running(world, "logs", "-f", "x")
        deadline = now() + 20
        while "has gone" not in follower.path.read_text() and world.starts() == 0:
            if not GLib.MainContext.default().iteration(False):
                time.sleep(0.01)
            tap.check(now() < deadline and follower.process.poll() is None,
                      follower.path.read_text())
        tap.equal((world.starts(), service.reads), (0, 2), "starts, and questions")
        follower.goes_on()
        follower.process.kill()


def b134_says_what_to_do():
    """each exit code 7 says what to do next"""
    with World() as world:
        assert_cli(world, 7, "is it installed?", "list")
        world.start()
        world.cli("create", "x", "--", "--fake.never-ready")
        call = world.spawn([str(world.tools / "katana-hypervisor"), "start", "x"], user=None,
                           stderr=subprocess.PIPE, text=True)
        world.wait_state("x", "starting")
        world.end_service(signal.SIGKILL)
        said = call.communicate(timeout=30)[1]
        tap.equal(call.returncode, 7, said)
        tap.check("journalctl --user -u katana-hypervisord says why" in said, said)
        world.start()
        world.cli("delete", "--force", "-y", "x")
        world.end_service()
        world.env["PATH"], path = "/nowhere", world.env.get("PATH")
        assert_cli(world, 7, "is it installed?", "-H", "there", "list")
        world.env["PATH"] = path
        world.env["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/nowhere"
        assert_cli(world, 7, "dbus-run-session", "list")
        world.env["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nowhere"
        assert_cli(world, 7, "systemctl status dbus", "--system", "list")
        world.env["DBUS_SYSTEM_BUS_ADDRESS"] = "nonsense"
        assert_cli(world, 7, "systemctl status dbus", "--system", "list")


def b134_status_of_settings():
    """exit status 2, which systemd does not try again, is for the settings alone"""
    with World() as world:
        def status(*more, **env):
            done = subprocess.run(world.service_command(*more), env=dict(world.env, **env),
                                  capture_output=True, timeout=30, check=False)
            return done.returncode
        for words in (("--port-range", "x"), ("--launcher", "x"), ("--config", "/nowhere"),
                      ("--nonsense",)):
            tap.equal(status(*words), 2, str(words))
        tap.equal(status(DBUS_SESSION_BUS_ADDRESS="unix:path=/nowhere"), 1, "no bus")
        world.state.mkdir(parents=True, exist_ok=True)
        (world.state / "state.db").write_bytes(b"no database" * 100)
        tap.equal(status(), 1, "a damaged database")
    for unit in ("katana-hypervisord", "katana-hypervisord-session"):
        text = (SOURCE / f"data/{unit}.service.in").read_text()
        tap.check("RestartPreventExitStatus=2\n" in text, f"{unit} is tried again")


if __name__ == "__main__":
    sys.exit(tap.run([b134_broken_settings, b134_closed_journal, b134_other_failures,
                      b134_old_failure, b134_mended_at_once, b134_no_activate,
                      b143_follower_starts_nothing,
                      b134_says_what_to_do,
                      b134_status_of_settings]))
