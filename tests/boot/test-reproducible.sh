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
measure=()
if [ -n "${KH_CLI:-}" ]; then measure=(--measure "$KH_CLI"); fi
number=0
failed=0

build() {
    timeout 600 "$1/boot-components/build.sh" "${@:2}" >"$FOLDER/log" 2>&1
}

show_log() {
    sed 's/^/# /' "$FOLDER/log"
}

skip() {
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
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
    build "$ROOT" "${measure[@]}" --output "$FOLDER/first" &&
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

info_value() {
    sed -n "s/^$1=//p" "$FOLDER/first/build-info.txt"
}

# The measurement is that of the parts and of the shape that stands beside it, and of no other.
measurement_holds() {
    local options word shape
    shape=$(info_value LAUNCH_SHAPE)
    options=()
    for word in $shape; do
        if [ "$word" != unsealed ]; then options+=("--${word%%=*}" "${word#*=}"); fi
    done
    options+=(--ovmf "$FOLDER/first/ovmf.fd" --kernel "$FOLDER/first/vmlinuz"
        --initrd "$FOLDER/first/initrd.img")
    [ "${#options[@]}" = 16 ] && [[ " $shape " = *' unsealed '* ]] &&
        [ "$(info_value LAUNCH_MEASUREMENT)" = "$("$KH_CLI" measure "${options[@]}")" ] &&
        [ "$(info_value LAUNCH_MEASUREMENT)" != "$("$KH_CLI" measure "${options[@]}" --vcpus 5)" ]
}

check_measurement() {
    if [ -z "${KH_CLI:-}" ]; then
        skip "$1" 'run by meson only (KH_CLI)'
    elif [ ! -f "$FOLDER/first/ovmf.fd" ]; then
        skip "$1" 'the firmware cannot be had'
    else
        report "$1" measurement_holds
    fi
}

# Files made in the opposite order: a folder then lists them in another one.
copy_backwards() {
    local from=$1 to=$2 file
    (cd "$from" && find . -type f | LC_ALL=C sort -r) | while read -r file; do
        mkdir -p "$to/$(dirname "$file")"
        cp -p "$from/$file" "$to/$file"
    done
}

# Another source folder, output folder, umask, locale, time zone, file order and file times.
elsewhere() {
    local copy="$FOLDER/a source, elsewhere"
    copy_backwards "$ROOT/boot-components" "$copy/boot-components"
    find "$copy" -exec touch -h -d 2001-01-01 {} +
    (
        umask 077
        export LANG=C.UTF-8 TZ=Asia/Tokyo TMPDIR=$FOLDER
        cd / && build "$copy" "${measure[@]}" --output "$FOLDER/a second/folder"
    ) && same "$FOLDER/a second/folder"
}

rebuilt_from_lock() {
    cp "$FOLDER/first/build-info.txt" "$FOLDER/lock"
    build "$ROOT" "${measure[@]}" --lock "$FOLDER/lock" --output "$FOLDER/locked" &&
        same "$FOLDER/locked"
}

# A clock that is 400 days ahead, for every program that asks the C library.
make_clock() {
    "${CC:-gcc}" -shared -fPIC -O1 -o "$FOLDER/clock.so" -x c - <<'TEXT' 2>>"$FOLDER/log"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#define AHEAD (400L * 24 * 60 * 60)
int clock_gettime(clockid_t clock, struct timespec *now)
{
    int done = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        now->tv_sec += AHEAD;
    return done;
}
time_t time(time_t *to)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to)
        *to = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *restrict to, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    to->tv_sec = now.tv_sec;
    to->tv_usec = now.tv_nsec / 1000;
    return 0;
}
TEXT
}

# With the versions of the first build: on that day the suites' lists would be out of date.
another_day() {
    make_clock &&
        [ "$(LD_PRELOAD=$FOLDER/clock.so date +%Y)" -gt "$(date +%Y)" ] &&
        LD_PRELOAD=$FOLDER/clock.so build "$ROOT" "${measure[@]}" --lock "$FOLDER/lock" \
            --output "$FOLDER/later" &&
        same "$FOLDER/later"
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
    build "$copy" "${measure[@]}" --no-ovmf --output "$FOLDER/changed" &&
        cmp -s "$FOLDER/first/vmlinuz" "$FOLDER/changed/vmlinuz" &&
        ! cmp -s "$FOLDER/first/initrd.img" "$FOLDER/changed/initrd.img" &&
        [ ! -e "$FOLDER/changed/ovmf.fd" ] &&
        ! grep -q '^LAUNCH_' "$FOLDER/changed/build-info.txt"
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
        refuses 'cannot be run' --measure "$FOLDER/text" --output "$out" &&
        refuses 'output is missing' --no-ovmf && refuses 'unknown option' --frob
}

echo 1..10
report 'the parts are built' first_build
if [ "$failed" = 1 ]; then
    echo 'Bail out! without a first build there is nothing to compare'
    exit 1
fi
report 'build-info.txt has the hashes of the parts and packages, and no host' description_holds
check_measurement 'build-info.txt has the launch measurement of the shape that it names'
report 'a build elsewhere gives the same bits' elsewhere
report 'a rebuild from the lock gives the same bits' rebuilt_from_lock
report 'a rebuild on another day gives the same bits' another_day
report 'a package version that is gone is named' gone_is_named
report 'a package under another version than its own is refused' relabelled_is_refused
report 'a changed init gives another initrd and the same kernel' change_shows
report 'bad input is refused with its cause' bad_input_is_refused
exit "$failed"
