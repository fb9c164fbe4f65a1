#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Power cuts. The state lies on an ext4 image; at random moments, while instances are created,
changed, started and deleted, the service is frozen and what has come to the disk is copied.
Each copy is what a host finds after a power cut: a service is started on it under another boot
id, with nothing left in /run, and must show what had been answered, and nothing else.

KH_CUTS says how many cuts, KH_SEED repeats a run's choices as far as time allows.
"""
import copy
import dataclasses
import os
import random
import shutil
import signal
import sys
import threading
import time

import disk
import invariants
import namespace
import tap
from bus import Bus
from harness import Failed
from live import wait_state

CUTS = int(os.environ.get("KH_CUTS") or (70 if os.environ.get("KH_LONG") else 10))
SEED = int(os.environ.get("KH_SEED") or int.from_bytes(os.urandom(4), "big"))
BOOT_ID = "/proc/sys/kernel/random/boot_id"
WORKERS = 4
# So many may keep their data before the first cut.
KEEPS = 4
# Outside the default: no other world is given what this one has while its host is down.
UIDS = 1880000000
# So many changes that the database's log is written from its start again: from then on it does
# not grow, and the file system has no reason to write more than was asked for.
WARM_UP = 400


class PowerWorld(disk.DiskWorld):
    """A host that can lose its power: its service sees a boot id of the test's own."""

    def __init__(self, *options):
        self.namespace = namespace.enter("/proc")
        super().__init__(*options, megabytes=256)
        first = UIDS + self.ports[0]
        self.options += ["--vm-uid-range", f"{first}-{first + len(self.ports) - 1}"]
        self.boots = 0
        self.new_boot()

    def new_boot(self):
        self.boots += 1
        (self.folder / "boot_id").write_text(
            f"00000000-0000-4000-8000-{self.boots:012}\n", encoding="ascii")

    def service_command(self, *more, **options):
        script = f'mount --bind "$0" {BOOT_ID} && exec "$@"'
        return [*self.namespace, "sh", "-c", script, str(self.folder / "boot_id"),
                *super().service_command(*more, **options)]

    def lose_power(self):
        """Everything ends that is no disk. The bus stays, empty."""
        self.kill_all(spare=self.bus)
        tap.eventually(lambda: not self.processes(), 20, "all have ended")
        self.service = None
        disk.unmount(self.place)
        self.drop_uid_locks()
        shutil.rmtree(self.runtime)
        self.runtime.mkdir()

    def boot_from(self, image):
        self.new_boot()
        disk.mount(image, self.place)
        self.start()


@dataclasses.dataclass
class Entry:
    """What the client knows of one instance. What is asked for may be or not be; what has been
    answered is."""
    name: str
    label: str
    asked: str = ""
    delete: str = ""
    keep: bool = False
    has_data: bool = False

    def labels(self):
        return [{"is": one} for one in (self.label, self.asked) if one]


class Ledger:
    """What has been asked for, and what has been answered."""

    def __init__(self):
        self.entries, self.creating, self.keeps = {}, set(), KEEPS
        self.lock = threading.Lock()
        self.answered = threading.Event()

    def note(self, entry, **what):
        with self.lock:
            for name, value in what.items():
                setattr(entry, name, value)
        self.answered.set()

    def may_keep(self):
        """Now and then: each takes room on the disk until the end."""
        with self.lock:
            self.keeps -= 1
            return self.keeps >= 0

    def copy(self):
        """What holds for a cut; after it one more may keep its data."""
        with self.lock:
            self.keeps = max(self.keeps, 1)
            return copy.deepcopy(self.entries), set(self.creating)


class Worker(threading.Thread):
    """One client, with instances of its own."""

    def __init__(self, bus, ledger, number):
        super().__init__(daemon=True)
        self.bus, self.ledger, self.number = bus, ledger, number
        self.random = random.Random(SEED + number)
        self.ends, self.error, self.count, self.mine = False, None, 0, []

    def run(self):
        try:
            while not self.ends:
                self.step()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def step(self):
        if not self.mine or len(self.mine) < 4 and self.random.random() < 0.5:
            self.create()
            return
        path, entry = self.random.choice(self.mine)
        self.random.choices((self.configure, self.start_or_stop, self.delete),
                            (4, 2, 4))[0](path, entry)

    def create(self):
        self.count += 1
        name = f"w{self.number}-{self.count}"
        with self.ledger.lock:
            self.ledger.creating.add(name)
        path = self.bus.create(name, labels={"is": name}, storage_bytes=50 << 20)
        entry = Entry(name, name)
        with self.ledger.lock:
            self.ledger.entries[path] = entry
        self.ledger.answered.set()
        self.mine.append((path, entry))

    def configure(self, path, entry):
        self.count += 1
        self.ledger.note(entry, asked=f"{entry.name}-{self.count}")
        self.bus.configure(path, labels={"is": entry.asked})
        self.ledger.note(entry, label=entry.asked, asked="")

    def start_or_stop(self, path, entry):
        if self.bus.state(path) == "running":
            self.bus.do(path, "Stop")
        else:
            self.bus.do(path, "Start")
            entry.has_data = True

    def delete(self, path, entry):
        self.mine.remove((path, entry))
        keep = entry.has_data and self.ledger.may_keep()
        self.ledger.note(entry, delete="asked", keep=keep)
        self.bus.do(path, "Delete", force=True, keep_data=keep)
        self.ledger.note(entry, delete="answered")


def warm_up(bus):
    path = bus.create("warm", storage_bytes=50 << 20)
    for number in range(WARM_UP):
        bus.configure(path, labels={"is": str(number % 10)})
    bus.do(path, "Delete")


class Cuts:
    """The time of the load, and the copies that are taken in it."""

    def __init__(self, world, bus):
        self.world, self.ledger = world, Ledger()
        self.random = random.Random(SEED)
        self.device = disk.device_of(world.place)
        self.workers = [Worker(bus, self.ledger, number) for number in range(WORKERS)]
        self.taken = []

    def wait(self):
        """For a random moment, or for the one after an answer."""
        time.sleep(self.random.uniform(0.05, 0.6))
        if self.random.random() < 0.6:
            self.ledger.answered.clear()
            self.ledger.answered.wait(5)

    def cut(self):
        image = self.world.folder / f"cut-{len(self.taken)}.img"
        self.world.service.send_signal(signal.SIGSTOP)
        try:
            disk.snapshot(self.world.image, self.device, image)
            # What had been answered until then is known by now.
            time.sleep(0.02)
            self.taken.append((image, *self.ledger.copy()))
        finally:
            self.world.service.send_signal(signal.SIGCONT)

    def take(self):
        for worker in self.workers:
            worker.start()
        for _ in range(CUTS):
            self.wait()
            self.cut()
        for worker in self.workers:
            worker.ends = True
        for worker in self.workers:
            worker.join(90)
            tap.check(worker.error is None, f"a call while there was power: {worker.error!r}")


class Boot:
    """What is found on the disk of one cut."""

    def __init__(self, world, bus, entries, creating):
        self.world, self.bus = world, bus
        self.entries, self.creating = entries, creating
        self.found = []
        tap.eventually(self.is_at_rest, 30, "what was begun before the cut has come to an end")

    def is_at_rest(self):
        self.shown = self.bus.list("Id", "Name", "Labels", "State")
        return all(one["State"] in invariants.AT_REST for one in self.shown.values())

    def expect(self, condition, text):
        """What is wrong is gathered, to be told in whole."""
        if not condition:
            self.found.append(text)

    def folders(self):
        return set(os.listdir(self.world.state / "instances"))

    def id_of(self, path):
        return path.rpartition("/")[2].replace("_", "-")

    def check_instances(self):
        for path, entry in self.entries.items():
            one = self.shown.get(path)
            if entry.delete == "answered":
                self.expect(one is None, f"{entry.name} was deleted and is shown")
            elif one is None:
                self.expect(entry.delete, f"{entry.name} was created and is not shown")
            else:
                self.expect(one["Name"] == entry.name and one["Labels"] in entry.labels(),
                            f"{entry.name} shows {one}, of {entry.labels()}")
        others = {one["Name"] for path, one in self.shown.items() if path not in self.entries}
        self.expect(others <= self.creating, f"nobody created {others - self.creating}")

    def kept(self):
        """{folder: whether its data must be there} of what delete --keep-data left."""
        return {identity: entry.delete == "answered" for path, entry in self.entries.items()
                if (identity := self.id_of(path)) and entry.keep and path not in self.shown}

    def check_folders(self):
        rows, kept = {one["Id"] for one in self.shown.values()}, self.kept()
        for path, entry in self.entries.items():
            if entry.delete == "answered" and not entry.keep:
                self.expect(self.id_of(path) not in self.folders(),
                            f"the folder of {entry.name} is back, which was deleted")
        for name in sorted(self.folders() - rows - set(kept)):
            # One that is marked as deleted is named by its id, while it is being removed.
            self.expect(name.removesuffix(".deleted") in self.world.journal(),
                        f"nobody names the folder {name}")
        for name, must in kept.items():
            folder = self.world.state / "instances" / name
            files = set(os.listdir(folder)) if folder.exists() else set()
            self.expect(files == {"data.raw"} if must else files in (set(), {"data.raw"}),
                        f"of kept data there is {files} in {name}")

    def check_uids(self):
        owners = [(self.world.state / "instances" / name).stat().st_uid
                  for name in self.folders()]
        given = [uid for uid in owners if uid != 0]
        self.expect(len(given) == len(set(given)), f"uids of folders: {sorted(given)}")
        rows = invariants.rows(self.world, "SELECT uid FROM uids WHERE instance_id IS NOT NULL")
        self.expect(len(rows) == len(self.shown), f"{len(rows)} uids, {len(self.shown)} instances")
        new = self.bus.properties(self.bus.create("new", storage_bytes=50 << 20))
        owner = os.stat(new["DataDirectory"]).st_uid
        self.expect(owner not in given, f"uid {owner} was given out again")

    def live(self, path):
        try:
            self.bus.do(path, "Start")
            self.bus.do(path, "Stop")
            wait_state(self.bus, path, "stopped", StopResult="graceful")
            self.bus.do(path, "Delete")
        except (Failed, AssertionError) as error:
            self.found.append(f"{path}: {error}")

    def check(self):
        self.check_instances()
        self.check_folders()
        self.check_uids()
        for call in [self.bus.begin(self.live, path) for path in self.bus.list()]:
            call.result(180)
        left = self.folders() - set(self.kept())
        self.expect(not left or all(name in self.world.journal() for name in left),
                    f"folders that are left: {left}")
        self.expect(self.bus.list() == {}, "instances that are left")
        return self.found


def describe(entries, creating):
    deleted = sum(entry.delete == "answered" for entry in entries.values())
    return f"{len(entries)} created, {deleted} of them deleted, {len(creating)} asked for"


def b88_power_cuts():
    """what was answered before the power went is there after it, what was deleted is not"""
    tap.note(f"KH_SEED={SEED} KH_CUTS={CUTS}")
    with PowerWorld("--stop-timeout", "10") as world:
        world.start()
        bus = Bus(world)
        warm_up(bus)
        cuts = Cuts(world, bus)
        cuts.take()
        wrong = 0
        for number, (image, *known) in enumerate(cuts.taken):
            world.lose_power()
            world.boot_from(image)
            found = Boot(world, bus, *known).check()
            wrong += bool(found)
            tap.note(f"cut {number}, {describe(*known)}" + "".join(f"\n  {one}" for one in found))
            image.unlink()
        tap.equal(wrong, 0, f"of {CUTS} cuts those after which something was wrong")
        bus.close()


if __name__ == "__main__":
    sys.exit(tap.run([b88_power_cuts]))
