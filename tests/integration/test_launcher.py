#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What both launchers promise, through the bus: the same tests for either.

Run by meson with launcher=direct on a bus of its own, and by tests/boot/test_systemd.py
inside a booted system, where the installed service has the launcher that LAUNCHER names.
"""
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import tap
from harness import Failed, World, is_alive, wait_dead

UNIT = "katana-hypervisord.service"


class Direct(World):
    """A service of our own; machines are its children."""

    launcher = "direct"

    def kill_service(self, meanwhile=lambda: None):
        self.service.kill()
        self.service.wait(10)
        meanwhile()
        self.start()

    def restart_service(self):
        self.service.terminate()
        tap.equal(self.service.wait(20), 0, "the service's exit code")
        self.start()

    def stop_machine(self, shim, _id):
        os.kill(shim, signal.SIGTERM)

    def traces(self, _id):
        return []


class Installed(World):
    """The installed service of this booted system."""

    def __init__(self):  # pylint: disable=super-init-not-called
        self.launcher = os.environ["LAUNCHER"]
        self.session, self.user, self.children, self.service = False, None, [], None
        self.env = dict(os.environ, KATANA_HYPERVISOR_BUS="system", LC_ALL="C.UTF-8")
        self.tools = pathlib.Path("/usr/bin")

    def start(self, *_):
        return self

    def journal(self):
        return systemctl("status", "--lines=50", UNIT, check=False)

    def main_pid(self):
        return int(systemctl("show", "-P", "MainPID", UNIT))

    def wait_restarted(self, old):
        tap.eventually(lambda: self.main_pid() not in (0, old), 20, "another service process")
        tap.eventually(lambda: systemctl("is-active", UNIT, check=False) == "active", 20,
                       "the service is active")

    def kill_service(self, meanwhile=lambda: None):
        old = self.main_pid()
        os.kill(old, signal.SIGKILL)
        meanwhile()  # systemd waits for a second
        self.wait_restarted(old)

    def restart_service(self):
        old = self.main_pid()
        systemctl("restart", UNIT)
        self.wait_restarted(old)

    def stop_machine(self, shim, machine):
        if self.launcher == "systemd":
            systemctl("stop", f"katana-vm-{machine}.service")
        else:
            os.kill(shim, signal.SIGTERM)

    def traces(self, machine):
        """The unit, or the control group, that the machine has left."""
        if self.launcher == "systemd":
            return systemctl("list-units", "--all", "--plain", "--no-legend",
                             f"katana-vm-{machine}.service", "katana-tool-*").split()
        return list(pathlib.Path("/sys/fs/cgroup").rglob(f"katana-vm-{machine}*"))

    def close(self):
        self.delete_all()


def systemctl(*words, check=True):
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=100,
                          check=False)
    if check:
        tap.equal(done.returncode, 0, f"systemctl {words}: {done.stderr}")
    return done.stdout.strip()


WORLD = None


def faulty(*arguments):
    return "{'katana-args': <[%s]>}" % ", ".join(f"'{word}'" for word in arguments)


class One:
    """An instance that is deleted afterwards, without a trace."""

    def __init__(self, name, *arguments, start=True):
        self.name = name
        self.path = WORLD.create(name, faulty(*arguments) if arguments else "{}")
        self.id = self.path.rsplit("/", 1)[1].replace("_", "-")
        if start:
            WORLD.start_instance(self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        WORLD.cli("delete", "--force", "-y", self.name)
        self.check_gone()

    def check_gone(self):
        tap.eventually(lambda: not WORLD.traces(self.id), 10,
                       f"nothing is left of {self.name}: {WORLD.traces(self.id)}")

    def pid(self):
        return WORLD.show(self.name)["main_pid"]

    def shim(self):
        stat = pathlib.Path(f"/proc/{self.pid()}/stat").read_text(encoding="utf-8")
        return int(stat.rsplit(")", 1)[1].split()[1])

    def wait(self, state, seconds=20):
        return WORLD.wait_state(self.name, state, seconds)

    def reason(self):
        found = WORLD.show(self.name)
        return f"{found['state_reason']} {found['last_error']}"


def test_name():
    """the bus says which launcher it is"""
    tap.equal(json.loads(WORLD.cli("--json", "status").stdout)["launcher"], WORLD.launcher, "launcher")


def test_lifecycle():
    """start, stop, start again; nothing is left of a stopped one"""
    with One("life") as one:
        pid, shim = one.pid(), one.shim()
        WORLD.stop_instance(one.path)
        tap.equal(WORLD.show("life")["state"], "stopped", "state")
        wait_dead(pid)
        wait_dead(shim)
        one.check_gone()
        WORLD.start_instance(one.path)
        tap.check(one.pid() not in (0, pid), "another process")


def test_qemu_killed():
    """SIGKILL to QEMU: failed, saying so; it can be started again"""
    with One("killed") as one:
        os.kill(one.pid(), signal.SIGKILL)
        one.wait("failed")
        tap.check("signal 9" in one.reason(), one.reason())
        one.check_gone()
        WORLD.start_instance(one.path)


def test_shim_killed():
    """SIGKILL to the shim: QEMU dies with it, and the state is failed"""
    with One("headless") as one:
        pid = one.pid()
        os.kill(one.shim(), signal.SIGKILL)
        wait_dead(pid)
        one.wait("failed")
        one.check_gone()
        WORLD.start_instance(one.path)


def test_service_killed():
    """SIGKILL to the service: the machine lives on, is adopted and can be stopped"""
    with One("orphan") as one:
        pid, shim = one.pid(), one.shim()
        WORLD.kill_service()
        one.wait("running")
        tap.equal((one.pid(), one.shim()), (pid, shim), "pids")
        WORLD.stop_instance(one.path)
        wait_dead(pid)


def test_service_restarted():
    """an orderly restart of the service leaves the machine alone"""
    with One("restarted") as one:
        pid = one.pid()
        WORLD.restart_service()
        one.wait("running")
        tap.equal(one.pid(), pid, "pid")


def test_dead_meanwhile():
    """what ended while the service was killed is known to have failed"""
    with One("meanwhile") as one:
        shim = one.shim()

        def let_end():
            os.kill(shim, signal.SIGCONT)
            wait_dead(shim)

        # The end is seen by the shim only, and that when the service is gone.
        os.kill(shim, signal.SIGSTOP)
        os.kill(one.pid(), signal.SIGKILL)
        WORLD.kill_service(let_end)
        one.wait("failed")
        tap.check("signal 9" in one.reason(), one.reason())
        one.check_gone()


def test_qemu_that_ends_at_once():
    """a QEMU that ends at once: the start fails with its code"""
    with One("short", "--fake.exit", "3", start=False) as one:
        try:
            WORLD.start_instance(one.path)
            tap.check(False, "the start has succeeded")
        except Failed as failure:
            tap.check("3" in failure.message, failure.message)
        tap.equal(WORLD.show("short")["state"], "failed", "state")
        one.check_gone()


def test_folder_of_another():
    """a folder that another shim holds: the start is refused before anything is touched"""
    with One("locked", start=False) as one:
        folder = os.open(WORLD.instance_folder("locked"), os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            WORLD.start_instance(one.path)
            tap.check(False, "the start has succeeded")
        except Failed as failure:
            tap.equal(failure.name, "LaunchFailed", failure.message)
            tap.check("Another machine already runs in" in failure.message, failure.message)
        finally:
            os.close(folder)
        one.check_gone()
        WORLD.start_instance(one.path)


def test_forced_stop():
    """a guest that ignores everything is stopped by force"""
    with One("deaf", "--fake.ignore-stop", "--fake.ignore-term", "--fake.deaf-monitor") as one:
        pid = one.pid()
        began = time.monotonic()
        WORLD.stop_instance(one.path, "{'mode': <'kill'>}")
        tap.check(time.monotonic() - began < 10, "it took too long")
        tap.equal(WORLD.show("deaf")["state"], "stopped", "state")
        wait_dead(pid)
        one.check_gone()


def test_stopped_from_outside():
    """the shim, or its unit, is stopped by another: that is a stop and no failure"""
    with One("outside") as one:
        WORLD.stop_machine(one.shim(), one.id)
        one.wait("stopped")
        one.check_gone()
        WORLD.start_instance(one.path)


def test_many_at_once():
    """ten machines start and stop at the same time"""
    many = [One(f"many{n}", start=False) for n in range(10)]
    failures = []

    def turn(one):
        try:
            for _ in range(2):
                WORLD.start_instance(one.path)
                WORLD.stop_instance(one.path)
        except Failed as failure:
            failures.append(failure)

    threads = [threading.Thread(target=turn, args=[one]) for one in many]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in many:
        one.__exit__()
    tap.equal(failures, [], "failures")


def world():
    return Installed() if "LAUNCHER" in os.environ else Direct("--launcher", "direct")


if __name__ == "__main__":
    with world() as WORLD:
        WORLD.start()
        code = tap.run()
    sys.exit(code)
