#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `meson install` puts where, and whether systemd, bus and polkit can read it.

Called by meson: test_install.py SOURCE_ROOT MESON XML... Prints TAP. Each prefix is set up
and installed below a temporary DESTDIR (install tag "system": nothing is compiled).
polkit's answers are those of a real polkitd on a bus of its own, with our files in a mount
namespace of its own.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree as tree

import namespace
import polkit
import tap

PREFIX = "org.katana.Hypervisor."
SYSTEM_FILES = {
    "lib/systemd/system/katana-hypervisord.service",
    "lib/systemd/user/katana-hypervisord.service",
    "lib/sysusers.d/katana-hypervisor.conf",
    "lib/tmpfiles.d/katana-hypervisor.conf",
    "lib/udev/rules.d/60-katana-hypervisor.rules",
    "share/dbus-1/system.d/org.katana.Hypervisor.conf",
    "share/dbus-1/system-services/org.katana.Hypervisor.service",
    "share/dbus-1/services/org.katana.Hypervisor.service",
    "share/polkit-1/actions/org.katana.Hypervisor.policy",
    "share/polkit-1/rules.d/50-org.katana.Hypervisor.rules",
    "share/katana-hypervisor/direct-launcher.conf",
    "share/katana-hypervisor/katana-hypervisor.conf",
    "share/doc/katana-hypervisor/README.md",
    "share/doc/katana-hypervisor/NEWS.md",
}
# For a person, who looks there.
NOT_LINKED = ("share/doc/", "share/katana-hypervisor/")
GROUP_MAY = {"create", "operate", "configure", "delete", "read-logs", "attest"}
# The exposure that systemd-analyze gives, times ten.
SECURITY_SERVICE, SECURITY_DIRECT = 20, 34


def run(*command, **options):
    """A command that must succeed; its standard output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def needs(program):
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise tap.Skip(f"{program} is not installed")
    return path


class Install:
    """The tree set up for one prefix and its system files installed below a DESTDIR."""

    def __init__(self, work, source, meson, prefix):
        self.prefix = prefix
        self.build = work / ("build" + prefix.replace("/", "-"))
        self.root = work / ("root" + prefix.replace("/", "-"))
        self.setup_output = run(meson, "setup", f"--prefix={prefix}", str(self.build), source)
        run(meson, "install", "-C", str(self.build), "--no-rebuild", "--tags", "system",
            "--destdir", str(self.root))
        self.plan = json.loads(run(meson, "introspect", "--installed", str(self.build)))

    def path(self, name):
        return self.root / self.prefix.lstrip("/") / name

    def read(self, name):
        return self.path(name).read_text(encoding="utf-8")

    def files(self):
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")
                if path.is_file()}


def text_of(node, name):
    return node.findtext(name, "").strip()


def policy_actions(install):
    root = tree.fromstring(install.read("share/polkit-1/actions/org.katana.Hypervisor.policy"))
    return {action.get("id"): action for action in root.iter("action")}


def method_actions(interfaces):
    """The actions that the methods ask for, as the service's table is generated."""
    found = set()
    for path in interfaces:
        for method in tree.parse(path).getroot().iter("method"):
            for note in method.findall("annotation"):
                if note.get("name") == PREFIX + "Action" and note.get("value") not in (
                        "free", "of-object"):
                    found.add(PREFIX + note.get("value"))
                if note.get("name") == PREFIX + "ExposeArgument":
                    found.add(PREFIX + "expose")
    return found


def test_places(context):
    for install in context["usr"], context["opt"]:
        here = install.prefix.lstrip("/")
        wanted = {f"{here}/{name}" for name in SYSTEM_FILES}
        assert install.files() == wanted, install.files() ^ wanted


def test_everything_below_the_prefix(context):
    install = context["opt"]
    outside = [place for place in install.plan.values()
               if not place.startswith(install.prefix + "/")]
    assert not outside, outside


def test_programs_are_where_units_look(context):
    for install in context["usr"], context["opt"]:
        program = f"{install.prefix}/libexec/katana-hypervisord"
        for name in sorted(SYSTEM_FILES):
            for line in re.findall(r"^Exec(?:Start|StopPost)?=-?(.*)$", install.read(name), re.M):
                assert line.split()[0] == program, (name, line)
            assert not re.search(r"@\w+@", install.read(name)), name
        for place in install.plan.values():
            assert not place.endswith("/katana-hypervisord") or place == program, place


def test_session_and_system_differ(context):
    install = context["usr"]
    for system, session in (
            ("lib/systemd/system/katana-hypervisord.service",
             "lib/systemd/user/katana-hypervisord.service"),
            ("share/dbus-1/system-services/org.katana.Hypervisor.service",
             "share/dbus-1/services/org.katana.Hypervisor.service")):
        assert "--session" not in install.read(system), system
        assert "/katana-hypervisord --session\n" in install.read(session), session


def test_summary_says_what_to_link(context):
    said = context["opt"].setup_output
    for name in SYSTEM_FILES:
        if name.startswith(NOT_LINKED):
            continue
        place = f"/opt/x/{name}"
        assert re.search(re.escape(place) + r" *: /(etc|usr)/", said), place
    assert "Outside" not in context["usr"].setup_output


def test_bus_policy(context):
    xmllint = needs("xmllint")
    path = context["usr"].path("share/dbus-1/system.d/org.katana.Hypervisor.conf")
    run(xmllint, "--noout", "--nonet", str(path))
    root = tree.parse(path).getroot()
    owners = [(policy.get("user"), policy.get("context"))
              for policy in root.iter("policy") for rule in policy.findall("allow")
              if rule.get("own")]
    assert owners == [("root", None)], owners
    default = root.find("policy[@context='default']")
    allowed = {rule.get("send_interface") for rule in default.findall("allow")}
    served = {interface.get("name") for path in context["interfaces"]
              for interface in tree.parse(path).getroot().iter("interface")}
    standard = {"org.freedesktop.DBus." + name
                for name in ("ObjectManager", "Properties", "Introspectable", "Peer")}
    assert allowed == served | standard, allowed ^ (served | standard)
    assert default.find("deny[@send_destination='org.katana.Hypervisor']") is not None


def test_policy_file(context):
    xmllint = needs("xmllint")
    path = context["usr"].path("share/polkit-1/actions/org.katana.Hypervisor.policy")
    dtd = "/usr/share/polkit-1/policyconfig-1.dtd"
    valid = ["--dtdvalid", dtd] if os.path.exists(dtd) else []
    run(xmllint, "--noout", "--nonet", *valid, str(path))
    for name, action in policy_actions(context["usr"]).items():
        defaults = action.find("defaults")
        assert [text_of(defaults, key)
                for key in ("allow_any", "allow_inactive", "allow_active")] == [
                    "auth_admin", "auth_admin", "auth_admin_keep"], name
        assert text_of(action, "description") and text_of(action, "message"), name


def test_actions_match_methods(context):
    offered, asked = set(policy_actions(context["usr"])), method_actions(context["interfaces"])
    assert offered == asked, f"only in policy or only in XML: {sorted(offered ^ asked)}"


def without_program(text):
    return re.sub(r"^(Exec\w+=-?)\S+", r"\1/bin/true", text, flags=re.M)


def unit_copy(context, folder, unit, drop_in=None):
    """A copy of a unit whose program exists, for systemd-analyze."""
    install = context["usr"]
    target = context["work"] / folder
    target.mkdir()
    text = without_program(install.read(unit))
    path = target / os.path.basename(unit)
    path.write_text(text, encoding="utf-8")
    if drop_in:
        (target / (path.name + ".d")).mkdir()
        (target / (path.name + ".d") / "direct.conf").write_text(
            without_program(install.read(drop_in)), encoding="utf-8")
    return str(path)


def verify(*arguments, **options):
    """systemd-analyze verify, which also must have nothing to say."""
    done = subprocess.run([needs("systemd-analyze"), *arguments], capture_output=True,
                          text=True, timeout=120, check=False, **options)
    said = [line for line in done.stderr.splitlines() if "katana" in line]
    assert done.returncode == 0 and not said, done.stderr


UNIT = "lib/systemd/system/katana-hypervisord.service"
DROP_IN = "share/katana-hypervisor/direct-launcher.conf"


def test_system_unit(context):
    needs("systemd-analyze")
    for folder, drop_in, bound in (("alone", None, SECURITY_SERVICE),
                                   ("direct", DROP_IN, SECURITY_DIRECT)):
        path = unit_copy(context, folder, UNIT, drop_in)
        verify("verify", "--man=no", path)
        verify("security", "--offline=true", f"--threshold={bound}", path)


def test_user_unit(context):
    needs("systemd-analyze")
    path = unit_copy(context, "user", "lib/systemd/user/katana-hypervisord.service")
    runtime = context["work"] / "runtime"
    runtime.mkdir(mode=0o700)
    verify("--user", "verify", "--man=no", path,
           env=dict(os.environ, XDG_RUNTIME_DIR=str(runtime)))


def test_unit_keeps_machines(context):
    unit, drop_in = context["usr"].read(UNIT), context["usr"].read(DROP_IN)
    for line in ("Type=notify", "BusName=org.katana.Hypervisor", "Requires=dbus.socket",
                 "After=dbus.socket dbus.service", "RuntimeDirectoryPreserve=yes",
                 "RuntimeDirectoryMode=0711", "StateDirectoryMode=0711"):
        assert line in unit.splitlines(), line
    for line in ("KillMode=process", "OOMPolicy=continue", "DeviceAllow=/dev/kvm rw",
                 "DeviceAllow=/dev/sev rw"):
        assert line in drop_in.splitlines(), line
        assert line not in unit.splitlines(), line
    assert "CAP_SETUID" not in unit


def test_units_name_their_documentation(context):
    """b141: a unit whose documentation is nowhere: each names a file that is installed"""
    for install in context["usr"], context["opt"]:
        for name in sorted(SYSTEM_FILES):
            if not name.endswith(".service") or "systemd" not in name:
                continue
            named = re.findall(r"^Documentation=(.*)$", install.read(name), re.M)
            assert named == [f"file:{install.prefix}/share/doc/katana-hypervisor/README.md"], named
            assert (install.root / named[0].removeprefix("file:/")).is_file(), named


def test_groups_and_folders(context):
    """sysusers and tmpfiles, tried below an empty root."""
    sysusers, tmpfiles = needs("systemd-sysusers"), needs("systemd-tmpfiles")
    if os.geteuid() != 0:
        raise tap.Skip("not root")
    root = context["work"] / "fresh"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n", encoding="utf-8")
    (root / "etc/group").write_text("root:x:0:\n", encoding="utf-8")
    usr = context["usr"]
    run(sysusers, f"--root={root}", str(usr.path("lib/sysusers.d/katana-hypervisor.conf")))
    groups = (root / "etc/group").read_text(encoding="utf-8")
    assert "\nkatana:" in groups and "\nkvm:" in groups, groups
    run(tmpfiles, "--create", f"--root={root}",
        str(usr.path("lib/tmpfiles.d/katana-hypervisor.conf")))
    modes = {name: oct((root / name).stat().st_mode & 0o7777) for name in (
        "var/lib/katana-hypervisor", "run/katana-hypervisor", "run/katana-hypervisor/uids")}
    assert list(modes.values()) == ["0o711", "0o711", "0o700"], modes


def test_polkit_answers(context):
    """Every action, for a member of the group katana, another user, and root."""
    actions = sorted(policy_actions(context["usr"]))
    answers = json.loads(run(*polkit.enter(
        sys.executable, __file__, "--polkit", str(context["usr"].path("share/polkit-1")),
        str(context["work"]), *actions)))
    for action in actions:
        short = action.removeprefix(PREFIX)
        assert answers["member"][action] == (short in GROUP_MAY), (action, answers)
        assert not answers["other"][action], (action, answers)
        assert answers["root"][action], (action, answers)


# A root folder that is no mount point, below a mount that others share.
CHROOT = """
set -e
cd "$1"
mount --make-rshared / 2>/dev/null || true
mkdir usr proc dev etc
for name in bin sbin lib lib64; do ln -s usr/$name $name; done
for name in usr proc dev; do mount --rbind /$name $name; done
echo before >etc/passwd
echo within >etc/within
chroot . /usr/bin/python3 -c "$2"
cat etc/passwd
grep -c "$1/etc" /proc/self/mountinfo || true
"""
IN_CHROOT = """
import subprocess, sys
sys.path.insert(0, '/lib-of-tests')
import namespace
print(subprocess.check_output([*namespace.enter('/etc'), 'sh', '-c',
      'mount --bind /etc/within /etc/passwd && cat /etc/passwd'], text=True).strip(), flush=True)
"""


def test_namespace_in_a_chroot(context):
    """Where / is no mount point: what a test mounts is there, and nobody else has it."""
    if os.geteuid() != 0:
        raise tap.Skip("not root")
    root = context["work"] / "chroot"
    shutil.copytree(os.path.dirname(namespace.__file__), root / "lib-of-tests")
    words = namespace.enter(root)
    said = run(*words, "sh", "-c", CHROOT, "sh", str(root), IN_CHROOT)
    assert said.split() == ["within", "before", "0"], said


# --- the part that runs in a mount namespace of its own ------------------------------

BUS = """<busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow receive_sender="*"/><allow send_type="method_call"/></policy></busconfig>"""
def ask_polkit(actions, processes):
    """Starts polkitd and asks it about a waiting process of each user."""
    from gi.repository import Gio, GLib
    processes.append(subprocess.Popen([polkit.POLKITD, "--no-debug"], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL))
    bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
    deadline = time.monotonic() + 30
    while not bus.call_sync(
            "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "NameHasOwner",
            GLib.Variant("(s)", ("org.freedesktop.PolicyKit1",)), None, 0, -1).unpack()[0]:
        assert processes[-1].poll() is None, "polkitd has ended"
        assert time.monotonic() < deadline, "polkitd has not taken its name within 30 s"
        time.sleep(0.05)
    answers = {}
    for user, uid in polkit.USERS.items():
        waiting = subprocess.Popen(["sleep", "300"], user=uid, group=uid, extra_groups=[])
        processes.append(waiting)
        stat = pathlib.Path(f"/proc/{waiting.pid}/stat").read_text(encoding="utf-8")
        subject = ("unix-process", {
            "pid": GLib.Variant("u", waiting.pid), "uid": GLib.Variant("i", uid),
            "start-time": GLib.Variant("t", int(stat.rsplit(")", 1)[1].split()[19]))})
        answers[user] = {action: bus.call_sync(
            "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
            "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization",
            GLib.Variant("((sa{sv})sa{ss}us)", (subject, action, {}, 0, "")),
            None, 0, 30000).unpack()[0][0] for action in actions}
    return answers


def polkit_part(policy, work, *actions):
    work = pathlib.Path(work)
    # polkitd gives up root and must still reach the bus and our files.
    work.chmod(0o755)
    polkit.mount_files(pathlib.Path(policy), work)
    config, address = work / "bus.conf", work / "bus"
    config.write_text(BUS.format(address), encoding="utf-8")
    os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={address}"
    processes = [subprocess.Popen(["dbus-daemon", f"--config-file={config}", "--nofork"],
                                  stdout=subprocess.DEVNULL)]
    try:
        deadline = time.monotonic() + 30
        while not address.exists():
            assert time.monotonic() < deadline, "dbus-daemon does not listen"
            time.sleep(0.02)
        print(json.dumps(ask_polkit(actions, processes)))
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def main(source, meson, *interfaces):
    tests = [(name, function) for name, function in globals().items()
             if name.startswith("test_")]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="katana-install.") as work:
        work = pathlib.Path(work)
        context = {"work": work, "interfaces": interfaces,
                   "usr": Install(work, source, meson, "/usr"),
                   "opt": Install(work, source, meson, "/opt/x")}
        for number, (name, function) in enumerate(tests, 1):
            try:
                function(context)
                print(f"ok {number} - {name}", flush=True)
            except tap.Skip as why:
                print(f"ok {number} - {name} # SKIP {why}", flush=True)
            except Exception:
                failed += 1
                print(f"not ok {number} - {name}")
                print("".join(f"# {line}\n" for line in
                              traceback.format_exc().splitlines()), flush=True)
    return failed > 0


if __name__ == "__main__":
    if sys.argv[1] == "--polkit":
        polkit_part(*sys.argv[2:])
    else:
        sys.exit(main(*sys.argv[1:]))
