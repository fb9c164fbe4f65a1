#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Who may do what on the system bus, with a real polkitd.

The program runs itself again in a mount namespace where polkitd finds our actions, our rule
and two users. QEMU is the fake one.
"""
import json
import os
import re
import signal
import subprocess
import sys

import polkit
import tap
from amdsev import firmware
from bus import Bus, GLib
from harness import MANAGER, NAME, SOURCE, Failed, World
from live import service_dies

MEMBER, OTHER, OPERATOR = (polkit.USERS[name] for name in ("member", "other", "operator"))
# An administrator's own: one who may start and stop, and read no log.
OPERATOR_RULE = """
polkit.addRule(function(action, subject) {
    if (action.id == "org.katana.Hypervisor.operate" && subject.user == "operator")
        return polkit.Result.YES;
});
"""
CLIENT = """
import json, sys
from gi.repository import Gio, GLib
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
count, path, method, options = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
loop, names, kept, interface = GLib.MainLoop(), [], [], method.rpartition('.')[0]
def done(_, result):
    try:
        kept.append(bus.call_with_unix_fd_list_finish(result))
        names.append('')
    except GLib.Error as error:
        names.append(Gio.DBusError.get_remote_error(error) or error.message)
    print(names[-1], flush=True)
    if len(names) == count: loop.quit()
for n in range(count):
    bus.call_with_unix_fd_list('org.katana.Hypervisor', path, interface,
        method.rpartition('.')[2], GLib.Variant.parse(None, options), None, 0, 60000, None, None,
        done)
loop.run()
"""


class Guarded(World):
    """A service on a system bus where polkitd answers."""

    def __init__(self, *options, polkitd=True):
        super().__init__(*options, session=False)
        self.polkitd = None
        if polkitd:
            self.start_polkitd()
        self.start()

    def start_polkitd(self):
        self.polkitd = self.spawn([polkit.POLKITD, "--no-debug"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        tap.eventually(self.has_polkit, 30, "polkitd on the bus")

    def has_polkit(self):
        tap.check(self.polkitd.poll() is None, "polkitd has ended")
        return b"true" in subprocess.run(
            ["gdbus", "call", "--system", "--dest", "org.freedesktop.DBus", "--object-path", "/",
             "--method", "org.freedesktop.DBus.NameHasOwner", "org.freedesktop.PolicyKit1"],
            env=self.env, capture_output=True, timeout=20, check=False).stdout

    def many(self, count, path, method, arguments, user=MEMBER):
        """A client that makes many calls at once on one connection."""
        return subprocess.Popen(
            ["/usr/bin/python3", "-c", CLIENT, str(count), path, f"{NAME}.{method}", arguments],
            env=self.env, stdout=subprocess.PIPE, text=True, user=user, group=user,
            extra_groups=[])


def configuration(world, path):
    return world.call(path, "Instance.GetConfiguration", "{}")


def refused(action, *names):
    try:
        found = action()
    except Failed as error:
        tap.check(error.name in (names or ("NotAuthorized", "NotAuthorizedCanObtain")),
                  f"{error.name}: {error.message}")
        return error.message
    raise AssertionError(f"was served: {found}")


def snapshot(world):
    """All that a refused call must leave as it is."""
    files = sorted((str(path.relative_to(world.state)), path.lstat().st_size)
                   for path in (world.state / "instances").rglob("*"))
    return world.list(), files, sorted(os.listdir(world.state / "images"))


def calls(path, job):
    """Every method that needs an action, and arguments with which root would be served."""
    return ((MANAGER, "Manager.CreateInstance", "new", "{}", "{}"),
            (path, "Instance.Start", "{}"), (path, "Instance.Stop", "{}"),
            (path, "Instance.Restart", "{}"), (path, "Instance.Reset", "{}"),
            (path, "Instance.Pause", "{}"), (path, "Instance.Resume", "{}"),
            (path, "Instance.Configure", "{'vcpus': <uint32 1>}", "{}"), (job, "Job.Cancel", "{}"),
            (path, "Instance.OpenLog", "{}"), (path, "Instance.GetConfiguration", "{}"),
            (path, "Tee.GetEvidence", "{}"),
            (path, "Instance.Delete", "{'force': <true>}"))


def stranger_is_refused():
    """a user without the group is refused every method with an action; nothing has changed"""
    with Guarded("--insecure-simulate-tee=true") as world:
        (world.components / "ovmf.fd").write_bytes(firmware())
        path = world.create("x", "{'tee': <true>, 'katana-args': <['--fake.quote']>}")
        job = re.search(r"'(/[^']+)'", world.start_instance(path))[1]
        world.stop_instance(path)
        known = set(re.findall(r'method name="(\w+)"(?:(?!</method>).)*Action" value="(?!free)',
                               "".join(file.read_text() for file in
                                       (SOURCE / "dbus-interfaces").glob("*.xml")), re.S))
        tap.equal({one[1].split(".")[1] for one in calls(path, job)}, known, "methods that are tried")
        for running in (False, True):
            before = snapshot(world)
            for one in calls(path, job):
                message = refused(lambda one=one: world.call(*one, user=OTHER))
                tap.check(f"{NAME}." in message, f"names the action: {message}")
            tap.equal(snapshot(world), before, "what there is")
            if not running:
                world.start_instance(path)
        world.call(path, "Tee.GetEvidence", "{}", user=MEMBER)


def reading_is_free():
    """a user without the group reads lists and properties, and checks a configuration"""
    with Guarded() as world:
        path = world.create("x", "{'katana-args': <['--a.key=0x5ec2e7']>}")
        found = world.call(MANAGER, "Manager.ListInstances", "[]", "{}", user=OTHER)
        tap.check(path in found and "5ec2e7" not in found, found)
        world.call(MANAGER, "Manager.FindInstance", "x", user=OTHER)
        world.call(MANAGER, "Manager.ValidateConfig", "y", "{}", user=OTHER)
        tap.equal(json.loads(world.cli("--json", "show", "x", user=OTHER).stdout)["name"], "x",
                  "show")


def properties_are_read_only():
    """Set is refused, to root as well"""
    with Guarded() as world:
        path = world.create("x")
        for user in (None, MEMBER, OTHER):
            done = subprocess.run(
                ["gdbus", "call", "--system", "--dest", NAME, "--object-path", path, "--method",
                 "org.freedesktop.DBus.Properties.Set", f"{NAME}.Instance", "State",
                 "<'running'>"], env=world.env, capture_output=True, text=True, timeout=20,
                check=False, **({"user": user, "group": user, "extra_groups": []} if user else {}))
            tap.check(done.returncode != 0 and "rror" in done.stderr, done.stdout + done.stderr)
        tap.equal(world.show("x")["state"], "created", "state")


def member_is_served():
    """a member of katana creates, starts, stops, reads logs, deletes; secrets and exposure not"""
    with Guarded() as world:
        path = world.create("x", "{'katana-args': <['--a.key=0x5ec2e7']>}", user=MEMBER)
        tap.equal(world.show("x")["owner_uid"], MEMBER, "owner_uid")
        world.call(path, "Instance.Start", "{}", user=MEMBER)
        world.cli("logs", "x", user=MEMBER)
        refused(lambda: world.call(path, "Instance.GetConfiguration", "{}", user=MEMBER))
        for exposed in ("{'outbound': <true>}", "{'rpc-address': <'0.0.0.0'>}"):
            refused(lambda text=exposed: world.create("y", text, user=MEMBER))
            refused(lambda text=exposed: world.call(path, "Instance.Configure", text, "{}",
                                                    user=MEMBER))
        world.call(path, "Instance.Configure", "{'labels': <{'a': 'b'}>}", "{}", user=MEMBER)
        tap.equal([one["name"] for one in world.list()], ["x"], "instances")
        world.call(path, "Instance.Stop", "{}", user=MEMBER)
        world.call(path, "Instance.Delete", "{}", user=MEMBER)
        tap.equal(world.list(), [], "instances")


def begin(world, path, user=None):
    """A start that will not end; the path of its job."""
    return re.search(r"'(/[^']+)'", world.call(path, "Instance.Start", "{'no-wait': <true>}",
                                               user=user))[1]


def jobs_are_cancelled():
    """a job is cancelled by who has the right to its operation, and by its owner without it"""
    with Guarded() as world:
        others, own = (world.create(name, "{'katana-args': <['--fake.never-ready']>}")
                       for name in ("others", "own"))
        job = begin(world, others)
        refused(lambda: world.call(job, "Job.Cancel", "{}", user=OTHER))
        tap.equal(world.show("others")["state"], "starting", "after a stranger")
        world.call(job, "Job.Cancel", "{}", user=MEMBER)
        tap.equal(world.show("others")["state"], "stopped", "after a member")
        mine, job = begin(world, own, MEMBER), begin(world, others)
        world.polkitd.terminate()
        world.polkitd.wait(10)
        refused(lambda: world.call(own, "Instance.Stop", "{}", user=MEMBER))
        refused(lambda: world.call(job, "Job.Cancel", "{}", user=MEMBER))
        world.call(mine, "Job.Cancel", "{}", user=MEMBER)
        tap.equal({one["name"]: one["state"] for one in world.list()},
                  {"others": "starting", "own": "stopped"}, "after the owner")


def root_is_served():
    """root is served everything, exposure included"""
    with Guarded() as world:
        world.create("y", "{'outbound': <true>, 'rpc-address': <'0.0.0.0'>}")
        path = world.create("x", "{'katana-args': <['--a.key=1']>}")
        tap.check("--a.key=1" in world.call(path, "Instance.GetConfiguration", "{}"), "arguments")
        world.start_instance(path)


def without_polkitd():
    """without polkitd root is served and nobody else"""
    with Guarded("--insecure-simulate-tee=true", polkitd=False) as world:
        (world.components / "ovmf.fd").write_bytes(firmware())
        path = world.create("x", "{'tee': <true>}")
        job = re.search(r"'(/[^']+)'", world.start_instance(path))[1]
        for one in calls(path, job):
            refused(lambda one=one: world.call(*one, user=MEMBER), "NotAuthorized")
        tap.equal(world.show("x")["state"], "running", "state")


def b146_who_has_the_right():
    """a refusal names the right, and the group or the administrator who has it"""
    rule = (SOURCE / "polkit/50-org.katana.Hypervisor.rules").read_text(encoding="utf-8")
    of_group = re.findall(r'"([a-z-]+)"', re.search(r"allowed = \[(.*?)\]", rule)[1])
    with Guarded("--insecure-simulate-tee=true") as world:
        (world.components / "ovmf.fd").write_bytes(firmware())
        path = world.create("x", "{'tee': <true>}")
        job = re.search(r"'(/[^']+)'", world.start_instance(path))[1]
        seen = set()
        outbound = (MANAGER, "Manager.CreateInstance", "y", "{'outbound': <true>}", "{}")
        for one, user in [(one, OTHER) for one in calls(path, job)] + [(outbound, MEMBER)]:
            said = refused(lambda one=one, user=user: world.call(*one, user=user))
            action = re.search(rf"the right {NAME}\.([a-z-]+),", said)[1]
            seen.add(action)
            tap.equal('the group "katana"' in said, action in of_group, said)
            tap.check("administrator" in said, said)
        policy = (SOURCE / "polkit/org.katana.Hypervisor.policy").read_text(encoding="utf-8")
        tap.equal(seen, set(re.findall(rf'action id="{NAME}\.([a-z-]+)"', policy)), "actions")


def b146_names_before_rights():
    """nobody is asked for a right because of a name that is bad, or of no instance"""
    with Guarded() as world:
        for code, words in ((2, ("create", "Bad_")), (3, ("start", "nope")),
                            (3, ("delete", "nope")), (3, ("set", "nope", "vcpus=2")),
                            (3, ("logs", "nope")), (5, ("create", "good"))):
            done = world.cli(*words, user=OTHER, check=False)
            tap.equal(done.returncode, code, f"{words}: {done.stderr}")


def b146_polkit_is_not_there():
    """without a polkit the refusal says that it is not there, and the journal why"""
    with Guarded(polkitd=False) as world:
        said = refused(lambda: world.create("x", user=MEMBER), "NotAuthorized")
        tap.check("polkit does not run and cannot be started" in said, said)
        tap.check("polkit cannot be asked" in world.journal(), world.journal())


def polkitd_dies():
    """a polkitd that dies while it is asked is a refusal, and the next one is asked again"""
    with Guarded() as world:
        path = world.create("x")
        world.polkitd.send_signal(signal.SIGSTOP)
        client = world.many(1, path, "Instance.Start", "(@a{sv} {},)")
        try:
            client.wait(1)
        except subprocess.TimeoutExpired:
            pass
        world.polkitd.kill()
        world.polkitd.wait(10)
        tap.equal(client.communicate(timeout=60)[0].strip(), f"{NAME}.Error.NotAuthorized",
                  "the answer")
        tap.equal(world.show("x")["state"], "created", "state")
        world.start_polkitd()
        world.call(path, "Instance.Start", "{}", user=MEMBER)


def bus_restarts():
    """a bus that restarts ends neither the service nor what polkit decides"""
    with Guarded() as world:
        path = world.create("x")
        world.start_instance(path)
        refused(lambda: world.call(path, "Instance.Stop", "{}", user=OTHER))
        for child in (world.polkitd, world.bus):
            child.kill()
            child.wait(10)
        (world.folder / "bus").unlink()
        world.start_bus()
        world.start_polkitd()
        tap.eventually(world.is_served, 30, "the service on the new bus")
        refused(lambda: world.call(path, "Instance.Stop", "{}", user=OTHER))
        world.create("y", user=MEMBER)
        world.call(path, "Instance.Stop", "{}", user=MEMBER)


def errors_without_the_log():
    """lines of the log are in an error for one who may read it, and in no property"""
    with Guarded() as world:
        for words, name, says in ((("--fake.exit", "3"), "LaunchFailed", "could not set up"),
                                  (("--fake.fatal", "disk_lost"), "GuestFailed", "FATAL:")):
            path = world.create("x", "{'katana-args': <" + str(list(words)) + ">}")
            message = refused(lambda path=path: world.call(path, "Instance.Start", "{}",
                                                           user=OPERATOR), name)
            tap.check(says not in message, f"an operator's error: {message}")
            message = refused(lambda path=path: world.call(path, "Instance.Start", "{}",
                                                           user=MEMBER), name)
            tap.check(says in message, f"a member's error: {message}")
            tap.check(says not in json.dumps(world.show("x")), "a property")
            world.call(path, "Instance.Delete", "{}")


def state_checked_again():
    """what polkit's answer was awaited for is gone: NotFound, not a served call"""
    with Guarded() as world:
        path = world.create("x")
        world.polkitd.send_signal(signal.SIGSTOP)
        client = world.many(1, path, "Instance.Start", "(@a{sv} {},)")
        try:
            client.wait(1)
        except subprocess.TimeoutExpired:
            pass
        world.call(path, "Instance.Delete", "{}")
        world.polkitd.send_signal(signal.SIGCONT)
        tap.equal(client.communicate(timeout=60)[0].strip(), f"{NAME}.Error.NotFound",
                  "the answer")


# A change of each key that says where an instance is reached, or what answers there.
ENDPOINT = ("{'rpc-port': <uint16 PORT>}", "{'rpc-address': <'127.0.0.1'>}",
            "{'outbound': <false>}", "{'katana-args': <['--a.key=1']>}", "{'dev': <true>}",
            "{'dev': <true>, 'accounts': <uint16 3>}", "{'dev': <true>, 'no-fee': <true>}",
            "{'chain-id': <'X'>}", "{'block-time': <uint64 5>}",
            "{'labels': <{'a': 'b'}>, 'rpc-port': <uint16 PORT>}")
OTHERS = ("{'labels': <{'a': 'b'}>}", "{'vcpus': <uint32 2>}", "{'restart-policy': <'always'>}",
          "{'image': <'default'>}", "{'memory-bytes': <uint64 268435456>}")


def configure(world, path, changes, user=None):
    return world.call(path, "Instance.Configure", changes, "{}", user=user)


def b127_opened_by_an_administrator():
    """authorization by what is asked for only: who opened it decides what is there"""
    with Guarded() as world:
        changes = [text.replace("PORT", str(world.ports[-1])) for text in ENDPOINT]
        for number, opened in enumerate(("{'outbound': <true>}", "{'rpc-address': <'0.0.0.0'>}")):
            path = world.create(f"x{number}", opened)
            before = configuration(world, path)
            for text in changes:
                refused(lambda text=text: configure(world, path, text, MEMBER))
            tap.equal(configuration(world, path), before, "the configuration")
            for text in OTHERS:
                configure(world, path, text, MEMBER)
            for text in changes:
                configure(world, path, text)
            world.call(path, "Instance.Delete", "{}")


def b127_opened_from_the_next_start_on():
    """what is opened or closed at the next start only counts as open"""
    with Guarded() as world:
        path = world.create("x")
        world.start_instance(path)
        configure(world, path, "{'rpc-address': <'0.0.0.0'>}")
        refused(lambda: configure(world, path, "{'katana-args': <['--a']>}", MEMBER))
        world.stop_instance(path)
        world.start_instance(path)
        configure(world, path, "{'rpc-address': <'127.0.0.1'>}")
        refused(lambda: configure(world, path, "{'katana-args': <['--a']>}", MEMBER))
        world.stop_instance(path)
        configure(world, path, "{'katana-args': <['--a']>}", MEMBER)


def b127_opened_while_polkit_is_asked():
    """an authorization judged before the wait: it is judged again once polkit has answered"""
    with Guarded() as world:
        path = world.create("x")
        world.polkitd.send_signal(signal.SIGSTOP)
        client = world.many(1, path, "Instance.Configure",
                            "({'katana-args': <['--a']>}, @a{sv} {})")
        try:
            client.wait(1)
        except subprocess.TimeoutExpired:
            pass
        configure(world, path, "{'outbound': <true>}")
        world.polkitd.send_signal(signal.SIGCONT)
        tap.check(f"{NAME}.Error.NotAuthorized" in client.communicate(timeout=60)[0], "the answer")
        tap.check("'--a'" not in configuration(world, path), "the arguments")


class Observer:
    """All that a connection sees of an instance."""

    def __init__(self, world, path):
        self.bus, self.path, self.signals = Bus(world), path, []
        self.bus.connection.signal_subscribe(
            NAME, "org.freedesktop.DBus.Properties", "PropertiesChanged", path, None, 0,
            lambda *seen: self.signals.append(seen[5].unpack()[1:]))

    def look(self):
        found = self.bus.properties(self.path)
        while GLib.MainContext.default().iteration(False):
            pass
        signals, self.signals = self.signals, []
        return found["PendingChanges"], found["StateReason"], signals

    def tell(self, world, guess):
        """What a member is told who sets these arguments, the others' way, and then once more."""
        answers = []
        for changes in (f"{{'katana-args': <{guess}>}}", "{'vcpus': <uint32 2>}",
                        f"{{'katana-args': <{guess}>, 'vcpus': <uint32 1>}}"):
            answers += [configure(world, self.path, changes, MEMBER), self.look()]
        return answers


def b125_guessed_arguments():
    """an answer that differs by a secret: whether a guess of Katana's arguments is right"""
    secret = ["--a.key=0x5ec2e7", "--b"]
    with Guarded() as world:
        paths = [world.create(name, f"{{'vcpus': <uint32 1>, 'katana-args': <{secret}>}}")
                 for name in ("right", "wrong", "part")]
        guesses = (secret, ["--a.key=0x5ec2e8", "--b"], secret[:1])
        seen = [Observer(world, path) for path in paths]
        for running in (False, True):
            for one in seen:
                one.look()
            told = [one.tell(world, guess) for one, guess in zip(seen, guesses)]
            tap.equal(told[1:], told[:1] * 2, f"what a member is told, running: {running}")
            tap.equal(seen[0].look()[0], ["katana-args"] if running else [], "PendingChanges")
            for path, one in zip(paths, seen):
                configure(world, path, f"{{'katana-args': <{secret}>}}")
                if not running:
                    world.start_instance(path)
        service_dies(world)
        world.start()
        for path, one in zip(paths, seen):
            tap.equal(one.look()[0], ["katana-args"], "PendingChanges under the next service")
            world.stop_instance(path)
            tap.equal(one.look()[0], [], "PendingChanges once it has stopped")
            one.bus.close()


def b130_refusals_in_the_journal():
    """a user who is refused without end does not fill the journal"""
    with Guarded() as world:
        path = world.create("x")
        for _ in range(5):
            client = world.many(15, path, "Instance.Start", "(@a{sv} {},)", user=OTHER)
            tap.equal(client.communicate(timeout=60)[0].count("NotAuthorized"), 15, "refusals")
        tap.equal(world.journal().count("was denied"), 10, "lines for 75 of them")
        world.end_service()
        tap.check("was denied 65 more calls" in world.journal(), world.journal())


def prompts_are_limited():
    """16 calls of one sender wait for polkit, the others are refused at once"""
    with Guarded() as world:
        path = world.create("x")
        world.polkitd.send_signal(signal.SIGSTOP)
        client = world.many(20, path, "Instance.Start", "(@a{sv} {},)")
        early = [client.stdout.readline().strip() for _ in range(4)]
        tap.equal(early, [f"{NAME}.Error.LimitExceeded"] * 4, "the calls above the limit")
        world.create("y")
        world.polkitd.send_signal(signal.SIGCONT)
        tap.equal(client.communicate(timeout=60)[0].split("\n"), [""] * 17, "the others")


def prompts_of_a_user_are_limited():
    """64 calls of one user wait for polkit, however many connections he has; others' do too"""
    with Guarded() as world:
        path = world.create("x")
        world.polkitd.send_signal(signal.SIGSTOP)
        clients = [world.many(10, path, "Instance.Start", "(@a{sv} {},)") for _ in range(8)]
        other = world.many(1, path, "Instance.Start", "(@a{sv} {},)", user=OTHER)
        # The journal has ten of them: a user who is refused without end does not fill it.
        tap.eventually(lambda: world.journal().count("was denied") == 10, 30, "refusals at once")
        world.polkitd.send_signal(signal.SIGCONT)
        answers = [line for client in clients
                   for line in client.communicate(timeout=60)[0].split("\n")[:-1]]
        tap.equal(answers.count(f"{NAME}.Error.LimitExceeded"), 16, "calls above the limit")
        tap.equal(answers.count(""), 64, "the others")
        tap.check("NotAuthorized" in other.communicate(timeout=60)[0], "another user was asked for")
        client = world.many(1, path, "Instance.Stop", "(@a{sv} {},)")
        tap.equal(client.communicate(timeout=60)[0].strip(), "", "a call afterwards")


def streams_are_limited():
    """64 open logs of one sender, and as many again once it has gone"""
    with Guarded() as world:
        path = world.create("x")
        world.start_instance(path)
        def served():
            client = world.many(70, path, "Instance.OpenLog", "(@a{sv} {'follow': <true>},)",
                                user=0)
            found = client.communicate(timeout=60)[0].split("\n")[:-1]
            tap.equal(found.count("") + found.count(f"{NAME}.Error.LimitExceeded"), 70, "answers")
            return found.count("")
        tap.equal(served(), 64, "open streams")
        tap.eventually(lambda: served() == 64, 20, "the streams of one that is gone are free")


def command_line_says_it():
    """the CLI's exit code is 5, its JSON error names the error and how to get the right"""
    with Guarded() as world:
        world.create("x")
        done = world.cli("--json", "start", "x", user=OTHER, check=False)
        tap.equal(done.returncode, 5, done.stderr)
        error = json.loads(done.stderr)["error"]
        tap.check(error["name"].startswith(f"{NAME}.Error.NotAuthorized"), str(error))
        tap.check("katana" in error["message"], f"says what to do: {error['message']}")


if __name__ == "__main__":
    sys.exit(polkit.main(SOURCE, [
        stranger_is_refused, reading_is_free, properties_are_read_only, member_is_served,
        jobs_are_cancelled, root_is_served, without_polkitd, b146_who_has_the_right,
        b146_names_before_rights, b146_polkit_is_not_there, polkitd_dies, bus_restarts,
        errors_without_the_log, state_checked_again, b127_opened_by_an_administrator,
        b127_opened_from_the_next_start_on, b127_opened_while_polkit_is_asked,
        b125_guessed_arguments, b130_refusals_in_the_journal, prompts_are_limited,
        prompts_of_a_user_are_limited, streams_are_limited, command_line_says_it],
        600, {"10-operator.rules": OPERATOR_RULE}))
