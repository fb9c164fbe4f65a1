# SPDX-License-Identifier: MIT
"""All objects of a service as a client knows them that reads once and then follows the signals
(InterfacesAdded, InterfacesRemoved, PropertiesChanged), and what they are in truth.
"""
import functools
import time
import xml.etree.ElementTree as tree

from harness import NAME, SOURCE, Failed, now

from gi.repository import Gio, GLib

PROPERTIES = "org.freedesktop.DBus.Properties"
MANAGER_OF_OBJECTS = "org.freedesktop.DBus.ObjectManager"
ROOT = "/org/katana/Hypervisor"


@functools.cache
def constants(interface):
    """The properties that are marked as such."""
    file = SOURCE / f"dbus-interfaces/{interface}.xml"
    if not file.exists():
        return set()
    return {one.get("name") for one in tree.parse(file).iter("property")
            if any(note.get("value") == "const" for note in one.findall("annotation"))}


class Cache:
    """Made while nothing changes. A value that a signal only invalidates is read again."""

    def __init__(self, bus):
        self.bus = bus
        self.objects = {}
        self.broken = []  # signals of what is said never to change
        self.watch = bus.connection.signal_subscribe(NAME, None, None, None, None,
                                                     Gio.DBusSignalFlags.NONE, self.on_signal)
        self.objects = self.read()

    def read(self):
        return self.bus.call(ROOT, "GetManagedObjects", interface=MANAGER_OF_OBJECTS)

    def on_signal(self, _bus, _sender, path, interface, signal, values):
        values = values.unpack()
        if signal == "InterfacesAdded":
            self.objects.setdefault(values[0], {}).update(values[1])
        elif signal == "InterfacesRemoved":
            for name in values[1]:
                self.objects.get(values[0], {}).pop(name, None)
            if not self.objects.get(values[0]):
                self.objects.pop(values[0], None)
        elif (interface, signal) == (PROPERTIES, "PropertiesChanged"):
            self.change(path, *values)

    def change(self, path, interface, changed, invalidated):
        self.broken += [(interface, name) for name in changed if name in constants(interface)]
        known = self.objects.get(path, {}).get(interface, {})
        known.update(changed)
        for name in invalidated:
            try:
                known[name] = self.bus.call(path, "Get", GLib.Variant("(ss)", (interface, name)),
                                            interface=PROPERTIES)
            except Failed:
                known.pop(name, None)

    def changed_constants(self, before):
        """Those of objects of both moments that are not what they were."""
        return [(path, interface, name) for path, found in self.follow().items()
                for interface, values in found.items() for name in constants(interface)
                if path in before and before[path][interface].get(name) != values.get(name)]

    def follow(self):
        """Takes in what the service has sent up to now: signals come before a later reply."""
        truth = self.read()
        while GLib.MainContext.default().iteration(False):
            pass
        return truth

    def differences(self, seconds=5):
        """(path, interface, property, cached, true) of all that it has wrong, and goes on having
        wrong: what changes between the reading and the signals is right the next time."""
        deadline = now() + seconds
        while (found := self.compare()) and now() < deadline:
            time.sleep(0.1)
        return found

    def compare(self):
        truth = self.follow()
        found = []
        for path in {*truth, *self.objects}:
            mine, true = self.objects.get(path, {}), truth.get(path, {})
            for interface in {*mine, *true}:
                one, other = mine.get(interface, {}), true.get(interface, {})
                found += [(path, interface, name, one.get(name), other.get(name))
                          for name in {*one, *other} if one.get(name) != other.get(name)]
        return found
