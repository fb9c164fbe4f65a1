#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a shell person meets: names and texts in every locale, output that cannot be written or
is read no more, words that are misspelt. The service is real, QEMU is the fake one."""
import fcntl
import json
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading

import tap
from harness import SOURCE, World
from live import live, running
from test_cli import Running, add_ssh, assert_cli, assert_says

LATIN = "de_DE.ISO-8859-1"
NO_UTF8 = b"x\xff\xfe"


class Locale(tempfile.TemporaryDirectory):
    """A folder with a German locale of eight bits, for LOCPATH."""

    def __enter__(self):
        folder = super().__enter__()
        os.chmod(folder, 0o755)
        done = subprocess.run(["localedef", "-i", "de_DE", "-f", "ISO-8859-1",
                               f"{folder}/{LATIN}"], capture_output=True, timeout=120, check=False)
        if not os.path.isdir(f"{folder}/{LATIN}"):
            tap.skip(f"localedef cannot make {LATIN}: {done.stderr}")
        return folder


def locales(folder):
    """The variables of locales that are not UTF-8, and of one with other words and commas."""
    german = {"LANGUAGE": "de:fr", "LOCPATH": folder, "LC_ALL": LATIN}
    return ({"LC_ALL": "C", "LANGUAGE": "de"}, german, {"LC_ALL": "", "LANG": "nowhere.UTF-8"})


def plain(world, *arguments):
    """The exit code, and both outputs as bytes."""
    done = subprocess.run([str(world.tools / "katana-hypervisor"), *arguments], env=world.env,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def b142_paths_of_any_bytes():
    """kind: text for bytes. Folders with a blank and an umlaut, or no UTF-8, in every locale"""
    with Locale() as folder:
        for number, variables in enumerate(locales(folder)):
            with World() as world:
                world.env.update(variables)
                components = os.fsencode(world.folder) + b"/gr\xfc\xdfe " + "zurück".encode()
                os.mkdir(components)
                for part in ("vmlinuz", "initrd.img"):
                    with open(components + b"/" + part.encode(), "wb") as file:
                        file.write(b"x" * 1000)
                world.state = world.folder / "zuständig für alles"
                config = world.folder / "für mich.conf"
                config.write_text(f"[hypervisor]\nmax-instances={number + 2}\n")
                world.start("--state-dir", str(world.state), "--boot-components", components,
                            "--config", str(config))
                arguments = os.fsencode(world.folder) + b"/w\xf6rter"
                with open(arguments, "wb") as file:
                    file.write(b"--one\n")
                world.cli("create", "x", "--katana-args-file", arguments, "--auto-start")
                world.cli("set", "x", b"katana-args-file=" + arguments)
                shown = json.loads(world.cli("--json", "show", "x", "--config").stdout)
                tap.equal(shown["katana_args"], ["--one"], "arguments")
                tap.check(world.show("x")["data_directory"].startswith(str(world.state)), "state")
                for part in os.listdir(components):
                    os.unlink(components + b"/" + part)
                assert_cli(world, 1, "zurück", "create", "y")
                tap.check("zurück" in world.cli("doctor", check=False).stdout, "doctor")


def b142_paths_that_are_told():
    """kind: text for bytes. A path that the bus must name and cannot is refused at start"""
    with World() as world:
        for option in (b"--state-dir=", b"--runtime-dir=", b"--qemu=", b"--shim="):
            done = subprocess.run(
                [*world.service_command(), option + os.fsencode(world.folder) + b"/" + NO_UTF8],
                env=world.env, capture_output=True, timeout=30, check=False)
            tap.check(done.returncode in (1, 2), f"{option}: {done}")
            tap.check(b"UTF-8" in done.stderr, f"{option}: {done.stderr}")
        found = os.fsencode(world.tools) + b"/" + NO_UTF8
        os.mkdir(found)
        os.symlink(world.tools / "fake-qemu", found + b"/qemu-system-x86_64")
        world.options = world.options[:2]
        world.env["PATH"] = os.fsdecode(found + b":") + os.environ["PATH"]
        world.start()
        world.cli("create", "x")
        assert_cli(world, 1, "qemu-system-x86_64", "start", "x")
        world.cli("show", "x", "--qemu-args")


def b142_texts_are_utf8():
    """kind: text by the locale. Labels are UTF-8 in every locale, read and printed"""
    with Locale() as folder, World() as world:
        world.start()
        for number, variables in enumerate(locales(folder)):
            world.env.update(variables)
            name = f"x{number}"
            world.cli("create", name, "--label", "k=für")
            world.cli("set", name, "label=l=größe")
            tap.equal(world.show(name)["labels"], {"k": "für", "l": "größe"}, str(variables))
            tap.check("größe" in world.cli("show", name).stdout, "as text")
            assert_cli(world, 3, '"ü"', "show", "ü")
            for words in (("create", "y", "--label", b"k=f\xfcr"),
                          ("set", name, b"label=k=f\xfcr")):
                for more in ((), ("--json",)):
                    code, output, error = plain(world, *words, *more)
                    tap.equal((code, output), (2, b""), f"{words} {variables}: {error}")
                    tap.check(b"label" in error and b"not UTF-8" in error,
                              f"{words} {variables}: {error}")
            tap.equal(world.show(name)["labels"], {"k": "für", "l": "größe"}, "unchanged")


def b142_one_language():
    """kind: text by the locale. Errors, help and numbers are the same in every locale"""
    words = (("create",), ("create", "--memory"), ("create", "--help"), ("logs", "x", "--boot=a"),
             ("lits",), ("--help",), ("show", "nope"), ("show", "x"), ("list",))
    with Locale() as folder, World() as world:
        world.start()
        world.cli("create", "x", "--memory", "1536M")
        service = world.service_command()[:1]
        wanted = [plain(world, *one) for one in words]
        wanted_of_service = [subprocess.run([*service, option], env=world.env, timeout=30,
                                            capture_output=True, check=False)
                             for option in ("--help", "--nonsense", "--qemu")]
        tap.check(b"1.5 GiB" in wanted[-1][1], wanted[-1])
        for variables in locales(folder):
            world.env.update(variables)
            for one, output in zip(words, wanted):
                tap.equal(plain(world, *one), output, f"{one} {variables}")
            for before in wanted_of_service:
                done = subprocess.run(before.args, env=world.env, timeout=30, capture_output=True,
                                      check=False)
                tap.equal((done.returncode, done.stdout, done.stderr),
                          (before.returncode, before.stdout, before.stderr), str(variables))


def b142_options_of_keys():
    """kind: an error without its option. What the service says of a key names what was written"""
    with World() as world:
        world.start()
        world.create("x")
        for said, *words in (("--memory: memory-bytes", "create", "y", "--memory", "4"),
                             ("--bind: rpc-address", "create", "y", "--bind", "::1"),
                             ("--restart: restart-policy", "create", "y", "--restart", "never"),
                             ("restart: restart-policy", "set", "x", "restart=never"),
                             ("memory: memory-bytes", "set", "x", "memory=4"),
                             ("chain-id ", "create", "y", "--chain-id", "ü ü")):
            for more in ((), ("--json",)):
                code, output, error = plain(world, *words, *more)
                tap.equal((code, output), (2, b""), f"{words}: {error}")
                tap.check(said.encode() in error, f"{words}: {error}")


def b142_sizes_are_read_back():
    """kind: numbers by the locale. Sizes with a decimal comma and thin blanks"""
    with World() as world:
        world.start()
        for number, text in enumerate(("1.5 GiB", "1,5 GiB", "1,5\u202fGiB", "1,5\u00a0GiB",
                                       "1\u2009610\u2009612\u2009736")):
            world.cli("create", f"x{number}", "--memory", text)
            tap.equal(world.show(f"x{number}")["memory_bytes"], 3 << 29, repr(text))
        assert_cli(world, 2, "--memory", "create", "y", "--memory", "1,024 MiB")
        assert_cli(world, 2, "memory", "set", "x0", "memory=1,024 MiB")


def b142_arguments_that_are_no_utf8():
    """kind: bytes for text. Every verb and option says so once, as JSON where that is wanted"""
    with World() as world:
        world.start()
        world.cli("create", "x")
        verbs = re.findall(r"(?m)^  ([a-z]+) ", world.cli("--help").stdout)
        calls = [(verb, NO_UTF8) for verb in verbs if verb not in ("report", "set", "wait")]
        calls += [(NO_UTF8,), ("wait", NO_UTF8, "--for", "running"), ("report", NO_UTF8, "/x"),
                  ("set", NO_UTF8, "vcpus=1"), ("set", "x", NO_UTF8), ("set", "x", NO_UTF8 + b"=1"),
                  ("create", "y", "--", NO_UTF8), ("show", "--", NO_UTF8),
                  ("list", b"--" + NO_UTF8), ("list", b"-" + NO_UTF8), ("list", b"-H" + NO_UTF8)]
        for key in re.findall(r"(?m)^  ([a-z-]+)=", world.cli("set", "--help").stdout):
            if key != "katana-args-file":
                calls.append(("set", "x", key.encode() + b"=" + NO_UTF8))
        for verb in verbs:
            text = world.cli(verb, "--help").stdout
            for option in re.findall(r"--([a-z-]+)=(?!FILE|DIR)", text):
                calls.append((verb, b"--" + option.encode() + b"=" + NO_UTF8, "x"))
        tap.check(len(calls) > 80, f"{len(calls)} calls")
        for words in calls:
            code, output, error = plain(world, *words)
            tap.check(code == 2 and output == b"" and error.decode().count("\n") == 1,
                      f"{words}: {code} {output} {error}")
            code, output, error = plain(world, "--json", *words)
            tap.check(code == 2 and output == b"", f"{words}: {code} {output} {error}")
            tap.check(json.loads(error)["error"]["message"], str(words))
        tap.equal(len(world.list()), 1, "instances")


def append(world, name, data):
    """To the log of an instance, as its machine would."""
    with open(world.instance_folder(name) / "serial.log", "ab") as log:
        log.write(data)


def b143_full_output():
    """kind: an output that nobody looked after. What cannot be written is exit 1, with a word"""
    with World() as world:
        world.start()
        for name, label in (("x", "k=v"), ("y", "k=" + "v" * 250)):
            world.cli("create", name, "--auto-start", "--label", label)
        commands = [(verb, "--help") for verb in
                    re.findall(r"(?m)^  ([a-z]+) ", world.cli("--help").stdout)]
        commands += [("--help",), ("--version",), ("help",), ("help", "show"), ("list",),
                     ("status",), ("show", "x"), ("show", "x", "--config"),
                     ("show", "x", "--qemu-args"),
                     ("logs", "x"), ("logs", "x", "-f"), ("set", "x", "label=a=b"),
                     ("create", "z"), ("start", "x", "--json"), ("list", "--json"),
                     ("wait", "x", "--for", "running", "--json"),
                     ("stop", "x", "y", "--json"), ("delete", "-y", "z", "--json"),
                     # Found out to be bad, and nobody could read it.
                     ("doctor",), ("doctor", "--json")]
        for words in commands:
            with open("/dev/full", "wb") as full:
                done = subprocess.run([str(world.tools / "katana-hypervisor"), *words],
                                      env=world.env, stdin=subprocess.DEVNULL, stdout=full,
                                      stderr=subprocess.PIPE, timeout=60, check=False)
            tap.equal(done.returncode, 1, f"{words}: {done.stderr}")
            tap.check(done.stderr.count(b"cannot be written: No space left") == 1,
                      f"{words}: {done.stderr}")
        for option in ("--help", "--version"):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([world.service_command()[0], option], env=world.env,
                                      stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
            tap.check(done.returncode == 1 and done.stderr, f"the service, {option}: {done}")


def read_slowly(reader):
    """All that comes, of which the first waits until whoever writes is stuck."""
    found, data = b"", None
    pause = threading.Event()
    while data != b"":
        if len(found) < 1 << 20:
            pause.wait(0.02)
        data = os.read(reader, 65536)
        found += data
    return found


def output_of(world, ends, *arguments):
    """What the command line writes into the first of two ends, which does not block."""
    writer, reader = ends
    os.set_blocking(writer, False)
    process = world.spawn([str(world.tools / "katana-hypervisor"), *arguments], stdout=writer,
                          stderr=subprocess.PIPE)
    os.close(writer)
    found = read_slowly(reader)
    os.close(reader)
    tap.equal((process.wait(60), process.stderr.read()), (0, b""), f"{arguments}: its end")
    return found


def b143_pipe_that_does_not_block():
    """kind: a part for the whole. Into a pipe or socket that does not block all is written"""
    with World("--log-size", "1M") as world:
        world.start()
        world.cli("create", "x")
        for number in range(12):
            labels = [f"--label=l{i}={'v' * 250}" for i in range(32)]
            world.cli("create", f"y{number}", *labels)
        world.cli("start", "x")
        world.cli("stop", "x")
        append(world, "x", b"".join(b"%08d spam spam spam\n" % i for i in range(40000)))
        for words in (("logs", "x", "-n", "0"), ("list", "--json")):
            wanted = plain(world, *words)[1]
            tap.check(len(wanted) > 100000, f"{words}: {len(wanted)} bytes")
            reader, writer = os.pipe()
            tap.check(output_of(world, (writer, reader), *words) == wanted, f"{words}: a pipe")
        pair = [end.detach() for end in socket.socketpair()]
        wanted = plain(world, "logs", "x", "-n", "0")[1]
        tap.check(output_of(world, pair, "logs", "x", "-n", "0") == wanted, "a socket")


def b143_pipe_without_a_reader():
    """kind: a wait without an end. A named pipe that does not block, and that nobody reads"""
    with World() as world:
        world.start()
        os.mkfifo(world.folder / "pipe")
        reader = os.open(world.folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(world.folder / "pipe", os.O_WRONLY | os.O_NONBLOCK)
        os.close(reader)
        done = subprocess.run([str(world.tools / "katana-hypervisor"), "list"], env=world.env,
                              stdout=writer, stderr=subprocess.PIPE, timeout=20, check=False)
        os.close(writer)
        tap.equal((done.returncode, done.stderr), (1, b""), "its end")


class Follower(Running):
    """logs -f into a file."""

    def __init__(self, world, *arguments):
        self.output = world.folder / f"followed-{len(world.children)}"
        with open(self.output, "wb") as file:
            super().__init__(world, "logs", "-f", *arguments, stdout=file)

    def prints(self, wanted):
        tap.eventually(lambda: self.output.read_bytes() == wanted, 15,
                       f"{wanted[-200:]} at the end of the output")

    def ends(self, code, seconds=20):
        tap.equal(self.process.wait(seconds), code, self.path.read_text())

    def says_times(self, expression, times):
        tap.eventually(lambda: len(re.findall(expression, self.path.read_text())) == times, 10,
                       f"{expression} on stderr, {times} times")


GONE, AGAIN = "service has gone", "followed again(?! when)"


def restart_with(world, follower, data, times=1):
    """Ends the service, adds to the log of x, and starts it again; after that many times."""
    file = world.instance_folder("x") / "serial.log"
    world.end_service()
    follower.says_times(GONE, times)
    with open(file, "ab") as log:
        log.write(data)
    world.start()
    follower.says_times(AGAIN, times)


def b143_follower_outlives_the_service():
    """kind: one end taken for another. A follower goes on, without a gap and without repeats"""
    with live() as (world, bus):
        path = running(bus)
        append(world, "x", b"same\nsame\n")
        much = b"".join(b"%07d\n" % i for i in range(20000))
        follower = Follower(world, "x", "-n", "1")
        follower.prints(b"same\n")
        for number in range(2):
            world.end_service(*((9,) if number == 0 else ()))
            follower.says("the service has gone")
            folder = world.state / "instances" / os.listdir(world.state / "instances")[0]
            with open(folder / "serial.log", "ab") as log:
                log.write(b"meanwhile %d\n" % number + much)
            follower.goes_on()
            world.start()
            follower.says_times(AGAIN, number + 1)
            append(world, "x", b"after %d\n" % number)
        follower.prints(b"same\n" + b"".join(b"meanwhile %d\n" % i + much + b"after %d\n" % i
                                             for i in range(2)))
        tap.equal(bus.state(path), "running", "state")
        world.cli("delete", "--force", "-y", "x")
        follower.ends(0)
        follower.says("x has been deleted")


def b143_follower_of_another_log():
    """kind: one end taken for another. Where its place has gone a follower says so"""
    with live() as (world, bus):
        bus.create("x")
        bus.do(bus.list().popitem()[0], "Start")
        follower = Follower(world, "x", "-n", "1")
        tap.eventually(follower.output.read_bytes, 10, "a line")
        before = follower.output.read_bytes()
        file = world.instance_folder("x") / "serial.log"
        world.end_service()
        follower.says("the service has gone")
        file.write_bytes(b"another\n")
        world.start()
        follower.says("from the beginning")
        follower.prints(before + b"another\n")
        restart_with(world, follower, b"and more\n", 2)
        follower.prints(before + b"another\nand more\n")
        tap.equal(follower.path.read_text().count("from the beginning"), 1, "how often it is said")


def b143_follower_of_lines_that_repeat():
    """kind: one end taken for another. Where lines repeat none is left out, or that is said"""
    same = b"the same\n" * 1000
    with live() as (world, bus):
        running(bus)
        append(world, "x", b"a mark\n")
        follower = Follower(world, "x", "-n", "1")
        follower.prints(b"a mark\n")
        restart_with(world, follower, b"")
        append(world, "x", same)
        follower.prints(b"a mark\n" + same)
        restart_with(world, follower, same, 2)
        follower.prints(b"a mark\n" + 2 * same)
        follower.process.kill()
        tap.check("may be missing" not in follower.path.read_text(), follower.path.read_text())
        other = Follower(world, "x", "-n", "1")
        other.prints(b"the same\n")
        restart_with(world, other, b"the same\n")
        other.says("may be missing")


def b143_follower_without_a_bus():
    """kind: one end taken for another. Where the bus goes, too, a follower ends with 7"""
    with World() as world:
        world.start()
        world.cli("create", "x", "--auto-start")
        follower = Follower(world, "x")
        follower.goes_on()
        world.end_service(9)
        follower.says("the service has gone")
        world.bus.kill()
        follower.ends(7)
        follower.says("The bus has gone")
        world.bus.wait(10)
        world.give_up()


def b143_reader_that_goes_away():
    """kind: an output that nobody looked after. Whoever reads no more ends a silent follower"""
    with World() as world:
        world.start()
        world.cli("create", "x", "--auto-start")
        for gone in (False, True):
            follower = Running(world, "logs", "-f", "x")
            tap.check(follower.process.stdout.read(1), "a byte")
            if gone:
                world.end_service()
                follower.says("the service has gone")
            follower.goes_on()
            follower.process.stdout.close()
            tap.equal(follower.process.wait(10), 1, "exit code")
            tap.check("written" not in follower.path.read_text(), follower.path.read_text())
        world.start()


def b143_reader_of_another_host():
    """kind: an output that nobody looked after. The same of a follower on another host"""
    with World() as world:
        world.start()
        add_ssh(world)
        world.cli("create", "x", "--auto-start")
        follower = Running(world, "-H", "there", "logs", "-f", "x")
        tap.check(follower.process.stdout.read(1), "a byte")
        follower.goes_on()
        follower.process.stdout.close()
        tap.equal((follower.process.wait(10), follower.path.read_text()), (1, ""), "its end")
        done = plain(world, "-H", "there", "logs", "x")
        tap.equal(done, plain(world, "logs", "x"), "read to its end")


def b143_logs_as_json():
    """kind: an option passed over. logs --json is refused, and nothing is printed"""
    with World() as world:
        world.start()
        world.cli("create", "x")
        for words in (("--json", "logs", "x"), ("logs", "-f", "x", "--json")):
            code, output, error = plain(world, *words)
            tap.equal((code, output), (2, b""), str(words))
            tap.check("--json" in json.loads(error)["error"]["message"], error)


def b143_line_ends():
    """kind: a terminal's form in a file. Lines end with LF, other CRs stay, but on a terminal"""
    with World() as world:
        world.start()
        world.cli("create", "x", "--auto-start")
        world.cli("stop", "x")
        log = b"a\r\nb\r\r\n\r\nc\rd\n" + b"\r" * 40 + b"e" * 70000 + b"\r\nend\r"
        (world.instance_folder("x") / "serial.log").write_bytes(log)
        found = plain(world, "logs", "x")[1]
        tap.check(found == b"a\nb\n\nc\rd\n" + b"\r" * 40 + b"e" * 70000 + b"\nend\r",
                  f"{found[:80]} … {found[-20:]}")
        (world.instance_folder("x") / "serial.log").write_bytes(b"a\r\nb\r\r\nc\rd\x1b[1m\r\n")
        main, side = pty.openpty()
        modes = termios.tcgetattr(side)
        modes[1] &= ~termios.OPOST
        termios.tcsetattr(side, termios.TCSANOW, modes)
        done = subprocess.run([str(world.tools / "katana-hypervisor"), "logs", "x"], env=world.env,
                              stdin=subprocess.DEVNULL, stdout=side, timeout=60, check=False)
        os.close(side)
        tap.equal((done.returncode, os.read(main, 4096).decode()), (0, "a\nb\nc d\ufffd[1m\n"),
                  "a terminal")
        os.close(main)


def b143_never_started():
    """kind: nothing said of nothing. An empty log of what was never started is explained"""
    with World() as world:
        world.start()
        world.cli("create", "x")
        assert_says(world, "x has never been started, and has no log", "logs", "x")
        follower = Follower(world, "x")
        follower.says("x has never been started; its log")
        world.cli("start", "x")
        tap.eventually(follower.output.read_bytes, 10, "its log")
        tap.equal(plain(world, "logs", "x")[2], b"", "of one that has been started")


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


def b145_relative_cache_of_boot_components():
    """kind: a file by where one stands. What makes boot components ignores them as well"""
    with tempfile.TemporaryDirectory(prefix="kh-cache-") as folder:
        for given, wanted in (("here", "/home/.cache"), ("", "/home/.cache"), ("/a b", "/a b")):
            done = subprocess.run(
                ["bash", "-euc", f". '{SOURCE}/boot-components/host.sh'; user_cache"],
                env=dict(os.environ, XDG_CACHE_HOME=given, HOME="/home"), capture_output=True,
                text=True, timeout=30, check=True)
            tap.equal(done.stdout, wanted + "\n", repr(given))
        # It finds no mirror, and has then made its folder.
        subprocess.run(
            ["bash", str(SOURCE / "boot-components/apt-suite.sh"), "none", "show", "x"], cwd=folder,
            env=dict(os.environ, XDG_CACHE_HOME="here", HOME=f"{folder}/home",
                     KATANA_DEBIAN_MIRROR="file:/nowhere"), capture_output=True, timeout=60,
            check=False)
        tap.equal(os.listdir(folder), ["home"], "what was made")


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
        for words, nearest in ((("create", "x", "--memroy", "4G"), "--memory"),
                               (("create", "--lable=k=v", "x"), "--label"),
                               (("create", "x", "--label", "--lable", "--memry=4G"), "--memory"),
                               (("logs", "--folow", "x"), "--follow"),
                              (("--verson",), "--version"), (("--sesion", "--json"), "--session"),
                               (("list", "--jsno"), "--json")):
            assert_cli(world, 2, f"did you mean {nearest}?", *words)
        for words in (("create", "x", "--xyz"), ("list", "-x"), ("show", "x", "--host-all"),
                      ("list", "--=x")):
            done = world.cli(*words, check=False)
            tap.check(done.returncode == 2 and "did you mean" not in done.stderr and
                      f"see {words[0]} --help" in done.stderr, done.stderr)
        done = subprocess.run([world.service_command()[0], "--port-rnage=1-2"], env=world.env,
                              capture_output=True, text=True, timeout=30, check=False)
        tap.check(done.returncode == 2 and "did you mean --port-range?" in done.stderr, done.stderr)


def b148_flags_take_no_value():
    """kind: an option passed over. --force=no was --force, and --tee=false made it confidential"""
    with World() as world:
        world.start()
        for words in (("create", "x", "--tee=false"), ("delete", "x", "--force=no"),
                      ("list", "--json=0")):
            assert_cli(world, 2, "takes no value", *words)
        tap.equal(world.list(), [], "instances")


def b148_help_and_other_names():
    """kind: words that others use. help VERB, and ls, ps, rm and inspect do what they say"""
    with World() as world:
        world.start()
        tap.equal(world.cli("help").stdout, world.cli("--help").stdout, "help")
        for word, verb in (("create", "create"), ("ls", "list"), ("rm", "delete"),
                           ("inspect", "show"), ("help", "help")):
            wanted = world.cli(verb, "--help").stdout
            tap.check(f"] {verb}" in wanted, wanted)
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
        assert_cli(world, 4, "not be created again", "wait", "x", "--for", "created")
        waits = Running(world, "wait", "x", "--for", "starting")
        waits.goes_on()
        world.cli("delete", "-y", "x")
        waits.ends(4)
        waits.says("x has been deleted")
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
        b142_paths_of_any_bytes, b142_paths_that_are_told, b142_texts_are_utf8,
        b142_one_language, b142_options_of_keys, b142_sizes_are_read_back,
        b142_arguments_that_are_no_utf8,
        b143_full_output, b143_pipe_that_does_not_block, b143_pipe_without_a_reader,
        b143_follower_outlives_the_service, b143_follower_of_another_log,
        b143_follower_of_lines_that_repeat,
        b143_follower_without_a_bus, b143_reader_that_goes_away,
        b143_reader_of_another_host, b143_logs_as_json, b143_line_ends,
        b143_never_started, b145_relative_variables,
        b145_relative_cache_of_boot_components, b145_byte_order_mark,
        b148_suggestions, b148_flags_take_no_value, b148_help_and_other_names,
        b149_wait_for_what_has_failed, b149_wait_over_a_restart,
        b149_progress_has_the_terminals_width
    ]))
