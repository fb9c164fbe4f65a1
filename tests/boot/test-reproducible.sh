#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds the boot components several times, in differing folders and environments, and
# compares them bit for bit. TAP output.
#
#   test-reproducible.sh SOURCE-ROOT
set -uo pipefail

ROOT=$(cd "${1:-$(dirname "${BASH_SOURCE[0]}")/../..}" && pwd)
FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/reproducible.XXXXXX")
readonly ROOT FOLDER
trap 'rm -rf "$FOLDER"' EXIT
number=0
failed=0

build() {
    timeout 600 "$1/boot-components/build.sh" "${@:2}" >"$FOLDER/log" 2>&1
}

show_log() {
    sed 's/^/# /' "$FOLDER/log"
}

# report NAME COMMAND...: one line of TAP.
report() {
    local name=$1
    shift
    number=$((number + 1))
    if "$@"; then
        echo "ok $number - $name"
    else
        failed=1
        show_log
        echo "not ok $number - $name"
    fi
}

same() {
    diff -r "$FOLDER/first" "$1" >>"$FOLDER/log" 2>&1
}

first_build() {
    build "$ROOT" --output "$FOLDER/first" &&
        [ -s "$FOLDER/first/vmlinuz" ] && [ -s "$FOLDER/first/initrd.img" ]
}

# The hashes in build-info.txt are those of the files, and each package has its own.
description_holds() {
    local info=$FOLDER/first/build-info.txt
    grep -qx "KERNEL_SHA256=$(sha256sum <"$FOLDER/first/vmlinuz" | cut -d' ' -f1)" "$info" &&
        grep -qx "INITRD_SHA256=$(sha256sum <"$FOLDER/first/initrd.img" | cut -d' ' -f1)" "$info" &&
        grep -qx 'KATANA=stand-in' "$info" &&
        grep -Eq '^PACKAGE_1=linux-image-[^ ]+ [^ ]+ [0-9a-f]{64} [a-z-]+$' "$info" &&
        ! grep -q '://' "$info"
}

# Another source folder, output folder, umask, locale, time zone and file times.
elsewhere() {
    local copy="$FOLDER/a source, elsewhere"
    mkdir -p "$copy/boot-components"
    cp -r "$ROOT/boot-components/." "$copy/boot-components"
    find "$copy" -exec touch -h -d 2001-01-01 {} +
    (
        umask 077
        export LANG=C.UTF-8 TZ=Asia/Tokyo TMPDIR=$FOLDER
        cd / && build "$copy" --output "$FOLDER/a second/folder"
    ) && same "$FOLDER/a second/folder"
}

rebuilt_from_lock() {
    cp "$FOLDER/first/build-info.txt" "$FOLDER/lock"
    build "$ROOT" --lock "$FOLDER/lock" --output "$FOLDER/locked" && same "$FOLDER/locked"
}

# A version that no suite has is named, and nothing is left behind.
gone_is_named() {
    sed 's/^\(PACKAGE_2=[^ ]*\) [^ ]* [0-9a-f]*/\1 0.1-gone '"$(printf '0%.0s' {1..64})/" \
        "$FOLDER/lock" >"$FOLDER/lock.gone"
    ! build "$ROOT" --lock "$FOLDER/lock.gone" --output "$FOLDER/gone" &&
        grep -q 'busybox-static.*0\.1-gone' "$FOLDER/log" && [ ! -e "$FOLDER/gone" ]
}

# The hash of a kept package under another version: the lock would say what is not so.
relabelled_is_refused() {
    sed 's/^\(PACKAGE_2=[^ ]*\) [^ ]*/\1 0.1-other/' "$FOLDER/lock" >"$FOLDER/lock.other"
    ! build "$ROOT" --lock "$FOLDER/lock.other" --output "$FOLDER/other" &&
        grep -q 'busybox-static 0\.1-other is busybox-static' "$FOLDER/log" &&
        [ ! -e "$FOLDER/other" ]
}

# The stand-in's folder is part of the input: a change gives another initrd, the same kernel.
change_shows() {
    local copy="$FOLDER/a source, elsewhere"
    sed -i 's/This guest runs the stand-in/This guest still runs the stand-in/' \
        "$copy/boot-components/init"
    build "$copy" --no-ovmf --output "$FOLDER/changed" &&
        cmp -s "$FOLDER/first/vmlinuz" "$FOLDER/changed/vmlinuz" &&
        ! cmp -s "$FOLDER/first/initrd.img" "$FOLDER/changed/initrd.img" &&
        [ ! -e "$FOLDER/changed/ovmf.fd" ]
}

refuses() {
    local cause=$1
    shift
    ! build "$ROOT" "$@" && grep -q "$cause" "$FOLDER/log" && [ ! -e "$FOLDER/refused" ]
}

bad_input_is_refused() {
    local out=$FOLDER/refused
    printf 'text\n' >"$FOLDER/text"
    refuses 'is no ELF program' --katana "$FOLDER/text" --output "$out" &&
        refuses 'is not there' --katana "$FOLDER/none" --output "$out" &&
        refuses 'cannot be read' --lock "$FOLDER/none" --output "$out" &&
        refuses 'names no package' --lock "$FOLDER/text" --output "$out" &&
        refuses 'output is missing' --no-ovmf && refuses 'unknown option' --frob
}

echo 1..8
report 'the parts are built' first_build
if [ "$failed" = 1 ]; then
    echo 'Bail out! without a first build there is nothing to compare'
    exit 1
fi
report 'build-info.txt has the hashes of the parts and packages, and no host' description_holds
report 'a build elsewhere gives the same bits' elsewhere
report 'a rebuild from the lock gives the same bits' rebuilt_from_lock
report 'a package version that is gone is named' gone_is_named
report 'a package under another version than its own is refused' relabelled_is_refused
report 'a changed init gives another initrd and the same kernel' change_shows
report 'bad input is refused with its cause' bad_input_is_refused
exit "$failed"
