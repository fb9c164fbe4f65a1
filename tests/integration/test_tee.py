#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Confidential instances, with a fake QEMU: what create refuses and why, what is expected to
be measured, what a simulated one starts, and the evidence of its guest."""
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys

from gi.repository import GLib

import tap
from amdsev import firmware
from bus import Bus
from harness import MANAGER, Failed, World, command_of

SIMULATE = "--insecure-simulate-tee=true"
TEE = "{'tee': <true>}"
FORCE = "{'force': <true>}"
HAS_SNP = pathlib.Path("/sys/module/kvm_amd/parameters/sev_snp").exists()


def refused(name, action, *parts):
    try:
        action()
    except Failed as error:
        tap.equal(error.name, name, error.message)
        for part in parts:
            tap.check(part in error.message, f"{part!r} is not in: {error.message}")
        return
    raise AssertionError(f"was not refused with {name}")


def parts(world, hashes=True, sealed=False):
    """Gives the world's boot components a firmware."""
    (world.components / "ovmf.fd").write_bytes(firmware(hashes))
    (world.components / "build-info.txt").write_text(f"SEALED={'yes' if sealed else 'no'}\n")


def make(world, name, config=TEE, options="{}"):
    text = world.call(MANAGER, "Manager.CreateInstance", name, config, options)
    return text.split("'")[1]


def own_measurement(world, name, *more):
    """Computed by the command line from the same files."""
    files = {one["part"]: one["path"] for one in world.show(name)["boot_components"]}
    return world.cli("measure", "--ovmf", files["ovmf.fd"], "--kernel", files["vmlinuz"],
                     "--initrd", files["initrd.img"], *more).stdout.strip()


def properties():
    """create expects the measurement that measure computes, shows it, and keeps it"""
    with World(SIMULATE) as world:
        parts(world)
        world.start()
        world.cli("create", "demo", "--tee", "--vcpus", "2", "--vcpu-type", "EPYC-Milan")
        shown = world.show("demo")
        wanted = own_measurement(world, "demo", "--vcpus", "2", "--vcpu-type", "EPYC-Milan",
                                 "--cmdline", "console=ttyS0")
        tap.equal(shown["expected_measurement"], wanted, "what is expected")
        tap.equal((shown["tee"], shown["vcpu_type"], shown["guest_policy"],
                   shown["guest_features"], shown["simulated"], shown["sealed"]),
                  (True, "EPYC-Milan", 0x30000, 1, True, False), "properties")
        tap.equal(world.cli("measure", "demo").stdout.strip(), wanted, "measure NAME")
        tap.check(wanted in world.cli("show", "demo").stdout, "show")
        world.end_service()
        world.start()
        tap.equal(world.show("demo")["expected_measurement"], wanted, "after a restart")
        world.cli("create", "plain")
        tap.check("expected_measurement" not in world.show("plain"), "an ordinary one has none")
        tap.equal(world.cli("measure", "plain", check=False).returncode, 1, "measure an ordinary one")


def refusals():
    """what cannot be confidential is refused with the reason, and leaves nothing"""
    with World(SIMULATE) as world:
        world.start()
        refused("NotSupported", lambda: make(world, "x"), "ovmf.fd")
        parts(world, hashes=False)
        refused("NotSupported", lambda: make(world, "x"), "kernel")
        parts(world)
        refused("InvalidArgument", lambda: make(world, "x", "{'tee': <true>, 'vcpu-type': <'host'>}"),
                "host")
        refused("InvalidArgument", lambda: make(world, "x", "{'tee': <true>, 'vcpu-type': <'Skylake'>}"),
                "Skylake")
        refused("InvalidArgument",
                lambda: make(world, "x", "{'tee': <true>, 'vcpu-type': <'EPYC-Turin'>}"),
                "EPYC-Turin", "fake-qemu")
        refused("InvalidArgument", lambda: make(world, "x", "{'tee': <true>, 'accelerator': <'tcg'>}"),
                "kvm")
        refused("InvalidArgument", lambda: make(world, "x", "{'tee': <true>, 'dev': <true>}"),
                "allow-dev")
        refused("NotSupported", lambda: make(world, "x", "{'tee': <true>, 'sealed': <true>}"),
                "SEALED=yes")
        refused("InvalidArgument", lambda: make(world, "x", "{'sealed': <true>}"), "used with tee")
        refused("InvalidArgument", lambda: make(world, "x", "{'vcpu-type': <'EPYC-Milan'>}"),
                "used with tee")
        tap.equal(world.list(), [], "nothing is left")
        make(world, "x", "{'tee': <true>, 'dev': <true>}", "{'allow-dev': <true>}")


def host_without():
    """without SEV-SNP create says what was found; force creates, and start refuses"""
    if HAS_SNP:
        raise tap.Skip("this host has SEV-SNP")
    with World() as world:
        parts(world)
        world.start()
        doctor = json.loads(world.cli("--json", "doctor", check=False).stdout)["checks"]
        first = next(one for one in doctor
                     if one["check"].startswith("snp-") and one["status"] == "fail")
        refused("NotSupported", lambda: make(world, "x"), "SEV-SNP", "force", first["found"],
                first["remedy"])
        path = make(world, "x", TEE, FORCE)
        tap.equal(world.show("x")["simulated"], False, "it is not simulated")
        refused("NotSupported", lambda: world.start_instance(path), "SEV-SNP")
        tap.equal(world.show("x")["state"], "failed", "its state")
        line = world.cli("show", "x", "--qemu-args").stdout
        for part in ("confidential-guest-support=sev0", "policy=0x30000", "kernel-hashes=on",
                     "-bios", "ovmf.fd", "iommu_platform=true"):
            tap.check(part in line, f"{part} in {line}")
        tap.equal(world.cli("create", "y", "--tee", check=False).returncode, 1, "exit code")
        world.cli("create", "y", "--tee", "--force")


def b165_refused_image_is_no_default():
    """a change or a create that its new image does not allow moves no DefaultImage"""
    with World(SIMULATE) as world:
        parts(world)
        world.start()
        bus = Bus(world)
        path = make(world, "x")

        def kept():
            return (bus.properties(MANAGER, "Manager")["DefaultImage"],
                    os.listdir(world.state / "images"), bus.properties(path)["PendingChanges"])
        before = kept()
        (world.components / "ovmf.fd").unlink()
        refused("NotSupported", lambda: bus.configure(path, image="default"), "ovmf.fd")
        tap.eventually(lambda: kept() == before, 5, "what was before the change")
        refused("NotSupported", lambda: make(world, "y"), "ovmf.fd")
        tap.eventually(lambda: kept() == before, 5, "what was before the create")
        parts(world)
        (world.components / "vmlinuz").write_bytes(b"second")
        bus.configure(path, image="default")
        tap.check(kept()[0] != before[0], "DefaultImage, by a change that is not refused")
        bus.close()


def simulated():
    """a simulated one starts as an ordinary machine, without the firmware"""
    with World(SIMULATE) as world:
        parts(world)
        world.start()
        path = make(world, "demo")
        world.start_instance(path)
        shown = world.show("demo")
        tap.equal((shown["state"], shown["simulated"]), ("running", True), "it runs")
        line = command_of(shown["main_pid"])
        for part in ("sev", "-bios", "EPYC", "iommu_platform"):
            tap.check(part not in line, f"{part} in {line}")
        tap.check("insecure-simulate-tee" in world.journal(), "the warning")
        world.end_service()
        world.options.remove(SIMULATE)
        world.start()
        shown = world.wait_state("demo", "running")
        tap.equal(shown["simulated"], True, "what runs stays simulated")
        world.stop_instance(path)
        tap.equal(world.show("demo")["simulated"], False, "what would run is not")


def changes():
    """a change of what is measured is measured anew, at the next start where it runs"""
    with World(SIMULATE) as world:
        parts(world)
        world.start()
        path = make(world, "demo", "{'tee': <true>, 'vcpus': <uint32 1>}")
        first = world.show("demo")["expected_measurement"]
        world.cli("set", "demo", "vcpus=3")
        second = world.show("demo")["expected_measurement"]
        tap.equal(second, own_measurement(world, "demo", "--vcpus", "3", "--cmdline",
                                          "console=ttyS0"), "with three")
        tap.check(first != second, "it differs")
        world.cli("set", "demo", "memory=256M")
        tap.equal(world.show("demo")["expected_measurement"], second, "memory is not measured")
        world.start_instance(path)
        world.cli("set", "demo", "vcpu-type=EPYC-Milan")
        tap.equal(world.show("demo")["expected_measurement"], second, "what runs")
        world.stop_instance(path)
        tap.equal(world.show("demo")["expected_measurement"],
                  own_measurement(world, "demo", "--vcpus", "3", "--vcpu-type", "EPYC-Milan",
                                  "--cmdline", "console=ttyS0"), "after the stop")
        done = world.cli("set", "demo", "tee=false", "vcpu-type=EPYC-v4", check=False)
        tap.check(done.returncode != 0 and "when it was created" in done.stderr, done.stderr)
        for change, part in (("vcpu-type=host", "host"),
                             ("dev=true", "allow-dev"), ("sealed=true", "without a seal")):
            done = world.cli("set", "demo", change, check=False)
            tap.check(done.returncode != 0 and part in done.stderr, f"{change}: {done.stderr}")


def sealed():
    """a sealed disk is left to the guest, and fixes what is measured"""
    with World(SIMULATE) as world:
        parts(world, sealed=True)
        world.start()
        path = make(world, "demo", "{'tee': <true>, 'sealed': <true>, 'vcpus': <uint32 1>}")
        shown = world.show("demo")
        cmdline = f"console=ttyS0 KATANA_EXPECTED_LUKS_UUID={shown['id']}"
        wanted = own_measurement(world, "demo", "--vcpus", "1", "--cmdline", cmdline)
        tap.equal(shown["expected_measurement"], wanted, "with the disk's UUID")
        tap.equal(world.cli("measure", "demo").stdout.strip(), wanted, "measure NAME")
        world.start_instance(path)
        tap.check(cmdline in command_of(world.show("demo")["main_pid"]), "the kernel's command line")
        world.stop_instance(path)
        disk = world.instance_folder("demo") / "data.raw"
        tap.equal(disk.stat().st_blocks, 0, "blocks of the disk")
        for change in ("vcpus=2", "vcpu-type=EPYC-Milan", "sealed=false"):
            done = world.cli("set", "demo", change, check=False)
            tap.check(done.returncode != 0 and "sealed" in done.stderr, f"{change}: {done.stderr}")
        world.cli("set", "demo", "memory=256M")


def changed_parts():
    """measure NAME says when the files are not what was expected"""
    with World(SIMULATE) as world:
        parts(world)
        world.start()
        make(world, "demo")
        files = {one["part"]: one["path"] for one in world.show("demo")["boot_components"]}
        os.chmod(files["vmlinuz"], 0o644)
        with open(files["vmlinuz"], "r+b") as file:
            file.write(b"evil")
        done = world.cli("measure", "demo", check=False)
        tap.check(done.returncode != 0 and "another measurement" in done.stderr, done.stderr)
        image = pathlib.Path(files["vmlinuz"]).parent.name
        refused("IntegrityMismatch",
                lambda: make(world, "x", "{'tee': <true>, 'image': <'%s'>}" % image), "vmlinuz")


def evidence():
    """GetEvidence passes the guest's quote, facts and the host's certificates on"""
    with World(SIMULATE) as world:
        parts(world)
        world.start()
        folder = world.state / "certificates"
        folder.mkdir()
        (folder / "vcek.der").write_bytes(b"\1\2\3")
        (folder / "ASK_ARK (Milan).pem").write_bytes(b"\4")
        (folder / ".hidden").write_bytes(b"\5")
        (folder / "e\x1b[2Jvil").write_bytes(b"\6")
        (folder / "big").write_bytes(b"x" * 100000)
        (folder / "link").symlink_to("/etc/shadow")
        path = make(world, "demo", "{'tee': <true>, 'katana-args': <['--fake.quote']>}")
        ask = lambda options="{}": world.call(path, "Tee.GetEvidence", options)  # noqa: E731
        refused("InvalidState", ask, "created")
        world.start_instance(path)
        found = ask()
        for part in ("'block': <uint64 7>", "'previous': <'6'>", "'old-form': <false>",
                     "'timestamp': <uint64 1700000000>", "'block-hash': <'0xb10c'>",
                     "'state-root': <'0x5afe'>", "'vcek.der': [0x01, 0x02, 0x03]",
                     "{'ASK_ARK (Milan).pem': [byte 0x04], 'vcek.der'",
                     "'simulated': <true>", '"quote":"0x4d4f434b'):
            tap.check(part in found, f"{part} in {found}")
        for part in ("'big'", "'link'", "hidden", "vil'"):
            tap.check(part not in found, f"{part} in {found}")
        tap.check("'previous': <''>" in ask("{'block': <uint64 3>, 'genesis': <true>}"), "genesis")
        tap.check("'previous': <'1'>" in ask("{'block': <uint64 3>, 'prev': <uint64 1>}"), "prev")
        refused("InvalidArgument", lambda: ask("{'prev': <uint64 1>, 'genesis': <true>}"), "combined")
        refused("InvalidArgument", lambda: ask("{'what': <true>}"), "what")


def bad_evidence():
    """an answer that is none, or too much, is a named error"""
    with World(SIMULATE) as world:
        parts(world)
        world.start()
        for kind, name in (("none", "NotSupported"), ("junk", "Failed"), ("deep", "Failed"),
                           ("huge", "LimitExceeded")):
            path = make(world, kind,
                        "{'tee': <true>, 'katana-args': <['--fake.quote-%s']>}" % kind)
            world.start_instance(path)
            refused(name, lambda: world.call(path, "Tee.GetEvidence", "{'block': <uint64 1>}"))
            world.call(path, "Instance.Stop", "{'mode': <'kill'>}")


def evidence_at_once():
    """a guest that is slow is not asked without end"""
    with World(SIMULATE) as world:
        parts(world)
        world.start()
        bus = Bus(world)
        path = bus.create("x", "--fake.quote", tee=True)
        bus.do(path, "Start")
        pid = bus.properties(path)["MainPid"]
        none = GLib.Variant("(a{sv})", ({},))
        os.kill(pid, signal.SIGSTOP)
        calls = [bus.begin(bus.call, path, "Tee.GetEvidence", none) for _ in range(8)]
        tap.eventually(lambda: sum(call.done() for call in calls) == 4, 10, "four are refused")
        for call in calls:
            if call.done():
                refused("LimitExceeded", call.result, "x", "4 times")
        os.kill(pid, signal.SIGCONT)
        given = [call.result(30) for call in calls if call.exception(30) is None]
        tap.equal(len(given), 4, "answers")
        tap.check("quote" in bus.call(path, "Tee.GetEvidence", none), "one more")
        bus.close()


def main_thread_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def evidence_is_read_aside():
    """an answer that takes long to read keeps nobody else waiting"""
    with World(SIMULATE) as world:
        parts(world)
        world.start()
        path = make(world, "x", "{'tee': <true>, 'katana-args': <['--fake.quote-many']>}")
        world.start_instance(path)
        before = main_thread_seconds(world.service.pid)
        for _ in range(5):
            tap.check("quote" in world.call(path, "Tee.GetEvidence", "{}"), "a quote")
        used = main_thread_seconds(world.service.pid) - before
        tap.check(used < 0.4, f"the main loop was kept for {used} s")


def option_of(line, name, value):
    """What the option of QEMU's has that begins with this value."""
    words = shlex.split(line)
    return next(word for before, word in zip(words, words[1:])
                if before == name and word.startswith(value))


def b147_memory_of_no_whole_pages():
    """memory that QEMU has to round up is the backend's too, after create and after set"""
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        raise tap.Skip("no QEMU")
    with World() as world:
        parts(world)
        world.start()
        make(world, "x", "{'tee': <true>, 'memory-bytes': <uint64 4000000000>}", FORCE)
        # 4 GB; whole pages of 4 KiB, half of what QEMU wants; a byte more than the least.
        for memory in (None, "134221824", "134217729"):
            if memory is not None:
                world.cli("set", "x", f"memory={memory}")
                tap.equal(world.show("x")["memory_bytes"], int(memory), "what was asked for")
            line = world.cli("show", "x", "--qemu-args").stdout
            done = subprocess.run(
                [qemu, "-nodefaults", "-display", "none", "-accel", "tcg", "-S",
                 "-machine", "q35,memory-backend=ram1", "-m", option_of(line, "-m", "size="),
                 "-object", option_of(line, "-object", "memory-backend"), "-monitor", "stdio"],
                input="quit\n", capture_output=True, text=True, timeout=60, check=False)
            tap.equal((done.returncode, done.stderr), (0, ""), f"QEMU with {memory or '4 GB'}")


if __name__ == "__main__":
    sys.exit(tap.run([properties, refusals, host_without,
                      b165_refused_image_is_no_default, simulated, changes, sealed,
                      changed_parts, evidence, bad_evidence, evidence_at_once,
                      evidence_is_read_aside, b147_memory_of_no_whole_pages]))
