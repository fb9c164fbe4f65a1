# SPDX-License-Identifier: MIT
"""A service of the test's own: it has the bus name, and answers each method on whichever object
with whatever it is told, of the right type or not."""
import threading

import dbus
import dbus.lowlevel
import dbus.mainloop.glib
from gi.repository import GLib

from harness import NAME

ROOT = "/org/katana/Hypervisor"
INSTANCE = f"{ROOT}/instances/one"
PROPERTIES = "org.freedesktop.DBus.Properties"
HANDLED, OTHERS = (dbus.lowlevel.HANDLER_RESULT_HANDLED,
                   dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED)


def properties(**values):
    """As GetAll gives them."""
    return "a{sv}", dbus.Dictionary(values, signature="sv")


class Refused(Exception):
    """An answer that is an error: its name without the prefix, and its sentence."""


class StandIn:
    """While it is entered the name is its own. The answers are by member, or by object and member;
    each is a signature and values, or a function of the message that gives them."""

    def __init__(self, world, **answers):
        self.world, self.bus = world, None
        self.answers = {"FindInstance": ("o", dbus.ObjectPath(INSTANCE)), **answers}
        self.calls = []
        self.loop = GLib.MainLoop()

    def __enter__(self):
        dbus.mainloop.glib.threads_init()
        address = self.world.env["DBUS_SESSION_BUS_ADDRESS"]
        self.bus = dbus.bus.BusConnection(address, mainloop=dbus.mainloop.glib.DBusGMainLoop())
        self.bus.add_message_filter(self.on_message)
        threading.Thread(target=self.loop.run, daemon=True).start()
        self.own()
        return self

    def own(self):
        self.bus.request_name(NAME)

    def leave(self):
        self.bus.release_name(NAME)

    def __exit__(self, *_):
        self.loop.quit()
        self.bus.close()

    def on_message(self, _bus, message):
        if (not isinstance(message, dbus.lowlevel.MethodCallMessage) or
                message.get_sender() == "org.freedesktop.DBus"):
            return OTHERS
        member, path = message.get_member(), message.get_path()
        self.calls.append(member)
        answer = self.answers.get((path, member), self.answers.get(member))
        try:
            found = answer(message) if callable(answer) else answer
            if found is not None:
                self.reply(message, found)
        except Refused as refused:
            name, text = refused.args
            self.bus.send_message(dbus.lowlevel.ErrorMessage(message, f"{NAME}.Error.{name}", text))
        return HANDLED

    def reply(self, message, answer):
        signature, *values = answer
        reply = dbus.lowlevel.MethodReturnMessage(message)
        if signature:
            reply.append(*values, signature=signature)
        self.bus.send_message(reply)

    def changed(self, path, interface, **values):
        signal = dbus.lowlevel.SignalMessage(path, PROPERTIES, "PropertiesChanged")
        signal.append(f"{NAME}.{interface}", values, [], signature="sa{sv}as")
        self.bus.send_message(signal)
