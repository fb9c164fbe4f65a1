#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Boot components and packages on machines of other distributions, and where the network
fails: apt is the real one, the distribution and the mirror are made up. No real Ubuntu, Fedora or
RHEL is here.
"""
import contextlib
import functools
import http.server
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

import tap
from harness import SOURCE, components
from mirror import Host, Mirror

APT_SUITE = SOURCE / "boot-components/apt-suite.sh"
BUILD_SH = SOURCE / "boot-components/build.sh"
UBUNTU = 'ID=ubuntu\nID_LIKE=debian\nPRETTY_NAME="Ubuntu 24.04 LTS"\nVERSION_CODENAME=noble\n'
FEDORA = 'ID=fedora\nPRETTY_NAME="Fedora Linux 41"\n'
RHEL = 'ID="rhel"\nID_LIKE="fedora"\nPRETTY_NAME="Red Hat Enterprise Linux 10.0"\n'
DEBIAN = 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12"\nVERSION_CODENAME=bookworm\n'


@contextlib.contextmanager
def workplace():
    """A folder, and a mirror in it with one package "thing" of the suite "suite"."""
    with tempfile.TemporaryDirectory(prefix="kh-mirror-") as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        with contextlib.closing(Mirror(folder / "mirror")) as mirror:
            mirror.make("suite", "thing", "1.0")
            mirror.publish()
            yield folder, mirror


def shown(host, **environment):
    done = host.run(APT_SUITE, "suite", "show", "thing", **environment)
    return done.returncode, done.stdout + done.stderr


def version(host, **environment):
    status, text = shown(host, **environment)
    tap.equal(status, 0, text)
    return text.split()[1]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder, port=0):
    """The folder over HTTP on the loopback."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", port), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def b136_network_back():
    """a passing fault that was remembered: one failed try says so, and the next one succeeds"""
    with workplace() as (folder, mirror):
        host = Host(folder / "host", DEBIAN, mirror.keyring)
        with served(mirror.folder) as port:
            pass
        url = f"http://127.0.0.1:{port}"
        status, text = shown(host, KATANA_DEBIAN_MIRROR=url)
        tap.check(status != 0 and f"cannot be read from {url}" in text, text)
        with served(mirror.folder, port):
            tap.equal(version(host, KATANA_DEBIAN_MIRROR=url), "1.0", "afterwards")


def b136_another_mirror():
    """a passing state that was remembered: lists of one mirror are not taken for another's"""
    with workplace() as (folder, mirror):
        host = Host(folder / "host", DEBIAN, mirror.keyring)
        with served(mirror.folder) as port:
            url = f"http://127.0.0.1:{port}"
            tap.equal(version(host, KATANA_DEBIAN_MIRROR=url), "1.0", "first")
            mirror.make("suite", "thing", "2.0")
            mirror.publish()
            tap.equal(version(host, KATANA_DEBIAN_MIRROR=mirror.url), "2.0", "second")


def b136_packages_too():
    """a fault that is passed over: no package is installed by lists of which some are missing"""
    with workplace() as (folder, mirror):
        host = Host(folder / "host", DEBIAN, mirror.keyring)
        with served(mirror.folder) as port:
            pass
        (folder / "sources").mkdir()
        (folder / "lists").mkdir()
        (folder / "sources.list").write_text(
            f"deb [signed-by={mirror.keyring}] {mirror.url} suite main\n"
            f"deb [signed-by={mirror.keyring}] http://127.0.0.1:{port} suite main\n",
            encoding="utf-8")
        host.mount(folder / "lists", "/var/lib/apt/lists")
        host.mount(folder / "sources", "/etc/apt/sources.list.d")
        if not os.path.exists("/etc/apt/sources.list"):
            (folder / "sources.list").rename(folder / "sources/own.list")
        else:
            host.mount(folder / "sources.list", "/etc/apt/sources.list")
        script = '. "$0"/data/packages.sh; install_packages no-such-package'
        done = host.run("bash", "-c", script, SOURCE)
        tap.check(done.returncode != 0 and "not every source" in done.stderr, done.stderr)
        tap.check("locate" not in done.stderr, done.stderr)


def b137_mirror_is_asked_for():
    """another distribution's sources were read as Debian's: one sentence asks for a mirror"""
    for text in (UBUNTU, FEDORA, RHEL):
        with tempfile.TemporaryDirectory(prefix="kh-mirror-") as folder:
            host = Host(pathlib.Path(folder) / "host", text)
            host.environment.pop("KATANA_DEBIAN_MIRROR", None)
            for command in ((BUILD_SH, "--output", host.folder / "out"),
                            (SOURCE / "data/quickstart",)):
                done = host.run("env", f"BUILD_DIR={host.folder}/build", *command)
                name = re.search('PRETTY_NAME="(.*)"', text)[1]
                said = [line for line in done.stderr.splitlines() if "KATANA_DEBIAN_MIRROR" in line]
                tap.check(done.returncode == 1 and len(said) == 1 and name in said[0], done.stderr)
            tap.check(not (host.folder / "build").exists(), "nothing was built before")
            for bad in ("mirror", "file:", "http://a b", "http://a\ndeb b"):
                status, words = shown(host, KATANA_DEBIAN_MIRROR=bad)
                tap.check(status == 1 and "must be a URL" in words, words)


def b137_keyring_by_its_name():
    """a name of Debian's on another machine: the keyring's package is named as it is there"""
    with tempfile.TemporaryDirectory(prefix="kh-mirror-") as folder:
        folder = pathlib.Path(folder)
        (folder / "empty").mkdir()
        for number, (text, package) in enumerate(((UBUNTU, "debian-archive-keyring"),
                                                  (FEDORA, "debian-keyring"),
                                                  (RHEL, "debian-keyring"))):
            host = Host(folder / str(number), text, KATANA_DEBIAN_MIRROR="file:/nowhere")
            host.mount(folder / "empty", "/usr/share/keyrings")
            status, words = shown(host)
            tap.check(status == 1 and f"install the package {package}\n" in words, words)


def b137_installed_is_newer():
    """the machine's own packages were taken for the suite's where they are newer"""
    with workplace() as (folder, mirror):
        host = Host(folder / "host", UBUNTU, mirror.keyring, KATANA_DEBIAN_MIRROR=mirror.url)
        status = folder / "status"
        status.write_text(
            "Package: thing\nStatus: install ok installed\nVersion: 9.0\nArchitecture: amd64\n"
            "Maintainer: x\nDescription: x\n\n", encoding="utf-8")
        host.mount(status, "/var/lib/dpkg/status")
        tap.equal(version(host), "1.0", "the suite's version")
        # Where there is no dpkg there is no status either.
        status.write_text("", encoding="utf-8")
        tap.equal(version(host), "1.0", "without any")


def info(folder):
    text = (folder / "build-info.txt").read_text(encoding="utf-8")
    return dict(line.split("=", 1) for line in text.splitlines())


def mirror_of_the_cache(mirror, found):
    """The packages that the boot components of this machine were made of, which its cache has."""
    cache = pathlib.Path(os.environ.get("KATANA_BOOT_CACHE") or
                         pathlib.Path(os.environ.get("XDG_CACHE_HOME") or
                                      pathlib.Path.home() / ".cache") / "katana-boot-components")
    for line in (value for key, value in found.items() if key.startswith("PACKAGE_")):
        name, version_of, digest, suite = line.split()
        path = cache / "debs" / f"{digest}.deb"
        if not path.exists():
            tap.skip(f"{name} is not in the cache")
        mirror.add(suite, path)
        if name.startswith("linux-image-"):
            mirror.make(suite, "linux-image-cloud-amd64", version_of, depends=name)
    mirror.publish()


def b137_boot_components_elsewhere():
    """Ubuntu had no boot components: with a mirror they are those of a Debian, bit for bit"""
    ours = info(components())
    with workplace() as (folder, mirror):
        mirror_of_the_cache(mirror, ours)
        host = Host(folder / "host", UBUNTU, mirror.keyring)
        with served(mirror.folder) as port:
            done = host.run(BUILD_SH, "--output", folder / "out",
                            KATANA_DEBIAN_MIRROR=f"http://127.0.0.1:{port}/")
        tap.equal(done.returncode, 0, done.stderr)
        tap.equal(info(folder / "out"), {key: value for key, value in ours.items()
                                         if not key.startswith("LAUNCH_")}, "build-info.txt")


def b136_firmware_is_not_lost():
    """a passing fault that took something away: a rebuild that cannot have the firmware fails, and
    leaves the parts that there are"""
    with workplace() as (folder, mirror):
        mirror_of_the_cache(mirror, {key: value for key, value in info(components()).items()
                                     if "forky" not in value})
        host = Host(folder / "host", DEBIAN, mirror.keyring)
        (folder / "out").mkdir()
        (folder / "out/ovmf.fd").write_bytes(b"firmware")
        with served(mirror.folder) as port:
            done = host.run(BUILD_SH, "--output", folder / "out",
                            KATANA_DEBIAN_MIRROR=f"http://127.0.0.1:{port}/")
        tap.equal(done.returncode, 1, done.stderr)
        tap.check(f"remove {folder}/out/ovmf.fd first" in done.stderr, done.stderr)
        tap.equal((folder / "out/ovmf.fd").read_bytes(), b"firmware", "the firmware")


def b137_packages_elsewhere():
    """Debian's names were given to every machine: Fedora's come from dnf, others are asked"""
    with tempfile.TemporaryDirectory(prefix="kh-mirror-") as folder:
        folder = pathlib.Path(folder)
        tools = folder / "tools"
        tools.mkdir()
        for name, text in (("rpm", "exit 1"), ("dnf", 'printf "%s\\n" "$@" >"$RECORD"')):
            (tools / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
            (tools / name).chmod(0o755)
        script = '. "$0"/data/packages.sh; install_packages $(build_packages; runtime_packages)'
        path = f"{tools}:{os.environ['PATH']}"
        for number, text in enumerate((FEDORA, RHEL)):
            host = Host(folder / str(number), text, PATH=path, RECORD=str(folder / "record"))
            done = host.run("bash", "-c", script, SOURCE)
            tap.equal(done.returncode, 0, done.stderr)
            given = (folder / "record").read_text(encoding="utf-8").split()
            tap.check({"install", "libsoup3-devel", "debian-keyring"} <= set(given), given)
        host = Host(folder / "other", "ID=plan\n", PATH="/usr/bin:/bin")
        done = host.run("bash", "-c", '. "$0"/data/packages.sh; install_packages no-such', SOURCE)
        tap.check(done.returncode == 1 and "not known here" in done.stderr, done.stderr)


def b137_tools_by_their_names():
    """a name of Debian's on another machine: what build.sh needs is named as it is there"""
    with tempfile.TemporaryDirectory(prefix="kh-mirror-") as folder:
        folder = pathlib.Path(folder)
        tools = folder / "tools"
        tools.mkdir()
        for name in ("bash", "dirname", "cat", "env", "mount"):
            (tools / name).symlink_to(f"/usr/bin/{name}")
        for number, (text, words) in enumerate(((UBUNTU, "apt-get install dpkg apt cpio xz-utils"),
                                                (FEDORA, "dnf install dpkg apt cpio xz zstd"))):
            host = Host(folder / str(number), text, KATANA_DEBIAN_MIRROR="file:/nowhere")
            done = host.run("env", f"PATH={tools}", BUILD_SH, "--output", folder / "out")
            tap.check(done.returncode == 1 and words in done.stderr, done.stderr)


def no_mirror_is_written_down():
    """no file of the tree names a host of a distribution's"""
    names = subprocess.run(["git", "-C", str(SOURCE), "ls-files", "-z"], capture_output=True,
                           text=True, timeout=60, check=False)
    if names.returncode != 0:
        tap.skip("the tree is no git checkout")
    for name in filter(None, names.stdout.split("\0")):
        found = re.findall(
            rb"\b[\w.-]*\b(?:debian|ubuntu|fedoraproject|redhat|centos)\.(?:org|com)\b",
            (SOURCE / name).read_bytes())
        tap.check(not found, f"{name}: {found}")


if __name__ == "__main__":
    sys.exit(tap.run([
        b136_network_back, b136_another_mirror, b136_packages_too, b136_firmware_is_not_lost,
        b137_mirror_is_asked_for, b137_keyring_by_its_name, b137_installed_is_newer,
        b137_boot_components_elsewhere, b137_tools_by_their_names,
        b137_packages_elsewhere, no_mirror_is_written_down]))
