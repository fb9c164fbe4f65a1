#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a shell person meets: names and texts in every locale, output that cannot be written or
is read no more, words that are misspelt. The service is real, QEMU is the fake one."""
import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios

import tap
from harness import World
from test_cli import Running, assert_cli


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


def b148_suggestions():
    """kind: a guess that harms. Near words are proposed, and those that end something hardly"""
    with World() as world:
        for word, nearest in (("lits", "list"), ("strat", "start"), ("pasue", "pause"),
                              ("shwo", "show"), ("restrat", "restart"), ("stpo", "stop"),
                              ("sotp", "stop"), ("delet", "delete"), ("rest", "reset"),
                              ("mesaure", "measure"), ("hlep", "help"), ("doktor", "doctor")):
            assert_cli(world, 2, f'did you mean "{nearest}"', word, "x")
        for word in ("exec", "st", "console", "deltee1", "dlte", "resettt", "rollback", "", "top",
                     "rename", "x" * 100, "destroy", "remove"):
            done = world.cli(word, "x", check=False)
            tap.equal(done.returncode, 2, word)
            for ending in ("stop", "reset", "delete") if word != "top" else ("reset", "delete"):
                tap.check(f'"{ending}"' not in done.stderr, done.stderr)


def b148_help_and_other_names():
    """kind: words that others use. help VERB, and ls, ps, rm and inspect do what they say"""
    with World() as world:
        world.start()
        tap.equal(world.cli("help").stdout, world.cli("--help").stdout, "help")
        for word, verb in (("create", "create"), ("ls", "list"), ("rm", "delete"),
                           ("inspect", "show"), ("help", "help")):
            wanted = world.cli(verb, "--help").stdout
            tap.check(f"{verb} " in wanted, wanted)
            for words in (("help", word), (word, "--help"), (word, "-h")):
                tap.equal(world.cli(*words).stdout, wanted, str(words))
        assert_cli(world, 2, 'did you mean "list"', "help", "lits")
        assert_cli(world, 2, "too many", "help", "list", "show")
        world.cli("create", "x")
        for words, same in ((("ls",), ("list",)), (("ps",), ("list",)),
                            (("inspect", "x"), ("show", "x")),
                            (("ls", "--json"), ("list", "--json"))):
            tap.equal(world.cli(*words).stdout, world.cli(*same).stdout, str(words))
        world.cli("rm", "-y", "x")
        tap.equal(world.list(), [], "after rm")


def b149_wait_for_what_has_failed():
    """kind: a wait without an end. What has failed or was deleted is exit code 4"""
    with World() as world:
        world.start()
        for state in ("running", "stopped"):
            world.cli("delete", "-y", "x", check=False)
            world.cli("create", "x", "--", "--fake.exit", "3")
            waits = Running(world, "wait", "x", "--for", state)
            waits.goes_on()
            world.cli("start", "x", check=False)
            waits.ends(4)
            waits.says("x has failed")
            assert_cli(world, 4, "x has failed", "wait", "x", "--for", state)
        tap.equal(world.cli("wait", "x", "--for", "failed").stdout, "", "for failed")
        waits = Running(world, "wait", "x", "--for", "starting")
        waits.goes_on()
        world.cli("start", "x", check=False)
        waits.ends(0)
        waits = [Running(world, "wait", "x", "--for", state) for state in ("starting", "created")]
        waits[0].goes_on()
        world.cli("delete", "-y", "x")
        for one in waits:
            one.ends(4)
            one.says("x has been deleted")
        assert_cli(world, 3, "nope", "wait", "nope", "--for", "running")


def b149_wait_over_a_restart():
    """kind: a wait without an end. One that starts again by itself is waited for"""
    with World() as world:
        world.start()
        world.cli("create", "x", "--restart", "on-failure", "--auto-start", "--",
                  "--fake.crash-after", "1500")
        failed, again = (Running(world, "wait", "x", "--for", state)
                         for state in ("failed", "stopping"))
        failed.ends(0)
        tap.check(world.show("x")["next_restart_usec"] > 0, "the restart is told")
        world.cli("wait", "x", "--for", "running", "--timeout", "20")
        tap.equal(world.show("x")["next_restart_usec"], 0, "it has come")
        again.goes_on()
        world.cli("stop", "x", check=False)
        again.ends(0)


def b149_progress_has_the_terminals_width():
    """kind: a line that wraps. Progress is cut to the terminal's width"""
    with World() as world:
        world.start()
        name = "x" * 63
        world.cli("create", name, "--", "--fake.never-ready")
        world.env["TERM"] = "vt100"
        for columns in (20, 66, 200):
            main, side = pty.openpty()
            fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            start = Running(world, "start", name, "--timeout", "1", stderr=side)
            start.ends(6)
            os.close(side)
            text = os.read(main, 65536).decode()
            os.close(main)
            world.cli("stop", name)
            steps = re.findall(r"\r\x1b\[K(x[^\r]+)", text)
            tap.check(steps and all(len(step) < columns for step in steps), f"{columns}: {steps}")
            tap.check(columns < 64 or name + ": " in steps[0], f"{columns}: {steps}")


if __name__ == "__main__":
    sys.exit(tap.run([
        b145_relative_variables, b145_byte_order_mark, b148_suggestions,
        b148_help_and_other_names, b149_wait_for_what_has_failed,
        b149_wait_over_a_restart, b149_progress_has_the_terminals_width
    ]))
