# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# The one list of Debian packages that this tree needs, and how they are installed.
# Sourced by data/quickstart and tests/run; Debian's names, Debian 12 and newer.

packages_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# To compile.
build_packages() {
    printf '%s\n' gcc meson ninja-build pkg-config python3 libglib2.0-dev libglib2.0-bin \
        libjson-glib-dev libsqlite3-dev libsystemd-dev \
        libsoup-3.0-dev libssl-dev
}

# To run the service, and to make boot components. QEMU has a function of its own.
runtime_packages() {
    printf '%s\n' dbus polkitd e2fsprogs util-linux cpio xz-utils zstd binutils \
        debian-archive-keyring ca-certificates curl jq glib-networking
}

# To run the tests, besides the two lists above.
test_packages() {
    printf '%s\n' python3-gi python3-dbus python3-dbusmock mmdebstrap busybox-static \
        sqlite3 strace libxml2-utils systemd systemd-container procps openssl
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Runs a command as root: directly, else with sudo; fails where neither is to be had.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -n "$@"
    else
        printf 'not root and without sudo; as root, run: %s\n' "$*" >&2
        return 1
    fi
}

apt_install() {
    as_root apt-get -qq update >&2 &&
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
    [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
}

# Whether a package version has what confidential instances and snapshots need.
qemu_is_new() {
    dpkg --compare-versions "${1:-0}" ge 1:9.1
}

# QEMU 9.1 or newer: what is there, what the machine's own suites have, else what Debian
# 12's backports have. Where none has it, the machine's own: plain instances need 7.2.
install_qemu() {
    local have candidate
    have=$(dpkg-query -W -f '${Version}' qemu-system-x86 2>/dev/null) || have=
    if qemu_is_new "$have"; then return 0; fi
    as_root apt-get -qq update >&2 || return 1
    candidate=$(apt-cache policy qemu-system-x86 | sed -n 's/^ *Candidate: //p')
    if ! qemu_is_new "$candidate" && grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release; then
        install_packages debian-archive-keyring
        if as_root bash "$packages_root/boot-components/apt-suite.sh" bookworm-backports \
            install qemu-system-x86 qemu-system-common qemu-system-data; then
            return 0
        fi
        printf 'no QEMU from bookworm-backports; taking the one of this machine\n' >&2
    fi
    apt_install qemu-system-x86
}
