#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Compiles the stand-in with sanitizers and drives it on this machine, without a guest."""

import contextlib
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import quotes
import rpc
from quotes import accepted, ask, refused, verify
from tap import check, equal, eventually, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = tempfile.mkdtemp(prefix="standin.")
PROGRAM = os.path.join(FOLDER, "standin")


def compile_program():
    sources = sorted(glob.glob(os.path.join(ROOT, "boot-components", "standin", "*.c")))
    subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu11", "-D_GNU_SOURCE", "-g", "-O1",
                    '-DSTANDIN_VERSION="test"', "-Wall", "-Wextra", "-Werror",
                    "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
                    "-o", PROGRAM, *sources, "-lcrypto"], check=True, timeout=120)


class StandIn:
    def __init__(self, *args):
        self.port = rpc.free_port()
        self.log = os.path.join(FOLDER, f"log-{self.port}")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([PROGRAM, "--http.port", str(self.port), *args],
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def text(self):
        with open(self.log, "rb") as log:
            return log.read(1 << 20).decode()

    def wait_ready(self):
        eventually(lambda: "RPC server" in self.text(), 20, "the stand-in listens")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@contextlib.contextmanager
def standin(*args):
    one = StandIn(*args)
    try:
        one.wait_ready()
        yield one
        if one.process.poll() is None:
            equal(one.stop(), 0, "exit code after SIGTERM")
    finally:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def exit_of(*args):
    done = subprocess.run([PROGRAM, "--http.port", str(rpc.free_port()), *args], timeout=30,
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def raw(port, data):
    """What the server answers to these bytes until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as client:
        with contextlib.suppress(OSError):
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        reply = b""
        with contextlib.suppress(OSError):
            while part := client.recv(65536):
                reply += part
        return reply


def test_interface():
    """health, chain id, block number, spec version and node info are answered"""
    with standin() as one:
        check(rpc.healthy(one.port), "GET / says healthy")
        equal(rpc.call(one.port, "starknet_chainId"), "0x4b4154414e41", "chain id")
        equal(rpc.call(one.port, "starknet_blockNumber"), 0, "block number")
        check(rpc.call(one.port, "starknet_specVersion").count(".") == 2, "spec version")
        check("stand-in" in rpc.call(one.port, "node_getInfo")["version"], "says it is none")
        equal(rpc.error_code(one.port, "dev_generateBlock"), -32601, "dev without --dev")
        equal(rpc.error_code(one.port, "tee_generateQuote", None, 1), 100, "quote")
    with standin("--chain-id", "SN_TEST") as one:
        equal(rpc.call(one.port, "starknet_chainId"), "0x534e5f54455354", "chain id")


def test_errors():
    """JSON-RPC errors, batches and notifications follow the specification"""
    with standin("--dev") as one:
        equal(rpc.error_code(one.port, "nope"), -32601, "unknown method")
        equal(rpc.post(one.port, [])["error"]["code"], -32600, "empty batch")
        equal(rpc.post(one.port, [{}] * 101)["error"]["code"], -32600, "long batch")
        equal(rpc.post(one.port, {"id": 1})["error"]["code"], -32600, "no call")
        equal(rpc.post(one.port, 17)["error"]["code"], -32600, "a number")
        for text in ("", "{", '{"a":}', "[" * 100, '"\\x"', "nul", "[1,]", "{}{}", "\0"):
            _, _, body = rpc.request(one.port, "POST", text)
            equal(json.loads(body)["error"]["code"], -32700, f"parse error of {text!r}")
        one_call = {"jsonrpc": "2.0", "method": "starknet_blockNumber"}
        equal(rpc.post(one.port, one_call), None, "answer to a notification")
        equal(rpc.post(one.port, [one_call, one_call]), None, "answer to notifications")
        equal(rpc.post(one.port, [one_call, dict(one_call, id="a"), 5]),
              [{"jsonrpc": "2.0", "id": "a", "result": 0},
               {"jsonrpc": "2.0", "id": None,
                "error": {"code": -32600, "message": "Invalid request"}}], "mixed batch")


def test_http():
    """HTTP is bounded, keeps connections, and lets browsers in"""
    with standin() as one:
        status, headers, _ = rpc.request(one.port, "OPTIONS", headers={
            "Origin": "http://x", "Access-Control-Request-Method": "POST"})
        equal((status, headers["Access-Control-Allow-Origin"]), (200, "*"), "preflight")
        check("POST" in headers["Access-Control-Allow-Methods"], "methods allowed")
        equal(rpc.request(one.port, "GET", path="/x")[0], 404, "other path")
        equal(rpc.request(one.port, "DELETE")[0], 405, "other method")
        two = raw(one.port, b"GET / HTTP/1.1\r\n\r\n" * 2)
        equal(two.count(b'{"health":true}'), 2, "two requests on one connection")
        for data, status in ((b"x" * 20000, b"431"), (b"GET /\r\n\r\n", b"400"),
                             (b"GET / HTTP/2\r\n\r\n", b"505"),
                             (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
                             (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                              b"400"),
                             (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"501")):
            equal(raw(one.port, data)[9:12], status, f"status of {data[:60]!r}")
        many = [socket.create_connection(("127.0.0.1", one.port)) for _ in range(100)]
        for client in many:
            client.close()
        eventually(lambda: rpc.healthy(one.port), 15, "answers after 100 connections")


def test_blocks_survive():
    """the block number survives a stop and a kill, in a folder that is made"""
    folder = os.path.join(FOLDER, "db")
    with standin("--dev", f"--db-dir={folder}") as one:
        for _ in range(3):
            equal(rpc.call(one.port, "dev_generateBlock"), None, "block made")
        one.process.kill()
        one.process.wait()
    with standin("--data-dir", folder) as one:
        equal(rpc.call(one.port, "starknet_blockNumber"), 3, "block number")
    with open(os.path.join(folder, "block-number"), "w", encoding="ascii") as number:
        number.write("many")
    equal(exit_of("--db-dir", folder)[0], 1, "exit code on a broken number")


def test_block_time():
    """--block-time makes blocks by itself"""
    with standin("--block-time", "50") as one:
        eventually(lambda: rpc.call(one.port, "starknet_blockNumber") >= 3, 20, "three blocks")


def test_options():
    """Katana's options are taken, others ignored by name, values never printed"""
    with standin("--dev", "--dev.accounts", "3", "--dev.no-fee", "--tee", "sev-snp",
                 "--metrics", "--private-key=0x5ec2e7", "--seed", "0x5ec2e7", "0x5ec2e7") as one:
        check(rpc.healthy(one.port), "healthy")
        check("--private-key is ignored" in one.text(), "a word about what is ignored")
        check("5ec2e7" not in one.text(), "no value in the log")
    for args in (["--dev.no-fee"], ["--dev.accounts", "3"], ["--http.port", "70000"],
                 ["--block-time"], ["--block-time", "-1"], ["--dev=yes"], ["--chain-id", ""],
                 ["--chain-id", "x" * 32]):
        equal(exit_of(*args)[0], 2, f"exit code of {args}")


def test_faults():
    """the fault switches do what they say"""
    code, text = exit_of("--fake.crash-after", "50")
    equal(code, 3, "exit code of crash-after")
    code, text = exit_of("--fake.fatal", "disk is on fire")
    check(code == 1 and "\nFATAL: disk is on fire\n" in text, "fatal line")
    with standin("--fake.health", "false") as one:
        equal(rpc.request(one.port, "GET")[2], b'{"health":false}', "health")
    with standin("--fake.ready-after", "500"):
        pass
    with standin("--fake.no-newline", "--fake.spam-seconds", "1") as one:
        eventually(lambda: "x" * 70000 in one.text(), 20, "a long line")
    with standin("--fake.spam-log", "--fake.spam-seconds", "1") as one:
        eventually(lambda: "line 1000 of" in one.text(), 20, "many lines")
    with standin() as target, standin("--fake.connect", f"127.0.0.1:{target.port}",
                                      "--fake.connect", "127.0.0.1:1") as one:
        eventually(lambda: f"connect 127.0.0.1:{target.port}: ok\n" in one.text(), 20, "connected")
        eventually(lambda: "connect 127.0.0.1:1: Connection refused\n" in one.text(), 20, "refused")


def make_chain(name, *args):
    folder = os.path.join(FOLDER, name)
    return folder, quotes.make_chain(folder, *args)


def test_quotes():
    """a quote of each product is verified by the library, and lies of the verifier's are not"""
    for product in ("Milan", "Genoa", "Turin"):
        folder, argument = make_chain(product, product)
        with standin("--dev", argument) as one:
            for _ in range(3):
                rpc.call(one.port, "dev_generateBlock")
            for prev, block, *expected in ((2, 3), (None, 0), (0, 1), (None, 3, "none"),
                                           (1, 3, "1")):
                accepted(verify(folder, ask(one.port, prev, block), block, *expected))
            answer = ask(one.port, 2, 3)
            refused(verify(folder, answer, 2), "K4")
            refused(verify(folder, answer, 3, "1"), "K5")
            refused(verify(folder, answer, 3, measurement="cd" * 48), "V9")
            refused(verify(folder, answer, 3, chain_id="SN_TEST"), "K3")
            answer["result"]["stateRoot"] = "0x1"
            refused(verify(folder, answer, 3), "K2")
            check(argument[-80:] not in one.text(), "the argument in the log")


def test_quote_of_another_chain():
    """a processor that the verifier does not trust, or a policy for debugging, is refused"""
    folder, argument = make_chain("one")
    other, _ = make_chain("other")
    with standin("--chain-id", "SN_TEST", argument) as one:
        answer = ask(one.port, None, 0)
        accepted(verify(folder, answer, 0, chain_id="SN_TEST"))
        refused(verify(other, answer, 0, chain_id="SN_TEST"), "B1")
    folder, argument = make_chain("debug", "Genoa", "0xb0000")
    with standin(argument) as one:
        refused(verify(folder, ask(one.port, None, 0), 0), "V2")


def test_quote_calls():
    """blocks that are not there are refused, and the same block has the same facts each time"""
    _, argument = make_chain("calls")
    name, _, value = argument.partition("=")
    db = os.path.join(FOLDER, "facts")
    facts = []
    for _ in range(2):
        with standin("--dev", "--db-dir", db, name, value) as one:
            if not facts:
                rpc.call(one.port, "dev_generateBlock")
            for _ in range(2):
                result = ask(one.port, 0, 1)["result"]
                del result["quote"]
                block = rpc.call(one.port, "starknet_getBlockWithTxHashes", "latest")
                equal(block["block_hash"], result["blockHash"], "block hash")
                equal(block["new_root"], result["stateRoot"], "state root")
                equal(block["parent_hash"], result["prevBlockHash"], "parent")
                facts.append((result, block))
            for params, code in (([0, 2], 102), ([2, 1], 102), ([], -32602), ([None], -32602),
                                 ([None, "latest"], -32602), ([-1, 0], -32602), ([0, 1.0], -32602),
                                 ([None, 10 ** 18], -32602), (["0", "1"], -32602)):
                equal(rpc.error_code(one.port, "tee_generateQuote", *params), code, f"{params}")
            named = rpc.post(one.port, {"jsonrpc": "2.0", "id": 1, "method": "tee_generateQuote",
                                        "params": {"block_id": 1, "prev_block_id": None}})
            equal(named["result"]["prevBlockHash"], "0x0", "parameters by name")
    check(all(fact == facts[0] for fact in facts), f"other facts: {facts}")


def test_blocks():
    """blocks are found by number, with the time that they were made at"""
    with standin("--dev") as one:
        begin = int(time.time())
        rpc.call(one.port, "dev_generateBlock")
        for block_id, number in (({"block_number": 0}, 0), ({"block_number": 1}, 1),
                                 ("latest", 1)):
            block = rpc.call(one.port, "starknet_getBlockWithTxHashes", block_id)
            equal(block["block_number"], number, "number")
            check(begin - 30 <= block["timestamp"] <= time.time(), "time")
        for params, code in (([{"block_number": 2}], 24), ([{"block_hash": "0x1"}], 24),
                             ([], -32602), (["pending"], -32602), ([1], -32602)):
            equal(rpc.error_code(one.port, "starknet_getBlockWithTxHashes", *params), code,
                  f"{params}")


def test_bad_attesters():
    """an attester that is not whole is refused, and never printed"""
    _, argument = make_chain("bad")
    for bad in (argument + ":", argument.replace(":chip", ":chop"), argument[:-1],
                argument + ":product=milan", argument.replace("milan", "rome"),
                argument.replace("key=", "key=0x"), argument.split("=", 1)[0] + "=",
                argument.replace(":policy", "::policy"), argument.rsplit(":", 1)[0],
                re.sub("key=[0-9a-f]*", "key=" + "0" * 96, argument),
                re.sub("key=[0-9a-f]*", "key=" + "f" * 96, argument)):
        code, text = exit_of(bad)
        equal(code, 2, "exit code")
        check("--fake.attester" in text and quotes.MEASUREMENT not in text, f"what is said: {text}")


def test_ignore_stop():
    """--fake.ignore-stop survives SIGTERM"""
    one = StandIn("--fake.ignore-stop")
    try:
        one.wait_ready()
        one.process.send_signal(signal.SIGTERM)
        try:
            one.process.wait(1)
            check(False, "it ended")
        except subprocess.TimeoutExpired:
            check(rpc.healthy(one.port), "still answers")
    finally:
        one.process.kill()
        one.process.wait()


def main():
    try:
        compile_program()
        return run([test_interface, test_errors, test_http, test_blocks_survive, test_block_time,
                    test_options, test_faults, test_quotes, test_quote_of_another_chain,
                    test_quote_calls, test_blocks, test_bad_attesters, test_ignore_stop])
    finally:
        shutil.rmtree(FOLDER)


sys.exit(main())
