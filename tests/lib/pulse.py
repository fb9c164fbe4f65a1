# SPDX-License-Identifier: MIT
"""A well-behaved client of the bus, which measures how long it waits.

usage: pulse.py ADDRESS SECONDS [METHOD]

In turn it asks GetId of the bus and METHOD of the service, FindInstance unless given, and prints
as JSON {"bus": [seconds], "service": [seconds], "errors": [text]}. A process of its own, for a
user of its own: used by test_floods.py and tests/bench/run.
"""
import json
import sys
import time

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # pylint: disable=wrong-import-position

NAME = "org.katana.Hypervisor"
ROOT = "/org/katana/Hypervisor"
BUS = "org.freedesktop.DBus"
TIMEOUT_MS = 120000
METHODS = {
    "FindInstance": (ROOT + "/Manager", f"{NAME}.Manager", GLib.Variant("(s)", ("n0",))),
    "ListInstances": (ROOT + "/Manager", f"{NAME}.Manager",
                      GLib.Variant("(asa{sv})", (["Name", "State"], {}))),
    "GetManagedObjects": (ROOT, f"{BUS}.ObjectManager", None),
}


def timed(connection, *call):
    begun = time.monotonic()
    connection.call_sync(*call, None, Gio.DBusCallFlags.NO_AUTO_START, TIMEOUT_MS, None)
    return time.monotonic() - begun


def main():
    flags = (Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
             Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION)
    connection = Gio.DBusConnection.new_for_address_sync(sys.argv[1], flags, None, None)
    method = sys.argv[3] if len(sys.argv) > 3 else "FindInstance"
    path, interface, arguments = METHODS[method]
    found = {"bus": [], "service": [], "errors": []}
    end = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < end:
        try:
            found["bus"].append(timed(connection, BUS, "/org/freedesktop/DBus", BUS, "GetId", None))
            found["service"].append(timed(connection, NAME, path, interface, method, arguments))
        except GLib.Error as error:
            found["errors"].append(error.message)
        time.sleep(0.002)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
