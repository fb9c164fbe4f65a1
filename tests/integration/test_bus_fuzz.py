#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The bus under attack: random valid and invalid calls of every interface, by root, by a member
of the group katana and by a stranger at once (lib/fuzz_client.py), on a service that runs under
AddressSanitizer and UndefinedBehaviorSanitizer (lib/sanitized.py builds it) with a real polkitd,
while service, shims and QEMUs are killed. QEMU is the fake one. A finding is: a report of a
sanitizer, a service that ends by itself, a warning that is not foreseen, a call that is served
without the right or has no answer, what a stranger has changed, and what is not in order in the
end (lib/invariants.py), a leak included.

KH_SEED repeats a run's choices, as far as time allows; KH_SECONDS sets how long it takes.
"""
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import invariants
import polkit
import sanitized
import tap
from amdsev import firmware
from bus import Bus
from harness import MANAGER, SOURCE, Failed, World, command_of
from live import pid_of, wait_state
from test_polkit import Guarded

SECONDS = int(os.environ.get("KH_SECONDS") or (600 if os.environ.get("KH_LONG") else 60))
SEED = int(os.environ.get("KH_SEED") or int.from_bytes(os.urandom(4), "big"))
ROLES = ("root", "member", "other")
# At its end the service runs on without being killed, so that it can be asked what has leaked.
QUIET = 0.25
LOOK_S = 3
LOST = "Timeout was reached"
# What root may be told: by the bus, whose queue for the service others have filled; and while it
# has not seen yet that the last service is dead.
AWAY = ("DBus.Error.LimitsExceeded", "NoReply", "ServiceUnknown", "NameHasNoOwner")
CALM_S = 120
# What the service is to warn of in such a life.
FORESEEN = (
    r"KVM is not used",
    r"insecure-simulate-tee is set",
    r"launcher is direct",
    r"did not start with the service",
    r"was not stopped with the service",
)
WARNING = re.compile(r"^(?:\*\* )?\([^)]*\): (?:([\w-]+)-)?(WARNING|CRITICAL|ERROR) \*\*: "
                     r"(?:[\d:.]+: )?(.*)$", re.M)


class Besieged(Guarded):
    """A sanitized service on a system bus where polkitd answers, and its users."""

    def __init__(self, *options):
        World.__init__(self, *options, session=False, build=sanitized.build())
        self.reports = sanitized.Reports(self)
        self.clients = {}
        self.start_polkitd()

    def start(self, *more, leaks=False, **options):
        return super().start(*more, env=self.reports.environment(leaks), **options)

    def begin_clients(self, seed):
        for name in ("fuzz_client.py", "fuzz_values.py"):
            shutil.copy(SOURCE / "tests/lib" / name, self.tools)
            (self.tools / name).chmod(0o644)
        contract = self.tools / "interfaces"
        shutil.copytree(SOURCE / "dbus-interfaces", contract)
        contract.chmod(0o755)
        files = sorted(map(str, contract.glob("*.xml")))
        for file in files:
            os.chmod(file, 0o644)
        for role in ROLES:
            self.clients[role] = self.spawn(
                ["/usr/bin/python3", str(self.tools / "fuzz_client.py"), role, str(seed),
                 f"{self.ports[0]}-{self.ports[-1]}", *files], user=polkit.USERS[role],
                stdout=open(self.said_file(role), "wb"), stderr=subprocess.STDOUT)

    def said_file(self, role):
        return self.folder / f"said-by-{role}"

    def slow_clients(self):
        """Fewer calls at once, for a service that notes who asks for memory."""
        for client in self.clients.values():
            client.send_signal(signal.SIGUSR1)

    def end_clients(self):
        for client in self.clients.values():
            client.send_signal(signal.SIGTERM)

    def check_clients(self):
        """They have ended well, and have found nothing."""
        for role, client in self.clients.items():
            code = client.wait(CALM_S)
            said = self.said_file(role).read_text(errors="replace")
            tap.note(f"{role}: {said.splitlines()[-1] if said else ''}")
            tap.check(code == 0, f"{role} has found:\n{said[-8000:]}")

    def check_reports(self):
        """No sanitizer has said a word."""
        said = self.reports.texts()
        tap.check(not said, "a sanitizer says:\n" + "\n".join(said)[:20000])

    def end_well(self, number):
        """Ends the service as the signal does, and not in another way."""
        self.check_unharmed()
        code = self.end_service(number, 60)
        self.check_reports()
        tap.equal(code, 0 if number == signal.SIGTERM else -number,
                  "exit code: " + self.journal()[-8000:])

    def check_unharmed(self):
        """The service lives, and its callers do."""
        self.check_reports()
        tap.check(self.polkitd.poll() is None, f"polkitd has ended: {self.polkitd.poll()}")
        tap.check(self.service.poll() is None, "the service ended:\n" + self.journal()[-8000:])
        for role, client in self.clients.items():
            tap.check(client.poll() in (None, 0), f"{role} has ended: " +
                      self.said_file(role).read_text(errors="replace")[-8000:])

    def expect(self, error, *foreseen):
        """Fails for an error that is none of those: with what has ended the service, rather."""
        self.check_unharmed()
        if not any(word in str(error) for word in foreseen):
            raise error

    def check_journal(self):
        found = {f"{domain or 'service'} {text}" for domain, _, text in
                 WARNING.findall(self.journal())
                 if domain or not any(re.search(known, text) for known in FORESEEN)}
        tap.equal(sorted(found)[:20], [], "warnings")


class Siege:
    """What happens to the service besides its callers."""

    def __init__(self, world):
        self.world, self.bus = world, Bus(world)
        self.dice = random.Random(SEED)
        self.counts = {}

    def note(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def restart(self, number, leaks=False):
        """By the signal; machines live on, unless they are to end with the service."""
        self.world.end_well(number)
        stop_all = ("--on-service-stop", "stop-all") if self.dice.random() < 0.2 else ()
        self.world.start(*stop_all, leaks=leaks)

    def kill_machine(self):
        victim = self.dice.choice(("fake-qemu ", "shim "))
        found = sorted(pid for pid in self.world.processes() if victim in command_of(pid))
        if found:
            self.note("killed " + victim.strip())
            try:
                os.kill(self.dice.choice(found), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def renew_components(self):
        """Who creates or changes an instance gets other ones from now on."""
        new = self.world.components / "new"
        new.write_bytes(b"kernel %d " % self.dice.randrange(3) * 100)
        new.rename(self.world.components / "vmlinuz")

    def act(self, quiet):
        kind = self.dice.choices(("machine", "components", "SIGKILL", "SIGTERM"), (10, 2, 2, 1))[0]
        self.note(kind)
        if kind == "machine":
            self.kill_machine()
        elif kind == "components":
            self.renew_components()
        elif not quiet:
            self.restart(getattr(signal, kind))

    def instances(self, *properties):
        """What there is, for root, whose call may be lost on a busy bus: that is told."""
        def ask():
            try:
                return [self.bus.list(*properties)]
            except Failed as error:
                self.world.expect(error, LOST, *AWAY)
                if LOST in str(error):
                    tap.note("a call of root's had no answer within 90 s")
                return None
        return tap.eventually(ask, CALM_S, "root is served")[0]

    def look(self):
        """Root is served, and nothing is a stranger's."""
        for one in self.instances("Name", "OwnerUid", "Labels").values():
            tap.check(one["OwnerUid"] in (0, polkit.USERS["member"]) and
                      not one["Name"].startswith("other") and "stranger" not in one["Labels"],
                      f"a stranger has changed something: {one}")

    def go_on(self, seconds, quiet):
        deadline, looked = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            time.sleep(self.dice.uniform(0.1, 1.5))
            self.world.check_unharmed()
            self.act(quiet)
            if time.monotonic() > looked + LOOK_S:
                self.look()
                looked = time.monotonic()

    def calm(self):
        """No machine lives on, whatever its clients may wait for; then none of them waits."""
        self.world.end_clients()
        deadline = time.monotonic() + CALM_S
        while time.monotonic() < deadline:
            done = all(client.poll() is not None for client in self.world.clients.values())
            for path in self.instances("State"):
                self.delete(path)
            if done and not self.instances("State"):
                return
            time.sleep(0.2)

    def drop_kept(self):
        """What "delete --keep-data" has left is an administrator's to remove."""
        for folder in self.bus.properties(MANAGER, "Manager")["KeptFolders"]:
            tap.check(os.listdir(folder) in ([], ["data.raw"]), f"{folder}: {os.listdir(folder)}")
            shutil.rmtree(folder)

    def delete(self, path):
        try:
            self.bus.do(path, "Delete", force=True)
        except Failed as error:
            if error.name not in ("Busy", "NotFound"):
                self.world.expect(error, *AWAY, "UnknownMethod", "UnknownObject")


def b120_set_behind_a_start():
    """a set that meets a start frees nothing that the start reads, says the sanitizer"""
    with World(build=sanitized.build()) as world:
        reports = sanitized.Reports(world)
        world.start(env=reports.environment())
        bus = Bus(world)
        for name in ("x", "y", "z"):
            path = bus.create(name, accelerator="tcg")
            bus.do(path, "Start", no_wait=True)
            bus.configure(path, labels={"set": "behind"})
            wait_state(bus, path, "running", 30)
            tap.check("accel" in command_of(pid_of(bus, path)), "QEMU's arguments")
        bus.close()
        tap.equal(reports.texts(), [], "the sanitizer's words")


def b120_bus_fuzz():
    """random calls of three users meet kills of service and machines, and nothing is found"""
    tap.note(f"KH_SEED={SEED} KH_SECONDS={SECONDS}")
    with Besieged("--insecure-simulate-tee=true", "--stop-timeout", "1", "--start-timeout",
                  "5") as world:
        (world.components / "ovmf.fd").write_bytes(firmware())
        world.start()
        siege = Siege(world)
        world.begin_clients(SEED)
        try:
            siege.go_on(SECONDS * (1 - QUIET), quiet=False)
            world.slow_clients()
            siege.restart(signal.SIGTERM, leaks=True)
            siege.go_on(SECONDS * QUIET, quiet=True)
            siege.calm()
            world.check_clients()
            siege.look()
            siege.drop_kept()
            tap.equal(invariants.settle(world, siege.bus, 60), [], "what is left")
            world.end_well(signal.SIGTERM)
            world.check_journal()
        finally:
            tap.note(f"KH_SEED={SEED}: " +
                     ", ".join(f"{name} {count}" for name, count in sorted(siege.counts.items())) +
                     f", machines {world.journal().count(': running')}")
        siege.bus.close()


if __name__ == "__main__":
    sys.exit(polkit.main(SOURCE, [b120_set_behind_a_start, b120_bus_fuzz], SECONDS + 1500))
