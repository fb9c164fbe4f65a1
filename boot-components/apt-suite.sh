#!/bin/bash
# SPDX-License-Identifier: MIT
# Reads one Debian suite that this machine need not have configured, through an apt
# configuration of its own: a mirror of Debian's (host.sh says which), Debian's keyring, a
# private package list. Nothing below /etc/apt or /var/lib/apt is changed. Called by build.sh
# and by data/packages.sh.
#
#   apt-suite.sh SUITE show PACKAGE[=VERSION]          name version sha256 filename
#   apt-suite.sh SUITE depends PACKAGE                 names, one a line
#   apt-suite.sh SUITE download FOLDER PACKAGE[=VERSION]...
#   apt-suite.sh SUITE install PACKAGE...              (root; dependencies from here too)
set -euo pipefail

# shellcheck source=boot-components/host.sh
. "$(dirname "${BASH_SOURCE[0]}")/host.sh"

die() {
    printf 'apt-suite: %s\n' "$*" >&2
    exit 1
}

# Debian's keyring, under either of its names.
find_keyring() {
    local file
    for file in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
        if [ -r "$file" ]; then
            printf '%s\n' "$file"
            return
        fi
    done
    die "$file is missing: install the package $(host_keyring_package)"
}

# Writes apt's whole configuration for suite $1 to the folder $2, with the mirror $3. What is
# installed here is no part of it: the newest package of the suite is meant, not a newer one of
# this machine. Lists of another mirror say nothing of this one.
private_config() {
    local suite=$1 root=$2 mirror=$3 keyring source
    mkdir -p "$root"/{lists/partial,archives/partial,etc/preferences.d,etc/trusted.gpg.d}
    keyring=$(find_keyring) || exit 1
    source="deb [signed-by=$keyring] $mirror $suite main"
    if ! grep -sqxF "$source" "$root/sources.list"; then rm -f "$root/refreshed"; fi
    printf '%s\n' "$source" >"$root/sources.list"
    : >"$root/status"
    cat >"$root/apt.conf" <<CONF
Dir::Etc::SourceList "$root/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::PreferencesParts "$root/etc/preferences.d";
Dir::State::Lists "$root/lists";
Dir::State::status "$root/status";
Dir::Cache::Archives "$root/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "root";
APT::Get::AllowUnauthenticated "false";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
}

# One refresh per hour is enough, and spares the mirror during a build. Only a whole one counts:
# without the error mode apt says nothing of a list that it could not fetch.
refresh() {
    local root=$1 suite=$2 mirror=$3 stamp=$1/refreshed
    [ -z "$(find "$stamp" -mmin -60 2>/dev/null)" ] || return 0
    rm -f "$stamp"
    apt-get -qq update >&2 ||
        die "suite $suite cannot be read from $mirror: check the network, the clock, and that this is a mirror of Debian's"
    touch "$stamp"
}

show() {
    local suite=$1 package=$2
    apt-cache show --no-all-versions "$package" 2>/dev/null | awk '
        past { next } /^$/ { past = 1 }
        /^Package:/ { p = $2 } /^Version:/ { v = $2 }
        /^SHA256:/ { h = $2 } /^Filename:/ { f = $2 }
        END { if (p) print p, v, h, f }' | grep . ||
        die "suite $suite has no package $package (gone or never there)"
}

depends() {
    show "$@" >/dev/null
    apt-cache depends --important --no-pre-depends "$2" | sed -n 's/^ *Depends: //p'
}

download() {
    local suite=$1 folder=$2 package
    shift 2
    mkdir -p "$folder"
    cd "$folder"
    for package; do
        apt-get -qq download "$package" >&2 ||
            die "package $package of suite $suite cannot be had; see above"
    done
}

# Installs from the suite with the machine's own suites beside it, so that apt takes
# from the foreign one no more than the packages need.
install_packages() {
    local suite=$1 root=$2 parts=$2/parts
    shift 2
    mkdir -p "$parts"
    cp -f "$root/sources.list" "$parts/suite.list"
    cp -f /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list "$parts" 2>/dev/null ||
        true
    if [ -f /etc/apt/sources.list ]; then cp -f /etc/apt/sources.list "$parts/machine.list"; fi
    printf 'Package: *\nPin: release n=%s\nPin-Priority: 100\n' "$suite" \
        >"$root/etc/preferences.d/suite"
    local options=(-o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$parts"
        -o "Dir::State::status=/var/lib/dpkg/status")
    apt-get -qq "${options[@]}" update >&2
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y "${options[@]}" \
        --no-install-recommends -t "$suite" install "$@" >&2 </dev/null
    rm -f "$root/etc/preferences.d/suite" "$root/refreshed"
}

main() {
    [ $# -ge 3 ] || { sed -n '8,11s/^#   //p' "$0" >&2; exit 2; }
    local suite=$1 verb=$2 root mirror lock
    shift 2
    root=${APT_SUITE_CACHE:-$(user_cache)/katana-apt}/$suite
    mirror=$(debian_mirror) || exit 1
    mkdir -p "$root"
    # Two builds at once share the folder, and apt does not wait for its own locks.
    exec {lock}>"$root/lock"
    flock "$lock"
    private_config "$suite" "$root" "$mirror"
    export APT_CONFIG=$root/apt.conf
    case $verb in
    show) refresh "$root" "$suite" "$mirror"; show "$suite" "$1" ;;
    depends) refresh "$root" "$suite" "$mirror"; depends "$suite" "$1" ;;
    download) refresh "$root" "$suite" "$mirror"; download "$suite" "$@" ;;
    install) install_packages "$suite" "$root" "$@" ;;
    *) die "unknown verb $verb" ;;
    esac
}

main "$@"
