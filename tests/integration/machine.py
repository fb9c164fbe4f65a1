# SPDX-License-Identifier: MIT
"""Folders and a shim around the fake child, for test_shim.py."""
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time

SHIM = os.environ["SHIM"]
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.geteuid() == 0
# Of the range that the service uses by default, its very end.
UID = 1879179200 if ROOT else os.getuid()
LIMIT = 30


def wait_for(what, text, limit=LIMIT):
    """The first true value of `what()`."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"{text} did not happen within {limit} s")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


class Machine:
    """One instance's folders below a temporary one; `with` ends and removes all."""

    def __init__(self, closed_parent=False):
        self.base = tempfile.mkdtemp(prefix="kh-shim-")
        os.chmod(self.base, 0o755)
        self.closed = os.path.join(self.base, "closed")
        os.mkdir(self.closed, 0o700 if closed_parent else 0o755)
        self.state = os.path.join(self.closed, "a state, with = blanks")
        self.runtime = os.path.join(self.closed, "runtime")
        self.child = os.path.join(self.base, "fake_child.py")
        shutil.copy(os.path.join(HERE, "fake_child.py"), self.child)
        os.chmod(self.child, 0o755)
        for folder in (self.state, self.runtime):
            os.mkdir(folder, 0o700)
            if ROOT:
                os.chown(folder, UID, UID)
        for name in ("vmlinuz", "initrd.img", "ovmf.fd"):
            with open(os.path.join(self.closed, name), "w") as file:
                file.write(name)
            os.chmod(os.path.join(self.closed, name), 0o444)
        self.process = None
        self.ready = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        shutil.rmtree(self.base)

    def path(self, *names):
        return os.path.join(self.state, *names)

    def read(self, *names):
        with open(self.path(*names), "rb") as file:
            return file.read()

    def user(self):
        return ["--uid", str(UID), "--gid", str(UID)] if ROOT else []

    def command(self, code, user=None, qemu=None, **options):
        fixed = {"instance": "test", "state-dir": self.state, "runtime-dir": self.runtime,
                 "kernel": f"{self.closed}/vmlinuz", "initrd": f"{self.closed}/initrd.img",
                 "qemu": qemu or self.child, "service-uid": os.getuid(),
                 "log-size": 1 << 20, "log-files": 4}
        fixed.update({name.replace("_", "-"): value for name, value in options.items()})
        words = [SHIM, "--run"] + (self.user() if user is None else user)
        for name, value in fixed.items():
            words += [f"--{name}", str(value)]
        return words + ["--", code]

    def launch(self, code, before=(), env=None, **options):
        """Starts the shim and returns its ready or error line."""
        read_end, write_end = os.pipe()
        os.set_inheritable(write_end, True)
        words = list(before) + self.command(code, ready_fd=write_end, **options)
        self.errors = open(os.path.join(self.base, "stderr"), "w+")
        self.process = subprocess.Popen(words, pass_fds=[write_end], stderr=self.errors,
                                        env=dict(os.environ, **(env or {})))
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            self.line = pipe.read()
        return self.line

    def start(self, code, **options):
        """The same, and it must come up. Returns the child's pid."""
        line = self.launch(code, **options)
        assert line.startswith("ready "), (line, self.stderr())
        shim, child = map(int, line.split()[1:])
        assert line == f"ready {shim} {child}\n" and (options.get("before") or
                                                      shim == self.process.pid), line
        self.shim, self.pid = shim, child
        return child

    def stderr(self):
        self.errors.flush()
        with open(self.errors.name) as file:
            return file.read()

    def wait(self, limit=LIMIT):
        return self.process.wait(limit)

    def run(self, code, **options):
        """Starts and waits for the end. The exit code."""
        self.start(code, **options)
        return self.wait()

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(LIMIT)
        if self.process:
            self.errors.close()
        self.process = None

    def connect(self, name):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(LIMIT)
        # The path may be long; the folder's descriptor makes it short.
        folder = os.open(self.runtime, os.O_RDONLY | os.O_DIRECTORY)
        client.connect(f"/proc/self/fd/{folder}/{name}")
        os.close(folder)
        return client

    def plant(self, kind, folder, name, outside):
        """Puts a trap of the VM's user in the place of a name."""
        path = os.path.join(folder, name)
        if kind == "symlink":
            os.symlink(outside, path)
        elif kind == "fifo":
            os.mkfifo(path, 0o600)
        elif kind == "hard link":
            os.link(outside, path)
        else:
            os.mkdir(path)
            open(os.path.join(path, "inside"), "w").close()
        if ROOT and kind not in ("hard link",):
            os.chown(path, UID, UID, follow_symlinks=False)
        if kind == "folder" and ROOT:
            os.chown(os.path.join(path, "inside"), UID, UID)

    def is_file(self, *names):
        found = os.lstat(self.path(*names))
        return (stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == UID and
                stat.S_IMODE(found.st_mode) == 0o600)


def receive(client, marker):
    """Reads from a socket until the marker has come."""
    data = b""
    while marker not in data:
        more = client.recv(65536)
        assert more, f"{marker} never came, but {data[-200:]}"
        data += more
    return data
