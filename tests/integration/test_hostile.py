#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a machine's user can do to the service by its two folders, and who owns what.

The traps are laid by the test with root's rights in the names that the VM's user may
replace; QEMU is the fake one.
"""
import json
import os
import pathlib
import pty
import re
import resource
import stat
import subprocess
import sys
import time

import tap
from bus import Bus
from harness import NAME, Failed, World, as_root, is_sanitized, status_of
from live import live, refused, running

LOCKS = pathlib.Path("/run/katana-hypervisor/uids")
SECRET = "the-secret-of-another-program"


class Outside:
    """A file of somebody else, to be left as it is."""

    def __init__(self, world):
        self.path = world.folder / "secret"
        self.path.write_text(SECRET)
        self.path.chmod(0o600)
        self.before = self.look()

    def look(self):
        found = self.path.stat()
        return found.st_uid, found.st_mode, found.st_size, found.st_mtime_ns

    def check(self, what):
        tap.equal(self.look(), self.before, f"{what}: the file outside")
        tap.equal(self.path.read_text(), SECRET, f"{what}: its text")


def symlink(path, outside, _uid):
    path.symlink_to(outside.path)


def folder_symlink(path, outside, _uid):
    path.symlink_to(outside.path.parent)


def hard_link(path, outside, _uid):
    os.link(outside.path, path)


def fifo(path, _outside, uid):
    os.mkfifo(path, 0o600)
    os.chown(path, uid, uid)


def full_folder(path, _outside, uid):
    path.mkdir()
    os.chown(path, uid, uid)
    (path / "more").mkdir()
    (path / "more" / "file").write_text("x")


def own_socket(path, _outside, uid):
    import socket
    listener = socket.socket(socket.AF_UNIX)
    here = os.open(path.parent, os.O_PATH)
    listener.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)
    os.chown(path, uid, uid)


TRAPS = (symlink, folder_symlink, hard_link, fifo, full_folder, own_socket)
STATE_NAMES = ("serial.log", "qemu.log", "data.raw", "args", "exit-status", "boot-1")


def lay(trap, folder, names, outside, uid):
    for name in names:
        path = folder / name
        if path.is_symlink() or path.exists():
            path.rename(folder / (name + ".moved"))
        trap(path, outside, uid)


def use(world, outside, what):
    """Everything that a client can ask for; each answers, in whatever way, within a bound."""
    for words in (("show",), ("logs",), ("logs", "--source", "qemu"), ("logs", "--boot", "-1"),
                  ("stop", "--timeout", "20"), ("start", "--timeout", "20"), ("logs",)):
        done = world.cli(words[0], *words[1:], "x", check=False)
        tap.check(SECRET not in done.stdout + done.stderr, f"{what}: {words} reads outside")
        tap.check("root:" not in done.stdout, f"{what}: {words} reads outside")
    outside.check(what)


def traps_of(running):
    as_root()
    for trap in TRAPS:
        for where in ("state", "runtime"):
            what = f"{trap.__name__} in the {where} folder"
            with World("--stop-timeout", "1", "--start-timeout", "5") as world:
                world.start()
                outside = Outside(world)
                path = world.create("x")
                world.start_instance(path)
                shown = world.show("x")
                state = pathlib.Path(shown["data_directory"])
                uid = state.stat().st_uid
                runtime = world.runtime / "katana-hypervisor" / shown["id"]
                if not running:
                    world.stop_instance(path)
                names = STATE_NAMES if where == "state" else os.listdir(runtime)
                lay(trap, state if where == "state" else runtime, names, outside, uid)
                use(world, outside, what)
                world.cli("delete", "--force", "-y", "x")
                outside.check(what)
                tap.check(not state.exists() and not runtime.exists(), f"{what}: deleted")


def traps_while_running():
    """links, FIFOs, folders and sockets planted in a running machine's folders"""
    traps_of(True)


def traps_while_stopped():
    """the same in a stopped machine's folders"""
    traps_of(False)


def traps_over_a_restart():
    """the service comes up again over folders full of traps"""
    as_root()
    for trap in TRAPS:
        with World() as world:
            world.start()
            outside = Outside(world)
            world.start_instance(world.create("x"))
            shown = world.show("x")
            state = pathlib.Path(shown["data_directory"])
            world.service.kill()
            world.service.wait(10)
            runtime = world.runtime / "katana-hypervisor" / shown["id"]
            lay(trap, state, STATE_NAMES, outside, state.stat().st_uid)
            lay(trap, runtime, os.listdir(runtime), outside, state.stat().st_uid)
            world.start()
            use(world, outside, trap.__name__)
            world.cli("delete", "--force", "-y", "x")
            outside.check(trap.__name__)


def planted_by_the_machine():
    """what the machine's own user plants while it runs, with the rights that QEMU has"""
    as_root()
    with World("--start-timeout", "5", "--stop-timeout", "1") as world:
        world.start()
        outside = Outside(world)
        world.create("x", "{'katana-args': <['--fake.plant', '.']>}")
        world.cli("start", "x", check=False)
        use(world, outside, "planted")
        passwd = os.stat("/etc/passwd")
        world.cli("delete", "--force", "-y", "x")
        tap.equal(os.stat("/etc/passwd"), passwd, "/etc/passwd")


def endless_log():
    """a log of 200 GiB in the place of a machine's own keeps nobody waiting"""
    with World() as world:
        world.start()
        world.create("x", "{'katana-args': <['--fake.never-ready']>}")
        world.cli("start", "--no-wait", "x")
        log = world.instance_folder("x") / "serial.log"
        tap.eventually(log.exists, 20, "the log")
        os.truncate(log, 200 << 30)
        tap.check(1 << 24 <= len(world.cli("logs", "-n", "100", "x").stdout) < 1 << 25,
                  "the end of an endless line")
        with open(log, "ab") as file:
            file.write(b"\nthe last line\n")
        tap.equal(world.cli("logs", "-n", "1", "x").stdout, "the last line\n", "the last line")
        with open(log, "ab") as file:
            file.write(19 * (b"long" * 15000 + b"\n") + b"the last line\n")
        done = world.cli("start", "--timeout", "1", "x", check=False)
        tap.equal(done.returncode, 6, done.stderr)
        tap.check("its log ends" in done.stderr, done.stderr)
        tap.check("the last line" in done.stderr, done.stderr)


# What a terminal must not be sent: controls but tab and line ends, what reorders or hides text.
ASTRAY = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c"
                    "\u200b-\u200f\u2028-\u202e"
                    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0001-\U000e007f]")
ODD = ("\x1b]0;title\x07\x1f\x7f \u009b31m \u009d0;x\u009c \u202ereversed "
       "\u2066x \u200e\u200f\u061c \u2028\u2029 \ufeff\u00ad \U000e0041 \u00fc\u20ac\U0001f600")


def on_a_terminal(world, *words):
    """The exit code, and what both outputs of the command have sent to a terminal."""
    ours, theirs = pty.openpty()
    done = subprocess.Popen([str(world.tools / "katana-hypervisor"), *words], env=world.env,
                            stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError: # the last one has closed it
        pass
    os.close(ours)
    return done.wait(60), shown.decode()


def b124_json_on_a_terminal():
    """text of others on a terminal: JSON sends no control sequence, and its values are the same"""
    labels = {ODD[:24]: ODD}
    with World() as world:
        bus = Bus(world.start())
        bus.create("x", labels=labels)
        bus.close()
        for words in (("show", "x"), ("list",), ("show", "--config", "x"), ("start", "x"),
                      ("set", "x", "cpu-quota-percent=50"), ("stop", "x")):
            code, shown = on_a_terminal(world, "--json", *words)
            tap.check(code == 0 and not ASTRAY.search(shown), f"{words}: {shown!r}")
            found = json.loads(shown)
            found = found[0] if isinstance(found, list) else found
            tap.equal(found["labels"], labels, f"the value of {words}")
            plain = json.loads(world.cli("--json", *words).stdout)
            tap.equal((plain[0] if isinstance(plain, list) else plain)["labels"], labels,
                      f"in a pipe, {words}")
        for words in (("show", "x"), ("show", "--config", "x"), ("list",), ("show", ODD),
                      ("--json", "show", ODD), ("set", "x", f"{ODD}=1"), ("create", ODD),
                      ("--json", "start", ODD), ("logs", ODD), ("wait", ODD, "--for", "running"),
                      (ODD,), ("--json", ODD), ("list", f"--{ODD}")):
            _, shown = on_a_terminal(world, *words)
            tap.check(not ASTRAY.search(shown), f"{words}: {shown!r}")


def logs_on_a_terminal():
    """a guest's log sends a terminal no control sequence, in whatever form; a file gets it all"""
    hostile = "\x1b]0;title\x07 \x9b31m \u202ereversed \u2066x\n".encode() + b"\xff\xc2\n"
    with World() as world:
        world.start()
        world.start_instance(world.create("x"))
        with open(world.instance_folder("x") / "serial.log", "ab") as log:
            log.write(hostile)
        raw = subprocess.run([str(world.tools / "katana-hypervisor"), "logs", "x"], env=world.env,
                             capture_output=True, timeout=60, check=True).stdout
        tap.check(hostile in raw, f"in a file: {raw}")
        ours, theirs = pty.openpty()
        subprocess.run([str(world.tools / "katana-hypervisor"), "logs", "x"], env=world.env,
                       stdout=theirs, timeout=60, check=True)
        shown = os.read(ours, 65536).decode()
        os.close(ours)
        os.close(theirs)
        tap.check("reversed" in shown, shown)
        tap.check(not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]",
                                shown), repr(shown))


def starts_after_mischief():
    """neither an open folder nor one in the place of the arguments keeps a machine from a start"""
    with World("--stop-timeout", "1") as world:
        world.start()
        world.cli("create", "--auto-start", "x")
        folder = world.instance_folder("x")
        uid = folder.stat().st_uid
        (folder / "args").unlink()
        for inner in (folder / "args", folder / "args" / "more"):
            inner.mkdir(0o500)
            os.chown(inner, uid, uid)
            inner.parent.chmod(0o777)
        world.cli("stop", "x")
        world.cli("start", "x")
        tap.equal(oct(mode_of(folder)), oct(0o700), "the folder")
        tap.equal(oct(mode_of(folder / "args")), oct(0o600), "the arguments")


def deep_folder(path, uid, depth):
    """Folders in each other with the longest names, which are no text, and closed to all."""
    path.mkdir()
    inner = os.open(path, os.O_RDONLY)
    for _ in range(depth):
        name = b"\xff" * 255
        os.mkdir(name, dir_fd=inner)
        outer, inner = inner, os.open(name, os.O_RDONLY, dir_fd=inner)
        os.fchown(outer, uid, uid)
        os.fchmod(outer, 0)
        os.close(outer)
    os.fchown(inner, uid, uid)
    os.fchmod(inner, 0)
    os.close(inner)


NEEDED_NAMES = ("serial.log", "qemu.log", "exit-status", "exit-status.new", "args", "boot-1")


def lay_folders(folder, uid):
    for name in NEEDED_NAMES:
        path = folder / name
        if path.exists():
            path.rename(folder / (name + ".moved"))
        deep_folder(path, uid, 100)


def b123_folders_of_the_machine():
    """deep, closed folders in the places of its files, its own closed too: it starts, is deleted"""
    users = ({"session": False}, {"user": 65534}) if os.geteuid() == 0 else ({},)
    for options in users:
        with live("--stop-timeout", "1", **options) as (_, bus):
            path = running(bus)
            folder = pathlib.Path(bus.properties(path)["DataDirectory"])
            uid = folder.stat().st_uid
            for _ in range(2):
                lay_folders(folder, uid)
                folder.chmod(0)
                bus.do(path, "Stop")
                bus.do(path, "Start")
                for name in ("serial.log", "qemu.log", "args"):
                    tap.check((folder / name).is_file(), f"{options}: {name}")
            lay_folders(folder, uid)
            bus.do(path, "Stop")
            bus.do(path, "Delete", keep_data=True)
            tap.equal(os.listdir(folder), ["data.raw"], f"{options}: what is kept")


def starts(bus, path):
    """After a deletion that failed it is looked first whether its machine lives."""
    try:
        bus.do(path, "Start")
    except Failed as error:
        tap.equal(error.name, "Busy", error.message)
        return False
    return True


def b123_named_by_the_start():
    """what the shim cannot take away fails the start, which names it; without it all goes on"""
    as_root()
    with live(session=False) as (_, bus):
        path = running(bus)
        bus.do(path, "Stop")
        place = pathlib.Path(bus.properties(path)["DataDirectory"]) / "serial.log"
        place.unlink()
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "test", str(place)], check=True, timeout=20)
        try:
            said = refused("LaunchFailed", lambda: bus.do(path, "Start"))
            found = bus.properties(path)
            kept = refused("Failed", lambda: bus.do(path, "Delete", keep_data=True))
        finally:
            subprocess.run(["umount", str(place)], check=True, timeout=20)
        for text in (said, found["StateReason"]):
            tap.check(str(place) in text and "remove it" in text, text)
        tap.equal(found["State"], "failed", "after the start")
        tap.check("serial.log cannot be removed" in kept, kept)
        tap.eventually(lambda: starts(bus, path), 20, "it starts")
        bus.do(path, "Stop")
        bus.do(path, "Delete", keep_data=True)
        tap.equal(os.listdir(place.parent), ["data.raw"], "what is kept")


def a_crowd_of_files():
    """files by the hundred thousand are deleted without a list of all in memory"""
    with World() as world:
        world.start()
        path = world.create("x")
        world.start_instance(path)
        folder = world.instance_folder("x")
        before = int(status_of(world.service.pid)["VmHWM"][0])
        crowd = os.open(folder, os.O_PATH)
        for number in range(100000):
            os.mknod(f"{number:0255}", 0o600 | stat.S_IFREG, dir_fd=crowd)
        os.close(crowd)
        world.cli("delete", "--force", "-y", "x")
        tap.check(not folder.exists(), "deleted")
        grown = int(status_of(world.service.pid)["VmHWM"][0]) - before
        tap.check(grown < 16 << 10 or is_sanitized(world.service.pid),
                  f"the service has grown by {grown} KiB")


def found_without_its_socket():
    """a machine that hides its socket while nobody follows it is found, and ended with its row"""
    as_root()
    with World() as world:
        world.start_armed("start:launched")
        runtime = world.runtime / "katana-hypervisor"
        world.create("x", f"{{'katana-args': <['--fake.steal', '{runtime}']>}}")
        world.cli("start", "--no-wait", "x", check=False)
        world.service.wait(20)
        tap.eventually(lambda: list(runtime.glob("*/root")), 20, "the machine hides")
        lives = world.processes()
        tap.equal(len(lives), 2, "shim and QEMU")
        world.start()
        found = world.show("x")
        tap.equal((found["state"], found["main_pid"] in lives), ("starting", True), "it is followed")
        world.cli("delete", "--force", "-y", "x")
        tap.equal(world.processes(), set(), "what is left")


def nanoseconds_of(pid):
    """The processor's time that a process's main thread has used."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def used_in(seconds, world):
    before, begun = nanoseconds_of(world.service.pid), time.monotonic()
    time.sleep(seconds)
    return (nanoseconds_of(world.service.pid) - before) / (time.monotonic() - begun)


def used_for_calls(count):
    """What a service needs to answer somebody who asks for a quiet machine's properties."""
    with World() as world:
        world.start()
        bus = Bus(world)
        path = bus.create("x")
        before = nanoseconds_of(world.service.pid)
        for _ in range(count):
            bus.properties(path)
        used = nanoseconds_of(world.service.pid) - before
        bus.close()
        return used / count


# As many calls in a second cost what a flood may at most; of long messages JSON takes its time.
CALLS = {"states": 60, "events": 60, "messages": 300, "values": 60, "control": 60, "start": 60}


def b154_floods_of_a_machine():
    """a machine that sends without end gets little of the service's time, and no write for each"""
    a_call = used_for_calls(200)
    for kind, calls in CALLS.items():
        with World() as world:
            world.start()
            arguments = f"{{'katana-args': <['--fake.flood', '{kind}']>}}"
            world.start_instance(world.create("x", arguments))
            used = used_in(2, world)
            tap.check(used < calls * a_call, f"{kind}: in a second the service needs what "
                                             f"{used / a_call:.0f} calls do")
            tap.check(world.show("x")["state"] in ("running", "paused"), f"{kind}: its state")
            tap.check(len(world.journal().splitlines()) < 40, f"{kind}: the journal's lines")
            world.cli("delete", "--force", "-y", "x")


def b155_busy_disk_under_a_follower():
    """a machine that writes to its disk all the time does not wake the service for each time"""
    a_call = used_for_calls(200)
    with World() as world:
        world.start()
        bus = Bus(world)
        path = bus.create("x")
        world.start_instance(path)
        bus.open_log(path, follow=True)
        disk = world.state / "instances" / world.show("x")["id"] / "data.raw"
        writer = subprocess.Popen([sys.executable, "-c", f"""
import os
disk = os.open({str(disk)!r}, os.O_WRONLY)
while True:
    os.pwrite(disk, b"x", 5000)
"""])
        try:
            used = used_in(2, world)
        finally:
            writer.kill()
            writer.wait()
        bus.close()
        tap.check(used < 60 * a_call, f"in a second the service needs what {used / a_call:.0f} "
                                      "calls do")
        world.cli("delete", "--force", "-y", "x")


def connections(world, count):
    from gi.repository import Gio
    flags = (Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
             Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION)
    return [Gio.DBusConnection.new_for_address_sync(f"unix:path={world.folder}/bus", flags, None,
                                                    None) for _ in range(count)]


def follow(connection, path):
    """The descriptor of a log that is followed; None beyond a limit."""
    from gi.repository import Gio, GLib
    options = GLib.Variant("(a{sv})", ({"follow": GLib.Variant("b", True)},))
    try:
        _, fds = connection.call_with_unix_fd_list_sync(
            NAME, path, f"{NAME}.Instance", "OpenLog", options, None, 0, 20000, None, None)
        return fds.steal_fds()[0]
    except GLib.Error as error:
        name = Gio.DBusError.get_remote_error(error)
        tap.equal(name, f"{NAME}.Error.LimitExceeded", error.message)
        return None


def descriptors(pid):
    folder = f"/proc/{pid}/fd"
    return [os.readlink(f"{folder}/{name}") for name in os.listdir(folder)]


def many_followers():
    """a user's followers are limited over all connections, and share one inotify instance"""
    with World() as world:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
        world.start()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        allowed = pathlib.Path(f"/proc/{world.service.pid}/limits").read_text()
        tap.equal(re.search(r"Max open files +(\d+)", allowed)[1], str(before[1]), "descriptors")
        path = world.create("x")
        world.start_instance(path)
        many = connections(world, 5)
        fds = [fd for bus in many for fd in [follow(bus, path) for _ in range(64)] if fd]
        tap.equal(len(fds), 256, "streams of one user")
        inotify = [name for name in descriptors(world.service.pid) if "inotify" in name]
        # GLib has one of its own for the files that it watches.
        tap.check(len(inotify) <= 2, f"inotify instances: {inotify}")
        os.close(fds.pop())
        tap.eventually(lambda: follow(many[4], path), 20, "a stream in the place of one closed")
        world.cli("delete", "--force", "-y", "x")
        for fd in fds:
            with open(fd, "rb") as log:
                tap.check(b"fake QEMU" in log.read(), "the log to its end")


def uids_are_never_shared():
    """two services on one machine, one on each bus, never give two machines one uid"""
    as_root()
    with World() as one, World(session=False) as two:
        one.start()
        two.start()
        uids = []
        for number in range(5):
            for world in (one, two):
                path = world.create(f"n{number}")
                world.start_instance(path)
                shown = world.show(f"n{number}")
                uid = int(status_of(shown["main_pid"])["Uid"][0])
                tap.equal(pathlib.Path(shown["data_directory"]).stat().st_uid, uid, "owner")
                uids.append(uid)
        tap.check(0 not in uids and len(set(uids)) == 10, f"uids {uids}")


def owner_of(world, name):
    return pathlib.Path(world.show(name)["data_directory"]).stat().st_uid


def end_service(world):
    world.service.terminate()
    tap.equal(world.service.wait(20), 0, "the service's exit code")


def uids_after_a_reboot():
    """when the claims are gone with a boot, two services still never run two machines as one"""
    as_root()
    # A few uids that no test beside this one is given.
    first = 1879140000 + os.getpid() % 30000
    uids = ("--vm-uid-range", f"{first}-{first + 9}")
    with World(*uids) as one, World(*uids, session=False) as two:
        for world in (one, two):
            world.start()
            world.create("old")
        held = owner_of(one, "old"), owner_of(two, "old")
        for world, uid in zip((one, two), held):
            end_service(world)
            (LOCKS / str(uid)).unlink()
        # The one that comes first knows nothing of the other's, the second one's is told.
        two.start()
        two.create("new")
        taken = owner_of(two, "new")
        tap.check(taken != held[1], "the uid of its own instance")
        one.start()
        two.cli("start", "old", "new")
        done = one.cli("start", "old", check=False)
        tap.equal(done.returncode == 0, taken != held[0], done.stderr)
        if taken == held[0]:
            tap.check(str(taken) in done.stderr, done.stderr)
        running = [int(status_of(shown["main_pid"])["Uid"][0])
                   for world in (one, two) for shown in world.list() if shown["main_pid"]]
        tap.equal(len(set(running)), len(running), f"uids {running}")
        two.cli("delete", "--force", "-y", "new")
        one.cli("start", "old")
        tap.equal(status_of(one.show("old")["main_pid"])["Uid"], [str(held[0])] * 4, "its own uid")


def mode_of(path):
    return stat.S_IMODE(path.lstat().st_mode)


def check_modes(world, shown, uid, runtime):
    me = world.user if world.user is not None else os.geteuid()
    folder = pathlib.Path(shown["data_directory"])
    image = pathlib.Path(shown["boot_components"][0]["path"]).parent
    wanted = [(world.state, 0o711, me), (world.state / "state.db", 0o600, me),
              (world.state / "lock", 0o600, me), (world.state / "instances", 0o711, me),
              (world.state / "images", 0o711, me), (image, 0o755, me), (folder, 0o700, uid),
              (runtime, 0o700, uid)]
    wanted += [(file, 0o444, me) for file in image.iterdir()]
    wanted += [(file, 0o600, uid) for file in folder.iterdir()]
    for path, mode, owner in wanted:
        tap.equal((oct(mode_of(path)), path.lstat().st_uid), (oct(mode), owner), str(path))


def modes():
    """modes and owners are those of the contract: root on either bus, an ordinary user"""
    for options in ({"session": True}, {"session": False}, {"session": True, "user": 65534}):
        if os.geteuid() != 0 and options != {"session": True}:
            continue
        with World(**options) as world:
            world.start()
            user = options.get("user")
            world.cli("create", "x", "--auto-start", user=user)
            import json
            shown = json.loads(world.cli("--json", "show", "x", user=user).stdout)
            uid = int(status_of(shown["main_pid"])["Uid"][0])
            if user is not None or os.geteuid() != 0:
                tap.equal(uid, user or os.geteuid(), "QEMU's user")
            check_modes(world, shown, uid, world.runtime / "katana-hypervisor" / shown["id"])
            world.cli("delete", "--force", "-y", "x", user=user)


if __name__ == "__main__":
    sys.exit(tap.run([traps_while_running, traps_while_stopped, traps_over_a_restart,
                      planted_by_the_machine, endless_log, logs_on_a_terminal,
                      b124_json_on_a_terminal,
                      starts_after_mischief, b123_folders_of_the_machine,
                      b123_named_by_the_start, found_without_its_socket, a_crowd_of_files,
                      b154_floods_of_a_machine, b155_busy_disk_under_a_follower,
                      many_followers, uids_are_never_shared, uids_after_a_reboot, modes]))
