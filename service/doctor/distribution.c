/* SPDX-License-Identifier: MIT */
/* Distributions and their commands; see distribution.h. */
#include "distribution.h"

#include <string.h>

static const struct {
    const char *id;
    KhDistribution distribution;
} ids[] = {
    {"debian", KH_DISTRIBUTION_DEBIAN},    {"ubuntu", KH_DISTRIBUTION_DEBIAN},
    {"fedora", KH_DISTRIBUTION_FEDORA},    {"rhel", KH_DISTRIBUTION_FEDORA},
    {"centos", KH_DISTRIBUTION_FEDORA},    {"rocky", KH_DISTRIBUTION_FEDORA},
    {"almalinux", KH_DISTRIBUTION_FEDORA}, {"arch", KH_DISTRIBUTION_ARCH},
};

/* The packages by KhPackage; of another distribution the program's own name. */
static const struct {
    const char *command;
    const char *packages[3];
} installers[] = {
    [KH_DISTRIBUTION_OTHER] = {"install with this distribution's package manager:",
                               {"QEMU for x86-64", "e2fsprogs", "cpio, xz, zstd, binutils"}},
    [KH_DISTRIBUTION_DEBIAN] = {"apt install",
                                {"qemu-system-x86", "e2fsprogs", "cpio xz-utils zstd binutils"}},
    [KH_DISTRIBUTION_FEDORA] = {"dnf install", {"qemu-kvm", "e2fsprogs", "cpio xz zstd binutils"}},
    [KH_DISTRIBUTION_ARCH] = {"pacman -S",
                              {"qemu-system-x86", "e2fsprogs", "cpio xz zstd binutils"}},
};

static KhDistribution
find_id(const char *word)
{
    for (guint i = 0; i < G_N_ELEMENTS(ids); i++)
        if (g_str_equal(ids[i].id, word))
            return ids[i].distribution;
    return KH_DISTRIBUTION_OTHER;
}

/* The words of KEY=VALUE, whose value may stand in quotes. */
static KhDistribution
find_in_value(const char *value)
{
    g_autofree char *bare = g_strdelimit(g_strdup(value), "\"'", ' ');
    g_auto(GStrv) words = g_strsplit(bare, " ", 32);
    KhDistribution found = KH_DISTRIBUTION_OTHER;

    for (guint i = 0; words[i] != NULL && found == KH_DISTRIBUTION_OTHER; i++)
        found = find_id(words[i]);
    return found;
}

KhDistribution
kh_distribution_parse(const char *os_release)
{
    g_auto(GStrv) lines = g_strsplit(os_release, "\n", 256);
    KhDistribution own = KH_DISTRIBUTION_OTHER, like = KH_DISTRIBUTION_OTHER;

    for (guint i = 0; lines[i] != NULL; i++) {
        if (g_str_has_prefix(lines[i], "ID="))
            own = find_in_value(lines[i] + strlen("ID="));
        else if (g_str_has_prefix(lines[i], "ID_LIKE="))
            like = find_in_value(lines[i] + strlen("ID_LIKE="));
    }
    return own == KH_DISTRIBUTION_OTHER ? like : own;
}

char *
kh_distribution_install(KhDistribution self, KhPackage package)
{
    return g_strdup_printf("%s %s", installers[self].command, installers[self].packages[package]);
}

const char *
kh_distribution_update_initramfs(KhDistribution self)
{
    switch (self) {
    case KH_DISTRIBUTION_DEBIAN:
        return "update-initramfs -u";
    case KH_DISTRIBUTION_FEDORA:
        return "dracut -f";
    case KH_DISTRIBUTION_ARCH:
        return "mkinitcpio -P";
    default:
        return "rebuild the initramfs";
    }
}
