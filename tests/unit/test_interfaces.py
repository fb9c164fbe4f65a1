#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The bus contract: every member documented, every method with an action, no writable
property, every interface let through by the bus policy, every action known to polkit. Called
by meson with the interface files."""
import pathlib
import re
import sys
import xml.etree.ElementTree as tree

ACTIONS = {"free", "of-object", "create", "operate", "configure", "delete", "read-logs",
           "read-configuration", "console", "attest", "snapshot", "backup", "restore",
           "manage-images", "expose"}


ADDITIVE = ("This interface only grows: members, options, keys of dictionaries, states and other "
            "words may be added, but none is removed or changes its type or meaning.")
SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUS_POLICY = (SOURCE / "data/org.katana.Hypervisor.conf").read_text()
ACTION_FILE = (SOURCE / "polkit/org.katana.Hypervisor.policy").read_text()


def faults(path):
    text = open(path, encoding="utf-8").read()
    documented = dict(re.findall(r"<!--\s*([\w.]+):(.*?)-->", text, re.S))
    for interface in tree.fromstring(text).iter("interface"):
        if f'send_interface="{interface.get("name")}"' not in BUS_POLICY:
            yield f"{interface.get('name')} cannot be called by the bus policy"
        head = documented.get(interface.get("name"), "")
        if ADDITIVE not in " ".join(head.split()):
            yield f"{interface.get('name')} does not promise that it only grows"
        if any(arg.get("name") == "job" for arg in interface.iter("arg")) and "25 s" not in head:
            yield f"{interface.get('name')} does not warn of time-outs"
        members = [interface] + [m for m in interface if m.tag != "annotation"]
        for member in members:
            name = member.get("name")
            if "@since:" not in documented.get(name, ""):
                yield f"{name} is not documented with a @since"
            for arg in member.findall("arg") if member.tag == "method" else []:
                if f"@{arg.get('name')}:" not in documented.get(name, ""):
                    yield f"argument {arg.get('name')} of {name} is not documented"
            if member.tag == "property" and member.get("access") != "read":
                yield f"property {name} is writable"
            notes = {a.get("name"): a.get("value") for a in member.findall("annotation")}
            action = notes.get("org.katana.Hypervisor.Action")
            if member.tag == "method" and action not in ACTIONS:
                yield f"method {name} has the action {action}"
            if action not in (None, "free", "of-object") and f'Hypervisor.{action}"' not in ACTION_FILE:
                yield f"polkit does not know the action {action} of {name}"


def main():
    paths = sys.argv[1:]
    failed = False
    print(f"1..{len(paths)}")
    for number, path in enumerate(paths, 1):
        found = list(faults(path))
        for fault in found:
            print(f"# {fault}")
        failed |= bool(found)
        print(f"{'not ok' if found else 'ok'} {number} - {path.rsplit('/', 1)[-1]}")
    sys.exit(failed)


main()
