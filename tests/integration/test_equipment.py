#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The tests' own equipment: the fake QEMU outlives those that talk to it, and what a failed
test leaves is taken away without a word over the failure itself.
"""
import contextlib
import fcntl
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import time

import rpc
import tap
from harness import LOCKS, SOURCE, World, as_root, is_alive

# As the shim gives them to QEMU.
SERIAL, CONTROL, QMP, MONITOR = 13, 14, 15, 16


class Qemu:
    """The fake one, with this process in the place of shim and service."""

    def __init__(self, folder, *words):
        self.folder = pathlib.Path(folder)
        (self.folder / "args").write_text(" ".join(words), encoding="utf-8")
        self.port = rpc.free_port()
        pairs = [socket.socketpair() for _ in range(3)]
        self.serial, self.control, self.monitor = (ours for ours, _ in pairs)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.folder / "qmp.sock"))
            listener.listen()
            theirs = [one for _, one in pairs]
            self.process = self.start(theirs[0], theirs[1], listener, theirs[2])
        for one in theirs:
            one.close()

    def start(self, *peers):
        """It inherits them at the numbers that it knows; a copy of each is out of their way."""
        numbers = (SERIAL, CONTROL, QMP, MONITOR)
        copies = [fcntl.fcntl(peer.fileno(), fcntl.F_DUPFD, 30) for peer in peers]
        moves = " ".join(f"{number}<&{copy}" for number, copy in zip(numbers, copies))
        command = [SOURCE / "tests/integration/fake-qemu", "-netdev",
                   f"user,hostfwd=tcp:127.0.0.1:{self.port}-:5050"]
        process = subprocess.Popen(["bash", "-c", f'exec "$@" {moves}', "bash", *command],
                                   cwd=self.folder, pass_fds=copies, stderr=subprocess.PIPE)
        for copy in copies:
            os.close(copy)
        return process

    def client(self):
        found = socket.socket(socket.AF_UNIX)
        found.connect(str(self.folder / "qmp.sock"))
        return found

    def answers(self):
        """Whether it goes on with others."""
        with self.client() as other:
            other.settimeout(10)
            other.sendall(b'{"execute": "query-status", "id": 7}\n')
            said = b""
            while b'"id": 7' not in said:
                said += other.recv(4096)
        return is_alive(self.process.pid)

    def end(self):
        for one in (self.serial, self.control, self.monitor):
            one.close()
        self.process.kill()
        self.process.communicate(timeout=20)


@contextlib.contextmanager
def fake_qemu(*words):
    with tempfile.TemporaryDirectory(prefix="kh-test-") as folder:
        qemu = Qemu(folder, *words)
        try:
            yield qemu
        finally:
            qemu.end()


def b96_killed_monitor():
    """the fake QEMU outlives a client of its monitor that ends with unread data"""
    with fake_qemu() as qemu:
        for request in (b"", b'{"execute": "stop"}\n', b'{"execute": "cont"}\n{"execute'):
            client = qemu.client()
            client.sendall(request)
            # Its greeting is there and stays unread, so that the end of this is a reset.
            client.recv(1, socket.MSG_PEEK)
            client.close()
            tap.check(qemu.answers(), request)


def b96_killed_caller():
    """and a caller of its RPC that resets the connection, or ends before its request"""
    with fake_qemu() as qemu:
        qemu.control.sendall(b"start\n")
        tap.eventually(lambda: rpc.healthy(qemu.port), 10, "RPC answers")
        for request in (b"", b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 9"):
            client = socket.create_connection(("127.0.0.1", qemu.port))
            client.sendall(request)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            tap.eventually(lambda: rpc.healthy(qemu.port), 10, f"an answer after {request}")


def b96_killed_shim():
    """and the ends of its serial port, its control channel and its first monitor"""
    with fake_qemu("--fake.ignore-stop") as qemu:
        qemu.monitor.recv(1, socket.MSG_PEEK)
        qemu.control.sendall(b"nonsense\nstatus\n")
        qemu.control.recv(1, socket.MSG_PEEK)
        for one in (qemu.monitor, qemu.control, qemu.serial):
            one.close()
        with qemu.client() as client:
            client.sendall(b'{"execute": "set-action", "arguments": {"reboot": "reset"}}\n')
            for word in (b"stop", b"cont", b"system_reset"):
                client.sendall(b'{"execute": "%s"}\n' % word)
            time.sleep(0.2)
        tap.check(qemu.answers(), "afterwards")


class Broken(World):
    """A world in which nothing is there any more that is to be ended."""

    def processes(self):
        return {2 ** 22 + 1}


class Blocked(World):
    """A world whose clean-up fails."""

    def kill_all(self, spare=None):
        super().kill_all(spare)
        raise PermissionError("kill_all")


def said_of(world):
    """What is told of a test that fails in the world."""
    try:
        with world:
            raise KeyError("the test's own failure")
    except Exception as error:  # pylint: disable=broad-except
        return repr(error)


def b96_clean_up_is_silent():
    """a clean-up that fails, or finds nothing any more, hides no failure and removes what it can"""
    for kind in (Broken, Blocked):
        world = kind()
        tap.equal(said_of(world), "KeyError(\"the test's own failure\")", kind.__name__)
        tap.check(not world.folder.exists(), "the folder is gone")
        tap.check(world.bus.poll() is not None, "the bus is gone")


def b96_claims_of_others():
    """claims of uids that vanish or cannot be read are no matter of a world's end"""
    as_root()
    LOCKS.mkdir(parents=True, exist_ok=True)
    # As a claim that goes between being listed and being read, and one that is no file.
    gone, folder = LOCKS / "4294967293", LOCKS / "4294967292"
    gone.symlink_to("nowhere")
    folder.mkdir()
    try:
        world = World()
        mine = LOCKS / "4294967291"
        mine.write_text(str(world.state), encoding="utf-8")
        tap.equal(said_of(world), "KeyError(\"the test's own failure\")", "what is told")
        tap.check(not mine.exists(), "its own claim is gone")
    finally:
        gone.unlink()
        folder.rmdir()


if __name__ == "__main__":
    sys.exit(tap.run([b96_killed_monitor, b96_killed_caller, b96_killed_shim,
                      b96_clean_up_is_silent, b96_claims_of_others]))
