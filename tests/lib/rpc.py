# SPDX-License-Identifier: MIT
"""A JSON-RPC client on 127.0.0.1. Used by the tests of this folder."""

import http.client
import json
import socket


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def request(port, method, body=None, path="/", headers=None):
    """(status, headers, body) of one HTTP request."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        client.request(method, path, body, headers or {})
        reply = client.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        client.close()


def post(port, value):
    status, _, body = request(port, "POST", json.dumps(value))
    if status != 200:
        raise AssertionError(f"POST answered {status}")
    return json.loads(body) if body else None


def call(port, method, *params):
    """The result of a call; a JSON-RPC error raises."""
    reply = post(port, {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)})
    if "error" in reply:
        raise AssertionError(f"{method}: {reply['error']}")
    return reply["result"]


def error_code(port, method, *params):
    reply = post(port, {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)})
    return reply.get("error", {}).get("code")


def healthy(port):
    """Whether GET / answers {"health":true}; false while nothing answers."""
    try:
        status, _, body = request(port, "GET")
        return status == 200 and json.loads(body) == {"health": True}
    except (OSError, http.client.HTTPException, ValueError):
        return False
