#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Makes the boot components of an instance: vmlinuz, initrd.img, ovmf.fd and build-info.txt,
# bit for bit the same from the same inputs. See README.md.
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC0

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE
# shellcheck source=boot-components/host.sh
. "$HERE/host.sh"
readonly KERNEL_SUITE=bookworm-backports KERNEL_META=linux-image-cloud-amd64
readonly BUSYBOX_SUITE=bookworm OVMF_SUITE=forky
readonly STANDIN_VERSION=1.1
readonly CONFIG_NEEDED='VMGENID SEV_GUEST TSM_REPORTS VIRTIO_PCI SCSI_VIRTIO BLK_DEV_SD
    VIRTIO_NET VIRTIO_CONSOLE VIRTIO_BLK FW_CFG_SYSFS EXT4_FS DEVTMPFS'
readonly MODULES_REQUIRED='virtio_pci virtio_console virtio_scsi sd_mod virtio_net virtio_blk
    qemu_fw_cfg ext4'
readonly MODULES_OPTIONAL='tsm sev-guest'
readonly APPLETS='sh cat cp echo false grep head ifconfig insmod kill ln ls mkdir mount mv
    poweroff printf rm route sed sleep sync tail test timeout true umount ['

# What an unsealed instance that was created without options boots with, for its measurement.
readonly SHAPE_VCPUS=4 SHAPE_VCPU_TYPE=EPYC-v4 SHAPE_FEATURES=0x1 SHAPE_VMM=qemu
readonly SHAPE_CMDLINE=console=ttyS0

katana='' output='' lock='' measure='' with_ovmf=yes
cache='' tmp=''
packages=()

usage() {
    cat <<'TEXT'
usage: build.sh [--katana BINARY] --output DIR [--lock FILE]
                [--measure PROGRAM] [--no-ovmf]

  --katana BINARY  the Katana to run in the guest (an x86-64 Linux program); without it the
                   stand-in of this folder is compiled
  --output DIR     where vmlinuz, initrd.img, ovmf.fd and build-info.txt are put
  --lock FILE      an earlier build-info.txt: use exactly its package versions
  --measure PROGRAM
                   a katana-hypervisor, which computes the launch measurement of the
                   default shape for build-info.txt; without firmware there is none
  --no-ovmf        make no ovmf.fd (confidential instances then cannot be measured)

The parts are Debian's: on a machine of another distribution KATANA_DEBIAN_MIRROR=URL names a
mirror of Debian's. Downloaded packages are kept in $KATANA_BOOT_CACHE
(default ${XDG_CACHE_HOME:-~/.cache}/katana-boot-components).
TEXT
}

die() {
    echo "build.sh: $*" >&2
    exit 1
}

note() {
    echo "build.sh: $*" >&2
}

bad_usage() {
    echo "build.sh: $*" >&2
    usage >&2
    exit 2
}

clean_up() {
    if [ -n "$tmp" ]; then rm -rf "$tmp"; fi
}

parse_options() {
    while [ $# -gt 0 ]; do
        case $1 in
        --katana | --output | --lock | --measure)
            if [ $# -lt 2 ] || [ -z "$2" ]; then bad_usage "$1 needs a value"; fi
            printf -v "${1#--}" '%s' "$2"
            shift
            ;;
        --no-ovmf) with_ovmf=no ;;
        --help) usage; exit 0 ;;
        *) bad_usage "unknown option $1" ;;
        esac
        shift
    done
    if [ -z "$output" ]; then bad_usage "--output is missing"; fi
    if [ -n "$lock" ] && [ ! -r "$lock" ]; then die "the lock file $lock cannot be read"; fi
    if [ -n "$measure" ] && ! { [ -f "$measure" ] && [ -x "$measure" ]; }; then
        die "the program $measure, which shall measure, cannot be run"
    fi
}

# A program in PATH, or a header.
is_there() {
    case $1 in
    /*.h) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

check_tools() {
    local tool debian fedora missing=
    while read -r tool debian fedora; do
        if [ "$(host_family)" != fedora ]; then fedora=$debian; fi
        if ! is_there "$tool"; then missing="$missing $fedora"; fi
    done < <(needed_tools)
    [ -z "$missing" ] || die "these packages are missing: $(host_install_command)$missing"
}

# Each with its package of Debian's and of Fedora's.
needed_tools() {
    cat <<'TEXT'
dpkg-deb dpkg dpkg
apt-get apt apt
cpio cpio cpio
xz xz-utils xz
zstd zstd zstd
readelf binutils binutils
sha256sum coreutils coreutils
flock util-linux util-linux
TEXT
    if [ -z "$katana" ]; then
        echo "${CC:-gcc} gcc gcc"
        echo "/usr/include/openssl/evp.h libssl-dev openssl-devel"
    fi
}

sha256() {
    sha256sum "$1" | cut -d' ' -f1
}

# --- packages --------------------------------------------------------------------------

# Prints "NAME VERSION SHA256 SUITE" of the lock's package whose name matches.
locked_package() {
    sed -n 's/^PACKAGE_[0-9]*=//p' "$lock" | grep -E "^($1) [^ ]+ [0-9a-f]{64} [a-z0-9.-]+$" |
        sed -n 1p || true
}

# The newest kernel package that the suite's meta package stands for.
resolve_kernel() {
    "$HERE/apt-suite.sh" "$KERNEL_SUITE" depends "$KERNEL_META" |
        grep -E '^linux-image-[0-9].*-cloud-amd64$' | sed -n 1p ||
        die "$KERNEL_META of $KERNEL_SUITE names no kernel package"
}

cached() {
    [ -n "$1" ] && [ -f "$cache/debs/$1.deb" ] && [ "$(sha256 "$cache/debs/$1.deb")" = "$1" ]
}

# fetch SUITE SPEC [SHA256]: the file of a package, from the cache if its hash is known.
# Prints "NAME VERSION SHA256 FILE".
fetch() {
    local suite=$1 spec=$2 sha=${3:-} line name version found file
    if cached "$sha"; then
        echo "${spec%%=*} ${spec#*=} $sha $cache/debs/$sha.deb"
        return
    fi
    line=$("$HERE/apt-suite.sh" "$suite" show "$spec") || return 1
    read -r name version found file <<<"$line"
    [ -z "$sha" ] || [ "$found" = "$sha" ] ||
        die "$name $version of $suite has the SHA-256 $found, the lock file says $sha: it was replaced"
    if ! cached "$found"; then
        rm -rf "$tmp/download"
        "$HERE/apt-suite.sh" "$suite" download "$tmp/download" "$name=$version" || return 1
        file=$(find "$tmp/download" -name '*.deb' | sed -n 1p)
        [ "$(sha256 "$file")" = "$found" ] ||
            die "$name $version of $suite was downloaded with another SHA-256 than $found"
        mkdir -p "$cache/debs"
        # In two steps: a build beside this one sees a whole file or none.
        mv -f "$file" "$cache/debs/.$found.$$"
        mv -f "$cache/debs/.$found.$$" "$cache/debs/$found.deb"
    fi
    echo "$name $version $found $cache/debs/$found.deb"
}

# A package found by its hash need not be what the lock calls it.
check_label() {
    local name=$1 version=$2 file=$3 found
    found=$(dpkg-deb -W --showformat='${Package} ${Version}' "$file") ||
        die "$name $version is no Debian package: remove $file"
    [ "$found" = "$name $version" ] ||
        die "the package with the SHA-256 that ${lock:-the suite} gives for $name $version is $found: it was edited"
}

# take_package SUITE PATTERN SPEC FOLDER: unpacks a package, and records it.
take_package() {
    local suite=$1 pattern=$2 spec=$3 folder=$4 line name version sha file
    sha=
    if [ -n "$lock" ]; then
        line=$(locked_package "$pattern")
        [ -n "$line" ] || die "$lock names no package $pattern: build without --lock"
        read -r name version sha suite <<<"$line"
        spec="$name=$version"
    elif [ -z "$spec" ]; then
        spec=$(resolve_kernel)
    fi
    line=$(fetch "$suite" "$spec" "$sha") || return 1
    read -r name version sha file <<<"$line"
    check_label "$name" "$version" "$file"
    mkdir "$folder"
    dpkg-deb -x "$file" "$folder" || die "$name $version cannot be unpacked: remove $file"
    packages+=("$name $version $sha $suite")
}

take_ovmf() {
    if [ "$with_ovmf" = no ]; then return; fi
    if [ -n "$lock" ] && [ -z "$(locked_package ovmf-amdsev)" ]; then
        note "$lock names no ovmf-amdsev: continuing as with --no-ovmf"
        with_ovmf=no
    elif ! (take_package "$OVMF_SUITE" ovmf-amdsev ovmf-amdsev "$tmp/ovmf.try"); then
        if [ -n "$lock" ]; then exit 1; fi
        [ ! -f "$output/ovmf.fd" ] ||
            die "ovmf-amdsev of $OVMF_SUITE cannot be had, and $output has a firmware, which parts without one would take away: try again later, or remove $output/ovmf.fd first"
        note "ovmf-amdsev of $OVMF_SUITE cannot be had: continuing as with --no-ovmf, confidential instances will not work with these parts"
        with_ovmf=no
    else
        take_package "$OVMF_SUITE" ovmf-amdsev ovmf-amdsev "$tmp/ovmf"
        [ -f "$tmp/ovmf/usr/share/ovmf/OVMF.amdsev.fd" ] ||
            die "ovmf-amdsev holds no OVMF.amdsev.fd: build with --no-ovmf"
    fi
}

# --- kernel ----------------------------------------------------------------------------

check_kernel() {
    local config="$tmp/kernel/boot/config-$1" name missing=
    for name in $CONFIG_NEEDED; do
        grep -Eq "^CONFIG_$name=[my]$" "$config" || missing="$missing $name"
    done
    [ -z "$missing" ] || die "the kernel $1 is built without$missing: a newer one is needed"
}

# The file of a module, empty if it is built in.
module_file() {
    local tree=$1 pattern=${2//[-_]/[-_]}
    find "$tree/kernel" \( -name "$pattern.ko" -o -name "$pattern.ko.xz" -o \
        -name "$pattern.ko.zst" -o -name "$pattern.ko.gz" \) -print | sort | sed -n 1p
}

unpack_module() {
    case $1 in
    *.xz) xz -dc "$1" ;;
    *.zst) zstd -qdc "$1" ;;
    *.gz) gzip -dc "$1" ;;
    *) cat "$1" ;;
    esac
}

# add_module KIND NAME: puts a module into the initrd after those it depends on.
add_module() {
    local kind=$1 name=${2//-/_} tree=$tmp/kernel/lib/modules/$kernel_version file target needs need
    target="$tmp/root/lib/modules/$name.ko"
    if [ -e "$target" ]; then return; fi
    file=$(module_file "$tree" "$name")
    if [ -z "$file" ]; then
        grep -Eq "/${name//_/[-_]}\.ko" "$tree/modules.builtin" ||
            die "the kernel $kernel_version has no module $name"
        return
    fi
    unpack_module "$file" >"$target"
    needs=$(tr '\0' '\n' <"$target" | sed -n 's/^depends=//p' | sed -n 1p | tr ',' ' ')
    for need in $needs; do add_module "$kind" "$need"; done
    echo "$kind $name.ko" >>"$tmp/root/lib/modules/list"
}

# --- katana ----------------------------------------------------------------------------

# Checks a binary, never running it, and sets interpreter (empty: static).
check_katana() {
    local header
    [ -e "$katana" ] || die "the Katana binary $katana is not there"
    [ -f "$katana" ] || die "the Katana binary $katana is no regular file"
    [ -r "$katana" ] || die "the Katana binary $katana cannot be read"
    header=$(readelf -hW "$katana" 2>/dev/null) && grep -q 'Class: *ELF' <<<"$header" ||
        die "$katana is no ELF program: give the Katana executable itself"
    grep -q 'Class: *ELF64' <<<"$header" && grep -q 'Machine: *Advanced Micro Devices X86-64' <<<"$header" ||
        die "$katana is built for another machine ($(sed -n 's/^ *Machine: *//p' <<<"$header")): the guest is x86-64"
    grep -Eq 'Type: *(EXEC|DYN)' <<<"$header" || die "$katana is an ELF file but no program"
    interpreter=$(readelf -lW "$katana" 2>/dev/null |
        sed -n 's/.*Requesting program interpreter: \(.*\)\]$/\1/p')
    if [ -z "$interpreter" ] && grep -q 'Type: *DYN' <<<"$header" &&
        ! readelf -dW "$katana" 2>/dev/null | grep 'FLAGS_1.*PIE' >/dev/null; then
        die "$katana is a shared library, not a program"
    fi
}

dynamic_entries() {
    readelf -dW "$1" 2>/dev/null | sed -n "s/.*($2).*\[\(.*\)\]$/\1/p" | tr ':' '\n'
}

# Where the loader of this machine would find a library for a file that needs it.
find_library() {
    local name=$1 user=$2 dir
    {
        dynamic_entries "$user" RPATH
        dynamic_entries "$user" RUNPATH
        printf '%s\n' /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu /lib64 /usr/lib64 /lib /usr/lib
        /sbin/ldconfig -p 2>/dev/null | sed -n 's|.*x86-64.* => \(.*\)/[^/]*$|\1|p' | sort -u
    } >"$tmp/library-folders"
    while read -r dir; do
        dir=${dir//\$ORIGIN/$(dirname "$user")}
        dir=${dir//\$\{ORIGIN\}/$(dirname "$user")}
        if [ -f "$dir/$name" ] &&
            readelf -hW "$dir/$name" 2>/dev/null | grep 'Machine: *Advanced Micro Devices X86-64' >/dev/null; then
            echo "$dir/$name"
            return
        fi
    done <"$tmp/library-folders"
}

add_libraries() {
    local user=$1 name file
    for name in $(dynamic_entries "$user" NEEDED); do
        if [ -e "$tmp/root/usr/lib/katana/$name" ]; then continue; fi
        case $name in */*) die "$user needs a library by path ($name), which is not supported" ;; esac
        file=$(find_library "$name" "$user")
        [ -n "$file" ] || die "the library $name, needed by $user, is not on this machine: install it, or give a static binary"
        cp -L "$file" "$tmp/root/usr/lib/katana/$name"
        add_libraries "$file"
    done
}

add_katana() {
    local interpreter=
    check_katana
    cp "$katana" "$tmp/root/bin/katana"
    if [ -n "$interpreter" ]; then
        [ -f "$interpreter" ] || die "the loader $interpreter of $katana is not on this machine: install it, or give a static binary"
        mkdir -p "$tmp/root/usr/lib/katana" "$tmp/root$(dirname "$interpreter")"
        cp -L "$interpreter" "$tmp/root$interpreter"
        add_libraries "$katana"
    fi
}

# What the stand-in is made with comes from this machine, and not from the lock: its hash is
# the same only where these are.
note_compiler() {
    compiler=$("${CC:-gcc}" --version | sed -n 1p)
    libc=$(dpkg-query -W -f '${Version}' libc6-dev 2>/dev/null) || libc=unknown
    libcrypto=$(dpkg-query -W -f '${Version}' libssl-dev 2>/dev/null) || libcrypto=unknown
    if [ -n "$lock" ] && ! { grep -qxF "COMPILER=$compiler" "$lock" &&
        grep -qxF "LIBC=$libc" "$lock" && grep -qxF "LIBCRYPTO=$libcrypto" "$lock"; }; then
        note "$lock was made with another compiler, C library or libcrypto: initrd.img will differ"
    fi
}

# The linker warns of what libcrypto could do and this program does not (names, modules), so
# its words are shown only where it fails.
compile_standin() {
    note_compiler
    (
        cd "$HERE/standin"
        "${CC:-gcc}" -std=gnu11 -D_GNU_SOURCE -DSTANDIN_VERSION="\"$STANDIN_VERSION\"" \
            -O2 -Wall -Wextra -Werror -static -s -ffile-prefix-map="$HERE=." -Wl,--build-id=none \
            -o "$tmp/standin" attester.c buf.c chain.c fake.c felt.c http.c json.c main.c \
            options.c quote.c request.c rpc.c -lcrypto
    ) 2>"$tmp/compiler" || {
        cat "$tmp/compiler" >&2
        die "the stand-in cannot be compiled: the C library and libcrypto are needed to link statically (Debian's libc6-dev and libssl-dev); or boot a Katana of your own with --katana"
    }
    cp "$tmp/standin" "$tmp/root/bin/katana"
    echo "stand-in $STANDIN_VERSION" >"$tmp/root/etc/stand-in"
}

# --- initrd ----------------------------------------------------------------------------

make_root() {
    local root="$tmp/root" applet name
    mkdir -p "$root"/{bin,dev,etc,lib/modules,mnt/data,proc,run,sys,tmp}
    cp "$tmp/busybox/bin/busybox" "$root/bin/busybox"
    for applet in $APPLETS; do ln -s busybox "$root/bin/$applet"; done
    cp "$HERE/init" "$root/init"
    echo 'nameserver 10.0.2.3' >"$root/etc/resolv.conf"
    echo '127.0.0.1 localhost' >"$root/etc/hosts"
    echo 'root:x:0:0:root:/tmp:/bin/sh' >"$root/etc/passwd"
    : >"$root/lib/modules/list"
    for name in $MODULES_REQUIRED; do add_module required "$name"; done
    for name in $MODULES_OPTIONAL; do add_module optional "$name"; done
    if [ -n "$katana" ]; then add_katana; else compile_standin; fi
}

# Not compressed: under TCG unpacking costs more time than reading the few bytes saved.
pack_root() {
    local root="$tmp/root"
    find "$root" -type d -exec chmod 0755 {} +
    find "$root" -type f -exec chmod 0644 {} +
    chmod 0755 "$root/init" "$root/bin/busybox" "$root/bin/katana"
    if [ -d "$root/usr/lib/katana" ]; then find "$root" -name '*.so*' -exec chmod 0755 {} +; fi
    find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    (cd "$root" && find . -mindepth 1 -print0 | sort -z |
        cpio --quiet --null --create --format=newc --reproducible --owner=0:0) >"$tmp/out/initrd.img"
}

# --- output ----------------------------------------------------------------------------

set_epoch() {
    if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
        [[ $SOURCE_DATE_EPOCH =~ ^[0-9]{1,11}$ ]] || die "SOURCE_DATE_EPOCH is no number of seconds"
    elif [ -n "$lock" ]; then
        SOURCE_DATE_EPOCH=$(sed -n 's/^SOURCE_DATE_EPOCH=\([0-9]\{1,11\}\)$/\1/p' "$lock")
    fi
    # The time that the kernel's package was made.
    if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
        SOURCE_DATE_EPOCH=$(stat -c %Y "$tmp/kernel/boot/vmlinuz-$kernel_version")
    fi
    export SOURCE_DATE_EPOCH
}

# Sets measurement, where it is asked for and there is a firmware.
measure_launch() {
    local out="$tmp/out"
    if [ -z "$measure" ]; then return; fi
    if [ ! -f "$out/ovmf.fd" ]; then
        note "there is no ovmf.fd, so build-info.txt gets no launch measurement"
        return
    fi
    case $measure in */*) ;; *) measure=./$measure ;; esac
    measurement=$("$measure" measure --ovmf "$out/ovmf.fd" --kernel "$out/vmlinuz" \
        --initrd "$out/initrd.img" --cmdline "$SHAPE_CMDLINE" --vcpus "$SHAPE_VCPUS" \
        --vcpu-type "$SHAPE_VCPU_TYPE" --guest-features "$SHAPE_FEATURES" --vmm "$SHAPE_VMM") ||
        die "$measure cannot measure these parts; see above"
    [[ $measurement =~ ^[0-9a-f]{96}$ ]] ||
        die "$measure gave no launch measurement: is it a katana-hypervisor?"
}

write_info() {
    local out="$tmp/out" i binary
    binary=$(sha256 "$tmp/root/bin/katana")
    {
        echo "KERNEL_SHA256=$(sha256 "$out/vmlinuz")"
        echo "INITRD_SHA256=$(sha256 "$out/initrd.img")"
        if [ -f "$out/ovmf.fd" ]; then echo "OVMF_SHA256=$(sha256 "$out/ovmf.fd")"; fi
        echo "KERNEL_VERSION=$kernel_version"
        if [ -n "$katana" ]; then echo "KATANA=sha256:$binary"; else echo "KATANA=stand-in"; fi
        echo "KATANA_BINARY_SHA256=$binary"
        if [ -z "$katana" ]; then
            printf 'COMPILER=%s\nLIBC=%s\nLIBCRYPTO=%s\n' "$compiler" "$libc" "$libcrypto"
        fi
        echo "SEALED=no"
        if [ -n "$measurement" ]; then
            echo "LAUNCH_MEASUREMENT=$measurement"
            echo "LAUNCH_SHAPE=vcpus=$SHAPE_VCPUS vcpu-type=$SHAPE_VCPU_TYPE guest-features=$SHAPE_FEATURES vmm=$SHAPE_VMM unsealed cmdline=$SHAPE_CMDLINE"
        fi
        echo "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH"
        for i in "${!packages[@]}"; do echo "PACKAGE_$((i + 1))=${packages[i]}"; done
    } >"$out/build-info.txt"
}

# Parts go into place one by one, the description last: where it differs from a part, the
# build was cut off.
put_in_place() {
    local part
    chmod 0644 "$tmp/out"/*
    mkdir -p "$output"
    rm -f "$output/build-info.txt"
    for part in vmlinuz initrd.img ovmf.fd build-info.txt; do
        if [ -f "$tmp/out/$part" ]; then
            mv -f "$tmp/out/$part" "$output/$part"
        else
            rm -f "$output/$part"
        fi
    done
}

main() {
    local kernel_version parent compiler='' libc='' libcrypto='' measurement=''
    parse_options "$@"
    check_tools
    if [ -n "$katana" ]; then (check_katana); fi
    cache=${KATANA_BOOT_CACHE:-$(user_cache)/katana-boot-components}
    mkdir -p "$cache"
    cache=$(cd "$cache" && pwd)
    export APT_SUITE_CACHE=${APT_SUITE_CACHE:-$cache/apt}
    parent=$(dirname "$output")
    mkdir -p "$parent"
    trap clean_up EXIT
    trap 'exit 130' INT TERM HUP
    tmp=$(mktemp -d "$parent/.boot-components.XXXXXX")
    tmp=$(cd "$tmp" && pwd)
    chmod 0755 "$tmp"
    mkdir "$tmp/out"

    take_package "$KERNEL_SUITE" 'linux-image-[0-9][^ ]*-cloud-amd64' '' "$tmp/kernel"
    take_package "$BUSYBOX_SUITE" busybox-static busybox-static "$tmp/busybox"
    take_ovmf
    kernel_version=$(basename "$tmp/kernel/lib/modules"/*)
    check_kernel "$kernel_version"
    set_epoch
    make_root
    pack_root
    cp "$tmp/kernel/boot/vmlinuz-$kernel_version" "$tmp/out/vmlinuz"
    if [ "$with_ovmf" = yes ]; then cp "$tmp/ovmf/usr/share/ovmf/OVMF.amdsev.fd" "$tmp/out/ovmf.fd"; fi
    measure_launch
    write_info
    put_in_place
    cat "$output/build-info.txt"
}

main "$@"
