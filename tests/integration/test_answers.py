#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What the command line makes of the answers of a service: of a stand-in's, which says what no
service should, and of jobs, which it follows to their ends."""
import json
import os
import signal
import sys
import time

import dbus

import tap
from gi.repository import GLib
from harness import MANAGER, NAME, World
from played import played
from standin import INSTANCE, ROOT, Refused, StandIn, properties
from test_cli import Running, assert_cli

JOB = f"{ROOT}/jobs/7"
OTHER_JOB = f"{ROOT}/jobs/8"


def instance(state="created", **more):
    """All that the verbs look at; more of it by its names on the bus."""
    return {"Name": "one", "Id": "1" * 16, "State": state, "MainPid": dbus.UInt32(0),
            "StopResult": "", "LastError": dbus.Struct(("", ""), signature="ss"), **more}


def job(state="running", step="", error=("", "")):
    return {"Operation": "start", "Instance": dbus.ObjectPath(INSTANCE), "State": state,
            "Step": step, "Error": dbus.Struct(error, signature="ss")}


class Jobs(StandIn):
    """One with an instance, and jobs as the test makes them: objects maps a path to properties."""

    def __init__(self, world, state="created", **answers):
        begun = ("o", dbus.ObjectPath(JOB))
        super().__init__(world, GetAll=self.get_all, Get=self.get, **{
            **{verb: begun for verb in ("Start", "Stop", "Restart", "Reset", "Delete")}, **answers})
        self.objects = {INSTANCE: instance(state)}
        self.usual = None # StartTimeoutUSec and StopTimeoutUSec

    def get_all(self, message):
        found = self.objects.get(message.get_path())
        if found is None:
            raise Refused("NotFound", "no such object")
        return properties(**found)

    def get(self, message):
        _, name = message.get_args_list()
        if name.endswith("TimeoutUSec") and self.usual is not None:
            return "v", dbus.UInt64(self.usual, variant_level=1)
        found = self.objects.get(message.get_path(), {})
        if name not in found:
            raise Refused("InvalidArgument", f"no {name}")
        return "v", found[name]

    def set(self, path, **values):
        """Changes properties, and says so."""
        self.objects[path] = {**self.objects.get(path, {}), **values}
        self.changed(path, "Job" if path.startswith(f"{ROOT}/jobs") else "Instance", **values)

    def asked(self, member, times=1):
        tap.eventually(lambda: self.calls.count(member) >= times, 10, f"{times} {member}")

    def restart(self):
        """As if it had been killed: whatever jobs there were are gone."""
        self.leave()
        self.objects = {INSTANCE: self.objects[INSTANCE]}


class Matches:
    """The rules by which clients of a world's bus ask for signals."""

    def __init__(self, world):
        self.path = world.folder / "matches"
        with open(self.path, "wb") as file:
            self.process = world.spawn(["dbus-monitor", "--session", "type=method_call,member=AddMatch"],
                                       user=None, stdout=file)
        tap.eventually(self.path.read_text, 10, "dbus-monitor")

    def of(self, text):
        return [line for line in self.path.read_text().splitlines()
                if "type='signal'" in line and text in line]


def b160_follows_one_job():
    """a verb that waits asks for the signals of its own job, and reads no list of objects"""
    with World() as world, Jobs(world) as service:
        matches = Matches(world)
        service.objects[JOB] = job(step="waiting for RPC")
        running = Running(world, "start", "one")
        service.asked("GetAll", 2)
        running.goes_on(1)
        service.set(JOB, State="done", Step="")
        running.ends(0)
        tap.check("GetManagedObjects" not in service.calls, str(service.calls))
        rules = matches.of(f"sender='{NAME}'")
        tap.check(rules and all(JOB in rule for rule in rules), str(rules))
        matches.process.terminate()
        matches.process.wait(10)


def b160_no_end_is_lost():
    """an end before the first look, or in the same moment as its answer, is seen"""
    with World() as world, Jobs(world) as service:
        service.objects[JOB] = job("done")
        world.cli("start", "one")

        def overtaken(message):
            if message.get_path() != JOB or service.objects[JOB]["State"] == "done":
                return service.get_all(message)
            service.reply(message, properties(**service.objects[JOB]))
            service.set(JOB, State="done")
            return None

        service.answers["GetAll"] = overtaken
        for _ in range(20):
            service.objects[JOB] = job()
            running = Running(world, "start", "one")
            running.ends(0)


def b160_cancels_its_job():
    """Ctrl-C cancels the job that the call has returned, and none is looked for"""
    with World() as world, Jobs(world) as service:
        def cancel(message):
            tap.equal(message.get_path(), JOB, "what is cancelled")
            error = dbus.Struct((f"{NAME}.Error.Cancelled", "it was stopped"), signature="ss")
            service.set(JOB, State="cancelled", Error=error)
            return ("",)

        service.answers["Cancel"] = cancel
        service.objects[JOB] = job()
        running = Running(world, "start", "one")
        service.asked("GetAll", 2)
        running.interrupt()
        running.says("cancelling the start")
        running.ends(1)
        running.says("it was stopped")
        tap.equal(service.calls.count("Cancel"), 1, "calls of Cancel")
        tap.check("GetManagedObjects" not in service.calls, str(service.calls))


def b161_job_of_a_restarted_service():
    """a service that is restarted leads by the instance to the job that goes on, with a new path"""
    with World() as world, Jobs(world) as service:
        service.objects[JOB] = job()
        running = Running(world, "start", "one")
        service.asked("GetAll", 2)
        service.restart()
        running.goes_on()
        service.objects[INSTANCE] = instance("starting", Job=dbus.ObjectPath(OTHER_JOB))
        service.objects[OTHER_JOB] = job()
        service.own()
        running.goes_on(1)
        service.set(INSTANCE, State="running", Job=dbus.ObjectPath("/"))
        service.set(OTHER_JOB, State="done")
        running.ends(0)


def b161_no_job_any_more():
    """without a job the state of the instance says what has come of the operation"""
    failed = instance("failed", LastError=dbus.Struct((f"{NAME}.Error.PortUnavailable", "taken"),
                                                      signature="ss"))
    with World() as world, Jobs(world) as service:
        for verb, found, code, says in (
                ("start", instance("running"), 0, ""), ("start", failed, 4, "taken"),
                ("start", instance("stopped"), 1, "was stopped before it ran"),
                ("restart", instance("paused"), 0, ""), ("stop", failed, 0, ""),
                ("stop", instance("running"), 4, "is running now"), ("delete", None, 0, ""),
                ("start", None, 3, "has been deleted"), ("reset", instance("running"), 0, "")):
            service.calls.clear()
            service.objects = {INSTANCE: instance(), JOB: job()}
            running = Running(world, verb, "one")
            service.asked("GetAll", 2)
            service.restart()
            service.objects = {} if found is None else {INSTANCE: found}
            service.own()
            if code == 0 and found is not None:
                tap.eventually(lambda: service.calls.count("GetAll") > 2, 10, "another look")
            running.ends(code)
            running.says(says)


def b161_waits_for_what_is_under_way():
    """what passes is waited for, by signals, and an end long ago is found"""
    with World() as world, Jobs(world) as service:
        service.objects[INSTANCE] = instance("starting")
        running = Running(world, "start", "one")
        service.asked("GetAll", 3)
        running.goes_on()
        service.set(INSTANCE, State="running")
        running.ends(0)


def b161_real_restart():
    """a start is waited for over a SIGKILL of the service; stopped then, it is told as that"""
    with World() as world:
        world.start()
        world.cli("create", "x", "--", "--fake.never-ready")
        running = Running(world, "start", "x")
        world.wait_state("x", "starting")
        tap.eventually(lambda: world.show("x")["main_pid"], 10, "QEMU")
        world.end_service(signal.SIGKILL)
        world.start()
        running.goes_on(1)
        world.cli("stop", "x")
        running.ends(1)
        running.says("was stopped before it ran")


def log_of(text):
    """OpenLog's answer."""
    def answer(_message):
        reader, writer = os.pipe()
        os.write(writer, text)
        os.close(writer)
        found = dbus.types.UnixFd(reader)
        os.close(reader)
        return "h", found
    return answer


def b163_errors_of_a_job():
    """a job's error has the message and the exit code of the call's own, and the log's end"""
    with World() as world, Jobs(world) as service:
        service.answers["OpenLog"] = log_of(b"first\0line\r\nlast \x1b[2Jline\n")
        for name, code, has_log in (("LaunchFailed", 1, True), ("GuestFailed", 1, True),
                                    ("TimedOut", 6, True), ("PortUnavailable", 4, False),
                                    ("InvalidState", 4, False), ("Unheard", 1, False)):
            service.objects[JOB] = job("failed", error=(f"{NAME}.Error.{name}", "it is so"))
            said = world.cli("start", "one", check=False)
            tap.equal(said.returncode, code, said.stderr)
            tail = "; its log ends:\n  first line\n  last \ufffd[2Jline\n" if has_log else "\n"
            tap.equal(said.stderr, f"katana-hypervisor: it is so{tail}", name)
        service.objects[JOB] = job("failed")
        assert_cli(world, 1, "does not say why", "start", "one")
        service.objects[JOB] = job("failed", error=(f"{NAME}.Error.TimedOut", "it is so"))
        service.answers["OpenLog"] = lambda _message: None
        assert_cli(world, 6, "it is so", "start", "one")


def b163_clock_of_its_own():
    """a job has no deadline: the command line has the caller's, or the one that is usual"""
    with World() as world, Jobs(world) as service:
        service.answers["OpenLog"] = log_of(b"a line\n")
        service.objects[JOB] = job()
        late = "did not answer within {} s and is still starting"
        for verb in ("start", "reset"):
            assert_cli(world, 6, late.format(1), verb, "one", "--timeout", "1")
        service.usual = 2 * 10**6
        assert_cli(world, 6, late.format(2), "start", "one")
        assert_cli(world, 6, "a line", "start", "one")
        said = json.loads(world.cli("--json", "start", "one", check=False).stderr)["error"]
        tap.equal(said["name"], f"{NAME}.Error.TimedOut", str(said))
        service.objects[INSTANCE] = instance("stopping")
        running = Running(world, "restart", "one", "--timeout", "1")
        service.asked("Restart")
        running.goes_on(4)
        running.process.kill()


def b163_clock_of_a_stop():
    """a stop that does not end, as of a QEMU that cannot be killed, is given up as well"""
    with World() as world, Jobs(world) as service:
        service.answers["OpenLog"] = log_of(b"")
        for pid, says in ((7, "was killed and has not ended"), (0, "still being started or looked")):
            service.objects = {JOB: job(), INSTANCE: instance("stopping", MainPid=dbus.UInt32(pid))}
            begun = time.monotonic()
            assert_cli(world, 6, says, "stop", "one", "--timeout", "1")
            tap.check(15 < time.monotonic() - begun < 20, "the last resorts have their time")


# With the same object for the manager and the instance.
NO_STREAM = f"""<node><interface name="{NAME}.Manager"><method name="FindInstance">
<arg name="name" type="s" direction="in"/><arg name="path" type="o" direction="out"/></method>
</interface><interface name="{NAME}.Instance"><method name="OpenLog">
<arg name="options" type="a{{sv}}" direction="in"/><arg name="log" type="h" direction="out"/>
</method></interface></node>"""


def says_wrong(world, *words):
    """Ends with an error that names both types, and by no signal."""
    done = world.cli(*words, check=False)
    tap.equal((done.returncode, done.stdout), (1, ""), f"{words}: {done.stderr}")
    tap.check("The service answered" in done.stderr and "expected" in done.stderr,
              f"{words}: {done.stderr}")


ODD = (("u", dbus.UInt32(3)), ("s", "text"), ("a(ss)", [("a", "b")]))
VERBS = {"FindInstance": ("show one", "logs one", "start one", "set one dev=true", "attest one",
                          "wait one --for running", "measure one"),
         "ListInstances": ("list", "list --json"), "CreateInstance": ("create one",),
         "Start": ("start one", "create one --auto-start"), "Stop": ("stop one",),
         "Restart": ("restart one",), "Reset": ("reset one",), "Delete": ("delete -y one",),
         "Pause": ("pause one",), "Resume": ("resume one",),
         "Configure": ("set one dev=true",), "GetConfiguration": ("show --config one",),
         "OpenLog": ("logs one",), "CheckHost": ("doctor",), "GetEvidence": ("attest one",),
         "GetAll": ("show one", "status", "wait one --for running", "start one", "stop one",
                    "set one label=a=b", "measure one", "attest one")}


def b162_answers_of_another_type():
    """an answer of another type is an error that names both, of each verb, and never a crash"""
    with World() as world:
        for member, lines in VERBS.items():
            with Jobs(world, CreateInstance=("o", dbus.ObjectPath(INSTANCE))) as service:
                for odd in ODD if member in ("Pause", "Resume") else (*ODD, ("",)):
                    service.answers[member] = odd
                    for line in lines:
                        says_wrong(world, *line.split())


def b162_properties_of_another_type():
    """the same of properties, as they are read, listed and announced"""
    with World() as world, Jobs(world) as service:
        for name, value in (("State", dbus.UInt32(1)), ("LastError", "text"), ("Vcpus", "many"),
                            ("PendingChanges", dbus.UInt64(1)), ("CreatedUSec", "now"),
                            ("Tee", "yes"), ("BootTimeUSec", 1.5), ("Labels", "none")):
            service.objects[INSTANCE] = {**instance("running"), name: value}
            for words in (("show", "one"), ("--json", "show", "one"), ("start", "one"),
                          ("wait", "one", "--for", "running"), ("set", "one", "label=a=b")):
                says_wrong(world, *words)
            service.answers["ListInstances"] = ("a{oa{sv}}", {
                dbus.ObjectPath(INSTANCE): service.objects[INSTANCE]})
            says_wrong(world, "list")
        service.objects[INSTANCE] = instance()
        service.objects[JOB] = {**job(), "State": dbus.UInt32(1)}
        says_wrong(world, "start", "one")
        service.objects[JOB] = job()
        for words, path, wanted in ((("start", "one"), JOB, 2),
                                    (("wait", "one", "--for", "running"), INSTANCE, 1)):
            service.calls.clear()
            running = Running(world, *words)
            service.asked("GetAll", wanted)
            service.set(path, State=dbus.UInt32(1))
            running.ends(1)
            running.says("The service answered State with a value of an unexpected type, u where s")


def b162_newer_properties():
    """what this command line has not heard of is shown as it is, whatever its type"""
    with World() as world, Jobs(world) as service:
        newer = {"SomeUSec": "soon", "SomeBytes": dbus.Int32(-1), "GuestThing": "x",
                 "Pair": dbus.Struct((dbus.UInt32(1), "b"), signature="us"), "Ratio": 0.5,
                 "Rows": dbus.Array([("a", dbus.UInt32(1))], signature="(su)")}
        service.objects[INSTANCE] = {**instance(), **newer}
        tap.check("soon" in world.cli("show", "one").stdout, "text")
        shown = json.loads(world.cli("--json", "show", "one").stdout)
        tap.equal((shown["ratio"], shown["some_bytes"]), (0.5, -1), "JSON")
        service.answers["GetConfiguration"] = properties(**{
            "memory-bytes": "much", "block-time": "x", "katana-args": dbus.UInt32(1)})
        tap.check("much" in world.cli("show", "--config", "one").stdout, "configuration")
        says_wrong(world, "show", "--qemu-args", "one")


def b164_no_stream_and_no_end():
    """a log without its stream, and a list that does not go on, are errors as well"""
    page = {dbus.ObjectPath(f"{ROOT}/instances/{n:04}"): properties()[1] for n in range(1000)}
    with World() as world, Jobs(world, ListInstances=("a{oa{sv}}", page)) as service:
        says_wrong(world, "list")

    def answer(_connection, _sender, _path, _interface, method, _arguments, invocation):
        found = ("(o)", (MANAGER,)) if method == "FindInstance" else ("(h)", (0,))
        invocation.return_value(GLib.Variant(*found))

    with World() as world, played(world, NAME, MANAGER, NO_STREAM, answer):
        says_wrong(world, "logs", "one")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(tap.run([
        b160_follows_one_job, b160_no_end_is_lost, b160_cancels_its_job,
        b161_job_of_a_restarted_service, b161_no_job_any_more, b161_waits_for_what_is_under_way,
        b161_real_restart, b162_answers_of_another_type, b162_properties_of_another_type,
        b162_newer_properties, b163_errors_of_a_job, b163_clock_of_its_own, b163_clock_of_a_stop,
        b164_no_stream_and_no_end]))
