#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Jobs over the live bus: one for an operation, however many ask for it, with steps and an end
of its own; and what a service that was killed had under way, which the next one goes on with.
"""
import os
import signal
import subprocess
import sys

import tap
from harness import is_alive
from live import live, pid_of, refused, running, service_dies, stays, wait_state

SILENT = "--fake.never-ready"


def job_of(bus, path):
    """The job under way with it, and what that shows; None."""
    job = bus.properties(path)["Job"]
    return None if job == "/" else (job, bus.properties(job, "Job"))


def ends(bus, job):
    return tap.eventually(lambda: bus.properties(job, "Job")["State"] != "running" and
                          bus.properties(job, "Job"), 20, f"the end of {job}")


def seen(bus, path, operation):
    """The path of the job that is under way, which does that."""
    found = tap.eventually(lambda: job_of(bus, path), 10, "a job")
    tap.equal((found[1]["Operation"], found[1]["Instance"], found[1]["Subject"]),
              (operation, path, path), "operation and subject")
    return found[0]


def shared():
    """two starts that wait share one job, each with a deadline of its own"""
    with live() as (_, bus):
        path = bus.create("x", "--fake.freeze")
        first = bus.begin(bus.do, path, "Start")
        job = seen(bus, path, "start")
        second = bus.begin(bus.do, path, "Start")
        tap.equal(bus.do(path, "Start", no_wait=True), job, "a third one's")
        message = refused("TimedOut", lambda: bus.do(path, "Start", timeout_usec=1000000))
        tap.check("is still starting" in message, message)
        tap.equal(len(bus.jobs()), 1, "jobs")
        tap.equal(bus.properties(job, "Job")["State"], "running", "it goes on")
        os.kill(pid_of(bus, path), signal.SIGCONT)
        tap.equal((first.result(20), second.result(20)), (job, job), "both are of that job")
        found = bus.properties(job, "Job")
        tap.equal((found["State"], found["Progress"], found["Step"], found["Result"]),
                  ("done", 1, "", {"state": "running"}), "its end")
        tap.equal(bus.properties(path)["Job"], "/", "nothing is under way")


def two_jobs():
    """a stop that ends a start leaves two jobs, each with its own steps and end"""
    with live("--stop-timeout", "2") as (_, bus):
        path = bus.create("x", SILENT, "--fake.ignore-stop")
        call = bus.begin(bus.do, path, "Start")
        start = seen(bus, path, "start")
        tap.eventually(lambda: bus.properties(start, "Job")["Step"] == "waiting for RPC", 10,
                       "the start's last step")
        stopping = bus.begin(bus.do, path, "Stop")
        wait_state(bus, path, "stopping")
        stop = seen(bus, path, "stop")
        tap.check(start != stop, "they are two")
        tap.equal(bus.properties(stop, "Job")["Step"], "stopping the guest", "the stop's step")
        tap.equal(bus.properties(start, "Job")["Step"], "waiting for RPC", "the start's step")
        tap.equal(stopping.result(20), stop, "the stop's own job")
        refused("Cancelled", lambda: call.result(20))
        found = ends(bus, start)
        tap.check(found["State"] == "cancelled" and found["Progress"] < 1 and
                  found["Error"][0].endswith(".Cancelled"), found)
        found = ends(bus, stop)
        tap.equal((found["State"], found["Result"]),
                  ("done", {"state": "stopped", "stop-result": "forced"}), "the stop's end")


def cancelled():
    """a start that is cancelled ends with its machine stopped, and who waits is told"""
    with live() as (_, bus):
        path = bus.create("x", SILENT)
        call = bus.begin(bus.do, path, "Start")
        job = seen(bus, path, "start")
        pid = tap.eventually(lambda: pid_of(bus, path), 10, "QEMU")
        bus.cancel(job)
        tap.equal(bus.state(path), "stopped", "state")
        tap.check(not is_alive(pid), "QEMU has ended")
        tap.equal(bus.properties(job, "Job")["State"], "cancelled", "the job")
        refused("Cancelled", lambda: call.result(20))
        refused("InvalidState", lambda: bus.cancel(job))
        tap.equal(sorted(one["Operation"] for one in bus.jobs().values()), ["start", "stop"],
                  "what was done")


def shim_of(pid):
    """Its parent."""
    return int(open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()[1])


def stopped_from_outside():
    """a restart whose new machine is stopped by its shim does not begin a third one"""
    with live() as (_, bus):
        path = bus.create("x", SILENT)
        bus.do(path, "Start", no_wait=True)
        before = tap.eventually(lambda: pid_of(bus, path), 10, "QEMU")
        job = bus.do(path, "Restart", no_wait=True)
        pid = tap.eventually(lambda: pid_of(bus, path) not in (0, before) and pid_of(bus, path),
                             20, "another QEMU")
        os.kill(shim_of(pid), signal.SIGTERM)
        wait_state(bus, path, "stopped")
        tap.equal(ends(bus, job)["State"], "cancelled", "the restart")
        stays(bus, path, "stopped")


def overtaken_pause():
    """a pause that a stop comes upon is taken back at once, and not with the machine"""
    with live("--stop-timeout", "3") as (_, bus):
        path = bus.create("x", "--fake.deaf-monitor", "--fake.ignore-stop")
        bus.do(path, "Start")
        call = bus.begin(bus.do, path, "Pause")
        job = seen(bus, path, "pause")
        bus.do(path, "Stop", no_wait=True)
        refused("Cancelled", lambda: call.result(20))
        tap.equal(bus.state(path), "stopping", "state")
        tap.equal(bus.properties(job, "Job")["State"], "cancelled", "the pause")


def deleted_while_stopping():
    """a deletion that comes upon a stop is next: both come to their ends"""
    with live("--stop-timeout", "60") as (_, bus):
        path = bus.create("x", "--fake.ignore-stop")
        bus.do(path, "Start")
        stop = bus.do(path, "Stop", no_wait=True)
        deletion = bus.do(path, "Delete", force=True)
        tap.equal([bus.properties(job, "Job")["State"] for job in (stop, deletion)],
                  ["done", "done"], "their ends")
        tap.equal(bus.list(), {}, "instances")


def quick_ones():
    """pause, resume and reset have jobs, and a command does not come between another's"""
    with live() as (_, bus):
        path = bus.create("x")
        bus.do(path, "Start")
        for method in ("Pause", "Resume", "Reset"):
            bus.do(path, method)
        done = [(one["Operation"], one["State"]) for _, one in sorted(
            bus.jobs().items(), key=lambda job: int(job[0].rsplit("/", 1)[1]))]
        tap.equal(done, [("start", "done"), ("pause", "done"), ("resume", "done"),
                         ("reset", "done")], "jobs")
        mute = bus.create("mute", "--fake.deaf-monitor")
        bus.do(mute, "Start")
        first = bus.begin(bus.do, mute, "Pause")
        job = seen(bus, mute, "pause")
        refused("Busy", lambda: bus.do(mute, "Reset"))
        bus.do(mute, "Stop", mode="kill")
        refused("Cancelled", lambda: first.result(20))
        tap.equal(ends(bus, job)["State"], "cancelled", "the pause")


def unasked():
    """starts with the service, and restarts by the policy, have jobs that nobody owns"""
    with live() as (world, bus):
        path = bus.create("x", "--fake.crash-after", "500", restart_policy="on-failure")
        bus.do(path, "Start")
        wait_state(bus, path, "failed")
        tap.eventually(lambda: [one for one in bus.jobs().values() if one["Operation"] == "start"
                                and one["State"] == "done"][1:], 20, "the restart's job")
        bus.do(path, "Delete", force=True)
        slow = bus.create("slow", SILENT, start_at_boot=True)
        world.end_service(signal.SIGTERM)
        world.start()
        job = seen(bus, slow, "start")
        tap.equal(bus.do(slow, "Start", no_wait=True), job, "who asks for it joins it")
        bus.cancel(job)
        tap.equal(bus.state(slow), "stopped", "state")


def bring_starting(bus, path):
    bus.do(path, "Start", no_wait=True)
    tap.eventually(lambda: pid_of(bus, path), 10, "QEMU")


def bring_running(bus, path):
    bus.do(path, "Start")


def bring_stopping(bus, path):
    bring_running(bus, path)
    os.kill(pid_of(bus, path), signal.SIGSTOP)
    bus.do(path, "Stop", no_wait=True)


def bring_restarting(bus, path):
    bring_running(bus, path)
    os.kill(pid_of(bus, path), signal.SIGSTOP)
    bus.do(path, "Restart", no_wait=True)


# State that the service is killed in: how it is brought there, the next one's job, and what
# comes of it once QEMU is let go.
KILLED_IN = {
    "starting": (bring_starting, (SILENT,), "start", "starting"),
    "running": (bring_running, (), None, "running"),
    "stopping": (bring_stopping, (), "stop", "stopped"),
    "restarting": (bring_restarting, (), "restart", "running"),
}


def killed_in(state):
    bring, words, operation, end = KILLED_IN[state]
    with live() as (world, bus):
        path = bus.create("x", *words)
        bring(bus, path)
        pid = pid_of(bus, path)
        service_dies(world)
        world.start()
        if operation is None:
            tap.equal(job_of(bus, path), None, "a job")
        else:
            job = seen(bus, path, operation)
            tap.equal(bus.properties(job, "Job")["State"], "running", "it goes on")
        os.kill(pid, signal.SIGCONT)
        wait_state(bus, path, end)
        if operation is not None and end != "starting":
            tap.equal(ends(bus, job)["State"], "done", "its end")
        tap.equal(job_of(bus, path) is not None, end == "starting", "whether one is under way")
        bus.do(path, "Delete", force=True)


def killed_while():
    """a service that is killed while starting, running, stopping or restarting: the job goes on"""
    for state in KILLED_IN:
        try:
            killed_in(state)
        except Exception as error:
            raise AssertionError(f"{state}: {error}") from error


def killed_while_deleting():
    """the same while deleting: the next service has a job for it, until it is gone"""
    with live() as (world, bus):
        path = bus.create("x")
        bus.do(path, "Start")
        pid = pid_of(bus, path)
        shim = shim_of(pid)
        os.kill(shim, signal.SIGSTOP)
        bus.do(path, "Delete", force=True, no_wait=True)
        service_dies(world)
        world.start()
        job = seen(bus, path, "delete")
        os.kill(shim, signal.SIGCONT)
        tap.eventually(lambda: bus.list() == {}, 20, "the deletion")
        tap.equal(ends(bus, job)["State"], "done", "its end")


def opened(world, action):
    """The files that the service opens while that is done, but for the database's."""
    trace = world.folder / "trace"
    with subprocess.Popen(["strace", "-f", "-qq", "-o", str(trace), "-e",
                           "trace=open,openat,openat2,readlink,readlinkat",
                           "-p", str(world.service.pid)], stderr=subprocess.PIPE) as tracer:
        tap.eventually(lambda: "TracerPid:\t0" not in open(
            f"/proc/{world.service.pid}/status", encoding="ascii").read(), 10, "strace")
        action()
        tracer.terminate()
        tracer.wait(10)
    return [line for line in trace.read_text().splitlines()
            if "(" in line and "state.db" not in line]


def reads_nothing():
    """a change of state opens no file but the database"""
    with live() as (world, bus):
        path = running(bus)
        tap.equal(opened(world, lambda: [bus.do(path, word) for word in ("Pause", "Resume")]), [],
                  "files that were opened")
        tap.check(opened(world, lambda: bus.open_log(path)), "a log that is opened is not seen")


if __name__ == "__main__":
    sys.exit(tap.run((shared, two_jobs, cancelled, stopped_from_outside, overtaken_pause,
                      deleted_while_stopping, quick_ones, unasked, killed_while,
                      killed_while_deleting, reads_nothing)))
