# SPDX-License-Identifier: MIT
"""An object of the test's own on a world's bus, under a name that somebody else's has else."""
import contextlib
import threading

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # pylint: disable=wrong-import-position

import tap  # pylint: disable=wrong-import-position
from bus import Bus  # pylint: disable=wrong-import-position

DBUS = "org.freedesktop.DBus"


@contextlib.contextmanager
def played(world, name, path, xml, on_call, on_get=None):
    """While this lasts the name has an object with the interfaces of the XML, which answers in a
    thread; the two are Gio.DBusConnection.register_object()'s."""
    context, connection = GLib.MainContext.new(), Bus(world).connection
    loop = GLib.MainLoop.new(context, False)
    started = threading.Event()

    def serve():
        context.push_thread_default()
        for interface in Gio.DBusNodeInfo.new_for_xml(xml).interfaces:
            connection.register_object(path, interface, on_call, on_get, None)
        connection.call_sync(DBUS, "/", DBUS, "RequestName", GLib.Variant("(su)", (name, 0)), None,
                             Gio.DBusCallFlags.NONE, -1, None)
        started.set()
        loop.run()
        context.pop_thread_default()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    tap.check(started.wait(20), f"{name} answers")
    try:
        yield
    finally:
        loop.quit()
        thread.join(20)
        connection.close_sync(None)
