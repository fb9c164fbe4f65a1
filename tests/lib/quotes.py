# SPDX-License-Identifier: MIT
"""A processor for the stand-in and a verifier of its quotes, by the programs of tests/boot. Used
by the tests of this folder."""

import json
import os
import subprocess

import rpc
from tap import check, equal, skip

MEASUREMENT = "ab" * 48


def make_chain(folder, *args, measurement=MEASUREMENT):
    """Makes a folder with certificates of its own, and returns the argument with their key."""
    program = os.environ.get("KH_MAKE_CHAIN") or skip("run by meson only (KH_MAKE_CHAIN)")
    os.mkdir(folder)
    subprocess.run([program, folder, measurement, *args], check=True, timeout=120)
    with open(os.path.join(folder, "argument"), encoding="ascii") as argument:
        return argument.read()


def ask(port, prev, block):
    """The whole answer, which need not be a quote."""
    return rpc.post(port, {"jsonrpc": "2.0", "id": 1, "method": "tee_generateQuote",
                           "params": [prev, block]})


def verify(folder, answer, block, *prev, measurement=MEASUREMENT, chain_id="KATANA"):
    """What the library says of an answer: checks that are not passed, at last the verdict."""
    path = os.path.join(folder, "answer.json")
    with open(path, "w", encoding="ascii") as file:
        json.dump(answer, file)
    done = subprocess.run([os.environ["KH_VERIFY_QUOTE"], folder, path, measurement, chain_id,
                           str(block), *prev], capture_output=True, text=True, timeout=60,
                          check=False)
    equal(done.returncode, 0 if done.stdout.endswith("VERIFIED\n") else 1,
          f"exit code of verify-quote ({done.stdout}{done.stderr})")
    return done.stdout


def accepted(text):
    check(text.endswith("VERIFIED\n") and "failed" not in text, f"not verified:\n{text}")


def refused(text, check_id):
    check(f"{check_id} failed" in text and text.endswith("\nFAILED\n"),
          f"{check_id} is not what failed:\n{text}")
