# SPDX-License-Identifier: MIT
"""The service, its shim and the command line under AddressSanitizer and
UndefinedBehaviorSanitizer: built once into "sanitized" below the build folder, by the first test
that asks for it, and brought up to date by every other. Used by test_bus_fuzz.py.
"""
import fcntl
import json
import os
import shutil
import subprocess

import tap
from harness import BUILD, SOURCE

OPTIONS = ("-Db_sanitize=address,undefined", "-Db_lundef=false")
PROGRAMS = ("service/katana-hypervisord", "service/launch/katana-hypervisor-shim",
            "cli/katana-hypervisor")
# What is freed on purpose by the process's end alone.
SUPPRESSIONS = SOURCE / "tests/lib/leaks.supp"


def is_sanitized(folder):
    """Whether a build folder is one of those already."""
    options = json.loads((folder / "meson-info/intro-buildoptions.json").read_text("utf-8"))
    return any(one["name"] == "b_sanitize" and "address" in one["value"] for one in options)


def check_compiler():
    """Raises Skip where it has no sanitizers."""
    command = ["cc", "-fsanitize=address,undefined", "-x", "c", "-", "-o", "/dev/null"]
    done = subprocess.run(command, input=b"int main(void) { return 0; }", capture_output=True,
                          timeout=120, check=False)
    if done.returncode != 0:
        raise tap.Skip("the compiler has no sanitizers")


def build(everything=False):
    """The folder with the programs, each at its place in a build folder; or with all there is."""
    if is_sanitized(BUILD):
        return BUILD
    check_compiler()
    output, meson = BUILD / "sanitized", os.environ.get("MESON") or shutil.which("meson")
    with open(BUILD / "sanitized.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (output / "build.ninja").exists():
            run(meson, "setup", output, SOURCE, *OPTIONS)
        run("ninja", "-C", output, *(() if everything else PROGRAMS))
    return output


def run(*command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=1200, check=False)
    tap.check(done.returncode == 0, f"{command}: {done.stdout[-4000:]}")


def environment(folder, leaks):
    """Of programs whose sanitizers' words are files of the folder. What they say ends them; leaks
    are looked for at their end."""
    common = f"log_path={folder}/report:exitcode=99"
    return {"ASAN_OPTIONS": f"{common}:handle_abort=1:detect_stack_use_after_return=1:"
                            f"strict_string_checks=1:detect_leaks={int(leaks)}:"
                            # Slow, but GLib has no frame pointers to find who asked it;
                            # so many frames lead from its allocator to one of ours.
                            f"fast_unwind_on_malloc={int(not leaks)}:malloc_context_size=12",
            "UBSAN_OPTIONS": f"{common}:halt_on_error=1:print_stacktrace=1",
            "LSAN_OPTIONS": f"{common}:suppressions={SUPPRESSIONS}:print_suppressions=0"}


class Reports:
    """What the sanitizers of a world's programs say: a file each in a folder of the world's,
    where every user may put one."""

    def __init__(self, world):
        self.folder = world.folder / "reports"
        self.folder.mkdir()
        self.folder.chmod(0o1777)

    def environment(self, leaks=False):
        return environment(self.folder, leaks)

    def texts(self):
        return [path.read_text(errors="replace") for path in sorted(self.folder.iterdir())]
