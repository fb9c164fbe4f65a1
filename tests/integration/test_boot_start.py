#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Whether an instance that is to start at boot will: create, set and doctor say so while
systemd, here a test's own, does not start the service with the host; and what a session's
service does whose systemd has only begun."""
import contextlib
import json
import os
import sys
import time

import tap
from harness import World
from played import played

from gi.repository import GLib

SYSTEMD = "org.freedesktop.systemd1"
XML = f"""<node><interface name="{SYSTEMD}.Manager"><method name="GetUnitFileState">
<arg name="file" type="s" direction="in"/><arg name="state" type="s" direction="out"/></method>
<property name="ControlGroup" type="s" access="read"/></interface></node>"""
ACTIVATION = "[D-BUS Service]\nName=org.freedesktop.systemd1\nExec=/bin/false\n"
# Nobody who runs tests need linger; who does is told nothing of it.
LINGERS = os.path.exists("/var/lib/systemd/linger/root")


@contextlib.contextmanager
def systemd(world, state, group=None):
    """A systemd on the world's bus that gives this state; None: no answer; with a dot: an error.
    Without a control group it is none that could start machines."""
    asked = []

    def answer(_connection, _sender, _path, _interface, _method, arguments, invocation):
        asked.append(arguments.unpack()[0])
        if state is None:
            return
        if "." in state:
            invocation.return_dbus_error(state, "No such file or directory")
        else:
            invocation.return_value(GLib.Variant("(s)", (state,)))

    def control_group(_connection, _sender, _path, _interface, _name):
        return None if group is None else GLib.Variant("s", group)

    with played(world, SYSTEMD, "/org/freedesktop/systemd1", XML, answer, control_group):
        yield asked


def finding(world):
    checks = json.loads(world.cli("--json", "doctor", check=False).stdout)["checks"]
    return next((one for one in checks if one["check"] == "start-at-boot"), None)


def check_warned(world, found, remedy):
    """create, set and doctor say it; their results are what they are without."""
    made = world.cli("create", "x", "--start-at-boot", "--storage", "50M", "--vcpus", "1")
    tap.equal(made.stdout.split()[:2], ["x", "created"], "what create prints")
    told = world.cli("--json", "set", "x", "start-at-boot=true")
    tap.check(json.loads(told.stdout)["start_at_boot"], told.stdout)
    for said in (made.stderr, told.stderr):
        tap.check("will not start at boot" in said and found in said and remedy in said, said)
    check = finding(world)
    tap.equal(check["status"], "warn", str(check))
    tap.check(found in check["found"] and remedy in check["remedy"], str(check))
    world.cli("delete", "-y", "x")


def check_silent(world):
    made = world.cli("create", "x", "--start-at-boot", "--storage", "50M", "--vcpus", "1")
    told = world.cli("set", "x", "start-at-boot=true")
    tap.equal((made.stderr, told.stderr), ("", ""), "what is said")
    world.cli("delete", "-y", "x")


def b133_not_enabled():
    """an instance that is to start at boot with a service that does not is told of"""
    with World() as world:
        world.start()
        enable = "systemctl --user enable katana-hypervisord.service"
        for state, found, remedy in (
                ("disabled", "is not enabled", enable), ("linked", "is not enabled", enable),
                ("enabled-runtime", "is not enabled", enable),
                ("masked", "is masked", "systemctl --user unmask"),
                ("org.freedesktop.DBus.Error.FileNotFound", "is not installed", "install")):
            with systemd(world, state) as asked:
                check_warned(world, found, remedy)
                tap.equal(set(asked), {"katana-hypervisord.service"}, "what was asked for")


def b133_enabled():
    """with an enabled unit nothing is said, but of a user who does not linger"""
    with World() as world:
        world.start()
        with systemd(world, "enabled"):
            if LINGERS:
                check_silent(world)
            else:
                check_warned(world, "first login", "loginctl enable-linger")


def b133_only_when_asked_for():
    """who does not ask for a start at boot is not told of it"""
    with World() as world, systemd(world, "disabled") as asked:
        world.start()
        made = world.cli("create", "x", "--storage", "50M", "--vcpus", "1")
        told = [world.cli("set", "x", change) for change in ("restart=no", "start-at-boot=false")]
        tap.equal([one.stderr for one in (made, *told)], [""] * 3, "what is said")
        tap.equal(asked, [], "systemd was not asked")


def b133_no_systemd():
    """where there is no systemd nothing is said, and where it does not answer nobody waits long"""
    with World() as world:
        world.start()
        check_silent(world)
        tap.equal(finding(world), None, "the check")
        with systemd(world, None) as asked:
            check_silent(world)
            tap.equal(finding(world), None, "the check")
            tap.check(asked, "it was asked")


class Activating(World):
    """On a bus that a systemd has started, and that knows of it."""

    def spawn(self, command, user="service", env=None, **options):
        if command[0] == "dbus-daemon":
            (self.folder / "org.freedesktop.systemd1.service").write_text(ACTIVATION)
            config = self.folder / "bus.conf"
            config.write_text(config.read_text().replace(
                "</busconfig>", f"<servicedir>{self.folder}</servicedir></busconfig>"))
            command = [*command, "--systemd-activation"]
        return super().spawn(command, user, env, **options)


def b132_late_systemd():
    """a service that systemd has started waits for that on its bus; no other one does"""
    with Activating() as world:
        world.start()
        tap.equal(json.loads(world.cli("--json", "status").stdout)["launcher"], "direct",
                  "of a service that somebody else has started")
        world.end_service()
        # As Type=notify has it; nobody listens there.
        world.start(env={"NOTIFY_SOCKET": f"@{world.folder}"}, wait=False)
        time.sleep(1)
        with systemd(world, "enabled", "/user.slice"):
            tap.eventually(world.is_served, 20, "the service; it said:\n" + world.journal())
            tap.equal(json.loads(world.cli("--json", "status").stdout)["launcher"], "systemd",
                      "of a service that systemd has started")


if __name__ == "__main__":
    sys.exit(tap.run([b133_not_enabled, b133_enabled, b133_only_when_asked_for, b133_no_systemd,
                      b132_late_systemd]))
