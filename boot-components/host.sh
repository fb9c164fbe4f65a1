# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Which distribution this machine runs, what its packages are called, and where Debian's come
# from. Sourced by apt-suite.sh, build.sh and data/packages.sh.

# host_field NAME: a value of os-release(5), empty where there is none.
host_field() {
    (
        set +u
        # shellcheck disable=SC1091
        . /etc/os-release 2>/dev/null || . /usr/lib/os-release 2>/dev/null || true
        printf '%s\n' "${!1}"
    )
}

# By its package manager: debian (apt), fedora (dnf), or other.
host_family() {
    local word
    for word in $(host_field ID) $(host_field ID_LIKE); do
        case $word in
        debian | ubuntu) echo debian; return ;;
        fedora | rhel | centos) echo fedora; return ;;
        esac
    done
    echo other
}

# What a person types before the names of packages.
host_install_command() {
    case $(host_family) in
    debian) echo 'apt-get install' ;;
    fedora) echo 'dnf install' ;;
    *) echo "install with this distribution's package manager:" ;;
    esac
}

# The package with the keys that Debian signs its suites with.
host_keyring_package() {
    case $(host_family) in
    fedora) echo debian-keyring ;;
    *) echo debian-archive-keyring ;;
    esac
}

# The folder of the user's caches. A relative XDG_CACHE_HOME counts for nothing, as everywhere.
user_cache() {
    case ${XDG_CACHE_HOME:-} in
    /*) printf '%s\n' "$XDG_CACHE_HOME" ;;
    *) printf '%s\n' "${HOME:-/root}/.cache" ;;
    esac
}

# The mirror that the machine has Debian's packages from: what apt knows to be Debian's, else,
# before its first update, the first source in either format.
own_mirror() {
    local uri
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' \
        2>/dev/null | sed -n 1p) || true
    [ -n "$uri" ] || uri=$(sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*\).*/\1/p' \
        /etc/apt/sources.list.d/*.sources 2>/dev/null | grep -v security | head -n 1) || true
    [ -n "$uri" ] || uri=$(sed -n \
        's/^deb[[:space:]]\+\(\[[^]]*\][[:space:]]*\)\?\([^[:space:]]*\).*/\2/p' \
        /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
        grep -v security | head -n 1) || true
    printf '%s\n' "$uri"
}

# Prints a mirror of Debian's: $KATANA_DEBIAN_MIRROR, else the machine's own where that is a
# Debian. Else says what to do, and fails.
debian_mirror() {
    local mirror=${KATANA_DEBIAN_MIRROR:-}
    if [ -n "$mirror" ]; then
        if ! [[ $mirror =~ ^(https?://|file:/)[^[:space:]]+$ ]]; then
            printf 'KATANA_DEBIAN_MIRROR is "%s"; it must be a URL of http, https or file\n' \
                "$mirror" >&2
            return 1
        fi
    elif [ "$(host_field ID)" != debian ]; then
        printf '%s\n' "this machine runs $(host_field PRETTY_NAME | grep . || echo 'another distribution'), whose own sources have none of Debian's packages: set KATANA_DEBIAN_MIRROR to the URL of a mirror of Debian's" >&2
        return 1
    else
        mirror=$(own_mirror)
        if [ -z "$mirror" ]; then
            printf '%s\n' "/etc/apt has no source with Debian's packages: add one, or set KATANA_DEBIAN_MIRROR to the URL of a mirror of Debian's" >&2
            return 1
        fi
    fi
    printf '%s\n' "$mirror"
}
