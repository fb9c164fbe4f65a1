# SPDX-License-Identifier: MIT
"""A root booted as the disk of a virtual machine, with the kernel and the modules of the
boot components. Used by test_systemd.py for what a container cannot show. The unit that
runs the test is put into the root; what it says comes over the serial port."""
import pathlib
import subprocess

import tap

QEMU = "qemu-system-x86_64"
BOOT_S = 360
INIT = """#!/bin/busybox sh
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
while read -r _ module; do insmod "/lib/modules/$module" 2>/dev/null; done </lib/modules/list
while ! [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 /dev/vda /mnt
exec busybox switch_root /mnt /sbin/init
"""
UNIT = """[Unit]
Wants=dbus.service polkit.service
After=dbus.service polkit.service
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /opt/test/limits.py
ExecStopPost=/usr/bin/systemctl --force poweroff
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
TimeoutStartSec=300
"""


def make_initrd(parts, folder):
    """That of the boot components, with another init laid over it."""
    over = folder / "over"
    over.mkdir()
    (over / "init").write_text(INIT, encoding="ascii")
    (over / "init").chmod(0o755)
    archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=over, input=b"init\n",
                             capture_output=True, check=True, timeout=60).stdout
    path = folder / "initrd.img"
    path.write_bytes((parts / "initrd.img").read_bytes() + archive)
    return path


def make_disk(root, folder):
    (root / "etc/systemd/system/kh-limits.service").write_text(UNIT, encoding="ascii")
    path = folder / "disk.raw"
    with open(path, "wb") as disk:
        disk.truncate(2 << 30)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=1", "-d",
                    str(root), str(path)], check=True, timeout=120)
    return path


def run(root, folder, parts):
    """Boots it and returns what came over the serial port."""
    log = folder / "machine.log"
    command = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-accel",
               "tcg,thread=multi", "-cpu", "max", "-machine", "q35", "-smp", "2", "-m", "1536",
               "-kernel", str(parts / "vmlinuz"), "-initrd", str(make_initrd(parts, folder)),
               "-append", "console=ttyS0 quiet panic=1 mitigations=off systemd.show_status=no "
               "systemd.unit=kh-limits.service systemd.condition-needs-update=0 "
               "systemd.unified_cgroup_hierarchy=1", "-serial", f"file:{log}",
               "-drive", f"file={make_disk(root, folder)},format=raw,if=none,id=d,cache=unsafe",
               "-device", "virtio-blk-pci,drive=d"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        process.wait(BOOT_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.kill()
        process.wait(10)
    said = pathlib.Path(log).read_text(errors="replace").replace("\r", "")
    tap.check("limits: " in said, "the machine did not get to the test:\n" + said[-4000:])
    return said
