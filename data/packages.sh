# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# The one list of packages that this tree needs, and how they are installed. Sourced by
# data/quickstart and tests/run. The names are Debian's (Debian 12, Ubuntu 24.04 and newer) and
# Fedora's (which RHEL 10 shares); README has them too, and a test holds it against this list.

packages_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# shellcheck source=boot-components/host.sh
. "$packages_root/boot-components/host.sh"

# To compile. The argument is a family of host.sh's, else this machine's.
build_packages() {
    case ${1:-$(host_family)} in
    fedora)
        printf '%s\n' gcc meson ninja-build pkgconf-pkg-config python3 glib2-devel \
            json-glib-devel sqlite-devel systemd-devel libsoup3-devel openssl-devel
        ;;
    *)
        printf '%s\n' gcc meson ninja-build pkg-config python3 libglib2.0-dev libglib2.0-bin \
            libjson-glib-dev libsqlite3-dev libsystemd-dev \
            libsoup-3.0-dev libssl-dev
        ;;
    esac
}

# To run the service, and to make boot components. QEMU has a function of its own.
runtime_packages() {
    case ${1:-$(host_family)} in
    fedora)
        printf '%s\n' dbus-daemon polkit e2fsprogs util-linux cpio xz zstd binutils dpkg apt \
            debian-keyring ca-certificates curl jq glib-networking
        ;;
    *)
        printf '%s\n' dbus polkitd e2fsprogs util-linux cpio xz-utils zstd binutils \
            debian-archive-keyring ca-certificates curl jq glib-networking
        ;;
    esac
}

# To run the tests, besides the two lists above: Debian's, on which they run.
test_packages() {
    printf '%s\n' python3-gi python3-dbus python3-dbusmock mmdebstrap busybox-static \
        sqlite3 strace libxml2-utils systemd systemd-container procps openssl gpg gpg-agent \
        clang clang-format
}

is_installed() {
    case $(host_family) in
    fedora) rpm -q "$1" >/dev/null 2>&1 ;;
    *) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
    esac
}

# Runs a command as root: directly, else with sudo, which asks for a password only where
# somebody is there to give it; fails where neither is to be had.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif ! command -v sudo >/dev/null; then
        printf 'not root and without sudo; as root, run: %s\n' "$*" >&2
        return 1
    elif [ -t 2 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# Reads the lists anew, all of them: apt's own way is to go on with old ones, or with none, where
# a source cannot be read, and then another version is taken, or a package is "not there".
apt_update() {
    as_root apt-get -qq -o APT::Update::Error-Mode=any update >&2 && return
    printf '%s\n' "not every source of packages could be read, see above: try again, or take that one out of /etc/apt" >&2
    return 1
}

apt_install() {
    apt_update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
            --no-install-recommends install "$@" >&2 </dev/null
}

# Installs those of the named packages that are missing. Where none is, no network and
# no root is asked for.
install_packages() {
    local missing=() package
    for package; do
        is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    case $(host_family) in
    debian) apt_install "${missing[@]}" ;;
    fedora) as_root dnf -q -y install "${missing[@]}" >&2 </dev/null ;;
    *)
        printf 'this distribution'\''s names of packages are not known here; in Debian they are: %s\n' \
            "${missing[*]}" >&2
        return 1
        ;;
    esac
}

# Whether a package version has what confidential instances and snapshots need.
qemu_is_new() {
    dpkg --compare-versions "${1:-0}" ge 1:9.1
}

# QEMU 9.1 or newer: what is there, what the machine's own suites have, else what Debian
# 12's backports have. Where none has it, the machine's own: plain instances need 7.2.
install_qemu() {
    local have candidate
    if [ "$(host_family)" != debian ]; then
        install_packages qemu-kvm
        return
    fi
    have=$(dpkg-query -W -f '${Version}' qemu-system-x86 2>/dev/null) || have=
    if qemu_is_new "$have"; then return 0; fi
    apt_update || return 1
    candidate=$(apt-cache policy qemu-system-x86 | sed -n 's/^ *Candidate: //p')
    if ! qemu_is_new "$candidate" && [ "$(host_field VERSION_CODENAME)" = bookworm ]; then
        install_packages debian-archive-keyring
        if as_root env KATANA_DEBIAN_MIRROR="${KATANA_DEBIAN_MIRROR:-}" \
            bash "$packages_root/boot-components/apt-suite.sh" bookworm-backports \
            install qemu-system-x86 qemu-system-common qemu-system-data; then
            return 0
        fi
        printf 'no QEMU from bookworm-backports; taking the one of this machine\n' >&2
    fi
    apt_install qemu-system-x86
}
