#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The command line's own part: configuration changes, waiting, Ctrl-C, what it says. The
service is real, QEMU is the fake one."""
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import time

import tap
from harness import World, is_alive, status_of

STUBBORN = ("--", "--fake.ignore-stop")
SILENT = ("--", "--fake.never-ready")


def assert_cli(world, code, says, *arguments):
    """A failure: its exit code, its text, nothing on stdout."""
    done = world.cli(*arguments, check=False)
    tap.equal(done.returncode, code, f"{arguments}: {done.stderr}")
    tap.check(says in done.stderr, f"{arguments}: no {says!r} in {done.stderr}")
    tap.equal(done.stdout, "", f"{arguments}: stdout")


def assert_says(world, says, *arguments):
    """A success with a note on stderr ("" for none), nothing on stdout."""
    done = world.cli(*arguments)
    tap.check(says in done.stderr if says else not done.stderr, f"{arguments}: {done.stderr}")
    tap.equal(done.stdout, "", f"{arguments}: stdout")


def document(world, *arguments):
    done = world.cli("--json", *arguments)
    tap.equal((done.stderr, len(done.stdout.splitlines())), ("", 1), f"{arguments}: output")
    return json.loads(done.stdout)


def configuration(world, name):
    return document(world, "show", name, "--config")


class Running:
    """The command line at work."""

    def __init__(self, world, *arguments, stderr=None, stdout=subprocess.PIPE):
        self.path = world.folder / f"stderr-{time.monotonic_ns()}"
        self.arguments = arguments
        with open(self.path, "wb") as file:
            self.process = world.spawn([str(world.tools / "katana-hypervisor"), *arguments],
                                       user=None, stdout=stdout, stderr=stderr or file)

    def says(self, text):
        tap.eventually(lambda: text in self.path.read_text(), 10,
                       f"{self.arguments}: {text!r} on stderr")

    def catches(self):
        """Waits until it is ready for Ctrl-C, where no state of the instance says so."""
        tap.eventually(lambda: int(status_of(self.process.pid)["SigCgt"][0], 16) & 1 << 1, 10,
                       f"{self.arguments}: a handler of SIGINT")

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def ends(self, code, seconds=20):
        found = self.process.wait(seconds)
        tap.equal(found, code, f"{self.arguments}: {self.path.read_text()}")
        return self.process.stdout.read().decode()

    def goes_on(self, seconds=0.5):
        time.sleep(seconds)
        tap.equal(self.process.poll(), None, f"{self.arguments}: {self.path.read_text()}")


def test_help():
    """every verb is in the help and has one of its own"""
    with World() as world:
        verbs = re.findall(r"(?m)^  ([a-z]+) ", world.cli("--help").stdout)
        for verb in ("restart", "reset", "pause", "resume", "wait", "set"):
            tap.check(verb in verbs, verb)
        for verb in verbs:
            tap.check(f"] {verb}" in world.cli(verb, "--help").stdout, verb)
        tap.check("start-at-boot=true|false" in world.cli("set", "--help").stdout, "keys of set")


def test_usage():
    """bad words of the new verbs are exit code 2 without a service"""
    with World() as world:
        for arguments, says in ((("wait", "x"), "--for"),
                                (("wait", "x", "--for", "runing"), '"running"'),
                                (("wait", "x", "--for", "running", "--timeout", "0"), "--timeout"),
                                (("wait", "x", "--for", "running", "--timeout", "x"), "--timeout"),
                                (("set", "x"), "too few"), (("pause",), "too few"),
                                (("set", "x", "vcpus"), "KEY=VALUE"),
                                (("set", "x", "--", "vcpus"), "KEY=VALUE"),
                                (("restart", "x", "--timeout", "0.5"), "--timeout"),
                                (("reset", "x", "--timeout", "4000"), "--timeout")):
            assert_cli(world, 2, says, *arguments)
        for arguments in (("wait", "x", "--for", "running"), ("set", "x", "vcpus=1"),
                          ("restart", "x")):
            assert_cli(world, 7, "", *arguments)


def test_create_keys():
    """create takes the keys of the lifecycle"""
    with World() as world:
        world.start()
        world.cli("create", "x", "--image", "default", "--start-at-boot", "--restart",
                  "on-failure", "--cpu-quota-percent", "150")
        shown = world.show("x")
        tap.equal((shown["start_at_boot"], shown["restart_policy"], shown["cpu_quota_percent"]),
                  (True, "on-failure", 150), "properties")
        assert_cli(world, 2, "restart", "create", "y", "--restart", "sometimes")
        assert_cli(world, 2, "cpu-quota-percent", "create", "y", "--cpu-quota-percent", "0")


def test_set():
    """set says of each key whether it has changed now or will at the next start"""
    with World() as world:
        world.start()
        world.cli("create", "x", "--vcpus", "1", "--memory", "256M")
        tap.equal(world.cli("set", "x", "vcpus=2", "dev=true").stdout, "vcpus: now\ndev: now\n",
                  "of a stopped one")
        world.cli("start", "x")
        done = world.cli("set", "x", "memory=512M", "restart=always", "dev=false", "label=a=b",
                         "cpu-quota-percent=50", "start-at-boot=true")
        tap.equal(done.stdout.splitlines(),
                  ["memory: at next start", "restart: now", "dev: at next start", "label: now",
                   "cpu-quota-percent: now", "start-at-boot: now"], "of a running one")
        shown = world.show("x")
        tap.equal(sorted(shown["pending_changes"]), ["dev", "memory-bytes"], "pending")
        tap.equal((shown["restart_policy"], shown["labels"]), ("always", {"a": "b"}), "at once")
        shown = document(world, "set", "x", "cpu-quota-percent=0", "memory=256M", "dev=true")
        tap.equal((shown["pending_changes"], shown["cpu_quota_percent"]), ([], 0), "taken back")
        world.cli("set", "x", "memory=1G", "restart=no")
        world.cli("restart", "x")
        shown = world.show("x")
        tap.equal((shown["pending_changes"], shown["memory_bytes"]), ([], 1 << 30), "restarted")


def test_set_refused():
    """set with anything bad among its changes changes nothing"""
    with World() as world:
        world.start()
        world.cli("create", "x", "--label", "a=b")
        before = configuration(world, "x")
        (world.folder / "huge").write_text("x\n" * 400000)
        for change, says in (("vcpu=2", '"vcpus"'), ("memory-bytes=1G", '"memory"'),
                             ("katana-args=x", '"katana-args-file"'), ("vcpus=0", "vcpus"),
                             ("vcpus=", "vcpus"), ("memory=0", "memory"), ("memory=4X", "memory"),
                             ("dev=yes", "true or false"), ("dev=", "true or false"),
                             ("port=80", "port"), ("restart=maybe", "restart"),
                             ("bind=localhost", "rpc-address"), ("label==v", "label"),
                             ("label=", "label"), ("nonsense=1", "create --help"), ("=1", ""),
                             ("katana-args-file=/nowhere", "/nowhere"),
                             ("katana-args-file=/tmp", "/tmp"),
                             (f"katana-args-file={world.folder}/huge", "huge"),
                             ("accounts=3", "dev"), ("vcpus=3", "twice")):
            assert_cli(world, 2, says, "set", "x", "vcpus=3", "label=new=1", change)
        assert_cli(world, 3, "nope", "set", "nope", "vcpus=3")
        tap.equal(configuration(world, "x"), before, "the configuration")


def test_set_port_taken():
    """set to a port of another instance is exit code 4, and the old one stays"""
    with World() as world:
        world.start()
        world.cli("create", "x")
        world.cli("create", "y")
        port = world.show("y")["rpc_port"]
        assert_cli(world, 4, str(port), "set", "x", "vcpus=2", f"port={port}")
        tap.equal(configuration(world, "x")["vcpus"], 4, "vcpus")


def test_set_labels():
    """label=K=V sets one label, label=K removes it, the others stay"""
    with World() as world:
        world.start()
        world.cli("create", "x", "--label", "a=1", "--label", "b=2")
        tap.equal(world.cli("set", "x", "label=c=x=y", "label=a", "label=gone").stdout,
                  "label: now\n", "stdout")
        tap.equal(world.show("x")["labels"], {"b": "2", "c": "x=y"}, "labels")


def test_description():
    """a description is shown where there is one, changes at once, and outlives the service"""
    with World() as world:
        world.start()
        world.cli("create", "plain")
        world.cli("create", "x", "--description", "for the build, übers Netz")
        tap.check("description" not in world.cli("show", "plain").stdout, "of one without")
        world.cli("start", "x")
        world.end_service()
        world.start()
        tap.check(re.search("^description +for the build, übers Netz$",
                            world.cli("show", "x").stdout, re.M), "show")
        tap.equal(world.cli("set", "x", "description=another").stdout, "description: now\n",
                  "of a running one")
        tap.equal(world.show("x")["description"], "another", "changed")
        assert_cli(world, 2, "at most 256", "set", "x", "description=" + "x" * 257)
        world.cli("set", "x", "description=")
        tap.equal(world.show("x")["description"], "", "taken away")


def test_set_arguments():
    """katana-args-file= replaces Katana's arguments, an empty file removes them"""
    with World() as world:
        world.start()
        world.cli("create", "x", "--", "--old")
        file = world.folder / "args"
        file.write_text("--one\n\n--two=2\n")
        tap.equal(world.cli("set", "x", f"katana-args-file={file}").stdout,
                  "katana-args-file: now\n", "stdout")
        tap.equal(configuration(world, "x")["katana_args"], ["--one", "--two=2"], "arguments")
        world.cli("set", "x", "katana-args-file=-", text="--stdin\n")
        tap.equal(configuration(world, "x")["katana_args"], ["--stdin"], "arguments")
        world.cli("set", "x", "katana-args-file=/dev/null")
        tap.equal(configuration(world, "x")["katana_args"], [], "arguments")


def test_set_image():
    """image=default moves to today's boot components, at the next start of a running one"""
    with World() as world:
        world.start()
        world.cli("create", "x", "--auto-start")
        old = world.show("x")["image"]
        (world.components / "vmlinuz").write_bytes(b"another")
        tap.equal(world.cli("set", "x", "image=default").stdout, "image: at next start\n", "said")
        world.cli("restart", "x")
        new = world.show("x")["image"]
        tap.check(old != new, "another image")
        assert_cli(world, 3, "0" * 64, "set", "x", "image=" + "0" * 64)


def test_wait():
    """wait returns when the state is reached, also at once, and for one that passes"""
    with World() as world:
        world.start()
        world.cli("create", "x")
        world.cli("wait", "x", "--for", "created")
        started, starting = (Running(world, "wait", "x", "--for", state)
                             for state in ("running", "starting"))
        started.goes_on()
        world.cli("start", "x")
        tap.equal((started.ends(0), starting.ends(0)), ("", ""), "stdout")
        tap.equal(document(world, "wait", "x", "--for", "running")["state"], "running", "JSON")


def test_wait_fails():
    """wait: 6 at its timeout, 3 for what is not there, ended by Ctrl-C"""
    with World() as world:
        world.start()
        world.cli("create", "x")
        assert_cli(world, 6, "it is created", "wait", "x", "--for", "running", "--timeout", "1")
        assert_cli(world, 3, "nope", "wait", "nope", "--for", "running")
        waiting = Running(world, "wait", "x", "--for", "running")
        waiting.goes_on()
        waiting.interrupt()
        waiting.ends(-signal.SIGINT, 5)


def test_wait_service():
    """wait outlasts a restart of the service, within its timeout"""
    with World() as world:
        world.start()
        world.cli("create", "x", "--auto-start")
        waits = Running(world, "wait", "x", "--for", "stopped", "--timeout", "60")
        short = Running(world, "wait", "x", "--for", "stopped", "--timeout", "2")
        waits.goes_on()
        world.service.kill()
        world.service.wait(10)
        short.ends(6)
        short.says("is not answering")
        world.start()
        waits.goes_on()
        world.cli("stop", "x")
        waits.ends(0)


def test_wait_stopped_service():
    """wait: its timeout holds though the service is frozen"""
    with World() as world:
        world.start()
        world.cli("create", "x")
        world.service.send_signal(signal.SIGSTOP)
        try:
            assert_cli(world, 6, "", "wait", "x", "--for", "created", "--timeout", "1")
        finally:
            world.service.send_signal(signal.SIGCONT)


def test_pause():
    """pause and resume, twice each; refused for what does not run"""
    with World() as world:
        world.start()
        world.cli("create", "x")
        for verb in ("pause", "resume", "reset"):
            assert_cli(world, 4, "created", verb, "x")
        world.cli("start", "x")
        for verb, state in (("pause", "paused"), ("resume", "running")):
            assert_says(world, "", verb, "x")
            tap.equal(world.show("x")["state"], state, verb)
            assert_says(world, f"x is already {state}", verb, "x")
            tap.equal(document(world, verb, "x")[0]["state"], state, "JSON")


def test_restart():
    """restart changes QEMU, reset keeps it; both end in running"""
    with World() as world:
        world.start()
        world.cli("create", "x")
        assert_says(world, "", "restart", "x")
        first = world.show("x")["main_pid"]
        assert_says(world, "", "reset", "x")
        shown = world.show("x")
        tap.equal((shown["main_pid"], shown["state"]), (first, "running"), "after reset")
        tap.equal(document(world, "reset", "x")[0]["main_pid"], first, "JSON of reset")
        shown = document(world, "restart", "x")[0]
        tap.check(shown["main_pid"] != first and not is_alive(first), "another QEMU")
        tap.equal(shown["state"], "running", "after restart")


def test_already():
    """start and stop of what is so already say so and succeed"""
    with World() as world:
        world.start()
        world.cli("create", "dev1")
        assert_says(world, "it is created", "stop", "dev1")
        assert_says(world, "", "start", "dev1")
        assert_says(world, "dev1 is already running", "start", "dev1")
        tap.equal(document(world, "start", "dev1")[0]["state"], "running", "JSON")
        assert_says(world, "", "stop", "dev1")
        assert_says(world, "dev1 is already stopped", "stop", "dev1")
        tap.equal(document(world, "stop", "dev1")[0]["state"], "stopped", "JSON")


def test_forced():
    """a stop that had to be forced is a warning, a graceful one is silent"""
    with World("--stop-timeout", "1") as world:
        world.start()
        world.cli("create", "good", "--auto-start")
        world.cli("create", "bad", "--auto-start", *STUBBORN)
        warning = "bad did not stop by itself and had to be forced"
        assert_says(world, "good: the stop was graceful", "stop", "-v", "good")
        assert_says(world, warning, "stop", "bad")
        world.cli("start", "good", "bad")
        assert_says(world, "", "stop", "good")
        assert_says(world, warning, "restart", "bad")
        assert_says(world, "", "stop", "--force", "bad")
        world.cli("start", "bad")
        tap.equal(document(world, "stop", "bad")[0]["stop_result"], "forced", "JSON")


def test_interrupt_start():
    """the first Ctrl-C cancels a start, which leaves the machine stopped"""
    with World() as world:
        world.start()
        world.cli("create", "x", *SILENT)
        for verb in ("start", "restart"):
            running = Running(world, verb, "x")
            world.wait_state("x", "starting")
            pid = tap.eventually(lambda: world.show("x")["main_pid"], 10, "QEMU")
            running.interrupt()
            running.says(f"cancelling the {verb}")
            tap.equal(running.ends(1), "", "stdout")
            tap.equal(world.show("x")["state"], "stopped", "state")
            tap.check(not is_alive(pid), "QEMU has ended")


def test_interrupt_json():
    """a cancelled start with --json leaves one error on stderr, and nothing else"""
    with World() as world:
        world.start()
        world.cli("create", "x", *SILENT)
        running = Running(world, "start", "x", "--json")
        world.wait_state("x", "starting")
        running.interrupt()
        tap.equal(running.ends(1), "", "stdout")
        error = json.loads(running.path.read_text())["error"]
        tap.check(error["name"].endswith(".Cancelled"), error)


def test_interrupt_joined():
    """Ctrl-C finds the job of a start that another client has begun"""
    with World() as world:
        world.start()
        world.cli("create", "x", *SILENT)
        world.cli("start", "--no-wait", "x")
        running = Running(world, "start", "x")
        running.says("already starting")
        running.catches()
        running.goes_on()
        running.interrupt()
        running.ends(1)
        tap.equal(world.show("x")["state"], "stopped", "state")


def test_interrupt_create():
    """Ctrl-C of create --auto-start cancels the start; the instance stays"""
    with World() as world:
        world.start()
        running = Running(world, "create", "x", "--auto-start", *SILENT)
        tap.eventually(world.list, 10, "the instance")
        world.wait_state("x", "starting")
        running.interrupt()
        running.ends(1)
        tap.equal(world.show("x")["state"], "stopped", "state")


def test_interrupt_many():
    """Ctrl-C leaves those alone that have not had their turn"""
    with World() as world:
        world.start()
        for name in ("a", "b"):
            world.cli("create", name, *SILENT)
        running = Running(world, "start", "a", "b")
        world.wait_state("a", "starting")
        running.interrupt()
        running.ends(1)
        running.says("nothing was done to b")
        tap.equal(world.show("b")["state"], "created", "state of b")


def test_interrupt_twice():
    """the second Ctrl-C leaves at once with 130"""
    with World() as world:
        world.start()
        world.cli("create", "x", "--", "--fake.never-ready", "--fake.ignore-stop")
        running = Running(world, "start", "x")
        world.wait_state("x", "starting")
        tap.eventually(lambda: world.show("x")["main_pid"], 10, "QEMU")
        running.interrupt()
        running.says("cancelling")
        running.goes_on()
        running.interrupt()
        running.ends(130, 5)
        world.cli("stop", "--force", "x")


def test_interrupt_stop():
    """a stop is not cancelled: it goes on at the first Ctrl-C, and without the CLI"""
    with World("--stop-timeout", "3") as world:
        world.start()
        world.cli("create", "x", "--auto-start", *STUBBORN)
        for times in (1, 2):
            running = Running(world, "stop", "x")
            world.wait_state("x", "stopping")
            running.interrupt()
            running.says("stopping goes on; ^C again to leave")
            if times == 2:
                running.interrupt()
            running.ends(0 if times == 1 else 130)
            world.wait_state("x", "stopped")
            world.cli("start", "x")


def test_progress():
    """the step of a start is on the terminal while it waits, and gone at its end"""
    with World() as world:
        world.start()
        world.cli("create", "x", *SILENT)
        world.env["TERM"] = "vt100"
        for words in ((), ("--json",)):
            main, side = pty.openpty()
            running = Running(world, "start", "x", "--timeout", "2", *words, stderr=side)
            running.ends(6)
            os.close(side)
            text = os.read(main, 65536).decode()
            os.close(main)
            world.cli("stop", "x")
            steps = re.findall(r"\r\x1b\[Kx: ([^\r]+)", text)
            tap.equal(bool(steps), not words, text)
            if not words:
                tap.check("\r\x1b[Kkatana-hypervisor: " in text, f"the line is removed: {text!r}")


def test_conflict():
    """a prefix that fits several ids is a conflict, exit code 4"""
    with World() as world:
        world.start()
        names = ("x", "y")
        ids = []
        for name in names:
            world.cli("create", name)
            ids.append(world.show(name)["id"])
        world.service.terminate()
        world.service.wait(10)
        twin = ids[0][:8] + ids[1][8:]
        with sqlite3.connect(world.state / "state.db") as db:
            for table, in db.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
                for column in [row[1] for row in db.execute(f"PRAGMA table_info({table})")]:
                    db.execute(f"UPDATE OR IGNORE {table} SET {column}=? WHERE {column}=?",
                               (twin, ids[1]))
        db.close()
        (world.state / "instances" / ids[1]).rename(world.state / "instances" / twin)
        world.start()
        for verb in ("show", "start", "stop"):
            assert_cli(world, 4, ids[0][:8], verb, ids[0][:8])
        tap.equal(world.show(twin[:20])["name"], "y", "a longer prefix")


FAKE_SSH = """#!/bin/sh
printf '%s\\n' "$@" >"$0.words"
[ -z "$FAKE_SSH_CODE" ] || exit "$FAKE_SSH_CODE"
exec sh -c "$4"
"""


def add_ssh(world):
    """A fake ssh, which runs the command here; the file of its arguments."""
    ssh = world.tools / "ssh"
    ssh.write_text(FAKE_SSH)
    ssh.chmod(0o755)
    world.env["PATH"] = f"{world.tools}:{os.environ['PATH']}"
    return world.tools / "ssh.words"


def test_host():
    """-H runs the same command by ssh, wherever it stands; words, stdin, exit codes pass"""
    with World() as world:
        world.start()
        words = add_ssh(world)
        label = "a=b  c'd\"$HOME;`id`*\n#"
        world.cli("create", "x", "-H", "me@there", "--label", label, "--katana-args-file", "-",
                  "--", "-H", "--host=no", text="--stdin\n")
        found = words.read_text().splitlines()
        tap.equal(found[:3], ["-T", "--", "me@there"], "arguments of ssh")
        tap.check(found[3].startswith("katana-hypervisor 'create' 'x' '--label' "), found[3])
        tap.equal(world.show("x")["labels"], {"a": label[2:]}, "a word that a shell could read")
        tap.equal(configuration(world, "x")["katana_args"],
                  ["--stdin", "-H", "--host=no"], "arguments")
        for place in (("-Hthere", "--json", "list"), ("--host", "there", "--json", "list"),
                      ("list", "--json", "--host=there")):
            words.unlink()
            done = world.cli(*place)
            tap.equal(json.loads(done.stdout), world.list(), str(place))
            tap.equal(words.read_text().splitlines()[2], "there", str(place))
        assert_cli(world, 3, "nope", "-H", "there", "show", "nope")


def test_host_fails():
    """what ssh cannot reach or find is exit code 7; a bad host never comes to ssh"""
    with World() as world:
        words = add_ssh(world)
        for host in ("-oProxyCommand=x", "", "@there", "a b", "a;b", "a/b"):
            assert_cli(world, 2, "USER@HOST", f"--host={host}", "list")
        assert_cli(world, 2, "verb", "-H", "there", "lits")
        assert_cli(world, 2, "-H", "list", "-vHthere")
        assert_cli(world, 2, "-H", "list", "-H")
        assert_cli(world, 2, "verdict would be the other host's", "report", "show", "-Hthere", "/dev/null")
        tap.check(not words.exists(), "ssh was run")
        for code, says in (("255", "ssh"), ("127", "there"), ("126", "there")):
            world.env["FAKE_SSH_CODE"] = code
            assert_cli(world, 7, says, "-H", "there", "list")
        done = world.cli("--json", "-H", "there", "list", check=False)
        tap.check(json.loads(done.stderr)["error"]["name"].endswith(".ServiceUnavailable"),
                  done.stderr)
        world.env["PATH"] = "/nowhere"
        assert_cli(world, 7, "ssh", "-H", "there", "list")


def test_host_terminal():
    """-H has a terminal there only where all three descriptors here are one"""
    with World() as world:
        words = add_ssh(world)
        world.env["FAKE_SSH_CODE"] = "0"
        main, side = pty.openpty()
        for streams in (("stdin", "stdout", "stderr"), ("stdin", "stdout"), ("stdin", "stderr")):
            options = {name: side if name in streams else subprocess.DEVNULL
                       for name in ("stdin", "stdout", "stderr")}
            subprocess.run([str(world.tools / "katana-hypervisor"), "-H", "there", "list"],
                           env=world.env, timeout=20, check=True, **options)
            tap.equal(words.read_text().split()[0], "-t" if len(streams) == 3 else "-T",
                      str(streams))
        os.close(side)
        os.close(main)


def test_limits():
    """show and status say where limits are not enforced, and only there"""
    with World() as world:
        world.start()
        world.cli("create", "x")
        for arguments in (("show", "x"), ("status",)):
            enforced = document(world, *arguments)["limits_enforced"]
            said = "limits are not enforced\n" in world.cli(*arguments).stdout
            tap.equal(said, not enforced, str(arguments))


def asked(world, answer, *arguments):
    """What delete asks on a terminal, which is answered so; its exit code."""
    main, side = pty.openpty()
    process = subprocess.Popen([str(world.tools / "katana-hypervisor"), "delete", *arguments],
                               env=world.env, stdin=side, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    os.write(main, answer)
    said = process.communicate(timeout=60)[1]
    os.close(side)
    os.close(main)
    return process.returncode, said


def b146_delete_asks_about_what_it_does():
    """names are looked up before the question, which is about what will be done"""
    with World() as world:
        world.start()
        for name in ("a", "b", "c", "d"):
            world.cli("create", name)
        folder = world.instance_folder("b")
        world.cli("start", "b")
        code, said = asked(world, b"y\n", "nope")
        tap.equal((code, "y/N" in said, "nope" in said), (3, False, True), said)
        code, said = asked(world, b"n\n", "a", "c", "nope")
        tap.equal(code, 1, said)
        tap.check("Delete a, c with all their data? [y/N]" in said and "nope" in said, said)
        tap.equal(len(world.list()), 4, "instances after a no")
        code, said = asked(world, b"y\n", "a", "nope")
        tap.equal((code, len(world.list())), (3, 3), said)
        tap.check("Delete a with all its data? [y/N]" in said, said)
        code, said = asked(world, b"y\n", "b")
        tap.equal((code, "y/N" in said, "--force" in said), (4, False, True), said)
        code, said = asked(world, b"y\n", "--keep-data", "--force", "b")
        tap.equal(code, 0, said)
        tap.check("Delete b but keep its data disk? [y/N]" in said, said)
        tap.check(f"the data disk of b is kept as {folder}/data.raw" in said, said)
        tap.check((folder / "data.raw").exists(), "the disk")
        done = world.cli("delete", "--keep-data", "-y", "c")
        tap.check("c was never started and had no data disk" in done.stderr, done.stderr)


def b146_arguments_that_cannot_be_read():
    """why a file of arguments cannot be read, in words of the system's"""
    with World() as world:
        world.start()
        (world.folder / "latin").write_bytes(b"--name=\xfc\n")
        (world.folder / "huge").write_text("x\n" * 400000)
        for file, why in (("/nowhere", "No such file"), ("/tmp", "directory"),
                          (world.folder / "latin", "is not UTF-8"),
                          (world.folder / "huge", "is longer than")):
            assert_cli(world, 2, why, "create", "x", "--katana-args-file", str(file))
            assert_cli(world, 2, str(file), "create", "x", "--katana-args-file", str(file))


if __name__ == "__main__":
    # A shell's background job ignores SIGINT, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(tap.run([test for name, test in list(globals().items())
                      if name.startswith("test_")] +
                     [b146_delete_asks_about_what_it_does, b146_arguments_that_cannot_be_read]))
