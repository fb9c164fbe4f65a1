#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Test equipment, not a virtual machine: stands where QEMU stands below the shim. Runs the
Python text of its first argument, with the descriptors that QEMU would inherit at hand."""
import json, os, resource, select, signal, socket, sys, time

serial = socket.socket(fileno=13)
control = socket.socket(fileno=14)


def say(data):
    serial.sendall(data if isinstance(data, bytes) else data.encode())


def command():
    """The next line from the control channel, without its newline."""
    line = b""
    while not line.endswith(b"\n"):
        byte = control.recv(1)
        if not byte:
            sys.exit(90)
        line += byte
    return line[:-1].decode()


def put(path, what):
    """Writes JSON to a file in whole."""
    with open(path + ".part", "w") as file:
        json.dump(what, file)
    os.rename(path + ".part", path)


def sleep(seconds=60):
    time.sleep(seconds)


exec(sys.argv[1])
