#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The installed service in booted systems: a container of systemd-nspawn, with a real guest,
and a virtual machine, whose kernel holds machines to their limits (a container on a host
with cgroup v1 does not).

Called by meson with KH_BUILD in the environment, and MESON=program."""
import json
import os
import re
import sys
import time

import debian_root
import disk_machine
import tap
from booted import FAKE, UNIT, Host, check_clean, configure, run_tests
from container import Container
from harness import BUILD, components

# The exposure that systemd-analyze gives to the service, at most.
SECURITY_MAX = 2.0

HOST = None


def unit_of(name):
    return f"katana-vm-{HOST.show(name)['id']}.service"


def rpc(method):
    """The answer of the guest's RPC, asked inside."""
    script = ("import json,sys,urllib.request as u; r = u.Request('http://127.0.0.1:5050', "
              "json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': sys.argv[1], 'params': []})"
              ".encode(), {'Content-Type': 'application/json'}); "
              "print(u.urlopen(r, timeout=10).read().decode())")
    return json.loads(HOST.run("python3", "-c", script, method))["result"]


def test_boot():
    """the root boots, and the bus starts the service"""
    HOST.boot()
    tap.equal(HOST.run("systemctl", "is-active", UNIT, check=False).stdout.strip(), "inactive",
              "the service before its first call")
    status = json.loads(HOST.cli("--json", "status"))
    tap.equal(status["launcher"], "systemd", "launcher")
    # On a host with the older hierarchy a container's limits are words.
    unified = HOST.run("cat", "/sys/fs/cgroup/cgroup.controllers", check=False).stdout.split()
    tap.equal(status["limits_enforced"], {"cpu", "memory"} <= set(unified), "limits_enforced")
    tap.equal(HOST.run("systemctl", "is-active", UNIT).strip(), "active", "the service")


def test_other_container():
    """a second container is in no control group of the first's, whose end leaves this one"""
    HOST.run("systemd-run", "--quiet", "--unit=lasting", "sleep", "600")
    other = Container(debian_root.cached(BUILD), str(HOST.folder / "other.log"),
                      "--volatile=overlay")
    try:
        own = HOST.container.group.processes()
        tap.check(int(HOST.container.leader) in own, "the first is in its group")
        tap.equal(own & other.group.processes(), set(), "processes in the groups of both")
        other.wait_running()
        # Of the same name as the first's: what is ended is only the other's.
        other.run("systemd-run", "--quiet", "--unit=lasting", "sleep", "600")
        other.run("systemctl", "kill", "--signal=KILL", "lasting")
        other.run("systemctl", "stop", "lasting", check=False)
    finally:
        other.end()
    tap.equal(HOST.run("systemctl", "is-active", "lasting").strip(), "active", "the first's unit")
    tap.check(not any(folder.exists() for folder in other.group.folders), "nothing of it is left")


def test_security():
    """systemd-analyze security of the service"""
    said = HOST.run("systemd-analyze", "security", "--no-pager", UNIT)
    found = float(re.search(r"exposure level for \S+: ([0-9.]+)", said)[1])
    tap.note(f"exposure {found}")
    tap.check(found <= SECURITY_MAX, f"exposure {found}, at most {SECURITY_MAX}:\n{said}")


def harmless_device():
    """Numbers of a device that opens without rights, and that no unit is given unasked."""
    for path in ("/dev/fuse", "/dev/net/tun", "/dev/loop-control"):
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        except OSError:
            continue
        number = os.stat(path).st_rdev
        return str(os.major(number)), str(os.minor(number))
    raise tap.Skip("none of the harmless devices opens here")


def sev_finding():
    """What doctor says of /dev/sev once the service has begun anew."""
    HOST.run("systemctl", "restart", UNIT)
    # Not one of the few starts in ten seconds after which systemd starts no more.
    HOST.run("systemctl", "reset-failed", UNIT)
    checks = json.loads(HOST.cli("--json", "doctor", check=False).stdout)["checks"]
    return next(one for one in checks if one["check"] == "snp-device")


def test_sev_device():
    """doctor says whether machines may open /dev/sev, which the service's unit hides from it"""
    numbers = harmless_device()
    HOST.run("mount", "-t", "tmpfs", "misc", "/sys/class/misc")
    try:
        tap.check("there is no /dev/sev" in sev_finding()["found"], "the kernel lists none")
        HOST.run("mkdir", "/sys/class/misc/sev")
        HOST.run("mknod", "--mode=0600", "/dev/sev", "c", *numbers)
        found = sev_finding()
        tap.equal(found["status"], "fail", f"root's alone: {found}")
        tap.check("could not open" in found["found"] and "udev" in found["remedy"], found)
        HOST.run("chgrp", "kvm", "/dev/sev")
        HOST.run("chmod", "0660", "/dev/sev")
        found = sev_finding()
        tap.equal(found["status"], "ok", f"the group's: {found}")
    finally:
        HOST.run("rm", "--force", "/dev/sev")
        HOST.run("umount", "/sys/class/misc")
        HOST.run("systemctl", "restart", UNIT)


def inner_tests(launcher):
    done = HOST.run("env", f"LAUNCHER={launcher}", "python3", "/opt/test/test_launcher.py",
                    check=False, timeout=200)
    tap.note(done.stdout)
    tap.equal(done.returncode, 0, "the suite's exit code " + done.stderr)
    return done.stdout


def test_promises():
    """what both launchers promise (test_launcher.py), with the systemd launcher"""
    tap.check("\nok 12 " in inner_tests("systemd"), "not all tests have run")


def test_lost_bus():
    """bus and systemd start anew: machines go on, stop and start as before"""
    HOST.cli("create", "bus", "--storage", "64M")
    HOST.cli("start", "bus")
    pid = HOST.show("bus")["main_pid"]
    HOST.run("systemctl", "daemon-reexec")
    HOST.run("systemctl", "restart", "dbus.service")
    tap.eventually(lambda: HOST.run("katana-hypervisor", "list", check=False).returncode == 0, 30,
                   "the service is on the new bus")
    tap.equal(HOST.show("bus")["main_pid"], pid, "QEMU's pid")
    HOST.cli("stop", "bus")
    HOST.cli("start", "bus")
    HOST.cli("delete", "--force", "-y", "bus")
    tap.eventually(lambda: HOST.run("systemctl", "list-units", "--all", "--no-legend",
                                    "katana-vm-*").strip() == "", 10, "no unit is left")


def unit_properties(name, *wanted):
    """Their words, sorted: systemd keeps lists in no order."""
    shown = HOST.run("systemctl", "show", unit_of(name)).splitlines()
    properties = dict(line.split("=", 1) for line in shown if "=" in line)
    return tuple(" ".join(sorted(properties[one].split(" "))) for one in wanted)


def check_reloaded(name):
    """Its unit is after a reload what it was before, and the machine goes on in it."""
    what = ("LoadState", "ActiveState", "MainPID", "ReadWritePaths", "After", "KillMode")
    before = unit_properties(name, *what)
    HOST.run("systemctl", "daemon-reload")
    tap.equal(before[:2], ("loaded", "active"), f"the unit of {name}")
    tap.equal(unit_properties(name, *what), before, f"the unit of {name} after the reload")
    command = HOST.run("cat", f"/run/systemd/transient/{unit_of(name)}")
    tap.check("\nExecStart=" in command and "ExecStartEx" not in command, command)


def check_arguments(name):
    """The shim has got them as they were meant, nothing put in and nothing left out."""
    pid = unit_properties(name, "MainPID")[0]
    words = HOST.run("cat", f"/proc/{pid}/cmdline").split("\0")
    tap.equal(words[words.index("--state-dir") + 1], HOST.show(name)["data_directory"],
              f"the folder of {name}")


def test_reloaded():
    """after systemctl daemon-reload all is as before, with paths that have $ and % in them"""
    configure(HOST.root, qemu=FAKE, state_dir="/var/lib/katana-hypervisor/a $HOME ${PATH} $$ %n%%")
    HOST.run("systemctl", "restart", UNIT)
    for name in ("odd", "even"):
        HOST.cli("create", name, "--storage", "64M")
        HOST.cli("start", name)
        check_arguments(name)
        check_reloaded(name)
    pid = HOST.show("odd")["main_pid"]
    HOST.run("systemctl", "restart", UNIT)
    HOST.wait_state("odd", "running")
    tap.equal(HOST.show("odd")["main_pid"], pid, "QEMU's pid after a restart of the service")
    HOST.run("systemctl", "stop", unit_of("odd"))
    HOST.wait_state("odd", "stopped")
    tap.equal(HOST.show("odd")["stop_result"], "graceful", "systemctl stop of the unit")
    tap.equal(json.loads(HOST.cli("--json", "stop", "even"))[0]["stop_result"], "graceful", "stop")
    HOST.cli("start", "odd")
    check_reloaded("odd")
    for name in ("odd", "even"):
        HOST.cli("delete", "--force", "-y", name)
    configure(HOST.root, qemu=FAKE)
    HOST.run("systemctl", "restart", UNIT)


def test_real_guest():
    """a real guest starts by the command line and answers RPC, in a sandbox of its own"""
    HOST.use_real_qemu()
    HOST.cli("create", "real", "--memory", "256M", "--storage", "64M", "--vcpus", "1", "--dev",
             "--port", "5050")
    began = time.monotonic()
    HOST.cli("start", "real")
    tap.note(f"the guest answered after {time.monotonic() - began:.1f} s")
    tap.equal(rpc("starknet_blockNumber"), 0, "block number")
    pid = HOST.show("real")["main_pid"]
    text = HOST.run("cat", f"/proc/{pid}/status")
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    for name in ("CapPrm", "CapEff", "CapBnd"):
        tap.equal(int(status[name], 16), 0, name)
    tap.equal((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), "rights of QEMU")
    tap.check(int(status["Uid"].split()[0]) >= 1879113728, status["Uid"])
    where = HOST.run("readlink", "/proc/1/ns/mnt", f"/proc/{pid}/ns/mnt").split()
    tap.check(where[0] != where[1], "QEMU has the mounts of the host")


def test_confidential():
    """create --tee asks QEMU for its processors and measures, within the service's sandbox"""
    HOST.use_real_qemu()
    HOST.cli("create", "secret", "--tee", "--force", "--vcpus", "1")
    tap.equal(HOST.cli("measure", "secret").strip(),
              HOST.show("secret")["expected_measurement"], "what is expected")
    HOST.cli("delete", "-y", "secret")


def checks_of(*words):
    """The exit code of doctor, and what it has found, by the names of the checks."""
    done = HOST.cli("--json", "doctor", *words, check=False)
    return done.returncode, {one["check"]: one for one in json.loads(done.stdout)["checks"]}


def test_doctor():
    """doctor, in the real unit and with the real QEMU, calls a good host good"""
    code, found = checks_of()
    for check in ("qemu", "qemu-user-network", "snp-qemu"):
        tap.equal(found[check]["status"], "ok", str(found[check]))
    tap.equal((code, found["plain-instances"]["status"]), (0, "warn"), str(found))
    tap.check(found["plain-instances"]["found"].startswith("slow, "), str(found))
    tap.equal((checks_of("--tee")[0], found["snp-instances"]["status"]), (1, "fail"), str(found))


def test_start_at_boot():
    """create, set and doctor say that nothing starts at boot until the unit is enabled"""
    enable = f"systemctl enable {UNIT}"
    for command in (("create", "early", "--start-at-boot", "--vcpus", "1"),
                    ("set", "early", "start-at-boot=true")):
        said = HOST.cli(*command, check=False).stderr
        tap.check("not start at boot" in said and enable in said, said)
    found = checks_of()[1]["start-at-boot"]
    tap.equal((found["status"], found["remedy"]), ("warn", enable), str(found))
    HOST.run("systemctl", "enable", UNIT)
    tap.equal(checks_of()[1]["start-at-boot"]["status"], "ok", "the check of an enabled unit")
    tap.equal(HOST.cli("set", "early", "start-at-boot=true", check=False).stderr, "", "set then")
    HOST.run("systemctl", "disable", UNIT)
    HOST.cli("delete", "-y", "early")


def test_unit():
    """its unit has the limits, the order and the deadline that it needs"""
    shown = dict(line.split("=", 1) for line in
                 HOST.run("systemctl", "show", unit_of("real")).splitlines())
    wanted = {"Type": "notify", "KillMode": "mixed", "TimeoutStopUSec": "45s",
              "ActiveState": "active", "MemoryMax": str((256 + 256 + 256) << 20),
              "Slice": "machine-katana.slice", "Transient": "yes", "LimitCORE": "0",
              "ProtectSystem": "strict", "ProtectProc": "invisible", "NoNewPrivileges": "yes"}
    tap.equal({name: shown[name] for name in wanted}, wanted, "properties")
    tap.check({UNIT, "dbus.service"} <= set(shown["After"].split()), shown["After"])


def test_machined():
    """where systemd-machined is, the machine is registered with it"""
    listed = HOST.run("machinectl", "--no-legend", "--no-pager", "list")
    machine = HOST.show("real")["id"]
    tap.check(re.search(rf"^katana-{machine} +vm +katana-hypervisor", listed, re.M), listed)


def test_restart_of_the_service():
    """systemctl restart: the same guest goes on, and answers"""
    pid, service = HOST.show("real")["main_pid"], HOST.service_pid()
    HOST.run("systemctl", "restart", UNIT)
    HOST.wait_state("real", "running")
    tap.equal(HOST.show("real")["main_pid"], pid, "QEMU's pid")
    tap.check(HOST.service_pid() != service, "the service is still the same process")
    tap.equal(rpc("starknet_blockNumber"), 0, "block number")


def test_refused():
    """an unprivileged user is refused by polkit, a member of the group katana is not"""
    HOST.run("useradd", "--groups", "katana", "member")
    for user, name in (("nobody", "other"), ("member", "mine")):
        done = HOST.run("setpriv", f"--reuid={user}", "--regid=nogroup", "--init-groups",
                        "katana-hypervisor", "--no-ask-password", "create", name, check=False)
        tap.equal(done.returncode, 5 if user == "nobody" else 0, f"{user}: {done.stderr}")
        listed = HOST.run("setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups",
                          "katana-hypervisor", "list")
        tap.check("real" in listed, "reading is free")
    HOST.cli("delete", "-y", "mine")


def test_stopped_unit():
    """systemctl stop of the unit is a stop: the disk is clean, nothing is left"""
    disk, unit = HOST.data_disk("real"), unit_of("real")
    HOST.run("systemctl", "stop", unit)
    HOST.wait_state("real", "stopped")
    check_clean(disk)
    tap.eventually(lambda: HOST.run("systemctl", "list-units", "--all", "--no-legend",
                                    "katana-vm-*").strip() == "", 10, "no unit is left")


def test_stopped_paused():
    """systemctl stop of a paused guest: it is resumed for it, and not cut off"""
    HOST.cli("start", "real")
    HOST.cli("pause", "real")
    began = time.monotonic()
    HOST.run("systemctl", "stop", unit_of("real"))
    took = time.monotonic() - began
    # Without that SIGTERM would come after 30 s, and the disk would not be clean.
    tap.check(took < 25, f"it took {took:.0f} s")
    HOST.wait_state("real", "stopped")
    check_clean(HOST.data_disk("real"))


def journal_of(name):
    lines = HOST.run("journalctl", "--output=json", f"KATANA_INSTANCE={name}",
                     "SYSLOG_IDENTIFIER=katana-hypervisor-shim").splitlines()
    return [json.loads(line) for line in lines]


def test_journal():
    """what a machine's shim says is in the journal under the instance's name"""
    HOST.cli("create", "journaled", "--storage", "64M")
    shown = HOST.show("journaled")
    # Nothing before the shim looks at it, and the shim cannot take a mount away.
    place = shown["data_directory"] + "/exit-status"
    HOST.run("mkdir", place)
    HOST.run("mount", "-t", "tmpfs", "journaled", place)
    # The journal reads the fields of a unit when a line comes; on a busy machine this one,
    # which ends at once, may be gone by then.
    for _ in range(5):
        done = HOST.run("katana-hypervisor", "start", "journaled", check=False)
        tap.check(done.returncode == 1 and "exit-status" in done.stderr, done.stderr)
        time.sleep(1)
        if journal_of("journaled"):
            break
    found = journal_of("journaled")
    tap.check(any("exit-status" in line["MESSAGE"] for line in found), found)
    tap.equal({line["KATANA_INSTANCE_ID"] for line in found}, {shown["id"]}, "id")
    HOST.run("umount", place)
    HOST.cli("delete", "-y", "journaled")


def test_shutdown():
    """the host shuts down without the service: the guest stops by itself, the disk is clean"""
    HOST.cli("start", "real")
    disk = HOST.data_disk("real")
    HOST.run("systemctl", "stop", UNIT)
    began = time.monotonic()
    HOST.container.power_off()
    tap.note(f"the shutdown took {time.monotonic() - began:.1f} s")
    tap.equal((disk.parent / "exit-status").read_text(encoding="ascii"), "exited 0 stopped\n",
              "exit status")
    check_clean(disk)


def test_limits():
    """memory and CPU limits in a virtual machine with cgroup v2, also of a session"""
    tap.check(HOST is not None and HOST.container is not None, "there is no root")
    configure(HOST.root, qemu=FAKE)
    began = time.monotonic()
    said = disk_machine.run(HOST.root, HOST.folder, components())
    tap.note("\n".join(line for line in said.splitlines() if line.startswith("limits: ")))
    tap.note(f"the virtual machine took {time.monotonic() - began:.0f} s")
    tap.check("limits: done" in said, said[-6000:])


def make_host():
    global HOST  # pylint: disable=global-statement
    HOST = Host()
    return HOST


if __name__ == "__main__":
    sys.exit(run_tests(make_host))
