#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Instances through their states, with a fake QEMU under the real shim and service."""
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import tap
from harness import MANAGER, NAME, Failed, World, is_alive, status_of, wait_dead


def refused(name, action):
    try:
        action()
    except Failed as error:
        tap.equal(error.name, name, error.message)
        return error.message
    raise AssertionError(f"was not refused with {name}")


def args(*words):
    return "{'katana-args': <" + json.dumps(list(words)).replace('"', "'") + ">}"


class Monitor:
    """gdbus monitor of a world; the states it has seen."""

    def __init__(self, world):
        self.process = subprocess.Popen(
            ["gdbus", "monitor", *world.bus_option(), "--dest", NAME], env=world.env,
            stdout=subprocess.PIPE, text=True)
        self.text = ""
        self.ready = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()
        self.ready.wait(10)

    def read(self):
        for line in self.process.stdout:
            self.text += line
            if "is owned by" in line:
                self.ready.set()

    def states(self):
        """Those of the instance; a job has states too."""
        return re.findall(r"'State': <'(\w+)'>", "\n".join(
            line for line in self.text.splitlines() if f"{NAME}.Job" not in line))

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def lifecycle(session):
    with World(session=session) as world:
        world.start()
        monitor = Monitor(world)
        path = world.create("demo", "{'dev': <true>}")
        world.start_instance(path)
        shown = world.show("demo")
        tap.equal(shown["state"], "running", "state after start")
        tap.check(shown["main_pid"] > 0 and is_alive(shown["main_pid"]), "MainPid lives")
        tap.check(shown["ready_usec"] >= shown["started_usec"] > 0, "times")
        world.stop_instance(path)
        shown = world.show("demo")
        tap.equal((shown["state"], shown["main_pid"]), ("stopped", 0), "after stop")
        folder = world.instance_folder("demo")
        world.call(path, "Instance.Delete", "{}")
        tap.equal(world.list(), [], "list after delete")
        tap.check(not folder.exists(), "the folder is gone")
        tap.eventually(lambda: "deleting" in monitor.states(), 5, "the signals")
        monitor.stop()
        tap.equal(monitor.states(), ["created", "starting", "running", "stopping", "stopped",
                                     "deleting"], "states that gdbus monitor saw")


def session_bus():
    """the lifecycle by gdbus on a session bus, signals in order"""
    lifecycle(session=True)


def system_bus():
    """the lifecycle by gdbus on a system bus as root, signals in order"""
    if os.geteuid() != 0:
        raise tap.Skip("not root")
    lifecycle(session=False)


def introspection():
    """live introspection has the members of the committed XML"""
    import xml.etree.ElementTree as tree
    with World() as world:
        world.start()
        path = world.create("demo")
        image = world.show("demo")["image"]
        job = re.search(r"'(/[^']+)'", world.start_instance(path))[1]
        for where, interface in ((MANAGER, "Manager"), (path, "Instance"), (image, "Image"),
                                 (job, "Job")):
            live = subprocess.run(
                ["gdbus", "introspect", "--session", "--dest", NAME, "--object-path", where,
                 "--xml"], env=world.env, capture_output=True, text=True, timeout=20,
                check=True).stdout
            from harness import SOURCE
            committed = tree.parse(SOURCE / f"dbus-interfaces/{NAME}.{interface}.xml")
            def members(root):
                found = root.find(f".//interface[@name='{NAME}.{interface}']")
                return sorted((one.tag, one.get("name"), one.get("type"), one.get("access"),
                               tuple((a.get("type"), a.get("direction")) for a in
                                     one.findall("arg"))) for one in found
                              if one.tag in ("method", "property", "signal"))
            tap.equal(members(tree.fromstring(live)), members(committed.getroot()), interface)


def killed_qemu():
    """kill -9 of a QEMU: failed within 2 s, and start works again"""
    with World() as world:
        world.start()
        path = world.create("demo")
        world.start_instance(path)
        os.kill(world.show("demo")["main_pid"], signal.SIGKILL)
        shown = world.wait_state("demo", "failed", 2)
        tap.check("signal 9" in shown["state_reason"], shown["state_reason"])
        world.start_instance(path)
        tap.equal(world.show("demo")["state"], "running", "state after the second start")


def killed_shim():
    """kill -9 of a shim takes QEMU with it, and is told apart"""
    with World() as world:
        world.start()
        path = world.create("demo")
        world.start_instance(path)
        pid = world.show("demo")["main_pid"]
        os.kill(int(status_of(pid)["PPid"][0]), signal.SIGKILL)
        shown = world.wait_state("demo", "failed", 5)
        tap.check("shim" in shown["state_reason"], shown["state_reason"])
        wait_dead(pid)
        world.start_instance(path)


def killed_service():
    """kill -9 of the service: the machine runs on and is followed again"""
    with World() as world:
        world.start()
        path = world.create("demo")
        world.start_instance(path)
        pid = world.show("demo")["main_pid"]
        world.service.kill()
        world.service.wait(10)
        tap.check(is_alive(pid), "QEMU outlives the service")
        world.start()
        tap.equal(world.show("demo")["main_pid"], pid, "the same QEMU")
        world.wait_state("demo", "running", 5)
        world.stop_instance(path)
        tap.check(not is_alive(pid), "QEMU has ended")


def shim_without_service():
    """SIGTERM to a shim whose service is gone stops the guest by its control channel"""
    with World() as world:
        world.start()
        path = world.create("demo")
        world.start_instance(path)
        pid = world.show("demo")["main_pid"]
        folder = world.instance_folder("demo")
        world.service.kill()
        world.service.wait(10)
        os.kill(int(status_of(pid)["PPid"][0]), signal.SIGTERM)
        wait_dead(pid)
        tap.eventually((folder / "exit-status").exists, 5, "exit-status")
        tap.equal((folder / "exit-status").read_text(), "exited 0 stopped\n", "exit status")
        tap.check("Teardown" in (folder / "serial.log").read_text(), "the guest was told")
        world.start()
        shown = world.wait_state("demo", "stopped")
        tap.equal((shown["main_pid"], shown["stop_result"]), (0, "graceful"), "the stop")


def endings():
    """every way in which a machine can end has its error"""
    with World("--start-timeout", "5", "--stop-timeout", "1") as world:
        world.start()
        for words, error, says in (
                (("--fake.exit", "3"), "LaunchFailed", "could not set up"),
                (("--fake.fatal", "disk_lost"), "GuestFailed", "disk_lost"),
                (("--fake.refuse",), "GuestFailed", "no data disk"),
                (("--fake.crash-after", "300", "--fake.never-ready"), "LaunchFailed", "crashing")):
            path = world.create("x", args(*words))
            message = refused(error, lambda: world.start_instance(path))
            tap.check(says in message, f"{words}: {message}")
            shown = world.show("x")
            tap.equal((shown["state"], shown["main_pid"]), ("failed", 0), str(words))
            tap.equal(shown["last_error"]["name"], f"{NAME}.Error.{error}", str(words))
            world.call(path, "Instance.Delete", "{}")


def echoed_secret():
    """what a guest repeats of Katana's arguments reaches no property, error or journal line"""
    secret = "0xDEADBEEFCAFE1234"
    with World() as world:
        world.start()
        path = world.create("x", args("--fake.fatal", secret))
        message = refused("GuestFailed",
                          lambda: world.call(path, "Instance.Start", "{}", timeout=30))
        tap.check("[redacted]" in message.split("; its log ends")[0], message)
        everything = json.dumps(world.show("x")) + world.journal()
        tap.check(secret not in everything, everything)


def stolen_port():
    """a port that is taken just before QEMU wants it is told as such"""
    with World() as world:
        world.start()
        path = world.create("x", args("--fake.port-in-use"))
        message = refused("PortUnavailable", lambda: world.start_instance(path))
        tap.check(str(world.show("x")["rpc_port"]) in message, message)


def katana_ends():
    """Katana's end in a living guest: stopped first, then failed with the code"""
    with World("--stop-timeout", "1") as world:
        world.start()
        path = world.create("x", args("--fake.katana-exit", "42"))
        try:
            world.start_instance(path)
        except Failed:
            pass
        shown = world.wait_state("x", "failed", 15)
        tap.check("code 42" in shown["state_reason"], shown["state_reason"])
        tap.equal(shown["main_pid"], 0, "MainPid")


def start_times_out():
    """a call's deadline bounds the call: starting goes on, and can be stopped"""
    with World() as world:
        world.start()
        path = world.create("x", args("--fake.never-ready"))
        late = refused("TimedOut",
                       lambda: world.start_instance(path, "{'timeout-usec': <uint64 1000000>}"))
        log = (world.instance_folder("x") / "serial.log").read_text()
        tap.equal([line.strip() for line in late.split("; its log ends:\n")[1].split("\n")],
                  [line.strip() for line in log.strip().split("\n")[-20:]], "the log's last lines")
        shown = world.show("x")
        tap.equal(shown["state"], "starting", "state")
        tap.check(is_alive(shown["main_pid"]), "QEMU lives")
        refused("InvalidState", lambda: world.call(path, "Instance.Delete", "{}"))
        world.stop_instance(path)
        tap.equal(world.show("x")["state"], "stopped", "state after stop")


def stubborn_guest():
    """a guest that does not stop: quit, then kill, each after its deadline"""
    with World("--stop-timeout", "1") as world:
        world.start()
        for words, reason in ((("--fake.ignore-stop",), "quit"),
                              (("--fake.ignore-stop", "--fake.deaf-monitor"), "killed")):
            path = world.create("x", args(*words))
            world.start_instance(path)
            pid = world.show("x")["main_pid"]
            world.stop_instance(path)
            shown = world.show("x")
            tap.equal(shown["state"], "stopped", str(words))
            tap.check(reason in shown["state_reason"], shown["state_reason"])
            tap.check(not is_alive(pid), "QEMU is dead")
            world.call(path, "Instance.Delete", "{}")


def reset_of_a_paused():
    """a paused machine that is reset is not running before RPC has answered"""
    with World() as world:
        world.start()
        path = world.create("x")
        world.start_instance(path)
        world.call(path, "Instance.Pause", "{}")
        monitor = Monitor(world)
        world.call(path, "Instance.Reset", "{}")
        tap.eventually(lambda: "running" in monitor.states(), 5, "the signals")
        monitor.stop()
        tap.equal(monitor.states(), ["starting", "running"], "states that were announced")


def stop_while_starting():
    """stop, kill and forced delete of what is just starting"""
    with World() as world:
        world.start()
        for action in ("stop", "kill", "delete"):
            path = world.create("x", args("--fake.never-ready"))
            world.start_instance(path, "{'no-wait': <true>}")
            if action == "delete":
                world.call(path, "Instance.Delete", "{'force': <true>}")
                tap.equal(world.list(), [], "list")
                continue
            world.stop_instance(path, "{'mode': <'kill'>}" if action == "kill" else "{}")
            tap.equal(world.show("x")["state"], "stopped", action)
            world.call(path, "Instance.Delete", "{}")


def joins():
    """start of what starts joins it, stop of what is stopped is nothing"""
    with World() as world:
        world.start()
        path = world.create("x")
        world.start_instance(path, "{'no-wait': <true>}")
        world.start_instance(path)
        tap.equal(world.show("x")["state"], "running", "state")
        world.start_instance(path)
        world.stop_instance(path)
        world.stop_instance(path)
        tap.equal(world.show("x")["state"], "stopped", "state")


def keep_data():
    """delete --keep-data leaves data.raw, given to the service's user"""
    with World() as world:
        world.start()
        path = world.create("x")
        world.start_instance(path)
        folder = world.instance_folder("x")
        world.call(path, "Instance.Delete", "{'force': <true>, 'keep-data': <true>}")
        tap.equal(sorted(os.listdir(folder)), ["data.raw"], "what is left")
        tap.equal((folder / "data.raw").stat().st_uid, os.geteuid(), "its owner")


def twenty_creates():
    """twenty parallel creates give twenty ports"""
    with World() as world:
        world.start()
        creates = [subprocess.Popen([str(pathlib.Path(os.environ["KH_BUILD"]) /
                                         "cli/katana-hypervisor"), "create", f"n{i}"],
                                    env=world.env, stdout=subprocess.PIPE) for i in range(20)]
        for one in creates:
            one.communicate(timeout=60)
            tap.equal(one.returncode, 0, "exit code")
        ports = [one["rpc_port"] for one in world.list()]
        tap.equal(len(set(ports)), 20, "different ports")
        uids = {folder.stat().st_uid for folder in (world.state / "instances").iterdir()}
        tap.equal(len(uids), 20 if os.geteuid() == 0 else 1, "different uids")


def failing_create():
    """a failing create leaves no row, no port, no folder, no image"""
    with World() as world:
        world.start()
        part = world.components / "initrd.img"
        for spoil, says in ((part.unlink, "No such file"), (part.touch, "is empty"),
                            (lambda: (part.unlink(), os.mkfifo(part)), "is not a regular file")):
            spoil()
            message = refused("ResourceUnavailable", lambda: world.create("x"))
            tap.check(str(part) in message and says in message, message)
            done = world.cli("create", "x", check=False)
            tap.equal(done.returncode, 1, f"exit code: {done.stderr}")
        tap.equal(world.list(), [], "list")
        for name in ("instances", "images"):
            tap.equal(os.listdir(world.state / name), [], name)


def rebuilt_components():
    """a rebuild is for new instances; a changed byte is refused with both hashes"""
    with World() as world:
        world.start()
        old = world.create("old")
        (world.components / "vmlinuz").write_bytes(b"another")
        world.create("new")
        parts = {one["name"]: {part["part"]: part for part in one["boot_components"]}
                 for one in world.list()}
        tap.check(parts["old"]["vmlinuz"]["sha256"] != parts["new"]["vmlinuz"]["sha256"],
                  "different kernels")
        tap.equal(pathlib.Path(parts["new"]["vmlinuz"]["path"]).read_bytes(), b"another", "new")
        kernel = pathlib.Path(parts["old"]["vmlinuz"]["path"])
        kernel.chmod(0o644)
        kernel.write_bytes(b"x" + kernel.read_bytes()[1:])
        message = refused("IntegrityMismatch", lambda: world.start_instance(old))
        tap.equal(len(set(re.findall(r"\b[0-9a-f]{64}\b", message))), 3, "id and both hashes")
        world.call(old, "Instance.Delete", "{}")
        tap.eventually(lambda: len(os.listdir(world.state / "images")) == 1, 5,
                       "the unused image is gone")


def spam():
    """a guest that prints without end: logs stay bounded, the service answers"""
    with World("--log-size", "256K", "--log-files", "2") as world:
        world.start()
        path = world.create("x", args("--fake.spam"))
        world.start_instance(path)
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            world.show("x")
        folder = world.instance_folder("x")
        size = sum(one.stat().st_size for one in folder.glob("serial.log*"))
        tap.check(size <= 2 * 256 * 1024 + 64 * 1024, f"{size} bytes of log")
        whole = re.compile(rb"^\d{8} spam spam spam$")
        lines = (folder / "serial.log.1").read_bytes().split(b"\n")[:-1]
        tap.check(all(whole.match(line) or b"fake QEMU" in line for line in lines),
                  "no line is broken")
        world.stop_instance(path)


def lost_bus():
    """losing the bus ends nothing that runs"""
    with World() as world:
        world.start()
        path = world.create("x")
        world.start_instance(path)
        pid = world.show("x")["main_pid"]
        world.bus.terminate()
        world.bus.wait(10)
        (world.folder / "bus").unlink(missing_ok=True)
        time.sleep(0.5)
        tap.check(is_alive(pid) and world.service.poll() is None, "both live")
        world.start_bus()
        tap.eventually(world.is_served, 20, "the service is back")
        tap.equal(world.show("x")["main_pid"], pid, "the same QEMU")


class HangingUp:
    """In the place of a world's bus: it hangs up as soon as it has answered Hello."""

    def __init__(self, world):
        world.bus.terminate()
        world.bus.wait(10)
        path = world.folder / "bus"
        path.unlink(missing_ok=True)
        self.calls = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer = self.listener.accept()[0]
            except OSError:
                return
            with peer, peer.makefile("rb") as lines:
                self.greet(peer, lines)

    def greet(self, peer, lines):
        """SASL, then a Hello in little endian, answered with the name ":1.1"."""
        for line in lines:
            word = line.strip(b"\0\r\n")
            if word == b"BEGIN":
                break
            peer.sendall(b"OK " + b"0" * 32 + b"\r\n" if word.startswith(b"AUTH EXTERNAL ") else
                         b"REJECTED EXTERNAL\r\n" if word.startswith(b"AUTH") else
                         b"AGREE_UNIX_FD\r\n")
        length, serial, fields = struct.unpack("<4xIII", lines.read(16))
        lines.read(-fields % 8 + fields + length)
        # A method return with REPLY_SERIAL and SIGNATURE.
        peer.sendall(b"l\2\0\1" + struct.pack("<III", 9, 1, 15) + b"\5\1u\0" +
                     struct.pack("<I", serial) + b"\x08\1g\0\1s\0\0" +
                     struct.pack("<I", 4) + b":1.1\0")
        self.calls += 1
        peer.shutdown(socket.SHUT_RDWR)

    def close(self, world):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        (world.folder / "bus").unlink()


def bus_hangs_up():
    """a bus that is lost while the service connects to it is tried again"""
    with World() as world:
        bus = HangingUp(world)
        world.start(wait=False)
        tap.eventually(lambda: bus.calls >= 6, 15, "six calls of the service")
        bus.close(world)
        world.start_bus()
        tap.eventually(world.is_served, 20, "the service is back")


def second_service():
    """a second service on the same state folder or name is refused"""
    with World() as world:
        world.start()
        second = subprocess.run(world.service_command(), env=world.env, capture_output=True,
                                text=True, timeout=30, check=False)
        tap.equal(second.returncode, 1, "exit code")
        tap.check(str(world.state) in second.stderr, second.stderr)
        places = [f"--{name}={world.folder / name}" for name in ("state-dir", "runtime-dir")]
        other = subprocess.run(world.service_command(*places),
                               env=world.env, capture_output=True, text=True, timeout=30,
                               check=False)
        tap.equal(other.returncode, 1, "exit code of the second on the name")
        tap.check(f"belongs to process {world.service.pid};" in other.stderr, other.stderr)


def odd_state_folder():
    """a state folder with comma, equals sign, blank and 150 characters works"""
    with World() as world:
        odd = world.folder / ("a, b=c " + "x" * 150)
        world.state = odd
        world.start("--state-dir", str(odd))
        path = world.create("x")
        world.start_instance(path)
        world.stop_instance(path)


if __name__ == "__main__":
    sys.exit(tap.run([session_bus, system_bus, introspection, killed_qemu, killed_shim,
                      killed_service, shim_without_service, endings, echoed_secret, stolen_port, katana_ends,
                      start_times_out, stubborn_guest, reset_of_a_paused, stop_while_starting, joins, keep_data,
                      twenty_creates, failing_create, rebuilt_components, spam, lost_bus, bus_hangs_up,
                      second_service, odd_state_folder]))
