#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Real guests: the boot components under the real QEMU, shim and service, emulated."""
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

import rpc
import tap
from harness import MANAGER, World, components, is_alive, status_of, wait_dead

SMALL = "'memory-bytes': <uint64 536870912>, 'vcpus': <uint32 1>, 'storage-bytes': " \
        "<uint64 104857600>, 'dev': <true>"


class Boot(World):
    """A world with the real QEMU."""

    def __init__(self, *options, **more):
        super().__init__(*options, fake=False, components=components(), **more)

    def boot(self, name, more="", *words):
        arguments = ", ".join(f"'{word}'" for word in words)
        config = f"{{{SMALL}{more}, 'katana-args': <@as [{arguments}]>}}"
        path = self.create(name, config)
        self.start_instance(path)
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
        shown = __import__("json").loads(world.cli("--json", "show", "demo", user=user).stdout)
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
    """a guest reaches no port of the host's loopback, unless it is outbound; show says so"""
    accepted = []
    with socket.create_server(("127.0.0.1", 0)) as server, Boot() as world:
        def accept():
            while True:
                try:
                    accepted.append(server.accept()[1])
                except OSError:
                    return
        threading.Thread(target=accept, daemon=True).start()
        target = f"10.0.2.2:{server.getsockname()[1]}"
        world.start()
        for name, outbound in (("closed", False), ("open", True)):
            more = ", 'outbound': <true>" if outbound else ""
            path, shown = world.boot(name, more, f"--fake.connect={target}")
            tap.equal(shown["outbound"], outbound, "show")
            line = tap.eventually(
                lambda: re.search(rf"connect {re.escape(target)}: (.*)", log_of(world)), 20,
                "the guest's word on its connection")
            tap.equal(line[1].strip() == "ok", outbound, f"{name}: {line[1]}")
            tap.equal(bool(accepted), outbound, f"{name}: connections accepted")
            world.call(path, "Instance.Delete", "{'force': <true>}")


def log_of(world):
    name = world.list()[0]["name"]
    return world.cli("logs", name, "-n", "0").stdout


def spam():
    """a guest that prints as fast as it can: logs bounded, lines whole, service answers"""
    for fault in ("--fake.spam-log", "--fake.no-newline"):
        with Boot("--log-size", "1M", "--log-files", "2") as world:
            world.start()
            _, shown = world.boot("demo", "", fault, "--fake.spam-seconds=10")
            folder = pathlib.Path(shown["data_directory"])
            for _ in range(40):
                world.show("demo")
                size = sum(one.stat().st_size for one in folder.glob("serial.log*"))
                tap.check(size <= (2 << 20) + (64 << 10), f"{size} bytes of log")
            tap.check(rpc.healthy(shown["rpc_port"]), "RPC answers")


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
                      spam, starknet_js]))
