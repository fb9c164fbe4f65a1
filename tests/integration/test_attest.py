#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""attest against a service that owns the bus name and tells what it likes: with a root of the
test's own in AMD's place a true story is VERIFIED, and each lie is less."""
import atexit
import contextlib
import functools
import hashlib
import http.server
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

import tap
from amdsev import firmware
from sockets import is_listened_to

BUILD = pathlib.Path(os.environ["KH_BUILD"])
PROGRAM = BUILD / "cli/katana-hypervisor"
ANCHORED = BUILD / "tests/integration/attest-test-anchor"
STORIES = BUILD / "tests/integration/attest-stories"
NAME = "org.katana.Hypervisor"
INSTANCE = "/org/katana/Hypervisor/instances/one"
PROPERTIES = "org.freedesktop.DBus.Properties"
AT = ("--at", "2025-07-01")
UUID = "11111111-2222-4333-8444-555555555555"
BUS = """<busconfig><type>session</type><listen>unix:path={path}</listen>
<policy context="default"><allow send_destination="*"/>
<allow receive_sender="*"/><allow own="*"/></policy></busconfig>"""


class Liar(dbus.service.Object):
    """The service, as far as attest asks it."""

    def __init__(self, bus):
        self.name = dbus.service.BusName(NAME, bus)
        super().__init__(bus, "/org/katana/Hypervisor/Manager")
        self.add_to_connection(bus, INSTANCE)
        self.evidence, self.tee, self.options = {}, {}, None
        self.instance = {"Name": "one", "Vcpus": dbus.UInt32(4)}
        self.add_to_connection(bus, "/org/katana/Hypervisor")
        self.images, self.type, self.refusal = {}, "EPYC-v4", None
        self.confidential = True

    SUPPORTS_MULTIPLE_OBJECT_PATHS = True

    @dbus.service.method("org.freedesktop.DBus.ObjectManager", out_signature="a{oa{sa{sv}}}")
    def GetManagedObjects(self):
        return dbus.Dictionary(self.images, signature="oa{sa{sv}}")

    @dbus.service.method(f"{NAME}.Manager", in_signature="s", out_signature="o")
    def FindInstance(self, _name):
        return dbus.ObjectPath(INSTANCE)

    @dbus.service.method(PROPERTIES, in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface):
        if interface.endswith("Tee"):
            return self.tee
        return self.instance | {"VcpuType": self.type, "Tee": dbus.Boolean(self.confidential)}

    @dbus.service.method(f"{NAME}.Tee", in_signature="a{sv}", out_signature="a{sv}")
    def GetEvidence(self, options):
        self.options = dict(options)
        if self.refusal is not None:
            raise self.refusal
        return self.evidence


def pem(*ders):
    return "".join(map(ssl.DER_cert_to_PEM_cert, ders)).encode()


class KeyService(http.server.BaseHTTPRequestHandler):
    """AMD's, with the test's certificates."""
    answers, asked = {}, []

    def do_GET(self):
        kind = self.path.rsplit("/", 1)[1]
        self.asked.append(kind)
        body = self.answers.get(kind if kind in ("cert_chain", "crl") else "leaf")
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        pass


class World:
    """A bus with a liar on it, a key service, and what they tell."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kh-attest-"))
        self.make_parts()
        self.digest = self.measure("console=ttyS0", 4)
        self.other = self.measure("console=ttyS0", 3)
        sealed = self.measure(f"console=ttyS0 KATANA_EXPECTED_LUKS_UUID={UUID}", 4)
        top = self.measure("console=ttyS0", 4, "--guest-features", "0x3")
        subprocess.run([STORIES, self.folder, self.digest, self.other, sealed, top], check=True,
                       timeout=120)
        self.start_bus()
        self.start_key_service()

    def make_parts(self):
        self.ovmf, self.kernel, self.initrd = (self.folder / part for part in
                                               ("ovmf.fd", "vmlinuz", "initrd.img"))
        self.ovmf.write_bytes(firmware())
        self.kernel.write_bytes(b"kernel" * 1000)
        self.initrd.write_bytes(b"initrd" * 1000)
        self.parts = ("--ovmf", self.ovmf, "--kernel", self.kernel, "--initrd", self.initrd)
        self.info = self.folder / "build-info.txt"
        self.info.write_text("".join(
            f"{key}_SHA256={hashlib.sha256(part.read_bytes()).hexdigest()}\n" for key, part in
            (("OVMF", self.ovmf), ("KERNEL", self.kernel), ("INITRD", self.initrd))))

    def measure(self, cmdline, vcpus, *more):
        done = subprocess.run([PROGRAM, "measure", *self.parts, "--cmdline", cmdline, "--vcpus",
                               str(vcpus), *more], check=True, capture_output=True, timeout=60)
        return done.stdout.decode().strip()

    def start_bus(self):
        path, config = self.folder / "bus", self.folder / "bus.conf"
        config.write_text(BUS.format(path=path))
        self.bus = subprocess.Popen(["dbus-daemon", f"--config-file={config}", "--nofork",
                                     "--nopidfile"], stderr=subprocess.DEVNULL)
        atexit.register(self.bus.kill)
        tap.eventually(lambda: is_listened_to(path), 10, "the bus")
        self.env = dict(os.environ, DBUS_SESSION_BUS_ADDRESS=f"unix:path={path}",
                        KATANA_HYPERVISOR_BUS="session", LC_ALL="C.UTF-8",
                        G_DEBUG="fatal-criticals", KH_TEST_ROOT=str(self.folder / "root.der"))
        dbus.mainloop.glib.threads_init()
        loop = dbus.mainloop.glib.DBusGMainLoop()
        self.liar = Liar(dbus.bus.BusConnection(f"unix:path={path}", mainloop=loop))
        self.loop = GLib.MainLoop()
        threading.Thread(target=self.loop.run, daemon=True).start()

    def start_key_service(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), KeyService)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def read(self, name):
        return (self.folder / name).read_bytes()

    def tell(self, story="truth", intermediate="intermediate.der", root="root.der",
             leaf="leaf.der", crl="crl"):
        """What host and key service say from now on."""
        text = self.read(story).decode() if story in os.listdir(self.folder) else story
        names = [name for name in (intermediate, root, leaf) if name is not None]
        files = {name: dbus.ByteArray(self.read(name)) for name in names}
        self.liar.evidence = {"quote": text, "timestamp": dbus.UInt64(1751300000),
                              "certificates": dbus.Dictionary(files, signature="say"),
                              "simulated": False}
        self.liar.tee = {"ExpectedMeasurement": dbus.ByteArray(bytes.fromhex(self.digest)),
                         "GuestFeatures": dbus.UInt64(1)}
        self.liar.instance = {"Name": "one", "Vcpus": dbus.UInt32(4)}
        chain = None if None in (intermediate, root) else pem(*map(self.read,
                                                                  (intermediate, root)))
        KeyService.answers = {"cert_chain": chain, "leaf": leaf and self.read(leaf),
                              "crl": crl and self.read(crl)}
        KeyService.asked = []

    def run(self, *arguments, program=ANCHORED, name="one", env=None, cache=None):
        """The exit code and the document; a fresh cache each time, or the folder @cache."""
        words = [program, *(["attest"] if program == PROGRAM else []), "--json",
                 *([name] if name else []), *AT, *map(str, arguments)]
        with tempfile.TemporaryDirectory() as fresh:
            done = subprocess.run(words, env=dict(env or self.env, XDG_CACHE_HOME=cache or fresh),
                                  timeout=120, capture_output=True, check=False)
        tap.check(done.returncode >= 0, f"ended by a signal: {done.stderr.decode()}")
        if not done.stdout:
            return done.returncode, json.loads(done.stderr)
        return done.returncode, json.loads(done.stdout)

    def ask(self, *more, **options):
        """With all expectations, and certificates from the key service."""
        return self.run("--key-service", self.url, "--measurement", self.digest, "--chain-id",
                        "KATANA", "--block", "7", *more, **options)

    def close(self):
        self.loop.quit()
        self.server.shutdown()
        self.bus.terminate()
        self.bus.wait(10)
        shutil.rmtree(self.folder)


def failed(found):
    return [one["id"] for one in found["checks"] if one["status"] == "failed"]


def skipped(found):
    return [one["id"] for one in found["checks"] if one["status"] == "skipped"]


def expect(done, code, verdict, *ids):
    found = done[1]
    tap.equal((done[0], found.get("verdict")), (code, verdict),
              f"verdict; failed {failed(found) if 'checks' in found else found}, "
              f"notes {found.get('notes')}")
    for one in ids:
        tap.check(one in failed(found), f"{one} is not among {failed(found)}")
    return found


def test_truth(world):
    """a true story, expected by the verifier, is VERIFIED and says what it leaves out"""
    world.tell()
    found = expect(world.ask(), 0, "VERIFIED")
    tap.equal(failed(found), [], "failed checks")
    tap.equal(found["claimed_by_host"], [], "what rests on the host")
    tap.check(any("ACPI" in one for one in found["not_covered"]), str(found["not_covered"]))
    tap.equal(found["katana"]["block"], "7", "the block")
    tap.equal(world.liar.options, {"block": 7}, "what the service was asked for")
    tap.equal(len(KeyService.asked), 3, "requests")


def test_certificates_of_the_host(world):
    """the host's certificates do, with a list of the verifier's own"""
    world.tell()
    empty = world.folder / "empty"
    empty.mkdir()
    found = world.run("--certs", empty, "--crl", world.folder / "crl", "--measurement",
                      world.digest, "--chain-id", "KATANA", "--block", "7")
    expect(found, 0, "VERIFIED")
    tap.equal(KeyService.asked, [], "requests")


def test_expectation_from_files(world):
    """build-info.txt and boot parts give the same expectation; the host's shape is noted"""
    world.tell()
    rest = ("--key-service", world.url, "--chain-id", "KATANA", "--block", "7")
    found = expect(world.run("--build-info", world.info, "--unsealed", *rest), 0, "VERIFIED")
    tap.check(any("--vcpus" in one for one in found["notes"]), str(found["notes"]))
    expect(world.run(*world.parts, "--cmdline", "console=ttyS0", *rest), 0, "VERIFIED")
    expect(world.run("--build-info", world.info, "--sealed", UUID, *rest), 1, "FAILED", "V9")
    world.liar.instance["Vcpus"] = dbus.UInt32(5)
    expect(world.run("--build-info", world.info, "--unsealed", *rest), 1, "FAILED", "V9")
    expect(world.run("--build-info", world.info, "--unsealed", "--vcpus", 4, *rest), 0,
           "VERIFIED")


def test_published_measurement(world):
    """a build-info.txt whose measurement is not that of its hashes is refused"""
    rest = ("--ovmf", world.ovmf, "--unsealed", "--key-service", world.url, "--chain-id", "KATANA",
            "--block", "7")
    shape = "LAUNCH_SHAPE=vcpus=4 vcpu-type=EPYC-v4 guest-features=0x1 vmm=qemu unsealed " \
            "cmdline=console=ttyS0\n"
    katana = world.measure(f"console=ttyS0 KATANA_EXPECTED_LUKS_UUID={UUID}", 1)
    path = world.folder / "published.txt"
    for lines, code in ((f"LAUNCH_MEASUREMENT={world.digest}\n" + shape, 0),
                        (f"LAUNCH_MEASUREMENT={world.other}\n" + shape, 1),
                        (f"LAUNCH_MEASUREMENT={world.digest}\n" + shape.replace("4 ", "5 ", 1), 1),
                        (f"LUKS_UUID={UUID}\nLAUNCH_MEASUREMENT={katana}\n", 0),
                        (f"LUKS_UUID={UUID}\nLAUNCH_MEASUREMENT={world.digest}\n", 1),
                        (f"LAUNCH_MEASUREMENT={world.digest}\n", 2),
                        (f"LAUNCH_MEASUREMENT={world.digest}\n" * 2 + shape, 2)):
        world.tell()
        path.write_text(world.info.read_text() + lines)
        found = world.run("--build-info", path, *rest)
        tap.equal(found[0], code, f"exit code with {lines}: {found[1].get('error')}")
        tap.check(code == 0 or "LAUNCH_MEASUREMENT" in found[1]["error"]["message"], str(found[1]))


def test_claims(world):
    """what only the host says is CONSISTENT, however true, and names what would settle it"""
    world.tell()
    found = expect(world.run("--key-service", world.url), 1, "CONSISTENT")
    says = "\n".join(found["claimed_by_host"])
    for option in ("--measurement", "--chain-id", "--block"):
        tap.check(option in says, f"no {option} in {says}")
    tap.check(says.count("claimed by the host") == 3, says)
    expect(world.run("--key-service", world.url, "--trust-host"), 0, "CONSISTENT")
    world.tell("other-measurement")
    world.liar.tee["ExpectedMeasurement"] = dbus.ByteArray(bytes.fromhex(world.other))
    expect(world.run("--key-service", world.url), 1, "CONSISTENT")
    expect(world.ask("--trust-host"), 1, "FAILED", "V9")


def test_lies(world):
    """each lie is FAILED, and named"""
    for story, check in (("other-measurement", "V9"), ("older", "K4"), ("other-chain", "K3"),
                         ("not-canonical", "K1"), ("mock", "S1"), ("{}", "K1"),
                         ("[" * 100000, "K1")):
        world.tell(story)
        expect(world.ask("--trust-host"), 1, "FAILED", check)
    world.tell()
    del world.liar.evidence["quote"]
    expect(world.ask(), 1, "FAILED", "K1")


def test_chains(world):
    """a chain that is withheld, of another root, or revoked; a certificate that is withheld"""
    for change, check in (({"root": "other-root.der"}, "C1"), ({"root": None}, "C1"),
                          ({"intermediate": None}, "C1"), ({"leaf": None}, "C4"),
                          ({"crl": None}, "C8"),
                          ({"intermediate": "revoked.der", "crl": "crl-revoked"}, "C8")):
        world.tell(**change)
        code, found = world.ask("--trust-host")
        tap.equal((code, found["verdict"]), (1, "FAILED"), f"{change}")
        tap.check(check in failed(found) or (check == "C1" and "C2" in failed(found)),
                  f"{change}: {failed(found)}")


def test_simulated(world):
    """a root that is not AMD's is SIMULATED, with the program that is installed too"""
    world.tell()
    expect(world.ask(program=PROGRAM), 1, "FAILED", "C2")
    root = ("--insecure-trust-ark", world.folder / "root.der")
    expect(world.ask(*root, program=PROGRAM), 1, "SIMULATED")
    world.tell("other-chain")
    expect(world.ask(*root, program=PROGRAM), 1, "FAILED", "K3")
    world.tell("mock")
    expect(world.ask("--insecure-mock", "--trust-host"), 1, "SIMULATED")


def test_explanation(world):
    """a measurement that differs is explained, and stays refused"""
    world.tell("other-measurement")
    found = expect(world.run("--key-service", world.url, "--build-info", world.info, "--unsealed",
                             "--chain-id", "KATANA", "--block", "7"), 1, "FAILED", "V9")
    tap.check(found["explanation"]["found"], str(found["explanation"]))
    tap.check("3" in found["explanation"]["text"], found["explanation"]["text"])
    world.tell("sealed")
    world.liar.instance["Id"] = UUID
    found = expect(world.run("--key-service", world.url, "--build-info", world.info, "--unsealed",
                             "--chain-id", "KATANA", "--block", "7"), 1, "FAILED", "V9")
    tap.check(f"the one sealed with {UUID}" in found["explanation"]["text"],
              found["explanation"]["text"])


def test_quote_file(world):
    """the answer of a node in a file is verified without any service; nothing is claimed for it"""
    world.tell()
    path = world.folder / "quote.json"
    answer = {"jsonrpc": "2.0", "id": 1, "result": json.loads(world.read("truth"))}
    path.write_text(json.dumps(answer))
    expected = ("--key-service", world.url, "--chain-id", "KATANA")
    words = ("--quote", path, *expected, "--block", "7")
    env = {name: value for name, value in world.env.items() if name != "DBUS_SESSION_BUS_ADDRESS"}
    found = expect(world.run(*words, "--measurement", world.digest, name=None, env=env), 0, "VERIFIED")
    tap.equal(found["name"], "quote.json", "its name")
    expect(world.run(*words, "--measurement", world.other, name=None), 1, "FAILED", "V9")
    path.write_bytes(world.read("truth"))
    expect(world.run(*words, "--measurement", world.digest, name=None), 0, "VERIFIED")
    found = expect(world.run(*words, name=None), 1, "FAILED")
    tap.check("V9" in skipped(found), str(skipped(found)))
    tap.equal(world.run(*words)[0], 2, "exit code with NAME and --quote")
    tap.equal(world.run(*expected, name=None)[0], 2, "exit code with neither")
    for content in (b"", b"{}", b"[" * 100000, b"x" * (5 << 20), b'{"result":{"quote":"0x00"}}',
                    b'{"error":{"code":100,"message":"\x1b[2J none"}}'):
        path.write_bytes(content)
        expect(world.run(*words, "--measurement", world.digest, name=None), 1, "FAILED", "K1")
    tap.equal(world.run("--quote", world.folder / "no-such", name=None)[0], 3, "no file")


def image_of(*parts):
    """The properties of an image on the bus; a part is its name and content."""
    rows = [dbus.Struct((name, dbus.UInt64(len(content)), hashlib.sha256(content).hexdigest()),
                        signature="sts") for name, content in parts]
    parts = dbus.Array(rows, signature="(sts)")
    return {f"{NAME}.Image": dbus.Dictionary({"Parts": parts}, signature="sv")}


def test_images(world):
    """an image of the host's explains a measurement that differs; what it claims proves nothing"""
    world.tell()
    ovmf, kernel, initrd = (part.read_bytes() for part in (world.ovmf, world.kernel, world.initrd))
    path = "/org/katana/Hypervisor/images/"
    world.liar.images = {
        path + "1" * 64: image_of(("ovmf.fd", ovmf), ("vmlinuz", kernel), ("initrd.img", initrd)),
        path + "2" * 64: image_of(("ovmf.fd", b"x"), ("vmlinuz", kernel), ("initrd.img", initrd)),
        path + "3" * 64: image_of(("vmlinuz", kernel)),
        "/": {f"{NAME}.Image": dbus.Dictionary({"Parts": "none"}, signature="sv")}}
    other = world.folder / "another-initrd"
    other.write_bytes(b"another")
    words = ("--key-service", world.url, "--chain-id", "KATANA", "--block", "7", "--ovmf",
             world.ovmf, "--kernel", world.kernel, "--initrd", other, "--cmdline", "console=ttyS0")
    found = expect(world.run(*words), 1, "FAILED", "V9")
    tap.check("the image 111111111111 of the host" in found["explanation"]["text"],
              found["explanation"]["text"])
    tap.check(any("images has another firmware" in one for one in found["notes"]), str(found["notes"]))
    world.liar.images = {}
    tap.check(not expect(world.run(*words), 1, "FAILED", "V9")["explanation"]["found"], "no image")


def test_impossible_shape(world):
    """a shape that no machine has is passed over: the usual one is measured for"""
    world.tell()
    words = ("--key-service", world.url, "--build-info", world.info, "--unsealed", "--chain-id",
             "KATANA", "--block", "7")
    for count in (0, 513, 2**32 - 1):
        world.liar.instance["Vcpus"] = dbus.UInt32(count)
        found = expect(world.run(*words), 0, "VERIFIED")
        tap.check("measured for 4 vCPUs; use --vcpus" in str(found["notes"]), str(found["notes"]))
    world.liar.instance["Vcpus"] = dbus.UInt32(4)
    world.liar.type = "no\x1b[mtype"
    expect(world.run(*words), 0, "VERIFIED")
    world.liar.type = "EPYC-v4"


def test_features_of_the_host(world):
    """features that give the guest's memory away are not taken from the host"""
    words = ("--key-service", world.url, "--build-info", world.info, "--unsealed", "--chain-id",
             "KATANA", "--block", "7")
    world.tell("top-of-memory")
    world.liar.tee["GuestFeatures"] = dbus.UInt64(3)
    found = expect(world.run(*words), 1, "FAILED", "V9")
    tap.check("--guest-features" in str(found["notes"]), str(found["notes"]))
    expect(world.run(*words, "--guest-features", "0x3"), 0, "VERIFIED")
    world.tell()
    world.liar.tee["GuestFeatures"] = dbus.UInt64(3)
    expect(world.run(*words), 0, "VERIFIED")


def test_terminal(world):
    """nothing of the host's moves the cursor or writes a verdict on the last line"""
    world.tell("other-measurement")
    evil = "one\x1b[2J\nVERIFIED\n\u202e"
    world.liar.instance["Name"] = evil
    files = {evil: dbus.ByteArray(world.read("leaf.der")),
             evil + "2": dbus.ByteArray(b"\x1b[31m")}
    world.liar.evidence["certificates"] = dbus.Dictionary(files, signature="say")
    KeyService.answers = {}
    done = subprocess.run([ANCHORED, "one", *AT, "--key-service", world.url, "--measurement",
                           world.digest, "--chain-id", "KATANA", "--block", "7"],
                          env=dict(world.env, XDG_CACHE_HOME=str(world.folder)), timeout=120,
                          capture_output=True, check=False)
    text = (done.stdout + done.stderr).decode()
    tap.equal(done.returncode, 1, "exit code")
    tap.check("\x1b" not in text and "\u202e" not in text, repr(text))
    tap.equal(done.stdout.decode().splitlines()[-1], "FAILED", "the last line")
    tap.check("VERIFIED" not in text.splitlines(), text)


def test_types(world):
    """an answer of another type is an error, not a crash"""
    world.tell()
    world.liar.tee = {"ExpectedMeasurement": "text", "GuestFeatures": "x"}
    world.liar.instance = {"Name": dbus.UInt32(1), "Vcpus": "many"}
    world.liar.evidence.update({"timestamp": "now", "simulated": dbus.UInt64(2)})
    expect(world.ask(), 0, "VERIFIED")
    world.liar.evidence["quote"] = dbus.UInt32(3)
    expect(world.ask(), 1, "FAILED", "K1")
    world.liar.evidence = {"timestamp": dbus.UInt64(2**64 - 1)}
    expect(world.ask(), 1, "FAILED", "K1")


class Refusal(dbus.DBusException):
    _dbus_error_name = f"{NAME}.Error.Failed"


def test_error_text(world):
    """an error of the host's ends with no line that looks like a verdict of ours"""
    world.tell()
    world.liar.refusal = Refusal("no\n\none: all that was required holds\n\nVERIFIED")
    done = subprocess.run([PROGRAM, "attest", "one"], env=world.env, capture_output=True,
                          timeout=60, check=False)
    world.liar.refusal = None
    text = (done.stdout + done.stderr).decode()
    tap.equal(done.returncode, 1, text)
    tap.check("VERIFIED" in text and "VERIFIED" not in text.splitlines(), repr(text))
    tap.check(not any(line.startswith("one") for line in text.splitlines()), repr(text))


def test_plain_instance(world):
    """one that is not confidential is called that, before anybody is asked for evidence"""
    world.liar.confidential, world.liar.options = False, None
    done = subprocess.run([PROGRAM, "attest", "one"], env=world.env, capture_output=True,
                          text=True, timeout=60, check=False)
    world.liar.confidential = True
    tap.equal(done.returncode, 1, done.stderr)
    tap.check('"one" is not confidential' in done.stderr, done.stderr)
    tap.equal(world.liar.options, None, "what was asked for")


def test_older_list(world):
    """an old list of the verifier's own does not undo what a newer one revokes"""
    world.tell(intermediate="revoked.der", crl="crl-revoked")
    expect(world.ask("--crl", world.folder / "crl"), 1, "FAILED", "C8")
    world.tell(intermediate="revoked.der", crl="crl")
    expect(world.ask("--crl", world.folder / "crl-revoked"), 1, "FAILED", "C8")
    world.tell()
    expect(world.ask("--crl", world.folder / "crl"), 0, "VERIFIED")


def test_later_list(world):
    """a list made after the day that is verified counts for what it revokes, and no more"""
    world.tell(crl="crl-later")
    expect(world.ask(), 0, "VERIFIED")
    world.tell(intermediate="revoked.der", crl="crl-later")
    expect(world.ask(), 1, "FAILED", "C8")
    world.tell()
    expect(world.ask("--crl", world.folder / "crl-later"), 1, "FAILED", "C8")


def test_outdated_list_in_cache(world):
    """a list in the cache that is out of date does not take the place of the verifier's own"""
    offline = ("--offline", "--measurement", world.digest, "--chain-id", "KATANA", "--block", "7",
               "--at", "2026-02-01")
    own = ("--crl", world.folder / "crl-later")
    with tempfile.TemporaryDirectory() as cache:
        world.tell()
        expect(world.ask(cache=cache), 0, "VERIFIED")
        expect(world.run(*offline, cache=cache), 1, "FAILED", "C8")
        expect(world.run(*offline, *own, cache=cache), 0, "VERIFIED")
    with tempfile.TemporaryDirectory() as cache:
        world.tell(intermediate="revoked.der", crl="crl-revoked")
        expect(world.ask(cache=cache), 1, "FAILED", "C8")
        expect(world.run(*offline, "--crl", world.folder / "crl-later-empty", cache=cache), 1,
               "FAILED", "C8")


def test_cache_of_another_root(world):
    """what hangs on --insecure-trust-ark takes no place of AMD's in the cache"""
    with tempfile.TemporaryDirectory() as cache:
        offline = ("--offline", "--measurement", world.digest, "--chain-id", "KATANA", "--block",
                   "7")
        world.tell(leaf="foreign-leaf.der", intermediate="foreign-intermediate.der",
                   root="foreign-root.der", crl="foreign-crl", story="foreign")
        foreign = ("--insecure-trust-ark", world.folder / "foreign-root.der")
        expect(world.ask(*foreign, cache=cache), 1, "SIMULATED")
        world.tell()
        expect(world.ask(cache=cache), 0, "VERIFIED")
        world.tell(leaf="foreign-leaf.der", intermediate="foreign-intermediate.der",
                   root="foreign-root.der", crl="foreign-crl", story="foreign")
        expect(world.ask(*foreign, cache=cache), 1, "SIMULATED")
        world.tell(leaf=None, intermediate=None, root=None)
        expect(world.run(*offline, cache=cache), 0, "VERIFIED")


def test_relative_cache(world):
    """a relative XDG_CACHE_HOME counts as none, for AMD's certificates and for others"""
    with tempfile.TemporaryDirectory() as home:
        # Without dconf, which takes it as it is.
        options = {"env": dict(world.env, HOME=home, GSETTINGS_BACKEND="memory"),
                   "cache": "kh-relative"}
        world.tell()
        expect(world.ask(**options), 0, "VERIFIED")
        world.tell(leaf="foreign-leaf.der", intermediate="foreign-intermediate.der",
                   root="foreign-root.der", crl="foreign-crl", story="foreign")
        expect(world.ask("--insecure-trust-ark", world.folder / "foreign-root.der", **options), 1,
               "SIMULATED")
        tap.check(not os.path.exists("kh-relative"), "it was taken as it is")
        kept = pathlib.Path(home, ".cache/katana-hypervisor")
        tap.check(list(kept.glob("*chain*")), f"nothing of AMD's is in {kept}")
        tap.check(list(kept.glob("insecure-*/*chain*")), f"nothing of the other is in {kept}")


def test_revoked_in_cache(world):
    """a chain in the cache that a newer list revokes is asked for once more"""
    with tempfile.TemporaryDirectory() as cache:
        world.tell(intermediate="revoked.der")
        expect(world.ask(cache=cache), 0, "VERIFIED")
        for kept in pathlib.Path(cache).rglob("*crl*"):
            kept.unlink()
        world.tell(intermediate="revoked.der", crl="crl-revoked")
        expect(world.ask(cache=cache), 1, "FAILED", "C8")
        # Without a new chain the old one stays, and so does what revokes it.
        own = ("--crl", world.folder / "crl")
        world.tell(crl="crl-revoked", root=None)
        expect(world.ask(*own, cache=cache), 1, "FAILED", "C8")
        world.tell(intermediate="revoked.der", crl=None)
        for words in (("--key-service", "http://127.0.0.1:1"), ("--offline",)):
            expect(world.run(*words, *own, "--measurement", world.digest, "--chain-id", "KATANA",
                             "--block", "7", cache=cache), 1, "FAILED", "C8")
        tap.check(list(pathlib.Path(cache).rglob("*chain*")), "the chain is lost")
        world.tell(crl="crl-revoked")
        expect(world.ask(cache=cache), 0, "VERIFIED")
        tap.check("cert_chain" in KeyService.asked, f"asked for {KeyService.asked}")
        world.tell(crl="crl-revoked")
        expect(world.ask(cache=cache), 0, "VERIFIED")
        tap.equal(KeyService.asked, [], "asked for, once all is kept")


def run_in_terminal(words, env):
    """The exit code, and what a terminal of its own has shown; ended if it asks anything."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(words[0], words, env)
    said = b""
    with contextlib.suppress(OSError):
        while select.select([terminal], [], [], 60)[0] and (part := os.read(terminal, 4096)):
            said += part
            if b"pass phrase" in said:
                os.kill(pid, signal.SIGKILL)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()


def test_nobody_is_asked(world):
    """an encrypted list is refused, and no terminal is asked for its password"""
    world.tell()
    path = world.folder / "encrypted.pem"
    path.write_text("-----BEGIN X509 CRL-----\nProc-Type: 4,ENCRYPTED\n"
                    "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAAAAAAAAA=\n"
                    "-----END X509 CRL-----\n")
    certs = world.folder / "chain"
    certs.mkdir()
    for name in ("root.der", "intermediate.der", "leaf.der"):
        shutil.copy(world.folder / name, certs)
    code, said = run_in_terminal([str(ANCHORED), "one", *AT, "--certs", str(certs), "--crl",
                                  str(path)], world.env)
    tap.equal(code, 1, said)
    tap.check("the CRL cannot be read" in said, said)


def test_usage(world):
    """options that do not fit each other are exit code 2; so is -H"""
    for words in (("--build-info", world.info), ("--fee-token", "0x1"),
                  ("--block", "1", "--min-block", "1"), ("--sealed", UUID),
                  ("--build-info", world.info, "--sealed", "x"), ("--vcpus", "2"),
                  ("--measurement", "00"), ("--state-root", "1"), ("--prev", "x"),
                  ("--certs", world.folder, "--offline"), ("--min-tcb", "x=1"),
                  ("--ovmf", world.ovmf), ("--ovmf", world.ovmf, "--unsealed")):
        tap.equal(world.run(*words)[0], 2, f"exit code of {words}")
    for words in (("-H", "me@there"), ("-Hme@there",), ("--host", "me@there"), ("--host=me@there",)):
        code, found = world.run(*words, program=PROGRAM)
        tap.equal(code, 2, f"exit code of {words}")
        tap.check("would verify itself" in str(found), f"{words}: {found}")


def bound(test, world):
    return functools.wraps(test)(lambda: test(world))


def main():
    world = World()
    try:
        return tap.run([bound(test, world) for name, test in list(globals().items())
                        if name.startswith("test_")])
    finally:
        world.close()


if __name__ == "__main__":
    sys.exit(main())
