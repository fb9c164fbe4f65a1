# SPDX-License-Identifier: MIT
"""The installed service in a container of systemd-nspawn. Used by test_systemd.py and
test_session.py, which are called by meson with KH_BUILD in the environment, and
MESON=program."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import debian_root
import tap
from container import Container
from harness import BUILD, SOURCE, components

MESON = os.environ.get("MESON", "meson")
CONFIG = "etc/katana-hypervisor.conf"
FAKE = "/opt/test/fake-qemu"
UNIT = "katana-hypervisord.service"


def install(root):
    """The build, its boot components and the tests that run inside."""
    subprocess.run([MESON, "install", "-C", str(BUILD), "--no-rebuild", "--quiet", "--destdir",
                    str(root)], check=True, timeout=120, capture_output=True)
    shutil.copytree(components(), root / "usr/lib/katana-hypervisor/boot-components")
    tests = root / "opt/test"
    tests.mkdir(parents=True)
    tests.chmod(0o755)
    # All of tests/lib: what one of its modules imports is its own affair.
    for path in (*SOURCE.glob("tests/lib/*.py"), *(SOURCE / "tests" / name for name in (
            "integration/fake-qemu", "integration/test_launcher.py", "boot/limits.py"))):
        shutil.copyfile(path, tests / path.name)
        (tests / path.name).chmod(0o755)
    for program, option in (("systemd-sysusers", []), ("systemd-tmpfiles", ["--create"])):
        subprocess.run([program, *option, f"--root={root}"], check=False, timeout=60,
                       capture_output=True)


def configure(root, **keys):
    lines = [f"{key.replace('_', '-')}={value}\n" for key, value in keys.items()]
    (root / CONFIG).write_text("[hypervisor]\n" + "".join(lines), encoding="utf-8")


class Host:
    """The root and the container; made by the first test, used by all of them."""

    def __init__(self):
        if os.geteuid() != 0:
            raise tap.Skip("not root, and neither mmdebstrap nor systemd-nspawn works without")
        cached = debian_root.cached(BUILD)
        # Other users must be able to pass through.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kh-boot-", dir=BUILD))
        self.folder.chmod(0o755)
        self.root = self.folder / "root"
        self.container = None
        subprocess.run(["cp", "-a", "--reflink=auto", str(cached), str(self.root)], check=True,
                       timeout=120)
        install(self.root)

    def boot(self):
        began = time.monotonic()
        configure(self.root, qemu=FAKE)
        self.container = Container(self.root, str(self.folder / "console.log"))
        self.container.wait_running()
        tap.note(f"the container was up after {time.monotonic() - began:.1f} s")

    def run(self, *command, **options):
        tap.check(self.container is not None, "the container did not come up")
        return self.container.run(*command, **options)

    def cli(self, *words, **options):
        return self.run("katana-hypervisor", *words, timeout=150, **options)

    def show(self, name):
        return json.loads(self.cli("--json", "show", name))

    def data_disk(self, name):
        return self.root / self.show(name)["data_directory"].lstrip("/") / "data.raw"

    def service_pid(self):
        return int(self.run("systemctl", "show", "-P", "MainPID", UNIT))

    def wait_state(self, name, state, seconds=60):
        tap.eventually(lambda: self.show(name)["state"] == state, seconds, f"{name} is {state}")

    def use_real_qemu(self):
        configure(self.root)
        self.run("systemctl", "restart", UNIT)

    def close(self):
        if self.container is not None:
            self.container.end()
        shutil.rmtree(self.folder, ignore_errors=True)


def check_clean(disk):
    done = subprocess.run(["e2fsck", "-fn", str(disk)], capture_output=True, text=True,
                          timeout=60, check=False)
    tap.equal(done.returncode, 0, f"e2fsck of the data disk ({done.stdout})")
    shown = subprocess.run(["dumpe2fs", "-h", str(disk)], capture_output=True, text=True,
                           timeout=60, check=True).stdout
    tap.check(re.search(r"state: +clean\n", shown) and "needs_recovery" not in shown,
              "the data disk is not clean:\n" + shown)


def run_tests(host_of):
    """Runs those of the calling program with the host that @host_of makes; the exit code."""
    began = time.monotonic()
    try:
        host = host_of()
    except tap.Skip as missing:
        print(f"1..0 # SKIP {missing}")
        return 0
    try:
        code = tap.run()
        if code != 0 and host.container is not None and host.container.process.poll() is None:
            tap.note(host.run("journalctl", "--no-pager", "-n", "60", check=False).stdout)
    finally:
        host.close()
    print(f"# {time.monotonic() - began:.0f} s")
    return code
