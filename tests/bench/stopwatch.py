# SPDX-License-Identifier: MIT
"""How long a command takes, from its start to its end. Used by the figures of this folder."""
import subprocess
import threading
import time


def seconds(command, env=None, limit=120):
    """Waited for without a deadline: Python looks for one in sleeps of up to 50 ms, which would
    be what is measured. A timer of its own ends what hangs."""
    since = time.monotonic()
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    timer = threading.Timer(limit, child.kill)
    timer.start()
    code = child.wait()
    took = time.monotonic() - since
    timer.cancel()
    if code != 0:
        raise subprocess.CalledProcessError(code, command)
    return took
