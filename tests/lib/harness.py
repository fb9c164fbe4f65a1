# SPDX-License-Identifier: MIT
"""A service on a bus of its own, for the integration tests.

Everything lies below one temporary folder: bus socket, state, runtime folder, copies of the
programs (other users must be able to reach them). What was started is ended
by its process id.
"""
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import tap
from sockets import is_listened_to

BUILD = pathlib.Path(os.environ.get("KH_BUILD", "build")).resolve()
SOURCE = pathlib.Path(__file__).resolve().parents[2]
# Below what the kernel gives to outgoing connections, away from the service's own default.
PORTS = range(25200, 32600, 200)
# Claims of uids, shared by all services of the host.
LOCKS = pathlib.Path("/run/katana-hypervisor/uids")
NAME = "org.katana.Hypervisor"
MANAGER = "/org/katana/Hypervisor/Manager"
# The service that a test can kill at any step; built with the option crash_points.
ARMED = "katana-hypervisord-crash-points"

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>{kind}</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>{policy}
</busconfig>
"""
SESSION_POLICY = """<policy context="default"><allow user="*"/><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/><allow own="*"/></policy>"""
# The rules of a distribution's system bus, with the policy files of service and polkit.
SYSTEM_POLICY = f"""<policy context="default"><allow user="*"/><deny own="*"/>
<deny send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/>
<allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/>
<allow receive_type="error"/><allow receive_type="signal"/>
<allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
</policy>
<includedir>/usr/share/dbus-1/system.d</includedir>
<include>{SOURCE}/data/{NAME}.conf</include>"""


def as_root():
    if os.geteuid() != 0:
        raise tap.Skip("not root")


def components():
    """The boot components with the stand-in, built once."""
    output = BUILD / "boot-components"
    with open(BUILD / "boot-components.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (output / "build-info.txt").exists():
            subprocess.run([str(SOURCE / "boot-components/build.sh"), "--output", str(output)],
                           check=True, timeout=900, stdout=subprocess.DEVNULL)
    return output


def lock_ports():
    """A slice of PORTS for one world: its lock and the range. The lock is a socket's name, which
    is as wide as ports are (this network namespace) and goes with the process that has it."""
    for first in PORTS:
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0kh-test-ports-{first}")
        except OSError:
            lock.close()
            continue
        return lock, range(first, first + PORTS.step)
    raise AssertionError("every slice of ports is in use by a test")


class Failed(Exception):
    """A bus error: .name without the prefix, and the message."""

    def __init__(self, text):
        found = re.search(r"GDBus\.Error:([\w.]+): (.*)", text, re.S)
        self.name = found[1].removeprefix(NAME + ".Error.") if found else "?"
        self.message = found[2].strip() if found else text
        super().__init__(text)


class World:
    """One bus, one service, one client."""
    bus_words = ()  # of its dbus-daemon

    def __init__(self, *options, session=True, fake=True, components=None, user=None, build=BUILD):
        """Its programs are those of the build, whose place install() gives to another's."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kh-test-"))
        self.folder.chmod(0o711)
        self.lock, self.ports = lock_ports()
        self.session, self.user = session, user
        self.options = ["--port-range", f"{self.ports[0]}-{self.ports[-1]}", *options]
        self.children = []
        self.service = None
        self.set_places()
        self.make_components(components)
        self.make_tools(build)
        if fake:
            self.options += ["--qemu", str(self.tools / "fake-qemu")]
        self.start_bus()

    def set_places(self):
        self.state = self.folder / "data" / "hypervisor"
        self.runtime = self.folder / "run"
        for folder in (self.folder / "data", self.runtime, self.folder / "config"):
            folder.mkdir()
            if self.user is not None:
                os.chown(folder, self.user, self.user)
        self.env = dict(os.environ, XDG_DATA_HOME=str(self.folder / "data"),
                        XDG_RUNTIME_DIR=str(self.runtime), LC_ALL="C.UTF-8",
                        XDG_CONFIG_HOME=str(self.folder / "config"),
                        G_SLICE="always-malloc")

    def make_components(self, components):
        self.components = self.folder / "components"
        if components is not None and self.user is None:
            self.components = components
        elif components is not None:
            shutil.copytree(components, self.components)
        else:
            self.components.mkdir()
            for part in ("vmlinuz", "initrd.img"):
                (self.components / part).write_bytes(part.encode() * 1000)

    def make_tools(self, build):
        self.tools = self.folder / "tools"
        self.tools.mkdir()
        self.tools.chmod(0o755)
        shutil.copy(SOURCE / "tests/integration/fake-qemu", self.tools)
        (self.tools / "fake-qemu").chmod(0o755)
        self.install(build)

    def install(self, build):
        """As a package does it: what runs keeps the file that it was started from."""
        programs = ("service/launch/katana-hypervisor-shim", "service/katana-hypervisord",
                    f"service/{ARMED}", "cli/katana-hypervisor")
        for program in (build / name for name in programs):
            if program.name == ARMED and not program.exists():
                continue
            new = self.tools / (program.name + ".new")
            shutil.copy(program, new)
            new.chmod(0o755)
            new.rename(self.tools / program.name)

    def start_bus(self):
        path = self.folder / "bus"
        config = self.folder / "bus.conf"
        kind = "session" if self.session else "system"
        policy = SESSION_POLICY if self.session else SYSTEM_POLICY
        config.write_text(BUS_CONFIG.format(kind=kind, path=path,
                                            policy=policy + self.bus_rules()))
        self.bus = self.spawn(["dbus-daemon", f"--config-file={config}", "--nofork",
                               "--nopidfile", "--nosyslog", *self.bus_words], user=None,
                              stderr=subprocess.DEVNULL)
        tap.eventually(lambda: is_listened_to(path), 10, "the bus")
        path.chmod(0o777)
        variable = "DBUS_SESSION_BUS_ADDRESS" if self.session else "DBUS_SYSTEM_BUS_ADDRESS"
        self.env[variable] = f"unix:path={path}"
        self.env["KATANA_HYPERVISOR_BUS"] = "session" if self.session else "system"

    def bus_rules(self):
        """More of its configuration."""
        return ""

    def spawn(self, command, user="service", env=None, **options):
        uid = self.user if user == "service" else user
        if uid is not None:
            options.update(user=uid, group=uid, extra_groups=[])
        child = subprocess.Popen(command, env=dict(self.env, **(env or {})),
                                 stdin=subprocess.DEVNULL, **options)
        self.children.append(child)
        return child

    def service_command(self, *more, program="katana-hypervisord"):
        places = ["--session"] if self.session else [
            "--state-dir", str(self.state), "--runtime-dir", str(self.runtime / "katana-hypervisor")]
        return [str(self.tools / program), "--shim",
                str(self.tools / "katana-hypervisor-shim"), "--boot-components",
                str(self.components), *places, *self.options, *more]

    def start(self, *more, program="katana-hypervisord", env=None, wait=True):
        with open(self.folder / "service.log", "ab") as log:
            self.service = self.spawn(self.service_command(*more, program=program), env=env,
                                      stderr=log)
        if wait:
            tap.eventually(self.is_served, 20, "the service; it said:\n" + self.journal())
        return self

    def start_armed(self, point):
        """The service that ends by SIGKILL when it comes to this point."""
        if not (self.tools / ARMED).exists():
            raise tap.Skip("built without the option crash_points")
        return self.start(program=ARMED, env={"KH_CRASH_AT": point})

    def end_service(self, number=signal.SIGTERM, seconds=20):
        """Ends the service by a signal; its machines live on. Returns its exit code."""
        self.service.send_signal(number)
        return self.service.wait(seconds)

    def is_served(self):
        tap.check(self.service.poll() is None, "the service ended:\n" + self.journal())
        return b"true" in subprocess.run(
            ["gdbus", "call", *self.bus_option(), "--dest", "org.freedesktop.DBus",
             "--object-path", "/", "--method", "org.freedesktop.DBus.NameHasOwner", NAME],
            env=self.env, capture_output=True, timeout=20, check=False).stdout

    def journal(self):
        return text_of(self.folder / "service.log")

    def bus_option(self):
        return ["--session"] if self.session else ["--system"]

    def call(self, path, method, *arguments, user=None, timeout=90):
        """gdbus call; its output. Raises Failed."""
        options = {"user": user, "group": user, "extra_groups": []} if user else {}
        done = subprocess.run(
            ["gdbus", "call", *self.bus_option(), "--dest", NAME, "--object-path", path,
             "--timeout", str(timeout), "--method", f"{NAME}.{method}", *arguments],
            env=self.env, capture_output=True, text=True, timeout=timeout + 10, check=False,
            **options)
        if done.returncode != 0:
            raise Failed(done.stderr)
        return done.stdout.strip()

    def create(self, name, config="{}", **options):
        text = self.call(MANAGER, "Manager.CreateInstance", name, config, "{}", **options)
        return re.search(r"'(/[^']+)'", text)[1]

    def start_instance(self, path, options="{}"):
        return self.call(path, "Instance.Start", options)

    def stop_instance(self, path, options="{}"):
        return self.call(path, "Instance.Stop", options)

    def cli(self, *arguments, check=True, text=None, user=None):
        options = {"user": user, "group": user, "extra_groups": []} if user else {}
        done = subprocess.run([str(self.tools / "katana-hypervisor"), *arguments], env=self.env,
                              input=text, capture_output=True, text=True, timeout=180,
                              check=False, **options)
        if check:
            tap.equal(done.returncode, 0, f"{arguments}: {done.stderr}")
        return done

    def show(self, name):
        return json.loads(self.cli("--json", "show", name).stdout)

    def list(self):
        return json.loads(self.cli("--json", "list").stdout)

    def wait_state(self, name, state, seconds=20):
        def now():
            found = self.show(name)
            return found if found["state"] == state else None
        return tap.eventually(now, seconds, f"{name} is {state}")

    def instance_folder(self, name):
        return pathlib.Path(self.show(name)["data_directory"])

    def delete_all(self):
        names = self.cli("--json", "list", check=False).stdout or "[]"
        for one in json.loads(names):
            self.cli("delete", "--force", "-y", one["name"], check=False)

    def processes(self):
        """Those that have to do with its machines: shims, QEMUs and what helps them."""
        folder, own = str(self.folder), {child.pid for child in self.children}
        pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        return {pid for pid in pids - own - {os.getpid()}
                if (folder in command_of(pid) or link_of(pid, "cwd").startswith(folder)) and
                is_alive(pid)}

    def uid_locks(self):
        """The uids that are claimed for its state folder. Other worlds' claims come and go."""
        return {int(name) for name in listed(LOCKS)
                if name.isdigit() and text_of(LOCKS / name) == str(self.state)}

    def kill_all(self, spare=None):
        """Children first, lest the service starts what is killed after it."""
        for child in reversed(self.children):
            if child is not spare and child.poll() is None:
                child.kill()
                child.wait(20)
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def drop_uid_locks(self):
        for uid in self.uid_locks() if os.geteuid() == 0 else ():
            (LOCKS / str(uid)).unlink(missing_ok=True)

    def abandon(self):
        """Ends what a failed test has left, whatever state it is in. Raises nothing: what is
        to be told is why the test has failed."""
        for step in (self.kill_all, self.drop_uid_locks, self.lock.close):
            try:
                step()
            except Exception as error:  # pylint: disable=broad-except
                tap.note(f"clean-up, {step.__name__}: {error!r}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self):
        """Ends the machines, then the service and the bus."""
        if self.service is not None and self.service.poll() is None:
            self.delete_all()
            self.service.send_signal(signal.SIGTERM)
            tap.equal(self.service.wait(20), 0, "the service's exit code: " + self.journal())
        for child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
                child.wait(20)
        self.lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            try:
                self.close()
            except BaseException:
                self.give_up()
                raise
        else:
            self.give_up()

    def give_up(self):
        print("# the service said:")
        for line in self.journal().splitlines()[-30:]:
            print("#   " + line)
        self.abandon()


def listed(folder):
    """The names in it; none where it is not there."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def text_of(path):
    """What it says; nothing where it has gone or cannot be read."""
    try:
        return pathlib.Path(path).read_text(errors="replace")
    except OSError:
        return ""


def link_of(pid, name):
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:
        return ""


def command_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(
            errors="replace")
    except OSError:
        return ""


def status_of(pid):
    """/proc/PID/status as a dictionary of words."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: line.split(":", 1)[1].split() for line in lines}


def is_alive(pid):
    try:
        return status_of(pid)["State"][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_sanitized(pid):
    """Whether it runs under a sanitizer, which is slow and keeps what was freed."""
    return "libasan" in pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")


def wait_dead(pid, seconds=10):
    tap.eventually(lambda: not is_alive(pid), seconds, f"process {pid} is dead")


def now():
    return time.monotonic()
