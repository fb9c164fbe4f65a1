#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs inside a virtual machine that test_systemd.py boots: are machines held to their
limits, under either launcher, and those of a user's session? Says it in lines that begin with
"limits: "."""
import json
import os
import pathlib
import subprocess
import sys
import time
import traceback

CGROUPS = pathlib.Path("/sys/fs/cgroup")
CONFIG = pathlib.Path("/etc/katana-hypervisor.conf")
DROP_IN = pathlib.Path("/etc/systemd/system/katana-hypervisord.service.d/10-direct.conf")
UNIT = "katana-hypervisord.service"
# No other test has made a user with this number.
USER, UID = "alice", 1999
RUNTIME = f"/run/user/{UID}"
AS_USER = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "env",
           f"XDG_RUNTIME_DIR={RUNTIME}", f"DBUS_SESSION_BUS_ADDRESS=unix:path={RUNTIME}/bus",
           f"HOME=/home/{USER}", f"USER={USER}", "KATANA_HYPERVISOR_BUS=session"]
MIB = 1 << 20
# An instance's memory, and what QEMU needs besides under TCG.
MEMORY_MAX = (128 + 256 + 256) * MIB


# What stands before every command: AS_USER for a session.
PREFIX = []


def say(text):
    print(f"limits: {text}", flush=True)


def run(*command, check=True):
    done = subprocess.run([*PREFIX, *command], capture_output=True, text=True, timeout=120,
                          check=False)
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done


def cli(*words, **options):
    return run("katana-hypervisor", *words, **options)


def show(name):
    return json.loads(cli("--json", "show", name).stdout)


def equal(found, wanted, what):
    assert found == wanted, f"{what}: found {found!r}, wanted {wanted!r}"
    say(f"{what}: {found}")


def bus():
    return "--session" if PREFIX else "--system"


def restart_service():
    run("systemctl", "--user" if PREFIX else "--system", "restart", UNIT)


def group_of(launcher, name):
    machine = show(name)["id"]
    if launcher == "session":
        return CGROUPS / (f"user.slice/user-{UID}.slice/user@{UID}.service/app.slice/"
                          f"app-katana.slice/katana-vm-{machine}.service")
    if launcher == "systemd":
        return CGROUPS / f"machine.slice/machine-katana.slice/katana-vm-{machine}.service"
    return CGROUPS / f"system.slice/{UNIT}/katana-vm-{machine}"


def read(group, name):
    return (group / name).read_text(encoding="ascii").strip()


def check_limits(launcher, group, when=""):
    equal(read(group, "memory.max"), str(MEMORY_MAX), f"{launcher}{when} memory.max")
    equal(read(group, "cpu.max"), "50000 100000", f"{launcher}{when} cpu.max")
    equal(read(group, "pids.max"), "1024", f"{launcher}{when} pids.max")


def check_machine(launcher):
    call = ("{'memory-bytes': <uint64 %d>, 'cpu-quota-percent': <uint32 50>, "
            "'storage-bytes': <uint64 %d>}" % (128 * MIB, 50 * MIB))
    run("gdbus", "call", bus(), "--dest", "org.katana.Hypervisor", "--object-path",
        "/org/katana/Hypervisor/Manager", "--method",
        "org.katana.Hypervisor.Manager.CreateInstance", "one", call, "{}")
    cli("start", "one")
    group = group_of(launcher, "one")
    pid = show("one")["main_pid"]
    assert str(pid) in read(group, "cgroup.procs").split(), "QEMU is not in its group"
    equal(len(read(group, "cgroup.procs").split()), 2, f"{launcher} processes in the group")
    check_limits(launcher, group)
    equal(show("one")["limits_enforced"], True, f"{launcher} limits_enforced of the machine")
    restart_service()
    equal(show("one")["main_pid"], pid, f"{launcher} pid after a restart of the service")
    check_limits(launcher, group, " after a restart")
    path = "/org/katana/Hypervisor/instances/" + show("one")["id"].replace("-", "_")
    run("gdbus", "call", bus(), "--dest", "org.katana.Hypervisor", "--object-path", path,
        "--method", "org.katana.Hypervisor.Instance.Configure",
        "{'cpu-quota-percent': <uint32 150>}", "{}")
    time.sleep(1)
    equal(read(group, "cpu.max"), "150000 100000", f"{launcher} cpu.max while running")
    cli("stop", "one")
    assert not group.exists(), "the group of a stopped machine is still there"
    cli("delete", "-y", "one")


def check_oom(launcher):
    cli("create", "eater", "--memory", "128M", "--storage", "50M", "--", "--fake.eat", "900")
    done = cli("start", "eater", check=False)
    assert done.returncode != 0, "a machine that ate too much has started"
    found = show("eater")
    said = f"{found['state']}: {found['state_reason']} {found['last_error']} {done.stderr}"
    assert found["state"] == "failed" and "out of memory" in said.lower(), said
    say(f"{launcher} out of memory: {done.stderr.splitlines()[0]}")
    assert not group_of(launcher, "eater").exists(), "the group of a dead machine is still there"
    cli("delete", "-y", "eater")


def check_status(launcher):
    status = json.loads(cli("--json", "status").stdout)
    wanted = "systemd" if launcher == "session" else launcher
    equal((status["launcher"], status["limits_enforced"]), (wanted, True),
          f"{launcher} status")


def check_followed(launcher):
    """What another launcher has started is held by nobody that says so, until its next start."""
    cli("create", "one", "--memory", "128M", "--storage", "50M")
    cli("start", "one")
    with open(f"/home/{USER}/.config/{CONFIG.name}", "a", encoding="ascii") as file:
        file.write("launcher=direct\n")
    restart_service()
    equal(show("one")["limits_enforced"], False, f"{launcher} limits_enforced, followed")
    cli("stop", "one")
    cli("start", "one")
    wanted = json.loads(cli("--json", "status").stdout)["limits_enforced"]
    equal(show("one")["limits_enforced"], wanted, f"{launcher} limits_enforced, started anew")
    cli("delete", "--force", "-y", "one")


def use_session():
    run("useradd", "--create-home", f"--uid={UID}", USER)
    run("loginctl", "enable-linger", USER)
    folder = pathlib.Path(f"/home/{USER}/.config")
    folder.mkdir()
    (folder / CONFIG.name).write_bytes(CONFIG.read_bytes())
    run("chown", "-R", f"{USER}:", str(folder))
    for _ in range(300):
        if pathlib.Path(f"{RUNTIME}/bus").exists():
            break
        time.sleep(0.1)
    PREFIX.extend(AS_USER)


def use_direct():
    with open(CONFIG, "a", encoding="ascii") as file:
        file.write("launcher=direct\n")
    DROP_IN.parent.mkdir()
    DROP_IN.symlink_to("/usr/share/katana-hypervisor/direct-launcher.conf")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", UNIT)


def part(launcher, check):
    """True when it has held."""
    try:
        check(launcher)
    except Exception:  # pylint: disable=broad-except
        say(f"FAILED {launcher} {check.__name__}")
        traceback.print_exc(file=sys.stdout)
        print(run("journalctl", "--no-pager", "-n", "40", check=False).stdout, flush=True)
        cli("delete", "--force", "-y", "one", check=False)
        cli("delete", "--force", "-y", "eater", check=False)
        return False
    return True


def main():
    say(f"up after {float(open('/proc/uptime', encoding='ascii').read().split()[0]):.1f} s")
    held = [part("systemd", check) for check in (check_status, check_machine, check_oom)]
    use_session()
    held += [part("session", check)
             for check in (check_status, check_machine, check_oom, check_followed)]
    PREFIX.clear()
    use_direct()
    held += [part("direct", check) for check in (check_status, check_machine, check_oom)]
    say("done" if all(held) else "not all has held")
    os.sync()


main()
