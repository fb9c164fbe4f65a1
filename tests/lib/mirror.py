# SPDX-License-Identifier: MIT
"""A mirror of Debian's in a folder: packages of the test's own making or from the cache, suites
signed with a key of its own; and a machine of another distribution, which is this one with some
files mounted over. Used by test_mirror.py."""
import gzip
import hashlib
import os
import pathlib
import shutil
import subprocess

import namespace
import tap

KEYRING = os.path.realpath("/usr/share/keyrings/debian-archive-keyring.gpg")
OS_RELEASE = os.path.realpath("/etc/os-release")


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False,
                          **options)
    tap.check(done.returncode == 0, f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


class Mirror:
    """Its suites are in .folder, which is its URL's path; .keyring has its public key."""

    def __init__(self, folder):
        for program in ("gpg", "dpkg-deb"):
            if not shutil.which(program):
                tap.skip(program + " is not installed")
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.packages = {}
        self.home = self.folder.parent / (self.folder.name + ".gpg")
        self.home.mkdir(mode=0o700)
        self.gpg("--quick-gen-key", "--passphrase", "", "mirror", "ed25519", "sign", "never")
        self.keyring = self.folder.parent / (self.folder.name + ".keyring")
        self.gpg("--output", str(self.keyring), "--export")
        self.keyring.chmod(0o644)

    def gpg(self, *words):
        run("gpg", "--homedir", str(self.home), "--batch", "--quiet", *words)

    def close(self):
        """Ends the agent that gpg has started."""
        run("gpgconf", "--homedir", str(self.home), "--kill", "all")

    @property
    def url(self):
        return f"file:{self.folder}"

    def add(self, suite, path):
        """A package's file to a suite."""
        fields = run("dpkg-deb", "-f", str(path))
        name = f"pool/{len(self.packages)}-{suite}.deb"
        place = self.folder / name
        place.parent.mkdir(exist_ok=True)
        shutil.copy(path, place)
        digest = hashlib.sha256(place.read_bytes()).hexdigest()
        self.packages[name] = (suite, f"{fields.strip()}\nFilename: {name}\n"
                                      f"Size: {place.stat().st_size}\nSHA256: {digest}\n")

    def make(self, suite, name, version, depends=None):
        """An empty package of that name."""
        tree = self.folder.parent / "tree"
        (tree / "DEBIAN").mkdir(parents=True)
        more = f"Depends: {depends}\n" if depends else ""
        (tree / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n{more}"
            "Maintainer: nobody <nobody@invalid>\nDescription: made by a test\n", encoding="utf-8")
        path = self.folder.parent / "made.deb"
        run("dpkg-deb", "--build", "--root-owner-group", str(tree), str(path))
        shutil.rmtree(tree)
        self.add(suite, path)

    def publish(self):
        """Writes and signs the suites of all that was added."""
        for suite in {suite for suite, _ in self.packages.values()}:
            text = "\n".join(entry for of, entry in self.packages.values() if of == suite)
            lists = self.folder / "dists" / suite / "main/binary-amd64"
            lists.mkdir(parents=True, exist_ok=True)
            packed = gzip.compress(text.encode(), mtime=0)
            (lists / "Packages.gz").write_bytes(packed)
            release = self.folder / "dists" / suite / "Release"
            release.write_text(
                f"Origin: Debian\nLabel: Debian\nSuite: {suite}\nCodename: {suite}\n"
                "Date: Sat, 01 Jan 2022 00:00:00 UTC\nArchitectures: amd64\nComponents: main\n"
                "SHA256:\n" + "".join(
                    f" {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-amd64/{name}\n"
                    for name, data in (("Packages", text.encode()), ("Packages.gz", packed))),
                encoding="utf-8")
            (lists / "Packages").write_text(text, encoding="utf-8")
            self.gpg("--yes", "--output", str(release.with_name("InRelease")), "--clearsign",
                     str(release))


class Host:
    """This machine with another os-release, keyring, or any file or folder mounted over its own."""

    def __init__(self, folder, os_release, keyring=None, **environment):
        if os.geteuid() != 0:
            tap.skip("not root")
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        (self.folder / "os-release").write_text(os_release, encoding="utf-8")
        self.mounts = [(self.folder / "os-release", OS_RELEASE)]
        if keyring:
            self.mounts.append((keyring, KEYRING))
        self.environment = dict(os.environ, LC_ALL="C", HOME=str(self.folder),
                                APT_SUITE_CACHE=str(self.folder / "apt"),
                                KATANA_BOOT_CACHE=str(self.folder / "cache"), **environment)
        self.environment.pop("XDG_CACHE_HOME", None)

    def mount(self, source, place):
        self.mounts.append((source, place))

    def run(self, *command, timeout=300, **environment):
        """A command there; what it came to."""
        places = sorted({os.path.dirname(str(place)) for _, place in self.mounts})
        script = "set -e\n"
        words = []
        for source, place in self.mounts:
            script += 'mount --bind "$1" "$2"\nshift 2\n'
            words += [str(source), str(place)]
        return subprocess.run(
            [*namespace.enter(*places), "bash", "-c", script + 'exec "$@"', "bash", *words,
             *map(str, command)], env=dict(self.environment, **environment), capture_output=True,
            text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False)
