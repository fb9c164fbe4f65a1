#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""README's tour and the seed's Quick Start commands, as a newcomer would paste them.

The tour names build/, so it is run where the build folder is that one.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import tap
from harness import BUILD, SOURCE, World, components

QUICK_START = """
set -ex
katana-hypervisor create dev1
katana-hypervisor delete -y dev1
katana-hypervisor create dev1 \\
  --vcpus 4 \\
  --memory 8G \\
  --storage 20G \\
  --port 5050
katana-hypervisor list
katana-hypervisor start dev1
katana-hypervisor logs dev1
timeout 2 katana-hypervisor logs dev1 -f || test $? = 124
curl http://localhost:5050/
curl -X POST http://localhost:5050 \\
  -H "Content-Type: application/json" \\
  -d '{"jsonrpc":"2.0","method":"starknet_chainId","params":[],"id":1}'
katana-hypervisor stop dev1
katana-hypervisor delete dev1
katana-hypervisor create dev1 --auto-start
katana-hypervisor stop dev1
katana-hypervisor delete dev1
"""


def read_tour(heading):
    """The shell blocks below a heading, and what they print."""
    text = (SOURCE / "README.md").read_text(encoding="utf-8")
    part = re.search(rf"\n{heading}\n(.*?)\n##", text, re.S)[1]
    blocks = re.findall(r"```sh\n(.*?)```", part, re.S)
    outputs = [line.strip() for line in re.findall(r"(?m)^    (.+)$", part)]
    return blocks, outputs


def free_port_5050():
    import socket
    try:
        socket.create_server(("127.0.0.1", 5050)).close()
    except OSError:
        tap.skip("port 5050 is in use")


def paste(blocks, outputs):
    """Runs the blocks in README's shell; each line that README shows is printed."""
    # Root's own home is closed to others as well.
    home = tempfile.mkdtemp(prefix="kh-readme-")
    env = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    try:
        done = subprocess.run(["dbus-run-session", "--", "bash", "-e"], env=dict(env, HOME=home),
                              input="".join(blocks), cwd=SOURCE, capture_output=True,
                              text=True, timeout=180, check=False)
    finally:
        shutil.rmtree(home)
    tap.equal(done.returncode, 0, done.stdout + done.stderr)
    printed = re.sub(r" +", " ", done.stdout)
    for line in outputs:
        # Process ids differ.
        line = re.sub(r" +", " ", re.sub(r" \d+( +no)?$", "", line))
        tap.check(line in printed, f"{line!r} is not in:\n{done.stdout}")


def in_build():
    if BUILD != SOURCE / "build":
        tap.skip(f"the tour names build/, this build is in {BUILD}")
    free_port_5050()
    components()


def readme_tour():
    """README's tour, pasted line by line, prints what README says"""
    in_build()
    blocks, outputs = read_tour("## Five minutes")
    tap.equal(blocks[0].strip(), "dbus-run-session -- bash", "the first command")
    paste(blocks[1:], outputs)


def attestation_tour():
    """README's attestation without a processor ends as README says"""
    in_build()
    if not (components() / "ovmf.fd").exists():
        tap.skip("the firmware cannot be had")
    paste(*read_tour("### Without such a processor"))


def quick_start():
    """the commands of the project's first Quick Start work as written"""
    free_port_5050()
    with World(fake=True, components=components()) as world:
        world.start()
        env = dict(world.env, PATH=f"{world.tools}:{os.environ['PATH']}")
        done = subprocess.run(["bash", "-c", QUICK_START], env=env, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=120, check=False)
        tap.equal(done.returncode, 0, done.stdout + done.stderr)
        tap.check('{"health":true}' in done.stdout.replace(" ", ""), done.stdout)


def b137_packages_to_build_with():
    """a list that went out of date: README has the packages of data/packages.sh"""
    text = (SOURCE / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    for family, command, qemu in (("debian", "apt-get", "qemu-system-x86"),
                                  ("fedora", "dnf", "qemu-kvm")):
        wanted = subprocess.run(
            ["bash", "-c", '. "$0"/data/packages.sh; build_packages $1; runtime_packages $1',
             SOURCE, family], capture_output=True, text=True, timeout=60, check=True).stdout.split()
        found = re.search(rf"(?m)^sudo {command} install (?:--\S+ )*(.*)$", text)[1].split()
        tap.equal(sorted(found), sorted([*wanted, qemu]), family)


def b137_the_seeds_own_path():
    """a way that was hidden: the output/ of Katana's own build is boot components as it is"""
    text = (SOURCE / "README.md").read_text(encoding="utf-8")
    command = re.search(r"(?m)^sudo (install .*)(/usr/lib\S*boot-components)( output/\*)$", text)
    with tempfile.TemporaryDirectory(prefix="kh-readme-") as folder:
        os.chmod(folder, 0o711)
        output = pathlib.Path(folder) / "output"
        output.mkdir()
        for part in ("vmlinuz", "initrd.img", "ovmf.fd"):
            (output / part).write_bytes(part.encode() * 1000)
            (output / part).chmod(0o600)
        target = pathlib.Path(folder) / "lib/boot-components"
        subprocess.run(["bash", "-c", command[1] + str(target) + command[3]], cwd=folder,
                       timeout=60, check=True)
        with World(fake=True, components=target) as world:
            world.start()
            world.start_instance(world.create("x"))
            tap.equal(world.show("x")["state"], "running", "state")


def b141_sample_has_every_key():
    """a setting that no file shows: the sample has every key of the service, and no other"""
    done = subprocess.run([BUILD / "service/katana-hypervisord", "--help"], capture_output=True,
                          text=True, timeout=60, check=True)
    keys = set(re.findall(r"(?m)^  (?:-\w, )?--([a-z-]+)=", done.stdout)) - {"config", "shim"}
    sample = (BUILD / "data/katana-hypervisor.conf").read_text(encoding="utf-8")
    shown = re.findall(r"(?m)^#([a-z-]+)=", sample)
    tap.equal(sorted(shown), sorted(keys), "keys")
    tap.check("[hypervisor]" in sample.splitlines(), "the group")


def what_is_left():
    """the lock files that quickstart and README name as left over are the service's own"""
    header = (SOURCE / "service/uid/uid-pool.h").read_text(encoding="utf-8")
    folder = re.search(r'KH_UID_LOCK_FOLDER "(.*)"', header)[1]
    for name in ("data/quickstart", "README.md"):
        tap.check(folder in (SOURCE / name).read_text(encoding="utf-8"), f"{name}: {folder}")


if __name__ == "__main__":
    sys.exit(tap.run([readme_tour, attestation_tour, quick_start, b137_packages_to_build_with,
                      b137_the_seeds_own_path,
                      b141_sample_has_every_key, what_is_left]))
