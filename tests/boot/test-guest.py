#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Boots the boot components in QEMU under TCG, and holds the guest to its contract.

KH_PARTS may be a folder with vmlinuz and initrd.img; without it they are built first.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import quotes
import rpc
from tap import Skip, check, equal, eventually, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "boot-components", "build.sh")
QEMU = os.environ.get("QEMU", "qemu-system-x86_64")
CONTROL = "org.katana.control.0"
# A boot takes some 5 s; a machine that does other things besides takes longer.
BOOT_S = 120
FOLDER = tempfile.mkdtemp(prefix="guest.")
SECRET = "0x5ec2e75ec2e75ec2e7"


def build(output, *args):
    subprocess.run([BUILD, "--no-ovmf", "--output", output, *args], check=True, timeout=600,
                   stdout=subprocess.DEVNULL)
    return output


def make_disk(name):
    path = os.path.join(FOLDER, name)
    with open(path, "wb") as disk:
        disk.truncate(100 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1", path],
                   check=True, timeout=60)
    return path


def check_clean(disk):
    done = subprocess.run(["e2fsck", "-fn", disk], capture_output=True, text=True, timeout=60,
                          check=False)
    equal(done.returncode, 0, f"e2fsck of the data disk ({done.stdout})")
    # A journal to be replayed is what an unclean end leaves, though e2fsck forgives it.
    shown = subprocess.run(["dumpe2fs", "-h", disk], capture_output=True, text=True, timeout=60,
                           check=True).stdout
    check("needs_recovery" not in shown, "the journal needs recovery")


class Guest:
    """One QEMU, in a folder of its own."""

    def __init__(self, parts, disk, args):
        self.folder = tempfile.mkdtemp(dir=FOLDER)
        self.port = rpc.free_port()
        self.log = os.path.join(self.folder, "serial.log")
        self.control = None
        self.pending = b""
        with open(os.path.join(self.folder, "args"), "w", encoding="utf-8") as file:
            file.write("".join(arg + "\n" for arg in args))
        with open(os.path.join(self.folder, "qemu.log"), "wb") as errors:
            self.process = subprocess.Popen(self.command(parts, disk), cwd=self.folder,
                                            stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)

    def command(self, parts, disk):
        command = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg",
                   "-cpu", "max", "-machine", "q35,vmport=off", "-smp", "1", "-m", "256",
                   "-kernel", f"{parts}/vmlinuz", "-initrd", f"{parts}/initrd.img",
                   "-append", "console=ttyS0", "-serial", "file:serial.log",
                   "-device", "virtio-serial-pci",
                   "-chardev", "socket,id=control,path=control,server=on,wait=off",
                   "-device", f"virtserialport,chardev=control,name={CONTROL}",
                   "-fw_cfg", "name=opt/org.katana/args,file=args",
                   "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:5050",
                   "-device", "virtio-net-pci,netdev=net,romfile="]
        if disk is not None:
            command += ["-device", "virtio-scsi-pci,id=scsi",
                        "-drive", f"file={disk},format=raw,if=none,id=disk,cache=none",
                        "-device", "scsi-hd,drive=disk,bus=scsi.0"]
        return command

    def text(self):
        with contextlib.suppress(FileNotFoundError), open(self.log, "rb") as log:
            return log.read(8 << 20).decode(errors="replace").replace("\r", "")
        return ""

    def tail(self):
        return "\n".join(self.text().splitlines()[-15:])

    def alive(self):
        return self.process.poll() is None

    def wait_log(self, pattern, seconds=BOOT_S):
        def found():
            # Alive is asked before the log, so that the last lines are not missed.
            alive = self.alive()
            match = re.search(pattern, self.text(), re.MULTILINE)
            check(alive or match, f"QEMU ended without {pattern}:\n{self.tail()}")
            return match
        return eventually(found, seconds, f"{pattern} in the log")

    def connect(self):
        self.wait_log("^init: ready for commands")
        self.control = socket.socket(socket.AF_UNIX)
        self.control.settimeout(BOOT_S)
        # The path may be too long for a socket's address.
        folder = os.open(self.folder, os.O_PATH)
        try:
            self.control.connect(f"/proc/self/fd/{folder}/control")
        finally:
            os.close(folder)

    def command_reply(self, line, seconds=BOOT_S):
        self.control.settimeout(seconds)
        self.control.sendall(line.encode() + b"\n")
        while b"\n" not in self.pending:
            part = self.control.recv(4096)
            check(part, f"the control port closed instead of answering {line!r}")
            self.pending += part
        reply, self.pending = self.pending.split(b"\n", 1)
        return reply.decode()

    def start(self):
        self.connect()
        reply = self.command_reply("start")
        check(re.fullmatch(r"ok started pid=[0-9]+", reply), f"start answered {reply!r}")

    def wait_healthy(self):
        def probe():
            check(self.alive(), f"QEMU ended:\n{self.tail()}")
            return rpc.healthy(self.port)
        eventually(probe, BOOT_S, "GET / answers")

    def wait_end(self, seconds=60):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"QEMU does not end:\n{self.tail()}") from None
        equal(code, 0, f"QEMU's exit code ({self.tail()})")

    def stop(self):
        equal(self.command_reply("stop"), "ok stopping", "answer to stop")
        self.wait_end()
        check("\nTeardown: poweroff\n" in self.text(), f"no teardown:\n{self.tail()}")

    def end(self):
        if self.control is not None:
            self.control.close()
        if self.alive():
            self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def guest(disk, *args, parts=None):
    one = Guest(parts or PARTS, disk, args)
    try:
        yield one
    finally:
        one.end()


def test_interface():
    """a guest boots, obeys its control port and answers RPC"""
    disk = make_disk("interface")
    with guest(disk, "--dev", "--chain-id", "KATANA", "--db-dir", "/tmp/x", "--chain=/tmp/y",
               f"--account.private-key={SECRET}") as one:
        one.connect()
        equal(one.command_reply("status"), "stopped exit=never", "status before start")
        check(not rpc.healthy(one.port), "no RPC before start")
        check(one.command_reply("start --dev").startswith("err start-takes-no-args"), "arguments")
        equal(one.command_reply("dance"), "err unknown-command", "unknown command")
        started = one.command_reply("start")
        check(started.startswith("ok started pid="), started)
        pid = started.split("=")[1]
        equal(one.command_reply("start"), f"err already-running pid={pid}", "second start")
        equal(one.command_reply("\nstatus"), f"running pid={pid}", "status")
        one.wait_healthy()
        equal(rpc.call(one.port, "starknet_chainId"), "0x4b4154414e41", "chain id")
        equal(rpc.call(one.port, "starknet_blockNumber"), 0, "block number")
        check("stand-in" in rpc.call(one.port, "node_getInfo")["version"], "names itself")
        equal(rpc.error_code(one.port, "tee_generateQuote", None, 0), 100, "quote")
        equal(rpc.request(one.port, "OPTIONS")[1]["Access-Control-Allow-Origin"], "*", "CORS")
        one.stop()
        check("This guest runs the stand-in" in one.text(), "the console names the stand-in")
        check(SECRET not in one.text(), "a private key in the log")
        check("FATAL" not in one.text(), f"FATAL after a stop:\n{one.tail()}")
    check_clean(disk)


def test_blocks_survive():
    """three blocks are still there after stop and boot, on a clean disk"""
    disk = make_disk("blocks")
    with guest(disk, "--dev") as one:
        one.start()
        one.wait_healthy()
        for _ in range(3):
            rpc.call(one.port, "dev_generateBlock")
        equal(rpc.call(one.port, "starknet_blockNumber"), 3, "block number before")
        one.stop()
    check_clean(disk)
    with guest(disk, "--dev") as one:
        one.start()
        one.wait_healthy()
        equal(rpc.call(one.port, "starknet_blockNumber"), 3, "block number after")
        one.stop()
    check_clean(disk)


def test_quotes():
    """a guest with a processor of the test's signs quotes that verify, the same after a restart"""
    folder = os.path.join(FOLDER, "chain")
    argument = quotes.make_chain(folder)
    disk = make_disk("quotes")
    facts = []
    for _ in range(2):
        with guest(disk, "--dev", argument) as one:
            one.start()
            one.wait_healthy()
            if not facts:
                rpc.call(one.port, "dev_generateBlock")
            answer = quotes.ask(one.port, 0, 1)
            quotes.accepted(quotes.verify(folder, answer, 1))
            quotes.refused(quotes.verify(folder, answer, 1, measurement="cd" * 48), "V9")
            del answer["result"]["quote"]
            facts.append((answer["result"],
                          rpc.call(one.port, "starknet_getBlockWithTxHashes", "latest")))
            one.stop()
            check(argument[-80:] not in one.text(), "the argument in the log")
    equal(facts[1], facts[0], "facts after a restart")
    check_clean(disk)


def test_reconnect():
    """the control port takes a new host after the first has gone"""
    disk = make_disk("reconnect")
    with guest(disk) as one:
        one.start()
        one.control.close()
        one.connect()
        check(one.command_reply("status").startswith("running pid="), "status")
        one.control.close()
        one.wait_healthy()
        one.connect()
        one.stop()
    check_clean(disk)


def test_orphans():
    """a start goes well while what init has adopted ends around it"""
    disk = make_disk("orphans")
    # Arguments that init drops, to be busy with before Katana runs.
    with guest(disk, *["--db-dir=x"] * 1000) as one:
        one.connect()
        # What bounds each reply in time outlives it by up to a second, as a child of init.
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            equal(one.command_reply("status"), "stopped exit=never", "status")
        reply = one.command_reply("start")
        check(re.fullmatch(r"ok started pid=[0-9]+", reply), f"start answered {reply!r}")
        one.wait_healthy()
        one.stop()
        check("nterrupted" not in one.text(), one.tail())
    check_clean(disk)


def test_crash():
    """when Katana ends, a FATAL line has its exit code and the guest powers off"""
    disk = make_disk("crash")
    with guest(disk, "--dev", "--block-time", "100", "--fake.crash-after", "1500",
               "--fake.no-newline", "--fake.spam-seconds", "1") as one:
        one.start()
        one.wait_end()
        check("\nFATAL: Katana exited with code 3\n" in one.text(), one.tail()[-2000:])
    check_clean(disk)
    with guest(disk, "--dev.no-fee") as one:
        one.start()
        one.wait_end()
        check("\nFATAL: Katana exited with code 2\n" in one.text(), one.tail())
    check_clean(disk)


def test_fatal():
    """a cause is named in a FATAL line: the fake one, no disk, a disk without ext4"""
    with guest(make_disk("fatal"), "--fake.fatal", "the moon is full") as one:
        one.connect()
        one.control.sendall(b"start\n")
        one.wait_end()
        check("\nFATAL: the moon is full\n" in one.text(), one.tail())
    with guest(None) as one:
        one.wait_end(BOOT_S)
        check("\nFATAL: required storage device /dev/sda not found\n" in one.text(), one.tail())
    for name, start, cause in (("empty", b"\0", "/dev/sda cannot be mounted as ext4"),
                               ("sealed", b"LUKS\xba\xbe", "sealed [(]LUKS[)] disk")):
        path = os.path.join(FOLDER, name)
        with open(path, "wb") as disk:
            disk.write(start)
            disk.truncate(64 << 20)
        with guest(path) as one:
            one.wait_end(BOOT_S)
            check(re.search(f"^FATAL: {cause}", one.text(), re.MULTILINE), one.tail())


def test_ignored_stop():
    """a Katana that ignores SIGTERM is killed, and the disk is clean within 30 s"""
    disk = make_disk("ignored")
    with guest(disk, "--dev", "--block-time", "50", "--fake.ignore-stop") as one:
        one.start()
        one.wait_healthy()
        one.stop()
        check("Katana exited with code 137" in one.text(), one.tail())
    check_clean(disk)


def test_deaf():
    """--fake.deaf answers start and then nothing more"""
    with guest(make_disk("deaf"), "--fake.deaf") as one:
        one.start()
        one.wait_healthy()
        try:
            reply = one.command_reply("status", 4)
            check(False, f"status was answered: {reply}")
        except socket.timeout:
            check(one.alive(), "the guest lives")


def test_network():
    """with restrict=on the guest reaches no port of this machine"""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        target = f"10.0.2.2:{listener.getsockname()[1]}"
        with guest(make_disk("network"), "--fake.connect", target) as one:
            one.start()
            found = one.wait_log(f"^connect {re.escape(target)}: (.*)$").group(1)
            check(found != "ok", "the guest reached a loopback port")
            one.stop()


def test_dynamic():
    """a dynamic --katana binary boots with its interpreter and libraries"""
    program = os.path.join(FOLDER, "katana-dynamic")
    folder = os.path.join(ROOT, "boot-components", "standin")
    sources = sorted(os.path.join(folder, name) for name in os.listdir(folder)
                     if name.endswith(".c"))
    subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu11", "-D_GNU_SOURCE",
                    '-DSTANDIN_VERSION="dynamic"', "-o", program, *sources,
                    "-Wl,--no-as-needed", "-lm", "-lcrypto"], check=True, timeout=120)
    parts = build(os.path.join(FOLDER, "dynamic parts"), "--katana", program)
    with open(os.path.join(parts, "build-info.txt"), encoding="utf-8") as info:
        check(re.search("^KATANA=sha256:[0-9a-f]{64}$", info.read(), re.MULTILINE), "KATANA=")
    disk = make_disk("dynamic")
    with guest(disk, "--dev", parts=parts) as one:
        one.start()
        one.wait_healthy()
        check("dynamic" in rpc.call(one.port, "node_getInfo")["version"], "it is that binary")
        one.stop()
    check_clean(disk)


def prepare():
    """The folder of the parts; Skip says what is missing."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    for tool, package in ((QEMU, "qemu-system-x86"), ("mkfs.ext4", "e2fsprogs"),
                          ("gcc", "gcc")):
        if shutil.which(tool) is None:
            raise Skip(f"{tool} is missing (package {package})")
    if "KH_PARTS" in os.environ:
        return os.path.abspath(os.environ["KH_PARTS"])
    return build(os.path.join(FOLDER, "parts"))


TESTS = [test_interface, test_blocks_survive, test_quotes, test_reconnect, test_orphans,
         test_crash, test_fatal, test_ignored_stop, test_deaf, test_network, test_dynamic]
PARTS = None


def main():
    global PARTS  # pylint: disable=global-statement
    start = time.monotonic()
    try:
        PARTS = prepare()
        code = run(TESTS)
    except Skip as missing:
        print(f"1..0 # SKIP {missing}")
        code = 0
    finally:
        shutil.rmtree(FOLDER)
    print(f"# {time.monotonic() - start:.0f} s")
    return code


sys.exit(main())
