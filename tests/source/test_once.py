#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What stands in one place of the sources, because two would come to differ."""
import re
import sys

import tap
from harness import SOURCE

# What, as C writes it; the module that has it.
ONCE = (
    # The kernel's command line is measured: who starts and who verifies ask the same function.
    (r'"[^"\n]*console=ttyS0', "service/tee/kernel-cmdline"),
    (r'"[^"\n]*KATANA_EXPECTED_LUKS_UUID', "service/tee/kernel-cmdline"),
    # Name services may block: asked once, when the service starts.
    (r"\bget(?:gr|pw)\w+\(", "service/doctor/check-context"),
    # A descriptor may take a part only, be interrupted, or not block.
    (r"^(?:static .*\n)?\w*write_all\(int ", "dbus-interfaces/write-all"),
)


def read_tree():
    """{file: its text}, of all C of the product."""
    return {str(path.relative_to(SOURCE)): path.read_text(encoding="utf-8")
            for top in ("service", "cli", "dbus-interfaces")
            for path in sorted((SOURCE / top).rglob("*.[ch]"))}


def places(tree, pattern):
    return sorted({path.rsplit(".", 1)[0] for path, text in tree.items()
                   if re.search(pattern, text, re.M)})


def test_once():
    """each stands where the table says, and nowhere else"""
    tree = read_tree()
    for pattern, module in ONCE:
        tap.equal(places(tree, pattern), [module], pattern)


def test_planted():
    """a second place is found"""
    for line in ('    return g_strdup("quiet console=ttyS0");', '#define LINE "console=ttyS0"'):
        tap.equal(places({"cli/verb.c": line + "\n"}, ONCE[0][0]), ["cli/verb"], line)


if __name__ == "__main__":
    sys.exit(tap.run())
