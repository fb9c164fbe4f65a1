#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Whether an instance that is to start at boot will: create, set and doctor say so while
systemd, here a test's own, does not start the service with the host."""
import contextlib
import json
import os
import sys
import threading

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # pylint: disable=wrong-import-position

import tap  # pylint: disable=wrong-import-position
from bus import Bus  # pylint: disable=wrong-import-position
from harness import World  # pylint: disable=wrong-import-position

SYSTEMD = "org.freedesktop.systemd1"
XML = f"""<node><interface name="{SYSTEMD}.Manager"><method name="GetUnitFileState">
<arg name="file" type="s" direction="in"/><arg name="state" type="s" direction="out"/></method>
</interface></node>"""
# Nobody who runs tests need linger; who does is told nothing of it.
LINGERS = os.path.exists("/var/lib/systemd/linger/root")


@contextlib.contextmanager
def systemd(world, state):
    """A systemd on the world's bus that gives this state; None: no answer; with a dot: an error."""
    context, connection, asked = GLib.MainContext.new(), Bus(world).connection, []

    def answer(_connection, _sender, _path, _interface, _method, arguments, invocation):
        asked.append(arguments.unpack()[0])
        if state is None:
            return
        if "." in state:
            invocation.return_dbus_error(state, "No such file or directory")
        else:
            invocation.return_value(GLib.Variant("(s)", (state,)))

    loop = GLib.MainLoop.new(context, False)
    started = threading.Event()

    def serve():
        context.push_thread_default()
        connection.register_object("/org/freedesktop/systemd1",
                                   Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0], answer, None,
                                   None)
        connection.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "RequestName",
                             GLib.Variant("(su)", (SYSTEMD, 0)), None, Gio.DBusCallFlags.NONE, -1,
                             None)
        started.set()
        loop.run()
        context.pop_thread_default()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    tap.check(started.wait(20), "systemd answers")
    yield asked
    loop.quit()
    thread.join(20)
    connection.close_sync(None)


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


if __name__ == "__main__":
    sys.exit(tap.run([b133_not_enabled, b133_enabled, b133_only_when_asked_for, b133_no_systemd]))
