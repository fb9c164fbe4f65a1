/* SPDX-License-Identifier: MIT */
/*
 * The sets of boot components that the service says it has, to look for a measurement that
 * differs among them. Hashes only: no file that a host names is opened. Used by attest.c.
 */
#pragma once

#include "client.h"
#include "mismatch-search.h"

G_BEGIN_DECLS

typedef struct {
    GArray *images;       /* of KhNeighbourImage, which borrow from the rest */
    GPtrArray *owned;     /* of what they borrow, but for the firmware */
    guint other_firmware; /* sets with another firmware than @own's: not to be measured */
} KhHostImages;

/*
 * Those of the service that have a kernel and @own's firmware, which must outlive them. A
 * service that tells none, or something else, has none. Transfer full.
 */
KhHostImages *kh_host_images_fetch(KhCli *cli, const KhBootParts *own);

void kh_host_images_free(KhHostImages *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhHostImages, kh_host_images_free)

G_END_DECLS
