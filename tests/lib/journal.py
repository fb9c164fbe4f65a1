# SPDX-License-Identifier: MIT
"""A journal of the test's own. As a program: in a mount namespace with nothing in /run/systemd
but the journal's two sockets it runs a command whose stderr is the journal's, and writes each
entry as a line of JSON into a file:

    journal.py FILE COMMAND ...
"""
import json
import os
import signal
import socket
import subprocess
import sys

import namespace

PLACE = "/run/systemd"


def command(file, words):
    """The words that run the command so. Raises Skip where there can be no namespace."""
    return [*namespace.enter(PLACE), sys.executable, os.path.abspath(__file__), str(file), *words]


def entries(file):
    """What has come up to now; the last line may be on its way."""
    lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.exists() else []
    return [json.loads(line) for line in lines]


def parse(message):
    """The fields of an entry in the journal's native protocol."""
    fields = {}
    while message:
        line, _, message = message.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(message[:8], "little")
            value, message = message[8:8 + size], message[9 + size:]
        fields[name.decode()] = value.decode(errors="replace")
    return fields


def main(file, *words):
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", PLACE], check=True, timeout=20)
    os.makedirs(f"{PLACE}/journal")
    stream, native = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    stream.bind(f"{PLACE}/journal/stdout")
    stream.listen()
    native.bind(f"{PLACE}/journal/socket")
    stderr = socket.socket(socket.AF_UNIX)
    stderr.connect(f"{PLACE}/journal/stdout")
    child = subprocess.Popen(words, stderr=stderr.fileno())
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
    native.settimeout(0.2)
    with open(file, "w", encoding="utf-8") as out:
        while True:
            ended = child.poll()
            try:
                print(json.dumps(parse(native.recv(1 << 20))), file=out, flush=True)
            except TimeoutError:
                if ended is not None:
                    return ended


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
