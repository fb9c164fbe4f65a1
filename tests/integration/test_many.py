#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Thousands of instances: what a start, a new bus and one change cost, and that what is not made
anew each time is still true.
"""
import contextlib
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys

import many
import tap
from bus import ROOT, Bus, Gio, GLib
from harness import BUILD, MANAGER, NAME, World, as_root
from live import edit, live, refused, running, service_dies

FEW, MANY = 300, 4800
# Of the processor's time for both; a square is 256, beside what else there is to do.
RATIO_MAX = 64


def time_used(world, action, count):
    """Of the service's processor, by what it does for the action."""
    before = many.processor_seconds(world.service.pid) if world.service.poll() is None else 0
    action(world, count)
    return many.processor_seconds(world.service.pid) - before


def costs(count):
    """Processor seconds of a start and of a new bus."""
    with many.many(count) as world:
        return [time_used(world, action, count) for action in (many.start, many.lose_bus)]


def b99_linear():
    """a start and a new bus take time by the number of instances, not by its square"""
    few, lot = costs(FEW), costs(MANY)
    tap.note(f"{FEW} and {MANY} instances: start {few[0]:.3f} and {lot[0]:.3f} s, "
             f"new bus {few[1]:.3f} and {lot[1]:.3f} s")
    for name, one, other in zip(("start", "new bus"), few, lot):
        tap.check(other < one * RATIO_MAX, f"{name}: {other:.3f} s after {one:.3f} s")


def images(bus):
    """{id: names of what is said to use it}"""
    objects = bus.call(ROOT, "GetManagedObjects",
                       interface="org.freedesktop.DBus.ObjectManager")
    names = {path: found[f"{NAME}.Instance"]["Name"] for path, found in objects.items()
             if f"{NAME}.Instance" in found}
    found = [one[f"{NAME}.Image"] for one in objects.values() if f"{NAME}.Image" in one]
    return {one["Id"]: [names[path] for path in one["InUseBy"]] for one in found}


class Listener:
    """A connection that gets every signal of the service, and weighs it."""

    def __init__(self, world):
        self.bus, self.signals = Bus(world), []
        self.bus.connection.add_filter(self.weigh)
        self.bus.connection.signal_subscribe(NAME, None, None, None, None, 0, lambda *_: None)

    def weigh(self, _, message, incoming):
        if incoming and message.get_message_type() == Gio.DBusMessageType.SIGNAL:
            size = len(message.to_blob(Gio.DBusCapabilityFlags.NONE))
            self.signals.append((message.get_path(), size, message.get_body().unpack()))
        return message

    def heard(self, action):
        """The signals from this call on, up to its answer."""
        self.signals.clear()
        action()
        self.bus.properties(MANAGER, "Manager")
        return list(self.signals)


def b129_users_are_not_broadcast():
    """a broadcast that grows with all there is: who uses an image is said to those who ask"""
    with live() as (world, bus):
        listener = Listener(world)
        path = bus.create("first")
        image = bus.properties(path)["Image"]
        weight = {}
        for count in (1, 101):
            while len(bus.list("State")) < count:
                bus.create(f"n{len(bus.list('State'))}")
            for name, action in (("create", lambda: bus.create("last")),
                                 ("delete", lambda: bus.do(path_of(bus, "last"), "Delete"))):
                heard = listener.heard(action)
                weight[name, count] = sum(size for _, size, _ in heard)
                tap.equal([body for path, _, body in heard if path == image],
                          [(f"{NAME}.Image", {}, ["InUseBy"])], f"of the image, {name}")
        for name in ("create", "delete"):
            tap.check(weight[name, 101] < weight[name, 1] + 500, f"bytes of signals: {weight}")
        listener.bus.close()


def b128_default_range():
    """limits that contradict each other: by default there are ports for all instances"""
    shown = subprocess.run([str(BUILD / "service/katana-hypervisord"), "--help"], text=True,
                           capture_output=True, timeout=20, check=True).stdout
    first, last = map(int, re.search(r"--port-range.*default: (\d+)-(\d+)", shown).groups())
    tap.equal((first, last), (5050, 25049), "the default range")
    tap.check(last - first + 1 >= 2 * 10000, "two ports for each of 10,000 instances")
    tap.check(last < 32768, "below those that the kernel gives to outgoing connections")


def b128_ports_run_out():
    """an error that leaves one alone: it names setting, file and range, and who has the ports"""
    with World() as world:
        settings = world.folder / "config" / "katana-hypervisor.conf"
        first = world.ports[0]
        settings.write_text(f"[hypervisor]\nport-range={first}-{first + 2}\n", encoding="utf-8")
        world.options = world.options[2:]
        bus = Bus(world.start())
        paths = [bus.create(name) for name in "ab"]
        with socket.create_server(("127.0.0.1", first + 2)):
            said = refused("PortUnavailable", lambda: bus.create("c"))
            tap.check(f"No port from {first} to {first + 2} is free on 127.0.0.1" in said and
                      "instances have 2 of the 3, other programs the rest" in said and
                      f"a wider port-range in {settings} " in said, said)
        bus.create("c")
        said = refused("PortUnavailable", lambda: bus.create("d"))
        tap.check("instances have 3 of the 3; delete one" in said, said)
        bus.do(paths[1], "Delete")
        tap.equal(bus.properties(bus.create("d"))["RpcPort"], first + 1, "the lowest free port")
        bus.close()


def path_of(bus, name):
    return bus.call(MANAGER, "Manager.FindInstance", GLib.Variant("(s)", (name,)))


def kept(client, name):
    """What a proxy keeps, once it has read what was sent to it."""
    while GLib.MainContext.default().iteration(False):
        pass
    return client.get_cached_property(name)


def b129_asked_again():
    """a value that was true once: a client that keeps properties forgets who used an image"""
    with live() as (world, bus):
        first = bus.create("first")
        client = Gio.DBusProxy.new_sync(bus.connection, 0, None, NAME,
                                        bus.properties(first)["Image"], f"{NAME}.Image", None)
        tap.equal(client.get_cached_property("InUseBy").unpack(), [first], "kept by a client")
        second = bus.create("second")
        tap.eventually(lambda: kept(client, "InUseBy") is None, 10, "nothing is kept")
        tap.equal(bus.properties(client.get_object_path(), "Image")["InUseBy"], [first, second],
                  "all properties")
        value = GLib.Variant("(ss)", (f"{NAME}.Image", "InUseBy"))
        tap.equal(bus.call(client.get_object_path(), "Get", value,
                           interface="org.freedesktop.DBus.Properties"), [first, second], "one")
        tap.check(client.get_cached_property("Parts") is not None, "what never changes is kept")


def create_more(world, count):
    bus = Bus(world)
    for number in range(count):
        bus.create(f"more{number}")
    bus.close()


def cost_of_creates(count):
    """Processor seconds of 100 creates beside so many, of which no port is left in between."""
    with many.many(count, "--port-range", f"{many.FIRST_PORT}-65535") as world:
        many.start(world, count)
        create_more(world, 1)
        world.cli("delete", "-y", "more0")
        return time_used(world, create_more, 100)


def b129_creates_are_linear():
    """a create that takes longer the more there are"""
    few, lot = (cost_of_creates(count) for count in (FEW, MANY))
    tap.note(f"100 creates beside {FEW} and {MANY} instances: {few:.3f} and {lot:.3f} s")
    tap.check(lot < few * 1.7, f"{lot:.3f} s after {few:.3f} s")


def renew_components(world):
    (world.components / "vmlinuz").write_bytes(b"another" * 1000)


def b99_users_of_images():
    """who uses an image is said of creates, changes, ends, deletions and of a new bus"""
    with live() as (world, bus):
        paths = {name: running(bus, name) for name in "ab"}
        old = next(iter(images(bus)))
        renew_components(world)
        paths["c"] = bus.create("c")
        new = next(one for one in images(bus) if one != old)
        tap.equal(images(bus), {old: ["a", "b"], new: ["c"]}, "after creates")
        bus.configure(paths["a"], image=new)
        tap.equal(images(bus), {old: ["a", "b"], new: ["c", "a"]}, "after a change that waits")
        bus.do(paths["a"], "Stop")
        tap.equal(images(bus), {old: ["b"], new: ["c", "a"]}, "after its machine's end")
        bus.do(paths["c"], "Delete")
        tap.equal(images(bus), {old: ["b"], new: ["a"]}, "after a deletion")
        tap.equal(bus.properties(MANAGER, "Manager")["RunningCount"], 1,
                  "RunningCount")
        service_dies(world)
        world.start()
        tap.equal(images(bus), {old: ["b"], new: ["a"]}, "after a start of the service")
        bus.do(paths["b"], "Delete", force=True)
        tap.equal(images(bus), {new: ["a"]}, "after the last one's deletion")


def b99_pending_of_a_dead_service():
    """a change that waited for an end which no service has noted is shown as it holds"""
    with live() as (world, bus):
        path = bus.create("x", vcpus=1)
        old = next(iter(images(bus)))
        renew_components(world)
        new = bus.properties(bus.create("y"))["Image"].rsplit("/", 1)[1]
        service_dies(world)
        edit(world, "UPDATE instances SET state='stopped', pending=replace(config, ?, ?), "
                    "pending_image=? WHERE name='x'", old, new, new)
        world.start()
        tap.eventually(lambda: images(bus) == {new: ["x", "y"]}, 5, "users of images")
        tap.equal(bus.properties(path)["Image"].rsplit("/", 1)[1], new, "its image")


class Notified:
    """What a service tells systemd."""

    def __init__(self, world):
        self.path = world.folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(20)

    def read(self):
        """One message, by its keys."""
        return dict(re.findall(r"^(\w+)=(.*)$", self.socket.recv(4096).decode(), re.M))

    def close(self):
        self.socket.close()


def b99_asks_for_time():
    """systemd is asked for time as long as the start lasts, and no longer"""
    with World() as world:
        notified = Notified(world)
        world.start(env={"NOTIFY_SOCKET": str(notified.path)})
        first, last = notified.read(), notified.read()
        tap.check(int(first["EXTEND_TIMEOUT_USEC"]) >= 10000000 and first["STATUS"],
                  f"the first words: {first}")
        while "READY" not in last:
            tap.check("EXTEND_TIMEOUT_USEC" in last, f"words: {last}")
            last = notified.read()
        tap.equal(last, {"READY": "1", "STATUS": ""}, "the word that it is ready")
        many.lose_bus(world, 0)
        world.end_service()
        tap.check("STOPPING" in notified.read(), "nothing between start and end")
        notified.close()


def main_thread_seconds(world):
    """Of the processor, that the service's main loop has used."""
    pid = world.service.pid
    with open(f"/proc/{pid}/task/{pid}/schedstat", encoding="ascii") as times:
        return int(times.read().split()[0]) / 1e9


@contextlib.contextmanager
def sleepers(count):
    """So many processes more on this host."""
    script = f"for i in $(seq {count}); do sleep 300 & done; echo; wait"
    with subprocess.Popen(["setsid", "sh", "-c", script], stdout=subprocess.PIPE) as shell:
        shell.stdout.readline()
        try:
            yield
        finally:
            os.killpg(shell.pid, signal.SIGKILL)


def b170_processes_of_the_host():
    """a look at every process of the host for each create, by a service that answers nobody then"""
    as_root()
    with live() as (world, bus):
        def create(first, count=30):
            begun = main_thread_seconds(world)
            for number in range(first, first + count):
                bus.create(f"n{number}")
            return main_thread_seconds(world) - begun
        create(0)
        alone = create(30)
        with sleepers(1500):
            among = create(60)
        tap.note(f"30 creates: {alone:.3f} s, with 1,500 processes {among:.3f} s")
        tap.check(among < 2 * alone, f"{among:.3f} s after {alone:.3f} s")


@contextlib.contextmanager
def locked(world):
    """The database, by another program."""
    with contextlib.closing(sqlite3.connect(world.state / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def b171_failed_changes():
    """what is free is what the database says, after a change that it did not take, too"""
    with live() as (world, bus):
        first = world.ports[0]
        path = bus.create("a")
        with locked(world):
            refused("Busy", lambda: bus.configure(path, rpc_port=first + 1))
            refused("Busy", lambda: bus.create("b", rpc_port=first + 2))
        tap.equal([bus.properties(bus.create(name))["RpcPort"] for name in "bc"],
                  [first + 1, first + 2], "the lowest free ports")
        said = refused("PortUnavailable", lambda: bus.configure(path, rpc_port=first + 1))
        tap.check('belongs to the instance "b"' in said, said)
        bus.configure(path, rpc_port=first + 3)
        tap.equal(bus.properties(bus.create("d"))["RpcPort"], first, "what was given up")


def main():
    return tap.run([b99_linear, b99_users_of_images, b99_pending_of_a_dead_service,
                    b99_asks_for_time, b128_default_range, b128_ports_run_out,
                    b129_users_are_not_broadcast, b129_asked_again, b129_creates_are_linear,
                    b170_processes_of_the_host, b171_failed_changes])


if __name__ == "__main__":
    sys.exit(main())
