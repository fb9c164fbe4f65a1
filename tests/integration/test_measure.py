#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""measure on the command line: without a service, a bus or Python, from files alone."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import tap
from amdsev import firmware

PROGRAM = os.environ["KH_CLI"]
# Of the files below; computed with sev-snp-measure 0.0.13.
DIGESTS = {
    ("console=ttyS0", 4):
        "48063f74bef79a18457358d4a65f3031fe98e6672b17690d867843c621ca0f36660fdb6e0468677d7babd7ae47a7af88",
    ("", 4):
        "4780169d69fc49e2f791201d90a0ebcac256021f50cda6fdbce065ef852b41231569da014164a982d22361d2f4aa1865",
    (b"root=\xff\xfe\x80 x\xc3\xa9", 1):
        "cb25bc61806a833c722fcbcb0f3bf1512057e7634d8dbb69652d01bee0000f91fed3ceb295a51491fa99e00a7b2fa272",
}
ALONE = "84a87ce7159407a32c66825c490f2710255007cf1769d0f803030f64a51fbbd0fb4cb8b150128da593e903edb16cc570"


class Files:
    """A folder with boot parts, and a checkout of Katana to put them into."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kh-measure-"))
        self.ovmf, self.kernel, self.initrd = (self.folder / name for name in ("o", "k", "i"))
        self.ovmf.write_bytes(firmware())
        self.kernel.write_bytes(bytes(range(256)) * 16)
        self.initrd.write_bytes(bytes(range(256)) * 32)
        self.all = ("--ovmf", self.ovmf, "--kernel", self.kernel, "--initrd", self.initrd)
        self.repo = self.folder / "katana"
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def build(self, output, ovmf="OVMF.fd"):
        folder = self.repo / output
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.ovmf, folder / ovmf)
        shutil.copy(self.kernel, folder / "vmlinuz")
        shutil.copy(self.initrd, folder / "initrd.img")
        return folder


def measure(*arguments, language="C.UTF-8"):
    """With no way to reach a bus."""
    env = {"PATH": "/nowhere", "LC_ALL": language, "G_DEBUG": "fatal-criticals",
           "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere",
           "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"}
    return subprocess.run([PROGRAM, "measure", *arguments], env=env, capture_output=True,
                          timeout=60, check=False)


def assert_digest(done, wanted, note=b""):
    tap.equal((done.returncode, done.stdout.decode()), (0, wanted + "\n"), done.stderr)
    tap.check(note in done.stderr if note else done.stderr == b"", done.stderr)


def assert_refused(code, says, *arguments):
    done = measure(*arguments)
    tap.equal((done.returncode, done.stdout), (code, b""), f"{arguments}: {done.stderr}")
    tap.check(says in done.stderr.decode(), f"{arguments}: no {says!r} in {done.stderr}")


def test_files():
    """files one by one: an empty command line unless one is given, any bytes"""
    with Files() as files:
        assert_digest(measure(*files.all, "--vcpus", "4"), DIGESTS["", 4])
        assert_digest(measure(*files.all, "--vcpus", "4", "--cmdline", ""), DIGESTS["", 4])
        for (cmdline, vcpus), digest in DIGESTS.items():
            for language in ("C.UTF-8", "C"):
                assert_digest(measure(*files.all, "--vcpus", str(vcpus), "--cmdline", cmdline,
                                      language=language), digest)


def test_defaults():
    """four EPYC-v4 are measured where nothing is said, with a note"""
    with Files() as files:
        assert_digest(measure(*files.all), DIGESTS["", 4], b"4 vCPUs")
        assert_digest(measure(*files.all, "--vcpus", "4", "--vcpu-type", "epyc-V4", "--vmm",
                              "QEMU", "--guest-features", "1"), DIGESTS["", 4])
        assert_digest(measure(*files.all, "--vcpus", "4", "--vcpu-sig", "0x800f12",
                              "--guest-features", "0x1"), DIGESTS["", 4])
        assert_digest(measure(*files.all, "--vcpus", "4", "--vcpu-sig", "8392466"),
                      DIGESTS["", 4])


def test_repository():
    """a Katana checkout's output, in each of its folders and spellings"""
    seed = ("--vcpus", "4", "--vcpu-type", "EPYC-v4", "--katana-repo")
    for output in ("output", "tee/build", "misc/AMDSEV/output"):
        for ovmf in ("OVMF.fd", "ovmf.fd"):
            with Files() as files:
                files.build(output, ovmf)
                assert_digest(measure(*seed, files.repo), DIGESTS["console=ttyS0", 4])
                assert_digest(measure(*seed, files.repo, "--cmdline", ""), DIGESTS["", 4])


def test_repository_choice():
    """parts come from one folder; a choice is said, a doubt and a lack are refused"""
    seed = ("--vcpus", "4", "--katana-repo")
    with Files() as files:
        assert_refused(3, "output/ (lacks OVMF.fd, vmlinuz, initrd.img)", *seed, files.repo)
        folder = files.build("tee/build")
        (folder / "initrd.img").rename(folder / "initrd")
        (files.repo / "output").mkdir()
        shutil.copy(files.initrd, files.repo / "output" / "initrd.img")
        assert_refused(3, "tee/build/ (lacks initrd.img)", *seed, files.repo)
        assert_digest(measure(*seed, files.repo, "--initrd", files.initrd),
                      DIGESTS["console=ttyS0", 4])
        (folder / "initrd").rename(folder / "initrd.img")
        files.build("misc/AMDSEV/output")
        assert_digest(measure(*seed, files.repo), DIGESTS["console=ttyS0", 4],
                      b"boot components in misc/AMDSEV/output too")
        (folder / "ovmf.fd").symlink_to("OVMF.fd")
        assert_digest(measure(*seed, files.repo), DIGESTS["console=ttyS0", 4], b"tee/build/vmlinuz")
        (folder / "ovmf.fd").unlink()
        (folder / "ovmf.fd").write_bytes(firmware(False))
        assert_refused(2, "both OVMF.fd and ovmf.fd", *seed, files.repo)
        assert_digest(measure(*seed, files.repo, "--ovmf", files.ovmf),
                      DIGESTS["console=ttyS0", 4], b"tee/build/vmlinuz")


def inputs(document):
    return {one["part"]: (one["size"], one["sha256"]) for one in document["inputs"]}


def fact(content):
    return len(content), hashlib.sha256(content).hexdigest()


def test_json():
    """--json is one document with every input and its hash"""
    with Files() as files:
        for cmdline, given in (("console=ttyS0", {"text": "console=ttyS0"}),
                               (b"root=\xff\xfe\x80 x\xc3\xa9",
                                {"bytes": "726f6f743dfffe802078c3a9"})):
            vcpus = 4 if isinstance(cmdline, str) else 1
            done = measure("--json", *files.all, "--vcpus", str(vcpus), "--cmdline", cmdline)
            tap.equal((done.returncode, done.stderr, done.stdout.count(b"\n")), (0, b"", 1), "json")
            document = json.loads(done.stdout)
            raw = cmdline.encode() if isinstance(cmdline, str) else cmdline
            tap.equal(document["measurement"], DIGESTS[cmdline, vcpus], "measurement")
            tap.equal(inputs(document),
                      {"ovmf": fact(firmware()), "kernel": fact(files.kernel.read_bytes()),
                       "initrd": fact(files.initrd.read_bytes()), "cmdline": fact(raw)}, "inputs")
            tap.check(given.items() <= document["inputs"][3].items(), document["inputs"][3])
            tap.equal([document[key] for key in ("vcpus", "vcpu_signature", "guest_features",
                                                 "vmm")], [vcpus, "0x800f12", "0x1", "qemu"],
                      "shape")
        document = json.loads(measure("--json", "--ovmf", files.ovmf).stdout)
        tap.equal((document["measurement"], list(inputs(document))), (ALONE, ["ovmf"]), "alone")


def test_json_refused():
    """--json failures go to stderr as a document"""
    done = measure("--json", "--ovmf", "/nowhere")
    tap.equal((done.returncode, done.stdout), (3, b""), "exit code")
    tap.equal(json.loads(done.stderr)["error"]["name"],
              "org.katana.Hypervisor.Error.NotFound", "name")


def test_refused():
    """what cannot be measured is refused, and nothing less is printed"""
    with Files() as files:
        generic, cut, empty = (files.folder / name for name in ("generic", "cut", "empty"))
        generic.write_bytes(firmware(False))
        cut.write_bytes(firmware()[:2048])
        empty.write_bytes(b"")
        assert_refused(1, "SNP_KERNEL_HASHES", "--ovmf", generic, "--kernel", files.kernel)
        assert_refused(1, "it is cut short", "--ovmf", cut)
        assert_refused(1, "is empty", "--ovmf", empty)
        assert_refused(2, "give --ovmf FILE", "--vcpus", "1")
        assert_refused(2, "give the kernel too", "--ovmf", files.ovmf, "--initrd", files.initrd)
        assert_refused(2, "together with a kernel", "--ovmf", files.ovmf, "--cmdline", "x")
        assert_refused(2, "as it would start", *files.all, "name")
        assert_refused(2, "too many", "name", "name")
        for option, value, says in (("--vcpus", "0", "--vcpus"), ("--vcpus", "513", "512"),
                                    ("--vcpus", "x", "--vcpus"), ("--vmm", "krun", "qemu, ec2"),
                                    ("--vcpu-type", "host", "EPYC-Turin"),
                                    ("--vcpu-sig", "0x100000000", "--vcpu-sig"),
                                    ("--vcpu-sig", "-1", "--vcpu-sig"),
                                    ("--guest-features", "0x", "--guest-features"),
                                    ("--guest-features", "", "--guest-features"),
                                    ("--guest-features", "0x10000000000000000", "up to")):
            assert_refused(2, says, *files.all, option, value)
        assert_refused(2, "cannot be combined", *files.all, "--vcpu-sig", "1", "--vcpu-type", "EPYC")


def test_large():
    """a kernel or initrd of 4 GiB and a firmware of 17 MiB are refused by size"""
    with Files() as files:
        large = files.folder / "large"
        with open(large, "wb") as file:
            try:
                file.truncate(1 << 32)
            except OSError:
                tap.skip("no sparse file of 4 GiB can be made")
        assert_refused(1, "4294967296 bytes", "--ovmf", files.ovmf, "--kernel", large)
        assert_refused(1, "4294967296 bytes", "--ovmf", files.ovmf, "--kernel", files.kernel,
                       "--initrd", large)
        os.truncate(large, 17 << 20)
        assert_refused(1, "at most 16 MiB", "--ovmf", large)


if __name__ == "__main__":
    sys.exit(tap.run())
