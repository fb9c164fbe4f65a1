#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The shim with a fake child in QEMU's place: rights, descriptors, logs, sockets, stop.
Called by meson with SHIM=program in the environment; names of tests may be given."""
import contextlib
import fcntl
import itertools
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

import namespace
import tap
from machine import LIMIT, ROOT, SHIM, UID, Machine, alive, receive, status_of, wait_for

LINE_MAX = 64 * 1024
LOG_NAMES = ("serial.log", "serial.log.1", "qemu.log")
SOCKET_NAMES = ("qmp.sock", "control.sock", "console.sock")


def need_root():
    if not ROOT:
        tap.skip("not root, so that no user can be changed to")


def call(*words, **more):
    return subprocess.run([SHIM, *words], capture_output=True, text=True, timeout=LIMIT, **more)


def test_command_line():
    version = call("--version")
    assert version.returncode == 0 and version.stdout.startswith("katana-hypervisor-shim "), version
    with Machine() as m:
        good = m.command("pass")
        bad = [good + ["--nonsense"], ["--run"], ["--bogus"], []]
        for name, value in (("--log-size", "1"), ("--log-files", "0"), ("--state-dir", "x"),
                            ("--ready-fd", "-1"), ("--service-uid", "4294967295")):
            bad.append(["--run", name, value] + good[2:])
        for words in bad[1:]:
            result = call(*words)
            assert result.returncode == 125 and result.stderr, (words, result)


def test_ready_line_and_exit_status():
    with Machine() as m:
        assert m.run("sys.exit(7)") == 7
        assert m.read("exit-status") == b"exited 7\n"
        assert m.is_file("exit-status")
        assert m.run("os.kill(os.getpid(), 6)") == 128 + 6
        assert m.read("exit-status") == b"signaled 6\n"
        assert m.run("pass") == 0
        assert m.read("exit-status") == b"exited 0\n"
        m.start("sleep()")
        assert not os.path.exists(m.path("exit-status")), "that of the last boot is still there"
        assert not os.path.exists(m.path("exit-status.new")) or m.is_file("exit-status.new")
        m.end()
        assert sorted(os.listdir(m.runtime)) == sorted(SOCKET_NAMES)
    with Machine() as m:
        m.run("pass")
        assert os.listdir(m.runtime) == [], "sockets outlive the machine"


def test_exec_error():
    with Machine() as m:
        for qemu, text in (("/nonexistent/qemu", "No such file"), ("/etc/passwd", "ermission")):
            line = m.launch("pass", qemu=qemu)
            assert line.startswith(f"error cannot execute {qemu}: ") and text in line, line
            assert line.count("\n") == 1 and m.wait() == 125
            assert not os.path.exists(m.path("exit-status"))
            assert os.listdir(m.runtime) == []
        line = m.launch("pass", kernel="/nonexistent/vmlinuz")
        assert line == ("error cannot open the boot component /nonexistent/vmlinuz: "
                        "No such file or directory\n"), line
        os.mkfifo(os.path.join(m.base, "fifo"))
        line = m.launch("pass", initrd=os.path.join(m.base, "fifo"))
        assert "not a regular file" in line, line


def test_rights_of_child_and_shim():
    need_root()
    with Machine(closed_parent=True) as m:
        group = ["--group", "4242"]
        child = m.start("sleep()", user=m.user() + group)
        for pid in (child, m.shim):
            status = status_of(pid)
            assert status["Uid"].split() == [str(UID)] * 4, status["Uid"]
            assert status["Gid"].split() == [str(UID)] * 4, status["Gid"]
            assert status["Groups"].split() == ["4242"], status["Groups"]
            for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                assert int(status[name], 16) == 0, (name, status[name])
            assert status["NoNewPrivs"] == "1" and status["Umask"] == "0077", status
            with open(f"/proc/{pid}/limits") as file:
                assert re.search(r"Max core file size +0 +0", file.read())
        # What is not dumpable belongs to root in /proc.
        assert os.stat(f"/proc/{m.shim}/status").st_uid == 0
        os.kill(child, signal.SIGKILL)
        assert m.wait() == 137


def test_threads_are_limited():
    """seccomp lets QEMU make threads, and there need be no control group"""
    need_root()
    with Machine() as m:
        code = """
import threading
threading.stack_size(65536)
made = 0
try:
    while made < 2000:
        threading.Thread(target=sleep, daemon=True).start()
        made += 1
except RuntimeError:
    pass
put('found', made)
os._exit(0)
"""
        # The limit is the user's: another's than that of tests that run beside this one.
        uid = UID - 1 - os.getpid() % 10000
        for folder in (m.state, m.runtime):
            os.chown(folder, uid, uid)
        assert m.run(code, user=["--uid", str(uid), "--gid", str(uid)]) == 0
        made = json.loads(m.read("found"))
        assert 900 < made < 1024, made


def test_refuses_root():
    need_root()
    with Machine() as m:
        for user in ([], ["--uid", "0", "--gid", "5"]):
            line = m.launch("open('/tmp/never', 'w')", user=user)
            assert line.startswith("error ") and "never runs as root" in line, line
            assert m.wait() == 125
        assert "--gid is 0" in m.launch("pass", user=["--uid", "5", "--gid", "0"])
        assert call("--format", "--state-dir", m.state, "--", "true").returncode == 125


def test_starts_with_few_capabilities():
    need_root()
    if not shutil.which("setpriv"):
        tap.skip("setpriv (util-linux) is missing")
    keep = "-all,+setuid,+setgid,+setpcap"
    with Machine() as m:
        m.start("sleep()", before=["setpriv", "--bounding-set", keep, "--inh-caps", keep])
        assert int(status_of(m.pid)["CapBnd"], 16) == 0
        os.kill(m.pid, signal.SIGKILL)
        m.wait()
    with Machine() as m:
        line = m.launch("pass", before=["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"])
        assert line.startswith("error cannot set the supplementary groups"), line


def test_child_surroundings():
    """Descriptors, environment, session, folder: all that it has and no more."""
    with Machine() as m:
        code = """
fds = {}
for n in os.listdir('/proc/self/fd'):
    try: fds[n] = os.readlink(f'/proc/self/fd/{n}')
    except FileNotFoundError: pass  # that of the listing itself
put('found', {'fds': fds, 'env': dict(os.environ), 'cwd': os.getcwd(),
  'session': os.getsid(0) == os.getpid(), 'kernel': open('/proc/self/fd/10').read(),
  'initrd': open('/proc/self/fd/11').read(), 'firmware': open('/proc/self/fd/12').read(),
  'masked': open('/proc/self/status').read().split('SigBlk:')[1].split()[0],
  'listening': socket.socket(fileno=15).getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)})
"""
        firmware = os.path.join(m.closed, "ovmf.fd")
        before = ["/bin/sh", "-c", 'exec 9</etc/passwd; exec "$@"', "sh"]
        assert m.run(code, before=before, firmware=firmware) == 0, m.read("qemu.log")
        found = json.loads(m.read("found"))
        assert set(found["fds"]) == {"0", "1", "2", "10", "11", "12", "13", "14", "15", "16"}, found
        assert found["fds"]["0"] == "/dev/null" and found["fds"]["1"] == found["fds"]["2"]
        assert (found["kernel"], found["initrd"], found["firmware"]) == \
            ("vmlinuz", "initrd.img", "ovmf.fd")
        # Python itself adds LC_CTYPE.
        assert set(found["env"]) - {"LC_CTYPE"} == {"PATH", "LANG"} and found["env"]["LANG"] == "C"
        assert found["cwd"] == m.state and found["session"] and found["listening"] == 1
        assert int(found["masked"], 16) == 0
        assert m.is_file("serial.log") and m.is_file("qemu.log")


def test_no_firmware_no_descriptor():
    with Machine() as m:
        m.run("put('found', os.path.exists('/proc/self/fd/12'))")
        assert json.loads(m.read("found")) is False


def test_socket_modes_and_qmp():
    with Machine() as m:
        m.start("""
peer, _ = socket.socket(fileno=15).accept()
peer.sendall(b'QMP of the child')
sleep()""")
        for name in SOCKET_NAMES:
            found = os.lstat(os.path.join(m.runtime, name))
            assert stat.S_ISSOCK(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o600, name
            assert found.st_uid == UID, name
        receive(m.connect("qmp.sock"), b"QMP of the child")


def test_foreign_peer_is_refused():
    need_root()
    with Machine() as m:
        m.start("say('x' * 1000); sleep()")
        os.chmod(m.runtime, 0o755)
        for name in ("control.sock", "console.sock"):
            path = os.path.join(m.runtime, name)
            os.chmod(path, 0o777)
            text = f"import os,socket; os.setuid({UID}); s=socket.socket(socket.AF_UNIX); " \
                   f"s.settimeout(20); s.connect({path!r}); assert s.recv(1) == b''"
            subprocess.run(["/usr/bin/python3", "-c", text], check=True, timeout=LIMIT)


def test_one_shim_per_folder():
    with Machine() as m, Machine() as other:
        m.start("sleep()")
        other.state, other.runtime = m.state, m.runtime
        line = other.launch("pass")
        assert line.startswith("error another machine runs in"), line
        m.connect("console.sock").close()
        m.connect("control.sock").close()


def test_folder_is_looked_at():
    """who locks the folder for a moment, to see whether it is held, keeps no shim from a start"""
    with Machine() as m:
        folder = os.open(m.state, os.O_RDONLY)
        fcntl.flock(folder, fcntl.LOCK_SH)
        timer = threading.Timer(0.3, os.close, [folder])
        timer.start()
        assert m.run("pass") == 0
        timer.join()


def logged(m, name, files=4):
    """The files of a log from the oldest to the newest."""
    names = [f"{name}.{n}" for n in range(files - 1, 0, -1)] + [name]
    return [m.read(n) for n in names if os.path.exists(m.path(n))]


def test_log_rotation_keeps_lines():
    with Machine() as m:
        # 64 KiB in a line is whole, one byte more is split; the rest checks the numbering.
        m.run("""
say(b'L' * 65536 + b'\\n')
say(b'M' * 65537 + b'\\n')
for n in range(30000): say(f'{n} ' + 'x' * (n % 50) + '\\n')
say(b'no newline at the end')""", log_size=200000, log_files=100)
        files = logged(m, "serial.log", 100)
        assert len(files) > 3 and all(len(f) <= 200000 for f in files), [len(f) for f in files]
        assert all(f.endswith(b"\n") for f in files[:-1]), "a line is broken by a rotation"
        lines = b"".join(files).split(b"\n")
        assert lines[0] == b"L" * LINE_MAX
        assert lines[1] == b"M" * LINE_MAX and lines[2] == b"M"
        assert lines[-1] == b"no newline at the end"
        assert [int(x.split()[0]) for x in lines[3:-1]] == list(range(30000))
        assert all(m.is_file(n) for n in os.listdir(m.state) if n.startswith("serial.log"))


def test_log_long_lines_meet_rotation():
    """Lines of every length near the bound, where a file is hardly longer than one."""
    with Machine() as m:
        m.run("""
for n in range(40): say(bytes([65 + n % 26]) * (65536 - n % 3) + b'\\n')
""", log_size=LINE_MAX, log_files=100)
        lines = b"".join(logged(m, "serial.log", 100)).split(b"\n")[:-1]
        assert [len(x) for x in lines] == [LINE_MAX - n % 3 for n in range(40)]


def test_log_is_bounded():
    with Machine() as m:
        m.run("""
for n in range(100): say(b'y' * 65536)
for n in range(100): os.write(2, b'z' * 65535 + b'\\n')""", log_size=100000, log_files=3)
        for name, letter in (("serial.log", b"y"), ("qemu.log", b"z")):
            files = logged(m, name, 3)
            assert len(files) == 3 and not os.path.exists(m.path(f"{name}.3"))
            assert sum(map(len, files)) <= 3 * 100000
            for line in b"".join(files).split(b"\n"):
                assert len(line) <= LINE_MAX and line == letter * len(line)


def test_log_one_file():
    with Machine() as m:
        m.run("for n in range(5000): say('%08d ' % n + 'x' * 100 + '\\n')",
              log_size=LINE_MAX, log_files=1)
        data = m.read("serial.log")
        assert len(data) <= LINE_MAX and data.split(b"\n")[-2].startswith(b"00004999")
        assert not os.path.exists(m.path("serial.log.1"))


def test_partial_line_is_flushed():
    with Machine() as m:
        m.start("say('login: '); time.sleep(2); say('root\\n'); sleep()")
        wait_for(lambda: m.read("serial.log") == b"login: ", "the flush of a partial line")
        wait_for(lambda: m.read("serial.log") == b"login: root\n", "the rest of the line")


def test_qemu_log():
    with Machine() as m:
        m.run("print('to stdout', flush=True); os.write(2, b'last words')")
        assert m.read("qemu.log") == b"to stdout\nlast words"


def test_last_output_is_logged():
    """What is in the socket when the child dies comes into the log."""
    with Machine() as m:
        m.run("say('z' * 99 + '\\n'); say(b'end'); os.kill(os.getpid(), 9)")
        assert m.read("serial.log") == b"z" * 99 + b"\nend"


def test_earlier_boots():
    with Machine() as m:
        for n in range(8):
            m.run(f"say('boot {n}\\n'); os.write(2, b'errors {n}\\n')")
        boots = sorted(x for x in os.listdir(m.state) if x.startswith("boot-"))
        assert boots == [f"boot-{n}" for n in range(3, 8)], boots
        for n in range(3, 8):
            assert m.read(f"boot-{n}", "serial.log") == b"boot %d\n" % (n - 1)
            assert m.read(f"boot-{n}", "qemu.log") == b"errors %d\n" % (n - 1)
            assert m.is_file(f"boot-{n}", "serial.log")
            assert stat.S_IMODE(os.stat(m.path(f"boot-{n}")).st_mode) == 0o700
        assert m.read("serial.log") == b"boot 7\n"


def make_log(m, size, *names):
    os.makedirs(m.path(*names[:-1]), exist_ok=True)
    with open(m.path(*names), "w") as file:
        file.truncate(size)
    for path in [m.path(*names[:-1]), m.path(*names)] if ROOT else []:
        os.chown(path, UID, UID)


def test_earlier_boots_are_bounded():
    big = 50 << 20
    with Machine() as m:
        for n in (1, 2, 3):
            make_log(m, big, f"boot-{n}", "serial.log")
        m.run("pass")
        assert sorted(x for x in os.listdir(m.state) if x.startswith("boot-")) == ["boot-2", "boot-3"]
        for n, name in enumerate(("serial.log", "serial.log.1", "serial.log.2")):
            make_log(m, big, name)
        m.run("pass")
        # The last boot alone is beyond the bound: its oldest file goes, its newest stays.
        assert [x for x in os.listdir(m.state) if x.startswith("boot-")] == ["boot-4"]
        assert "serial.log.2" not in os.listdir(m.path("boot-4"))
        assert {"serial.log", "serial.log.1"} <= set(os.listdir(m.path("boot-4")))


def test_strange_boot_names():
    with Machine() as m:
        names = ("boot-", "boot-x", "boot-007", "boot-999999999", "boot-99999999999999999999")
        for name in names + ("bootstrap", "boot-3"):
            make_log(m, 1, name, "serial.log")
        make_log(m, 1, "serial.log")
        m.run("pass")
        found = {x for x in os.listdir(m.state) if x.startswith("boot")}
        assert found == {"bootstrap", "boot-3", "boot-4"}, found


def check_trap(kind, folder, name):
    """Plants one trap, runs a machine over it, and looks at what lies outside."""
    with Machine() as m:
        outside = os.path.join(m.base, "outside")
        os.mkdir(outside)
        victim = os.path.join(outside, "victim")
        with open(victim, "w") as file:
            file.write("untouched")
        if ROOT:
            for path in (outside, victim):
                os.chown(path, UID, UID)
        before = os.stat(victim)
        target = outside if kind == "symlink" and name.startswith("boot-") else victim
        m.plant(kind, getattr(m, folder), name, target)
        if name == "boot-1":
            make_log(m, 5, "serial.log")
        assert m.run("say('written\\n')") == 0
        with open(victim) as file:
            assert file.read() == "untouched"
        after = os.stat(victim)
        assert (after.st_mtime_ns, after.st_mode) == (before.st_mtime_ns, before.st_mode)
        assert os.listdir(outside) == ["victim"]
        assert m.read("serial.log") == b"written\n" and m.read("exit-status") == b"exited 0\n"
        assert m.is_file("serial.log") and m.is_file("qemu.log") and m.is_file("exit-status")


def test_traps_in_place_of_names():
    names = [("state", n) for n in LOG_NAMES + ("exit-status", "exit-status.new", "boot-1")]
    names += [("runtime", n) for n in SOCKET_NAMES]
    for kind in ("symlink", "fifo", "hard link", "folder"):
        for folder, name in names:
            try:
                check_trap(kind, folder, name)
            except Exception as error:
                raise AssertionError(f"a {kind} in place of {name}") from error


def test_traps_laid_while_running():
    """The child turns on the shim: replaces every name between two rotations."""
    with Machine() as m:
        victim = os.path.join(m.base, "victim")
        with open(victim, "w") as file:
            file.write("untouched")
        if ROOT:
            os.chown(victim, UID, UID)
        code = f"""
victim = {victim!r}
def trap(n, name):
    try: os.unlink(name)
    except OSError: pass
    try:
        [lambda: os.symlink(victim, name), lambda: os.mkfifo(name), lambda: os.link(victim, name),
         lambda: (os.mkdir(name), os.mkdir(name + '/x'), os.chmod(name, 0))][n % 4]()
    except OSError: pass
for n in range(80):
    for i, name in enumerate(['serial.log', 'serial.log.1', 'serial.log.2', 'exit-status',
                              'exit-status.new', 'boot-1']):
        trap(n + i, name)
    say(b'x' * 999 + b'\\n')
    for k in range(70): say(b'y' * 999 + b'\\n')
sys.exit(3)"""
        assert m.run(code, log_size=LINE_MAX, log_files=3) == 3
        with open(victim) as file:
            assert file.read() == "untouched"
        assert m.read("exit-status") == b"exited 3\n" and m.is_file("exit-status")
        assert m.run("say('again\\n')") == 0, "the next boot"
        assert m.read("serial.log") == b"again\n"


def deep_folder(path, depth):
    """Folders of the machine's in each other, the innermost closed to all."""
    os.mkdir(path)
    inner = os.open(path, os.O_RDONLY)
    for number in range(depth):
        name = f"{number:0255}"
        os.mkdir(name, dir_fd=inner)
        outer, inner = inner, os.open(name, os.O_RDONLY, dir_fd=inner)
        if ROOT:
            os.fchown(outer, UID, UID)
        os.fchmod(outer, 0o500)
        os.close(outer)
    if ROOT:
        os.fchown(inner, UID, UID)
    os.fchmod(inner, 0)
    os.close(inner)


def crowd(path, count, prefix=""):
    """Names by the hundred thousand; links to few files, which are made in no time."""
    folder = os.open(path, os.O_RDONLY)
    for number in range(count):
        if number % 50000 == 0:
            first = f"{prefix}{number}"
            os.mknod(first, 0o600 | stat.S_IFREG, dir_fd=folder)
        else:
            os.link(first, f"{prefix}{number}", src_dir_fd=folder, dst_dir_fd=folder)
    os.close(folder)


def full_folder(path, count):
    os.mkdir(path)
    crowd(path, count)
    if ROOT:
        os.chown(path, UID, UID)
    os.chmod(path, 0)


def trash_in(m):
    return [name for name in os.listdir(m.state) if name.startswith(".trash-")]


def b123_folders_in_the_way():
    """folders of any depth and size lie in the places of its files: it starts, and they go"""
    with Machine() as m:
        names = ("serial.log", "serial.log.1", "exit-status", "exit-status.new", "boot-7", "boot-x",
                 "boot-999999999")
        for depth, name in enumerate(names, 14):
            deep_folder(m.path(name), depth)
        full_folder(m.path("qemu.log"), 110000)
        for n in range(20):
            assert m.run(f"say('boot {n}\\n'); sys.exit({n})") == n
            assert m.read("serial.log") == b"boot %d\n" % n
            assert m.read("exit-status") == b"exited %d\n" % n
            assert m.is_file("serial.log") and m.is_file("qemu.log") and m.is_file("exit-status")
            if n > 0 and not trash_in(m):
                break
        assert trash_in(m) == [], trash_in(m)


def b123_very_deep_folder():
    """a folder deeper than descriptors and the stack allow for is set aside, and goes"""
    with Machine() as m:
        deep_folder(m.path("exit-status"), 3000)
        for _ in range(20):
            assert m.run("pass") == 0
            if not trash_in(m):
                break
        assert trash_in(m) == [], trash_in(m)


@contextlib.contextmanager
def state_in_memory(m):
    """There a folder is listed in the order of its names' making, or against it."""
    m.state = tempfile.mkdtemp(prefix="kh-shim-", dir="/dev/shm")
    if ROOT:
        os.chown(m.state, UID, UID)
    try:
        yield
    finally:
        shutil.rmtree(m.state)


def b123_crowded_folder():
    """in a folder full of names the last boot's logs are found, and kept"""
    with Machine() as m, state_in_memory(m):
        crowd(m.state, 110000, "before-")
        assert m.run("say('the first\\n')") == 0
        crowd(m.state, 110000, "after-")
        for number in range(300):
            full_folder(m.path(f"boot-{1000 + number}"), 1)
        assert m.run("say('the second\\n')") == 0
        assert m.read("serial.log") == b"the second\n"
        found = [name for name in os.listdir(m.state) if name.startswith("boot-") and
                 "serial.log" in os.listdir(m.path(name))]
        assert len(found) == 1 and m.read(found[0], "serial.log") == b"the first\n", found


def b123_mount_in_the_way():
    """what cannot be taken away is named, with its kind, place, reason and remedy"""
    script = 'd=$1; n=$3; shift 3; mkdir "$d/$n"; mount -t tmpfs t "$d/$n"; "$@"'
    for name in ("serial.log", "serial.log.99", "qemu.log", "exit-status", "exit-status.new"):
        with Machine() as m:
            need_root()
            words = [*namespace.enter(m.base), "sh", "-c", script, "sh", m.state, str(UID), name]
            done = subprocess.run(words + m.command("pass"), capture_output=True, text=True,
                                  timeout=LIMIT)
            assert done.returncode == 125, done
            assert f"a folder is in the place of {name} and" in done.stderr, done.stderr
            assert m.path(name) in done.stderr and "busy" in done.stderr, done.stderr
            assert "remove it by hand" in done.stderr, done.stderr


def test_folder_must_be_own():
    need_root()
    with Machine() as m:
        os.chown(m.state, 0, 0)
        line = m.launch("pass")
        assert line.startswith("error ") and m.wait() == 125, line
    with Machine() as m:
        os.rename(m.state, m.state + "x")
        os.symlink(m.state + "x", m.state)
        assert "Not a directory" in m.launch("pass")


def test_console():
    with Machine() as m:
        m.start("""
while True:
    data = serial.recv(100)
    say(b'<' + data + b'>')""")
        clients = [m.connect("console.sock") for _ in range(4)]
        time.sleep(0.2)
        fifth = m.connect("console.sock")
        assert fifth.recv(1) == b"", "a fifth client is served"
        clients[0].sendall(b"typed")
        for client in clients:
            receive(client, b">")
        clients[3].close()
        time.sleep(0.2)
        again = m.connect("console.sock")
        time.sleep(0.2)
        clients[1].sendall(b"more")
        receive(again, b">")
        assert b"typed" in m.read("serial.log")


def test_slow_console_client():
    with Machine() as m:
        m.start("""
command()
for n in range(2000): say(b'x' * 1023 + b'\\n')
say(b'END\\n')
sleep()""", log_size=8 << 20)
        slow, fast = m.connect("console.sock"), m.connect("console.sock")
        time.sleep(0.2)
        m.connect("control.sock").sendall(b"go\n")
        wait_for(lambda: m.read("serial.log").endswith(b"END\n"), "the log's end")
        assert len(m.read("serial.log")) == 2000 * 1024 + 4
        receive(fast, b"x")
        del slow


def test_guest_that_does_not_read_its_input():
    with Machine() as m:
        m.start("sleep()")
        clients = [m.connect("console.sock") for _ in range(4)]
        for client in clients:
            client.setblocking(False)
            try:
                for _ in range(200):
                    client.send(b"x" * 10000)
            except BlockingIOError:
                pass
            client.close()
        # Those that are gone make place.
        deadline = time.monotonic() + LIMIT
        while True:
            client = m.connect("console.sock")
            client.settimeout(0.5)
            try:
                assert client.recv(1) == b""
            except TimeoutError:
                break
            assert time.monotonic() < deadline, "the places of dead clients are never free"
            time.sleep(0.1)
        os.kill(m.shim, signal.SIGTERM)
        assert alive(m.shim)


ECHO = """
while True:
    line = command()
    if line == 'exit': sys.exit(0)
    if line == 'half':
        control.sendall(b'half a rep')
        while not os.path.exists('go on'): time.sleep(0.01)
        control.sendall(b'ly\\n')
        continue
    control.sendall(b'ok ' + line.encode() + b'\\n')
"""


def test_control_relay():
    with Machine() as m:
        m.start(ECHO)
        first = m.connect("control.sock")
        first.sendall(b"status\n")
        assert receive(first, b"\n") == b"ok status\n"
        second = m.connect("control.sock")
        assert first.recv(1) == b"", "the first client is not replaced"
        second.sendall(b"half\n")
        assert receive(second, b"rep") == b"half a rep"
        second.sendall(b"sta")
        time.sleep(0.2)
        third = m.connect("control.sock")
        assert second.recv(1) == b""
        # Nothing of the half command or of the half reply of the second reaches the third.
        open(m.path("go on"), "w").close()
        third.sendall(b"status\n")
        assert receive(third, b"status\n") == b"ok status\n"
        endless = m.connect("control.sock")
        endless.sendall(b"x" * 4096)
        assert endless.recv(1) == b"", "a line without an end is taken"
        third = m.connect("control.sock")
        third.sendall(b"exit\n")
        assert m.wait() == 0


def test_control_without_client():
    """Replies that nobody reads do not block the guest."""
    with Machine() as m:
        m.run("for n in range(3000): control.sendall(b'noise ' * 100 + b'\\n')")


def test_stop_is_graceful():
    # The last is how systemd-machined powers off.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGRTMIN + 4):
        with Machine() as m:
            m.start("assert command() == 'stop'; say('Teardown: poweroff\\n'); sys.exit(0)")
            os.kill(m.shim, number)
            assert m.wait() == 0
            assert m.read("serial.log") == b"Teardown: poweroff\n"
            assert m.read("exit-status") == b"exited 0 stopped\n"


def test_stop_ends_half_a_command():
    with Machine() as m:
        m.start("put('found', command())")
        client = m.connect("control.sock")
        client.sendall(b"sta")
        time.sleep(0.3)
        os.kill(m.shim, signal.SIGTERM)
        assert m.wait() == 0
        assert json.loads(m.read("found")) == "stop"


def test_stop_finds_room():
    """A client has filled the channel; "stop" comes through when the guest reads again."""
    with Machine() as m:
        m.start("time.sleep(2)\nwhile command() != 'stop': pass\nsys.exit(5)")
        client = m.connect("control.sock")
        client.settimeout(0.5)
        try:
            while True:
                client.sendall(b"status\n" * 100)
        except TimeoutError:
            pass
        client.close()
        os.kill(m.shim, signal.SIGTERM)
        assert m.wait() == 5


def test_stop_escalates():
    with Machine() as m:
        m.start("""
signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
put('up', 1)
sleep()""", stop_timeout=1)
        wait_for(lambda: os.path.exists(m.path("up")), "the child's start")
        began = time.monotonic()
        os.kill(m.shim, signal.SIGTERM)
        assert m.wait() == 4
        assert time.monotonic() - began >= 0.9, "SIGTERM came before the time given"


def test_stop_kills_in_the_end():
    with Machine() as m:
        m.start("signal.signal(signal.SIGTERM, signal.SIG_IGN); put('up', 1); sleep()",
                stop_timeout=2)
        wait_for(lambda: os.path.exists(m.path("up")), "the child's start")
        began = time.monotonic()
        for _ in range(4):
            if m.process.poll() is None:
                os.kill(m.shim, signal.SIGTERM)
            time.sleep(0.2)
        assert m.wait() == 137
        assert time.monotonic() - began >= 6.9, "a second SIGTERM has hastened the stop"
        assert m.read("exit-status") == b"signaled 9 forced\n"


MONITOR = """
monitor = socket.socket(fileno=16)
commands, monitor, said = monitor.makefile("r"), monitor.makefile("w"), []
def answer(text):
    said.append(json.loads(commands.readline())["execute"])
    monitor.write('{"return": ' + text + '}\\r\\n')
    monitor.flush()
monitor.write('{"QMP": {"version": {}, "capabilities": []}}\\r\\n')
monitor.flush()
put('up', 1)
answer("{}")
monitor.write('{"event": "' + 'X' * 3000 + '"}')
answer('{"status": "STATE", "singlestep": false, "running": RUNNING}')
"""


def test_stop_resumes_a_paused_guest():
    """By the shim's own monitor, and only a paused one."""
    for state, running, more, wanted in (("paused", "false", "answer('{}')\n", ["cont"]),
                                         ("running", "true", "", [])):
        with Machine() as m:
            m.start(MONITOR.replace("STATE", state).replace("RUNNING", running) + more +
                    "assert command() == 'stop'; put('said', said)")
            wait_for(lambda: os.path.exists(m.path("up")), "the child's start")
            os.kill(m.shim, signal.SIGTERM)
            assert m.wait() == 0, m.read("qemu.log")
            assert json.loads(m.read("said")) == ["qmp_capabilities", "query-status"] + wanted


def test_stop_without_sockets():
    """rm -rf of the runtime folder: a signal still reaches the shim, and by it the guest."""
    with Machine() as m:
        m.start(MONITOR.replace("STATE", "paused").replace("RUNNING", "false") +
                "answer('{}')\nassert command() == 'stop'; put('said', said)")
        wait_for(lambda: os.path.exists(m.path("up")), "the child's start")
        shutil.rmtree(m.runtime)
        os.kill(m.shim, signal.SIGTERM)
        assert m.wait() == 0, m.read("qemu.log")
        assert json.loads(m.read("said"))[-1] == "cont"
        assert m.read("exit-status") == b"exited 0 stopped\n"


def test_no_machine_without_its_starter():
    """A service that died while it waited for the ready line leaves no orphan."""
    with Machine() as m:
        read_end, write_end = os.pipe()
        os.set_inheritable(write_end, True)
        os.close(read_end)
        # Its starter's end may come at any time, so QEMU may have begun to run.
        command = m.command("put('pid', os.getpid()); sleep()", ready_fd=write_end)
        done = subprocess.run(command, pass_fds=[write_end], timeout=LIMIT, check=False,
                              capture_output=True, text=True)
        os.close(write_end)
        assert done.returncode == 137 and "Broken pipe" in done.stderr, done
        assert m.read("exit-status") == b"signaled 9\n"
        assert os.listdir(m.runtime) == []


def test_child_dies_with_the_shim():
    with Machine() as m:
        child = m.start("sleep()")
        os.kill(m.shim, signal.SIGKILL)
        m.wait()
        wait_for(lambda: not alive(child), "the death of the child")
        assert not os.path.exists(m.path("exit-status")), "there is a status, but nobody saw it"
        assert m.run("pass") == 0, "the next boot"


def test_grandchildren_do_not_stay():
    with Machine() as m:
        m.start("""
pid = os.fork()
if pid == 0:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    while True: time.sleep(1)
put('grandchild', pid)""")
        assert m.wait() == 0
        grandchild = json.loads(m.read("grandchild"))
        wait_for(lambda: not alive(grandchild), "the death of the grandchild")


def check_notify(name, address):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, Machine() as m:
        listener.bind(address)
        if address[0] == "/":
            os.chmod(address, 0o777)
        listener.settimeout(LIMIT)
        m.start("command(); put('found', dict(os.environ))", env={"NOTIFY_SOCKET": name})
        assert listener.recv(500).decode().splitlines() == [
            "READY=1", f"MAINPID={m.shim}", f"STATUS=ready {m.shim} {m.pid}"]
        os.kill(m.shim, signal.SIGTERM)
        assert listener.recv(500) == b"STOPPING=1"
        assert m.wait() == 0
        assert "NOTIFY_SOCKET" not in json.loads(m.read("found"))


def test_service_manager_is_notified():
    with tempfile.TemporaryDirectory(prefix="kh-notify-") as folder:
        os.chmod(folder, 0o755)
        check_notify(f"{folder}/notify", f"{folder}/notify")
    check_notify(f"@kh-notify-{os.getpid()}", f"\0kh-notify-{os.getpid()}")


def fill(address):
    """Sends to a datagram socket until there is no room. The number of messages."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as other:
        for count in itertools.count():
            try:
                other.sendto(b"OTHER=1", address)
            except BlockingIOError:
                return count


def check_busy_manager(qemu, expected):
    with tempfile.TemporaryDirectory(prefix="kh-notify-") as folder, Machine() as m, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        os.chmod(folder, 0o755)
        listener.bind(f"{folder}/notify")
        os.chmod(f"{folder}/notify", 0o777)
        listener.settimeout(5)
        others = fill(f"{folder}/notify")
        env = {"NOTIFY_SOCKET": f"{folder}/notify"}
        thread = threading.Thread(target=m.launch, args=("command()",),
                                  kwargs={"env": env, "qemu": qemu})
        thread.start()
        time.sleep(0.5)
        assert [listener.recv(500) for _ in range(others)] == [b"OTHER=1"] * others
        assert listener.recv(500).startswith(expected)
        thread.join(LIMIT)


def test_service_manager_is_busy():
    """What it must hear waits until there is room for it."""
    check_busy_manager(None, b"READY=1\n")
    check_busy_manager("/nonexistent/qemu", b"STATUS=error ")


def test_service_manager_hears_why():
    """STATUS= has the reason of a failed start, and the last line of a tool."""
    with tempfile.TemporaryDirectory(prefix="kh-notify-") as folder, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, Machine() as m:
        os.chmod(folder, 0o755)
        listener.bind(f"{folder}/notify")
        os.chmod(f"{folder}/notify", 0o777)
        listener.settimeout(LIMIT)
        env = {"NOTIFY_SOCKET": f"{folder}/notify"}
        line = m.launch("pass", qemu="/nonexistent/qemu", env=env)
        assert listener.recv(500).decode() == "STATUS=" + line
        call("--run", env=env)
        assert listener.recv(500) == b"STATUS=error --run needs --instance\n"
        words = ["--format", "--state-dir", m.state] + m.user() + ["--"]
        call(*words, "printf", "first\\n\\nlast \\303\\251\\n\\n", env=env)
        call(*words, "sh", "-c", "printf 'first\\n\\nlast \\303\\251\\r\\n\\n'; exit 3", env=env)
        assert listener.recv(500) == b"STATUS=error last ??\n"


def test_spam_does_not_starve():
    """Printing as fast as it can on both channels, the guest still answers and stops."""
    with Machine() as m:
        m.start("""
if os.fork() == 0:
    while True: say(b'0123456789abcdef' * 4096)
if os.fork() == 0:
    while True: os.write(2, b'e' * 60000 + b'\\n')
""" + ECHO, log_size=1 << 20)
        console = m.connect("console.sock")
        client = m.connect("control.sock")
        for n in range(50):
            client.sendall(b"status %d\n" % n)
            assert receive(client, b"\n") == b"ok status %d\n" % n
        receive(console, b"f")
        client.sendall(b"exit\n")
        assert m.wait() == 0
        for name in ("serial.log", "qemu.log"):
            assert sum(map(len, logged(m, name))) <= 4 << 20


def with_tmpfs(m, script, code):
    """Runs the shell script in a mount namespace, with state folder, uid and the shim's words."""
    need_root()
    words = [*namespace.enter(m.base), "sh", "-c", script, "sh", m.state, str(UID)]
    return subprocess.run(words + m.command(code), capture_output=True, timeout=LIMIT)


def test_disk_full():
    with Machine() as m:
        # The disk of 300 KiB is full long before the logs are; then room is made.
        code = """
for n in range(100): say(('%05d ' % n) + 'x' * 10000 + '\\n'); os.write(2, b'e' * 500 + b'\\n')
time.sleep(0.5)
full = os.statvfs('.').f_bavail
os.unlink('ballast')
time.sleep(0.1)
say('room again\\n'); time.sleep(0.5)
free = os.statvfs('.').f_bavail
filler = os.open('filler', os.O_CREAT | os.O_WRONLY)
while True:
    try: os.write(filler, b'x' * 4096)
    except OSError: break
sys.exit(3 if full == 0 and free > 0 else 4)
"""
        script = 'd=$1; u=$2; shift 2; mount -t tmpfs -o size=300k,mode=0700,uid=$u t "$d"; ' \
                 'head -c 50000 /dev/zero >"$d/ballast"; chown $u "$d/ballast"; ' \
                 '"$@"; code=$?; cd "$d"; cat exit-status; cat serial.log; exit $code'
        result = with_tmpfs(m, script, code)
        assert result.returncode == 3, result
        assert result.stdout.startswith(b"exited 3\n"), result.stdout[:100]
        log = result.stdout.split(b"\n")[1:]
        mark = re.compile(rb"\[\d+ bytes of this log were dropped\]")
        assert mark.fullmatch(log[-3]), log[-3][:100]
        assert log[-2] == b"room again" and log[-1] == b""
        lines = [line for line in log[:-3] if not mark.fullmatch(line)]
        assert all(len(line) == 10006 for line in lines), [len(line) for line in lines]
        numbers = [int(line[:5]) for line in lines]
        assert numbers == sorted(set(numbers)) and 10 < len(numbers) < 100, numbers


def test_start_on_full_disk():
    script = 'd=$1; u=$2; shift 2; mount -t tmpfs -o size=16k,nr_inodes=4,mode=0700,uid=$u t "$d"; ' \
             'head -c 100000 /dev/zero >"$d/serial.log"; touch "$d/data.raw" "$d/args"; ' \
             'chown $u "$d"/*; "$@"; code=$?; ls "$d"; exit $code'
    with Machine() as m:
        result = with_tmpfs(m, script, "say('x\\n'); time.sleep(0.3); sys.exit(6)")
        assert result.returncode == 6, result
        assert b"exit-status\n" in result.stdout, result


def test_format():
    with Machine() as m:
        words = ["--format", "--state-dir", m.state] + m.user() + ["--"]
        with open(m.path("data.raw"), "w") as file:
            file.truncate(64 << 20)
        if ROOT:
            os.chown(m.path("data.raw"), UID, UID)
        if shutil.which("mkfs.ext4", path="/usr/sbin:/sbin"):
            result = call(*words, "mkfs.ext4", "-q", "-E", "lazy_itable_init=1", "data.raw")
            assert result.returncode == 0, result
            assert m.read("data.raw")[1080:1082] == b"\x53\xef", "no ext4 file system"
        result = call(*words, "sh", "-c", "id -u; pwd; umask; exit 9")
        assert result.returncode == 9 and result.stdout == "", result
        assert result.stderr.split("\n")[:3] == [str(UID), m.state, "0077"], result
        result = call(*words, "sh", "-c", "head -c 10000000 /dev/zero | tr '\\0' x")
        assert result.returncode == 0 and len(result.stderr) < 80000, len(result.stderr)
        for script, said in (("exit 7", "sh exited with code 7 and said nothing"),
                             ("printf half; kill -9 $$", "sh was killed by signal 9 (Killed)")):
            result = call(*words, "sh", "-c", script)
            assert result.stderr.splitlines()[-1:] == [said], result
        result = call(*words, "no-such-mkfs")
        assert result.returncode == 125 and "cannot execute no-such-mkfs" in result.stderr, result


def test_probe_kvm():
    if not os.path.exists("/dev/kvm"):
        tap.skip("/dev/kvm is missing")
    with Machine() as m:
        assert call("--probe-kvm").returncode == (0 if os.access("/dev/kvm", os.R_OK | os.W_OK) else 1)
        if ROOT and stat.S_IMODE(os.stat("/dev/kvm").st_mode) & 0o006 != 0o006:
            result = call("--probe-kvm", *m.user())
            assert result.returncode == 1 and "/dev/kvm" in result.stderr, result
            group = os.stat("/dev/kvm").st_gid
            if group != 0 and os.stat("/dev/kvm").st_mode & 0o060 == 0o060:
                assert call("--probe-kvm", *m.user(), "--group", str(group)).returncode == 0


def test_probe_sev():
    result = call("--probe-sev")
    if os.path.exists("/dev/sev"):
        assert result.returncode == (0 if os.access("/dev/sev", os.R_OK | os.W_OK) else 1)
    else:
        assert result.returncode == 1 and "cannot open /dev/sev" in result.stderr, result
    assert call("--probe-sev", "--probe-kvm").returncode == 125


if __name__ == "__main__":
    sys.exit(tap.run([test for name, test in list(globals().items())
                      if name.startswith("test_")] +
                     [b123_folders_in_the_way, b123_very_deep_folder, b123_crowded_folder,
                      b123_mount_in_the_way]))
