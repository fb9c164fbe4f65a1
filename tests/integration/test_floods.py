#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""One local user without any right against the service and all others who use it: what he
floods, and what he makes it answer.
"""
import json
import subprocess
import sys
import time

import flooded
import many
import tap
from bus import ROOT, Bus, Gio, GLib, variants
from harness import MANAGER, NAME, Failed, as_root

SECONDS = 6
# The labels that one instance may have at most.
FULL = {f"{number:063}": "v" * 256 for number in range(32)}
FULL_CONFIG = f"{{'labels': <{GLib.Variant('a{ss}', FULL).print_(False)}>}}"


def check_flood(world, kind, connections):
    """Another user is served, root can start a machine, and the service stays what it was."""
    before, held = flooded.memory(world), flooded.descriptors(world)
    flood = flooded.Flood(world, kind, connections, SECONDS)
    world.cli("start", "n0")
    flood.look()
    waits = flood.measure()
    answers, errors = flood.end()
    world.cli("stop", "n0")
    tap.note(f"{kind}: {answers} answers, {errors} of them errors; {flooded.describe(waits)}; "
             f"{before}, {flood.peak} KiB, {flood.descriptors} descriptors")
    tap.check(answers > 0, "the attacker was heard")
    tap.equal(waits["errors"], [], "errors of another user")
    tap.check(len(waits["service"]) > 0, "another user was answered")
    # The bus itself is slow under a flood; the service was deaf for 15 s. One long answer, of which
    # it reads 2 KiB at a time, is under way when the flood begins: one call may wait for its end.
    *others, longest = sorted(waits["service"])
    tap.check(longest < SECONDS + 3 and (not others or flooded.percentile(others, 0.99) <
                                         flooded.percentile(waits["bus"], 0.99) + 3),
              f"{flooded.describe(waits)}")
    tap.check(flood.peak - before < 96 << 10, f"{before} KiB have become {flood.peak}")
    tap.check(flood.descriptors < held + 64, f"{flood.descriptors} descriptors")
    tap.eventually(lambda: flooded.memory(world) - before < 16 << 10, 30, "memory given back")


def b121_floods():
    """a user who calls without a pause, whatever he calls, keeps nobody else waiting"""
    as_root()
    with many.many(300, session=False) as world:
        many.start(world, 300)
        for kind, connections in (*flooded.ATTACKS, ("list", 20), ("introspect", 20),
                                  ("properties", 20), ("silent", 20), ("ping", 40),
                                  ("absent", 40), ("denied", 40), ("path", 20),
                                  ("texts", 20)):
            check_flood(world, kind, connections)


def b121_short_texts():
    """lists of many short texts are kept as the bytes that they count as, and given back"""
    as_root()
    with many.many(1, session=False) as world:
        many.start(world, 1)
        before = flooded.memory(world)
        flood = flooded.Flood(world, "texts", 20, SECONDS)
        while flood.attacker.poll() is None:
            flood.look()
            time.sleep(0.05)
        tap.check(flood.end()[0] > 0, "the attacker was heard")
        tap.note(f"{before}, {flood.peak} KiB")
        tap.check(flood.peak - before < 64 << 10, f"{before} KiB have become {flood.peak}")
        tap.eventually(lambda: flooded.memory(world) - before < 8 << 10, 30, "memory given back")


def b121_many_values():
    """calls of more values than any method uses are refused before the time for their bytes"""
    as_root()
    with many.many(1, session=False) as world:
        many.start(world, 1)
        flood = flooded.Flood(world, "pairs", 8, SECONDS)
        answers, errors = flood.end()
        peak = flooded.memory(world, "VmHWM")
        tap.note(f"{flood.before}, {peak} KiB; {answers} answers, {errors} of them errors")
        tap.equal(answers - errors, 8, "answers, those to Hello, that are no refusals")
        # GDBus has read one at a time, and made of it what takes 150 MiB.
        tap.check(peak - flood.before < 256 << 10, f"it has grown to {peak} KiB")
        tap.eventually(lambda: flooded.memory(world) - flood.before < 16 << 10, 60,
                       "memory given back")


def b121_end_under_a_flood():
    """the service ends, and does not wait for an answer of the bus that is behind a flood"""
    as_root()
    with many.many(1, session=False) as world:
        many.start(world, 1)
        flood = flooded.Flood(world, "pairs", 8, SECONDS)
        time.sleep(3)
        tap.equal(world.end_service(seconds=15), 0, "the exit code")
        flood.end()


def b121_descriptors_of_a_session():
    """where no bus keeps descriptors away, a call with some is refused, and they are closed"""
    with many.many(1) as world:
        bus = Bus(many_started(world, 1))
        before = flooded.descriptors(world)
        for _ in range(50):
            with open("/dev/null", "rb") as null:
                fds = Gio.UnixFDList.new()
                fds.append(null.fileno())
                try:
                    bus.connection.call_with_unix_fd_list_sync(
                        NAME, MANAGER, f"{NAME}.Manager", "FindInstance",
                        GLib.Variant("(s)", ("n0",)), None, 0, 20000, fds, None)
                    raise AssertionError("it was served")
                except GLib.Error as error:
                    tap.check("descriptors" in error.message and "LimitExceeded" in error.message,
                              error.message)
        tap.eventually(lambda: flooded.descriptors(world) <= before, 30, "descriptors are closed")
        bus.close()


def many_started(world, count):
    many.start(world, count)
    return world


def refusal(call, *arguments):
    """The name of the error that it is refused with."""
    try:
        call(*arguments)
    except Failed as error:
        return error.name
    raise AssertionError("it was not refused")


def all_objects(bus):
    return bus.call(ROOT, "GetManagedObjects", interface="org.freedesktop.DBus.ObjectManager")


def page(bus, *properties, **options):
    types = {"limit": "u", "cursor": "s"}
    values = {key: GLib.Variant(types[key], value) for key, value in options.items()}
    return bus.call(MANAGER, "Manager.ListInstances",
                    GLib.Variant("(asa{sv})", (list(properties), values)))


def b122_answers_over_the_limit():
    """an answer longer than the bus takes: it is refused by name, and the service stays on the
    bus"""
    as_root()
    with many.many(3600, session=False, config=FULL_CONFIG) as world:
        bus = Bus(many_started(world, 3600))
        owner = bus.connection.get_unique_name()
        tap.equal(refusal(all_objects, bus), "LimitExceeded", "all objects")
        tap.equal(refusal(page, bus), "LimitExceeded", "all instances")
        tap.equal(len(page(bus, "Name", "State")), 3600, "two properties of all")
        tap.equal(len(page(bus, limit=1000)), 1000, "a page with everything")
        tap.equal(len(json.loads(world.cli("list", "--json").stdout)), 3600, "the list verb")
        tap.equal(refusal(lambda: bus.create("x", labels={"a": "b"})), "LimitExceeded", "a label")
        bus.create("x")
        tap.equal(bus.connection.get_unique_name(), owner, "our connection")
        tap.check("connection to the bus was lost" not in world.journal(), "its connection")
        bus.close()


def b122_labels_in_sum():
    """the labels of all instances are bounded in the sum, of those that are made and changed"""
    count = (4 << 20) // sum(len(key) + len(value) + 24 for key, value in FULL.items())
    with many.many(count, config=FULL_CONFIG) as world:
        bus = Bus(many_started(world, count))
        tap.equal(refusal(lambda: bus.create("y", labels=FULL)), "LimitExceeded", "one more")
        other = bus.create("y")
        tap.equal(refusal(lambda: bus.configure(other, labels=FULL)), "LimitExceeded", "a change")
        tap.equal(refusal(lambda: bus.call(
            MANAGER, "Manager.ValidateConfig",
            GLib.Variant("(sa{sv})", ("z", variants({"labels": FULL}))))), "LimitExceeded",
                  "what would be made")
        bus.configure(bus.call(MANAGER, "Manager.FindInstance", GLib.Variant("(s)", ("n0",))),
                      labels={"a": "b"})
        bus.configure(other, labels=FULL)
        all_objects(bus)
        bus.close()


def b122_pages():
    """pages have every instance once, in the order of their paths, whatever comes and goes"""
    with many.many(23) as world:
        bus = Bus(many_started(world, 23))
        everything = page(bus, "Name")
        tap.equal(list(everything), sorted(everything), "the order")
        tap.equal(list(page(bus, "Name", limit=23)), list(everything), "one page")
        seen, last = [], {}
        while not seen or len(last) == 5:
            last = page(bus, "Name", limit=5, **({"cursor": seen[-1]} if seen else {}))
            seen += last
            if len(seen) == 10:
                bus.do(seen[-1], "Delete", force=True)
        tap.equal(seen, list(everything), "all pages")
        tap.equal(page(bus, limit=5, cursor=seen[-1]), {}, "after the last")
        for options in ({"limit": 0}, {"cursor": ""}, {"cursor": "/"}, {"cursor": MANAGER}):
            tap.equal(refusal(lambda: page(bus, **options)), "InvalidArgument", f"{options}")
        tap.equal(page(bus, "Name", cursor=ROOT + "/instances/"), page(bus, "Name"), "from the first")
        bus.close()


def b122_tree():
    """the tree of objects is what GDBus would say of it, and follows each change"""
    with many.many(3) as world:
        bus = Bus(many_started(world, 3))
        path = bus.create("x")
        for _ in range(2):
            tap.equal(bus.properties(path), all_objects(bus)[path][f"{NAME}.Instance"], "properties")
            bus.configure(path, labels={"a": "b"})
        tap.equal(all_objects(bus)[path][f"{NAME}.Instance"]["Labels"], {"a": "b"}, "a change")
        tree = subprocess.run(["busctl", f"--address={bus_address(world)}", "tree", "--list", NAME],
                              capture_output=True, text=True, timeout=60, check=True).stdout
        wanted = {"/", "/org", "/org/katana", ROOT, ROOT + "/instances", ROOT + "/images"}
        tap.equal(set(tree.split()), wanted | set(all_objects(bus)), "busctl's tree")
        said = subprocess.run(["gdbus", "introspect", "--address", bus_address(world), "--dest", NAME,
                               "--object-path", path], capture_output=True, text=True, timeout=60,
                              check=True).stdout
        for interface in (f"{NAME}.Instance", "org.freedesktop.DBus.Properties",
                          "org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.Peer"):
            tap.check(f"interface {interface} " in said, f"{interface} in {said}")
        bus.do(path, "Delete", force=True)
        tap.check(path not in all_objects(bus), "a deleted one")
        bus.close()


def bus_address(world):
    return world.env["DBUS_SESSION_BUS_ADDRESS"]


if __name__ == "__main__":
    sys.exit(tap.run([b121_floods, b121_short_texts, b121_many_values, b121_end_under_a_flood,
                      b121_descriptors_of_a_session, b122_answers_over_the_limit,
                      b122_labels_in_sum, b122_pages, b122_tree]))
