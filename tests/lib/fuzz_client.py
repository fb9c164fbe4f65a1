#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""One user of the bus fuzzer, run by test_bus_fuzz.py under a uid of its own:

    fuzz_client.py ROLE SEED PORT-PORT XML...

Several connections send calls without end, those that the service would serve and those that it
must refuse, up to hundreds at once, and vanish in their middle. SIGUSR1 makes them few; SIGTERM
ends that, and what is under way is waited for. A line "FINDING ..." is what the service must not
do: serve one without the right, answer with what its interface does not say, or not at all. The
last line is a summary.
"""
import collections
import os
import random
import signal
import sys
import tempfile

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # pylint: disable=wrong-import-position

import fuzz_values  # pylint: disable=wrong-import-position

NAME = "org.katana.Hypervisor"
ROOT = "/org/katana/Hypervisor"
PROPERTIES = "org.freedesktop.DBus.Properties"
STANDARD = ((PROPERTIES, "Get", "ss"), (PROPERTIES, "GetAll", "s"), (PROPERTIES, "Set", "ssv"),
            ("org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""),
            ("org.freedesktop.DBus.Introspectable", "Introspect", ""),
            ("org.freedesktop.DBus.Peer", "Ping", ""),
            ("org.freedesktop.DBus.Peer", "GetMachineId", ""))
# How often each is called, by those that do it right. What ends a machine is rare: others come
# to nothing else than its end.
WEIGHTS = {"CreateInstance": 10, "Start": 20, "Configure": 24, "OpenLog": 8, "Pause": 6,
           "Resume": 8, "GetConfiguration": 6, "GetEvidence": 6, "Cancel": 2, "FindInstance": 6,
           "ListInstances": 6, "ValidateConfig": 8, "CheckHost": 1, "Stop": 6, "Restart": 5,
           "Reset": 5, "Delete": 12}
ENDINGS = ("Stop", "Restart", "Reset", "Delete", "Cancel")
ENDINGS_PER_S = 5
CHECKS_PER_S = 0.5
# After SIGUSR1, so that the service is not behind: what waits long could not be told from what is
# lost.
SLOW_PER_S = 20
# Of the bus itself, and GDBus's own answers to what is no call of ours.
FOREIGN = {"org.freedesktop.DBus.Error." + name for name in
           ("UnknownMethod", "UnknownInterface", "UnknownObject", "UnknownProperty", "InvalidArgs",
            "PropertyReadOnly", "AccessDenied", "NoReply", "ServiceUnknown", "NameHasNoOwner",
            "LimitsExceeded", "Disconnected")}
# What each may without being an administrator; nobody else may more than what is free.
RIGHTS = {"member": {"create", "operate", "configure", "delete", "read-logs", "attest"}}
PEERS = 6
SENT_PER_TURN = 4
TURN_MS = 4
OPEN_MAX = 20
GONE_MAX = 3
PATIENCE_S = 90  # at the end, when nothing is left that an answer could wait for


class Rate:
    """So many in a second, not more."""

    def __init__(self, per_s):
        self.per_s, self.next = per_s, 0

    def take(self):
        now = GLib.get_monotonic_time() / 1e6
        if now < self.next:
            return False
        self.next = now + 1 / self.per_s
        return True


class Knowledge:
    """What there is on the bus, as far as this user has seen it."""

    def __init__(self):
        self.instances, self.jobs, self.images = [], [], []
        self.keys = {}  # of a configuration: the defaults as variants

    def take(self, objects):
        for kind in ("instances", "jobs", "images"):
            known, now = getattr(self, kind), [path for path in objects if f"/{kind}/" in path]
            # Some that have gone are asked for still.
            known[:] = [path for path in known if path not in now][-GONE_MAX:] + sorted(now)


class Peer:
    """A connection with its calls."""

    def __init__(self, client, life, limit):
        self.client, self.life, self.limit = client, life, limit
        self.under_way, self.closing = 0, False
        address = os.environ["DBUS_SYSTEM_BUS_ADDRESS"]
        flags = (Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
                 Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION)
        self.connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
        self.connection.set_exit_on_close(False)

    def may_send(self):
        return not self.closing and self.life > 0 and self.under_way < self.limit

    def send(self, call):
        self.life -= 1
        if call.silent:
            self.connection.send_message(call.message, Gio.DBusSendMessageFlags.NONE)
            return
        self.under_way += 1
        self.connection.send_message_with_reply(call.message, Gio.DBusSendMessageFlags.NONE,
                                                GLib.MAXINT, None, self.on_reply, call)

    def on_reply(self, connection, result, call):
        self.under_way -= 1
        try:
            reply = connection.send_message_with_reply_finish(result)
        except GLib.Error:
            return  # the connection has been closed
        self.client.judge(call, reply)

    def is_over(self):
        return self.life <= 0 and (self.closing or self.under_way == 0)

    def vanish(self):
        """With all that is under way."""
        self.closing, self.life = True, 0
        self.connection.close(None, None)


Call = collections.namedtuple("Call", "message text method silent served exposes")


class Client:
    def __init__(self, role, seed, ports, files):
        self.role, self.ports = role, ports
        self.dice = random.Random(f"{seed} {role}")
        self.contract = fuzz_values.Contract(files)
        self.methods = [self.contract.methods[key] for key in sorted(self.contract.methods)]
        self.values = fuzz_values.Values(self.dice)
        self.known = Knowledge()
        self.counts, self.findings = collections.Counter(), 0
        self.endings, self.checks = Rate(ENDINGS_PER_S), Rate(CHECKS_PER_S)
        self.steps = Rate(SLOW_PER_S / SENT_PER_TURN)
        self.open = []
        self.loop = GLib.MainLoop()
        self.ending, self.slow, self.looking = False, False, False
        self.eyes = Peer(self, 1 << 62, 1 << 62)
        self.peers = []

    # --- what is sent ---------------------------------------------------------------------

    def name(self):
        return f"{self.role}-{self.dice.randrange(6)}"

    def config(self, fill):
        """Some keys of a configuration, each with a value that can be right."""
        images = [path.rpartition("/")[2] for path in self.known.images]
        makers = fuzz_values.config_values(self.dice, self.ports, images)
        found = {}
        for key, default in self.known.keys.items():
            if self.dice.random() < fill:
                kind = default.get_type_string()
                found[key] = GLib.Variant(kind, makers[key]()) if key in makers else default
        if self.role == "other":
            found["labels"] = GLib.Variant("a{ss}", {"stranger": "was here"})
        return found

    def new_config(self):
        """Small, so that many run; the default of 10 GiB of disk takes long to format."""
        small = {"storage-bytes": GLib.Variant("t", 50 << 20),
                 "memory-bytes": GLib.Variant("t", 128 << 20)}
        secret = fuzz_values.confidential(self.dice) if self.dice.random() < 0.3 else {}
        return GLib.Variant("a{sv}", {**small, **self.config(0.2), **secret})

    def right_arguments(self, method):
        dice = self.dice
        chosen = fuzz_values.options(dice, method.name)
        words = {
            "CreateInstance": lambda: [GLib.Variant("s", self.name()), self.new_config(), chosen],
            "ValidateConfig": lambda: [GLib.Variant("s", dice.choice((self.name(), ""))),
                                       self.new_config()],
            "FindInstance": lambda: [GLib.Variant("s", self.someone())],
            "ListInstances": lambda: [GLib.Variant("as", self.some_properties()), chosen],
            "Configure": lambda: [GLib.Variant("a{sv}", self.config(dice.choice((0.05, 0.1, 0.3)))),
                                  chosen]}
        return words.get(method.name, lambda: [chosen])()

    def someone(self):
        identity = self.dice.choice(self.known.instances or ["/x"]).rpartition("/")[2]
        return self.dice.choice((self.name(), "root-0", identity.replace("_", "-"), identity[:6]))

    def some_properties(self):
        names = self.contract.properties[f"{NAME}.Instance"]
        return self.dice.sample(names, self.dice.randrange(len(names)))

    def right_path(self, interface):
        kinds = {"Manager": [ROOT + "/Manager"], "Image": self.known.images, "Job": self.known.jobs}
        return self.dice.choice(kinds.get(interface.rpartition(".")[2], self.known.instances) or
                                [ROOT + "/Manager"])

    def any_path(self):
        known = [ROOT, ROOT + "/Manager", "/", *self.known.instances, *self.known.images,
                 *self.known.jobs]
        return self.dice.choice(known) if self.dice.random() < 0.8 else self.values.path()

    def right_call(self):
        weights = [WEIGHTS.get(one.name, 5) for one in self.methods]
        method = self.dice.choices(self.methods, weights)[0]
        return self.right_path(method.interface), method, self.right_arguments(method)

    def bend(self, words):
        """One thing is wrong with them, or is another than was meant."""
        dice = self.dice
        kind = dice.randrange(5)
        place = dice.randrange(len(words)) if words else -1
        if kind == 0 and words:
            words[place] = self.values.of(self.values.signature())
        elif kind == 1 and words:
            words[place] = self.values.of(words[place].get_type_string())
        elif kind == 2 and words:
            del words[place]
        elif kind == 3 and words and words[place].get_type_string() == "a{sv}":
            words[place] = self.bend_dictionary(words[place])
        else:
            words.append(self.values.of(self.values.signature()))
        return words

    def bend_dictionary(self, value):
        dice = self.dice
        entries = [value.get_child_value(place) for place in range(value.n_children())]
        for _ in range(dice.choice((1, 1, 2, 30))):
            if entries and dice.random() < 0.3:
                entries.append(dice.choice(entries))
                continue
            known = list(self.known.keys) or ["x"]
            key = dice.choice(known) if dice.random() < 0.7 else self.values.text()
            inner = (self.known.keys[key] if key in self.known.keys and dice.random() < 0.1 else
                     self.values.of(self.values.signature()))
            entries.append(GLib.Variant.new_dict_entry(GLib.Variant("s", key),
                                                       GLib.Variant.new_variant(inner)))
        dice.shuffle(entries)
        return GLib.Variant.new_array(GLib.VariantType("{sv}"), entries)

    def standard_words(self, member, inputs):
        """Properties that are there, of interfaces that are there, as a rule."""
        dice = self.dice
        words = [self.values.of(one) for one in fuzz_values.split(inputs)]
        interface = dice.choice([*self.contract.properties, PROPERTIES, ""])
        if inputs and dice.random() < 0.8:
            words[0] = GLib.Variant("s", interface)
        if member in ("Get", "Set") and dice.random() < 0.8:
            names = self.contract.properties.get(interface) or ["x"]
            words[1] = GLib.Variant("s", dice.choice(names))
        return words

    def choose(self):
        """path, interface, member, arguments, the method where all that is as it should be."""
        dice = self.dice
        kind = dice.random()
        if kind < 0.55:
            path, method, words = self.right_call()
            return path, method.interface, method.name, words, method
        if kind < 0.8:
            path, method, words = self.right_call()
            return path, method.interface, method.name, self.bend(words), method
        if kind < 0.9:
            interface, member, inputs = dice.choice(STANDARD)
            path = ROOT if member == "GetManagedObjects" else self.any_path()
            return path, interface, member, self.standard_words(member, inputs), None
        method = dice.choice(self.methods)
        words = [self.values.of(one) for one in method.inputs]
        interface = dice.choice((method.interface, None, "org.x.Y", f"{NAME}.Manager"))
        member = dice.choice((method.name, method.name, "Nothing", "X" * 255))
        return self.any_path(), interface, member, words, method

    def is_too_much(self, method):
        """What would end every machine at once, or keep two processors busy by itself."""
        if method is None:
            return False
        if method.name in ENDINGS:
            return not self.endings.take()
        return method.name == "CheckHost" and not self.checks.take()

    def descriptors(self):
        """A list to go with a message, which its values may not even name."""
        if self.dice.random() > 0.04:
            return None
        fds = Gio.UnixFDList()
        for _ in range(self.dice.choice((1, 1, 2, 15))):
            kind = self.dice.randrange(4)
            if kind == 0:
                ends = os.pipe()
                fds.append(ends[self.dice.randrange(2)])
                os.close(ends[0])
                os.close(ends[1])
            else:
                fd = os.open(("/dev/null", "/", "/proc/self/status")[kind - 1], os.O_RDONLY)
                fds.append(fd)
                os.close(fd)
        return fds

    def make(self):
        """A Call; None where it is not the time for it."""
        path, interface, member, words, method = self.choose()
        if self.is_too_much(method):
            return None
        message = Gio.DBusMessage.new_method_call(NAME, path, interface, member)
        body = GLib.Variant.new_tuple(*words)
        text = f"{path} {interface}.{member} {body.print_(True)[:600]}"
        served = (method is not None and interface in (method.interface, None) and
                  member == method.name)
        exposes = served and self.reaches_out(method, words)
        message.set_body(body)
        fds = self.descriptors()
        if fds is not None:
            message.set_unix_fd_list(fds)
        flags = self.dice.choice((0, 0, 0, 2, 4, 4, 6, 7)) if self.dice.random() < 0.3 else 2
        message.set_flags(Gio.DBusMessageFlags(flags | 2))
        return Call(message, text, method if served else None, bool(flags & 1), served, exposes)

    @staticmethod
    def reaches_out(method, words):
        """Whether a configuration that is well-typed asks for more than the loopback."""
        if not 0 <= method.exposes < len(words):
            return False
        config = words[method.exposes]
        if config.get_type_string() != "a{sv}":
            return False
        found = config.unpack()
        address = found.get("rpc-address", "127.0.0.1")
        return found.get("outbound") is True or (isinstance(address, str) and
                                                 not address.startswith("127."))

    def noise(self, peer):
        """What is no call: signals and answers that nobody has asked for."""
        kind = self.dice.randrange(3)
        message = Gio.DBusMessage.new_signal(self.any_path(), f"{NAME}.Instance", "Changed")
        if kind:
            message = Gio.DBusMessage()
            message.set_message_type(Gio.DBusMessageType(kind + 1))
            message.set_reply_serial(self.dice.randrange(1, 500))
            if kind == 2:
                message.set_error_name("org.x.Error")
        message.set_destination(NAME)
        message.set_body(GLib.Variant.new_tuple(self.values.of(self.values.signature())))
        peer.connection.send_message(message, Gio.DBusSendMessageFlags.NONE)

    # --- what comes back --------------------------------------------------------------------

    def finding(self, text):
        self.findings += 1
        if self.findings < 50:
            print(f"FINDING {self.role}: {text[:2000]}", flush=True)

    def may(self, call):
        if self.role == "root" or call.method is None or call.method.action == "free":
            return True
        return call.method.action in RIGHTS.get(self.role, ()) and not call.exposes

    def judge(self, call, reply):
        if reply.get_message_type() == Gio.DBusMessageType.ERROR:
            name = reply.get_error_name() or ""
            self.counts[name.rpartition(".")[2]] += 1
            if not name.startswith(NAME + ".Error.") and name not in FOREIGN:
                body = reply.get_body()
                self.finding(f"{call.text} was answered with {name}: {body and body.print_(False)}")
            return
        self.counts["served " + (call.method.name if call.method else "others")] += 1
        if not self.may(call):
            self.finding(f"{call.text} was served")
        signature = "(" + reply.get_signature() + ")"
        if call.method is not None and signature != call.method.output:
            self.finding(f"{call.text} was answered with {signature}")
        self.take_descriptors(reply)

    def take_descriptors(self, reply):
        """Streams are kept for a while, read at times, and closed."""
        fds = reply.get_unix_fd_list()
        if fds is not None:
            self.open += fds.steal_fds()
        while len(self.open) > OPEN_MAX:
            fd = self.open.pop(self.dice.randrange(len(self.open)))
            os.set_blocking(fd, False)
            try:
                os.read(fd, self.dice.choice((1, 4096)))
            except BlockingIOError:
                pass
            os.close(fd)

    # --- the loop ---------------------------------------------------------------------------

    def look(self):
        """What there is now. A service that is away says nothing."""
        if self.looking:
            return not self.ending

        def on_objects(connection, result):
            self.looking = False
            try:
                self.known.take(connection.call_finish(result).unpack()[0])
            except GLib.Error:
                pass

        def on_keys(connection, result):
            try:
                effective = connection.call_finish(result).get_child_value(0)
            except GLib.Error:
                return
            entries = [effective.get_child_value(place) for place in range(effective.n_children())]
            self.known.keys = {one.get_child_value(0).get_string():
                               one.get_child_value(1).get_variant() for one in entries}
        self.looking = True
        call = self.eyes.connection.call
        call(NAME, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", None, None,
             Gio.DBusCallFlags.NO_AUTO_START, 60000, None, on_objects)
        if not self.known.keys:
            call(NAME, ROOT + "/Manager", f"{NAME}.Manager", "ValidateConfig",
                 GLib.Variant("(sa{sv})", ("", {})), None, Gio.DBusCallFlags.NO_AUTO_START, 60000,
                 None, on_keys)
        return not self.ending

    def renew_peers(self):
        for peer in list(self.peers):
            if peer.is_over() and not peer.closing:
                peer.vanish()
            elif not peer.closing and self.dice.random() < 0.0005:
                peer.vanish()
            if peer.closing:
                self.peers.remove(peer)
        while len(self.peers) < PEERS and not self.ending:
            limit = self.dice.choice((1, 1, 4, 16, 64)) if self.dice.random() < 0.97 else 300
            # Root is served first: with many calls it would leave the others without.
            limit = min(limit, 4) if self.slow or self.role == "root" else limit
            self.peers.append(Peer(self, self.dice.choice((1, 30, 300, 3000)), limit))

    def turn(self):
        if self.ending:
            return False
        if self.slow and not self.steps.take():
            return True
        self.renew_peers()
        ready = [peer for peer in self.peers if peer.may_send()]
        for _ in range(SENT_PER_TURN if ready and self.known.keys else 0):
            peer = self.dice.choice(ready)
            if self.dice.random() < 0.01:
                self.noise(peer)
                continue
            call = self.make()
            if call is not None and peer.may_send():
                self.counts["sent"] += 1
                peer.send(call)
        return True

    def begin_slow(self):
        self.slow = True
        for peer in self.peers:
            peer.life = 0
        return True

    def begin_end(self):
        self.ending = True
        self.deadline = GLib.get_monotonic_time() + PATIENCE_S * 1000000
        GLib.timeout_add(50, self.wait_for_answers)
        return False

    def wait_for_answers(self):
        waiting = sum(peer.under_way for peer in self.peers)
        if waiting > 0 and GLib.get_monotonic_time() < self.deadline:
            return True
        if waiting > 0:
            self.finding(f"{waiting} calls have no answer")
        self.loop.quit()
        return False

    def run(self):
        GLib.timeout_add(TURN_MS, self.turn)
        GLib.timeout_add(1000, self.look)
        self.look()
        GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGTERM, self.begin_end)
        GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGUSR1, self.begin_slow)
        self.loop.run()
        summary = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        print(summary, flush=True)
        return 1 if self.findings else 0


def main():
    os.chdir(tempfile.gettempdir())
    role, seed, ports, *files = sys.argv[1:]
    first, last = map(int, ports.split("-"))
    return Client(role, seed, range(first, last + 1), files).run()


if __name__ == "__main__":
    sys.exit(main())
