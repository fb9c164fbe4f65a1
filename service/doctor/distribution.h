/* SPDX-License-Identifier: MIT */
/*
 * Which distribution this is (os-release(5)), and the command by which it installs what a
 * check misses. Used for remedies.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
    KH_DISTRIBUTION_OTHER,
    KH_DISTRIBUTION_DEBIAN, /* and Ubuntu */
    KH_DISTRIBUTION_FEDORA, /* and RHEL */
    KH_DISTRIBUTION_ARCH,
} KhDistribution;

typedef enum {
    KH_PACKAGE_QEMU,
    KH_PACKAGE_E2FSPROGS,
    KH_PACKAGE_BUILD_TOOLS, /* of boot components */
} KhPackage;

/* Of the text of os-release: ID, else the words of ID_LIKE. */
KhDistribution kh_distribution_parse(const char *os_release);

/* The command that installs @package; transfer full. */
char *kh_distribution_install(KhDistribution self, KhPackage package);

/* The command that makes the initramfs, and with it modprobe's options, anew. Static. */
const char *kh_distribution_update_initramfs(KhDistribution self);

G_END_DECLS
