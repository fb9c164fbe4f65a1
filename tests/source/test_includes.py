#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Which folder includes which: each its own and those below it, and no circles. The tables here
are the order of the tree; a folder or an edge that is new is written into them.
"""
import os
import re
import sys

import tap
from harness import SOURCE

# From the lowest to the highest. A folder includes its own files and those of lower floors.
FLOORS = (
    # Names, errors, keys, sizes: what the service, the command line and every client share.
    "dbus-interfaces",
    # The files that stand in service/ itself: journal, descriptors, crash points, guards.
    "service",
    # Reports, certificates, measurements: knows nothing of a service.
    "service/tee",
    # Plain data and what it means: configuration, record, states, operations. No I/O.
    "service/model",
    "service/settings",
    # An operation under way, of whatever it may be.
    "service/job",
    # The database and the folders of the instances.
    "service/state",
    # What the machines print.
    "service/log",
    # Who has which port of the host.
    "service/port",
    # How a machine's processes are started, found again and let go.
    "service/launch",
    # The program of the shim.
    "service/launch/shim",
    # Who has which uid of the host.
    "service/uid",
    # Boot components by their content.
    "service/image",
    # QEMU's arguments and its monitor.
    "service/qemu",
    # The checks of the host, for the service and for a command line that finds none.
    "service/doctor",
    # What is asked of a guest: its control channel, its RPC, its evidence.
    "service/guest",
    # What makes an instance confidential on this host.
    "service/confidential",
    # One run of a machine, from its preparation to its end.
    "service/machine",
    # An instance: what is allowed, begun and concluded.
    "service/instance",
    # All of them.
    "service/manager",
    # The gate before every call.
    "service/auth",
    # The objects on the bus.
    "service/bus",
    # The service as a whole.
    "daemon",
)

# Files of service/ that are not its ground.
FILES_APART = {"service/daemon": "daemon", "service/main": "daemon",
               "service/find-facts": "daemon",
               "service/settings": "service/settings"}

# The command line is a client like any other, and verifies and checks by itself.
CLI = ("cli", "dbus-interfaces", "service/tee", "service/doctor")

# Where the compiler looks for an include, after the folder of the file.
ROOTS = ("service", "dbus-interfaces", "service/tee")
# What the build makes: of no folder, or of the contract.
GENERATED = ("build-config.h", "dbus-generated.h", "method-actions.inc")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.M)


def read_tree():
    """{file: its text}, of all C of the product."""
    return {str(path.relative_to(SOURCE)): path.read_text(encoding="utf-8")
            for top in ("service", "cli", "dbus-interfaces")
            for path in sorted((SOURCE / top).rglob("*.[ch]"))}


def module_of(path):
    """Source, header and private header are one."""
    return path.rsplit(".", 1)[0].removesuffix("-private")


def floor_of(path):
    return FILES_APART.get(module_of(path), os.path.dirname(path))


def may_include(floor, other):
    if floor == "cli":
        return other in CLI
    return other != "cli" and FLOORS.index(other) <= FLOORS.index(floor)


def includes_of(tree):
    """(file, the file that it includes; the bare word where there is none) of all of them. In
    angle brackets that is a file of ours where the compiler would find one."""
    for path, text in tree.items():
        for mark, word in INCLUDE.findall(text):
            folders = ROOTS if mark == "<" else (os.path.dirname(path), *ROOTS)
            places = [os.path.normpath(f"{folder}/{word}") for folder in folders]
            found = next((place for place in places if place in tree), None)
            if word not in GENERATED and (found or mark == '"'):
                yield path, found or word


def misplaced(tree):
    """What is in no folder of the tables, and what includes something that is not there."""
    known = (*FLOORS, "cli")
    return [f"{path} is in a folder that the tables do not have" for path in tree
            if floor_of(path) not in known] + \
        [f"{path} includes {other}, which was not found" for path, other in includes_of(tree)
         if other not in tree]


def climbing(tree):
    """Each include that the tables do not allow."""
    return [f"{path} includes {other}: {floor_of(path)} may not include {floor_of(other)}"
            for path, other in includes_of(tree)
            if not may_include(floor_of(path), floor_of(other))]


def reached(edges, start):
    """The modules that this one includes, at once or by others."""
    found, ways = set(), [start]
    while ways:
        for other in edges.get(ways.pop(), set()) - found:
            found.add(other)
            ways.append(other)
    return found


def circles(tree):
    """Each include of a module that includes this one, at once or by others."""
    edges = {}
    for path, other in includes_of(tree):
        if module_of(path) != module_of(other):
            edges.setdefault(module_of(path), set()).add(module_of(other))
    return [f"{one} includes {other}, which includes it" for one, others in sorted(edges.items())
            for other in sorted(others) if one in reached(edges, other)]


def faults(tree):
    return misplaced(tree) or climbing(tree) + circles(tree)


def test_tree():
    """no folder of the tree includes upward, and no two files include each other"""
    tree = read_tree()
    tap.check(len(tree) > 300, f"only {len(tree)} files were found")
    found = faults(tree)
    tap.note("\n".join(found))
    tap.check(not found, f"{len(found)} includes that may not be, see above")


def planted(files):
    """The faults of a small tree like ours into which these files, {path: text}, are put."""
    tree = {"dbus-interfaces/error.h": "", "service/journal.h": '#include "error.h"\n',
            "service/journal.c": '#include "journal.h"\n#include <stdio.h>\n',
            "service/settings.h": '#include "journal.h"\n', "service/tee/bytes.h": "", "service/daemon.h": "",
            "service/uid/pool.h": '#include "journal.h"\n#include "build-config.h"\n',
            "service/instance/part.c": '#include "all-private.h"\n',
            "service/instance/all-private.h": '#include "all.h"\n',
            "service/instance/all.h": '#include "uid/pool.h"\n',
            "service/instance/all.c": '#include "all-private.h"\n#include "uid/pool.h"\n',
            "cli/main.c": '#include "error.h"\n#include "bytes.h"\n'}
    tap.equal(faults(tree), [], "before")
    return "\n".join(faults({**tree, **files}))


def refused(text, *words):
    tap.check(all(word in text for word in words), f"not refused: {text!r}")


def test_planted_climb():
    """an include of a higher floor is found, of the service's top and by any path, too"""
    for path, word, floor in (("service/uid/pool.c", "instance/all.h", "service/instance"),
                              ("service/uid/pool.c", "../instance/all.h", "service/instance"),
                              ("service/journal.c", "uid/pool.h", "service/uid"),
                              ("service/journal.c", "settings.h", "service/settings"),
                              ("service/instance/part.c", "daemon.h", "daemon"),
                              ("dbus-interfaces/error.c", "journal.h", "service")):
        refused(planted({path: f'  # include "{word}"\n'}),
                f"{path} includes", f"may not include {floor}")
    refused(planted({"service/uid/pool.c": "#include <instance/all.h>\n"}),
            "may not include service/instance")


def test_planted_aside():
    """so is an include of the service by what stands beside it"""
    for path, word, floor in (("service/tee/bytes.c", "uid/pool.h", "service/uid"),
                              ("cli/list.c", "uid/pool.h", "service/uid"),
                              ("cli/list.c", "journal.h", "service")):
        refused(planted({path: f'#include "{word}"\n'}), f"may not include {floor}")


def test_planted_circle():
    """files that include each other are found, also by a third one, but not a private header"""
    one = {"service/uid/a.c": '#include "b.h"\n', "service/uid/b.h": "",
           "service/uid/b.c": '#include "a.h"\n', "service/uid/a.h": ""}
    refused(planted(one), "uid/a includes service/uid/b", "uid/b includes service/uid/a")
    by_third = {"service/uid/a.h": '#include "b.h"\n', "service/uid/b.h": '#include "c.h"\n',
                "service/uid/c.h": "", "service/uid/c.c": '#include "a.h"\n',
                "service/uid/d.c": '#include "a.h"\n'}
    found = planted(by_third)
    refused(found, "uid/a includes", "uid/b includes", "uid/c includes")
    tap.check("uid/d" not in found, found)


def test_planted_unknown():
    """a folder that is in no table, and an include that is nowhere, are found"""
    refused(planted({"service/new/a.c": ""}), "service/new/a.c is in a folder")
    refused(planted({"service/uid/a.c": '#include "gone.h"\n'}), "gone.h, which was not")


if __name__ == "__main__":
    sys.exit(tap.run())
