#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The verb report: exit codes, the first and the last line, JSON, and what is refused. The real
reports are used where they are there (KH_TEE_DATA)."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import tap

PROGRAM = str(pathlib.Path(os.environ["KH_BUILD"]) / "cli/katana-hypervisor")
DATA = pathlib.Path(os.environ.get("KH_TEE_DATA", "/nonexistent"))
KEYS = {"id", "status", "reason", "expected", "actual", "source"}


def run(*arguments):
    return subprocess.run([PROGRAM, "report", *map(os.fspath, arguments)], capture_output=True,
                          timeout=60, check=False)


def test_full_output():
    """what cannot be written is no success"""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE, timeout=60,
                              check=False)
    tap.equal(done.returncode, 1, "exit code")
    tap.check(b"No space left" in done.stderr, str(done.stderr))


def refused(code, says, *arguments):
    done = run(*arguments)
    tap.equal(done.returncode, code, f"exit code of {arguments}: {done.stderr}")
    tap.check(says in done.stderr.decode(), f"{arguments}: no {says!r} in {done.stderr}")
    tap.equal(done.stdout, b"", f"stdout of {arguments}")


def real():
    if not (DATA / "reports").is_dir():
        tap.skip("the real reports are not there (KH_TEE_DATA)")
    return DATA / "reports"


class Certificates(tempfile.TemporaryDirectory):
    """A folder with all roots and the given leaves."""

    def __enter__(self):
        folder = pathlib.Path(super().__enter__())
        for one in [*(DATA / "roots").iterdir(), *(DATA / "certs").iterdir()]:
            (folder / one.name).write_bytes(one.read_bytes())
        return folder


def test_usage():
    """what cannot be understood is exit code 2, what is not there 3"""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report"
        report.write_bytes(bytes(1184))
        policy = pathlib.Path(folder) / "policy"
        verify = ("verify", report, "--certs", folder)
        refused(2, "too few")
        refused(2, "too few", "show")
        refused(2, "show or verify", "verifi", report)
        refused(2, "--certs", "verify", report)
        refused(2, "--at", *verify, "--at", "yesterday")
        refused(2, "96 hex digits", *verify, "--measurement", "12")
        refused(2, "--measurement", *verify, "--measurement", "")
        refused(2, "128 hex digits", *verify, "--report-data", "12")
        refused(2, "Rome", *verify, "--product", "Rome")
        refused(2, "", "show", report, "--certs", folder)
        refused(3, "No such file", "show", "/nonexistent/x")
        refused(3, "No such file", "verify", report, "--certs", "/nonexistent/x")
        refused(3, "/nonexistent/\ufffd cannot", "verify", report, b"--certs=/nonexistent/\xff")
        refused(3, "No such file", *verify, "--policy", "/nonexistent/x")
        refused(3, "No such file", *verify, "--crl", "/nonexistent/x")
        for text in ("", "[other]\n", "[report]\nvmpl=1\nvmpl=1\n", "[report]\nvmpl=\n",
                     "[report]\nvmpl=9\n", "[report]\nnonsense=1\n"):
            policy.write_text(text)
            refused(2, "policy", *verify, "--policy", policy)
        policy.write_text("[report]\nmeasurement=" + "00" * 48 + "\n")
        refused(2, "twice", *verify, "--policy", policy, "--measurement", "00" * 48)


def test_sizes():
    """quotes of other sizes fail S1; show says so"""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report"
        for size in (0, 72, 1183, 1185, 10 ** 8):
            with open(report, "wb") as file:
                file.write(b"MOCK" if size == 72 else b"")
                file.truncate(size)
            done = run("verify", report, "--certs", folder, "--json")
            tap.equal(done.returncode, 1, f"exit code for {size} bytes")
            found = json.loads(done.stdout)
            tap.equal(found["verdict"], "FAILED", "verdict")
            failed = [one["id"] for one in found["checks"] if one["status"] == "failed"]
            tap.equal(failed, ["S1"], "what failed")
            refused(1, "1184", "show", report)


def test_unknown():
    """an unknown version or product is said to be so, and fails"""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report"
        raw = bytearray(1184)
        raw[0] = 6
        report.write_bytes(raw)
        refused(1, "version is 6", "show", report)
        raw[0] = 3
        raw[0x188:0x18a] = b"\x1b\x07"
        report.write_bytes(raw)
        done = run("show", report)
        tap.equal(done.returncode, 1, "exit code of show")
        tap.check(b"product is unknown" in done.stderr, done.stderr)


def test_escapes():
    """escape sequences in a certificate's name reach no terminal"""
    with tempfile.TemporaryDirectory() as folder:
        certs = pathlib.Path(folder) / "certs"
        certs.mkdir()
        report = pathlib.Path(folder) / "report"
        raw = bytearray(1184)
        raw[0] = 3
        report.write_bytes(raw)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-384", "-nodes", "-keyout", "/dev/null", "-utf8",
                        "-subj", "/O=\x1b[2J\u202eVERIFIED/CN=SEV-VCEK",
                        "-out", str(certs / "a\x1b[1mb\nVERIFIED")],
                       check=True, capture_output=True, timeout=60)
        for arguments in ((), ("--json",)):
            done = run("verify", report, "--certs", certs, *arguments)
            tap.equal(done.returncode, 1, "exit code")
            tap.check(b"\x1b" not in done.stdout, "an escape character")
            tap.check("\u202e" not in done.stdout.decode(), "a bidirectional character")
            lines = done.stdout.decode().splitlines()
            tap.check("SEV-VCEK" in done.stdout.decode(), "the name is shown")
            tap.check("VERIFIED" not in lines, "a verdict of the certificate's own")
            if not arguments:
                tap.equal(lines[-1], "FAILED", "the last line")


def test_real():
    """every real report, for people and as JSON"""
    folder = real()
    with Certificates() as certs:
        for report in sorted(folder.iterdir()):
            at = "2025-06-01" if "vlek" in report.name else "2026-11-25T00:00:00Z"
            good = "lit" not in report.name and "gosevguest" not in report.name
            done = run("verify", report, "--certs", certs, "--at", at)
            lines = done.stdout.decode().splitlines()
            tap.equal(done.returncode, 0 if good else 1, f"exit code of {report.name}")
            tap.equal(lines[-1], "VERIFIED" if good else "FAILED", f"verdict of {report.name}")
            if good:
                rest = ", report data and provider" if "vlek" in report.name else " and report data"
                tap.equal(lines[0], f"authentic report; measurement{rest} not asked", "first line")
            found = json.loads(run("verify", report, "--certs", certs, "--at", at,
                                   "--json").stdout)
            tap.equal(found["verdict"], lines[-1], "verdict as JSON")
            for one in found["checks"]:
                tap.equal(set(one), KEYS, f"keys of {one['id']}")
            ids = [one["id"] for one in found["checks"]]
            wanted = [f"S{n}" for n in range(1, 8)] + [f"C{n}" for n in range(1, 10)] + \
                [f"B{n}" for n in range(1, 5)] + [f"V{n}" for n in range(1, 21)] + ["V15a", "CSP"]
            tap.equal(sorted(ids), sorted(wanted), "ids")


def test_debug():
    """the report with the DEBUG bit is refused by V2 and nothing else"""
    report = real() / "milan_v2_gosevguest.bin"
    with Certificates() as certs:
        done = run("verify", report, "--certs", certs)
        tap.equal(done.stdout.decode().splitlines()[0], "authentic report, but refused by V2",
                  "first line")


def test_expectations():
    """measurement and report data, by option and by policy"""
    report = real() / "turin_oc_oak.bin"
    raw = report.read_bytes()
    data, measurement = raw[0x50:0x90].hex(), raw[0x90:0xc0].hex()
    with Certificates() as certs, tempfile.TemporaryDirectory() as folder:
        verify = ("verify", report, "--certs", certs)
        policy = pathlib.Path(folder) / "policy"
        done = run(*verify, "--measurement", measurement, "--report-data", data)
        tap.equal(done.returncode, 0, "exit code")
        tap.equal(done.stdout.decode().splitlines()[0],
                  "authentic report; measurement and report data as expected", "first line")
        done = run(*verify, "--measurement", data[:96])
        tap.equal(done.returncode, 1, "exit code for another measurement")
        tap.check(b"V9    failed" in done.stdout, "V9 is named")
        policy.write_text(f"[report]\nmeasurement={data[:96]};{measurement}\nvmpl=0\n"
                          "min-reported-tcb=snp=2\nproduct=Turin\n")
        found = json.loads(run(*verify, "--policy", policy, "--json").stdout)
        tap.equal(found["verdict"], "VERIFIED", "verdict by policy")
        source = {one["id"]: one["source"] for one in found["checks"]}
        tap.equal((source["V9"], source["V3"]), ("policy", "built-in"), "sources")


def test_expired():
    """the VLEK's report is refused today"""
    report = real() / "milan_vlek_trustee.bin"
    with Certificates() as certs:
        done = run("verify", report, "--certs", certs)
        tap.equal(done.returncode, 1, "exit code")
        tap.check(b"C7    failed" in done.stdout, done.stdout)
        tap.check(b"cc-us-east-2.amazonaws.com" in done.stdout, "the provider is shown")


def test_show():
    """show prints the fields, and the layout of --product for version 2"""
    folder = real()
    shown = json.loads(run("show", folder / "genoa_oc_oak.bin", "--json").stdout)
    tap.equal(shown["product"], "Genoa", "product")
    tap.equal(shown["reported_tcb"]["raw"], "0a00000000001954", "raw TCB")
    tap.equal(shown["reported_tcb"]["snp"], 25, "TCB")
    shown = json.loads(run("show", folder / "milan_v2_virteesev.bin", "--product", "Turin",
                           "--json").stdout)
    tap.equal(shown["reported_tcb"]["fmc"], 3, "TCB in the layout of Turin")
    lines = run("show", folder / "turin_oc_oak.bin").stdout.decode().splitlines()
    tap.check("product              Turin" in lines, lines)


sys.exit(tap.run())
