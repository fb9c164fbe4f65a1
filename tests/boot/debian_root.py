# SPDX-License-Identifier: MIT
"""A Debian root of this machine's own suite, made once by mmdebstrap and kept in the build
folder. Used by booted.py. The packages come from the machine's own sources; QEMU of
Debian 12 from its backports, as on the host, because the older one cannot boot our kernel
without KVM."""
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import tap

PACKAGES = """systemd systemd-sysv systemd-container libpam-systemd dbus dbus-user-session polkitd
libglib2.0-0 libglib2.0-bin libjson-glib-1.0-0 libsqlite3-0 libsystemd0
libsoup-3.0-0 libssl3 e2fsprogs python3-minimal libpython3-stdlib util-linux procps
qemu-system-x86""".split()
# Documentation is left out, and with it most of a package's files.
LEAVE_OUT = ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*"]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def codename():
    text = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    found = re.search(r"^VERSION_CODENAME=(\w+)", text, re.M)
    if "ID=debian" not in text or not found:
        raise tap.Skip("this machine is no Debian, whose packages the root is made of")
    return found[1]


def machine_sources():
    """The machine's own files of sources that are Debian's."""
    places = [pathlib.Path("/etc/apt/sources.list"),
              *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]
    texts = {path: path.read_text(encoding="utf-8") for path in places
             if path.suffix in (".list", ".sources") and path.is_file()}
    return {path: text for path, text in texts.items() if "/debian" in text}


def backports(suite, folder):
    """A file of sources for the suite's backports on the machine's mirror."""
    for text in machine_sources().values():
        found = re.search(r"^URIs:\s*(\S+)|^deb\s+(?:\[[^]]*\]\s*)?(\S+)", text, re.M)
        mirror = found and (found[1] or found[2])
        if mirror and "security" not in mirror:
            path = folder / "backports.list"
            path.write_text(f"deb [signed-by={KEYRING}] {mirror} {suite}-backports main\n",
                            encoding="utf-8")
            return path
    raise tap.Skip("no Debian mirror is found in /etc/apt")


# A package that is installed may stop a daemon that runs from the same path, as polkitd's does,
# and it finds those of this machine. Sees no process but its own.
ALONE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]


def build(target, suite, folder):
    sources = [str(path) for path in machine_sources()]
    command = [*ALONE, "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase",
               "--format=directory", "--include=" + ",".join(PACKAGES),
               '--aptopt=Acquire::Languages "none"']
    command += ["--dpkgopt=path-exclude=" + pattern for pattern in LEAVE_OUT]
    if suite == "bookworm":
        sources.append(str(backports(suite, folder)))
        pin = folder / "pin"
        pin.write_text(f"Package: src:qemu src:seabios src:ipxe\nPin: release n={suite}-backports\n"
                       "Pin-Priority: 990\n", encoding="utf-8")
        command.append(f"--setup-hook=cp {pin} $1/etc/apt/preferences.d/qemu")
    done = subprocess.run([*command, suite, str(target), *sources], capture_output=True,
                          text=True, timeout=600, check=False)
    tap.check(done.returncode == 0, "mmdebstrap failed:\n" + done.stderr[-3000:])


def cached(builds):
    """The folder of the root, built where it is not there yet."""
    for program in ("mmdebstrap", "systemd-nspawn"):
        if not shutil.which(program):
            raise tap.Skip(program + " is not installed")
    suite = codename()
    key = hashlib.sha256(" ".join([suite, *PACKAGES, *LEAVE_OUT]).encode()).hexdigest()[:12]
    target = builds / f"boot-root-{key}"
    with open(builds / "boot-root.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            work = builds / "boot-root.new"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            # apt gives up root and reads its sources from here.
            os.chmod(work, 0o755)
            build(work / "root", suite, work)
            (work / "root").rename(target)
    return target
