# SPDX-License-Identifier: MIT
"""Sockets of what a test has started."""
import socket


def is_listened_to(path):
    """Whether somebody takes connections at the socket, which is there a moment before."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0
