# SPDX-License-Identifier: MIT
"""A root booted by systemd-nspawn, with commands run in its namespaces. Used by
booted.py and test_systemd.py. Neither machined nor a running systemd is needed on the host."""
import os
import pathlib
import signal
import subprocess

import tap
from control_group import ControlGroup

# Before the container's own deadlines, so that theirs are told.
SHUTDOWN_S = 120


class Container:
    def __init__(self, root, log, *options):
        self.log = log
        # With --keep-unit it takes the group "payload" below that in which it is started.
        self.group = ControlGroup()
        self.process = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--boot", f"--directory={root}", "--register=no",
             "--keep-unit", "--private-network", "--machine=katana-test", "--console=pipe",
             *options], stdin=subprocess.DEVNULL, stdout=open(log, "wb"),
            stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=self.group.enter)
        self.leader = tap.eventually(self.find_leader, 20, "the first process of the container")

    def tail(self):
        return pathlib.Path(self.log).read_text(errors="replace")[-2000:]

    def find_leader(self):
        """systemd-nspawn's only child, once it has become systemd."""
        tap.check(self.process.poll() is None, "systemd-nspawn ended:\n" + self.tail())
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in children.read_text(encoding="ascii").split():
            if self.program_of(pid).endswith(b"/systemd"):
                return pid
        return None

    @staticmethod
    def program_of(pid):
        """Its first word; that of systemd-nspawn itself as long as it has not become systemd."""
        try:
            return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
        except FileNotFoundError:
            return b""

    def run(self, *command, check=True, timeout=60, text=None):
        """A command as root inside; its output."""
        words = ["nsenter", f"--target={self.leader}", "--all", "--root", "--wd", *command]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False,
                              env=env, input=text)
        if check:
            tap.check(done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
                                            f"{done.stderr}")
            return done.stdout
        return done

    def wait_running(self):
        """Until systemd has started all, and nothing has failed."""
        def state():
            done = self.run("systemctl", "is-system-running", check=False)
            found = done.stdout.strip()
            return found if found in ("running", "degraded") else None
        found = tap.eventually(state, 60, "the system is up")
        tap.equal(found, "running", self.run("systemctl", "--failed", "--no-pager"))

    def power_off(self):
        """As systemctl poweroff; returns when all is down."""
        self.process.terminate()
        tap.equal(self.process.wait(SHUTDOWN_S), 0, "systemd-nspawn's exit code")
        self.group.remove()

    def end(self):
        """Whatever state it is in."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(SHUTDOWN_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self.group.remove()
