#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the service's table of methods (service/auth/methods.h) from the interface XML.

Called by meson: method-actions.py OUTPUT XML... Fails when a method has no action, so
that a method without one cannot be exported.
"""
import sys
import xml.etree.ElementTree as tree

ACTION = "org.katana.Hypervisor.Action"
EXPOSE = "org.katana.Hypervisor.ExposeArgument"


def rows(path):
    for interface in tree.parse(path).getroot().iter("interface"):
        for method in interface.iter("method"):
            notes = {a.get("name"): a.get("value") for a in method.findall("annotation")}
            if ACTION not in notes:
                sys.exit(f"{path}: method {method.get('name')} has no {ACTION}")
            takes = any("h" in a.get("type") and a.get("direction", "in") == "in"
                        for a in method.findall("arg"))
            yield (interface.get("name"), method.get("name"), notes[ACTION],
                   notes.get(EXPOSE, "-1"), "TRUE" if takes else "FALSE")


def main():
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write("/* Generated from dbus-interfaces by method-actions.py; do not edit. */\n")
        for path in sys.argv[2:]:
            for interface, method, action, expose, takes in rows(path):
                out.write(f'{{ "{interface}", "{method}", "{action}", {expose}, {takes} }},\n')


main()
