# SPDX-License-Identifier: MIT
"""Values for the bus fuzzer: any of a D-Bus signature, and configurations and options that the
service would take. All of it is decided by the caller's random.Random. Used by fuzz_client.py.
"""
import xml.etree.ElementTree as tree

import gi

gi.require_version("GLib", "2.0")
from gi.repository import GLib  # pylint: disable=wrong-import-position

BASIC = "ybnqiuxtdsog"
BOUNDS = {"y": 8, "n": 16, "q": 16, "i": 32, "u": 32, "x": 64, "t": 64, "h": 32}
SIGNATURES = ("s", "u", "t", "b", "v", "as", "a{sv}", "a{ss}", "ay", "(ss)", "aas", "a(sv)", "d",
              "h", "o", "g", "av", "a{sa{sv}}", "(s(u(ay)))")
TEXTS = ("", "x", "default", "graceful", "kill", "guest", "qemu", "..", "../../etc/passwd", "/",
         "%s%n%s", "'\"\\", "\x1b]0;t\x07\x9b31m", "\u202ex\u2066", "a\nb\tc", "-1", "--fake.exit",
         "18446744073709551616", "\u00e9\U0001f600", "0.0.0.0", "127.0.0.1", "::1", "no", "tcg")
# What a fake QEMU does instead of a machine's work.
FAULTS = (("--fake.exit", "3"), ("--fake.crash-after", "300"), ("--fake.poweroff-after", "500"),
          ("--fake.fatal", "oh"), ("--fake.katana-exit", "7"), ("--fake.refuse",),
          ("--fake.never-ready",), ("--fake.ignore-stop",), ("--fake.deaf-monitor",),
          ("--fake.ignore-term",), ("--fake.port-in-use",), ("--fake.quote",),
          ("--fake.quote-none",), ("--fake.quote-junk",), ("--fake.quote-deep",),
          ("--fake.quote-many",), ("--fake.flood", "states"), ("--fake.flood", "events"),
          ("--fake.flood", "control"), ("--fake.plant", "."))


def split(signature):
    """The single complete types of it."""
    found, rest = [], signature
    while rest:
        length = length_of(rest)
        found.append(rest[:length])
        rest = rest[length:]
    return found


def length_of(signature):
    if signature[0] == "a":
        return 1 + length_of(signature[1:])
    depth = 0
    for place, char in enumerate(signature):
        depth += (char in "({") - (char in ")}")
        if depth == 0:
            return place + 1
    raise AssertionError(signature)


class Method:
    """A method of the interfaces' XML."""

    def __init__(self, interface, node):
        notes = {one.get("name"): one.get("value") for one in node.findall("annotation")}
        self.interface, self.name = interface, node.get("name")
        self.inputs = [one.get("type") for one in node.findall("arg")
                       if one.get("direction") != "out"]
        self.output = "(" + "".join(one.get("type") for one in node.findall("arg")
                                    if one.get("direction") == "out") + ")"
        self.action = notes.get("org.katana.Hypervisor.Action", "free")
        self.exposes = int(notes.get("org.katana.Hypervisor.ExposeArgument", -1))


class Contract:
    """What the interfaces' XML offers."""

    def __init__(self, files):
        self.methods, self.properties = {}, {}
        for file in files:
            for interface in tree.parse(file).getroot().iter("interface"):
                name = interface.get("name")
                for node in interface.iter("method"):
                    self.methods[name, node.get("name")] = Method(name, node)
                self.properties[name] = [one.get("name") for one in interface.iter("property")]


class Values:
    """Any value of any type."""

    def __init__(self, dice):
        self.dice = dice

    def text(self):
        dice = self.dice
        kind = dice.random()
        if kind < 0.7:
            return dice.choice(TEXTS)
        if kind < 0.9:
            return "".join(chr(dice.randrange(1, 0x250)) for _ in range(dice.randrange(40)))
        return dice.choice("ax9-\u00e9") * dice.choice((63, 64, 255, 256, 257, 4097, 70000))

    def number(self, code):
        bits = BOUNDS[code]
        signed = code in "nixh"
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        found = self.dice.choice((0, 1, 2, 1000, low, high, high - 1, self.dice.randint(low, high)))
        return min(max(found, low), high)

    def path(self):
        parts = ("org", "katana", "Hypervisor", "instances", "jobs", "images", "1", "x_y",
                 "Manager", "f" * 64)
        return "/" + "/".join(self.dice.choice(parts) for _ in range(self.dice.randrange(6)))

    def signature(self):
        return self.dice.choice(SIGNATURES)

    def basic(self, code):
        simple = {"s": self.text, "o": self.path, "g": self.signature,
                  "b": lambda: self.dice.random() < 0.5,
                  "d": lambda: self.dice.choice((0.0, -1.5, float("nan"), float("inf"), 1e308))}
        value = simple[code]() if code in simple else self.number(code)
        return GLib.Variant(code, value)

    def of(self, signature, depth=0):
        """A value of this single complete type."""
        if signature[0] == "v":
            inner = self.of(self.signature() if depth < 4 else self.dice.choice(BASIC), depth + 1)
            return GLib.Variant.new_variant(inner)
        if signature[0] == "a":
            count = self.dice.choice((0, 1, 1, 2, 3, 40)) if depth < 3 else 0
            return GLib.Variant.new_array(GLib.VariantType(signature[1:]),
                                          [self.of(signature[1:], depth + 1) for _ in range(count)])
        if signature[0] == "(":
            return GLib.Variant.new_tuple(*[self.of(part, depth + 1)
                                            for part in split(signature[1:-1])])
        if signature[0] == "{":
            key, value = split(signature[1:-1])
            return GLib.Variant.new_dict_entry(self.of(key), self.of(value, depth + 1))
        return self.basic(signature)


# Keys as ValidateConfig tells them, with what it would take. A key that is not here gets its
# default.
def config_values(dice, ports, images):
    return {
        "vcpus": lambda: dice.randint(1, 4), "memory-bytes": lambda: dice.choice((128, 256)) << 20,
        "storage-bytes": lambda: dice.choice((50, 50, 64)) << 20,
        "rpc-port": lambda: dice.choice((0, 0, dice.choice(ports))),
        "rpc-address": lambda: dice.choice(("127.0.0.1", "127.0.0.2", "127.0.0.1", "0.0.0.0")),
        "dev": lambda: dice.random() < 0.3,
        "chain-id": lambda: dice.choice(("", "KATANA", "x" * 31)),
        "block-time": lambda: dice.choice((0, 100, 86400000)), "accounts": lambda: 0,
        "no-fee": lambda: False, "accelerator": lambda: dice.choice(("auto", "tcg", "tcg", "kvm")),
        "katana-args": lambda: words(dice), "labels": lambda: labels(dice),
        "outbound": lambda: dice.random() < 0.1, "image": lambda: dice.choice(("default", *images)),
        "start-at-boot": lambda: dice.random() < 0.5,
        "restart-policy": lambda: dice.choice(("no", "on-failure", "always")),
        "cpu-quota-percent": lambda: dice.choice((0, 1, 50, 25500)),
        "tee": lambda: dice.random() < 0.3,
        "vcpu-type": lambda: dice.choice(("EPYC-v4", "EPYC-Milan")),
        "sealed": lambda: False,
    }


def words(dice):
    if dice.random() < 0.01:
        return ["--x=" + "y" * 4000] * 64
    faults = dice.choice(FAULTS) if dice.random() < 0.4 else ()
    return [*faults, *(["--secret.key=0x" + "5ec2e7" * 4] if dice.random() < 0.3 else [])]


def confidential(dice):
    """What a machine needs that gives evidence, of whatever worth."""
    return {"tee": GLib.Variant("b", True), "accelerator": GLib.Variant("s", "auto"),
            "dev": GLib.Variant("b", False), "vcpu-type": GLib.Variant("s", "EPYC-v4"),
            "katana-args": GLib.Variant("as", [dice.choice(("--fake.quote", "--fake.quote-many",
                                                            "--fake.quote-huge"))])}


def labels(dice):
    if dice.random() < 0.02:
        return {f"{number:063}": "v" * 256 for number in range(32)}
    return {dice.choice("abcd"): dice.choice(("", "1", "\u00e9", "v" * 256))
            for _ in range(dice.randrange(4))}


# Options by method: (name, type, values).
TIMEOUTS = ("timeout-usec", "t", (1000000, 2000000, 3600000000))
NO_WAIT = ("no-wait", "b", (True, True, False))
MODE = ("mode", "s", ("graceful", "kill"))
FORCE = ("force", "b", (True, True, False))
OPTIONS = {
    "Start": (TIMEOUTS, NO_WAIT), "Reset": (TIMEOUTS, NO_WAIT),
    "Stop": (TIMEOUTS, MODE, NO_WAIT), "Restart": (TIMEOUTS, MODE, NO_WAIT),
    "Delete": (FORCE, ("keep-data", "b", (False, False, False, True)), NO_WAIT),
    "CreateInstance": (("allow-dev", "b", (True,)), ("force", "b", (True, False))),
    "ListInstances": (("limit", "u", (0, 1, 3, 1000)), ("cursor", "s", ("/", "/org/katana"))),
    "GetConfiguration": (("qemu-args", "b", (True, False)),),
    "OpenLog": (("source", "s", ("guest", "qemu")), ("lines", "u", (0, 1, 100, 1 << 31)),
                ("follow", "b", (True, True, False)), ("boot", "i", (0, -1, 1, -(1 << 31)))),
    "GetEvidence": (("block", "t", (0, 7)), ("prev", "t", (6,)), ("genesis", "b", (True, False))),
}


def options(dice, method):
    known = OPTIONS.get(method, ())
    chosen = [one for one in known if dice.random() < 0.4]
    return GLib.Variant("a{sv}", {name: GLib.Variant(kind, dice.choice(values))
                                  for name, kind, values in chosen})
