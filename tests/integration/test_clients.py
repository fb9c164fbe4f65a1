#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What clients of the bus see, and what one of them can do to everybody else's calls."""
import sys

import tap
from bus import Bus, variants
from harness import MANAGER, NAME, Failed, World, is_sanitized, now, status_of

from gi.repository import Gio, GLib


def memory(world):
    """What the service has in memory, in KiB; 0 under a sanitizer."""
    pid = world.service.pid
    return 0 if is_sanitized(pid) else int(status_of(pid)["VmRSS"][0])


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


def send(bus, method, arguments, flags=Gio.DBusMessageFlags.NO_REPLY_EXPECTED):
    """A call of the manager that nobody waits for."""
    message = Gio.DBusMessage.new_method_call(NAME, MANAGER, f"{NAME}.Manager", method)
    message.set_body(arguments)
    message.set_flags(flags)
    bus.connection.send_message(message, Gio.DBusSendMessageFlags.NONE)


def create_arguments(name, **config):
    return GLib.Variant("(sa{sv}a{sv})", (name, variants(config), {}))


def flood_is_bounded():
    """a flood of calls, with replies or without, waits in nobody's way and fills no memory"""
    with World() as world:
        flooder, other = Bus(world.start()), Bus(world)
        for number in range(50):
            other.create(f"x{number}")
        for flags in (Gio.DBusMessageFlags.NO_REPLY_EXPECTED, Gio.DBusMessageFlags.NONE):
            before = memory(world)
            for _ in range(12000):
                send(flooder, "ListInstances", GLib.Variant("(asa{sv})", ([], {})), flags)
            flooder.connection.flush_sync(None)
            begun = now()
            tap.equal(len(other.list("State")), 50, "the list of somebody else")
            tap.check(now() - begun < 15, f"it came after {now() - begun:.1f} s")
            tap.check(memory(world) - before < 65536,
                      f"{before} KiB have become {memory(world)}")
        tap.eventually(lambda: answers(flooder), 60, "an answer to who flooded")
        send(flooder, "CreateInstance", create_arguments("quiet"))
        tap.eventually(lambda: "quiet" in [one["name"] for one in world.list()], 20,
                       "what was asked for without a reply")
        flooder.close()
        other.close()


def answers(bus):
    try:
        return bus.list("State")
    except Failed as error:
        tap.equal(error.name, "LimitExceeded", error.message)
        return None


def large_call():
    """a call with more than any may need is refused before it is looked at, and the largest
    configuration is not"""
    with World() as world:
        bus = Bus(world.start())
        largest = bus.create("x", *["a" * 4096] * 64,
                             labels={f"{number:063}": "v" * 256 for number in range(32)})
        bus.configure(largest, **{"restart-policy": "always"})
        for method, arguments in (
                ("CreateInstance", create_arguments("y", **{"katana-args": ["a" * 600000]})),
                ("FindInstance", GLib.Variant("(s)", ("x" * 600000,)))):
            try:
                bus.call(MANAGER, f"Manager.{method}", arguments)
                raise AssertionError(f"{method} was served")
            except Failed as error:
                tap.equal(error.name, "LimitExceeded", error.message)
        bus.close()


def image_goes_last():
    """who follows the signals never sees an instance with an image that has gone"""
    with World() as world:
        bus = Bus(world.start())
        path = bus.create("x")
        bus.do(path, "Start")
        bus.do(path, "Stop")
        (world.components / "vmlinuz").write_bytes(b"another")
        other = bus.create("y")
        old, image = (bus.list("Image")[one]["Image"] for one in (path, other))
        seen = []
        bus.connection.signal_subscribe(
            NAME, None, None, None, None, Gio.DBusSignalFlags.NONE,
            lambda _bus, _sender, at, _interface, signal, values: seen.append(
                (signal, at if signal == "PropertiesChanged" else values.unpack()[0])))
        bus.configure(path, image=image.rsplit("/", 1)[1])
        wanted = [("PropertiesChanged", path), ("InterfacesRemoved", old)]

        def followed():
            GLib.MainContext.default().iteration(False)
            return [one for one in seen if one in wanted] if wanted[1] in seen else None
        tap.equal(tap.eventually(followed, 20, "the old image's end"), wanted, "signals")
        bus.close()


if __name__ == "__main__":
    sys.exit(tap.run([reading_leaves_nothing, flood_is_bounded, large_call, image_goes_last]))
