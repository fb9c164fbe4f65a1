#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The service of a user's session in a booted container with logind and user managers: its
machines are units of the user's systemd, and end as they should with a logout and with the
host. Called by meson with KH_BUILD in the environment, and MESON=program."""
import json
import os
import sys
import time

import tap
from booted import FAKE, UNIT, Host, check_clean, run_tests

USER, UID = "alice", 1000
RUNTIME = f"/run/user/{UID}"
HOME = f"/home/{USER}"
SESSION = f"login-{USER}.service"
# The session bus, and nothing of root's.
ENVIRONMENT = [f"XDG_RUNTIME_DIR={RUNTIME}", f"DBUS_SESSION_BUS_ADDRESS=unix:path={RUNTIME}/bus",
               f"HOME={HOME}", f"USER={USER}", "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"]
# A logout ends the user's systemd at once, not after ten seconds.
LOGIND = "[Login]\nUserStopDelaySec=0\n"
PAM = "account required pam_permit.so\nsession required pam_systemd.so\n"

HOST = None


def as_user(*command, **options):
    return HOST.run("setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups",
                    "--reset-env", "env", f"--chdir={HOME}", *ENVIRONMENT, *command, **options)


def systemctl(*words, **options):
    return as_user("systemctl", "--user", *words, **options)


def cli(*words, **options):
    return as_user("katana-hypervisor", "--session", *words, timeout=150, **options)


def show(name):
    return json.loads(cli("--json", "show", name))


def status():
    return json.loads(cli("--json", "status"))


def unit_of(name):
    return f"katana-vm-{show(name)['id']}.service"


def folder_of(name):
    return HOST.root / show(name)["data_directory"].lstrip("/")


def has_manager():
    """Or what is left of one, such as its bus's socket."""
    said = HOST.run("systemctl", "is-active", f"user@{UID}.service",
                    f"user-runtime-dir@{UID}.service", check=False).stdout.split()
    return set(said) != {"inactive"}


def wait_bus():
    tap.eventually(lambda: HOST.run("test", "-S", f"{RUNTIME}/bus", check=False).returncode == 0,
                   20, "the user's bus")


def log_in():
    """A session of logind's, as login(1) makes one."""
    HOST.run("systemd-run", "--quiet", f"--unit={SESSION}", f"--property=User={USER}",
             "--property=PAMName=kh-session", "sleep", "infinity")
    wait_bus()


def log_out():
    HOST.run("systemctl", "stop", SESSION, check=False)


def configure_user(text):
    """The user's settings, with which the service begins anew."""
    place = HOST.root / HOME.lstrip("/") / ".config/katana-hypervisor.conf"
    place.parent.mkdir(exist_ok=True)
    place.write_text("[hypervisor]\n" + text, encoding="ascii")
    for path in (place, place.parent):
        os.chown(path, UID, UID)
    # Not one of the few starts in ten seconds after which systemd starts no more.
    systemctl("reset-failed", UNIT, check=False)
    systemctl("restart", UNIT)


def check_ended(folder):
    """The guest stopped by itself, and its disk is clean."""
    tap.equal((folder / "exit-status").read_text(encoding="ascii"), "exited 0 stopped\n",
              "exit status")
    log = (folder / "serial.log").read_text(errors="replace")
    tap.check("Teardown: poweroff" in log, "the end of the guest's log:\n" + log[-1000:])
    check_clean(folder / "data.raw")


def offered(group):
    """The controllers of a control group; none on a host with the older hierarchy."""
    return set(HOST.run("cat", f"/sys/fs/cgroup{group}/cgroup.controllers",
                        check=False).stdout.split())


def test_boot():
    """the root boots, a user logs in, and machines of a session are units of his systemd"""
    (HOST.root / "etc/systemd/logind.conf.d").mkdir()
    (HOST.root / "etc/systemd/logind.conf.d/now.conf").write_text(LOGIND, encoding="ascii")
    (HOST.root / "etc/pam.d/kh-session").write_text(PAM, encoding="ascii")
    HOST.boot()
    HOST.run("useradd", "--create-home", f"--uid={UID}", "--user-group", USER)
    log_in()
    found = status()
    tap.equal(found["launcher"], "systemd", "launcher")
    group = systemctl("show", "--property=ControlGroup", "--value").strip()
    tap.equal(found["limits_enforced"], {"cpu", "memory"} <= offered(group), "limits_enforced")


def start_real(name):
    """A running guest, what create has said, and the folder of its files."""
    made = cli("create", name, "--memory", "256M", "--storage", "64M", "--vcpus", "1", "--dev",
               check=False)
    tap.equal(made.returncode, 0, made.stderr)
    began = time.monotonic()
    cli("start", name)
    tap.note(f"the guest answered after {time.monotonic() - began:.1f} s")
    return made.stderr, folder_of(name)


def test_logout():
    """at a logout the guest stops by itself, and create has said that it would"""
    said, folder = start_real("real")
    tap.check("log out" in said and f"loginctl enable-linger {USER}" in said, said)
    shown = dict(line.split("=", 1) for line in
                 systemctl("show", unit_of("real")).splitlines() if "=" in line)
    wanted = {"Type": "notify", "KillMode": "mixed", "TimeoutStopUSec": "45s",
              "ActiveState": "active", "MemoryMax": str((256 + 256 + 256) << 20),
              "Slice": "app-katana.slice", "Transient": "yes", "LimitCORE": "0",
              "NoNewPrivileges": "yes"}
    tap.equal({name: shown[name] for name in wanted}, wanted, "properties")
    began = time.monotonic()
    log_out()
    tap.eventually(lambda: not has_manager(), 90, "the user's systemd has ended")
    tap.note(f"the logout took {time.monotonic() - began:.1f} s")
    check_ended(folder)


def test_next_login():
    """after the next login it is stopped, as it was, and starts again"""
    log_in()
    tap.eventually(lambda: show("real")["state"] == "stopped", 20, "after the login")
    cli("start", "real")
    pid = show("real")["main_pid"]
    systemctl("restart", UNIT)
    tap.eventually(lambda: show("real")["state"] == "running", 30, "it is followed again")
    tap.equal(show("real")["main_pid"], pid, "QEMU's pid after a restart of the service")
    systemctl("stop", unit_of("real"))
    tap.eventually(lambda: show("real")["state"] == "stopped", 60, "its unit was stopped")
    check_ended(folder_of("real"))


def follow_to_the_end(name, before, after):
    """A machine that was started with one launcher is the other's until it ends."""
    configure_user(f"qemu={FAKE}\nlauncher={before}\n")
    tap.equal(status()["launcher"], before, "the launcher before")
    cli("create", name, "--storage", "64M")
    for verb in ("stop", "delete"):
        cli("start", name)
        pid = show(name)["main_pid"]
        configure_user(f"qemu={FAKE}\nlauncher={after}\n")
        tap.eventually(lambda: show(name)["state"] == "running", 30, "it is followed")
        tap.equal(show(name)["main_pid"], pid, "QEMU's pid")
        tap.check(not show(name)["limits_enforced"], "this launcher holds it to no limit")
        cli("pause", name)
        cli("resume", name)
        if verb == "stop":
            stopped = json.loads(cli("--json", "stop", name))[0]
            tap.equal(stopped["stop_result"], "graceful", "how it stopped")
            configure_user(f"qemu={FAKE}\nlauncher={before}\n")
        else:
            cli("delete", "--force", "-y", name)
    tap.check(HOST.run("test", "-e", f"/proc/{pid}", check=False).returncode != 0, "QEMU has ended")


def test_from_direct():
    """machines that were children of the service are followed by a service with units"""
    follow_to_the_end("child", "direct", "systemd")


def test_from_units():
    """machines that are units are followed by a service with children"""
    follow_to_the_end("unit", "systemd", "direct")
    configure_user("")


def test_bus_of_its_own():
    """on a bus without a systemd, as dbus-run-session makes one, machines are children"""
    script = ("katana-hypervisord --session --state-dir=$HOME/own --runtime-dir=$HOME/own-run "
              "2>$HOME/own.log & gdbus wait --session --timeout 20 org.katana.Hypervisor && "
              "katana-hypervisor --session --json status; kill $!; wait; cat $HOME/own.log >&2")
    done = as_user("dbus-run-session", "--", "sh", "-c",
                   script.replace("katana-hypervisord ", "/usr/libexec/katana-hypervisord "),
                   check=False)
    tap.check('"launcher":"direct"' in done.stdout, f"{done}")


def test_lingering():
    """with lingering a logout ends nothing, and a shutdown of the host ends it gracefully"""
    HOST.run("loginctl", "enable-linger", USER)
    wait_bus()
    said, folder = start_real("lasting")
    tap.check("log out" not in said, said)
    pid = show("lasting")["main_pid"]
    said = cli("create", "early", "--start-at-boot", "--vcpus", "1", "--storage", "64M", "--memory",
               "256M", check=False).stderr
    tap.check("not start at boot" in said and "systemctl --user enable" in said, said)
    systemctl("enable", UNIT)
    tap.equal(cli("set", "early", "start-at-boot=true", check=False).stderr, "", "once enabled")
    log_out()
    time.sleep(2)
    tap.equal((show("lasting")["state"], show("lasting")["main_pid"]), ("running", pid),
              "after the logout")
    began = time.monotonic()
    HOST.container.power_off()
    tap.note(f"the shutdown took {time.monotonic() - began:.1f} s")
    check_ended(folder)


def test_next_boot():
    """after the next boot what is to start at boot runs, in a unit of a systemd that just began"""
    HOST.boot()
    wait_bus()
    tap.eventually(lambda: show("early")["state"] == "running", 60, "it runs")
    tap.equal(status()["launcher"], "systemd", "launcher")
    tap.equal(systemctl("is-active", unit_of("early")).strip(), "active", "its unit")
    tap.equal(show("lasting")["state"], "stopped", "what is not to start at boot")


def as_root(*command):
    return HOST.run("env", "HOME=/root", "XDG_RUNTIME_DIR=/run/user/0",
                    "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/0/bus", *command)


def test_session_of_root():
    """a session of root's: machines run under uids of their own, and root's systemd stops them"""
    folder = HOST.root / "root/.config"
    folder.mkdir(exist_ok=True)
    (folder / "katana-hypervisor.conf").write_text(f"[hypervisor]\nqemu={FAKE}\n", encoding="ascii")
    HOST.run("systemctl", "start", "user@0.service")
    as_root("katana-hypervisor", "--session", "create", "roots", "--storage", "64M")
    as_root("katana-hypervisor", "--session", "start", "roots")
    found = json.loads(as_root("katana-hypervisor", "--session", "--json", "show", "roots"))
    owner = HOST.run("stat", "--format=%u", f"/proc/{found['main_pid']}").strip()
    tap.check(int(owner) >= 1879113728, f"QEMU runs as user {owner}")
    as_root("systemctl", "--user", "is-active", f"katana-vm-{found['id']}.service")
    HOST.run("systemctl", "stop", "user@0.service")
    place = HOST.root / found["data_directory"].lstrip("/")
    tap.equal((place / "exit-status").read_text(encoding="ascii"), "exited 0 stopped\n",
              "exit status")


def make_host():
    global HOST  # pylint: disable=global-statement
    HOST = Host()
    return HOST


if __name__ == "__main__":
    sys.exit(run_tests(make_host))
