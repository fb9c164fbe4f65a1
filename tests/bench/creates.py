# SPDX-License-Identifier: MIT
"""Figures of calls that one instance concerns, with 10,000 of them beside with 10, for
tests/bench/run: what a create, a validation and a change of a label cost, and for how long the
service answers nobody meanwhile."""
import contextlib
import itertools
import time

import many
from bus import Bus, GLib, variants
from harness import MANAGER

AT_ONCE = 20
# There is room for what is created at 10,000.
FEW, MANY = 10, 10000 - AT_ONCE
# Those of the rows are the first, without a gap.
PORTS = f"{many.FIRST_PORT}-65535"
GIVEN = 65000
FIND = GLib.Variant("(s)", ("n0",))


class Service:
    """With so many instances at every call that is measured, and one that is changed."""

    def __init__(self, world, count):
        many.start(world, count)
        self.bus, self.other = Bus(world), Bus(world)
        self.changed = next(iter(self.bus.list("Name")))
        self.numbers = itertools.count()

    def create(self, port):
        """Deleted again; the seconds of the create alone."""
        took, path = seconds(self.bus.create, f"new{next(self.numbers)}", rpc_port=port)
        self.bus.do(path, "Delete")
        return took

    def validate(self):
        config = GLib.Variant("(sa{sv})", ("new", variants({"rpc_port": 0})))
        return seconds(self.bus.call, MANAGER, "Manager.ValidateConfig", config)[0]

    def label(self):
        return seconds(self.bus.configure, self.changed, labels={"n": str(next(self.numbers))})[0]

    def stall(self):
        """The longest that another client waits while so many are created at once."""
        created = [self.bus.begin(self.bus.create, f"new{next(self.numbers)}")
                   for _ in range(AT_ONCE)]
        waits = []
        while not all(one.done() for one in created):
            waits.append(seconds(self.other.call, MANAGER, "Manager.FindInstance", FIND)[0])
        for one in created:
            self.bus.do(one.result(), "Delete")
        return max(waits)

    def close(self):
        self.other.close()
        self.bus.close()


def seconds(action, *arguments, **options):
    since = time.monotonic()
    result = action(*arguments, **options)
    return time.monotonic() - since, result


def measures(service):
    return {"create": lambda: service.create(0), "create-port": lambda: service.create(GIVEN),
            "validate": service.validate, "label": service.label, "stall": service.stall}


def bench(pairs):
    """Pairs of series (many, few) by name, alternating."""
    with contextlib.ExitStack() as stack:
        def service(count):
            world = stack.enter_context(many.many(count, "--port-range", PORTS))
            return stack.enter_context(contextlib.closing(Service(world, count)))
        actions = [measures(one) for one in (service(MANY), service(FEW))]
        return {name: alternate([one[name] for one in actions], pairs) for name in actions[0]}


def alternate(actions, pairs):
    found = tuple([] for _ in actions)
    for number in range(pairs + 1):
        for series, action in zip(found, actions):
            took = action()
            # The first one makes what is kept.
            if number > 0:
                series.append(took)
    return found
