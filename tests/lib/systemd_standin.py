# SPDX-License-Identifier: MIT
"""As much of systemd as a bus and the command line need for the start of one unit, on a world's
bus. What becomes of the unit is the story:

    broken   the start fails with exit status 2
    limit    it has failed before, and the start is refused
    late     it has failed before, and starts
    masked   it is masked, and the bus says so
    mended   the bus's start fails, and one that systemd is asked for succeeds
    refused  the start fails, of which the bus knows no more (dbus-broker)
    unnamed  it is masked, of which the bus has no name (dbus-broker)
    restarts it ends again and again
    silent   it goes on starting

As a program: systemd_standin.py ADDRESS STORY FOLDER [COMMAND ...]; each start that is asked
for is a line of FOLDER/starts, and the command is run by it.
"""
import subprocess
import sys

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # pylint: disable=wrong-import-position

SYSTEMD = "org.freedesktop.systemd1"
ROOT = "/org/freedesktop/systemd1"
UNIT = f"{ROOT}/unit/katana_2dhypervisord_2eservice"
XML = f"""<node><interface name="{SYSTEMD}.Manager"><method name="LoadUnit">
<arg type="s" direction="in"/><arg type="o" direction="out"/></method>
<method name="StartUnit"><arg type="s" direction="in"/><arg type="s" direction="in"/>
<arg type="o" direction="out"/></method></interface>
<interface name="{SYSTEMD}.Unit"><property name="ActiveState" type="s" access="read"/>
<property name="LoadState" type="s" access="read"/>
<property name="InvocationID" type="ay" access="read"/>
<property name="Job" type="(uo)" access="read"/></interface>
<interface name="{SYSTEMD}.Service"><property name="Result" type="s" access="read"/>
<property name="ExecMainStatus" type="i" access="read"/>
<property name="NRestarts" type="u" access="read"/></interface></node>"""
DESTINATION = "org.freedesktop.DBus"


class Systemd:
    def __init__(self, address, story, folder, command):
        flags = (Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
                 Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION)
        self.bus = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
        self.story, self.folder, self.command = story, folder, command
        old = story in ("limit", "late")
        self.active, self.result, self.status = "failed" if old else "inactive", "success", 0
        self.invocation, self.restarts, self.job = b"\1" * 16 if old else b"", 0, 0
        if old:
            self.result, self.status = "exit-code", 1
        node = Gio.DBusNodeInfo.new_for_xml(XML)
        for path, interface in zip((ROOT, UNIT, UNIT), node.interfaces):
            self.bus.register_object(path, interface, self.on_call, self.on_get, None)
        self.bus.signal_subscribe(None, f"{SYSTEMD}.Activator", "ActivationRequest", None, None,
                                  Gio.DBusSignalFlags.NONE, self.on_request)
        self.bus.call_sync(DESTINATION, "/org/freedesktop/DBus", DESTINATION, "RequestName",
                           GLib.Variant("(su)", (SYSTEMD, 0)), None, 0, -1, None)

    def on_call(self, _bus, _sender, _path, _interface, method, arguments, invocation):
        if method == "StartUnit" and self.story != "mended":
            invocation.return_dbus_error(f"{DESTINATION}.Error.AccessDenied", "not this user")
            return
        if method == "StartUnit":
            self.count(arguments.unpack()[0])
            self.active, self.invocation = "activating", b"\3" * 16
            self.run()
        invocation.return_value(GLib.Variant("(o)", (UNIT,)))

    def on_get(self, _bus, _sender, _path, _interface, name):
        masked = self.story in ("masked", "unnamed")
        return {"ActiveState": GLib.Variant("s", self.active),
                "LoadState": GLib.Variant("s", "masked" if masked else "loaded"),
                "InvocationID": GLib.Variant("ay", self.invocation),
                "Job": GLib.Variant("(uo)", (self.job, "/")),
                "Result": GLib.Variant("s", self.result),
                "ExecMainStatus": GLib.Variant("i", self.status),
                "NRestarts": GLib.Variant("u", self.restarts)}[name]

    def on_request(self, _bus, _sender, _path, _interface, _signal, arguments):
        unit = arguments.unpack()[0]
        self.count(unit)
        if self.story == "masked":
            self.fail(unit, f"{SYSTEMD}.UnitMasked", f"Unit {unit} is masked.")
        elif self.story in ("refused", "unnamed"):
            if self.story == "refused":
                self.active, self.result, self.status = "failed", "exit-code", 2
                self.invocation = b"\2" * 16
            self.fail(unit, f"{DESTINATION}.Error.NameHasNoOwner", "Could not activate remote peer")
        elif self.story == "limit":
            self.result = "start-limit-hit"
        else:
            self.active, self.invocation, self.job = "activating", b"\2" * 16, 1
            GLib.timeout_add(500, self.go_on)
        if self.command and self.story != "mended":
            self.run()

    def count(self, unit):
        with open(f"{self.folder}/starts", "a", encoding="ascii") as file:
            file.write(f"{unit}\n")

    def run(self):
        # It goes when this does, however that ends.
        subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *self.command],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def fail(self, unit, name, text):
        self.bus.emit_signal(DESTINATION, ROOT, f"{SYSTEMD}.Activator", "ActivationFailure",
                             GLib.Variant("(sss)", (unit, name, text)))

    def go_on(self):
        self.job = 0
        if self.story in ("broken", "mended"):
            self.active, self.result, self.status = "failed", "exit-code", 2
        elif self.story == "restarts":
            self.result, self.status, self.restarts = "exit-code", 1, self.restarts + 1
        return self.story == "restarts"


if __name__ == "__main__":
    Systemd(*sys.argv[1:4], sys.argv[4:])
    open(f"{sys.argv[3]}/starts", "a", encoding="ascii").close()
    GLib.MainLoop().run()
