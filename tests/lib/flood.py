# SPDX-License-Identifier: MIT
"""A hostile client of the bus: it calls the service without a pause, over many connections.

usage: flood.py ADDRESS KIND CONNECTIONS SECONDS [WINDOW]

Each connection has WINDOW calls (256) under way at once, sent as bytes that were made before,
with a serial number of their own. KIND is one of KINDS. It prints how many of its calls were
answered, and how many of the answers were errors. A process of its own, for a user of its own:
used by test_floods.py and tests/bench/run.
"""
import array
import errno
import os
import selectors
import socket
import struct
import sys
import time

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # pylint: disable=wrong-import-position

NAME = "org.katana.Hypervisor"
ROOT = "/org/katana/Hypervisor"
MANAGER = ROOT + "/Manager"
BUS = "org.freedesktop.DBus"
DESCRIPTORS = 16
# Path, interface, method, arguments.
KINDS = {
    "objects": (ROOT, f"{BUS}.ObjectManager", "GetManagedObjects", None),
    "introspect": (ROOT + "/instances", f"{BUS}.Introspectable", "Introspect", None),
    "list": (MANAGER, f"{NAME}.Manager", "ListInstances", GLib.Variant("(asa{sv})", ([], {}))),
    "large": (MANAGER, f"{NAME}.Manager", "FindInstance", GLib.Variant("(s)", ("x" * 500000,))),
    "properties": (MANAGER, f"{BUS}.Properties", "GetAll",
                   GLib.Variant("(s)", (f"{NAME}.Manager",))),
    "silent": (MANAGER, f"{BUS}.Properties", "GetAll",
               GLib.Variant("(s)", (f"{NAME}.Manager",))),
    "path": (ROOT + "/" + "x" * 500000, f"{BUS}.Introspectable", "Introspect", None),
    "texts": (MANAGER, f"{NAME}.Manager", "CheckHost",
              GLib.Variant("(a{sv})", ({"x": GLib.Variant("as", [""] * 60000)},))),
    "pairs": (MANAGER, f"{NAME}.Manager", "CheckHost",
              GLib.Variant("(a{sv})", ({"x": GLib.Variant("a(y)", [(1,)] * 500000)},))),
    "ping": (MANAGER, f"{BUS}.Peer", "Ping", None),
    "absent": (ROOT + "/nothing", f"{NAME}.Manager", "FindInstance", GLib.Variant("(s)", ("x",))),
    "denied": (MANAGER, f"{BUS}.Properties", "Set",
               GLib.Variant("(ssv)", (f"{NAME}.Manager", "Version", GLib.Variant("s", "x")))),
    "descriptors": (MANAGER, f"{NAME}.Manager", "FindInstance", GLib.Variant("(s)", ("x",))),
}


def message(kind):
    """The call's bytes, little-endian, without its serial."""
    path, interface, member, arguments = KINDS[kind]
    call = Gio.DBusMessage.new_method_call(NAME, path, interface, member)
    flags = Gio.DBusMessageFlags.NO_AUTO_START
    if kind == "silent":
        flags |= Gio.DBusMessageFlags.NO_REPLY_EXPECTED
    call.set_flags(flags)
    call.set_byte_order(Gio.DBusMessageByteOrder.LITTLE_ENDIAN)
    call.set_serial(1)
    if arguments is not None:
        call.set_body(arguments)
    if kind == "descriptors":
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        call.set_unix_fd_list(Gio.UnixFDList.new_from_array([null] * DESCRIPTORS))
    return bytearray(call.to_blob(Gio.DBusCapabilityFlags.UNIX_FD_PASSING))


class Flooder:
    """One connection, read and written as the bus lets it."""

    def __init__(self, path, kind, window):
        self.kind, self.window = kind, window
        self.call = message(kind)
        self.serial, self.waiting = 2, 0
        self.answers = self.errors = 0
        self.unsent, self.unread = memoryview(b""), bytearray()
        self.null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.greet()
        self.socket.setblocking(False)

    def greet(self):
        uid = str(os.geteuid()).encode().hex().encode()
        self.socket.sendall(b"\0AUTH EXTERNAL " + uid + b"\r\n")
        self.socket.recv(4096)
        self.socket.sendall(b"NEGOTIATE_UNIX_FD\r\n")
        self.socket.recv(4096)
        self.socket.sendall(b"BEGIN\r\n")
        hello = Gio.DBusMessage.new_method_call(BUS, "/org/freedesktop/DBus", BUS, "Hello")
        hello.set_serial(1)
        self.socket.sendall(hello.to_blob(Gio.DBusCapabilityFlags.NONE))

    def send(self):
        """As much as the socket takes; one call at a time, for its descriptors."""
        while self.unsent or self.waiting < self.window:
            if not self.unsent:
                self.serial += 1
                self.waiting += self.kind != "silent"
                struct.pack_into("<I", self.call, 8, self.serial)
                self.unsent = memoryview(bytes(self.call))
                more = self.with_descriptors() if self.kind == "descriptors" else []
            else:
                more = []
            try:
                self.unsent = self.unsent[self.socket.sendmsg([self.unsent], more):]
            except OSError as error:
                # Of descriptors that nobody has taken yet a user has a limit, too.
                if error.errno not in (errno.EAGAIN, errno.ETOOMANYREFS):
                    raise
                if more:
                    self.waiting -= 1
                    self.unsent = memoryview(b"")
                return

    def with_descriptors(self):
        fds = array.array("i", [self.null] * DESCRIPTORS)
        return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]

    def receive(self):
        """Counts the messages by their headers; D-Bus Specification, "Message Format"."""
        try:
            self.unread += self.socket.recv(1 << 20)
        except BlockingIOError:
            return
        at = 0
        while len(self.unread) - at >= 16:
            kind = self.unread[at + 1]
            body, _, fields = struct.unpack_from("<III", self.unread, at + 4)
            length = 16 + (fields + 7) // 8 * 8 + body
            if len(self.unread) - at < length:
                break
            at += length
            self.waiting -= kind in (2, 3)
            self.answers += kind in (2, 3)
            self.errors += kind == 3
        del self.unread[:at]

    def step(self, events):
        if events & selectors.EVENT_READ:
            self.receive()
        self.send()


def main():
    path = sys.argv[1].removeprefix("unix:path=").split(",")[0]
    kind, count, seconds = sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    window = int(sys.argv[5]) if len(sys.argv) > 5 else 256
    with selectors.DefaultSelector() as selector:
        flooders = [Flooder(path, kind, window) for _ in range(count)]
        for one in flooders:
            selector.register(one.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, one)
        print("flooding", flush=True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for key, events in selector.select(0.1):
                key.data.step(events)
    print(sum(one.answers for one in flooders), sum(one.errors for one in flooders), flush=True)


if __name__ == "__main__":
    main()
