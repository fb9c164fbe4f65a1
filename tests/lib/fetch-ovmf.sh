#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fetch-ovmf.sh SHA256: prints the path of Debian's OVMF.amdsev.fd if it has that hash. Takes
# the installed one, else the package from the archive, kept in the cache of the boot
# components. Fails with a word where it cannot be had. Called by the tests of measurement.
set -euo pipefail

SOURCE=$(cd "$(dirname "$0")/../.." && pwd)
readonly SOURCE SUITE=forky PART=usr/share/ovmf/OVMF.amdsev.fd
readonly WANTED=$1
cache=${KATANA_BOOT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/katana-boot-components}
readonly kept=$cache/OVMF.amdsev.$WANTED.fd
tmp=

has_hash() {
    [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$WANTED" ]
}

found() {
    printf '%s\n' "$1"
    exit 0
}

clean_up() {
    if [ -n "$tmp" ]; then rm -rf "$tmp"; fi
}

if has_hash "/$PART"; then found "/$PART"; fi
if has_hash "$kept"; then found "$kept"; fi
mkdir -p "$cache"
export APT_SUITE_CACHE=${APT_SUITE_CACHE:-$cache/apt}
trap clean_up EXIT
tmp=$(mktemp -d "$cache/.ovmf.XXXXXX")
"$SOURCE/boot-components/apt-suite.sh" "$SUITE" download "$tmp" ovmf-amdsev >&2
dpkg-deb -x "$tmp"/*.deb "$tmp/tree"
if ! has_hash "$tmp/tree/$PART"; then
    printf 'fetch-ovmf: the ovmf-amdsev of %s is another than the one wanted\n' "$SUITE" >&2
    exit 1
fi
mv -f "$tmp/tree/$PART" "$kept"
found "$kept"
