# SPDX-License-Identifier: MIT
"""Figures of the launch measurement, for tests/bench/run: beside sev-snp-measure, in a
virtual environment of its own, and beside openssl."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from harness import BUILD, SOURCE
from stopwatch import seconds

TOOL = "sev-snp-measure==0.0.13"
OVMF_SHA256 = "3e4fd0b3fe3b2dbe481c3d9e99418a034174f26cbe1f55aa212b0f18c12d2d6f"
LARGE = 512 << 20


def attempt(command, timeout=300):
    """The output, or None with what went wrong on stderr."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        print(f"bench: {command[0]}: {done.stderr.strip()[-500:]}", file=sys.stderr)
        return None
    return done.stdout.strip()


def firmware():
    return attempt([str(SOURCE / "tests/lib/fetch-ovmf.sh"), OVMF_SHA256])


def other_tool():
    """sev-snp-measure, installed once; None where it cannot be had."""
    venv = BUILD / "bench-venv"
    program = venv / "bin/sev-snp-measure"
    for python in (sys.executable, shutil.which("python3")):
        if program.exists():
            break
        if attempt([python, "-m", "venv", "--clear", str(venv)]) is not None:
            attempt([str(venv / "bin/pip"), "install", "--quiet", TOOL])
    return program if program.exists() else None


def make_files(folder):
    names = ("kernel", "initrd", "other", "large")
    kernel, initrd, other, large = (folder / name for name in names)
    kernel.write_bytes(bytes(range(256)) * 4096)
    initrd.write_bytes(bytes(range(256)) * 8192)
    other.write_bytes(bytes(range(255, -1, -1)) * 8192)
    with open(large, "wb") as file:
        for _ in range(LARGE >> 20):
            file.write(os.urandom(1 << 20))
    return kernel, initrd, other, large


def ours(ovmf, kernel, initrd):
    return [str(BUILD / "cli/katana-hypervisor"), "measure", "--ovmf", ovmf, "--kernel",
            str(kernel), "--initrd", str(initrd), "--cmdline", "console=ttyS0", "--vcpus", "4"]


def theirs(tool, ovmf, kernel, initrd):
    return [str(tool), "--mode", "snp", "--ovmf", ovmf, "--kernel", str(kernel), "--initrd",
            str(initrd), "--append", "console=ttyS0", "--vcpus", "4", "--vcpu-type", "EPYC-v4"]


def alternate(one, other, pairs):
    found = ([], [])
    seconds(one)
    seconds(other)
    for _ in range(pairs):
        found[0].append(seconds(one))
        found[1].append(seconds(other))
    return found


def explain(ovmf, kernel, initrd, other, pairs):
    found = ([], [])
    for _ in range(pairs):
        one = json.loads(attempt([str(BUILD / "tests/explain-mismatch"), ovmf, str(kernel),
                                  str(initrd), str(other)]))
        found[0].append(one["explain"])
        found[1].append(one["measure"])
    return found


def bench(pairs):
    """Pairs of series (ours, theirs) by name; a text where something cannot be had."""
    ovmf, tool = firmware(), other_tool()
    if ovmf is None:
        return {"measure": "skipped: ovmf-amdsev cannot be had"}
    figures = {}
    with tempfile.TemporaryDirectory(prefix="kh-bench-") as folder:
        kernel, initrd, other, large = make_files(pathlib.Path(folder))
        if tool is None:
            figures["measure"] = "skipped: sev-snp-measure cannot be had"
        else:
            one, two = ours(ovmf, kernel, initrd), theirs(tool, ovmf, kernel, initrd)
            if attempt(one) != attempt(two):
                raise AssertionError("the two tools disagree")
            figures["measure"] = alternate(one, two, 4 * pairs)
        figures["measure-large"] = alternate(ours(ovmf, kernel, large),
                                             ["openssl", "dgst", "-sha256", str(large)],
                                             2 * pairs)
        figures["explain"] = explain(ovmf, kernel, initrd, other, pairs)
    return figures
