#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a shell person meets: names and texts in every locale, output that cannot be written or
is read no more, words that are misspelt. The service is real, QEMU is the fake one."""
import json
import os
import sys

import tap
from harness import World


def b145_relative_variables():
    """kind: a file by where one stands. Relative XDG variables are ignored, all alike"""
    with World() as world:
        home = world.folder / "home"
        (home / ".config").mkdir(parents=True)
        (home / ".config" / "katana-hypervisor.conf").write_text("[hypervisor]\nlog-files=2\n")
        for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
            (world.folder / "here" / name).mkdir(parents=True)
            world.env[name] = name
        (world.folder / "here" / "XDG_CONFIG_HOME" / "katana-hypervisor.conf").write_text(
            "[hypervisor]\nlog-files=bad\n")
        world.env["HOME"] = str(home)
        world.state = home / ".local/share/hypervisor"
        before = os.getcwd()
        os.chdir(world.folder / "here")
        try:
            world.start()
        finally:
            os.chdir(before)
        status = json.loads(world.cli("--json", "status").stdout)
        tap.equal(status["state_directory"], str(world.state), "state")
        world.cli("create", "x", "--auto-start")
        tap.check((world.state / "run").is_dir(), "sockets")
        tap.equal([list(one.iterdir()) for one in (world.folder / "here").iterdir()
                   if one.name != "XDG_CONFIG_HOME"], [[], [], []], "files below relative ones")


def b145_byte_order_mark():
    """kind: what an editor adds. A mark before the first of Katana's arguments is none of it"""
    with World() as world:
        world.start()
        file = world.folder / "arguments"
        for text, wanted in (("\ufeff--one\r\n--two\n", ["--one", "--two"]),
                             ("\ufeff", []), ("\ufeff\n--o\ufeffe\n", ["--o\ufeffe"])):
            file.write_text(text, encoding="utf-8")
            world.cli("create", "x", "--katana-args-file", str(file))
            world.cli("create", "y")
            world.cli("set", "y", f"katana-args-file={file}")
            for name in ("x", "y"):
                shown = json.loads(world.cli("--json", "show", name, "--config").stdout)
                tap.equal(shown["katana_args"], wanted, f"{name} of {text!r}")
            world.cli("delete", "-y", "x", "y")


if __name__ == "__main__":
    sys.exit(tap.run([
        b145_relative_variables, b145_byte_order_mark
    ]))
