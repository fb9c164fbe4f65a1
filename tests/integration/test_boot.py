#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Real guests: the boot components under the real QEMU, shim and service, emulated."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading

import quotes
import rpc
import tap
from harness import MANAGER, World, components, is_alive, now, status_of, wait_dead

SMALL = "'memory-bytes': <uint64 536870912>, 'vcpus': <uint32 1>, 'storage-bytes': " \
        "<uint64 104857600>, 'dev': <true>"


class Boot(World):
    """A world with the real QEMU."""

    def __init__(self, *options, **more):
        super().__init__(*options, fake=False, components=components(), **more)

    def boot(self, name, more="", *words, no_wait=False):
        arguments = ", ".join(f"'{word}'" for word in words)
        config = f"{{{SMALL}{more}, 'katana-args': <@as [{arguments}]>}}"
        path = self.create(name, config)
        self.start_instance(path, "{'no-wait': <true>}" if no_wait else "{}")
        return path, self.show(name)


def listeners():
    """(address, port) of every listening TCP socket."""
    found = set()
    for line in open("/proc/net/tcp", encoding="ascii").readlines()[1:]:
        words = line.split()
        if words[3] == "0A":
            address, port = words[1].split(":")
            found.add((socket.inet_ntoa(bytes.fromhex(address)[::-1]), int(port, 16)))
    return found


def check_process(pid, seccomp):
    status = status_of(pid)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        if name != "CapBnd" or os.geteuid() == 0:
            tap.equal(int(status[name][0], 16), 0, f"{name} of {pid}")
    tap.equal(status["NoNewPrivs"], ["1"], "NoNewPrivs")
    tap.check("0" not in status["Uid"], f"uids {status['Uid']}")
    if seccomp:
        tap.equal(status["Seccomp"], ["2"], "Seccomp")
    return int(status["Uid"][0])


def check_modes(world, shown, uid):
    folder = pathlib.Path(shown["data_directory"])
    for path, mode, owner in ((world.state, 0o711, None), (world.state / "state.db", 0o600, None),
                              (world.state / "instances", 0o711, None), (folder, 0o700, uid)):
        found = path.stat()
        tap.equal(stat.S_IMODE(found.st_mode), mode, f"mode of {path}")
        tap.equal(found.st_uid, os.geteuid() if owner is None else owner, f"owner of {path}")
    for file in folder.iterdir():
        tap.equal((stat.S_IMODE(file.stat().st_mode), file.stat().st_uid), (0o600, uid), str(file))
    runtime = world.runtime / "katana-hypervisor" / shown["id"]
    tap.equal((stat.S_IMODE(runtime.stat().st_mode), runtime.stat().st_uid), (0o700, uid),
              str(runtime))


def answers():
    """a booted guest answers; only loopback listens; modes, uids, no capability, seccomp"""
    with Boot() as world:
        world.start()
        _, shown = world.boot("demo")
        port = shown["rpc_port"]
        tap.check(rpc.healthy(port), "GET /")
        tap.equal(rpc.call(port, "starknet_chainId"), "0x4b4154414e41", "chain id")
        tap.equal({address for address, number in listeners() if number == port}, {"127.0.0.1"},
                  "addresses that listen")
        uid = check_process(shown["main_pid"], seccomp=True)
        check_process(int(status_of(shown["main_pid"])["PPid"][0]), seccomp=False)
        check_modes(world, shown, uid)


def ordinary_user():
    """the same for a service that is not root: QEMU runs as its user"""
    if os.geteuid() != 0:
        raise tap.Skip("not root, so the test before this one was it")
    user = 65534
    with Boot(user=user) as world:
        world.start()
        world.cli("create", "demo", "--dev", "--memory", "512M", "--vcpus", "1", "--storage",
                  "100M", "--auto-start", user=user)
        shown = json.loads(world.cli("--json", "show", "demo", user=user).stdout)
        tap.check(rpc.healthy(shown["rpc_port"]), "GET /")
        tap.equal(status_of(shown["main_pid"])["Uid"], [str(user)] * 4, "uids")
        world.cli("delete", "--force", "-y", "demo", user=user)


def blocks_survive():
    """three dev_generateBlock, stop, start: the block number is still 3; the disk is clean"""
    with Boot() as world:
        world.start()
        path, shown = world.boot("demo")
        for _ in range(3):
            rpc.call(shown["rpc_port"], "dev_generateBlock")
        world.stop_instance(path)
        tap.equal(world.show("demo")["state_reason"], "", "graceful")
        tap.equal(world.show("demo")["exit_code"], 0, "Katana's exit code, as its guest says it")
        disk = pathlib.Path(shown["data_directory"]) / "data.raw"
        check_disk(disk)
        tap.check(disk.stat().st_blocks * 512 < 20 << 20, "the disk is sparse")
        world.start_instance(path)
        tap.equal(rpc.call(shown["rpc_port"], "starknet_blockNumber"), 3, "block number")
        log = world.cli("logs", "demo", "-n", "0", "--boot", "-1").stdout
        tap.check("Teardown" in log or "poweroff" in log.lower(), "the log of the boot before")


def check_disk(disk):
    fsck = shutil.which("e2fsck", path="/usr/sbin:/sbin:/usr/bin")
    done = subprocess.run([fsck, "-fn", str(disk)], capture_output=True, text=True, timeout=60,
                          check=False)
    tap.equal(done.returncode, 0, done.stdout + done.stderr)


def shim_stops_gracefully():
    """SIGTERM to a shim whose service is gone: the guest stops, the data disk is clean"""
    with Boot() as world:
        world.start()
        path, shown = world.boot("demo")
        rpc.call(shown["rpc_port"], "dev_generateBlock")
        world.service.kill()
        world.service.wait(10)
        os.kill(int(status_of(shown["main_pid"])["PPid"][0]), signal.SIGTERM)
        wait_dead(shown["main_pid"], 40)
        check_disk(pathlib.Path(shown["data_directory"]) / "data.raw")
        world.start()
        world.start_instance(path)
        tap.equal(rpc.call(shown["rpc_port"], "starknet_blockNumber"), 1, "block number")


def network():
    """a guest reaches no loopback port, its neighbour's RPC neither, unless it is outbound"""
    accepted = []
    with socket.create_server(("127.0.0.1", 0)) as server, Boot() as world:
        def accept():
            while True:
                try:
                    accepted.append(server.accept()[1])
                except OSError:
                    return
        threading.Thread(target=accept, daemon=True).start()
        world.start()
        _, neighbour = world.boot("neighbour")
        targets = [f"10.0.2.2:{server.getsockname()[1]}", f"10.0.2.2:{neighbour['rpc_port']}"]
        for name, outbound in (("closed", False), ("open", True)):
            more = ", 'outbound': <true>" if outbound else ""
            path, shown = world.boot(name, more, *(f"--fake.connect={one}" for one in targets))
            tap.equal(shown["outbound"], outbound, "show")
            for target in targets:
                line = tap.eventually(
                    lambda: re.search(rf"connect {re.escape(target)}: (.*)", log_of(world)), 20,
                    "the guest's word on its connection")
                tap.equal(line[1].strip() == "ok", outbound, f"{name} to {target}: {line[1]}")
            tap.equal(bool(accepted), outbound, f"{name}: connections accepted")
            tap.check(rpc.healthy(neighbour["rpc_port"]), "the neighbour answers the host")
            world.call(path, "Instance.Delete", "{'force': <true>}")


def log_of(world):
    name = world.list()[0]["name"]
    return world.cli("logs", name, "-n", "0").stdout


class Confidential:
    """A world with one confidential instance, simulated, and a processor of the test's own
    that signs the reports of its guest."""

    def __init__(self, world):
        self.world, self.chain = world, world.folder / "chain"
        world.start()
        config = f"{{{SMALL}, 'tee': <true>}}"
        world.call(MANAGER, "Manager.CreateInstance", "demo", config, "{'allow-dev': <true>}")
        self.expected = world.show("demo")["expected_measurement"]
        quotes.make_chain(self.chain, measurement=self.expected)
        world.cli("set", "demo", f"katana-args-file={self.chain / 'argument'}")
        self.give_certificates()
        world.cli("start", "demo")
        self.port = world.show("demo")["rpc_port"]

    def give_certificates(self):
        """To the host: what it has of its processor, with a root that is not AMD's."""
        host = self.world.state / "certificates"
        host.mkdir()
        for name in ("vcek.pem", "ask.pem", "ark.pem"):
            shutil.copy(self.chain / name, host)

    def attest(self, *words, root=True):
        """The exit code and the document."""
        if root:
            words = (*words, "--insecure-trust-ark", str(self.chain / "ark.pem"))
        done = self.world.cli("--json", "attest", "demo", "--crl", str(self.chain / "crl.der"),
                              "--offline", *words, check=False)
        tap.check(done.stdout, f"attest {words}: {done.stderr}")
        return done.returncode, json.loads(done.stdout)

    def expect(self, verdict, *words, failed=(), **options):
        code, found = self.attest(*words, **options)
        wrong = [one["id"] for one in found["checks"] if one["status"] == "failed"]
        tap.equal((code, found["verdict"], wrong), (1, verdict, list(failed)),
                  f"{words}: {[one for one in found['checks'] if one['status'] == 'failed']}")
        return found


def attested():
    """create, start and attest a confidential instance, simulated, with a processor of its own"""
    if not (components() / "ovmf.fd").exists():
        raise tap.Skip("the firmware cannot be had")
    with Boot("--insecure-simulate-tee=true") as world:
        one = Confidential(world)
        for _ in range(2):
            rpc.call(one.port, "dev_generateBlock")
        info = ("--build-info", str(world.components / "build-info.txt"), "--unsealed")
        own = (*info, "--vcpus", "1", "--vcpu-type", "EPYC-v4", "--guest-features", "0x1",
               "--chain-id", "KATANA", "--block", "2")
        found = one.expect("SIMULATED", *own)
        facts = {check["id"]: check for check in found["checks"]}
        tap.equal((facts["V9"]["expected"], facts["V9"]["actual"], facts["V9"]["source"]),
                  (one.expected, one.expected, "option"), "the measurement")
        tap.equal((found["claimed_by_host"], found["katana"]["block"]), ([], "2"), "its story")
        claimed = one.expect("SIMULATED")["claimed_by_host"]
        tap.equal(len(claimed), 3, f"what rests on the host: {claimed}")
        one.expect("FAILED", *own, root=False, failed=["C2"])
        one.expect("FAILED", *own, "--state-root", "0x1", failed=["K4"])
        one.expect("FAILED", *info, "--chain-id", "SN_MAIN", "--block", "1", failed=["K3"])
        one.expect("FAILED", *info, "--chain-id", "KATANA", "--min-block", "3", failed=["K4"])
        why = one.expect("FAILED", *info, "--vcpus", "2", failed=["V9"])["explanation"]
        tap.check(why["found"] and "vCPU" in why["text"], str(why))
        world.cli("stop", "demo")
        world.cli("start", "demo")
        block = found["katana"]
        one.expect("SIMULATED", *own, "--block-hash", block["block_hash"], "--state-root",
                   block["state_root"])


LOG_SIZE, LOG_FILES, LINE_MAX = 64 << 10, 4, 64 << 10
# What the two guests print, by the ends of their logs.
FLOODS = {"spam-log": rb"spam-log line \d", "no-newline": rb"x{100}"}


def log_files(shown):
    """The files of this boot's serial log, oldest first."""
    def age(path):
        return int(path.suffix[1:]) if path.suffix != ".log" else 0
    return sorted(pathlib.Path(shown["data_directory"]).glob("serial.log*"), key=age, reverse=True)


def look(world, name):
    """The service's answer about a machine, and the end of its log, whose bound is kept."""
    since = now()
    shown = world.show(name)
    tap.check(now() - since < 10, f"show took {now() - since:.1f} s")
    files = log_files(shown)
    try:
        size, end = sum(one.stat().st_size for one in files), files[-1].read_bytes()[-300:]
    except (IndexError, FileNotFoundError):
        # There is none yet, or they are being rotated.
        size, end = 0, b""
    tap.check(size <= LOG_SIZE * LOG_FILES + LINE_MAX, f"{size} bytes of log")
    return shown, end


def watch_floods(world):
    """Asks the service until both guests have printed for 10 s; how often it has answered
    while they did."""
    answers, until = dict.fromkeys(FLOODS, 0), now() + 150
    waiting = set(FLOODS)
    while waiting:
        for name in sorted(waiting):
            shown, end = look(world, name)
            tap.check(shown["state"] in ("starting", "running"),
                      f"{name}: {shown['last_error']}, its log ends with {end}")
            answers[name] += bool(re.search(FLOODS[name], end))
            if f"fake.{name} done".encode() in end:
                waiting.remove(name)
        tap.check(now() < until, f"{waiting} print on")
    return answers


def check_lines(shown):
    """The rotated log of --fake.spam-log: every line is whole and none is missing."""
    files = [one.read_bytes() for one in log_files(shown)]
    tap.check(len(files) > 1, "nothing was rotated")
    numbers = []
    for file in files:
        tap.check(file.endswith(b"\n"), f"a file ends with {file[-100:]}")
        for line in file.splitlines():
            found = re.fullmatch(rb"stand-in: fake\.spam-log line (\d+) of as many as the console "
                                 rb"takes", line)
            tap.check(found or b"spam-log line" not in line, f"broken: {line}")
            numbers += [int(found[1])] if found else []
    tap.check(len(numbers) > 500, f"{len(numbers)} lines")
    tap.equal(numbers, list(range(numbers[0], numbers[-1] + 1)), "the numbers of the lines")


def check_split(shown):
    """The log of --fake.no-newline: in lines of 64 KiB, but the first and the last."""
    lines = b"".join(one.read_bytes() for one in log_files(shown)).splitlines()
    tap.check(max(map(len, lines)) <= LINE_MAX, f"a line of {max(map(len, lines))} bytes")
    flooded = [len(line) for line in lines if b"xxxx" in line]
    tap.check(len(flooded) > 2, f"lines of {flooded} bytes")
    tap.equal(set(flooded[1:-1]), {LINE_MAX}, "lengths between the first and the last")


def spam():
    """guests that print as fast as they can for 10 s: logs bounded, lines whole, service answers"""
    with Boot("--log-size", str(LOG_SIZE), "--log-files", str(LOG_FILES)) as world:
        world.start()
        for name in FLOODS:
            world.boot(name, "", f"--fake.{name}", "--fake.spam-seconds=10", no_wait=True)
        answers = watch_floods(world)
        tap.check(min(answers.values()) >= 5, f"answers during the floods: {answers}")
        machines = [world.wait_state(name, "running", 60) for name in FLOODS]
        for shown in machines:
            tap.check(rpc.healthy(shown["rpc_port"]), "RPC answers")
        check_lines(machines[0])
        check_split(machines[1])


def starknet_js():
    """the npm package starknet reads chain id, block number and spec version"""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise tap.Skip("node or npm is not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True,
                             check=True).stdout
    if int(re.match(r"v(\d+)", version)[1]) < 20:
        raise tap.Skip(f"node is {version.strip()}, 20 is needed")
    with Boot() as world:
        done = subprocess.run([npm, "install", "--no-audit", "--no-fund", "--silent",
                               "starknet@6"], cwd=world.folder, capture_output=True, text=True,
                              timeout=240, check=False)
        if done.returncode != 0:
            raise tap.Skip("the npm registry does not give the package starknet")
        world.start()
        _, shown = world.boot("demo")
        rpc.call(shown["rpc_port"], "dev_generateBlock")
        script = world.folder / "read.mjs"
        script.write_text(
            "import { RpcProvider } from 'starknet';\n"
            f"const p = new RpcProvider({{ nodeUrl: 'http://127.0.0.1:{shown['rpc_port']}' }});\n"
            "console.log(await p.getChainId(), await p.getBlockNumber(), "
            "await p.getSpecVersion());\n")
        done = subprocess.run([node, str(script)], cwd=world.folder, capture_output=True,
                              text=True, timeout=60, check=False)
        tap.equal(done.returncode, 0, done.stderr)
        words = done.stdout.split()
        tap.equal(words[:2], ["0x4b4154414e41", "1"], "chain id and block number")
        tap.check(re.match(r"\d+\.\d+", words[2]), "spec version")


if __name__ == "__main__":
    sys.exit(tap.run([answers, ordinary_user, blocks_survive, shim_stops_gracefully, network,
                      spam, attested, starknet_js]))
